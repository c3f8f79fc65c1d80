//! Cold starts with the secret in SSM: ours beside the fetch as people write it, and the bytes that both add.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::browser::Kind;
use crate::program::{Cores, Recipe, SECRET};
use crate::sheet::{FLOOR, Sheet};
use crate::ssm::Ssm;
use crate::{start, turns};

/// Where the three programs lie.
pub struct Programs<'a> {
    pub floor: PathBuf,
    pub ours: PathBuf,
    pub plain: &'a Path,
}

/// Starts each `starts` times, round-robin, and prints what they take and whether ours holds what it owes.
pub fn compare(programs: &Programs<'_>, starts: usize, cores: &Cores, logs: &Path) -> Result<bool, String> {
    let ssm = Ssm::listen(logs)?;
    let recipes = recipes(programs, &ssm)?;
    let mut sheet = Sheet::default();
    // The first round only fills the page cache.
    for round in 0..=starts {
        for place in turns(recipes.len(), round) {
            let mut program = start(&recipes, place, cores, logs)?;
            let time = program.first_answer()?;
            let (asked, owed) = (ssm.take_answered(), usize::from(place >= OURS));
            if asked != owed {
                return Err(format!("{}: asked SSM {asked} times, not {owed}", program.title()));
            }
            if round > 0 {
                sheet.note_start(place, time);
                sheet.note_start_cpu(place, program.used()?);
            }
        }
    }
    let sizes = recipes.iter().map(|recipe| bytes(&recipe.path)).collect::<Result<Vec<_>, _>>()?;
    let titles: Vec<&str> = recipes.iter().map(|recipe| recipe.title).collect();
    println!("\ncold start with the secret in SSM over HTTPS, {} trusted roots: {starts} of each", ssm.roots());
    Ok(print(&sheet, &titles, &sizes))
}

/// The floor, ours without SSM, and the two that ask it.
fn recipes(programs: &Programs<'_>, ssm: &Ssm) -> Result<Vec<Recipe>, String> {
    let plain = fs::canonicalize(programs.plain).map_err(|error| format!("{}: {error}", programs.plain.display()))?;
    let recipe = |title, path: &Path, kind, variables| Recipe { title, path: path.to_owned(), kind, variables };
    let given = || vec![("SECRET_KEY_BASE", SECRET.to_owned())];
    Ok(vec![
        recipe("floor", &programs.floor, Kind::Bare, given()),
        recipe("ours, environment", &programs.ours, Kind::InCookie, given()),
        recipe("ours, SSM", &programs.ours, Kind::InCookie, ssm.variables()),
        recipe("plain fetch", &plain, Kind::Bare, ssm.variables()),
    ])
}

fn print(sheet: &Sheet, titles: &[&str], sizes: &[f64]) -> bool {
    let size = |place: usize| sizes.get(place).copied().unwrap_or(f64::NAN);
    let more_bytes = |place: usize| size(place) - size(FLOOR);
    let start = |place: usize| sheet.start_adds_ms(place);
    println!(
        "{:18}{:>10}{:>10}{:>9}{:>10}{:>9}{:>12}{:>12}{:>9}",
        "", "start ms", "adds ms", "of plain", "CPU adds", "of plain", "bytes", "adds", "of plain"
    );
    for (place, title) in titles.iter().enumerate() {
        print!("{title:18}{:10.2}", sheet.start_ms(place));
        if place == FLOOR {
            println!("{:50.0}", size(place));
            continue;
        }
        let (adds, cpu) = (start(place), sheet.start_cpu_adds_ms(place));
        print!("{adds:10.2}{:9.3}{cpu:10.2}{:9.3}", adds / start(PLAIN), cpu / sheet.start_cpu_adds_ms(PLAIN));
        println!("{:12.0}{:12.0}{:9.3}", size(place), more_bytes(place), more_bytes(place) / more_bytes(PLAIN));
    }
    println!("\nowed");
    let mut all_hold = true;
    for (what, share, limit) in
        [("time", start(OURS) / start(PLAIN), TIME_SHARE), ("bytes", more_bytes(OURS) / more_bytes(PLAIN), BYTES_SHARE)]
    {
        let holds = share <= limit;
        let verdict = if holds { "PASS" } else { "FAIL" };
        println!("{verdict} ours, SSM: adds {share:.3} of the {what} that the plain fetch adds, at most {limit}");
        all_hold &= holds;
    }
    all_hold
}

fn bytes(path: &Path) -> Result<f64, String> {
    let metadata = fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(metadata.len() as f64)
}

/// The places of the programs that ask SSM.
const OURS: usize = 2;
const PLAIN: usize = 3;

/// What ours may add to the floor, of what the plain fetch adds.
const TIME_SHARE: f64 = 0.2;
const BYTES_SHARE: f64 = 0.6;
