//! What became of a write that was sent and not answered: pure, told what is there now.

use super::exchange::Answer;
use super::protocol::{Mode, Status};

/// What a value that was found says about a write without an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    Applied,
    NotApplied,
    Overtaken(Status),
}

/// What a look at the key says about a write that was sent and not answered. Values are sealed with random bits, so one
/// that is ours to the byte was written by us.
///
/// Where nothing is found an add may still be under way, beyond the connection that was closed. Were it sent once more, and
/// what it stored deleted, the first one could put it back: so what became of it is unknown, and whoever adds takes another key.
pub(crate) fn settle(mode: Mode, ours: &[u8], found: &Answer) -> Option<Settled> {
    Some(match (&found.status, mode) {
        (Status::Miss, Mode::Replace(_)) => Settled::Overtaken(Status::NotFound),
        (Status::Value(_), Mode::Replace(seen)) if found.cas == seen => Settled::NotApplied,
        (Status::Value(_), _) if found.value == ours => Settled::Applied,
        (Status::Value(_), Mode::Add) => Settled::Overtaken(Status::NotStored),
        (Status::Value(_), Mode::Replace(_)) => Settled::Overtaken(Status::Exists),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario 20 of memcached.md.
    #[test]
    fn a_write_without_an_answer_is_settled_by_what_is_there() {
        let value = |cas, value: &[u8]| Answer { status: Status::Value(0..0), cas, value: value.to_vec() };
        let answer = |status| Answer { status, cas: 0, value: Vec::new() };
        let miss = || answer(Status::Miss);
        let error = || answer(Status::Error("SERVER_ERROR".to_owned()));
        let overtaken = |status| Some(Settled::Overtaken(status));
        for (name, mode, found, settled) in [
            ("added", Mode::Add, value(7, b"ours"), Some(Settled::Applied)),
            ("not added yet", Mode::Add, miss(), None),
            ("another's", Mode::Add, value(7, b"theirs"), overtaken(Status::NotStored)),
            ("replaced", Mode::Replace(6), value(7, b"ours"), Some(Settled::Applied)),
            ("not replaced", Mode::Replace(6), value(6, b"before"), Some(Settled::NotApplied)),
            ("overtaken", Mode::Replace(6), value(8, b"theirs"), overtaken(Status::Exists)),
            ("logged out", Mode::Replace(6), miss(), overtaken(Status::NotFound)),
            ("refused", Mode::Replace(6), error(), None),
        ] {
            assert_eq!(settle(mode, b"ours", &found), settled, "{name}");
        }
    }
}
