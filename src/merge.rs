//! What changed in a session, as a patch of its top-level keys: applied to what was loaded, or to what another request
//! has stored meanwhile. Applying it to *theirs* is the three-way merge.
//!
//! Values are kept as the text they came as, so a number that no `f64` holds survives.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Value, from_slice, from_str, to_vec};

use crate::cookie::quoted;
use crate::{Error, ErrorKind};

/// The difference between what a session's type encoded to when it was opened and when it was given back.
#[derive(Debug)]
pub(crate) struct Patch {
    /// Whether the data before is dropped whole: it did not fit the type.
    replaces: bool,
    /// The two encodings: where the stored text is the first, the result is the second.
    baseline: Vec<u8>,
    result: Vec<u8>,
    /// What was stored, where that is not the baseline: the baseline without the type's defaults, and with keys that the
    /// type does not know.
    stored: Option<Vec<u8>>,
}

impl Patch {
    /// What leads from `baseline` to `result`; `None` if they are equal as JSON. `stored` is what was loaded.
    pub(crate) fn between(
        baseline: Vec<u8>,
        result: Vec<u8>,
        stored: &[u8],
        replaces: bool,
    ) -> Result<Option<Self>, Error> {
        if baseline == result || (is_reordered(&baseline, &result) && is_same(fields(&baseline)?, fields(&result)?)) {
            return Ok(None);
        }
        let stored = (stored != baseline).then(|| stored.to_vec());
        Ok(Some(Self { replaces, baseline, result, stored }))
    }

    /// Whether what was stored has more in it, or less, than the type made of it.
    pub(crate) fn keeps_more(&self) -> bool {
        self.stored.is_some() && !self.replaces
    }

    /// The same, dropping the data before whole.
    pub(crate) fn replacing(self) -> Self {
        Self { replaces: true, ..self }
    }

    /// The payload that this patch makes of another.
    pub(crate) fn apply(&self, payload: &[u8]) -> Result<Vec<u8>, Error> {
        if self.replaces || payload == self.baseline {
            return Ok(self.result.clone());
        }
        let stored = fields(self.stored.as_deref().unwrap_or(&self.baseline))?;
        let mut before: BTreeMap<_, _> = fields(&self.baseline)?.into_iter().collect();
        let mut merged: BTreeMap<_, _> = fields(payload)?.into_iter().collect();
        for (key, value) in fields(&self.result)? {
            match before.remove(&key) {
                // Not changed by us: theirs stands, also if they have taken it out. A default of the type that was not
                // stored is filled in where it is still missing.
                Some(old) if is_equal(old, value) => {
                    if !stored.iter().any(|(known, _)| *known == key) {
                        merged.entry(key).or_insert(value);
                    }
                }
                _ => {
                    merged.insert(key, value);
                }
            }
        }
        for key in before.keys() {
            merged.remove(key);
        }
        to_vec(&merged).map_err(|error| Error::new(ErrorKind::Data, "cannot encode the session").with_source(error))
    }
}

/// The size of each top-level key with its value, in bytes, the largest first. For messages, never with a value.
pub(crate) fn sizes(payload: &[u8]) -> Vec<(String, usize)> {
    let mut sizes: Vec<_> = fields(payload)
        .unwrap_or_default()
        .into_iter()
        .map(|(key, value)| {
            let size = key.len().saturating_add(value.get().len());
            (key.into_owned(), size)
        })
        .collect();
    sizes.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    sizes
}

/// The three largest top-level keys, for whoever must make a session smaller.
pub(crate) fn largest_keys(payload: &[u8]) -> String {
    let named: Vec<String> =
        sizes(payload).iter().take(3).map(|(key, size)| format!("{} {size} bytes", quoted(key))).collect();
    named.join(", ")
}

/// The top-level keys of a JSON object with the text of their values, in their order.
fn fields(json: &[u8]) -> Result<Vec<(Cow<'_, str>, &RawValue)>, Error> {
    let Fields(fields) = from_slice(json).map_err(|error| {
        // The cause may quote data, so only its place is kept.
        let place = format!("line {} column {}", error.line(), error.column());
        Error::new(ErrorKind::Data, "a session encodes to a JSON object: make it a struct or a map").with_source(place)
    })?;
    Ok(fields)
}

struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// A key, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::with_capacity(16);
                while let Some((Key(key), value)) = map.next_entry()? {
                    fields.push((key, value));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// Whether two texts of one encoder may differ in nothing but the order of a map: then they have the same bytes, and so
/// the same length and sum. It spares nearly every changed session the parsing.
fn is_reordered(one: &[u8], two: &[u8]) -> bool {
    let sum = |text: &[u8]| text.iter().fold(0_u64, |sum, &byte| sum.wrapping_add(byte.into()));
    one.len() == two.len() && sum(one) == sum(two)
}

/// Whether two objects are equal as JSON, in whatever order their keys stand.
fn is_same<'a>(mut one: Vec<(Cow<'a, str>, &'a RawValue)>, mut two: Vec<(Cow<'a, str>, &'a RawValue)>) -> bool {
    if one.len() != two.len() {
        return false;
    }
    if one.iter().zip(&two).any(|(one, two)| one.0 != two.0) {
        one.sort_by(|a, b| a.0.cmp(&b.0));
        two.sort_by(|a, b| a.0.cmp(&b.0));
    }
    one.iter().zip(&two).all(|(one, two)| one.0 == two.0 && is_equal(one.1, two.1))
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
        patched_from(baseline, baseline, result, target)
    }

    fn patched_from(loaded: &str, baseline: &str, result: &str, target: &str) -> String {
        let patch = Patch::between(baseline.into(), result.into(), loaded.as_bytes(), false).unwrap();
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
            ("they removed", r#"{"a":1}"#, r#"{"a":1,"b":1}"#, r#"{}"#, r#"{"b":1}"#),
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
        for (name, theirs, merged) in [
            ("another request has set it", r#"{"count":1,"theme":"dark"}"#, r#"{"count":2,"theme":"dark"}"#),
            ("nobody has", r#"{"count":1}"#, r#"{"count":2,"theme":"light"}"#),
        ] {
            let (baseline, result) = (r#"{"count":1,"theme":"light"}"#, r#"{"count":2,"theme":"light"}"#);
            assert_eq!(patched_from(r#"{"count":1}"#, baseline, result, theirs), merged, "{name}");
        }
    }

    #[test]
    fn the_order_of_a_map_is_no_change() {
        assert_eq!(patched(r#"{"m":{"a":1,"b":2}}"#, r#"{"m":{"b":2,"a":1}}"#, "{}"), "unchanged");
        assert_eq!(patched(r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#, "{}"), "unchanged");
    }

    #[test]
    fn data_that_did_not_fit_is_replaced_whole() {
        let patch = Patch::between(b"{}".into(), br#"{"a":1}"#.into(), br#"{"old":true}"#, true).unwrap().unwrap();
        assert_eq!(patch.apply(br#"{"old":true}"#).unwrap(), br#"{"a":1}"#);
    }

    #[test]
    fn sizes_name_the_largest_first() {
        assert_eq!(sizes(br#"{"a":1,"basket":[1,2,3]}"#), [("basket".to_owned(), 13), ("a".to_owned(), 2)]);
    }
}
