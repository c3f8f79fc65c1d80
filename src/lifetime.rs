//! How long a session lives: an idle end and an absolute end, both always finite.

use std::time::{Duration, SystemTime};

use crate::Error;
use crate::record::{Record, seconds};

/// How far ahead of our clock another environment's may be (iron-session allows the same 60 s).
const SKEW_SECONDS: u32 = 60;
/// The longest lifetime: what browsers cap Max-Age at, 400 days (RFC 6265bis, section 5.5).
pub(crate) const LONGEST: Duration = Duration::from_secs(34_560_000);
/// Idle time after which a session ends (ASVS 7.3.1; NIST 800-63B, AAL2: 30 min).
const IDLE_SECONDS: u32 = 30 * 60;
/// Age at which a session ends, however busy (ASVS 7.3.2; NIST 800-63B, AAL2: 12 h).
const ABSOLUTE_SECONDS: u32 = 12 * 60 * 60;

/// The two ends of a session: after so long without a request (30 min), and after so long in all (12 h).
///
/// There is no "never": a session that a thief copied must end by itself. What one `Lifetime` judges, it judges by
/// the times that are sealed inside the token, never by what the browser says.
///
/// ```
/// use lambda_session::Lifetime;
/// use std::time::Duration;
///
/// let lifetime = Lifetime::new(Duration::from_secs(3600), Duration::from_secs(30 * 86_400))?;
/// assert_eq!(lifetime.idle(), Duration::from_secs(3600));
/// assert_eq!(Lifetime::default().absolute(), Duration::from_secs(12 * 3600));
/// # Ok::<(), lambda_session::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    idle_seconds: u32,
    absolute_seconds: u32,
}

/// Where in its lifetime a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// Live, and written lately.
    Young,
    /// Live, but past a tenth of its idle time: worth writing again.
    Ageing,
    /// Its times lie ahead of the clock, or contradict each other.
    Future,
    /// Unused for the idle lifetime or longer.
    Idle,
    /// Older than the absolute lifetime.
    Old,
}

impl Lifetime {
    /// A lifetime with these two ends, each from 1 s to 400 days; fractions of a second are cut off.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) outside these bounds.
    pub fn new(idle: Duration, absolute: Duration) -> Result<Self, Error> {
        Ok(Self { idle_seconds: bounded("idle", idle)?, absolute_seconds: bounded("absolute", absolute)? })
    }

    /// How long a session lives without a request.
    pub fn idle(&self) -> Duration {
        Duration::from_secs(self.idle_seconds.into())
    }

    /// How long a session lives in all.
    pub fn absolute(&self) -> Duration {
        Duration::from_secs(self.absolute_seconds.into())
    }

    /// What is left of this record: the nearer of its two ends; zero when it is over.
    ///
    /// A store that can forget by itself keeps a record this long and a minute more.
    pub fn left(&self, record: &Record, now: SystemTime) -> Duration {
        self.idle_left(record, now).min(self.absolute_left(record, now))
    }

    /// What is left until the idle end.
    pub fn idle_left(&self, record: &Record, now: SystemTime) -> Duration {
        left(self.idle_seconds, record.issued_seconds(), now)
    }

    /// What is left until the absolute end.
    pub fn absolute_left(&self, record: &Record, now: SystemTime) -> Duration {
        left(self.absolute_seconds, record.created_seconds(), now)
    }

    pub(crate) fn age(&self, record: &Record, now: SystemTime) -> Age {
        let (created, issued) = (record.created_seconds(), record.issued_seconds());
        let now = seconds(now);
        if now == u32::MAX {
            // Past what a frame can tell apart: end early rather than live on.
            return Age::Old;
        }
        let horizon = now.saturating_add(SKEW_SECONDS);
        if created > horizon || issued > horizon || created > issued {
            return Age::Future;
        }
        let (age, unused) = (now.saturating_sub(created), now.saturating_sub(issued));
        match () {
            () if age >= self.absolute_seconds => Age::Old,
            () if unused >= self.idle_seconds => Age::Idle,
            () if unused > self.idle_seconds / 10 => Age::Ageing,
            () => Age::Young,
        }
    }
}

/// 30 minutes idle, 12 hours in all.
impl Default for Lifetime {
    fn default() -> Self {
        Self { idle_seconds: IDLE_SECONDS, absolute_seconds: ABSOLUTE_SECONDS }
    }
}

fn bounded(end: &str, length: Duration) -> Result<u32, Error> {
    let seconds = length.as_secs();
    let longest = LONGEST.as_secs();
    match u32::try_from(seconds) {
        Ok(0) => Err(Error::config(format!("an {end} lifetime of {seconds} s is too short: give 1 s or more"))),
        Ok(bounded) if seconds <= longest => Ok(bounded),
        _ => Err(Error::config(format!(
            "an {end} lifetime of {seconds} s is too long: give 400 days ({longest} s) or less"
        ))),
    }
}

fn left(lifetime: u32, from: u32, now: SystemTime) -> Duration {
    let spent = seconds(now).saturating_sub(from);
    Duration::from_secs(lifetime.saturating_sub(spent).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// CC8, SL1: both ends are judged exactly; the skew only forgives times ahead of us.
    #[test]
    fn both_ends_are_judged_to_the_second() {
        let lifetime = Lifetime::new(Duration::from_secs(1000), Duration::from_secs(5000)).unwrap();
        let start = 100_000;
        let record = |issued: u64| {
            Record::new(b"{}".to_vec(), at(start)).unwrap().next(b"{}".to_vec(), at(start + issued)).unwrap()
        };
        for (name, issued, now, age) in [
            ("just issued", 0, 0, Age::Young),
            ("a tenth of idle", 0, 100, Age::Young),
            ("past a tenth of idle", 0, 101, Age::Ageing),
            ("the last second of idle", 0, 999, Age::Ageing),
            ("idle", 0, 1000, Age::Idle),
            ("the last second of all", 4900, 4999, Age::Young),
            ("old", 4900, 5000, Age::Old),
        ] {
            assert_eq!(lifetime.age(&record(issued), at(start + now)), age, "{name}");
        }
        assert_eq!(lifetime.age(&record(0), at(start - 60)), Age::Young, "60 s ahead is skew");
        assert_eq!(lifetime.age(&record(0), at(start - 61)), Age::Future, "61 s ahead is not");
    }

    /// CC8: a record that was issued before it was created is none of ours.
    #[test]
    fn contradicting_times_are_refused() {
        let mut frame = Record::new(b"{}".to_vec(), at(1000)).unwrap().to_frame();
        frame[8] -= 1;
        let record = Record::from_frame(&frame).unwrap();
        assert_eq!(Lifetime::default().age(&record, at(1000)), Age::Future);
    }

    /// F15: by a clock that is an hour off, in 1970 or in 2106 a session that was just made ends early. An older one lives
    /// longer by as much as a clock is behind.
    #[test]
    fn a_wrong_clock_ends_sessions_early() {
        let lifetime = Lifetime::default();
        let record = Record::new(b"{}".to_vec(), at(1_795_369_800)).unwrap();
        for (name, now, age) in [
            ("an hour behind", 1_795_366_200, Age::Future),
            ("an hour ahead", 1_795_373_400, Age::Idle),
            ("1970", 0, Age::Future),
            ("2106", u64::from(u32::MAX), Age::Old),
            ("2200", 7_258_118_400, Age::Old),
        ] {
            assert_eq!(lifetime.age(&record, at(now)), age, "{name}");
        }
        let made_in_2200 = Record::new(b"{}".to_vec(), at(7_258_118_400)).unwrap();
        assert_eq!(lifetime.age(&made_in_2200, at(7_258_118_400)), Age::Old);
    }

    /// SL1: there is no lifetime without an end.
    #[test]
    fn lifetimes_are_bounded() {
        let ok = Duration::from_secs(60);
        for (name, idle, good) in [
            ("zero", Duration::ZERO, false),
            ("half a second", Duration::from_millis(500), false),
            ("a second", Duration::from_secs(1), true),
            ("400 days", LONGEST, true),
            ("a second more", LONGEST + Duration::from_secs(1), false),
            ("for ever", Duration::MAX, false),
        ] {
            assert_eq!(Lifetime::new(idle, ok).is_ok(), good, "idle: {name}");
            assert_eq!(Lifetime::new(ok, idle).is_ok(), good, "absolute: {name}");
        }
    }

    #[test]
    fn what_is_left_is_the_nearer_end() {
        let lifetime = Lifetime::new(Duration::from_secs(100), Duration::from_secs(150)).unwrap();
        let record = Record::new(b"{}".to_vec(), at(1000)).unwrap().next(b"{}".to_vec(), at(1090)).unwrap();
        assert_eq!(lifetime.left(&record, at(1090)), Duration::from_secs(60));
        assert_eq!(lifetime.left(&record, at(2000)), Duration::ZERO);
    }
}
