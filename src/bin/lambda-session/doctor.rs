//! `lambda-session doctor`: whether secrets, settings and store are fit for use, and the way out where they are not.

#[cfg(feature = "memcached")]
mod advice;
mod check;
#[cfg(feature = "memcached")]
mod cluster;
mod configuration;
mod secrets;
mod table;

use lambda_session::config::Settings;

use crate::doctor::check::{Check, Verdict};
use crate::environment::Environment;
use crate::output::{Failure, Out};

/// The arguments of `doctor`.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Print one JSON object per check, one per line
    #[arg(long)]
    json: bool,
}

/// Whether a function with these settings can keep sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Good,
    Bad,
}

pub(crate) fn run(arguments: &Arguments, out: &mut Out) -> Result<Health, Failure> {
    let environment = Environment::read()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Environment(format!("cannot start: {error}")))?;
    let checks = runtime.block_on(examine(&environment));
    // The system's resolver may hang on a thread of its own: nobody waits for it.
    runtime.shutdown_background();
    if arguments.json {
        checks.iter().try_for_each(|check| out.line(check.json()))?;
        out.flush()?;
    } else {
        table::print(&checks, out)?;
    }
    let is_bad = checks.iter().any(|check| check.verdict == Verdict::Bad);
    Ok(if is_bad { Health::Bad } else { Health::Good })
}

/// Everything in one go: what is wrong with one thing hides nothing of another.
async fn examine(environment: &Environment) -> Vec<Check> {
    let (store, settings) = configuration::store(environment);
    let (secrets, nodes) = tokio::join!(secrets::examine(environment), nodes(settings.as_ref()));
    let mut checks = vec![secrets];
    checks.extend(configuration::cookie_and_lifetime(environment));
    checks.extend(store);
    checks.extend(nodes);
    checks
}

#[cfg(feature = "memcached")]
async fn nodes(settings: Option<&Settings>) -> Vec<Check> {
    match settings.and_then(Settings::memcached) {
        Some(client) => cluster::examine(client).await,
        None => Vec::new(),
    }
}

#[cfg(not(feature = "memcached"))]
async fn nodes(_: Option<&Settings>) -> Vec<Check> {
    Vec::new()
}

/// Shown below the help.
pub(crate) const EXAMPLES: &str = "\
Examples:
  lambda-session doctor                        this directory's secrets, settings and store
  SESSION_STORE=memcached MEMCACHE_SERVERS=shop.abc.cfg.euw1.cache.amazonaws.com:11211 \\
    lambda-session doctor                      every node that the endpoint lists
  lambda-session doctor --json | jq -r 'select(.verdict == \"bad\").finding'

It reads the function's own variables from the environment, .env.local and .env. Each node is asked from here,
so an ElastiCache cluster only answers inside its VPC; one throw-away value is written to it, read and deleted.
A node has a second to answer, and SSM two, all at once.

Exit codes: 0 all is good, warnings allowed; 1 something is wrong; 2 usage; 3 a .env file cannot be read.";
