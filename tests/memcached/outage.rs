//! Nodes that refuse, hang, come back late or not at all.

use std::{
    future::Future,
    io::{self, Read, Write},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use lambda_session::memcached::{Added, Client, FailureKind, NodeId, Resolve, Ttl};
use socket2::{Domain, Socket, Type};

use crate::support::{
    Counts, Hands, Harm, Memcached, Proxy, Script, client, key, kind, minute, patient, run, say, settings, soon,
};

async fn read(client: &Client, node: NodeId) -> Result<bool, FailureKind> {
    let read = client.get_and_touch(node, &key("k"), minute(), soon()).await;
    read.map(|value| value.is_some()).map_err(|failure| failure.kind())
}

/// Scenario 4: one time-out per environment, then errors at once; other nodes notice nothing.
#[test]
fn a_node_that_hangs_costs_one_time_out_and_no_other_node_notices() {
    run(async {
        let (hung, well) = (Memcached::start(&[]), Memcached::start(&[]));
        let (hands, counts) = (Hands::new(), Arc::new(Counts::default()));
        let servers = format!("{},{}", hung.name(), well.name());
        let client = client(settings(&servers).clock(hands.clock()).observer(counts.clone()));
        for node in [hung.id(), well.id()] {
            assert_eq!(client.add(node, &key("k"), b"v", minute(), soon()).await.unwrap(), Added::Stored);
        }
        hung.signal("-STOP");
        let began = Instant::now();
        assert_eq!(read(&client, hung.id()).await, Err(FailureKind::Unavailable));
        assert!(began.elapsed() < Duration::from_millis(400), "the first: {:?}", began.elapsed());
        let began = Instant::now();
        for _ in 0..1000 {
            assert_eq!(read(&client, hung.id()).await, Err(FailureKind::Unavailable));
        }
        assert!(began.elapsed() < Duration::from_millis(200), "1,000 more: {:?}", began.elapsed());
        let began = Instant::now();
        for number in 0..100_u8 {
            assert_eq!(read(&client, well.id()).await, Ok(true));
            assert_eq!(client.choose_node(&[number], &[], soon()).await.unwrap(), well.id(), "a new key");
        }
        assert!(began.elapsed() < Duration::from_millis(400), "the other node: {:?}", began.elapsed());
        hung.signal("-CONT");
        hands.forward(Duration::from_millis(1300));
        assert_eq!(read(&client, hung.id()).await, Ok(true), "1.3 s later");
        assert_eq!((counts.of("BreakerOpen"), counts.of("BreakerClosed")), (1, 1));
    });
}

/// Scenarios 5, 26: what a hung node does later is nobody's answer, and a logout that it did not confirm did not happen.
#[test]
fn a_late_answer_is_not_read_and_a_logout_without_an_answer_is_no_success() {
    run(async {
        let server = Memcached::start(&[]);
        let hands = Hands::new();
        let client = client(settings(&server.name()).clock(hands.clock()));
        let node = server.id();
        for user in ["alice", "bobby"] {
            client.add(node, &key(user), user.as_bytes(), minute(), soon()).await.unwrap();
        }
        server.signal("-STOP");
        let logout = client.delete(node, &key("alice"), None, soon()).await;
        assert_eq!(kind(logout), FailureKind::Unknown);
        server.signal("-CONT");
        hands.forward(Duration::from_secs(2));
        for _ in 0..50 {
            let value = client.get_and_touch(node, &key("bobby"), minute(), soon()).await.unwrap().unwrap();
            assert_eq!(value.bytes, b"bobby");
        }
    });
}

/// Scenario 5: a node that hangs for a moment only; its answer comes when the connection is long closed.
#[test]
fn an_answer_just_over_the_limit_is_never_the_next_ones() {
    run(async {
        let server = Memcached::start(&[]);
        let client = client(settings(&server.name()).probe_interval(Duration::from_millis(10)));
        let node = server.id();
        for user in ["alice", "bobby"] {
            client.add(node, &key(user), user.as_bytes(), minute(), soon()).await.unwrap();
        }
        for round in 0..5_u64 {
            server.signal("-STOP");
            let deadline = Instant::now() + Duration::from_millis(20 + round);
            assert!(client.get_and_touch(node, &key("alice"), minute(), deadline).await.is_err());
            server.signal("-CONT");
            let value = client.get_and_touch(node, &key("bobby"), minute(), soon()).await.unwrap().unwrap();
            assert_eq!(value.bytes, b"bobby");
        }
    });
}

/// Scenario 25: with real time; service is back within 2 s of the node.
#[test]
fn a_node_that_refuses_fails_fast_and_is_back_within_two_seconds() {
    run(async {
        let (mut down, well) = (Memcached::start(&[]), Memcached::start(&[]));
        let client = client(settings(&format!("{},{}", down.name(), well.name())));
        assert_eq!(read(&client, down.id()).await, Ok(false));
        down.kill();
        let began = Instant::now();
        for _ in 0..100 {
            assert_eq!(read(&client, down.id()).await, Err(FailureKind::Unavailable));
            assert_eq!(read(&client, well.id()).await, Ok(false));
        }
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        let failure = client.get_and_touch(down.id(), &key("k"), minute(), soon()).await.unwrap_err();
        let name = down.name();
        assert_eq!(
            failure.to_string(),
            format!(
                "cache node {name} is down: cannot connect to cache node {name}: it gives no connection: \
                 Connection refused (os error 111)"
            )
        );
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let _ = read(&client, down.id()).await;
        down.restart();
        let back = Instant::now();
        while read(&client, down.id()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(back.elapsed() < Duration::from_secs(2), "{:?}", back.elapsed());
    });
}

/// Scenario 27: a full server says so and closes.
#[test]
fn a_full_server_is_left_alone_for_a_while() {
    run(async {
        let script = Script::start(|_, _| crate::support::Say::Last(b"ERROR Too many open connections\r\n".to_vec()));
        let hands = Hands::new();
        let client = client(patient(&script.name()).clock(hands.clock()));
        let failure = client.get_and_touch(script.id(), &key("k"), minute(), soon()).await.unwrap_err();
        let name = script.name();
        assert_eq!(
            failure.to_string(),
            format!("cannot connect to cache node {name}: it answers \"ERROR Too many open connections\"")
        );
        for _ in 0..100 {
            assert_eq!(read(&client, script.id()).await, Err(FailureKind::Unavailable));
        }
        assert_eq!(script.accepted(), 2, "a reconnect loop");
        hands.forward(Duration::from_secs(2));
        assert_eq!(read(&client, script.id()).await, Err(FailureKind::Unavailable));
        assert_eq!(script.accepted(), 3, "one probe");
    });
}

/// Scenario 27: connects, and then silence; every deadline holds.
#[test]
fn a_server_that_accepts_and_is_silent_is_found_out_once() {
    run(async {
        let server = Memcached::start(&[]);
        let proxy = Proxy::start(server.port, |_| Harm::Silent);
        let client = client(settings(&proxy.name()));
        let began = Instant::now();
        let failure = client.get_and_touch(proxy.id(), &key("k"), minute(), soon()).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Unavailable);
        assert!(failure.to_string().contains("the greeting took more than 5"), "{failure}");
        assert!(began.elapsed() < Duration::from_millis(700), "{:?}", began.elapsed());
        for _ in 0..100 {
            assert_eq!(read(&client, proxy.id()).await, Err(FailureKind::Unavailable));
        }
        assert_eq!(proxy.accepted(), 1);
    });
}

/// Scenario 27: a real server at its limit. It says so and closes, or (`no_maxconns_fast`) accepts nothing more.
#[test]
fn a_real_server_that_is_full_is_left_alone_and_found_again() {
    run(async {
        for arguments in [&["-c", "16"][..], &["-c", "16", "-o", "no_maxconns_fast"]] {
            let server = Memcached::start(arguments);
            let crowd = crowd(server.port);
            let (hands, counts) = (Hands::new(), Arc::new(Counts::default()));
            let client = client(settings(&server.name()).clock(hands.clock()).observer(counts.clone()));
            let began = Instant::now();
            for _ in 0..100 {
                assert_eq!(read(&client, server.id()).await, Err(FailureKind::Unavailable), "{arguments:?}");
            }
            // One time-out of a dial, or two refusals; then nothing more is tried.
            assert!(began.elapsed() < Duration::from_millis(700), "{arguments:?}: {:?}", began.elapsed());
            assert_eq!(counts.of("BreakerOpen"), 1, "{arguments:?}");
            hands.forward(Duration::from_secs(2));
            assert_eq!(read(&client, server.id()).await, Err(FailureKind::Unavailable), "{arguments:?}: still full");
            drop(crowd);
            let back = Instant::now();
            while read(&client, server.id()).await.is_err() {
                hands.forward(Duration::from_secs(2));
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert!(back.elapsed() < Duration::from_secs(2), "{arguments:?}: {:?}", back.elapsed());
        }
    });
}

/// Connections until the server has room for no more.
fn crowd(port: u16) -> Vec<std::net::TcpStream> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut crowd = Vec::new();
    loop {
        let limit = Duration::from_millis(200);
        let Ok(mut stream) = std::net::TcpStream::connect_timeout(&address, limit) else { return crowd };
        stream.set_read_timeout(Some(limit)).unwrap();
        let mut greeting = [0; 7];
        let greeted = stream.write_all(b"version\r\n").and_then(|()| stream.read_exact(&mut greeting));
        if greeted.is_err() || &greeting != b"VERSION" {
            return crowd;
        }
        crowd.push(stream);
    }
}

/// Scenario 28: a node starts anew, and all environments notice at once: each opens one connection.
#[test]
fn environments_that_thaw_together_dial_no_more_than_they_need() {
    const ENVIRONMENTS: usize = 500;
    run(async {
        let mut server = Memcached::start(&["-c", "2000"]);
        let clients: Vec<_> = (0..ENVIRONMENTS).map(|_| client(patient(&server.name()))).collect();
        for round in 0..3 {
            let before = server.stat("total_connections");
            for _ in 0..2 {
                let tasks: Vec<_> = clients
                    .iter()
                    .map(|client| {
                        let (client, node) = (client.clone(), server.id());
                        tokio::spawn(async move { read(&client, node).await })
                    })
                    .collect();
                for task in tasks {
                    assert_eq!(task.await.unwrap(), Ok(false), "round {round}");
                }
            }
            // One of them is ours, that asks.
            let dialled = server.stat("total_connections") - before - 1;
            assert_eq!(dialled, ENVIRONMENTS, "round {round}");
            server.restart();
        }
    });
}

/// Scenario 4: requests that wait for a connection while the node hangs hear with those that have one that it is down.
#[test]
fn a_crowd_at_a_hung_node_is_answered_within_one_time_out() {
    run(async {
        let server = Memcached::start(&[]);
        let counts = Arc::new(Counts::default());
        let client = client(settings(&server.name()).observer(counts.clone()));
        let crowd = || {
            let tasks = (0..64).map(|_| {
                let (client, node) = (client.clone(), server.id());
                tokio::spawn(async move { read(&client, node).await })
            });
            tasks.collect::<Vec<_>>()
        };
        for task in crowd() {
            assert_eq!(task.await.unwrap(), Ok(false));
        }
        server.signal("-STOP");
        let began = Instant::now();
        for task in crowd() {
            assert_eq!(task.await.unwrap(), Err(FailureKind::Unavailable));
        }
        // An operation may take 250 ms; 54 of the 64 wait behind ten.
        assert!(began.elapsed() < Duration::from_millis(400), "{:?}", began.elapsed());
        assert_eq!(counts.of("BreakerOpen"), 1);
        server.signal("-CONT");
    });
}

/// Scenario 16: times to live are relative, so our own clock may be wrong by as much as it likes.
#[test]
fn a_relative_time_to_live_needs_no_right_clock() {
    for hours in [0_u64, 1, 24 * 365 * 40] {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(hours * 3600);
        assert_eq!(Ttl::after(Duration::from_secs(1800), now).unwrap().as_secs(), 1800);
    }
}

/// An address of loopback where connecting takes for ever: the queue of a listener that never accepts is full.
struct BlackHole {
    address: SocketAddr,
    _sockets: Vec<Socket>,
}

impl BlackHole {
    fn dig(address: &str) -> Self {
        let address: SocketAddr = address.parse().unwrap();
        let socket = || Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        let listener = socket();
        listener.bind(&address.into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut sockets = vec![listener];
        for _ in 0..4 {
            let caller = socket();
            caller.set_nonblocking(true).unwrap();
            let _ = caller.connect(&address.into());
            sockets.push(caller);
        }
        Self { address, _sockets: sockets }
    }
}

/// Answers with what it is told to, after a while.
struct Names(Duration, io::Result<Vec<SocketAddr>>);

impl Resolve for Names {
    fn resolve<'a>(
        &'a self,
        _: &'a str,
        _: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>> {
        Box::pin(async {
            tokio::time::sleep(self.0).await;
            self.1.as_ref().cloned().map_err(|error| io::Error::new(error.kind(), error.to_string()))
        })
    }
}

/// Scenario 24.
#[test]
fn names_that_do_not_resolve_or_lead_astray_hold_the_deadline() {
    run(async {
        let server = Memcached::start(&[]);
        let good: SocketAddr = server.name().parse().unwrap();
        let (hole, hole_six) = (BlackHole::dig("127.0.0.1:0"), BlackHole::dig("[::1]:0"));
        let (dead, dead_six) = (hole.address, hole_six.address);
        let refused = SocketAddr::new(good.ip(), 1);
        let unknown = || Err(io::Error::new(io::ErrorKind::NotFound, "no such host"));
        let zero = Duration::ZERO;
        for (name, names, answers) in [
            ("NXDOMAIN", Names(zero, unknown()), false),
            ("no address", Names(zero, Ok(vec![])), false),
            ("stalls for 5 s", Names(Duration::from_secs(5), Ok(vec![good])), false),
            ("the first address refuses", Names(zero, Ok(vec![refused, good])), true),
            ("IPv6 first, and dead", Names(zero, Ok(vec![dead_six, good])), true),
            ("the first address is silent", Names(zero, Ok(vec![dead, good])), true),
            ("three are dead", Names(zero, Ok(vec![dead, dead_six, refused, good])), true),
        ] {
            let client = client(settings("cache.example:11211").resolver(Arc::new(names)));
            let node = NodeId::of("cache.example:11211");
            let began = Instant::now();
            let found = read(&client, node).await;
            assert_eq!(found.is_ok(), answers, "{name}: {found:?}");
            assert!(began.elapsed() < Duration::from_millis(1100), "{name}: {:?}", began.elapsed());
        }
    });
}

/// Scenario 24: IPv6 by address.
#[test]
fn a_node_may_have_an_ipv6_address() {
    run(async {
        if let Err(error) = std::net::TcpListener::bind("[::1]:0") {
            assert!(std::env::var_os("CI").is_none(), "this machine has no IPv6: {error}");
            return;
        }
        let script = Script::start_at("[::1]:0".parse().unwrap(), |_, words| match words[0] {
            "version" => say("VERSION 1.6.22\r\n"),
            _ => say(format!("EN {}\r\n", crate::support::opaque(words))),
        });
        let name = format!("[::1]:{}", script.port);
        let client = client(patient(&name));
        assert_eq!(read(&client, NodeId::of(&name)).await, Ok(false));
    });
}
