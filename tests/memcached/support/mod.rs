//! Peers to talk to: real servers, a proxy that does harm in front of one, a listener that answers by a script.

mod leads;
mod load;
mod proxy;
mod script;

use std::{
    collections::HashMap,
    future::Future,
    io::{Read, Write},
    net::{TcpListener as StdListener, TcpStream as StdStream},
    pin::pin,
    process::{Child, Command, Stdio},
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant, SystemTime},
};

use lambda_session::memcached::{
    Client, Clock, Event, Failure, FailureKind, Key, Moment, NodeId, Observe, Settings, Ttl,
};
use tokio::runtime::{Builder, Runtime};

pub(crate) use self::leads::Leads;
pub(crate) use self::load::{Load, Visit, p99};
pub(crate) use self::proxy::{Board, Harm, Proxy};
pub(crate) use self::script::{Say, Script, opaque, say};

/// Where peers run: on threads of their own, so that a client whose runtime is blocked does not block them.
pub(crate) static PEERS: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

/// A memcached on a free port of loopback.
pub(crate) struct Memcached {
    pub(crate) port: u16,
    arguments: Vec<String>,
    child: Child,
}

impl Memcached {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        for _ in 0..10 {
            let port = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if let Some(child) = spawn(port, &arguments) {
                return Self { port, arguments, child };
            }
        }
        panic!("memcached {arguments:?} does not start");
    }

    pub(crate) fn name(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn id(&self) -> NodeId {
        NodeId::of(&self.name())
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn terminate(&mut self) {
        self.signal("-TERM");
        let _ = self.child.wait();
    }

    pub(crate) fn restart(&mut self) {
        self.kill();
        for _ in 0..50 {
            if let Some(child) = spawn(self.port, &self.arguments) {
                self.child = child;
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("memcached does not start again on port {}", self.port);
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Says something past the client, and hears the first bytes of the answer.
    pub(crate) fn tell(&self, command: &str) -> String {
        let mut stream = StdStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(command.as_bytes()).unwrap();
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    /// The CAS number of a value, asked past the client.
    pub(crate) fn cas(&self, key: &str) -> u64 {
        self.tell(&format!("mg {key} c\r\n")).trim_end().strip_prefix("HD c").unwrap().parse().unwrap()
    }

    /// How many values are stored.
    pub(crate) fn items(&self) -> usize {
        self.stat("curr_items")
    }

    /// How many connections it has besides the one that asks.
    pub(crate) fn connections(&self) -> usize {
        self.stat("curr_connections") - 1
    }

    pub(crate) fn stat(&self, name: &str) -> usize {
        let stats = self.tell("stats\r\n");
        let line = stats.lines().find_map(|line| line.strip_prefix(&format!("STAT {name} "))).unwrap();
        line.parse().unwrap()
    }

    /// What is stored under a key, asked past the client.
    pub(crate) fn stored(&self, key: &Key) -> Option<String> {
        let answer = self.tell(&format!("mg {} v\r\n", key.as_str()));
        let (head, rest) = answer.split_once("\r\n").unwrap();
        head.starts_with("VA").then(|| rest.strip_suffix("\r\n").unwrap().to_owned())
    }
}

impl Drop for Memcached {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Signals a process; one that is to stop has stopped when this returns.
pub(crate) fn signal(process: u32, name: &str) {
    let done = Command::new("kill").args([name, &process.to_string()]).status().unwrap();
    assert!(done.success());
    // A signal is only on its way yet.
    while name == "-STOP" && !is_stopped(process) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn is_stopped(process: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    threads.map(|thread| std::fs::read_to_string(thread.unwrap().path().join("stat")).unwrap()).all(|stat| {
        let (_, rest) = stat.rsplit_once(") ").unwrap();
        rest.starts_with('T')
    })
}

fn spawn(port: u16, arguments: &[String]) -> Option<Child> {
    let mut child = Command::new("memcached")
        .args(["-u", "nobody", "-l", "127.0.0.1", "-U", "0", "-t", "1", "-p", &port.to_string()])
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("memcached is installed");
    for _ in 0..200 {
        if listens(child.id(), port) {
            return Some(child);
        }
        if !matches!(child.try_wait(), Ok(None)) {
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

/// Whether it is this process that listens there: another test may have been faster to take a free port.
fn listens(process: u32, port: u16) -> bool {
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let inode = sockets.lines().skip(1).find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        (fields[3] == "0A" && fields[1].ends_with(&format!(":{port:04X}"))).then(|| format!("socket:[{}]", fields[9]))
    });
    let Some(inode) = inode else { return false };
    let Ok(files) = std::fs::read_dir(format!("/proc/{process}/fd")) else { return false };
    files.flatten().any(|file| std::fs::read_link(file.path()).is_ok_and(|link| link.as_os_str() == inode.as_str()))
}

/// A clock that is set forward by hand.
#[derive(Clone)]
pub(crate) struct Hands(Arc<AtomicU64>);

impl Hands {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    pub(crate) fn forward(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    pub(crate) fn clock(&self) -> Clock {
        let (hands, start) = (self.clone(), Moment::now());
        Clock::new(move || {
            let passed = Duration::from_millis(hands.0.load(Ordering::SeqCst));
            Moment { monotonic: start.monotonic + passed, wall: start.wall + passed }
        })
    }
}

/// The system's clocks, set forward by hand.
#[derive(Clone)]
pub(crate) struct Shift(Arc<AtomicU64>);

impl Shift {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    pub(crate) fn forward(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    pub(crate) fn clock(&self) -> Clock {
        let shift = self.clone();
        Clock::new(move || {
            let (by, now) = (Duration::from_millis(shift.0.load(Ordering::SeqCst)), Moment::now());
            Moment { monotonic: now.monotonic + by, wall: now.wall + by }
        })
    }
}

/// Counts what it sees, by the name of the event.
#[derive(Default)]
pub(crate) struct Counts(Mutex<HashMap<String, usize>>);

impl Observe for Counts {
    fn on(&self, event: &Event<'_>) {
        let name = match event {
            Event::Discarded { reason, .. } => format!("{reason:?}"),
            Event::Breaker { state, .. } => format!("Breaker{state:?}"),
            Event::Dialled { resumed: Some(true), .. } => "Resumed".to_owned(),
            other => format!("{other:?}").split([' ', '{']).next().unwrap().to_owned(),
        };
        *self.0.lock().unwrap().entry(name).or_default() += 1;
    }
}

impl Counts {
    pub(crate) fn of(&self, name: &str) -> usize {
        self.0.lock().unwrap().get(name).copied().unwrap_or(0)
    }
}

pub(crate) fn settings(servers: &str) -> Settings {
    Settings::new(servers).unwrap()
}

/// Settings with times so long that a slow machine does not spoil the test.
pub(crate) fn patient(servers: &str) -> Settings {
    let long = Duration::from_secs(5);
    settings(servers).exchange_time(long).suspect_exchange_time(long).dial_time(long).warm_time(long).cold_time(long)
}

pub(crate) fn client(settings: Settings) -> Client {
    Client::new(settings).unwrap()
}

pub(crate) fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

pub(crate) fn minute() -> Ttl {
    Ttl::after(Duration::from_secs(60), SystemTime::now()).unwrap()
}

/// A deadline that no test waits for.
pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

pub(crate) fn kind<T: std::fmt::Debug>(result: Result<T, Failure>) -> FailureKind {
    result.unwrap_err().kind()
}

/// What a node of a cluster of these nodes answers to `config get cluster`.
pub(crate) fn list(version: u64, nodes: &[impl AsRef<str>]) -> String {
    let nodes: Vec<_> = nodes
        .iter()
        .map(|name| {
            let (host, port) = name.as_ref().rsplit_once(':').unwrap();
            format!("{host}||{port}")
        })
        .collect();
    let payload = format!("{version}\n{}\n", nodes.join(" "));
    format!("CONFIG cluster 0 {}\r\n{payload}\r\nEND\r\n", payload.len())
}

/// Runs a test body on a current-thread runtime, as Lambda has it.
pub(crate) fn run<F: Future>(body: F) -> F::Output {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(body)
}

/// Polls a future so many times, whenever something may have happened, and drops it.
pub(crate) async fn poll_times<F: Future>(future: F, times: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..times {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}
