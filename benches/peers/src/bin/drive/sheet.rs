//! What was measured, and the medians of it.

use std::{collections::BTreeMap, time::Duration};

use crate::browser::Errand;

/// Every figure of one run; programs go by their place in the list, the floor is the first.
#[derive(Default)]
pub struct Sheet {
    rounds: BTreeMap<(Errand, usize), BTreeMap<usize, Figure>>,
    starts: BTreeMap<usize, Vec<f64>>,
    starts_cpu: BTreeMap<usize, Vec<f64>>,
    resident_kib: BTreeMap<usize, u64>,
}

/// One program's round, or the median of its rounds, in microseconds per event.
#[derive(Clone, Copy)]
pub struct Figure {
    pub wall: f64,
    pub cpu: f64,
}

/// How far two programs lie apart, in microseconds per event: the median of the rounds' differences.
#[derive(Clone, Copy)]
pub struct Gap {
    pub wall: f64,
    pub cpu: f64,
    /// Half of what the middle half of the rounds spans: how much `wall` is to be trusted.
    pub spread: f64,
}

impl Sheet {
    pub fn note_round(&mut self, round: usize, errand: Errand, program: usize, times: &[Duration], cpu: Duration) {
        let figure = Figure { wall: median(times.iter().map(micros).collect()), cpu: micros(&cpu) };
        self.rounds.entry((errand, program)).or_default().insert(round, figure);
    }

    pub fn note_start(&mut self, program: usize, time: Duration) {
        self.starts.entry(program).or_default().push(micros(&time) / 1000.0);
    }

    pub fn note_start_cpu(&mut self, program: usize, time: Duration) {
        self.starts_cpu.entry(program).or_default().push(micros(&time) / 1000.0);
    }

    pub fn note_memory(&mut self, program: usize, resident_kib: u64) {
        self.resident_kib.insert(program, resident_kib);
    }

    /// The median of a program's rounds.
    pub fn figure(&self, errand: Errand, program: usize) -> Figure {
        let rounds = self.rounds_of(errand, program);
        Figure {
            wall: median(rounds.values().map(|round| round.wall).collect()),
            cpu: median(rounds.values().map(|round| round.cpu).collect()),
        }
    }

    /// How much more than the floor a program needs.
    pub fn adds(&self, errand: Errand, program: usize) -> Gap {
        gap(&self.rounds_of(errand, program), &self.rounds_of(errand, FLOOR))
    }

    /// How much more one errand needs than another, in the same program.
    pub fn costs(&self, errand: Errand, than: Errand, program: usize) -> Gap {
        gap(&self.rounds_of(errand, program), &self.rounds_of(than, program))
    }

    /// From spawning the program to its first answer, in milliseconds: the median.
    pub fn start_ms(&self, program: usize) -> f64 {
        median(self.starts.get(&program).cloned().unwrap_or_default())
    }

    /// How much more than the floor's start a program's takes, in milliseconds: the median of the rounds' differences.
    pub fn start_adds_ms(&self, program: usize) -> f64 {
        median_gap(&self.starts, program)
    }

    /// The same of processor time.
    pub fn start_cpu_adds_ms(&self, program: usize) -> f64 {
        median_gap(&self.starts_cpu, program)
    }

    /// Resident memory after the run.
    pub fn resident_kib(&self, program: usize) -> f64 {
        self.resident_kib.get(&program).map_or(f64::NAN, |kib| *kib as f64)
    }

    fn rounds_of(&self, errand: Errand, program: usize) -> BTreeMap<usize, Figure> {
        self.rounds.get(&(errand, program)).cloned().unwrap_or_default()
    }
}

fn gap(rounds: &BTreeMap<usize, Figure>, than: &BTreeMap<usize, Figure>) -> Gap {
    let pairs = || rounds.iter().filter_map(|(round, one)| Some((one, than.get(round)?)));
    let walls: Vec<f64> = pairs().map(|(one, other)| one.wall - other.wall).collect();
    Gap {
        wall: median(walls.clone()),
        cpu: median(pairs().map(|(one, other)| one.cpu - other.cpu).collect()),
        spread: (quantile(walls.clone(), 0.75) - quantile(walls, 0.25)) / 2.0,
    }
}

fn median_gap(rounds: &BTreeMap<usize, Vec<f64>>, program: usize) -> f64 {
    let of = |program| rounds.get(&program).into_iter().flatten();
    median(of(program).zip(of(FLOOR)).map(|(one, floor)| one - floor).collect())
}

fn median(values: Vec<f64>) -> f64 {
    quantile(values, 0.5)
}

fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = share * values.len().saturating_sub(1) as f64;
    let at = |place: f64| values.get(place as usize).copied().unwrap_or(f64::NAN);
    at(place.floor()) + (at(place.ceil()) - at(place.floor())) * place.fract()
}

fn micros(time: &Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// The place of the bare handler in the list of programs.
pub const FLOOR: usize = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_lies_in_the_middle() {
        for (values, expected) in [(vec![3.0], 3.0), (vec![9.0, 1.0, 2.0], 2.0), (vec![4.0, 1.0, 2.0, 3.0], 2.5)] {
            assert_eq!(median(values.clone()), expected, "{values:?}");
        }
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn a_start_is_compared_with_the_floors_of_its_round() {
        let mut sheet = Sheet::default();
        for noise in [0, 90, 5] {
            for (program, own) in [(FLOOR, 2), (1, 9)] {
                sheet.note_start(program, Duration::from_millis(own + noise));
            }
        }
        assert!((sheet.start_adds_ms(1) - 7.0).abs() < 1e-6);
    }

    #[test]
    fn what_slows_a_whole_round_is_no_difference() {
        let mut sheet = Sheet::default();
        for (round, noise) in [1.0, 100.0, 1.0, 40.0].into_iter().enumerate() {
            for (program, own) in [(FLOOR, 20.0), (1, 25.0)] {
                let time = Duration::from_secs_f64((own + noise) / 1e6);
                sheet.note_round(round, Errand::Write, program, &[time], time);
            }
        }
        let adds = sheet.adds(Errand::Write, 1);
        assert!((adds.wall - 5.0).abs() < 0.01 && (adds.cpu - 5.0).abs() < 0.01 && adds.spread < 0.01);
    }
}
