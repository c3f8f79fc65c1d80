//! When a node is left alone: pure policy, told the time.

use std::time::Duration;

use super::clock::Moment;

/// How many connections in a row a node may refuse.
const REFUSALS: u8 = 2;
/// How long a node that is down waits for a probe by its own keys before one for a new key is tried on it.
const NEW_KEYS_AFTER: u32 = 5;

/// Opens after one time-out or two refusals, and then lets one probe through per interval.
#[derive(Debug)]
pub(crate) struct Breaker {
    interval: Duration,
    state: State,
}

#[derive(Debug)]
enum State {
    Closed { refusals: u8 },
    Open { since: Moment, wait: Duration, probing: bool },
}

/// What a breaker says to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Go.
    Through,
    /// Go, and say how it went: everybody else waits for it.
    Probe,
    /// The node is down.
    Refused,
}

/// What a node did to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blow {
    /// It gave no answer in time.
    TimedOut,
    /// It gave no connection, or broke it.
    Refused,
}

impl Breaker {
    /// A closed breaker that probes at this interval, give or take a quarter.
    pub(crate) fn new(interval: Duration) -> Self {
        Self { interval, state: State::Closed { refusals: 0 } }
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    pub(crate) fn admit(&mut self, now: Moment) -> Admission {
        match &mut self.state {
            State::Closed { .. } => Admission::Through,
            State::Open { since, wait, probing } if !*probing && now.since(*since) >= *wait => {
                *probing = true;
                Admission::Probe
            }
            State::Open { .. } => Admission::Refused,
        }
    }

    /// Whether a new key may be given to the node: it answers, or nobody has tried it for a while.
    pub(crate) fn takes_new_keys(&self, now: Moment) -> bool {
        match &self.state {
            State::Closed { .. } => true,
            State::Open { since, wait, probing } => {
                !*probing && now.since(*since) >= self.interval.saturating_mul(NEW_KEYS_AFTER).saturating_add(*wait)
            }
        }
    }

    /// The node answered. Whether that closed the breaker.
    pub(crate) fn succeeded(&mut self) -> bool {
        let was_open = self.is_open();
        self.state = State::Closed { refusals: 0 };
        was_open
    }

    /// The node did not answer. Whether that opened the breaker.
    pub(crate) fn failed(&mut self, admission: Admission, blow: Blow, now: Moment, random: u64) -> bool {
        match &mut self.state {
            State::Closed { refusals } => {
                *refusals = refusals.saturating_add(1);
                if blow == Blow::Refused && *refusals < REFUSALS {
                    return false;
                }
                self.state = State::Open { since: now, wait: jittered(self.interval, random), probing: false };
                true
            }
            State::Open { since, wait, probing } => {
                // What began before the breaker opened says nothing new.
                if admission == Admission::Probe {
                    (*since, *wait, *probing) = (now, jittered(self.interval, random), false);
                }
                false
            }
        }
    }

    /// The probe was given up before the node could answer: the next operation is one.
    pub(crate) fn gave_up(&mut self) {
        if let State::Open { probing, .. } = &mut self.state {
            *probing = false;
        }
    }
}

/// Three to five quarters of the interval.
fn jittered(interval: Duration, random: u64) -> Duration {
    let quarters = f64::from(u32::try_from(random % 1025).unwrap_or(0)) / 512.0;
    interval.mul_f64(0.75 + quarters / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(start: Moment, millis: u64) -> Moment {
        let passed = Duration::from_millis(millis);
        Moment { monotonic: start.monotonic + passed, wall: start.wall + passed }
    }

    fn open(start: Moment) -> Breaker {
        let mut breaker = Breaker::new(SECOND);
        assert!(breaker.failed(Admission::Through, Blow::TimedOut, start, 512));
        breaker
    }

    #[test]
    fn one_time_out_or_two_refusals_open_it() {
        let now = Moment::now();
        for (name, blows, opens) in [
            ("one time-out", vec![Blow::TimedOut], true),
            ("one refusal", vec![Blow::Refused], false),
            ("two refusals", vec![Blow::Refused, Blow::Refused], true),
            ("a refusal and a time-out", vec![Blow::Refused, Blow::TimedOut], true),
        ] {
            let mut breaker = Breaker::new(SECOND);
            for blow in blows {
                breaker.failed(Admission::Through, blow, now, 0);
            }
            assert_eq!(breaker.is_open(), opens, "{name}");
        }
        let mut breaker = Breaker::new(SECOND);
        breaker.failed(Admission::Through, Blow::Refused, now, 0);
        breaker.succeeded();
        breaker.failed(Admission::Through, Blow::Refused, now, 0);
        assert!(!breaker.is_open(), "an answer in between");
    }

    #[test]
    fn an_open_one_lets_one_probe_a_second_through() {
        let start = Moment::now();
        let mut breaker = open(start);
        let through: Vec<_> = (0..5000)
            .step_by(10)
            .filter(|&millis| {
                let now = at(start, millis);
                let admission = breaker.admit(now);
                if admission == Admission::Probe {
                    assert_eq!(breaker.admit(now), Admission::Refused, "a second one beside it");
                    breaker.failed(admission, Blow::TimedOut, now, 512);
                }
                admission == Admission::Probe
            })
            .collect();
        assert_eq!(through, [1000, 2000, 3000, 4000]);
    }

    #[test]
    fn a_probe_that_succeeds_closes_it_and_one_given_up_is_repeated() {
        let start = Moment::now();
        let mut breaker = open(start);
        assert_eq!(breaker.admit(at(start, 1000)), Admission::Probe);
        breaker.gave_up();
        assert_eq!(breaker.admit(at(start, 1001)), Admission::Probe);
        assert!(breaker.succeeded());
        assert_eq!(breaker.admit(at(start, 1002)), Admission::Through);
    }

    #[test]
    fn probes_are_jittered_within_a_quarter() {
        assert_eq!(jittered(SECOND, 0), Duration::from_millis(750));
        assert_eq!(jittered(SECOND, 512), SECOND);
        assert_eq!(jittered(SECOND, 1024), Duration::from_millis(1250));
    }

    #[test]
    fn new_keys_avoid_a_node_that_is_down_until_nobody_tries_it() {
        let start = Moment::now();
        let breaker = open(start);
        assert!(!breaker.takes_new_keys(at(start, 2000)));
        assert!(breaker.takes_new_keys(at(start, 6001)));
        assert!(Breaker::new(SECOND).takes_new_keys(start));
    }

    /// Frozen for an hour: the monotonic clock stood still, the wall clock did not.
    #[test]
    fn a_thaw_is_time_enough_for_a_probe() {
        let start = Moment::now();
        let mut breaker = open(start);
        let thawed = Moment { monotonic: start.monotonic, wall: start.wall + 3600 * SECOND };
        assert_eq!(breaker.admit(thawed), Admission::Probe);
    }
}
