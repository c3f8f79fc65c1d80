//! What a session in memcached costs in round trips, counted at the socket: a tap between the function and a real
//! memcached sees every byte (security.md, MC1, CA11; SL7).
#![cfg(feature = "memcached")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects
)]

#[path = "memcached/support/mod.rs"]
#[allow(dead_code, unused_imports)]
mod cache;
mod support;

use std::{
    net::TcpListener as StdListener,
    sync::{Arc, Mutex},
};

use lambda_session::store::MemcachedStore;
use support::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What went through a tap.
#[derive(Clone, Debug, Default, PartialEq)]
struct Traffic {
    connections: usize,
    /// How often somebody asked and was answered.
    round_trips: usize,
    /// What the commands were called.
    commands: String,
    /// Whether somebody has asked and not been answered yet.
    is_asked: bool,
}

/// A proxy that changes nothing and counts.
struct Tap {
    port: u16,
    traffic: Arc<Mutex<Traffic>>,
}

impl Tap {
    fn start(upstream: u16) -> Self {
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let traffic = Arc::<Mutex<Traffic>>::default();
        let shared = traffic.clone();
        cache::PEERS.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                shared.lock().unwrap().connections += 1;
                tokio::spawn(forward(stream, upstream, shared.clone()));
            }
        });
        Self { port, traffic }
    }

    /// What went through since the last time.
    fn traffic(&self) -> Traffic {
        std::mem::take(&mut *self.traffic.lock().unwrap())
    }
}

async fn forward(mut client: TcpStream, upstream: u16, traffic: Arc<Mutex<Traffic>>) {
    let mut server = TcpStream::connect(("127.0.0.1", upstream)).await.unwrap();
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (mut request, mut answer) = ([0; 16384], [0; 16384]);
    loop {
        tokio::select! {
            read = client.read(&mut request) => {
                let Ok(length @ 1..) = read else { return };
                traffic.lock().unwrap().ask(&request[..length]);
                server.write_all(&request[..length]).await.unwrap();
            }
            read = server.read(&mut answer) => {
                let Ok(length @ 1..) = read else { return };
                traffic.lock().unwrap().is_asked = false;
                client.write_all(&answer[..length]).await.unwrap();
            }
        }
    }
}

impl Traffic {
    fn ask(&mut self, bytes: &[u8]) {
        if !self.is_asked {
            self.round_trips += 1;
            let words = String::from_utf8_lossy(bytes).into_owned();
            let space = if self.commands.is_empty() { "" } else { " " };
            self.commands = format!("{}{space}{}", self.commands, words.split_whitespace().next().unwrap());
        }
        self.is_asked = true;
    }

    /// So many round trips on the connection that is open, with these commands.
    fn of(round_trips: usize, commands: &str) -> Self {
        Self { connections: 0, round_trips, commands: commands.to_owned(), is_asked: false }
    }
}

#[test]
fn a_session_costs_two_round_trips_if_it_changes_one_if_it_is_read_and_else_none() {
    cache::run(async {
        let server = cache::Memcached::start(&[]);
        let tap = Tap::start(server.port);
        let client = cache::client(cache::patient(&format!("127.0.0.1:{}", tap.port)));
        let app = app(MemcachedStore::new(client, keyring(&[0])));
        let token = send(&app, "/set-a=1", &[]).await.token().unwrap();
        let first = tap.traffic();
        assert_eq!((first.connections, first.commands.as_str()), (1, "version ms"), "a connection and a new session");
        let line = cookie(&token);
        // The last character holds bits that are not used; any other one counts.
        let middle = token.len() / 2;
        let other = if &token[middle..=middle] == "A" { "B" } else { "A" };
        let forged = cookie(&format!("{}{other}{}", &token[..middle], &token[middle + 1..]));
        let stranger = cookie(&"A".repeat(token.len()));
        for round in 0..3 {
            for (name, path, line, expected) in [
                ("changed", format!("/set-a={round}{round}"), &line, Traffic::of(2, "mg ms")),
                ("read", "/read".to_owned(), &line, Traffic::of(1, "mg")),
                ("read twice", "/read/read".to_owned(), &line, Traffic::of(1, "mg")),
                ("set to what it was", format!("/set-a={round}{round}"), &line, Traffic::of(1, "mg")),
                ("untouched", "/untouched".to_owned(), &line, Traffic::default()),
                ("forged and read", "/read".to_owned(), &forged, Traffic::default()),
                ("forged and untouched", "/untouched".to_owned(), &forged, Traffic::default()),
                ("made up", "/read".to_owned(), &stranger, Traffic::default()),
                ("forged and changed: a new one", "/set-a=1".to_owned(), &forged, Traffic::of(1, "ms")),
            ] {
                let answer = send(&app, &path, &[line.as_bytes()]).await;
                assert_eq!(answer.status, 200, "{name}");
                assert_eq!(tap.traffic(), expected, "{name}, round {round}");
            }
        }
        assert_eq!(send(&app, "/read", &[]).await.status, 200);
        assert_eq!(tap.traffic(), Traffic::default(), "no cookie, no session");
        assert_eq!(send(&app, "/destroy", &[line.as_bytes()]).await.status, 200);
        assert_eq!(tap.traffic(), Traffic::of(2, "mg md"), "a logout");
    });
}
