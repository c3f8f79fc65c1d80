//! Time, as policy sees it: a clock that tests can pass, and moments that survive a frozen environment.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

/// A moment on both of the system's clocks.
///
/// While a Lambda environment is frozen the monotonic clock may stand still, and the wall clock may be set back at any
/// time; the longer of both intervals is how much time may have passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// On the monotonic clock.
    pub monotonic: Instant,
    /// On the wall clock.
    pub wall: SystemTime,
}

impl Moment {
    /// This moment, on the system's clocks.
    pub fn now() -> Self {
        Self { monotonic: Instant::now(), wall: SystemTime::now() }
    }

    /// How much time may have passed since `earlier`.
    pub fn since(&self, earlier: Self) -> Duration {
        let wall = self.wall.duration_since(earlier.wall).unwrap_or_default();
        self.monotonic.saturating_duration_since(earlier.monotonic).max(wall)
    }

    /// Whether at most `time` may have passed since `earlier`: [`since`](Self::since) without working out how much it was,
    /// which every operation would pay for.
    pub(crate) fn is_within(&self, time: Duration, earlier: Self) -> bool {
        let is_within_wall = |end| self.wall <= end;
        earlier.monotonic.checked_add(time).is_none_or(|end| self.monotonic <= end)
            && (self.wall == earlier.wall || earlier.wall.checked_add(time).is_none_or(is_within_wall))
    }
}

/// Both of the system's clocks as the kernel's last tick left them, up to 10 ms ago: a fifth of what the exact times cost, and
/// every operation asks. No freeze that matters is shorter, and a limit that is counted from here ends too soon by so much.
#[cfg(target_os = "linux")]
fn tick() -> Moment {
    use std::{cell::Cell, sync::LazyLock};

    use nix::time::{ClockId, clock_gettime};

    /// The same moment on the monotonic clock, as the standard library tells it and as the kernel does.
    static BASE: LazyLock<(Instant, Duration)> = LazyLock::new(|| (Instant::now(), time(ClockId::CLOCK_MONOTONIC)));

    thread_local! {
        /// The last tick that was seen, by the monotonic clock; until the next one the wall clock stands still too.
        static LAST: Cell<Option<(Duration, Moment)>> = const { Cell::new(None) };
    }

    fn time(clock: ClockId) -> Duration {
        clock_gettime(clock).map(Duration::from).unwrap_or_default()
    }

    let monotonic = time(ClockId::CLOCK_MONOTONIC_COARSE);
    if let Some((_, moment)) = LAST.get().filter(|(last, _)| *last == monotonic) {
        return moment;
    }
    let ((instant, then), wall) = (*BASE, time(ClockId::CLOCK_REALTIME_COARSE));
    let moment = Moment {
        monotonic: instant.checked_add(monotonic.saturating_sub(then)).unwrap_or(instant),
        wall: SystemTime::UNIX_EPOCH.checked_add(wall).unwrap_or(SystemTime::UNIX_EPOCH),
    };
    LAST.set(Some((monotonic, moment)));
    moment
}

#[cfg(not(target_os = "linux"))]
fn tick() -> Moment {
    Moment::now()
}

/// When something began: for policy, and for limits of time, which are the system's whatever clock policy goes by.
#[derive(Clone, Copy)]
pub(crate) struct Start {
    pub(crate) moment: Moment,
    pub(crate) instant: Instant,
}

/// Where policy has the time from: the breaker, the age of connections and of the list of nodes.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    Other(Arc<dyn Fn() -> Moment + Send + Sync>),
}

impl Clock {
    /// The system's clocks.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock for tests.
    pub fn new(now: impl Fn() -> Moment + Send + Sync + 'static) -> Self {
        Self(Source::Other(Arc::new(now)))
    }

    pub(crate) fn now(&self) -> Moment {
        match &self.0 {
            Source::System => Moment::now(),
            Source::Other(now) => now(),
        }
    }

    /// The beginning of something, with one look at each of the system's clocks.
    pub(crate) fn start(&self) -> Start {
        match &self.0 {
            Source::System => {
                let moment = tick();
                Start { moment, instant: moment.monotonic }
            }
            Source::Other(now) => Start { moment: now(), instant: Instant::now() },
        }
    }

    /// How long something took that is over, by the clock that it began by: the exact one would add to each what its tick was old.
    pub(crate) fn took(&self, began: Start) -> Duration {
        self.start().instant.saturating_duration_since(began.instant)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// Random bits for jitter; without any there is none.
pub(crate) fn random_bits() -> u64 {
    getrandom::u64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 10 ms are a tick at 100 a second; the rest is a thread that has to wait for its turn.
    #[test]
    fn what_begins_is_dated_by_the_last_tick_and_never_later_than_now() {
        for _ in 0..200 {
            let start = Clock::system().start();
            let now = Moment::now();
            assert!(start.instant <= now.monotonic && start.moment.wall <= now.wall, "{:?}", start.moment);
            assert!(now.since(start.moment) < Duration::from_millis(500), "{:?}", now.since(start.moment));
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    #[test]
    fn the_longer_of_both_clocks_counts() {
        let start = Moment::now();
        let second = Duration::from_secs(1);
        let hour = Duration::from_secs(3600);
        for (name, monotonic, wall, passed) in [
            ("both went on", start.monotonic + second, start.wall + second, second),
            ("frozen: the monotonic clock stood still", start.monotonic, start.wall + hour, hour),
            ("the wall clock was set back", start.monotonic + second, start.wall - hour, second),
            ("nothing moved", start.monotonic, start.wall, Duration::ZERO),
        ] {
            let now = Moment { monotonic, wall };
            assert_eq!(now.since(start), passed, "{name}");
            for limit in [Duration::ZERO, second / 2, second, hour / 2, hour, Duration::MAX] {
                assert_eq!(now.is_within(limit, start), passed <= limit, "{name}: {limit:?}");
            }
        }
    }
}
