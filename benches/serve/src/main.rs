//! What a gateway on one's own machine adds to a request: `lambda-session serve` and `cargo lambda watch`, timed beside a direct
//! exchange with the function, in turns within one run.

use std::process::{Command, ExitCode};
use std::time::Duration;
use std::{env, io};

use contender::{Contender, Gateway};
use direct::Direct;
use report::Sheet;

mod contender;
mod direct;
mod http;
mod report;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [bootstrap, gateway, watch @ ..] = arguments.as_slice() else {
        eprintln!("usage: lambda-session-bench-serve BOOTSTRAP LAMBDA-SESSION [CARGO-LAMBDA-WATCH-COMMAND…]");
        return ExitCode::FAILURE;
    };
    match compare(bootstrap, gateway, watch) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(bootstrap: &str, gateway: &str, watch: &[String]) -> io::Result<bool> {
    let mut sheet = Sheet::default();
    let serve = || {
        let mut command = Command::new(gateway);
        command.args(["serve", "--bootstrap", bootstrap, "--port"]);
        Gateway::start("lambda-session serve", command)
    };
    for _ in 0..STARTS {
        let started = serve()?;
        sheet.note_ready(started.ready, started.first);
    }
    let mut contenders: Vec<Box<dyn Contender>> = vec![Box::new(Direct::start(bootstrap)?), Box::new(serve()?)];
    if let [program, arguments @ ..] = watch {
        let mut command = Command::new(program);
        command.args(arguments);
        let gateway = Gateway::start("cargo lambda watch", command)?;
        println!(
            "cargo lambda watch answered {:.2} s after its start, the build included",
            gateway.first.as_secs_f64()
        );
        contenders.push(Box::new(gateway));
    }
    // The first round only warms up.
    for round in 0..=ROUNDS {
        for turn in 0..contenders.len() {
            let place = (turn + round) % contenders.len();
            let Some(contender) = contenders.get_mut(place) else { continue };
            let times: io::Result<Vec<Duration>> = (0..REQUESTS).map(|_| contender.visit()).collect();
            let times = times.map_err(|error| io::Error::other(format!("{}: {error}", contender.name())))?;
            if round > 0 {
                sheet.note(contender.name(), times);
            }
        }
    }
    println!("{ROUNDS} rounds of {REQUESTS} visits (POST /posts with a session), in turns; medians");
    Ok(sheet.print())
}

const ROUNDS: usize = 100;
const REQUESTS: usize = 20;
const STARTS: usize = 20;
