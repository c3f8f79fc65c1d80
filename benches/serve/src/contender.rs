//! What is timed: something that takes a visit, and a gateway as one such.

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::http::Inbox;

/// Something that takes a visit which changes a session.
pub trait Contender {
    fn name(&self) -> &'static str;

    /// How long one visit took.
    fn visit(&mut self) -> io::Result<Duration>;
}

/// A gateway on this machine, before the function.
pub struct Gateway {
    name: &'static str,
    child: Child,
    inbox: Inbox,
    port: u16,
    cookie: String,
    /// From its start until it took a connection, and until it had answered.
    pub ready: Duration,
    pub first: Duration,
}

impl Gateway {
    /// Starts `command`, whose last argument is to be a port.
    pub fn start(name: &'static str, mut command: Command) -> io::Result<Self> {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        command.arg(port.to_string()).env("SECRET_KEY_BASE", SECRET);
        // A group of its own, so that the functions end with it.
        let begin = Instant::now();
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn()?;
        let stream = loop {
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
                break stream;
            }
            if let Some(status) = child.try_wait()? {
                return Err(io::Error::other(format!("{name} ended: {status}")));
            }
            if begin.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("{name} does not listen")));
            }
            thread::sleep(GLANCE);
        };
        let ready = begin.elapsed();
        let inbox = Inbox::new(stream)?;
        let mut gateway = Self { name, child, inbox, port, cookie: String::new(), ready, first: ready };
        gateway.visit()?;
        gateway.first = begin.elapsed();
        Ok(gateway)
    }
}

impl Contender for Gateway {
    fn name(&self) -> &'static str {
        self.name
    }

    /// From just before the request is written to the answer read.
    fn visit(&mut self) -> io::Result<Duration> {
        let (port, cookie) = (self.port, &self.cookie);
        let cookie = if cookie.is_empty() { String::new() } else { format!("Cookie: {cookie}\r\n") };
        let request = format!(
            "POST /posts HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: bench\r\nContent-Type: application/json\r\n\
             {cookie}Content-Length: 16\r\n\r\n{{\"color\":\"blue\"}}"
        );
        let begin = Instant::now();
        self.inbox.stream.write_all(request.as_bytes())?;
        let message = self.inbox.read()?.ok_or_else(|| io::Error::other("closed"))?;
        let took = begin.elapsed();
        if !message.head.starts_with("HTTP/1.1 200") {
            return Err(io::Error::other(message.head.lines().next().unwrap_or_default().to_owned()));
        }
        let line = message.header("set-cookie").ok_or_else(|| io::Error::other("no cookie"))?;
        self.cookie = cookie_in(line)?;
        Ok(took)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // The whole group, as a terminal's Ctrl-C does; the standard library cannot without unsafe code.
        let _ = Command::new("/bin/sh").args(["-c", &format!("kill -s INT -- -{}", self.child.id())]).status();
        let _ = self.child.wait();
    }
}

/// The session's cookie in a text that holds it.
pub fn cookie_in(text: &str) -> io::Result<String> {
    let start = text.find("__Host-session=").ok_or_else(|| io::Error::other(format!("no session in {text}")))?;
    let cookie = text.get(start..).unwrap_or_default().split([';', '"']).next().unwrap_or_default();
    Ok(cookie.to_owned())
}

pub const SECRET: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// `cargo lambda watch` builds before it answers.
const PATIENCE: Duration = Duration::from_secs(600);
const GLANCE: Duration = Duration::from_millis(1);
