//! What a layer counts, for CloudWatch: one line of the embedded metric format for each request that asked for its
//! session, none for one that did not.
//!
//! | metric | unit | what it counts |
//! | --- | --- | --- |
//! | `Restored` | Count | requests that had a session: 1 or, where one was asked for and there was none, 0 |
//! | `Created`, `Renewed`, `Destroyed` | Count | sessions that began, got a new id, were logged out |
//! | `Refused` | Count | cookies that stood for nothing, also by [`Reason`](REASONS) |
//! | `Resealed` | Count | sessions sealed anew that an old key had sealed, also by `KeyId`, the old key's |
//! | `Unavailable` | Count | requests whose session store or secrets gave no answer |
//! | `Conflicts` | Count | writes that met another request's |
//! | `CookieBytes` | Bytes | name and value of each session cookie set |
//! | `StoreRoundTrips` | Count | commands sent to cache nodes; of a store of your own, calls that waited |
//! | `StoreTime` | Milliseconds | what all the store's calls of a request took, where one waited |
//! | `StoreTimeouts`, `StoreRetries`, `StoreHedges`, `StoreDiscarded` | Count | exchanges without an answer in time, sent again, also sent on a second connection; connections closed rather than kept |
//! | `BreakerOpen` | Count | cache nodes that were found to be down |
//! | `SecretsFetched`, `SecretsFailed` | Count | refreshes of the secrets within requests |
//!
//! The namespace is `lambda-session`, the dimension `FunctionName`. A line has the request's id as `RequestId` and, as
//! `Session`, eight hex digits of a hash of its token: the same as in the log. No key, token, id or value.

mod emf;
mod tally;

use std::{fmt, io::Write, sync::Arc, time::SystemTime};

use crate::lifetime::Age;
use crate::seal::Refusal;

#[cfg(feature = "memcached")]
pub use self::tally::StoreEvents;
pub(crate) use self::tally::{Count, Tallied, Tally, count, opened_by_old_key, refuse};

/// Where a layer's counts go: turn them on with `SESSION_METRICS=emf`, or give a layer one of these.
///
/// ```
/// use lambda_session::{SessionLayer, metrics::Metrics, store::MemoryStore};
///
/// let sessions = <SessionLayer>::new(MemoryStore::new()?).metrics(Metrics::emf());
/// # Ok::<(), lambda_session::Error>(())
/// ```
#[derive(Clone)]
pub struct Metrics(Arc<Sink>);

struct Sink {
    /// The value of the dimension `FunctionName`, as JSON.
    function: String,
    write: Box<dyn Fn(&str) + Send + Sync>,
}

/// The names of all metrics.
pub const NAMES: [&str; 18] = [
    "Restored",
    "Created",
    "Renewed",
    "Destroyed",
    "Refused",
    "Resealed",
    "Unavailable",
    "Conflicts",
    "CookieBytes",
    "StoreRoundTrips",
    "StoreTime",
    "StoreTimeouts",
    "StoreRetries",
    "StoreHedges",
    "StoreDiscarded",
    "BreakerOpen",
    "SecretsFetched",
    "SecretsFailed",
];

/// What the dimension `Reason` of `Refused` can be.
///
/// | reason | the cookie |
/// | --- | --- |
/// | `malformed` | is no token |
/// | `unknown-key` | names a key that is not, or no longer, in the ring |
/// | `forged` | was not sealed so by the key it names: changed, or made for another cookie name or scope |
/// | `idle`, `absolute` | is of a session that ended by its lifetime |
/// | `future` | is of a session that has not begun: clocks differ |
/// | `gone` | names a session that the store does not have: logged out, evicted, or renewed some time ago |
/// | `retired` | names a session that was renewed within the last 10 s |
/// | `ambiguous` | came with another one that is live too |
pub const REASONS: [&str; 9] =
    ["malformed", "unknown-key", "forged", "idle", "absolute", "future", "gone", "retired", "ambiguous"];

impl Metrics {
    /// Lines of CloudWatch's embedded metric format on standard output, which Lambda hands to CloudWatch Logs.
    ///
    /// The dimension `FunctionName` is `AWS_LAMBDA_FUNCTION_NAME`, or `local`. Costs one write a request that asked for
    /// its session.
    pub fn emf() -> Self {
        Self::of(std::env::var("AWS_LAMBDA_FUNCTION_NAME").ok().as_deref())
    }

    /// The same for the function of this name.
    pub(crate) fn of(function_name: Option<&str>) -> Self {
        Self::emf_to(function_name.unwrap_or("local"), |lines| {
            // A log that cannot be written is no reason to fail a request.
            let _ = std::io::stdout().lock().write_all(lines.as_bytes());
        })
    }

    /// The same lines for another function name, handed to `write`: one or more at a time, each with its line end.
    ///
    /// ```
    /// use lambda_session::metrics::Metrics;
    ///
    /// let metrics = Metrics::emf_to("shop", |lines| eprint!("{lines}"));
    /// ```
    pub fn emf_to(function_name: &str, write: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Sink { function: emf::quoted(function_name), write: Box::new(write) }))
    }

    /// Writes what one request came to.
    pub(crate) fn write(&self, tally: &Tally, at: SystemTime) {
        let counts = tally.counts();
        if counts.is_any() {
            (self.0.write)(&emf::lines(&self.0.function, at, &counts));
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Metrics({})", self.0.function)
    }
}

/// Why a cookie stood for nothing: the place of its name in [`REASONS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Malformed,
    UnknownKey,
    Forged,
    Idle,
    Absolute,
    Future,
    Gone,
    Retired,
    Ambiguous,
}

impl From<Refusal> for Reason {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Encoding | Refusal::Length | Refusal::Format | Refusal::Frame => Self::Malformed,
            Refusal::UnknownKey(_) => Self::UnknownKey,
            Refusal::Seal => Self::Forged,
        }
    }
}

impl Reason {
    /// Why a session of this age is over, if it is.
    pub(crate) fn of(age: Age) -> Option<Self> {
        match age {
            Age::Young | Age::Ageing => None,
            Age::Idle => Some(Self::Idle),
            Age::Old => Some(Self::Absolute),
            Age::Future => Some(Self::Future),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_and_every_count_has_its_name() {
        assert_eq!(REASONS[Reason::Malformed as usize], "malformed");
        assert_eq!(REASONS[Reason::Absolute as usize], "absolute");
        assert_eq!(REASONS.len(), Reason::Ambiguous as usize + 1);
        let counted = Count::ALL.iter().map(|count| count.name());
        let apart = ["Refused", "Resealed", "CookieBytes", "StoreTime", "StoreRoundTrips"];
        let mut all: Vec<&str> = counted.chain(apart).collect();
        all.sort_unstable();
        all.dedup();
        let mut names = NAMES;
        names.sort_unstable();
        assert_eq!(all, names);
    }
}
