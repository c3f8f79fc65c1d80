//! What was counted, and the figures of it.

use std::time::Duration;

use crate::ENVIRONMENTS;
use crate::connection::Failed;
use crate::gateway::Memory;

/// How much the environments' memory may grow together from a sixth of the run to its end: in a whole run 5 bytes a request.
const GROWTH_KIB: u64 = 256;
/// How long after its moment the last request may be answered: with more, the rate is not held but queued up.
const LATE: Duration = Duration::from_secs(1);
/// How many failures are shown.
const SHOWN: usize = 5;

/// The times of all answers, and what was wrong.
#[derive(Default)]
pub(crate) struct Tally {
    times: Vec<Duration>,
    failures: Vec<Failed>,
    took: Duration,
}

impl Tally {
    pub(crate) fn note(&mut self, time: Duration, outcome: Result<(), Failed>) {
        self.times.push(time);
        self.failures.extend(outcome.err());
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.times.extend(other.times);
        self.failures.extend(other.failures);
    }

    pub(crate) fn ended(&mut self, took: Duration) {
        self.took = took;
        self.times.sort_unstable();
    }

    /// Prints the figures, and what is owed; whether all of it holds.
    pub(crate) fn print(&self, rate: u32, seconds: u32, memory: &[Memory]) -> bool {
        let (asked, run) = ((rate * seconds) as usize, Duration::from_secs(seconds.into()));
        let answered = self.times.len() - self.failures.len();
        println!("{:.1} requests a second; ms from the moment when each was due to its answer:", self.rate());
        let quantiles = [("median", 0.5), ("90 %", 0.9), ("99 %", 0.99), ("99.9 %", 0.999), ("slowest", 1.0)];
        println!(
            "  {}",
            quantiles.map(|(name, share)| format!("{name} {:.2}", millis(self.quantile(share)))).join(", ")
        );
        println!("resident memory in KiB, after a sixth, in the middle, at the end:");
        let row = |name: &str, of: &dyn Fn(&Memory) -> Option<u64>| {
            let cells = memory.iter().map(|memory| of(memory).map_or("gone".to_owned(), |kib| kib.to_string()));
            println!("  {name:16}{}", cells.map(|cell| format!("{cell:>8}")).collect::<String>());
        };
        row("serve", &|memory| Some(memory.gateway));
        let (first, last) = (&memory[0].environments, &memory[memory.len() - 1].environments);
        for process in first.keys() {
            row("an environment", &|memory| memory.environments.get(process).copied());
        }
        self.failures.iter().take(SHOWN).for_each(|failure| println!("wrong: {failure}"));

        println!("\nowed");
        let mut all_hold = true;
        let mut owe = |holds: bool, what: String| {
            println!("{} {what}", if holds { "PASS" } else { "FAIL" });
            all_hold &= holds;
        };
        owe(answered == asked, format!("{answered} of {asked} answered, each from its own session"));
        let late = self.took.saturating_sub(run);
        owe(
            late <= LATE,
            format!("the last answer {} ms after the end, at most {}", late.as_millis(), LATE.as_millis()),
        );
        let same = first.keys().eq(last.keys()) && first.len() == ENVIRONMENTS;
        owe(same, format!("{} environments from beginning to end, of {ENVIRONMENTS}", last.len()));
        let grown = last.values().sum::<u64>().saturating_sub(first.values().sum());
        owe(grown <= GROWTH_KIB, format!("the environments grow by {grown} KiB, no more than {GROWTH_KIB}"));
        all_hold
    }

    fn rate(&self) -> f64 {
        self.times.len() as f64 / self.took.as_secs_f64()
    }

    fn quantile(&self, share: f64) -> Duration {
        let place = (share * self.times.len().saturating_sub(1) as f64).round() as usize;
        self.times.get(place).copied().unwrap_or_default()
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
