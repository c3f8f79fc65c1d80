//! Against listeners that do harm.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use lambda_session::memcached::{Added, Deleted, FailureKind, Replaced};

use crate::support::{
    Counts, Hands, Harm, Memcached, Proxy, Say, Script, client, key, kind, minute, opaque, patient, run, say, settings,
    soon,
};

/// Scenario 20: no connection ever answers a write: then nobody knows, and that is what is said.
#[test]
fn a_write_that_cannot_be_settled_is_unknown() {
    run(async {
        let server = Memcached::start(&[]);
        let proxy = Proxy::start(server.port, |_| Harm::CutAnswer("VERSION 1.6.18\r\nH".len()));
        let client = client(patient(&proxy.name()));
        let add = client.add(proxy.id(), &key("k"), b"v", minute(), soon()).await;
        let failure = add.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Unknown, "{failure:?}");
        assert_eq!(server.stored(&key("k")).unwrap(), "v", "it was applied, as it happens");
        server.tell("ms d 1\r\nd\r\n");
        assert_eq!(kind(client.delete(proxy.id(), &key("d"), None, soon()).await), FailureKind::Unknown);
    });
}

/// Scenario 6: the limit is one for the whole exchange, not one for every byte.
#[test]
fn an_answer_byte_by_byte_is_cut_off_at_the_limit() {
    run(async {
        let server = Memcached::start(&[]);
        server.tell("ms k 5\r\nhello\r\n");
        let proxy = Proxy::start(server.port, |_| Harm::Dribble(Duration::from_millis(1)));
        let quick = client(patient(&proxy.name()));
        let value = quick.get_and_touch(proxy.id(), &key("k"), minute(), soon()).await.unwrap().unwrap();
        assert_eq!(value.bytes, b"hello");
        proxy.plan(|_| Harm::Dribble(Duration::from_millis(20)));
        let slow = client(settings(&proxy.name()));
        let began = Instant::now();
        let read = slow.get_and_touch(proxy.id(), &key("k"), minute(), soon()).await;
        assert_eq!(kind(read), FailureKind::Unavailable);
        // 16 bytes of greeting take 320 ms; then 100 ms for the exchange.
        assert!(began.elapsed() < Duration::from_millis(700), "{:?}", began.elapsed());
    });
}

/// Scenarios 7, 8: closed while nobody was looking, the runtime's own bookkeeping not turned since. After as long as an exchange
/// may take the connection is looked at first; a moment after an exchange it is not, and what fails is done once more.
#[test]
fn a_connection_closed_while_the_process_was_frozen_is_not_noticed_by_the_caller() {
    run(async {
        let server = Memcached::start(&[]);
        let (frozen, at_once) = (Duration::from_millis(101), Duration::ZERO);
        for (name, end, passed, seen) in [
            ("closed while frozen", Proxy::close_connections as fn(&Proxy), frozen, ["Closed", "Retry"]),
            ("closed a moment ago", Proxy::close_connections, at_once, ["Retry", "Closed"]),
            ("reset while frozen", Proxy::reset_connections, frozen, ["Closed", "Retry"]),
            ("reset a moment ago", Proxy::reset_connections, at_once, ["Retry", "Closed"]),
        ] {
            let proxy = Proxy::start(server.port, |_| Harm::None);
            let (hands, counts) = (Hands::new(), Arc::new(Counts::default()));
            let client = client(patient(&proxy.name()).clock(hands.clock()).observer(counts.clone()));
            let node = proxy.id();
            let first = key(&name.replace(' ', "-"));
            assert_eq!(client.add(node, &first, b"v", minute(), soon()).await.unwrap(), Added::Stored);
            for round in 1..=20 {
                // Blocks the one thread of the client's runtime.
                end(&proxy);
                std::thread::sleep(Duration::from_millis(2));
                hands.forward(passed);
                if round % 2 == 0 {
                    let value = client.get_and_touch(node, &first, minute(), soon()).await.unwrap().unwrap();
                    assert_eq!(value.bytes, b"v", "{name}");
                } else {
                    let seen = server.cas(first.as_str());
                    let replaced = client.replace(node, &first, seen, b"v", minute(), soon()).await.unwrap();
                    assert_eq!(replaced, Replaced::Stored, "{name}");
                }
                assert_eq!(seen.map(|event| counts.of(event)), [round, 0], "{name}");
            }
            if passed > Duration::ZERO {
                assert_eq!((counts.of("Broken"), counts.of("Settled")), (0, 0), "nothing was sent into it");
            }
        }
    });
}

/// Scenario 9: old connections are black holes, new ones are fine.
#[test]
fn a_black_hole_costs_a_read_one_hedge_and_a_write_one_short_wait() {
    run(async {
        let server = Memcached::start(&[]);
        let proxy = Proxy::start(server.port, |_| Harm::None);
        let (hands, counts) = (Hands::new(), Arc::new(Counts::default()));
        let client = client(settings(&proxy.name()).clock(hands.clock()).observer(counts.clone()));
        let node = proxy.id();
        for there in ["k", "l"] {
            client.add(node, &key(there), b"v", minute(), soon()).await.unwrap();
        }
        for deed in ["read", "replace", "delete", "add"] {
            let cas = client.get_and_touch(node, &key("k"), minute(), soon()).await.unwrap().unwrap().cas;
            proxy.forget_connections();
            hands.forward(Duration::from_secs(2));
            let began = Instant::now();
            match deed {
                "read" => {
                    let value = client.get_and_touch(node, &key("k"), minute(), soon()).await.unwrap().unwrap();
                    assert_eq!(value.bytes, b"v");
                }
                "replace" => {
                    let done = client.replace(node, &key("k"), cas, b"w", minute(), soon()).await.unwrap();
                    assert_eq!(done, Replaced::Stored);
                }
                "delete" => assert_eq!(client.delete(node, &key("l"), None, soon()).await.unwrap(), Deleted::Done),
                // It may come out of the hole yet: whoever adds takes another key.
                _ => assert_eq!(kind(client.add(node, &key("m"), b"v", minute(), soon()).await), FailureKind::Unknown),
            }
            assert!(began.elapsed() < Duration::from_millis(200), "{deed}: {:?}", began.elapsed());
        }
        assert_eq!((counts.of("Hedge"), counts.of("BreakerOpen"), counts.of("Settled")), (1, 0, 1));
        assert_eq!(client.nodes(soon()).await.unwrap()[0].idle, 1, "the node answered, so it is well");
    });
}

/// Scenario 10: what was idle for longer than networks remember is not tried at all.
#[test]
fn after_a_long_freeze_the_first_operation_is_on_a_fresh_connection() {
    run(async {
        let server = Memcached::start(&[]);
        let proxy = Proxy::start(server.port, |_| Harm::None);
        let (hands, counts) = (Hands::new(), Arc::new(Counts::default()));
        let client = client(patient(&proxy.name()).clock(hands.clock()).observer(counts.clone()));
        client.add(proxy.id(), &key("k"), b"v", minute(), soon()).await.unwrap();
        proxy.forget_connections();
        hands.forward(Duration::from_secs(301));
        assert_eq!(client.delete(proxy.id(), &key("k"), None, soon()).await.unwrap(), Deleted::Done);
        assert_eq!((counts.of("Aged"), counts.of("Retry"), proxy.accepted()), (1, 0, 2));
    });
}

/// Scenario 34: what a burst opened and nobody needs since is closed, with commands that are sent anyway.
#[test]
fn connections_of_a_burst_are_closed_once_nobody_needs_them() {
    run(async {
        let server = Memcached::start(&[]);
        let (hands, counts) = (Hands::new(), Arc::new(Counts::default()));
        let client = client(patient(&server.name()).clock(hands.clock()).observer(counts.clone()));
        let k = key("k");
        let read = || client.get_and_touch(server.id(), &k, minute(), soon());
        let (one, two, three) = tokio::join!(read(), read(), read());
        assert_eq!([one, two, three].map(Result::unwrap), [None, None, None]);
        assert_eq!(client.nodes(soon()).await.unwrap()[0].idle, 3);
        for _ in 0..4 {
            hands.forward(Duration::from_secs(80));
            read().await.unwrap();
        }
        assert_eq!((client.nodes(soon()).await.unwrap()[0].idle, counts.of("Aged")), (1, 2));
        assert_eq!(server.connections(), 1);
    });
}

/// Scenario 11: answers that are shifted, doubled, swapped or somebody else's are never handed out.
#[test]
fn a_reply_to_another_command_is_never_handed_out() {
    type Twist = fn(&str) -> String;
    let twists: [(&str, Twist); 8] = [
        ("a wrong opaque", |_| "VA 5 c1 OAAAAAAAB\r\nalice\r\n".to_owned()),
        ("no opaque", |_| "VA 5 c1\r\nalice\r\n".to_owned()),
        ("no CAS", |opaque| format!("VA 5 {opaque}\r\nalice\r\n")),
        ("a bare miss", |_| "EN\r\n".to_owned()),
        ("a miss before it", |opaque| format!("EN\r\nVA 5 c1 {opaque}\r\nalice\r\n")),
        ("somebody's answer before it", |opaque| {
            format!("VA 5 c1 OAAAAAAAB\r\nalice\r\nVA 5 c1 {opaque}\r\nbobby\r\n")
        }),
        ("the answer to a write", |opaque| format!("HD {opaque}\r\n")),
        ("an extra line before it", |opaque| format!("END\r\nVA 5 c1 {opaque}\r\nbobby\r\n")),
    ];
    run(async move {
        for (name, twist) in twists {
            let script = Script::start(move |_, words| match words[0] {
                "version" => say("VERSION 1.6.22\r\n"),
                _ => say(twist(opaque(words))),
            });
            let client = client(patient(&script.name()));
            let read = client.get_and_touch(script.id(), &key("bobby"), minute(), soon()).await;
            assert_eq!(kind(read), FailureKind::Unavailable, "{name}");
            assert_eq!(client.nodes(soon()).await.unwrap()[0].idle, 0, "{name}: the connection was kept");
        }
    });
}

/// Scenario 11: a reply that comes twice is right the first time; the connection is not used again.
#[test]
fn a_doubled_reply_is_not_read_by_the_next_command() {
    run(async {
        let script = Script::start(|_, words| match words[0] {
            "version" => say("VERSION 1.6.22\r\n"),
            _ => {
                let reply = format!("VA 5 c1 {}\r\n{}\r\n", opaque(words), words[1]);
                say(reply.repeat(2))
            }
        });
        let client = client(patient(&script.name()));
        for user in ["alice", "bobby", "carol"].repeat(20) {
            let value = client.get_and_touch(script.id(), &key(user), minute(), soon()).await.unwrap().unwrap();
            assert_eq!(value.bytes, user.as_bytes());
        }
        assert_eq!(script.accepted(), 60);
    });
}

/// F5, scenario 11: replies that are swapped or shifted between two connections, 10,000 reads.
#[test]
fn replies_swapped_between_connections_give_no_foreign_value() {
    run(async {
        let held: Arc<Mutex<Option<Vec<u8>>>> = Arc::default();
        let script = Script::start(move |_, words| {
            if words[0] == "version" {
                return say("VERSION 1.6.22\r\n");
            }
            // Every reply goes to whoever asks next, so each gets the one before.
            let ours = format!("VA 5 c1 {}\r\n{}\r\n", opaque(words), words[1]).into_bytes();
            Say::Bytes(held.lock().unwrap().replace(ours.clone()).unwrap_or(ours))
        });
        let client = client(patient(&script.name()));
        let mut right = 0;
        for round in 0..5_000 {
            let (alice, bobby) = (key("alice"), key("bobby"));
            let (one, other) = tokio::join!(
                client.get_and_touch(script.id(), &alice, minute(), soon()),
                client.get_and_touch(script.id(), &bobby, minute(), soon()),
            );
            for (read, user) in [(one, "alice"), (other, "bobby")] {
                if let Ok(value) = read {
                    assert_eq!(value.unwrap().bytes, user.as_bytes(), "round {round}");
                    right += 1;
                }
            }
        }
        assert!(right <= 2, "only the first is in place: {right}");
    });
}

/// Scenario 12.
#[test]
fn a_malformed_reply_is_an_error_and_costs_little_memory() {
    run(async {
        for (name, reply) in [
            ("an unknown code", "XX\r\n".to_owned()),
            ("no line end", "HD".to_owned()),
            ("a negative length", "VA -1\r\n".to_owned()),
            ("a length of nine quintillions", "VA 9000000000000000000\r\n".to_owned()),
            ("a line of a megabyte", "H".repeat(1 << 20)),
            ("NUL", "\0\0\0\r\n".to_owned()),
            ("TLS", "\u{15}\u{3}\u{3}\0\u{2}\u{2}F".to_owned()),
            ("HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n".to_owned()),
            ("an end", String::new()),
        ] {
            for greeting in [true, false] {
                let reply = reply.clone();
                let script = Script::start(move |_, words| match words[0] {
                    "version" if !greeting => say("VERSION 1.6.22\r\n"),
                    _ => Say::Last(reply.clone().into_bytes()),
                });
                let client = client(patient(&script.name()));
                let read = client.get_and_touch(script.id(), &key("k"), minute(), soon()).await;
                assert_eq!(kind(read), FailureKind::Unavailable, "{name}");
            }
        }
    });
}

/// Scenario 13: an error line is passed on, once, and the connection is closed.
#[test]
fn a_refusal_is_not_repeated() {
    run(async {
        for (line, after, expected) in [
            ("SERVER_ERROR out of memory storing object", "", FailureKind::Lost),
            ("SERVER_ERROR object too large for cache", "", FailureKind::Lost),
            ("SERVER_ERROR rate limit", "", FailureKind::Refused),
            ("CLIENT_ERROR bad data chunk", "ERROR\r\n", FailureKind::Refused),
            ("ERROR", "", FailureKind::Refused),
        ] {
            let script = Script::start(move |_, words| match words[0] {
                "version" => say("VERSION 1.6.22\r\n"),
                _ => say(format!("{line}\r\n{after}")),
            });
            let client = client(patient(&script.name()));
            let failure = client.replace(script.id(), &key("k"), 1, b"v", minute(), soon()).await.unwrap_err();
            assert_eq!(failure.kind(), expected, "{line}");
            assert_eq!(failure.to_string(), format!("the cache refused a write: {line:?}"));
            assert_eq!(script.heard().len(), 2, "{line}");
            assert_eq!(client.nodes(soon()).await.unwrap()[0].idle, 0, "{line}: the connection was kept");
            let failure = client.add(script.id(), &key("k"), b"v", minute(), soon()).await.unwrap_err();
            let full = if expected == FailureKind::Lost { FailureKind::Full } else { FailureKind::Refused };
            assert_eq!(failure.kind(), full, "{line}: where there was nothing, nothing is lost");
        }
    });
}

/// Scenario 32: replies as memcached.md, section 1.3, measured them on each engine.
#[test]
fn engines_from_1_6_12_are_spoken_with_and_an_older_one_is_refused_by_name() {
    run(async {
        for (version, miss, done) in [
            ("1.6.12", "EN", "HD  "),
            ("1.6.17", "EN", "HD  "),
            ("1.6.18", "EN ", "HD "),
            ("1.6.22", "EN ", "HD "),
            ("1.6.45", "EN ", "HD "),
        ] {
            let script = Script::start(move |_, words| match words[0] {
                "version" => say(format!("VERSION {version}\r\n")),
                "mg" if miss == "EN" => say("EN\r\n"),
                "mg" => say(format!("{miss}{}\r\n", opaque(words))),
                _ => say(format!("{done}{}\r\n", opaque(words))),
            });
            let (client, node) = (client(patient(&script.name())), script.id());
            assert_eq!(client.get_and_touch(node, &key("k"), minute(), soon()).await.unwrap(), None, "{version}");
            assert_eq!(client.delete(node, &key("k"), None, soon()).await.unwrap(), Deleted::Done, "{version}");
            assert_eq!(client.add(node, &key("k"), b"v", minute(), soon()).await.unwrap(), Added::Stored, "{version}");
            assert_eq!(script.accepted(), 1, "{version}");
        }
        for version in ["1.4.5", "1.6.6", "1.6.11"] {
            let script = Script::start(move |_, _| say(format!("VERSION {version}\r\n")));
            let client = client(patient(&script.name()));
            let failure = client.add(script.id(), &key("k"), b"v", minute(), soon()).await.unwrap_err();
            assert_eq!(failure.kind(), FailureKind::Refused);
            let name = script.name();
            assert_eq!(
                failure.to_string(),
                format!("cannot connect to cache node {name}: its engine {version} is older than 1.6.12")
            );
            assert_eq!(script.heard(), ["version"], "nothing else was said to it");
        }
    });
}
