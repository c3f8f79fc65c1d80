//! `make load`: `serve` with four environments under a thousand requests a second, each of a session that must stay its own.
//!
//! The load is an open one: every request has a moment at which it is due, whatever became of those before, and its time
//! is counted from then. A visitor's own requests follow one another, as a browser's do, so what each must be answered is
//! known to the last digit: an answer of another's session, or one that has lost a write, is wrong. Prints what was
//! measured beside what is owed (issue 5). Ends with 1 if a figure does not hold.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod connection;
mod gateway;
mod tally;
mod visitor;

use std::{env, process::ExitCode, time::Duration};

use tokio::{
    runtime::Builder,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::gateway::{Gateway, Memory};
use crate::tally::Tally;
use crate::visitor::Visitor;

/// What is asked of the gateway: a thousand requests a second, for a minute.
const RATE: u32 = 1000;
const SECONDS: u32 = 60;
/// How many sessions there are at once: each is asked every 0.3 s.
const VISITORS: u32 = 300;
const ENVIRONMENTS: usize = 4;

fn main() -> ExitCode {
    // `make load LOAD=10`: ten seconds of it.
    let seconds =
        env::args().nth(1).map_or(SECONDS, |text| text.parse().expect("the load's one argument is its seconds"));
    let gateway = Gateway::start(ENVIRONMENTS);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (tally, memory) = runtime.block_on(visit(&gateway, seconds));
    let store = env::var("SESSION_STORE").unwrap_or_else(|_| "cookie".to_owned());
    println!("serve with {ENVIRONMENTS} environments, sessions in {store}: {VISITORS} visitors, {seconds} s\n");
    if tally.print(RATE, seconds, &memory) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// All visitors at once, and the memory of those who answer them: when a sixth is over, in the middle and at the end.
async fn visit(gateway: &Gateway, seconds: u32) -> (Tally, Vec<Memory>) {
    let begin = Instant::now() + Duration::from_millis(100);
    let mut visitors = JoinSet::new();
    for number in 0..VISITORS {
        visitors.spawn(come_again(Visitor::new(number, gateway.port), begin, seconds));
    }
    let mut memory = Vec::new();
    for sixth in [1, 3] {
        sleep_until(begin + Duration::from_secs(1) * seconds * sixth / 6).await;
        memory.push(gateway.memory());
    }
    let mut tally = Tally::default();
    while let Some(visits) = visitors.join_next().await {
        tally.add(visits.expect("a visitor does not panic"));
    }
    tally.ended(begin.elapsed());
    memory.push(gateway.memory());
    (tally, memory)
}

/// One visitor's requests, each when it is due, or as soon after it as the one before is answered.
async fn come_again(mut visitor: Visitor, begin: Instant, seconds: u32) -> Tally {
    let mut tally = Tally::default();
    let requests = (visitor.number()..RATE * seconds).step_by(VISITORS as usize);
    for (step, request) in requests.enumerate() {
        let due = begin + Duration::from_secs(1) * request / RATE;
        sleep_until(due).await;
        let outcome = visitor.ask(step).await;
        tally.note(due.elapsed(), outcome);
    }
    tally
}
