//! What was measured, what is owed, and whether it holds.

use std::collections::BTreeMap;
use std::time::Duration;

/// Every figure of one run.
#[derive(Default)]
pub struct Sheet {
    /// The medians of the rounds, in microseconds, by contender.
    rounds: BTreeMap<&'static str, Vec<f64>>,
    /// In milliseconds.
    ready: Vec<f64>,
    first: Vec<f64>,
}

impl Sheet {
    pub fn note(&mut self, name: &'static str, times: Vec<Duration>) {
        let times = times.iter().map(|time| time.as_secs_f64() * 1e6).collect();
        self.rounds.entry(name).or_default().push(median(times));
    }

    pub fn note_ready(&mut self, ready: Duration, first: Duration) {
        self.ready.push(ready.as_secs_f64() * 1e3);
        self.first.push(first.as_secs_f64() * 1e3);
    }

    /// Prints all; whether all that is owed holds.
    pub fn print(&self) -> bool {
        println!("| | µs a visit | adds to direct |\n| --- | --- | --- |");
        for (name, rounds) in &self.rounds {
            println!("| {name} | {:.0} | {:.0} |", median(rounds.clone()), self.adds(name));
        }
        println!(
            "ready after {:.1} ms, first answer after {:.1} ms (medians)",
            median(self.ready.clone()),
            median(self.first.clone())
        );
        let ours = self.adds(OURS);
        let mut all_hold = owed("serve adds at most 1 ms to a direct exchange", ours / 1e3, ADDS_MS, "ms");
        all_hold &= owed("serve is ready in at most 0.5 s", median(self.ready.clone()), READY_MS, "ms");
        if self.rounds.contains_key(WATCH) {
            let theirs = self.adds(WATCH);
            println!(
                "      serve adds {:.3} of what cargo lambda watch adds ({ours:.0} µs of {theirs:.0} µs)",
                ours / theirs
            );
        } else {
            println!("      cargo lambda watch was not asked: no ratio");
        }
        all_hold
    }

    /// How much more than a direct exchange a contender takes: the median of the rounds' differences, in microseconds.
    fn adds(&self, name: &str) -> f64 {
        let of = |name| self.rounds.get(name).into_iter().flatten();
        median(of(name).zip(of(DIRECT)).map(|(one, direct)| one - direct).collect())
    }
}

fn owed(what: &str, seen: f64, limit: f64, unit: &str) -> bool {
    let holds = seen <= limit;
    println!("{}: {what}: {seen:.3} {unit} of {limit} {unit}", if holds { "ok  " } else { "FAIL" });
    holds
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

const DIRECT: &str = "direct";
const OURS: &str = "lambda-session serve";
const WATCH: &str = "cargo lambda watch";
const ADDS_MS: f64 = 1.0;
const READY_MS: f64 = 500.0;
