//! `lambda-session invoke`: events go through a real function, cookies stay as in a browser.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::answer::Answer;
use crate::change::Change;
use crate::ends::Ends;
use crate::environment::Environment;
use crate::event::{Dressed, Event, Kind};
use crate::function::Launch;
use crate::jar::{self, Jar};
use crate::jar_file::JarFile;
use crate::limits::{ALB_LIMIT_BYTES, EVENT_LIMIT_BYTES, START_LIMIT};
use crate::outcome::{Answered, CookieSet, FaultKind, Outcome, Unanswered};
use crate::output::{Failure, Out, one_line, tell};
use crate::posted::{kind_of, read_answer};
use crate::program::program;
use crate::sandbox::{Invoked, Sandbox};
use crate::sessions::Sessions;
use crate::{duration, report};

/// The arguments of `invoke`.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// The function to start: any program that speaks the Lambda Runtime API [default: `bootstrap` beside this program]
    #[arg(long, value_name = "PATH")]
    bootstrap: Option<PathBuf>,

    /// Print one JSON object per event, one per line
    #[arg(long)]
    json: bool,

    /// Keep the cookies in this file (mode 0600), from one run to the next
    #[arg(long, value_name = "FILE", conflicts_with = "no_jar")]
    jar: Option<PathBuf>,

    /// Keep no cookies: send every event as it stands
    #[arg(long)]
    no_jar: bool,

    /// How long the function has for each event: 500ms, 30s, 1m, or seconds (for its start: as long, at least 10s)
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration::parse)]
    timeout: Duration,

    /// Files with one event each, as JSON; `-` reads one from standard input
    #[arg(value_name = "EVENT.json", required = true)]
    events: Vec<PathBuf>,
}

/// Whether every event got its HTTP answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answers {
    All,
    SomeMissing,
    /// Stopped from outside, by the signal of this number.
    Interrupted(u8),
}

pub(crate) fn run(arguments: &Arguments, out: &mut Out) -> Result<Answers, Failure> {
    let events = read_events(&arguments.events)?;
    let keeping = Keeping::open(arguments).map_err(Failure::Usage)?;
    let environment = Environment::read()?;
    let program = program(arguments.bootstrap.as_deref())?;
    let sessions = Sessions::of(&environment).unwrap_or_else(|error| {
        tell(format!("lambda-session: sessions are not shown: {}", one_line(&format!("{error:?}"))));
        None
    });
    let variables = environment.for_function(&program);
    let launch = Launch { program, variables, limit: arguments.timeout.max(START_LIMIT) };
    let sandbox = Sandbox::new(launch, arguments.timeout);
    let mut run = Run { sandbox, keeping, sessions, json: arguments.json, answers: Answers::All };

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Environment(format!("cannot start: {error}")))?;
    runtime.block_on(async {
        let mut ends = Ends::listen()?;
        tokio::select! {
            ended = run.all(&events, out) => ended,
            number = ends.first() => Ok(Answers::Interrupted(number)),
        }
        // Dropping the run stops the function.
    })
}

struct Run {
    sandbox: Sandbox,
    keeping: Keeping,
    sessions: Option<Sessions>,
    json: bool,
    answers: Answers,
}

/// Where cookies stay between two events.
struct Keeping {
    jar: Jar,
    file: Option<JarFile>,
    forgets: bool,
}

impl Keeping {
    fn open(arguments: &Arguments) -> Result<Self, String> {
        let (file, jar) = match &arguments.jar {
            Some(path) => JarFile::open(path).map(|(file, jar)| (Some(file), jar))?,
            None => (None, Jar::default()),
        };
        Ok(Self { jar, file, forgets: arguments.no_jar })
    }

    fn save(&mut self) -> Result<(), Failure> {
        if self.forgets {
            self.jar = Jar::default();
        }
        self.file.as_ref().map_or(Ok(()), |file| file.save(&self.jar).map_err(Failure::Environment))
    }
}

impl Run {
    async fn all(&mut self, events: &[Event], out: &mut Out) -> Result<Answers, Failure> {
        for (index, event) in events.iter().enumerate() {
            let outcome = self.one(index.saturating_add(1), event).await?;
            if outcome.result.is_err() {
                self.answers = Answers::SomeMissing;
            }
            self.keeping.save()?;
            let printed = if self.json {
                out.line(one_line(&outcome.json().to_string())).and_then(|()| out.flush())
            } else {
                report::print(&outcome, out)
            };
            match printed {
                // Nobody wants to know more.
                Err(Failure::Closed) => break,
                printed => printed?,
            }
        }
        self.sandbox.stop().await;
        Ok(self.answers)
    }

    async fn one<'a>(&mut self, number: usize, event: &'a Event) -> Result<Outcome<'a>, Failure> {
        let dressed = event.with_cookies_of(&self.keeping.jar, jar::seconds_now());
        let refused = |message: String| Outcome {
            number,
            event,
            sent: dressed.cookies.clone(),
            started: None,
            took: None,
            result: Err(Unanswered { kind: FaultKind::TooLarge, message, output: String::new() }),
            notes: Vec::new(),
        };
        if let Some(message) = request_excess(event, &dressed) {
            return Ok(refused(message));
        }
        let invoked = self.sandbox.invoke(Bytes::from(dressed.text.clone())).await;
        let Invoked { ending, output, started, mut notes } =
            invoked.map_err(|error| Failure::Environment(one_line(&error.to_string())))?;
        let unanswered = |kind, message| Unanswered { kind, message, output: output.clone() };
        let result = match &ending.result {
            Err(fault) => Err(unanswered(kind_of(fault), fault.to_string())),
            Ok(posted) => {
                read_answer(event.kind, posted, &mut notes).map_err(|(kind, message)| unanswered(kind, message))
            }
        };
        let took = Some(ending.took);
        let result = result.map(|answer| self.take_cookies(event, &dressed, answer));
        Ok(Outcome { number, event, sent: dressed.cookies, started, took, result, notes })
    }

    /// Puts the answer's cookies into the jar, as a browser would, and looks at the session before and after.
    fn take_cookies(&mut self, event: &Event, dressed: &Dressed, answer: Answer) -> Answered {
        let (now, origin) = (SystemTime::now(), event.origin());
        let name = self.sessions.as_ref().map(Sessions::name);
        let cookies: Vec<_> = answer
            .set_cookies
            .iter()
            .map(|line| CookieSet::taken(&mut self.keeping.jar, line, &origin, name))
            .collect();
        let session = self.sessions.as_ref().map(|sessions| Change {
            before: sessions.seen_in(&dressed.cookies, now),
            after: sessions.seen_in_answer(&cookies, now),
        });
        Answered { answer, cookies, session }
    }
}

/// Why Lambda would not even see the event.
fn request_excess(event: &Event, dressed: &Dressed) -> Option<String> {
    let excess = |what: &str, size, limit| format!("{what} of {size} bytes is over the limit of {limit} bytes");
    let (event_bytes, body_bytes) = (dressed.text.len(), event.body_bytes());
    if event_bytes > EVENT_LIMIT_BYTES {
        return Some(excess("an event", event_bytes, EVENT_LIMIT_BYTES));
    }
    let is_alb = matches!(event.kind, Kind::Alb | Kind::AlbMulti);
    (is_alb && body_bytes > ALB_LIMIT_BYTES).then(|| excess("a request body", body_bytes, ALB_LIMIT_BYTES))
}

fn read_events(paths: &[PathBuf]) -> Result<Vec<Event>, Failure> {
    if paths.iter().filter(|path| is_stdin(path)).count() > 1 {
        return Err(Failure::Usage("standard input holds one event: name `-` once".to_owned()));
    }
    paths.iter().map(|path| read_event(path).map_err(Failure::Usage)).collect()
}

fn read_event(path: &Path) -> Result<Event, String> {
    let (source, bytes) = if is_stdin(path) {
        let mut bytes = Vec::new();
        ("standard input".to_owned(), io::stdin().read_to_end(&mut bytes).map(|_| bytes))
    } else {
        (path.display().to_string(), fs::read(path))
    };
    let bytes = bytes.map_err(|error| format!("cannot read {source}: {error}"))?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{source} is not UTF-8 text, so not JSON"))?;
    Event::parse(&source, text.trim_start_matches('\u{feff}').to_owned())
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// Shown below the help.
pub(crate) const EXAMPLES: &str = "\
Examples:
  lambda-session invoke events/http-api-first.json events/http-api-returning.json
  lambda-session invoke --json --bootstrap target/lambda/shop event.json | jq .status
  lambda-session invoke --jar jar.json login.json    and later: --jar jar.json cart.json
  sam local generate-event apigateway http-api-proxy | lambda-session invoke -

The function is started as Lambda starts it, against a Lambda Runtime API on 127.0.0.1;
this command sends nothing to any other machine. Cookies are kept between the events as a
browser would keep them. What the function writes goes to standard error.
Where the environment does not set them, it gets the variables of .env.local and .env.
Where the secret is at hand, the report shows what the session holds and what changed.

Exit codes: 0 every event got an HTTP answer, of any status; 1 one did not;
2 usage, or an event that is not JSON; 3 the function cannot be started.";
