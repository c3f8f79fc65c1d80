//! Where in an answer headers stand, and who looks there.

use serde_json::{Map, Value};

use crate::event::Kind;

/// Where in its answer a function can put headers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Cookies,
    Headers,
    Multi,
}

impl Kind {
    /// Whether who sends such an event looks there in an answer that is whole.
    pub(crate) fn reads(self, place: Place) -> bool {
        match self {
            Self::HttpApi | Self::FunctionUrl => matches!(place, Place::Headers | Place::Cookies),
            Self::Rest | Self::HttpApi1 => matches!(place, Place::Headers | Place::Multi),
            Self::Alb => matches!(place, Place::Headers),
            Self::AlbMulti => matches!(place, Place::Multi),
            Self::Other => true,
        }
    }
}

impl Place {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cookies => "cookies",
            Self::Headers => "headers",
            Self::Multi => "multiValueHeaders",
        }
    }

    pub(crate) fn pairs(self, answer: &Map<String, Value>) -> Result<Vec<(String, String)>, String> {
        let wrong = || format!("`{}` in the answer has the wrong shape", self.name());
        let value = match answer.get(self.name()) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(value) => value,
        };
        if let Self::Cookies = self {
            let list = value.as_array().ok_or_else(wrong)?;
            return list.iter().map(|line| Ok(("set-cookie".to_owned(), text(line).ok_or_else(wrong)?))).collect();
        }
        let mut pairs = Vec::new();
        for (name, value) in value.as_object().ok_or_else(wrong)? {
            let values = match (self, value) {
                (Self::Multi, Value::Array(values)) => values.as_slice(),
                (Self::Multi, _) => return Err(wrong()),
                (_, value) => std::slice::from_ref(value),
            };
            for value in values.iter().filter(|value| !value.is_null()) {
                pairs.push((name.to_ascii_lowercase(), text(value).ok_or_else(wrong)?));
            }
        }
        Ok(pairs)
    }

    /// Whether the same cookie also stands in the map that `kind` does read.
    pub(crate) fn has_twin(self, kind: Kind, answer: &Map<String, Value>, line: &str) -> bool {
        let other = match (kind, self) {
            (Kind::AlbMulti, _) | (Kind::Rest | Kind::HttpApi1, Self::Cookies) => Self::Multi,
            (Kind::HttpApi | Kind::FunctionUrl, _) => Self::Cookies,
            _ => Self::Headers,
        };
        let pairs = other.pairs(answer).unwrap_or_default();
        pairs.iter().any(|(name, value)| name == "set-cookie" && value == line)
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}
