//! What one event did to the session, key by key.

use serde_json::{Map, Value};

use crate::sessions::Seen;

/// What an event did to the session.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) before: Seen,
    /// `None`: the answer did not touch it.
    pub(crate) after: Option<Seen>,
}

/// The keys in which two sessions differ.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Difference {
    pub(crate) added: Map<String, Value>,
    /// From and to.
    pub(crate) changed: Vec<(String, Value, Value)>,
    pub(crate) removed: Map<String, Value>,
    pub(crate) same: Map<String, Value>,
}

impl Change {
    pub(crate) fn difference(&self) -> Difference {
        let empty = Map::new();
        let before = self.before.data().unwrap_or(&empty);
        let after = self.after.as_ref().unwrap_or(&self.before).data().unwrap_or(&empty);
        let mut difference = Difference::default();
        for (key, value) in after {
            match before.get(key) {
                None => _ = difference.added.insert(key.clone(), value.clone()),
                Some(old) if old == value => _ = difference.same.insert(key.clone(), value.clone()),
                Some(old) => difference.changed.push((key.clone(), old.clone(), value.clone())),
            }
        }
        let removed = before.iter().filter(|(key, _)| !after.contains_key(*key));
        difference.removed = removed.map(|(key, value)| (key.clone(), value.clone())).collect();
        difference
    }

    /// What happened, in a word or two.
    pub(crate) fn word(&self) -> &'static str {
        match (&self.before, &self.after) {
            (Seen::Live(_) | Seen::Elsewhere, Some(Seen::Nothing)) => "ended",
            (_, Some(Seen::Nothing)) => "none; its cookie was removed",
            (Seen::Live(before), Some(Seen::Live(after))) if before == after => "unchanged, cookie renewed",
            (Seen::Live(_), Some(Seen::Live(_))) => "changed",
            (_, Some(Seen::Live(_))) => "new",
            (_, Some(Seen::Refused(_))) => "the new cookie cannot be read",
            (_, Some(Seen::Elsewhere)) | (Seen::Elsewhere, None) => "kept by the function, so not seen here",
            (Seen::Live(_), None) => "unchanged",
            (Seen::Nothing, None) => "none",
            (Seen::Refused(_), None) => "none; the cookie that came was refused",
        }
    }

    /// Why a cookie was refused, if one was; the new one first.
    pub(crate) fn refusal(&self) -> Option<&str> {
        [self.after.as_ref(), Some(&self.before)].into_iter().flatten().find_map(|seen| match seen {
            Seen::Refused(reason) => Some(reason.as_str()),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn live(value: Value) -> Seen {
        Seen::Live(value.as_object().cloned().unwrap())
    }

    #[test]
    fn a_change_is_told_key_by_key() {
        let before = live(json!({"kept": 1, "changed": 1, "gone": 1}));
        let change = Change { before, after: Some(live(json!({"kept": 1, "changed": 2, "new": 1}))) };
        let difference = change.difference();
        assert_eq!(Value::from(difference.added), json!({"new": 1}));
        assert_eq!(difference.changed, [("changed".to_owned(), json!(1), json!(2))]);
        assert_eq!(Value::from(difference.removed), json!({"gone": 1}));
        assert_eq!(Value::from(difference.same), json!({"kept": 1}));
    }

    #[test]
    fn a_change_has_a_word() {
        let old = || live(json!({"a": 1}));
        let refused = || Seen::Refused("forged".into());
        let rows = [
            (Seen::Nothing, None, "none"),
            (Seen::Nothing, Some(old()), "new"),
            (refused(), None, "none; the cookie that came was refused"),
            (refused(), Some(old()), "new"),
            (old(), None, "unchanged"),
            (old(), Some(old()), "unchanged, cookie renewed"),
            (old(), Some(live(json!({}))), "changed"),
            (old(), Some(Seen::Nothing), "ended"),
            (Seen::Nothing, Some(Seen::Nothing), "none; its cookie was removed"),
            (Seen::Nothing, Some(Seen::Elsewhere), "kept by the function, so not seen here"),
            (Seen::Elsewhere, Some(Seen::Nothing), "ended"),
            (old(), Some(refused()), "the new cookie cannot be read"),
        ];
        for (before, after, expected) in rows {
            let change = Change { before, after };
            assert_eq!(change.word(), expected, "{change:?}");
        }
    }
}
