//! Log lines that a stranger could cause again and again: at most one a minute each, so that no one can flood a log.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use tracing::error;

use crate::{Error, ErrorKind};

const INTERVAL_SECONDS: u64 = 60;

/// One kind of log line; says when it is due again.
#[derive(Debug, Default)]
pub(crate) struct Notice {
    /// The second from which on the next one is due.
    due: AtomicU64,
}

/// The notices of one layer.
#[derive(Debug)]
pub(crate) struct Notices {
    pub(crate) misfit: Notice,
    pub(crate) ambiguous: Notice,
    pub(crate) large_cookie: Notice,
    pub(crate) errors: [Notice; ErrorKind::COUNT],
}

impl Notices {
    pub(crate) const fn new() -> Self {
        Self {
            misfit: Notice::new(),
            ambiguous: Notice::new(),
            large_cookie: Notice::new(),
            errors: [const { Notice::new() }; ErrorKind::COUNT],
        }
    }

    /// Says once a minute for each kind how an error was answered: an outage meets every request.
    pub(crate) fn log(&self, error: &Error, now: SystemTime) {
        if self.errors.get(error.kind().index()).is_none_or(|notice| notice.is_due(now)) {
            error!("answered {}: {error:?} (said once a minute)", error.status());
        }
    }
}

impl Notice {
    /// A notice that is due at once.
    pub(crate) const fn new() -> Self {
        Self { due: AtomicU64::new(0) }
    }

    /// [`is_due`](Self::is_due) by the system's clock, for what no request's time belongs to.
    pub(crate) fn is_due_now(&self) -> bool {
        self.is_due(SystemTime::now())
    }

    /// Whether a line may be written now; if so, none is due for the next minute.
    pub(crate) fn is_due(&self, now: SystemTime) -> bool {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        let due = self.due.load(Ordering::Relaxed);
        // A clock that went back must not silence the log until it has caught up.
        let is_due = now >= due || due > now.saturating_add(INTERVAL_SECONDS);
        is_due
            && self
                .due
                .compare_exchange(due, now.saturating_add(INTERVAL_SECONDS), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_due_once_a_minute_also_after_the_clock_went_back() {
        let notice = Notice::default();
        let due: Vec<bool> = [1000, 1001, 1059, 1060, 1061, 500, 501]
            .into_iter()
            .map(|seconds| notice.is_due(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)))
            .collect();
        assert_eq!(due, [true, false, false, true, false, true, false]);
    }
}
