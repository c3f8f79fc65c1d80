//! `--watch`: builds the function anew when its sources change, and puts the new one in the place of the old.

mod build;
mod cargo;
pub(super) mod gate;
mod plan;
mod tree;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time;

use crate::duration::spoken;
use crate::output::{Style, function_prefix, one_line, paint_error, tell};
use crate::serve::Setup;
use crate::serve::gateway::Gateway;
use crate::serve::watch::tree::{Change, Look};

pub(super) use self::plan::Plan;

/// Watches until it is dropped. The gate of `gateway` is closed while there is something to do.
pub(super) async fn watch(plan: Plan, setup: Setup, gateway: Arc<Gateway>) {
    let (mut seen, extras) = (plan.first.clone(), plan.extras());
    let mut watcher = Watcher { plan: Arc::new(plan), setup, gateway, extras, pause: SHORTEST_PAUSE };
    if watcher.plan.build.is_some() {
        seen = watcher.build("building", seen).await;
        watcher.gateway.gate.open();
    }
    loop {
        watcher.gateway.gate.rest(watcher.pause).await;
        let now = watcher.look().await;
        let is_same = now.since(&seen) == Change::Nothing;
        watcher.gateway.gate.looked(is_same);
        if is_same {
            continue;
        }
        let now = watcher.quiet(now).await;
        seen = match now.since(&seen) {
            Change::Nothing => now,
            Change::Sources(what) if watcher.plan.build.is_some() => {
                watcher.build(&format!("{what} changed; building"), now).await
            }
            Change::Sources(what) | Change::Beside(what) => {
                if watcher.renew().await {
                    say(&format!("{what} changed; requests go to the function anew"));
                }
                now
            }
        };
        watcher.gateway.gate.open();
    }
}

struct Watcher {
    plan: Arc<Plan>,
    setup: Setup,
    gateway: Arc<Gateway>,
    /// Files that the last build read besides those of the usual kinds.
    extras: Vec<PathBuf>,
    pause: Duration,
}

impl Watcher {
    /// Looks at everything, on a thread that may wait for the disk. The larger the tree, the longer the pause after it.
    async fn look(&mut self) -> Look {
        self.gateway.gate.begin();
        let (plan, extras, began) = (Arc::clone(&self.plan), self.extras.clone(), Instant::now());
        let look = tokio::task::spawn_blocking(move || Look::at(&plan, &extras)).await.unwrap_or_default();
        self.pause = began.elapsed().saturating_mul(PAUSE_FACTOR).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        if look.is_cut() && self.plan.warns_once() {
            say(&format!(
                "there are more than {} files below {}: changes of the others are not seen",
                tree::MOST_ENTRIES,
                self.plan.root.display()
            ));
        }
        look
    }

    /// Waits until nothing changes any more: an editor or git writes one file after the other.
    async fn quiet(&mut self, mut now: Look) -> Look {
        let began = Instant::now();
        while began.elapsed() < RESTLESS {
            time::sleep(SETTLING).await;
            let next = self.look().await;
            if next == now {
                return next;
            }
            now = next;
        }
        now
    }

    /// Builds what `seen` shows; what the function that answers from now on was made of.
    async fn build(&mut self, why: &str, mut seen: Look) -> Look {
        let Some(build) = self.plan.build.clone() else { return seen };
        say(&format!("{why}: {build}"));
        let mut is_first = true;
        loop {
            let began = Instant::now();
            let result = build.run(&self.plan.root).await;
            let took = spoken(began.elapsed());
            let after = self.look().await;
            // Somebody saved meanwhile. But once only: a build may write among its sources itself.
            if is_first && matches!(after.since(&seen), Change::Sources(_)) {
                (is_first, seen) = (false, after);
                say("the sources changed meanwhile; building again");
                continue;
            }
            match result {
                Ok(status) if status.success() => {
                    if self.renew().await {
                        say(&format!("built in {took}"));
                    }
                }
                Ok(status) => self.failed(&format!("the build failed after {took} ({status})")),
                Err(error) => self.failed(&format!("the build cannot be run: {}", one_line(&error.to_string()))),
            }
            self.extras = self.plan.extras();
            return self.look().await;
        }
    }

    fn failed(&self, what: &str) {
        let rest = if self.setup.program.exists() {
            "the function before it goes on answering"
        } else {
            "there is no function yet"
        };
        say(&paint_error(Style::Bad, &format!("{what}; {rest}")));
        self.gateway.gate.fail();
    }

    /// Reads the settings anew; events go to new instances from now on, those at work finish theirs.
    async fn renew(&self) -> bool {
        match self.setup.read() {
            Ok((launch, sessions)) => {
                self.gateway.ledger.renew(sessions);
                self.gateway.instances.replace(launch).await;
                self.gateway.gate.succeed();
                true
            }
            Err(failure) => {
                say(&paint_error(Style::Bad, failure.message()));
                false
            }
        }
    }
}

fn say(text: &str) {
    tell(format!("{}{text}", function_prefix("watch | ")));
}

/// Who changes from the editor to the browser takes longer.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A look takes at most a fiftieth of one core, while nobody asks for one.
const PAUSE_FACTOR: u32 = 50;

/// Between two looks that must be the same.
const SETTLING: Duration = Duration::from_millis(50);

/// What never rests is built as it is.
const RESTLESS: Duration = Duration::from_secs(2);
