//! A process that is really stopped and goes on later, as Lambda freezes and thaws an environment.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use lambda_session::memcached::NodeId;

use crate::support::{Harm, Memcached, Proxy, client, key, minute, patient, run, signal, soon};

/// Tells the child where its cache is; the child is this test program, asked for this one test.
const CACHE: &str = "LAMBDA_SESSION_TEST_CACHE";
const TEST: &str = "freeze::a_process_that_was_stopped_notices_nothing_of_its_dead_connection";
/// What the child's lines begin with, among those of the test harness.
const MARK: &str = "child: ";

/// Scenario 8: the connection is closed, or becomes a black hole, while the process is stopped: the first read after it
/// is right, and at most a hedge and a dial late.
#[test]
fn a_process_that_was_stopped_notices_nothing_of_its_dead_connection() {
    if let Ok(name) = std::env::var(CACHE) {
        return be_the_child(&name);
    }
    let server = Memcached::start(&[]);
    server.tell("ms k 5\r\nhello\r\n");
    let proxy = Proxy::start(server.port, |_| Harm::None);
    let mut child = Frozen::start(&proxy.name());
    assert_eq!(child.read().0, "hello");
    for (name, fate) in [("closed", Proxy::close_connections as fn(&Proxy)), ("black hole", Proxy::forget_connections)]
    {
        let before = proxy.accepted();
        child.stop();
        fate(&proxy);
        // Long enough for the connection to be doubted; while the process is stopped its timers are, too.
        std::thread::sleep(Duration::from_millis(1100));
        child.go_on();
        let (value, took) = child.read();
        assert_eq!(value, "hello", "{name}");
        assert!(took < Duration::from_millis(250), "{name}: {took:?}");
        assert_eq!(child.read().0, "hello", "{name}");
        assert_eq!(proxy.accepted(), before + 1, "{name}: dials");
    }
}

/// Reads once for every line that comes.
fn be_the_child(name: &str) {
    run(async {
        let (client, node) = (client(patient(name)), NodeId::of(name));
        for _ in std::io::stdin().lock().lines() {
            let began = Instant::now();
            let read = client.get_and_touch(node, &key("k"), minute(), soon()).await;
            let value =
                read.map(|value| value.map(|value| String::from_utf8(value.bytes).unwrap()).unwrap_or_default());
            let took = began.elapsed().as_micros();
            println!("\n{MARK}{took} {}", value.unwrap_or_else(|failure| format!("{failure:?}")));
        }
    });
}

struct Frozen {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Frozen {
    fn start(cache: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", TEST, "--nocapture", "--test-threads", "1"])
            .env(CACHE, cache)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    /// What the child read, and how long that took it.
    fn read(&mut self) -> (String, Duration) {
        self.input.write_all(b"\n").unwrap();
        for line in (&mut self.output).lines() {
            if let Some(report) = line.unwrap().strip_prefix(MARK) {
                let (micros, value) = report.split_once(' ').unwrap();
                return (value.to_owned(), Duration::from_micros(micros.parse().unwrap()));
            }
        }
        panic!("the child ended");
    }

    fn stop(&self) {
        signal(self.child.id(), "-STOP");
    }

    fn go_on(&self) {
        signal(self.child.id(), "-CONT");
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
