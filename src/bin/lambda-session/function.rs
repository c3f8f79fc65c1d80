//! One running function: its process, its runtime API, its words.

use std::ffi::OsString;
use std::path::PathBuf;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{fmt, io};

use tokio::process::{Child, Command};
use tokio::time;

use crate::capture::Capture;
use crate::duration;
use crate::group::Group;
use crate::runtime_api::{Call, FunctionError, Invocation, Posted, RuntimeApi};

/// How to start the function.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    /// Added to the environment that this command runs in.
    pub(crate) variables: Vec<(OsString, OsString)>,
    /// How long it may take to ask for its first event.
    pub(crate) limit: Duration,
}

/// A function that has asked for its first event.
#[derive(Debug)]
pub(crate) struct Function {
    /// Before the child: it is signalled whole while the child's number is still its own.
    group: Group,
    child: Child,
    api: RuntimeApi,
    capture: Capture,
}

/// Why a function cannot be started.
#[derive(Debug)]
pub(crate) enum StartError {
    NoListener(io::Error),
    NotRun(PathBuf, io::Error),
    Ended(ExitStatus),
    Reported(FunctionError),
    Silent(Duration),
}

/// How an event ended that was given to the function.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) result: Result<Posted, Fault>,
    /// From the moment the function took the event.
    pub(crate) took: Duration,
}

/// What a function does after an event.
#[derive(Debug)]
pub(crate) enum Settled {
    /// It asked for the next one.
    Ready,
    Ended(ExitStatus),
    Silent,
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    Reported(FunctionError),
    Ended(ExitStatus),
    TimedOut(Duration),
}

/// The function never took the event: it ended or went silent after the one before.
#[derive(Debug)]
pub(crate) struct NotTaken(pub(crate) Option<ExitStatus>);

impl Function {
    /// Starts the program and waits until it asks for an event.
    pub(crate) async fn start(launch: &Launch) -> Result<Self, StartError> {
        let api = RuntimeApi::open().await.map_err(StartError::NoListener)?;
        let mut command = Command::new(&launch.program);
        command
            .envs(launch.variables.iter().map(|(name, value)| (name, value)))
            .env("AWS_LAMBDA_RUNTIME_API", api.address())
            // Here events come one at a time: a runtime that polled for more would take one that nobody waits for.
            .env_remove("AWS_LAMBDA_MAX_CONCURRENCY")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own, so that whatever it starts can be stopped with it.
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| StartError::NotRun(launch.program.clone(), error))?;
        let mut capture = Capture::default();
        capture.follow(child.stdout.take());
        capture.follow(child.stderr.take());
        let group = Group::of(&child);
        let mut function = Self { group, child, api, capture };
        let first = time::timeout(launch.limit, function.happening()).await;
        let error = match first {
            Ok(Happening::Call(Call::Next)) => return Ok(function),
            Ok(Happening::Call(Call::InitFailed { error } | Call::Failed { error, .. })) => StartError::Reported(error),
            Ok(Happening::Call(_)) => StartError::Reported(FunctionError::default()),
            Ok(Happening::Ended { status, .. }) => StartError::Ended(status),
            Err(_) => StartError::Silent(launch.limit),
        };
        function.stop().await;
        Err(error)
    }

    /// Gives the function an event and waits for how it ends; its limit runs from the moment the function takes it.
    pub(crate) async fn invoke(&mut self, invocation: Invocation) -> Result<Ending, NotTaken> {
        self.capture.forget();
        let limit = invocation.limit;
        self.api.offer(invocation);
        let mut taken = None;
        let from = |begin: time::Instant| begin.checked_add(limit).unwrap_or(begin);
        // One timer, put off: cheaper than one for each turn.
        let mut expiry = pin!(time::sleep_until(from(time::Instant::now())));
        let (result, end) = loop {
            let happening = tokio::select! {
                biased;
                happening = self.happening() => Some(happening),
                () = &mut expiry => None,
            };
            match (happening, taken) {
                (Some(Happening::Call(Call::Taken { at })), _) => {
                    taken = Some(at);
                    expiry.as_mut().reset(from(time::Instant::from_std(at)));
                }
                (Some(Happening::Call(Call::Answered { at, answer })), _) => break (Ok(answer), at),
                (Some(Happening::Call(Call::Failed { at, error })), _) => break (Err(Fault::Reported(error)), at),
                (Some(Happening::Call(Call::InitFailed { error })), _) => {
                    break (Err(Fault::Reported(error)), Instant::now());
                }
                (Some(Happening::Call(Call::Next)), _) => {}
                (Some(Happening::Ended { at, status }), Some(_)) => break (Err(Fault::Ended(status)), at),
                (None, Some(_)) => break (Err(Fault::TimedOut(limit)), Instant::now()),
                (Some(Happening::Ended { status, .. }), None) => return Err(NotTaken(Some(status))),
                (None, None) => return Err(NotTaken(None)),
            }
        };
        let took = taken.map_or(Duration::ZERO, |at| end.saturating_duration_since(at));
        Ok(Ending { result, took })
    }

    /// Waits, at most for `limit`, until the function has said what it had to say of an event that ended so.
    pub(crate) async fn settle(&mut self, ending: &Ending, limit: Duration) -> Settled {
        match ending.result {
            Err(Fault::Ended(status)) => {
                self.capture.drain().await;
                Settled::Ended(status)
            }
            Err(Fault::TimedOut(_)) => Settled::Silent,
            // By its next poll it has written all of it.
            _ => match time::timeout(limit, self.happening()).await {
                Ok(Happening::Call(_)) => Settled::Ready,
                Ok(Happening::Ended { status, .. }) => Settled::Ended(status),
                Err(_) => Settled::Silent,
            },
        }
    }

    /// What the function wrote since it was given its event.
    pub(crate) fn output(&self) -> String {
        self.capture.text()
    }

    /// Says before each line that the function writes from now on what it belongs to.
    pub(crate) fn label(&self, prefix: String) {
        self.capture.label(prefix);
    }

    /// Its process, while it runs.
    pub(crate) fn process(&self) -> Option<u32> {
        self.child.id()
    }

    /// Stops the function as Lambda does: with a warning if it asked for one, and in any case soon.
    pub(crate) async fn stop(mut self) {
        if self.api.has_extension() {
            self.group.signal("TERM");
            let _ = time::timeout(SHUTDOWN_LIMIT, self.child.wait()).await;
        }
        self.group.signal("KILL");
        self.group.forget();
        let _ = self.child.wait().await;
        self.capture.drain().await;
    }

    async fn happening(&mut self) -> Happening {
        tokio::select! {
            biased;
            Some(call) = self.api.calls.recv() => Happening::Call(call),
            status = self.child.wait() => {
                let at = Instant::now();
                // What it posted just before it ended may still be on its way through our server.
                match time::timeout(LAST_WORDS_LIMIT, self.api.calls.recv()).await {
                    Ok(Some(call)) => Happening::Call(call),
                    _ => Happening::Ended { at, status: status.unwrap_or_default() },
                }
            }
        }
    }
}

enum Happening {
    Call(Call),
    Ended { at: Instant, status: ExitStatus },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoListener(error) => write!(f, "cannot listen on 127.0.0.1: {error}"),
            Self::NotRun(path, error) => {
                write!(f, "cannot run {}: {error}", path.display())?;
                match error.kind() {
                    io::ErrorKind::NotFound if path.exists() => {
                        f.write_str("; the file is there, so what its first line names, or its loader, is not")
                    }
                    io::ErrorKind::PermissionDenied => f.write_str("; is it executable (chmod +x)?"),
                    _ if error.raw_os_error() == Some(ENOEXEC) => {
                        f.write_str("; a script begins with a line like #!/usr/bin/env python3")
                    }
                    _ => Ok(()),
                }
            }
            Self::Ended(status) => write!(f, "the function ended before it asked for an event ({status})"),
            Self::Reported(error) => write!(f, "the function says it cannot start: {error}"),
            Self::Silent(limit) => {
                let limit = duration::spoken(*limit);
                write!(f, "the function did not ask for an event within {limit}")
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reported(error) => write!(f, "function error: {error}"),
            Self::Ended(status) => write!(f, "the function ended without an answer ({status})"),
            Self::TimedOut(limit) => write!(f, "no answer within {}; stopped", duration::spoken(*limit)),
        }
    }
}

/// "Exec format error" on Linux and macOS.
const ENOEXEC: i32 = 8;

/// What Lambda gives a runtime that asked to be told (runtime environment lifecycle, shutdown phase).
const SHUTDOWN_LIMIT: Duration = Duration::from_millis(500);

const LAST_WORDS_LIMIT: Duration = Duration::from_millis(100);
