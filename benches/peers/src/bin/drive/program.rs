//! One program under measurement: a process on its own core, with Lambda's environment.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    time::clock_getcpuclockid,
    unistd::Pid,
};

use crate::{
    api::{Api, Turn},
    browser::{Browser, Errand, Kind},
};

/// What is started, and how.
#[derive(Clone)]
pub struct Recipe {
    pub title: &'static str,
    pub path: PathBuf,
    pub kind: Kind,
    /// What its environment has beside Lambda's.
    pub variables: Vec<(&'static str, String)>,
}

/// A running program and the Runtime API it talks to.
pub struct Program {
    title: &'static str,
    api: Api,
    child: Child,
    log: PathBuf,
    spawned: Instant,
}

impl Program {
    /// Starts the program and hands it its first event at once.
    pub fn start(recipe: &Recipe, cores: &Cores, logs: &Path) -> io::Result<Self> {
        let log = logs.join(format!("{}.log", recipe.title));
        let output = File::create(&log)?;
        let api = Api::listen(Browser::new(recipe.kind))?;
        let mut command = Command::new(&recipe.path);
        command.env_clear().envs(environment(&api, recipe)).stdin(Stdio::null());
        command.stdout(output.try_clone()?).stderr(output);
        api.begin(Errand::Write, 1);
        let (child, spawned) = cores.spawn(&mut command)?;
        Ok(Self { title: recipe.title, api, child, log, spawned })
    }

    /// Waits for the answer to the first event; the time from just before the program was spawned.
    pub fn first_answer(&mut self) -> Result<Duration, String> {
        let turn = self.finish()?;
        Ok(turn.answered.saturating_duration_since(self.spawned))
    }

    /// Runs `count` events: the time of each, and the processor time of the program per event.
    pub fn turn(&mut self, errand: Errand, count: usize) -> Result<(Vec<Duration>, Duration), String> {
        let before = self.used()?;
        self.api.begin(errand, count);
        let turn = self.finish()?;
        let cpu = self.used()?.saturating_sub(before);
        let divisor = u32::try_from(count).map_err(|error| error.to_string())?;
        Ok((turn.times, cpu / divisor.max(1)))
    }

    /// The processor time that the program has used.
    pub fn used(&self) -> Result<Duration, String> {
        let clock = clock_getcpuclockid(pid(&self.child)).map_err(|error| error.to_string())?;
        clock.now().map(Duration::from).map_err(|error| format!("the program has ended: {error}"))
    }

    pub fn title(&self) -> &'static str {
        self.title
    }

    /// The size of the largest session that the program showed, in bytes of JSON.
    pub fn shown_bytes(&self) -> usize {
        self.api.shown_bytes()
    }

    /// Resident memory.
    pub fn resident_kib(&self) -> Result<u64, String> {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.child.id())).map_err(|error| error.to_string())?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).ok_or_else(|| "no VmRSS".to_owned())
    }

    fn finish(&mut self) -> Result<Turn, String> {
        let child = &mut self.child;
        self.api.finish(|| matches!(child.try_wait(), Ok(None))).map_err(|error| {
            let said = fs::read_to_string(&self.log).unwrap_or_default();
            format!("{}: {error}\n{said}", self.title)
        })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

fn environment(api: &Api, recipe: &Recipe) -> Vec<(&'static str, String)> {
    let root = recipe.path.parent().unwrap_or(Path::new("/")).display().to_string();
    let mut variables: Vec<_> = LAMBDA.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    variables.push(("AWS_LAMBDA_RUNTIME_API", api.address()));
    variables.push(("LAMBDA_TASK_ROOT", root));
    variables.extend(recipe.variables.iter().cloned());
    variables
}

/// Where the driver and the program under measurement run.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Placement {
    /// Both on one core: no wake-up crosses cores, which on a virtual machine costs more than all that is measured
    Together,
    /// Each on its own core
    Apart,
}

/// Which core the driver has, and which one the programs.
pub struct Cores {
    driver: CpuSet,
    programs: CpuSet,
    /// What was done, for the report.
    pub account: String,
}

impl Cores {
    /// Moves this thread, and so every later one, to its core.
    pub fn pin(placement: Placement) -> nix::Result<Self> {
        let all = sched_getaffinity(Pid::from_raw(0))?;
        let usable: Vec<usize> = (0..CpuSet::count()).filter(|core| all.is_set(*core).unwrap_or(false)).collect();
        // The first core is where a machine's interrupts and chores gather, so the programs get the last one.
        let ([first, .., last] | [first @ last]) = usable[..] else { return Err(nix::Error::EINVAL) };
        let first = if placement == Placement::Together { last } else { first };
        let (mut driver, mut programs) = (CpuSet::new(), CpuSet::new());
        driver.set(first)?;
        programs.set(last)?;
        sched_setaffinity(Pid::from_raw(0), &driver)?;
        let account = match (first == last, placement) {
            (true, Placement::Together) => format!("driver and programs pinned to one core, {last}"),
            (true, Placement::Apart) => format!("driver and programs pinned to core {last}: there is no other"),
            (false, _) => format!("driver pinned to core {first}, programs to core {last}"),
        };
        Ok(Self { driver, programs, account })
    }

    fn spawn(&self, command: &mut Command) -> io::Result<(Child, Instant)> {
        // A child inherits the affinity of the thread that spawns it.
        sched_setaffinity(Pid::from_raw(0), &self.programs)?;
        let spawned = Instant::now();
        let child = command.spawn();
        sched_setaffinity(Pid::from_raw(0), &self.driver)?;
        Ok((child?, spawned))
    }
}

/// What Lambda sets for a function on `provided.al2023`. No log level: the default one counts.
const LAMBDA: &[(&str, &str)] = &[
    ("PATH", "/usr/local/bin:/usr/bin:/bin"),
    ("LANG", "en_US.UTF-8"),
    ("TZ", ":UTC"),
    ("_HANDLER", "bootstrap"),
    ("AWS_REGION", "eu-west-1"),
    ("AWS_DEFAULT_REGION", "eu-west-1"),
    ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "example"),
    ("AWS_SESSION_TOKEN", "example"),
    ("AWS_LAMBDA_FUNCTION_NAME", "posts"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
    ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/posts"),
    ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/03/12/[$LATEST]00000000000000000000000000000000"),
    ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
];

/// 32 bytes in hex, the secret of the token vectors; its 64 characters are the `cookie` crate's key.
pub const SECRET: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
