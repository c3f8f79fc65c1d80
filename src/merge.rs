//! What changed in a session, as a patch of its top-level keys: applied to what was loaded, or to what another request
//! has stored meanwhile. Applying it to *theirs* is the three-way merge.
//!
//! Values are kept as the text they came as, so a number that no `f64` holds survives.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{from_slice, from_str, to_vec};

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
    /// The keys under which fields of the type were stored that have other names now (serde's `alias`), with those names.
    renamed: Vec<(String, Option<String>)>,
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
        Ok(Some(Self { replaces, baseline, result, stored, renamed: Vec::new() }))
    }

    /// The same, where that makes of `payload`, which decodes, something that decodes too: `fits` says what does.
    ///
    /// A field that the type gives an alias has two names once the new one is written, and serde refuses that. The old one goes
    /// then, and nothing else does, unless that is not enough.
    pub(crate) fn fitting(self, payload: &[u8], fits: impl Fn(&[u8]) -> bool) -> Result<Self, Error> {
        // The type writes what was stored as it stands there, or drops it anyway.
        if self.stored.is_none() || self.replaces || fits(&self.apply(payload)?) {
            return Ok(self);
        }
        let renamed = self.renamed(&fits)?;
        let renaming = Self { renamed, ..self };
        let replaces = !fits(&renaming.apply(payload)?);
        Ok(Self { replaces, ..renaming })
    }

    /// Stored keys that the type does not write and does not tolerate beside what it writes; and what it writes in their place.
    fn renamed(&self, fits: impl Fn(&[u8]) -> bool) -> Result<Vec<(String, Option<String>)>, Error> {
        let stored = fields(self.stored.as_deref().unwrap_or_default())?;
        let known: BTreeMap<_, _> = fields(&self.baseline)?.into_iter().collect();
        let has: HashSet<&str> = stored.iter().map(|(key, _)| &**key).collect();
        let new_names: Vec<_> = known.keys().filter(|key| !has.contains(&***key)).collect();
        let mut renamed = Vec::new();
        for (old, value) in stored.iter().filter(|(key, _)| !known.contains_key(key)) {
            let mut both = known.clone();
            both.insert(old.clone(), value);
            if fits(&text(&both)?) {
                continue;
            }
            let name = new_names.iter().find_map(|&new| {
                let mut old_only = both.clone();
                old_only.remove(new);
                text(&old_only).is_ok_and(|text| fits(&text)).then(|| new.clone().into_owned())
            });
            renamed.push((old.clone().into_owned(), name));
        }
        Ok(renamed)
    }

    /// The payload that this patch makes of another.
    pub(crate) fn apply(&self, payload: &[u8]) -> Result<Vec<u8>, Error> {
        if self.replaces || payload == self.baseline {
            return Ok(self.result.clone());
        }
        let stored = fields(self.stored.as_deref().unwrap_or(&self.baseline))?;
        let mut stored: HashSet<&str> = stored.iter().map(|(key, _)| &**key).collect();
        let mut before: BTreeMap<_, _> = fields(&self.baseline)?.into_iter().collect();
        let mut merged: BTreeMap<_, _> = fields(payload)?.into_iter().collect();
        for (old, new) in &self.renamed {
            if let (Some(value), Some(new)) = (merged.remove(old.as_str()), new) {
                merged.entry(new.into()).or_insert(value);
            }
            stored.extend(new.as_deref());
        }
        for (key, value) in fields(&self.result)? {
            match before.remove(&key) {
                // Not changed by us: theirs stands, also if they have taken it out. A default of the type that was not
                // stored is filled in where it is still missing.
                Some(old) if is_equal(old, value) => {
                    if !stored.contains(&*key) {
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
        text(&merged)
    }
}

fn text(fields: &BTreeMap<Cow<'_, str>, &RawValue>) -> Result<Vec<u8>, Error> {
    to_vec(fields).map_err(|error| Error::new(ErrorKind::Data, "cannot encode the session").with_source(error))
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

/// Equal as JSON values that one encoder wrote: the order of a nested map is no change. Numbers are compared as they stand
/// there, for an `f64` takes integers above 2^53 for each other. It goes as deep as the type's data, which serde went before.
fn is_equal(one: &RawValue, two: &RawValue) -> bool {
    let (one, two) = (one.get(), two.get());
    if one == two || !is_reordered(one.as_bytes(), two.as_bytes()) {
        return one == two;
    }
    match (one.as_bytes().first(), two.as_bytes().first()) {
        (Some(b'{'), Some(b'{')) => match (from_str(one), from_str(two)) {
            (Ok(Fields(one)), Ok(Fields(two))) => is_same(one, two),
            _ => false,
        },
        (Some(b'['), Some(b'[')) => match (from_str::<Vec<&RawValue>>(one), from_str::<Vec<&RawValue>>(two)) {
            (Ok(one), Ok(two)) => one.len() == two.len() && one.iter().zip(two).all(|(one, two)| is_equal(one, two)),
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests;
