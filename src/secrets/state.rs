//! What is known of a ring, and what follows from it: pure, with the time passed in.

use std::{
    collections::VecDeque,
    time::{Duration, SystemTime},
};

use crate::keyring::Keyring;
use crate::secrets::schedule::{self, Reserve};

/// How many key ids are remembered that a fetched ring did not know: after a key is revoked or pruned, its own and few others.
const STRANGERS: usize = 16;

/// How often one id may ask between two ordinary refreshes: once more than once, for SSM may still show what stood there before.
const ASKS_AN_ID: usize = 2;

/// A ring, when it was asked for, and when it may be again.
pub(super) struct State {
    ring: Option<Keyring>,
    /// When the source was asked for the ring.
    fetched: SystemTime,
    /// The earliest time before `fetched` at which an attempt failed: one of the two clocks was wrong.
    behind: Option<SystemTime>,
    /// From when on it is fetched again.
    due: SystemTime,
    /// From when on an unknown key id may ask for a refresh.
    unknown_due: SystemTime,
    attempt: Attempt,
    /// Key ids that the ring does not know, though it was fetched for them.
    strangers: VecDeque<[u8; 2]>,
}

/// What became of the last attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    Heard,
    /// It is under way, or was given up by a request that ended.
    Begun,
    Failed,
}

impl State {
    pub(super) fn new() -> Self {
        let never = SystemTime::UNIX_EPOCH;
        Self {
            ring: None,
            fetched: never,
            behind: None,
            due: never,
            unknown_due: never,
            attempt: Attempt::Failed,
            strangers: VecDeque::new(),
        }
    }

    pub(super) fn ring(&self) -> Option<&Keyring> {
        self.ring.as_ref()
    }

    pub(super) fn is_due(&self, now: SystemTime) -> bool {
        now >= self.due || is_far_ahead(self.due, now)
    }

    /// Whether a question is out whose answer may have come meanwhile.
    pub(super) fn is_asking(&self) -> bool {
        self.attempt == Attempt::Begun
    }

    /// The ring, if it was fetched within a day.
    pub(super) fn good(&self, now: SystemTime) -> Option<Keyring> {
        self.ring.clone().filter(|_| self.age(now) < schedule::LAST_GOOD_FOR)
    }

    pub(super) fn reserve(&self, now: SystemTime) -> Reserve {
        if self.good(now).is_some() { Reserve::Ring } else { Reserve::None }
    }

    /// Whether the ring holds every key that anybody seals with: then an unknown key is nobody's.
    pub(super) fn is_certain(&self, now: SystemTime) -> bool {
        self.attempt != Attempt::Failed && self.ring.is_some() && self.age(now) <= schedule::CERTAIN_FOR
    }

    /// Whether this unknown key id may ask for a refresh now; if so, none may for the next minute.
    pub(super) fn is_asked_by(&mut self, kid: [u8; 2], now: SystemTime) -> bool {
        // What was fetched for this very request is as new as it gets, and a source that fails has its own pace.
        let is_asked = self.attempt == Attempt::Heard
            && self.fetched != now
            && self.strangers.iter().filter(|known| **known == kid).count() < ASKS_AN_ID
            && (now >= self.unknown_due || is_far_ahead(self.unknown_due, now));
        if is_asked {
            self.unknown_due = later(now, schedule::UNKNOWN_KEY_EVERY);
            self.due = now;
        }
        is_asked
    }

    /// Takes the key ids that the ring does not know; what an ordinary refresh leaves of them is none.
    pub(super) fn take_strangers(&mut self) -> VecDeque<[u8; 2]> {
        std::mem::take(&mut self.strangers)
    }

    /// Keeps those of these key ids that the ring does not know, the last of them if there are many.
    pub(super) fn keep_strangers(&mut self, mut strangers: VecDeque<[u8; 2]>) {
        strangers.retain(|kid| self.ring.as_ref().is_none_or(|ring| ring.with_kid(*kid).next().is_none()));
        while strangers.len() > STRANGERS {
            strangers.pop_front();
        }
        self.strangers = strangers;
    }

    /// An attempt begins. It counts as failed, but for [`is_certain`](Self::is_certain), until it has not: a request that is
    /// cancelled in the middle must not call forth the next.
    pub(super) fn begin(&mut self, now: SystemTime, chance: f64) {
        (self.due, self.attempt) = (later(now, schedule::retry_after(self.reserve(now), chance)), Attempt::Begun);
    }

    /// A ring came that was asked for at this time.
    pub(super) fn keep(&mut self, ring: Keyring, asked: SystemTime, chance: f64) {
        (self.ring, self.fetched, self.behind) = (Some(ring), asked, None);
        (self.due, self.attempt) = (later(asked, schedule::refresh_after(chance)), Attempt::Heard);
        self.strangers.clear();
    }

    /// The attempt came to nothing.
    pub(super) fn fail(&mut self, now: SystemTime, chance: f64) {
        if now < self.fetched {
            self.behind = Some(self.behind.map_or(now, |behind| behind.min(now)));
        }
        (self.due, self.attempt) = (later(now, schedule::retry_after(self.reserve(now), chance)), Attempt::Failed);
    }

    /// How old the ring is. A clock that was ahead when it came must not make it good for longer than a day from the first failure
    /// by the right one; a clock that is behind for one request must not make it old.
    fn age(&self, now: SystemTime) -> Duration {
        let since = |then: SystemTime| now.duration_since(then).ok();
        since(self.fetched).or_else(|| self.behind.and_then(since)).unwrap_or(Duration::ZERO)
    }
}

/// A clock that went back by more than any interval of ours must not stop refreshing until it has caught up.
fn is_far_ahead(due: SystemTime, now: SystemTime) -> bool {
    due.duration_since(now).is_ok_and(|ahead| ahead > schedule::FAR_AHEAD)
}

pub(super) fn later(now: SystemTime, by: Duration) -> SystemTime {
    now.checked_add(by).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::Secret;

    const KID: [u8; 2] = [0xff, 0xff];

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_369_800 + seconds)
    }

    /// A ring of second 0.
    fn fetched() -> State {
        let mut state = State::new();
        let secret = Secret::from_bytes((0..32).collect()).unwrap();
        state.keep(Keyring::new([secret]).unwrap(), at(0), 0.5);
        state
    }

    /// SS8: an unknown key is nobody's only while the ring is as new as a ring must be.
    #[test]
    fn a_ring_is_certain_while_it_is_new_and_its_source_answers() {
        assert!(!State::new().is_certain(at(0)), "there is none");
        let begun = |mut state: State, seconds| {
            state.begin(at(seconds), 0.5);
            state
        };
        let failed = |mut state: State, seconds| {
            state.fail(at(seconds), 0.5);
            state
        };
        for (name, state, seconds, expected) in [
            ("just fetched", fetched(), 0, true),
            ("six minutes and a minute of skew", fetched(), 420, true),
            ("older: frozen, and another request fetches", fetched(), 421, false),
            ("being fetched", begun(fetched(), 300), 300, true),
            ("a question that was given up", begun(fetched(), 300), 421, false),
            ("a failed refresh", failed(fetched(), 300), 300, false),
            ("a failed question for an unknown key", failed(fetched(), 10), 10, false),
        ] {
            assert_eq!(state.is_certain(at(seconds)), expected, "{name}");
        }
    }

    /// F15: a clock that is wrong for one request makes a ring of a minute no day old, and one of a day no minute.
    #[test]
    fn a_ring_is_as_old_as_the_right_clock_says() {
        let mut state = fetched();
        state.fail(SystemTime::UNIX_EPOCH, 0.5);
        assert!(state.good(at(60)).is_some(), "it was 1970 for one request");
        assert!(state.good(SystemTime::UNIX_EPOCH + schedule::LAST_GOOD_FOR).is_none(), "it stayed 1970 for a day");
        assert!(state.good(at(86_400)).is_none());
    }

    /// SS8: who asks for a ring by an unknown key id, and how often.
    #[test]
    fn an_unknown_key_id_asks_twice_at_most() {
        let mut state = fetched();
        assert!(!state.is_asked_by(KID, at(0)), "just fetched");
        assert!(state.is_asked_by(KID, at(10)) && state.is_due(at(10)));
        assert!(!state.is_asked_by([1, 2], at(69)), "once a minute, whatever the id");
        state.keep_strangers([KID].into());
        assert!(state.is_asked_by(KID, at(70)), "once more");
        state.keep_strangers([KID, KID].into());
        assert!(!state.is_asked_by(KID, at(130)), "it is known to be nobody's");
        assert!(state.is_asked_by([1, 2], at(130)));
        state.begin(at(130), 0.5);
        assert!(!state.is_asked_by([3, 4], at(200)), "not while, or after, a question was given up");
        state.fail(at(200), 0.5);
        assert!(!state.is_asked_by([3, 4], at(300)), "nor while the source fails");
        let kids = (0..100).map(|kid| [kid, 1]).collect();
        state.keep_strangers(kids);
        assert_eq!(state.take_strangers().len(), STRANGERS);
    }
}
