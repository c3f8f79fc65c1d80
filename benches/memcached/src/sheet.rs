//! What was measured, and the medians of it.

use std::collections::BTreeMap;

use crate::work::Deed;

/// Every figure of one run, in microseconds per deed; contenders go by their place in the list.
pub struct Sheet {
    names: Vec<&'static str>,
    rounds: BTreeMap<(Deed, usize, usize), BTreeMap<usize, f64>>,
}

/// How two contenders compare: the median of the rounds' ratios, so that what slows the machine for a while falls out.
#[derive(Clone, Copy)]
pub struct Ratio {
    pub median: f64,
    /// Half of what the middle half of the rounds spans.
    pub spread: f64,
}

impl Sheet {
    pub fn new(names: Vec<&'static str>) -> Self {
        Self { names, rounds: BTreeMap::new() }
    }

    pub fn names(&self) -> &[&'static str] {
        &self.names
    }

    pub fn note(&mut self, deed: Deed, lanes: usize, round: usize, place: usize, micros: f64) {
        self.rounds.entry((deed, lanes, place)).or_default().insert(round, micros);
    }

    /// The median of a contender's rounds.
    pub fn micros(&self, deed: Deed, lanes: usize, place: usize) -> f64 {
        quantile(self.rounds_of(deed, lanes, place).into_values().collect(), 0.5)
    }

    /// How much longer than another one a contender takes.
    pub fn ratio(&self, deed: Deed, lanes: usize, place: usize, than: usize) -> Ratio {
        let (rounds, than) = (self.rounds_of(deed, lanes, place), self.rounds_of(deed, lanes, than));
        let ratios: Vec<f64> = rounds.iter().filter_map(|(round, one)| Some(one / than.get(round)?)).collect();
        let spread = (quantile(ratios.clone(), 0.75) - quantile(ratios.clone(), 0.25)) / 2.0;
        Ratio { median: quantile(ratios, 0.5), spread }
    }

    fn rounds_of(&self, deed: Deed, lanes: usize, place: usize) -> BTreeMap<usize, f64> {
        self.rounds.get(&(deed, lanes, place)).cloned().unwrap_or_default()
    }
}

/// The value that this share of the values does not exceed, between two of them in proportion.
pub fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = share * values.len().saturating_sub(1) as f64;
    let at = |place: f64| values.get(place as usize).copied().unwrap_or(f64::NAN);
    at(place.floor()) + (at(place.ceil()) - at(place.floor())) * place.fract()
}
