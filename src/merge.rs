//! What changed in a session, as a patch of its top-level keys: applied to what was loaded, or to what another request
//! has stored meanwhile. Applying it to *theirs* is the three-way merge.
//!
//! Values are kept as the text they came as, so a number that no `f64` holds survives.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Value, from_slice, from_str, to_vec};

use crate::{Error, ErrorKind};

type Fields = BTreeMap<String, Box<RawValue>>;

/// The difference between what a session's type encoded to when it was opened and when it was given back.
#[derive(Debug)]
pub(crate) struct Patch {
    /// Whether the data before is dropped whole: it did not fit the type.
    replaces: bool,
    /// Keys that changed or are new.
    set: Fields,
    /// Keys that the type had and has no more.
    removed: Vec<String>,
    /// Keys that the type has and did not change: written only where they are missing, so that a field that another
    /// version or request has set is never put back.
    fill: Fields,
    /// The two encodings: where the stored text is the first, the result is the second.
    baseline: Vec<u8>,
    result: Vec<u8>,
}

impl Patch {
    /// What leads from `baseline` to `result`; `None` if they are equal as JSON.
    pub(crate) fn between(baseline: &[u8], result: &[u8], replaces: bool) -> Result<Option<Self>, Error> {
        if baseline == result {
            return Ok(None);
        }
        let (mut before, after) = (fields(baseline)?, fields(result)?);
        let (mut set, mut fill) = (Fields::new(), Fields::new());
        for (key, value) in after {
            match before.remove(&key) {
                Some(old) if is_equal(&old, &value) => fill.insert(key, value),
                _ => set.insert(key, value),
            };
        }
        if set.is_empty() && before.is_empty() {
            return Ok(None);
        }
        let removed = before.into_keys().collect();
        Ok(Some(Self { replaces, set, removed, fill, baseline: baseline.into(), result: result.into() }))
    }

    /// The payload that this patch makes of another.
    pub(crate) fn apply(&self, payload: &[u8]) -> Result<Vec<u8>, Error> {
        if self.replaces || payload == self.baseline {
            return Ok(self.result.clone());
        }
        let mut fields = fields(payload)?;
        for key in &self.removed {
            fields.remove(key);
        }
        for (key, value) in &self.set {
            fields.insert(key.clone(), value.clone());
        }
        for (key, value) in &self.fill {
            fields.entry(key.clone()).or_insert_with(|| value.clone());
        }
        to_vec(&fields).map_err(|error| Error::new(ErrorKind::Data, "cannot encode the session").with_source(error))
    }
}

/// The size of each top-level key with its value, in bytes, the largest first. For messages, never with a value.
pub(crate) fn sizes(payload: &[u8]) -> Vec<(String, usize)> {
    let mut sizes: Vec<_> = fields(payload)
        .unwrap_or_default()
        .into_iter()
        .map(|(key, value)| {
            let size = key.len().saturating_add(value.get().len());
            (key, size)
        })
        .collect();
    sizes.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    sizes
}

fn fields(json: &[u8]) -> Result<Fields, Error> {
    from_slice(json).map_err(|error| {
        // The cause may quote data, so only its place is kept.
        let place = format!("line {} column {}", error.line(), error.column());
        Error::new(ErrorKind::Data, "a session encodes to a JSON object: make it a struct or a map").with_source(place)
    })
}

/// Equal as JSON values: the order of a nested map is no change.
fn is_equal(one: &RawValue, two: &RawValue) -> bool {
    one.get() == two.get()
        || matches!((from_str::<Value>(one.get()), from_str::<Value>(two.get())), (Ok(one), Ok(two)) if one == two)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patched(baseline: &str, result: &str, target: &str) -> String {
        let patch = Patch::between(baseline.as_bytes(), result.as_bytes(), false).unwrap();
        match patch {
            Some(patch) => String::from_utf8(patch.apply(target.as_bytes()).unwrap()).unwrap(),
            None => "unchanged".into(),
        }
    }

    /// SL10: the three-way merge, a row for each way in which two requests meet.
    #[test]
    fn changes_to_different_keys_are_both_kept() {
        for (name, baseline, result, theirs, merged) in [
            ("nobody else", r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":1}"#, r#"{"a":2}"#),
            ("another key", r#"{"a":1,"b":1}"#, r#"{"a":2,"b":1}"#, r#"{"a":1,"b":9}"#, r#"{"a":2,"b":9}"#),
            ("the same key: ours", r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":9}"#, r#"{"a":2}"#),
            ("theirs is new", r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":1,"z":1}"#, r#"{"a":2,"z":1}"#),
            ("we removed", r#"{"a":1,"b":1}"#, r#"{"b":1}"#, r#"{"a":1,"b":9}"#, r#"{"b":9}"#),
            ("they removed", r#"{"a":1}"#, r#"{"a":1,"b":1}"#, r#"{}"#, r#"{"a":1,"b":1}"#),
            (
                "unknown to the type",
                r#"{"a":1}"#,
                r#"{"a":2}"#,
                r#"{"a":1,"u":12345678901234567890.25}"#,
                r#"{"a":2,"u":12345678901234567890.25}"#,
            ),
        ] {
            assert_eq!(patched(baseline, result, theirs), merged, "{name}");
        }
    }

    #[test]
    fn a_default_of_the_type_never_overwrites_what_is_there() {
        let merged = patched(
            r#"{"count":1,"theme":"light"}"#,
            r#"{"count":2,"theme":"light"}"#,
            r#"{"count":1,"theme":"dark"}"#,
        );
        assert_eq!(merged, r#"{"count":2,"theme":"dark"}"#);
    }

    #[test]
    fn the_order_of_a_map_is_no_change() {
        assert_eq!(patched(r#"{"m":{"a":1,"b":2}}"#, r#"{"m":{"b":2,"a":1}}"#, "{}"), "unchanged");
        assert_eq!(patched(r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#, "{}"), "unchanged");
    }

    #[test]
    fn data_that_did_not_fit_is_replaced_whole() {
        let patch = Patch::between(b"{}", br#"{"a":1}"#, true).unwrap().unwrap();
        assert_eq!(patch.apply(br#"{"old":true}"#).unwrap(), br#"{"a":1}"#);
    }

    #[test]
    fn sizes_name_the_largest_first() {
        assert_eq!(sizes(br#"{"a":1,"basket":[1,2,3]}"#), [("basket".to_owned(), 13), ("a".to_owned(), 2)]);
    }
}
