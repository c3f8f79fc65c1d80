//! A configuration endpoint: a memcached behind a listener that answers the question for the list of nodes, which Debian's
//! does not know, and counts what that takes.

use std::{
    fmt::Write as _,
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::Failed;

/// How many bytes questions and lists took.
#[derive(Default)]
pub struct Bytes(AtomicUsize);

impl Bytes {
    pub fn take(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

/// The listener; it is a node of its own list, and the only one that is there.
pub struct Endpoint(SocketAddr);

impl Endpoint {
    /// In front of the memcached at `upstream`, with so many nodes in its list.
    pub fn start(upstream: SocketAddr, nodes: usize, bytes: Arc<Bytes>) -> Result<Self, Failed> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let list = list(address, nodes)?;
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (list, bytes) = (list.clone(), bytes.clone());
                // The end of a connection is no news.
                thread::spawn(move || serve(client, upstream, &list, &bytes));
            }
        });
        Ok(Self(address))
    }

    pub fn address(&self) -> SocketAddr {
        self.0
    }
}

fn serve(mut client: TcpStream, upstream: SocketAddr, list: &str, bytes: &Bytes) -> io::Result<()> {
    let mut server = TcpStream::connect(upstream)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from, mut to) = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || io::copy(&mut from, &mut to));
    let mut buffer = [0; 8192];
    loop {
        let length = client.read(&mut buffer)?;
        let mut asked = buffer.get(..length).unwrap_or_default();
        if asked.is_empty() {
            return Ok(());
        }
        // A client sends what belongs together in one packet, and on loopback it comes so.
        loop {
            if let Some(rest) = asked.strip_prefix(b"version\r\n") {
                client.write_all(b"VERSION 1.6.18\r\n")?;
                asked = rest;
            } else if let Some(rest) = asked.strip_prefix(QUESTION) {
                client.write_all(list.as_bytes())?;
                bytes.0.fetch_add(QUESTION.len() + list.len(), Ordering::Relaxed);
                asked = rest;
            } else {
                break;
            }
        }
        server.write_all(asked)?;
    }
}

/// The list, with names as long as ElastiCache's.
fn list(first: SocketAddr, nodes: usize) -> Result<String, Failed> {
    let mut list = format!("1\n{}||{}", first.ip(), first.port());
    for number in 2..=nodes {
        write!(list, " sessions.abc123.{number:04}.euw1.cache.amazonaws.com|10.0.0.{number}|11211")?;
    }
    list.push('\n');
    Ok(format!("CONFIG cluster 0 {}\r\n{list}\r\nEND\r\n", list.len()))
}

const QUESTION: &[u8] = b"config get cluster\r\n";
