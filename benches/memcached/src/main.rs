//! Times the memcached client of `lambda-session` beside its peers, on one core, turn by turn, so that noise on the
//! machine hits all alike.

use std::{error::Error, process::ExitCode, time::Duration};

use clap::Parser;

use async_memcached_peer::AsyncMemcached;
use contender::Contender;
use memcached::Memcached;
use sheet::Sheet;
use work::{Deed, Stage};

mod async_memcached_peer;
mod bare;
mod certificates;
mod contender;
mod core;
mod endpoint;
mod hands;
mod memcache_peer;
mod memcached;
mod nodes;
mod ours;
mod ping_pong;
mod report;
mod reuse;
mod sheet;
mod work;

/// Times the memcached client beside its peers: one core, 1 KiB values, a real memcached.
///
/// Exit 0 if every owed figure holds, 1 if one does not or an answer is wrong.
#[derive(Parser)]
struct Arguments {
    /// A smoke run: the answers are checked as ever, the figures are rough
    #[arg(long)]
    quick: bool,
    /// Rounds; in each one everybody has one turn at every deed
    #[arg(long)]
    rounds: Option<usize>,
}

/// Whatever went wrong: the run ends.
type Failed = Box<dyn Error + Send + Sync>;

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

fn compare(arguments: &Arguments) -> Result<bool, Failed> {
    let rounds = arguments.rounds.unwrap_or(if arguments.quick { QUICK } else { FULL }).max(1);
    let core = core::pin()?;
    let server = Memcached::start(NOTHING_MORE)?;
    println!(
        "everything on core {core}; {rounds} rounds; values of {} bytes; {}",
        work::VALUE_BYTES,
        server.version()?
    );
    let sheet = time(&server, rounds)?;
    drop(server);
    report::print_figures(&sheet);
    let nodes = nodes::time(rounds)?;
    report::print_nodes(&nodes);
    let (tls, discovery) = (reuse::tls()?, reuse::discovery()?);
    report::print_reuse(&tls, &discovery);
    Ok(report::print_owed(&sheet, &nodes, &tls))
}

fn time(server: &Memcached, rounds: usize) -> Result<Sheet, Failed> {
    let mut contenders: Vec<Box<dyn Contender>> = vec![
        Box::new(ping_pong::PingPong::start(LANES)?),
        Box::new(bare::Bare::connect(server, LANES)?),
        Box::new(AsyncMemcached::connect(server, LANES, None)?),
        Box::new(memcache_peer::Memcache::connect(server, LANES)?),
        Box::new(AsyncMemcached::connect(server, LANES, Some(Duration::from_millis(100)))?),
        Box::new(ours::Ours::connect(server, LANES)?),
    ];
    let mut stage = Stage::new(server)?;
    let mut sheet = Sheet::new(contenders.iter().map(|contender| contender.name()).collect());
    // The first round only warms up.
    for round in 0..=rounds {
        for deed in Deed::ALL {
            for lanes in [1, LANES] {
                for turn in 0..contenders.len() {
                    let place = (turn + round) % contenders.len();
                    let Some(contender) = contenders.get_mut(place) else { continue };
                    let work = stage.set(deed, lanes)?;
                    let time = contender.turn(deed, &work)?;
                    if round > 0 {
                        let jobs: usize = work.iter().map(|lane| lane.len()).sum();
                        sheet.note(deed, lanes, round, place, time.as_secs_f64() * 1e6 / jobs as f64);
                    }
                }
            }
        }
    }
    Ok(sheet)
}

/// Rounds. Turns are short, so that contenders which are compared are timed within milliseconds, and many, so that what
/// still differs from turn to turn evens out.
const FULL: usize = 400;
const QUICK: usize = 10;

/// What memcached is told besides the usual.
const NOTHING_MORE: &[&str] = &[];

/// How many connections the second half of the figures uses.
const LANES: usize = 32;
