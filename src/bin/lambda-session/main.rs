//! `lambda-session`: secrets, local runs and explanations for sessions on AWS Lambda.

mod answer;
mod capture;
mod change;
mod doctor;
mod duration;
mod ends;
mod environment;
mod event;
mod facts;
mod function;
mod group;
mod inspect;
mod invoke;
mod jar;
mod jar_file;
#[cfg_attr(not(feature = "memcached"), path = "kept_missing.rs")]
mod kept;
#[cfg_attr(not(feature = "ssm"), path = "keys_missing.rs")]
mod keys;
mod limits;
mod outcome;
mod output;
mod place;
mod posted;
mod pretty;
mod program;
mod report;
mod runtime_api;
mod sandbox;
mod secret;
mod serve;
mod sessions;
mod set_cookie;
mod spool;
mod trace;

use std::process::ExitCode;

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::doctor::Health;
use crate::inspect::Goodness;
use crate::invoke::Answers;
use crate::output::{Failure, Out, tell};

/// Secrets, local runs and explanations for sessions on AWS Lambda.
#[derive(Parser, Debug)]
#[command(name = "lambda-session", version, after_help = EXAMPLES, color = output::help_colour())]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Print a fresh secret (32 random bytes), and nothing else
    #[command(after_help = secret::EXAMPLES)]
    Secret(secret::Arguments),

    /// Run events through a function on this machine and see what its sessions do
    #[command(after_help = invoke::EXAMPLES)]
    Invoke(invoke::Arguments),

    /// Serve a function over HTTP on this machine, as a gateway of AWS would
    #[command(after_help = serve::EXAMPLES)]
    Serve(serve::Arguments),

    /// Explain a session cookie, read from standard input
    #[command(after_help = inspect::EXAMPLES)]
    Inspect(inspect::Arguments),

    /// Check secrets, settings and store, and say what to do where they are not good
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(doctor::Arguments),

    /// List, add, promote and revoke the keys in SSM Parameter Store
    #[command(after_help = keys::EXAMPLES)]
    Keys(keys::Arguments),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let mut out = Out::open();
    let code = match cli.command {
        Command::Secret(arguments) => secret::run(&arguments, &mut out).map(|()| DONE),
        Command::Invoke(arguments) => invoke::run(&arguments, &mut out).map(|answers| match answers {
            Answers::All => DONE,
            Answers::SomeMissing => REFUSED,
            // As a shell reports a program that a signal ended.
            Answers::Interrupted(signal) => signal.saturating_add(128),
        }),
        Command::Serve(arguments) => serve::run(&arguments, &mut out).map(|()| DONE),
        Command::Inspect(arguments) => inspect::run(&arguments, &mut out).map(|goodness| match goodness {
            Goodness::Good => DONE,
            Goodness::Refused => REFUSED,
            Goodness::Unknown => ENVIRONMENT,
        }),
        Command::Doctor(arguments) => doctor::run(&arguments, &mut out).map(|health| match health {
            Health::Good => DONE,
            Health::Bad => REFUSED,
        }),
        Command::Keys(arguments) => keys::run(&arguments, &mut out).map(|()| DONE),
    };
    let code = code.unwrap_or_else(|failure| match failure {
        Failure::Closed => DONE,
        Failure::Refused(message) => {
            tell(format!("lambda-session: {message}"));
            REFUSED
        }
        Failure::Usage(message) => {
            tell(format!("lambda-session: {message}"));
            USAGE
        }
        Failure::Environment(message) => {
            tell(format!("lambda-session: {message}"));
            ENVIRONMENT
        }
    });
    output::finish();
    ExitCode::from(code)
}

/// Prints what clap says. It would repeat a word too many, and that word may be a secret.
fn refuse(error: &clap::Error) -> ExitCode {
    let is_help = !error.use_stderr();
    let first = std::env::args_os().nth(1);
    let takes_no_words = first.is_some_and(|command| ["inspect", "keys", "secret"].iter().any(|name| command == *name));
    let is_word = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(word)) => !word.starts_with("--"),
        _ => false,
    };
    if error.kind() == ErrorKind::UnknownArgument && takes_no_words && is_word {
        tell(
            "lambda-session: no secret and no token goes on a command line, where others can read it; \
             `inspect` reads standard input, `keys import` a file",
        );
    } else {
        let _ = error.print();
    }
    ExitCode::from(if is_help { DONE } else { USAGE })
}

const DONE: u8 = 0;
const REFUSED: u8 = 1;
const USAGE: u8 = 2;
const ENVIRONMENT: u8 = 3;

const EXAMPLES: &str = "\
Examples:
  lambda-session secret --env >> .env          a secret, kept where the commands find it
  lambda-session invoke post.json get.json     two events, cookies kept in between
  lambda-session serve                         the function on http://localhost:3000
  lambda-session inspect < cookie.txt          what is in this cookie, and is it good?
  lambda-session doctor                        is all that sessions need there, and good?
  lambda-session keys rotate                   a fresh key in SSM, without logging anyone out

The secret is read from SECRET_KEY_BASE, or from .env.local or .env in the working directory.
Exit codes: 0 done, 1 refused or failed, 2 usage, 3 environment or no secret.";
