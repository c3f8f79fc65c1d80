//! How often a start asks for secrets, and when it stops: pure, so that a thousand environments can be simulated.

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
