//! When a source of secrets is asked, and how long it is waited for: pure, so that a day or a thousand environments can be
//! played in no time.

use std::time::Duration;

/// How long one attempt may take (security.md, SS4).
pub(crate) const ATTEMPT: Duration = Duration::from_secs(2);
/// What a start has for all attempts and pauses (security.md, SS4): Lambda gives an environment 10 s to start.
pub(crate) const BUDGET: Duration = Duration::from_secs(8);
/// The longest that the first pause can be; it doubles from one to the next (security.md, SS4).
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest that any pause can be (security.md, SS4).
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The least share of a turn's longest pause.
const LEAST_SHARE: f64 = 0.05;

/// How old a ring grows before it is fetched again (security.md, SS6).
const REFRESH_AFTER: Duration = Duration::from_secs(300);
/// How long nothing is fetched after a failure (security.md, SS6).
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// The same without any ring, at the least and at the most: each request is 503 until there is one, so half a minute is too
/// long; and spread widely, for environments that found SSM too busy together must not come back together.
const RETRY_WITHOUT_RING_AFTER: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));
/// How long the last good ring serves while its source fails (security.md, SS6; ASP.NET refreshes as rarely).
pub(crate) const LAST_GOOD_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// How long after its fetch a ring holds every key that anybody seals with: as old as it grows before it is fetched again (300 s and
/// a fifth), and a minute by which clocks may differ. A new key seals 13 minutes after it was written.
pub(crate) const CERTAIN_FOR: Duration = Duration::from_secs(420);
/// How seldom an unknown key id asks for a refresh (security.md, SS8).
pub(crate) const UNKNOWN_KEY_EVERY: Duration = Duration::from_secs(60);
/// How long a request waits for a refresh while the last good ring could serve it.
const WAIT_AT_MOST: Duration = Duration::from_millis(500);
/// Further ahead than this no due time ever lies: one that does was set before the clock went back.
pub(crate) const FAR_AHEAD: Duration = Duration::from_secs(600);

/// The pause before the next attempt, when `failed` attempts have failed in the time that has passed since the start;
/// `None` when the next attempt would come too late.
///
/// Full jitter: anything from nothing to the longest of that turn, by `chance` (0 to 1), so that environments that were
/// refused together do not come back together; but a twentieth at the least, so that a generator that gives zeros only makes
/// no storm. What is left of the budget bounds it too, less the tenth of a second that the last attempt has.
pub(crate) fn pause(failed: u32, passed: Duration, chance: f64) -> Option<Duration> {
    let left = BUDGET.checked_sub(passed)?.checked_sub(FIRST_PAUSE)?;
    if left < FIRST_PAUSE {
        return None;
    }
    let doublings = failed.saturating_sub(1).min(16);
    let longest = FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE).min(left);
    Some(longest.mul_f64(chance.clamp(LEAST_SHARE, 1.0)))
}

/// What there is to go on with while a source is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reserve {
    /// The last good ring.
    Ring,
    /// Nothing: a request that asks for a session is answered 503.
    None,
}

/// When a ring is fetched again: after five minutes, give or take a fifth, so that environments do not ask in step.
pub(crate) fn refresh_after(chance: f64) -> Duration {
    jittered(REFRESH_AFTER, chance)
}

/// How long nothing is fetched after a failure.
pub(crate) fn retry_after(reserve: Reserve, chance: f64) -> Duration {
    match reserve {
        Reserve::Ring => RETRY_AFTER,
        Reserve::None => {
            let (least, most) = RETRY_WITHOUT_RING_AFTER;
            least.saturating_add(most.saturating_sub(least).mul_f64(chance.clamp(0.0, 1.0)))
        }
    }
}

/// How long a request waits for the ring: without any, for one whole attempt, since a source that always takes longer than
/// half a second would never be heard.
pub(crate) fn wait_at_most(reserve: Reserve) -> Duration {
    match reserve {
        Reserve::Ring => WAIT_AT_MOST,
        Reserve::None => ATTEMPT,
    }
}

/// Give or take a fifth.
fn jittered(length: Duration, chance: f64) -> Duration {
    length.mul_f64(0.8 + 0.4 * chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    /// SS4: full jitter from 0.1 s, doubling to 2 s, inside 8 s in all.
    #[test]
    fn pauses_double_up_to_two_seconds_and_end_with_the_budget() {
        for (name, failed, passed, chance, expected) in [
            ("the first", 1, MS(0), 1.0, Some(MS(100))),
            ("anywhere below", 1, MS(0), 0.3, Some(MS(30))),
            ("not nothing", 1, MS(0), 0.0, Some(MS(5))),
            ("the third", 3, MS(1000), 0.5, Some(MS(200))),
            ("the fifth", 5, MS(1000), 1.0, Some(MS(1600))),
            ("two seconds at most", 6, MS(1000), 1.0, Some(MS(2000))),
            ("after very many", u32::MAX, MS(1000), 1.0, Some(MS(2000))),
            ("what is left, less the last attempt's time", 9, MS(7000), 1.0, Some(MS(900))),
            ("the last", 9, MS(7800), 1.0, Some(MS(100))),
            ("too late", 9, MS(7801), 0.0, None),
            ("over", 9, MS(9000), 0.0, None),
        ] {
            assert_eq!(pause(failed, passed, chance), expected, "{name}");
        }
    }

    /// SS6: when a ring is fetched again, by what there is meanwhile.
    #[test]
    fn a_ring_is_fetched_after_five_minutes_and_after_a_failure_sooner() {
        for (chance, refresh, without_ring) in [(0.0, 240, 1), (0.5, 300, 3), (1.0, 360, 5)] {
            assert_eq!(refresh_after(chance).as_secs_f64().round() as u64, refresh);
            assert_eq!(retry_after(Reserve::None, chance), Duration::from_secs(without_ring));
            assert_eq!(retry_after(Reserve::Ring, chance), Duration::from_secs(30));
        }
        assert_eq!((wait_at_most(Reserve::Ring), wait_at_most(Reserve::None)), (MS(500), MS(2000)));
    }
}
