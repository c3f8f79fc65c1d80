//! Where requests wait while the function is built, so that nobody sees the old one after a save.

use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time;

use crate::serve::watch::plan::Plan;

/// A gate before the function.
#[derive(Debug)]
pub(in crate::serve) struct Gate {
    state: watch::Sender<State>,
    /// A request wants a look at the sources.
    wanted: Notify,
}

#[derive(Clone, Copy, Debug)]
struct State {
    is_open: bool,
    has_failed: bool,
    /// Whether there is anybody to look: then a request waits for a look of its own.
    is_watched: bool,
    /// Looks at the sources that have begun, and how many of them are over.
    begun: u64,
    done: u64,
}

impl Gate {
    /// The gate before a function that `plan` builds.
    pub(in crate::serve) fn before(plan: Option<&Plan>) -> Self {
        match plan {
            None => Self::new(true, false),
            // The function that is there may be an old one.
            Some(plan) => Self::new(plan.builds_nothing(), true),
        }
    }

    fn new(is_open: bool, is_watched: bool) -> Self {
        let state = State { is_open, has_failed: false, is_watched, begun: 0, done: 0 };
        Self { state: watch::Sender::new(state), wanted: Notify::new() }
    }

    /// Waits until it is open, and where the sources are watched, until somebody has looked at them since. Not for ever: then the
    /// old function answers.
    pub(in crate::serve) async fn pass(&self) {
        let State { is_open, is_watched, begun, .. } = *self.state.borrow();
        if is_open && !is_watched {
            return;
        }
        let due = if is_watched { begun.saturating_add(1) } else { 0 };
        self.wanted.notify_one();
        let mut state = self.state.subscribe();
        let _ = time::timeout(PATIENCE, state.wait_for(|state| state.is_open && state.done >= due)).await;
    }

    /// What a person should know of the function that answers.
    pub(in crate::serve) fn news(&self) -> Option<&'static str> {
        match *self.state.borrow() {
            State { is_open: false, .. } => Some("The function is being built; requests wait for it."),
            State { has_failed: true, .. } => {
                Some("The last build failed, the function before it answers. The terminal says why.")
            }
            State { .. } => None,
        }
    }

    /// Waits until a request wants a look, and no longer than `pause`.
    pub(super) async fn rest(&self, pause: Duration) {
        let _ = time::timeout(pause, self.wanted.notified()).await;
    }

    /// A look begins.
    pub(super) fn begin(&self) {
        self.state.send_modify(|state| state.begun = state.begun.saturating_add(1));
    }

    /// The look that began last is over; whether the gate stays open.
    pub(super) fn looked(&self, is_open: bool) {
        self.state.send_modify(|state| (state.is_open, state.done) = (is_open, state.begun));
    }

    pub(super) fn open(&self) {
        self.state.send_modify(|state| state.is_open = true);
    }

    pub(super) fn fail(&self) {
        self.state.send_modify(|state| state.has_failed = true);
    }

    pub(super) fn succeed(&self) {
        self.state.send_modify(|state| state.has_failed = false);
    }
}

/// A browser gives up after five minutes; a build of two is no development loop any more.
const PATIENCE: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_request_waits_for_a_build_and_not_for_ever() {
        let (gate, began) = (Gate::new(true, false), Instant::now());
        gate.pass().await;
        assert_eq!(began.elapsed(), Duration::ZERO, "nothing to wait for");
        gate.looked(false);
        let build = async {
            time::sleep(Duration::from_secs(7)).await;
            gate.open();
        };
        tokio::join!(gate.pass(), build);
        assert_eq!(began.elapsed(), Duration::from_secs(7));
        gate.looked(false);
        gate.pass().await;
        assert_eq!(began.elapsed(), Duration::from_secs(7) + PATIENCE);
    }

    /// Who saves and reloads at once must not meet the old function because nobody has looked yet.
    #[tokio::test(start_paused = true)]
    async fn a_request_waits_for_a_look_that_began_after_it() {
        let (gate, began) = (Gate::new(true, true), Instant::now());
        gate.begin();
        let watcher = async {
            time::sleep(Duration::from_millis(3)).await;
            gate.looked(true);
            gate.rest(Duration::from_secs(60)).await;
            gate.begin();
            time::sleep(Duration::from_millis(4)).await;
            gate.looked(false);
            time::sleep(Duration::from_millis(5)).await;
            gate.open();
        };
        tokio::join!(gate.pass(), watcher);
        assert_eq!(began.elapsed(), Duration::from_millis(12), "the look under way, its own, and the build");
    }

    #[test]
    fn the_news_are_those_of_the_last_build() {
        let gate = Gate::new(false, false);
        assert!(gate.news().unwrap().contains("being built"));
        gate.fail();
        gate.open();
        assert!(gate.news().unwrap().contains("failed"));
        gate.succeed();
        assert_eq!(gate.news(), None);
    }
}
