//! Whether a write went through alone. SSM counts a parameter's versions, one for each write.

use std::ops::RangeInclusive;

use crate::keys::ring::Ring;

/// What the versions before, at and after a write say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Done,
    /// These came between our reading and our writing, and ours is on top of them.
    Overwrote(RangeInclusive<i64>),
    /// This one is on top of ours.
    Overwritten(i64),
}

pub(crate) fn of(before: i64, ours: i64, after: i64) -> Verdict {
    let next = before.saturating_add(1);
    if ours > next {
        return Verdict::Overwrote(next..=ours.saturating_sub(1));
    }
    // A reader that lags behind shows an older version than ours.
    if after > ours { Verdict::Overwritten(after) } else { Verdict::Done }
}

/// The ids of keys that are in this text and no longer in the ring.
pub(crate) fn lost(text: &str, ring: &Ring) -> Vec<String> {
    let Ok(theirs) = Ring::parse(text) else { return Vec::new() };
    let is_lost = |id: &String| ring.keys().all(|key| key.id != *id);
    theirs.keys().map(|key| key.id.clone()).filter(is_lost).collect()
}

/// What to tell whoever wrote over somebody else.
pub(crate) fn overwrote(name: &str, ours: i64, others: RangeInclusive<i64>, lost: &[(i64, Vec<String>)]) -> String {
    let (first, last) = (others.start(), others.end());
    let versions = if first == last { format!("version {first}") } else { format!("versions {first} to {last}") };
    let mut text = format!("somebody wrote {versions} of {name} meanwhile, and ours, version {ours}, overwrote that");
    for (version, keys) in lost {
        if !keys.is_empty() {
            text.push_str(&format!("; keys {} of version {version} are in the ring no more", keys.join(", ")));
        }
    }
    text.push_str(&format!(
        ": compare with `aws ssm get-parameter --with-decryption --name {name}:{last}`, then run again what is missing"
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_versions_tell_who_else_wrote() {
        for (name, before, ours, after, expected) in [
            ("alone", 4, 5, 5, Verdict::Done),
            ("a reader behind", 4, 5, 4, Verdict::Done),
            ("one before ours", 4, 6, 6, Verdict::Overwrote(5..=5)),
            ("two before ours, one after", 4, 7, 8, Verdict::Overwrote(5..=6)),
            ("one after ours", 4, 5, 6, Verdict::Overwritten(6)),
        ] {
            assert_eq!(of(before, ours, after), expected, "{name}");
        }
    }
}
