//! Whether a write went through alone, and what is undone where it did not. SSM counts a parameter's versions, one for each
//! write.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::SystemTime;

use crate::keys::ring::Ring;

/// Who else wrote, by the versions before, at and after a write.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The parameter was deleted meanwhile, so its versions count from 1 again.
    pub(crate) is_anew: bool,
    /// These came between our reading and our writing, and ours is on top of them.
    pub(crate) overwrote: Option<RangeInclusive<i64>>,
    /// This one is on top of ours.
    pub(crate) overwritten: Option<i64>,
}

impl Verdict {
    pub(crate) fn of(before: i64, ours: i64, after: i64) -> Self {
        let is_anew = ours <= before;
        let next = if is_anew { 1 } else { before.saturating_add(1) };
        Self {
            is_anew,
            overwrote: (ours > next).then(|| next..=ours.saturating_sub(1)),
            // A reader that lags behind shows an older version than ours.
            overwritten: (after > ours).then_some(after),
        }
    }

    pub(crate) fn is_alone(&self) -> bool {
        *self == Self::default()
    }

    /// What to tell whoever was not alone. `undone` says what is lost of each version.
    pub(crate) fn text(&self, name: &str, ours: i64, undone: &[String]) -> String {
        let mut parts = Vec::new();
        if self.is_anew {
            parts.push(format!("somebody deleted {name} meanwhile, and its versions count from 1 again"));
        }
        if let Some(others) = &self.overwrote {
            let (first, last) = (others.start(), others.end());
            let versions =
                if first == last { format!("version {first}") } else { format!("versions {first} to {last}") };
            parts.push(format!(
                "somebody wrote {versions} of {name} meanwhile, and ours, version {ours}, overwrote that"
            ));
        }
        if let Some(by) = self.overwritten {
            parts.push(format!("somebody wrote version {by} of {name} right after ours, version {ours}"));
        }
        parts.extend_from_slice(undone);
        let compare = self.overwrote.as_ref().map(|others| format!("compare with `{LIST} {name}:{}`", others.end()));
        let look = self.overwritten.map(|_| "look at what is there with `lambda-session keys list`".to_owned());
        let way_out: Vec<_> = compare.into_iter().chain(look).collect();
        let way_out = if way_out.is_empty() { "ask who did".into() } else { way_out.join(", ") };
        format!("{}: {way_out}, and run again what is missing", parts.join("; "))
    }
}

/// What `version` did to the ring before it that is undone in `after`; empty if all of it is there.
pub(crate) fn undone(version: i64, before: Option<&Ring>, text: &str, after: &Ring) -> Vec<String> {
    let Ok(ring) = Ring::parse(text) else { return vec![format!("version {version} holds no ring")] };
    let ids = |ring: &Ring| ring.keys().map(|key| key.id.clone()).collect::<BTreeSet<_>>();
    let (had, has, left) = (before.map(ids).unwrap_or_default(), ids(&ring), ids(after));
    let lost = has.iter().filter(|id| !had.contains(*id) && !left.contains(*id));
    let back = had.iter().filter(|id| !has.contains(*id) && left.contains(*id));
    let is_retimed = |id: &&String| {
        let time = times(&ring, id);
        before.is_some_and(|before| times(before, id) != time) && times(after, id) != time
    };
    let retimed = has.iter().filter(|id| had.contains(*id)).filter(is_retimed);
    let named = |ids: Vec<&String>, said: &dyn Fn(&str) -> String| {
        let ids: Vec<_> = ids.into_iter().map(String::as_str).collect();
        (!ids.is_empty()).then(|| said(&ids.join(", ")))
    };
    [
        named(back.collect(), &|ids| {
            format!("keys {ids}, which version {version} had dropped, are back and open sessions: revoke them again")
        }),
        named(retimed.collect(), &|ids| format!("the times that version {version} gave to keys {ids} are gone")),
        named(lost.collect(), &|ids| format!("keys {ids} of version {version} are in the ring no more")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// From when on the keys of this id seal.
fn times(ring: &Ring, id: &str) -> Vec<SystemTime> {
    ring.keys().filter(|key| key.id == id).map(|key| key.not_before).collect()
}

const LIST: &str = "lambda-session keys list --parameter";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_versions_tell_who_else_wrote() {
        let (alone, anew) = (Verdict::default, || Verdict { is_anew: true, ..Verdict::default() });
        for (name, before, ours, after, expected) in [
            ("alone", 4, 5, 5, alone()),
            ("the first", 0, 1, 1, alone()),
            ("a reader behind", 4, 5, 4, alone()),
            ("one before ours", 4, 6, 6, Verdict { overwrote: Some(5..=5), ..alone() }),
            ("two before, one after", 4, 7, 8, Verdict { overwrote: Some(5..=6), overwritten: Some(8), ..alone() }),
            ("one after ours", 4, 5, 6, Verdict { overwritten: Some(6), ..alone() }),
            ("deleted", 5, 1, 1, anew()),
            ("deleted and made anew", 5, 2, 2, Verdict { overwrote: Some(1..=1), ..anew() }),
            (
                "deleted and made anew as often",
                5,
                5,
                6,
                Verdict { overwrote: Some(1..=4), overwritten: Some(6), ..anew() },
            ),
        ] {
            let verdict = Verdict::of(before, ours, after);
            assert_eq!(verdict, expected, "{name}");
            assert_eq!(verdict.is_alone(), expected == alone(), "{name}");
        }
    }

    /// From which hour on each seals, and the number of its secret.
    type Keys<'a> = &'a [(u64, u8)];

    #[test]
    fn what_is_undone_is_named() {
        let text = |keys: &[(u64, u8)]| {
            let line = |(hours, number): &(u64, u8)| {
                let time = SystemTime::UNIX_EPOCH + Duration::from_secs(hours * 3600);
                let secret = SECRETS[usize::from(*number)];
                format!("v1 {} {secret}", crate::keys::ring::written(time))
            };
            keys.iter().map(line).collect::<Vec<_>>().join("\n")
        };
        let rows: [(&str, Keys<'_>, Keys<'_>, Keys<'_>, &[&str]); 7] = [
            ("all of it is there", &[(1, 0)], &[(2, 1), (1, 0)], &[(3, 2), (2, 1), (1, 0)], &[]),
            (
                "a revoked key",
                &[(2, 1), (1, 0)],
                &[(1, 0)],
                &[(3, 2), (2, 1), (1, 0)],
                &["keys 50b2, which version 5 had dropped, are back and open sessions: revoke them again"],
            ),
            ("revoked by both", &[(2, 1), (1, 0)], &[(1, 0)], &[(1, 0)], &[]),
            ("a new key", &[(1, 0)], &[(2, 1), (1, 0)], &[(1, 0)], &["keys 50b2 of version 5 are in the ring no more"]),
            (
                "a rollback",
                &[(2, 1), (1, 0)],
                &[(2, 1), (3, 0)],
                &[(4, 2), (2, 1), (1, 0)],
                &["the times that version 5 gave to keys a277 are gone"],
            ),
            ("dropped on purpose", &[(2, 1), (1, 0)], &[(3, 2), (2, 1), (1, 0)], &[(3, 2), (2, 1)], &[]),
            (
                "everything at once",
                &[(2, 1), (1, 0)],
                &[(5, 2), (3, 0)],
                &[(2, 1), (1, 0)],
                &[
                    "keys 50b2, which version 5 had dropped, are back and open sessions: revoke them again",
                    "the times that version 5 gave to keys a277 are gone",
                    "keys c1fa of version 5 are in the ring no more",
                ],
            ),
        ];
        for (name, before, theirs, after, expected) in rows {
            let (before, after) = (Ring::parse(&text(before)).unwrap(), Ring::parse(&text(after)).unwrap());
            assert_eq!(undone(5, Some(&before), &text(theirs), &after), expected, "{name}");
        }
        let ring = Ring::parse(SECRETS[0]).unwrap();
        assert_eq!(undone(5, Some(&ring), "v1 soon x", &ring), ["version 5 holds no ring"]);
    }

    const SECRETS: [&str; 3] = [
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        "QkVIS05RVFdaXWBjZmlsb3J1eHt-gYSHio2Qk5aZnJ8",
        "ODEqIxwVDgcA-fLr5N3Wz8jBurOspZ6XkImCe3RtZl8",
    ];
}
