//! `lambda-session serve`: a gateway on this machine, in front of a real function.

mod event;
mod front;
mod gateway;
mod hosts;
mod instances;
mod ledger;
mod listen;
mod log;
mod pages;
mod record;
mod refusal;
mod reply;
mod request;
mod watch;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lambda_session::config::Variables;
use tokio::task::JoinSet;

use crate::duration;
use crate::ends::Ends;
use crate::environment::Environment;
use crate::function::Launch;
use crate::limits::START_LIMIT;
use crate::output::{self, Failure, Out, one_line, tell};
use crate::program::program;
use crate::serve::front::Front;
use crate::serve::gateway::Gateway;
use crate::serve::hosts::Hosts;
use crate::serve::instances::Instances;
use crate::serve::ledger::Ledger;
use crate::serve::record::Recorder;
use crate::serve::watch::Plan;
use crate::serve::watch::gate::Gate;
use crate::sessions::Sessions;

/// The arguments of `serve`.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// The function to start: any program that speaks the Lambda Runtime API [default: `bootstrap` beside this program]
    #[arg(long, value_name = "PATH")]
    bootstrap: Option<PathBuf>,

    /// The port of localhost to listen at; 0 takes one that is free
    #[arg(long, default_value_t = 3000)]
    port: u16,

    /// Answer to this host name as well, besides localhost, *.localhost and loopback addresses; may be given often
    #[arg(long = "host", value_name = "NAME", value_parser = hosts::parse)]
    hosts: Vec<String>,

    /// The front door of AWS to stand for
    #[arg(long = "as", value_name = "FRONT", value_enum, default_value = "http-api")]
    front: Front,

    /// How many instances of the function run at most; each serves one request at a time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1000))]
    environments: u16,

    /// How long the function has for each event: 500ms, 30s, 1m, or seconds (for its start: as long, at least 10s)
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration::parse)]
    timeout: Duration,

    /// How long the front door waits for the function [default: 30s for http-api, 29s for rest, else as long as it takes]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    gateway_timeout: Option<Duration>,

    /// Write each event and answer into this directory, for `invoke` to play again; the files hold cookies (mode 0600)
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,

    /// Build the function anew when its sources change, and answer with the new one
    #[arg(long)]
    watch: bool,

    /// How to build it, for a shell in the working directory, all files of which are sources then [default: `cargo build` of
    /// the program, if it lies in cargo's target directory; else nothing is built, and the files beside it are watched]
    #[arg(long, value_name = "COMMAND", requires = "watch")]
    build: Option<String>,
}

/// All that must be read again when settings change.
#[derive(Debug)]
struct Setup {
    program: PathBuf,
    /// How long the function may take to start.
    limit: Duration,
}

impl Setup {
    /// How to start the function, and how to look at its sessions.
    fn read(&self) -> Result<(Launch, Option<Sessions>), Failure> {
        let environment = Environment::read()?;
        let sessions = Sessions::of(&environment).unwrap_or_else(|error| {
            tell(format!("lambda-session: sessions are not shown: {}", one_line(&format!("{error:?}"))));
            None
        });
        let variables = environment.for_function(&self.program);
        Ok((Launch { program: self.program.clone(), variables, limit: self.limit }, sessions))
    }
}

/// Serves until it is told to stop.
pub(crate) fn run(arguments: &Arguments, out: &mut Out) -> Result<(), Failure> {
    let environment = Environment::read()?;
    let program = program(arguments.bootstrap.as_deref())?;
    let setup = Setup { program, limit: arguments.timeout.max(START_LIMIT) };
    let plan =
        arguments.watch.then(|| Plan::of(&setup.program, arguments.build.as_deref(), arguments.record.as_deref()));
    let plan = plan.transpose()?;
    let is_served_as_it_is = plan.as_ref().is_none_or(Plan::builds_nothing);
    if is_served_as_it_is && !setup.program.exists() {
        let message = format!("there is no {}: build it, or name another with --bootstrap", setup.program.display());
        return Err(Failure::Environment(message));
    }
    let (launch, sessions) = setup.read()?;
    let is_memory = |store: String| store.trim().eq_ignore_ascii_case("memory");
    if arguments.environments > 1 && environment.value("SESSION_STORE").is_some_and(is_memory) {
        tell(
            "lambda-session: with SESSION_STORE=memory each instance has sessions of its own: --environments 1 keeps them together",
        );
    }
    let recorder = arguments.record.as_deref().map(|directory| {
        let failed = |error| Failure::Environment(format!("cannot record in {}: {error}", directory.display()));
        Recorder::open(directory).map_err(failed)
    });
    let gateway = Gateway {
        front: arguments.front,
        hosts: Hosts::new(&arguments.hosts),
        patience: arguments.gateway_timeout.or(arguments.front.patience()),
        limit: arguments.timeout,
        gate: Gate::before(plan.as_ref()),
        instances: Instances::new(launch, arguments.environments.into(), arguments.timeout),
        ledger: Ledger::new(sessions),
        recorder: recorder.transpose()?,
    };
    output::spool();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Environment(format!("cannot start: {error}")))?;
    // Dropping the runtime drops all that is under way, and so stops every instance.
    runtime.block_on(serve(Arc::new(gateway), plan.map(|plan| (plan, setup)), arguments, out))
}

async fn serve(
    gateway: Arc<Gateway>,
    watched: Option<(Plan, Setup)>,
    arguments: &Arguments,
    out: &mut Out,
) -> Result<(), Failure> {
    let mut ends = Ends::listen()?;
    let port = arguments.port;
    let listeners = listen::bind(port).await.map_err(|error| taken(port, &error))?;
    let port = listeners.first().and_then(|listener| listener.local_addr().ok()).map_or(port, |address| address.port());
    let (mut listening, room) = (JoinSet::new(), listen::room());
    for listener in listeners {
        listening.spawn(listen::serve(listener, Arc::clone(&room), Arc::clone(&gateway)));
    }
    let greeting = format!("http://localhost:{port} is an {}; Ctrl-C ends it", arguments.front.kind().name());
    match out.line(greeting).and_then(|()| out.flush()) {
        // Whoever knows the port needs no greeting.
        Err(Failure::Closed) => {}
        greeted => greeted?,
    }
    if let Some((plan, setup)) = watched {
        tokio::spawn(watch::watch(plan, setup, Arc::clone(&gateway)));
    }
    ends.first().await;
    // Nobody comes in any more, to whom an instance would be given.
    listening.shutdown().await;
    gateway.instances.stop().await;
    Ok(())
}

fn taken(port: u16, error: &io::Error) -> Failure {
    let way_out = if error.kind() == io::ErrorKind::AddrInUse { "; take another with --port" } else { "" };
    Failure::Environment(format!("cannot listen at port {port} of localhost: {error}{way_out}"))
}

/// Shown below the help.
pub(crate) const EXAMPLES: &str = "\
Examples:
  lambda-session serve                          on http://localhost:3000, until Ctrl-C
  lambda-session serve --bootstrap target/debug/shop --as alb-multi --port 8080
  lambda-session serve --watch                  and a new one as soon as a source is saved
  lambda-session serve --watch --build 'npm run build' --bootstrap dist/bootstrap
  lambda-session serve --record visits          and later: lambda-session invoke visits/*.event.json

Each request becomes an event as AWS shapes it, and each answer goes back by AWS's rules and limits.
It listens on 127.0.0.1 and [::1] alone, and answers to the names of this machine and --host NAME
alone: no site whose name leads here gets to the function. What the function writes goes to standard error, each line
with the start of its request's id, between START, END and REPORT as in Lambda's log.
Where the environment does not set them, the function gets the variables of .env.local and .env.
With --watch requests wait while the function is built; after a build that failed the old one answers.
Features that cargo must be told of go into --build. A change of .env files needs no build.
A browser, and curl, keep Secure and __Host- cookies of http://localhost.
http://localhost:3000/_session shows the browser's session and what the last requests did to it.
It is for this machine alone; values show after a click, and to curl not at all.

Exit codes: 0 stopped by Ctrl-C, SIGTERM or SIGHUP; 2 usage; 3 the port is taken, or there is no function.";
