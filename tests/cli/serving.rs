//! A running `serve`, and a client that says what it likes to it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::failures::signal;
use crate::support::{Place, Variables, python};

/// A gateway before a function, until it is dropped.
pub(crate) struct Serving {
    pub(crate) place: Place,
    child: Child,
    pub(crate) port: u16,
    /// What it said when it was ready.
    pub(crate) greeting: String,
}

impl Serving {
    /// Before the function in Python.
    pub(crate) fn python(options: &[&str]) -> Self {
        Self::before(&python(), options, &[])
    }

    pub(crate) fn before(bootstrap: &Path, options: &[&str], variables: Variables<'_>) -> Self {
        let place = Place::new();
        let mut arguments = vec!["serve", "--port", "0", "--bootstrap", bootstrap.to_str().unwrap()];
        arguments.extend(options);
        let mut command = place.command(&arguments);
        command.envs(variables.iter().copied());
        Self::started(place, command)
    }

    pub(crate) fn started(place: Place, mut command: Command) -> Self {
        let log = fs::File::create(place.path("log")).unwrap();
        command.stderr(log);
        Self::with_errors_set(place, command)
    }

    /// Where the command's standard error leads elsewhere than to the log.
    pub(crate) fn with_errors_set(place: Place, mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut greeting = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut greeting).unwrap();
        let port = greeting.split([':', ' ']).nth(2).and_then(|port| port.parse().ok());
        let port = port
            .unwrap_or_else(|| panic!("{greeting:?}: {}", fs::read_to_string(place.path("log")).unwrap_or_default()));
        Self { place, child, port, greeting }
    }

    /// What it wrote to standard error.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.place.path("log")).unwrap()
    }

    /// Waits until the log has `text` in it.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        self.wait_for_times(1, text)
    }

    /// Waits until the log has it so often, or more often.
    pub(crate) fn wait_for_times(&self, count: usize, text: &str) -> String {
        let begin = Instant::now();
        loop {
            let log = self.log();
            if log.matches(text).count() >= count {
                return log;
            }
            assert!(begin.elapsed() < Duration::from_secs(10), "no {text:?} in {log}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], self.port))).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    /// Sends `text` as it stands and reads the answer.
    pub(crate) fn raw(&self, text: impl AsRef<[u8]>) -> Heard {
        let mut stream = self.connect();
        // It may be refused before it is through.
        let _ = stream.write_all(text.as_ref());
        Heard::read(&mut stream)
    }

    /// Sends a request with these further header lines.
    pub(crate) fn ask(&self, line: &str, headers: &[&str], body: &str) -> Heard {
        let headers: String = headers.iter().flat_map(|line| [line, "\r\n"]).collect();
        let length = body.len();
        self.raw(format!(
            "{line} HTTP/1.1\r\nHost: localhost:{}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}",
            self.port
        ))
    }

    pub(crate) fn get(&self, path: &str) -> Heard {
        self.ask(&format!("GET {path}"), &[], "")
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> Heard {
        self.ask(&format!("POST {path}"), &["Content-Type: text/plain"], body)
    }

    /// Sends a signal and waits for the end; its exit code.
    pub(crate) fn stop(&mut self, name: &str) -> Option<i32> {
        signal(self.child.id(), name);
        self.child.wait().unwrap().code()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            signal(self.child.id(), "TERM");
            let _ = self.child.wait();
        }
    }
}

/// An answer, as it came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Heard {
    /// Reads one answer, of the length that it gives.
    pub(crate) fn read(stream: &mut TcpStream) -> Self {
        let mut reader = BufReader::new(stream);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            assert!(reader.read_line(&mut line).unwrap() > 0, "closed after {lines:?}");
            if line.trim_end().is_empty() {
                break;
            }
            lines.push(line.trim_end().to_owned());
        }
        let status = lines[0].split(' ').nth(1).unwrap().parse().unwrap();
        let header = |line: &String| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        let headers: Vec<_> = lines[1..].iter().filter_map(header).collect();
        let mut heard = Self { status, headers, body: Vec::new() };
        let length = heard.values("content-length").first().map_or(0, |length| length.parse().unwrap());
        heard.body = vec![0; length];
        // An answer to HEAD has a length and no body.
        if reader.read_exact(&mut heard.body).is_err() {
            heard.body.clear();
        }
        heard
    }

    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    pub(crate) fn told(&self) -> (u16, &str) {
        (self.status, self.text())
    }
}
