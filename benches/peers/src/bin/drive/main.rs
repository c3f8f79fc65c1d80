//! Times the shipped `bootstrap` against its peers: every program gets the same events through one emulation of the
//! Lambda Runtime API, round-robin, so that noise on the machine hits all alike.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;

use browser::{Errand, Kind};
use program::{Cores, Placement, Program, Recipe, SECRET};
use sheet::{FLOOR, Sheet};

mod api;
mod browser;
mod event;
mod fetch;
mod program;
mod report;
mod sheet;
mod ssm;
mod wire;

/// Times `bootstrap` against the bare handler and the peers beside this program.
///
/// Exit 0 if every owed figure holds, 1 if one does not or a program answers wrongly.
#[derive(Parser)]
struct Arguments {
    /// Our shipped `bootstrap`; without it only the peers are timed
    #[arg(long, value_name = "PATH")]
    ours: Option<PathBuf>,
    /// The peer that fetches its secret from SSM; with it and ours, cold starts with SSM are timed as well
    #[arg(long, value_name = "PATH", requires = "ours")]
    plain_fetch: Option<PathBuf>,
    /// Nothing but cold starts with SSM
    #[arg(long, requires = "plain_fetch")]
    only_fetches: bool,
    /// Where the driver and the program that has its turn run
    #[arg(long, value_enum, default_value_t = Placement::Together)]
    cores: Placement,
    /// A smoke run: the answers are checked as ever, the figures are rough
    #[arg(long)]
    quick: bool,
    /// Rounds; in each one every program has one turn
    #[arg(long)]
    rounds: Option<usize>,
    /// Events in a turn
    #[arg(long)]
    events: Option<usize>,
    /// Cold starts of each program
    #[arg(long)]
    starts: Option<usize>,
}

fn main() -> ExitCode {
    match compare(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(arguments: &Arguments) -> Result<bool, String> {
    let (rounds, events, starts) = if arguments.quick { QUICK } else { FULL };
    let rounds = arguments.rounds.unwrap_or(rounds).max(1);
    let events = arguments.events.unwrap_or(events).max(1);
    let starts = arguments.starts.unwrap_or(starts).max(1);
    let recipes = recipes(arguments.ours.as_deref())?;
    let logs = env::temp_dir().join(format!("lambda-session-peers-{}", std::process::id()));
    fs::create_dir_all(&logs).map_err(|error| format!("no directory for logs: {error}"))?;
    let cores = Cores::pin(arguments.cores).map_err(|error| format!("nothing can be pinned: {error}"))?;
    println!("{}; {rounds} rounds of {events} events and {starts} cold starts, round-robin", cores.account);
    println!(
        "all programs: flavor = current_thread, the default log level; peers: opt-level 3, fat LTO, one codegen unit"
    );

    let outcome = measure(arguments, &recipes, (rounds, events, starts), &cores, &logs);
    // What a program that failed has said stands in the error.
    fs::remove_dir_all(&logs).map_err(|error| format!("{}: {error}", logs.display()))?;
    outcome
}

/// Runs and prints what is asked for; whether all that is owed holds.
fn measure(
    arguments: &Arguments,
    recipes: &[Recipe],
    (rounds, events, starts): (usize, usize, usize),
    cores: &Cores,
    logs: &Path,
) -> Result<bool, String> {
    let mut all_hold = true;
    if !arguments.only_fetches {
        let mut sheet = Sheet::default();
        start_cold(recipes, starts, cores, logs, &mut sheet)?;
        let session_bytes = run_warm(recipes, (rounds, events), cores, logs, &mut sheet)?;
        let titles: Vec<&str> = recipes.iter().map(|recipe| recipe.title).collect();
        report::print_figures(&sheet, &titles, session_bytes);
        all_hold &= arguments.ours.is_none() || report::print_owed(&sheet, &titles);
    }
    if let (Some(plain), [floor, .., ours]) = (&arguments.plain_fetch, recipes) {
        let programs = fetch::Programs { floor: floor.path.clone(), ours: ours.path.clone(), plain };
        all_hold &= fetch::compare(&programs, starts, cores, logs)?;
    }
    Ok(all_hold)
}

fn start_cold(recipes: &[Recipe], starts: usize, cores: &Cores, logs: &Path, sheet: &mut Sheet) -> Result<(), String> {
    // The first round only fills the page cache.
    for round in 0..=starts {
        for place in turns(recipes.len(), round) {
            let mut program = start(recipes, place, cores, logs)?;
            let time = program.first_answer()?;
            if round > 0 {
                sheet.note_start(place, time);
            }
        }
    }
    Ok(())
}

/// Runs all rounds; what a session held, in bytes.
fn run_warm(
    recipes: &[Recipe],
    (rounds, events): (usize, usize),
    cores: &Cores,
    logs: &Path,
    sheet: &mut Sheet,
) -> Result<usize, String> {
    let mut programs = Vec::new();
    for place in 0..recipes.len() {
        let mut program = start(recipes, place, cores, logs)?;
        program.first_answer()?;
        programs.push(program);
    }
    // The first round only warms up.
    for round in 0..=rounds {
        for errand in ERRANDS {
            if is_foreign(errand) && round % FOREIGN_EVERY != 0 {
                continue;
            }
            for place in turns(programs.len(), round) {
                let Some(program) = programs.get_mut(place) else { continue };
                let (times, cpu) = program.turn(errand, events)?;
                if round > 0 {
                    sheet.note_round(round, errand, place, &times, cpu);
                }
                if place != FLOOR {
                    program.turn(Errand::Show, 1)?;
                }
            }
        }
    }
    for (place, program) in programs.iter().enumerate() {
        sheet.note_memory(place, program.resident_kib()?);
    }
    Ok(programs.last().map_or(0, Program::shown_bytes))
}

fn start(recipes: &[Recipe], place: usize, cores: &Cores, logs: &Path) -> Result<Program, String> {
    let recipe = recipes.get(place).ok_or("no such program")?;
    Program::start(recipe, cores, logs).map_err(|error| format!("{}: {error}", recipe.path.display()))
}

/// Everyone once; each round begins with another one.
fn turns(count: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |turn| (turn + round) % count)
}

/// The floor, the peers in the order that `report` names, then ours.
fn recipes(ours: Option<&Path>) -> Result<Vec<Recipe>, String> {
    let here = env::current_exe().map_err(|error| format!("no path of this program: {error}"))?;
    let secret = || ("SECRET_KEY_BASE", SECRET.to_owned());
    let peer = |title, name, kind| Recipe { title, path: here.with_file_name(name), kind, variables: vec![secret()] };
    let mut recipes = vec![
        peer("floor", "floor", Kind::Bare),
        peer("(a) signed_jar", "signed_jar", Kind::InCookie),
        peer("(b) tower_sessions", "tower_sessions", Kind::ById),
    ];
    if let Some(ours) = ours {
        let path = fs::canonicalize(ours).map_err(|error| format!("{}: {error}", ours.display()))?;
        for (title, protection) in [("ours, signed", "signed"), ("ours, encrypted", "encrypted")] {
            let variables = vec![secret(), ("SESSION_PROTECTION", protection.to_owned())];
            recipes.push(Recipe { title, path: path.clone(), kind: Kind::InCookie, variables });
        }
    }
    Ok(recipes)
}

const ERRANDS: [Errand; 4] = [Errand::Write, Errand::Untouched, Errand::WriteAmongFew, Errand::WriteAmongMany];

fn is_foreign(errand: Errand) -> bool {
    matches!(errand, Errand::WriteAmongFew | Errand::WriteAmongMany)
}

/// Rounds, events in a turn, cold starts. The turns are short, so that programs which are compared with each other are
/// timed within milliseconds, and many, so that what still differs from turn to turn evens out.
const FULL: (usize, usize, usize) = (600, 40, 100);
const QUICK: (usize, usize, usize) = (10, 20, 10);

/// The 10 KB turns are long and owe little precision: every fifth round has them.
const FOREIGN_EVERY: usize = 5;
