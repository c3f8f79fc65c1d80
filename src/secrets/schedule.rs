//! When a source of secrets is asked, and how long it is waited for: pure, so that a day or a thousand environments can be
//! played in no time.

use std::time::Duration;

/// How long one attempt may take (security.md, SS4).
pub const ATTEMPT: Duration = Duration::from_secs(2);
/// What a start has for all attempts and pauses (security.md, SS4): Lambda gives an environment 10 s to start.
pub const BUDGET: Duration = Duration::from_secs(8);
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
///
/// ```
/// use lambda_session::secrets::schedule;
/// use std::time::Duration;
///
/// assert_eq!(schedule::pause(1, Duration::ZERO, 1.0), Some(Duration::from_millis(100)));
/// assert_eq!(schedule::pause(3, Duration::from_secs(1), 0.5), Some(Duration::from_millis(200)));
/// assert_eq!(schedule::pause(9, schedule::BUDGET, 0.5), None);
/// ```
pub fn pause(failed: u32, passed: Duration, chance: f64) -> Option<Duration> {
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
