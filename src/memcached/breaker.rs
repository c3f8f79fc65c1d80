//! When a node is left alone: pure policy, told the time.

use std::time::Duration;

use super::clock::Moment;

/// How long a node that is down waits for a probe by its own keys before one for a new key is tried on it.
const NEW_KEYS_AFTER: u32 = 5;

/// What a node is allowed, and how often it is tried when it is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// So many time-outs without an answer in between, and it is down.
    pub(crate) time_outs: u32,
    /// So many refusals.
    pub(crate) refusals: u32,
    pub(crate) probe: Duration,
}

/// Opens after so many time-outs or refusals, and then lets one probe through per interval.
#[derive(Debug)]
pub(crate) struct Breaker {
    limits: Limits,
    state: State,
}

#[derive(Debug)]
enum State {
    Closed { time_outs: u32, refusals: u32 },
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
    /// A closed breaker that probes at the interval of these limits, give or take a quarter.
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, state: State::Closed { time_outs: 0, refusals: 0 } }
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
                !*probing && now.since(*since) >= self.limits.probe.saturating_mul(NEW_KEYS_AFTER).saturating_add(*wait)
            }
        }
    }

    /// The node answered. Whether that closed the breaker.
    pub(crate) fn succeeded(&mut self) -> bool {
        let was_open = self.is_open();
        self.state = State::Closed { time_outs: 0, refusals: 0 };
        was_open
    }

    /// The node did not answer. Whether that opened the breaker.
    pub(crate) fn failed(&mut self, admission: Admission, blow: Blow, now: Moment, random: u64) -> bool {
        match &mut self.state {
            State::Closed { time_outs, refusals } => {
                let (blows, limit) = match blow {
                    Blow::TimedOut => (time_outs, self.limits.time_outs),
                    Blow::Refused => (refusals, self.limits.refusals),
                };
                *blows = blows.saturating_add(1);
                if *blows < limit {
                    return false;
                }
                self.state = State::Open { since: now, wait: jittered(self.limits.probe, random), probing: false };
                true
            }
            State::Open { since, wait, probing } => {
                // What began before the breaker opened says nothing new.
                if admission == Admission::Probe {
                    (*since, *wait, *probing) = (now, jittered(self.limits.probe, random), false);
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
    const DEFAULT: Limits = Limits { time_outs: 1, refusals: 2, probe: SECOND };

    fn at(start: Moment, millis: u64) -> Moment {
        let passed = Duration::from_millis(millis);
        Moment { monotonic: start.monotonic + passed, wall: start.wall + passed }
    }

    fn open(start: Moment) -> Breaker {
        let mut breaker = Breaker::new(DEFAULT);
        assert!(breaker.failed(Admission::Through, Blow::TimedOut, start, 512));
        breaker
    }

    #[test]
    fn so_many_time_outs_or_refusals_open_it() {
        use Blow::{Refused, TimedOut};
        let now = Moment::now();
        let patient = Limits { time_outs: 3, refusals: 1, ..DEFAULT };
        for (name, limits, blows, opens) in [
            ("one time-out", DEFAULT, vec![TimedOut], true),
            ("one refusal", DEFAULT, vec![Refused], false),
            ("two refusals", DEFAULT, vec![Refused, Refused], true),
            ("a refusal and a time-out", DEFAULT, vec![Refused, TimedOut], true),
            ("two time-outs of three", patient, vec![TimedOut, TimedOut], false),
            ("three time-outs", patient, vec![TimedOut, TimedOut, TimedOut], true),
            ("the only refusal", patient, vec![TimedOut, Refused], true),
        ] {
            let mut breaker = Breaker::new(limits);
            for blow in blows {
                breaker.failed(Admission::Through, blow, now, 0);
            }
            assert_eq!(breaker.is_open(), opens, "{name}");
        }
        let mut breaker = Breaker::new(DEFAULT);
        breaker.failed(Admission::Through, Blow::Refused, now, 0);
        breaker.succeeded();
        breaker.failed(Admission::Through, Blow::Refused, now, 0);
        assert!(!breaker.is_open(), "an answer in between");
        let mut breaker = Breaker::new(patient);
        breaker.failed(Admission::Through, Blow::TimedOut, now, 0);
        breaker.failed(Admission::Through, Blow::TimedOut, now, 0);
        breaker.succeeded();
        breaker.failed(Admission::Through, Blow::TimedOut, now, 0);
        assert!(!breaker.is_open(), "an answer after two time-outs of three");
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
        assert!(Breaker::new(DEFAULT).takes_new_keys(start));
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
