//! `make faults`: what a session store must survive, done to it, with the figures that are owed and those that were
//! measured (security.md, section 4, and issue 3, whose figures stand where they differ).
//!
//! Everything goes through a `SessionLayer`: requests in, answers out. The peers are the real memcached and, in front of
//! it, a proxy on loopback that does harm. Prints a table; with `--markdown` the page `docs/faults.md`. Ends with 1 if a
//! figure does not hold.

mod cuts;
mod figure;
mod freeze;
mod loss;
mod many;
mod outage;
#[path = "../support/mod.rs"]
mod shared;
#[path = "../memcached/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "shared with tests/memcached")]
mod support;
#[path = "../memcached/visits.rs"]
#[allow(dead_code, reason = "shared with tests/memcached")]
mod visits;

use std::{process::ExitCode, time::Instant};

use self::figure::{Fault, Layout, print};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, cache] = arguments.as_slice()
        && role == freeze::CHILD
    {
        freeze::be_the_child(cache);
        return ExitCode::SUCCESS;
    }
    let layout = if arguments.iter().any(|argument| argument == "--markdown") { Layout::Page } else { Layout::Table };
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    let faults: [(&str, fn() -> Fault); 14] = [
        ("F1", outage::refuses),
        ("F1", outage::refuses_for_an_hour),
        ("F2", outage::is_silent),
        ("F2", outage::is_silent_from_the_start),
        ("F3", outage::dribbles),
        ("F4", cuts::cuts),
        ("F4", cuts::cuts_a_logout),
        ("F5", cuts::twists),
        ("F6", many::drops),
        ("F7", loss::stale_ring),
        ("F8", freeze::stops),
        ("F14", loss::forgets),
        ("F18", many::mixes),
        ("F19", loss::outgrows),
    ];
    let began = Instant::now();
    let mut done = Vec::new();
    for (id, run) in faults {
        if wanted.is_empty() || wanted.iter().any(|wanted| *wanted == id) {
            eprintln!("{id} …");
            done.push((id, run()));
        }
    }
    let holds = done.iter().all(|(_, fault)| fault.holds());
    print(layout, &done, began.elapsed());
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
