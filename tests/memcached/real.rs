//! Against a real memcached.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use lambda_session::memcached::{Added, Deleted, FailureKind, Limit, Replaced, Ttl};

use crate::support::{Memcached, client, key, kind, minute, patient, run, soon};

#[test]
fn what_is_stored_is_read_replaced_and_deleted() {
    run(async {
        let server = Memcached::start(&[]);
        let client = client(patient(&server.name()));
        let (node, key) = (client.choose_node(b"any", &[], soon()).await.unwrap(), key("s:k"));
        assert_eq!(node, server.id());
        assert_eq!(client.get_and_touch(node, &key, minute(), soon()).await.unwrap(), None);
        assert_eq!(client.add(node, &key, b"one\r\n", minute(), soon()).await.unwrap(), Added::Stored);
        assert_eq!(client.add(node, &key, b"two", minute(), soon()).await.unwrap(), Added::Exists);
        let one = client.get_and_touch(node, &key, minute(), soon()).await.unwrap().unwrap();
        assert_eq!(one.bytes, b"one\r\n");
        assert_eq!(client.replace(node, &key, one.cas, b"two", minute(), soon()).await.unwrap(), Replaced::Stored);
        assert_eq!(client.replace(node, &key, one.cas, b"three", minute(), soon()).await.unwrap(), Replaced::Conflict);
        let two = client.get_and_touch(node, &key, minute(), soon()).await.unwrap().unwrap();
        assert_eq!(two.bytes, b"two");
        assert_eq!(client.delete(node, &key, None, soon()).await.unwrap(), Deleted::Done);
        assert_eq!(client.delete(node, &key, None, soon()).await.unwrap(), Deleted::NotFound);
        assert_eq!(client.replace(node, &key, two.cas, b"four", minute(), soon()).await.unwrap(), Replaced::Gone);
        assert_eq!(server.stored(&key), None);
        let report = client.nodes(soon()).await.unwrap();
        assert_eq!((report.len(), report[0].idle, report[0].is_down), (1, 1, false));
        assert_eq!(client.probe(node, soon()).await.unwrap().engine, report[0].engine.clone().unwrap());
    });
}

#[test]
fn a_value_of_the_limit_comes_back_whole() {
    run(async {
        let server = Memcached::start(&[]);
        let client = client(patient(&server.name()).value_limit(1_000_000));
        for size in [0, 1, 1024, 65_535, 262_144, 1_000_000] {
            let value: Vec<u8> = (0..size).map(|place| (place * 7 % 251) as u8).collect();
            let key = key(&format!("size-{size}"));
            assert_eq!(client.add(server.id(), &key, &value, minute(), soon()).await.unwrap(), Added::Stored);
            let found = client.get_and_touch(server.id(), &key, minute(), soon()).await.unwrap().unwrap();
            assert!(found.bytes == value, "{size} bytes");
        }
    });
}

/// Scenario 14.
#[test]
fn a_value_over_the_limit_is_refused_and_what_is_stored_stays() {
    run(async {
        let server = Memcached::start(&[]);
        let client = client(patient(&server.name()).value_limit(10));
        let (node, key) = (server.id(), key("k"));
        client.add(node, &key, b"0123456789", minute(), soon()).await.unwrap();
        let cas = client.get_and_touch(node, &key, minute(), soon()).await.unwrap().unwrap().cas;
        let failure = client.replace(node, &key, cas, b"0123456789a", minute(), soon()).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::TooLarge);
        assert_eq!(failure.to_string(), "a value of 11 bytes does not fit the cache's limit of 10 bytes");
        assert_eq!(server.stored(&key).unwrap(), "0123456789");
    });
}

/// Scenario 13: the server's limit is below ours, so it drops what it has, and we say so.
#[test]
fn a_value_that_the_server_refuses_for_its_size_is_reported_as_lost() {
    run(async {
        let server = Memcached::start(&["-I", "512k"]);
        let client = client(patient(&server.name()).value_limit(1_000_000));
        let (node, key) = (server.id(), key("k"));
        client.add(node, &key, b"small", minute(), soon()).await.unwrap();
        let cas = client.get_and_touch(node, &key, minute(), soon()).await.unwrap().unwrap().cas;
        let failure = client.replace(node, &key, cas, &[b'x'; 600_000], minute(), soon()).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Lost);
        assert_eq!(failure.to_string(), "the cache refused a write: \"SERVER_ERROR object too large for cache\"");
        assert_eq!(server.stored(&key), None);
        assert_eq!(client.get_and_touch(node, &key, minute(), soon()).await.unwrap(), None, "on a good connection");
    });
}

/// Scenario 15.
#[test]
fn a_value_lives_as_long_as_asked() {
    run(async {
        let server = Memcached::start(&[]);
        let client = client(patient(&server.name()));
        const DAY: u64 = 86_400;
        for (seconds, at_least, at_most) in [
            (1, 0, 1),
            (29 * DAY, 29 * DAY - 5, 29 * DAY),
            (30 * DAY, 30 * DAY - 5, 30 * DAY),
            (30 * DAY + 1, 30 * DAY - 5, 30 * DAY + 2),
            (400 * DAY, 400 * DAY - 5, 400 * DAY + 2),
            (u64::MAX, 30 * DAY - 5, 30 * DAY),
        ] {
            let ttl = Ttl::after(Duration::from_secs(seconds), SystemTime::now()).unwrap();
            let key = key(&format!("for-{seconds}"));
            client.add(server.id(), &key, b"v", ttl, soon()).await.unwrap();
            for when in ["stored", "touched"] {
                let answer = server.tell(&format!("mg {} t\r\n", key.as_str()));
                let left: u64 = answer.trim_end().strip_prefix("HD t").expect(&answer).parse().unwrap();
                assert!((at_least..=at_most).contains(&left), "{seconds} s: {left} s left when {when}");
                client.get_and_touch(server.id(), &key, ttl, soon()).await.unwrap().unwrap();
            }
        }
    });
}

/// Scenario 17.
#[test]
fn what_the_server_forgot_is_a_miss() {
    run(async {
        let server = Memcached::start(&["-m", "2"]);
        let client = client(patient(&server.name()));
        client.add(server.id(), &key("flushed"), b"v", minute(), soon()).await.unwrap();
        assert_eq!(server.tell("flush_all\r\n"), "OK\r\n");
        assert_eq!(client.get_and_touch(server.id(), &key("flushed"), minute(), soon()).await.unwrap(), None);
        for number in 0..500 {
            let key = key(&format!("fill-{number}"));
            assert_eq!(client.add(server.id(), &key, &[b'x'; 20_000], minute(), soon()).await.unwrap(), Added::Stored);
        }
        assert_eq!(client.get_and_touch(server.id(), &key("fill-0"), minute(), soon()).await.unwrap(), None);
        assert!(client.get_and_touch(server.id(), &key("fill-499"), minute(), soon()).await.unwrap().is_some());
    });
}

/// Scenario 18: CAS numbers begin anew with the node, but so do its keys: what is gone stays gone.
#[test]
fn a_cas_from_before_a_restart_revives_nothing() {
    run(async {
        let mut server = Memcached::start(&[]);
        let client = client(patient(&server.name()));
        let (node, key) = (server.id(), key("k"));
        client.add(node, &key, b"v", minute(), soon()).await.unwrap();
        let cas = client.get_and_touch(node, &key, minute(), soon()).await.unwrap().unwrap().cas;
        server.restart();
        assert_eq!(client.replace(node, &key, cas, b"w", minute(), soon()).await.unwrap(), Replaced::Gone);
        assert_eq!(server.stored(&key), None);
    });
}

/// Scenario 19.
#[test]
fn of_two_writers_one_is_told_and_a_logout_wins() {
    run(async {
        let server = Memcached::start(&[]);
        let client = client(patient(&server.name()));
        let node = server.id();
        for round in 0..200 {
            let key = key(&format!("k{round}"));
            client.add(node, &key, b"0", minute(), soon()).await.unwrap();
            let cas = client.get_and_touch(node, &key, minute(), soon()).await.unwrap().unwrap().cas;
            let (one, other, logout) = tokio::join!(
                client.replace(node, &key, cas, b"1", minute(), soon()),
                client.replace(node, &key, cas, b"2", minute(), soon()),
                client.delete(node, &key, None, soon()),
            );
            let stored = [one.unwrap(), other.unwrap()].iter().filter(|&&done| done == Replaced::Stored).count();
            assert!(stored <= 1, "both were told that they were first");
            assert_eq!(logout.unwrap(), Deleted::Done);
            assert_eq!(server.stored(&key), None, "revived");
        }
    });
}

/// A delete that compares takes what was seen and nothing that was written since.
#[test]
fn a_delete_that_compares_leaves_what_it_has_not_seen() {
    run(async {
        let server = Memcached::start(&[]);
        let client = client(patient(&server.name()));
        let (node, key) = (server.id(), key("k"));
        client.add(node, &key, b"seen", minute(), soon()).await.unwrap();
        let seen = client.get_and_touch(node, &key, minute(), soon()).await.unwrap().unwrap().cas;
        client.replace(node, &key, seen, b"newer", minute(), soon()).await.unwrap();
        assert_eq!(client.delete(node, &key, Some(seen), soon()).await.unwrap(), Deleted::Conflict);
        assert_eq!(server.stored(&key).unwrap(), "newer");
        let newer = client.get_and_touch(node, &key, minute(), soon()).await.unwrap().unwrap().cas;
        assert_eq!(client.delete(node, &key, Some(newer), soon()).await.unwrap(), Deleted::Done);
        assert_eq!(client.delete(node, &key, Some(newer), soon()).await.unwrap(), Deleted::NotFound);
        assert_eq!(client.nodes(soon()).await.unwrap()[0].idle, 1, "all on one connection");
    });
}

/// Scenario 34.
#[test]
fn a_burst_opens_no_more_connections_than_the_pool_holds() {
    run(async {
        let server = Memcached::start(&[]);
        let client = client(patient(&server.name()).pool_size(3));
        let node = server.id();
        let tasks: Vec<_> = (0..32)
            .map(|number| {
                let client = client.clone();
                tokio::spawn(async move {
                    let key = key(&format!("k{number}"));
                    client.add(node, &key, key.as_str().as_bytes(), minute(), soon()).await.unwrap();
                    client.get_and_touch(node, &key, minute(), soon()).await.unwrap().unwrap().bytes
                        == key.as_str().as_bytes()
                })
            })
            .collect();
        for task in tasks {
            assert!(task.await.unwrap());
        }
        assert_eq!(client.nodes(soon()).await.unwrap()[0].idle, 3);
    });
}

/// Scenario 34: who waits for a connection waits no longer than the deadline.
#[test]
fn waiting_for_a_connection_ends_at_the_deadline() {
    run(async {
        let server = Memcached::start(&[]);
        let client = client(patient(&server.name()).pool_size(1));
        let node = server.id();
        client.get_and_touch(node, &key("k"), minute(), soon()).await.unwrap();
        server.signal("-STOP");
        let busy = tokio::spawn({
            let client = client.clone();
            async move { client.get_and_touch(node, &key("k"), minute(), soon()).await }
        });
        tokio::task::yield_now().await;
        let began = std::time::Instant::now();
        let waited = client.get_and_touch(node, &key("k"), minute(), began + Duration::from_millis(50)).await;
        let failure = waited.unwrap_err();
        assert_eq!(
            failure.to_string(),
            format!(
                "all 1 connections to cache node {} are in use: allow more, or fewer requests at once",
                server.name()
            )
        );
        assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
        server.signal("-CONT");
        assert_eq!(busy.await.unwrap().unwrap(), None);
    });
}

/// The time that a request's operations share is counted as what they took, and not as how old the kernel's tick was besides.
#[test]
fn quick_operations_use_up_no_more_of_their_time_than_they_take() {
    run(async {
        let server = Memcached::start(&[]);
        let client = client(patient(&server.name()));
        client.add(server.id(), &key("k"), b"v", minute(), soon()).await.unwrap();
        let (warm, began) = (Arc::<AtomicU64>::default(), Instant::now());
        for _ in 0..2_000 {
            client.get(server.id(), &key("k"), Limit::shared(soon(), warm.clone())).await.unwrap();
        }
        let (took, counted) = (began.elapsed(), Duration::from_nanos(warm.load(Ordering::Relaxed)));
        // Two ticks, at a hundred a second.
        assert!(counted <= took + Duration::from_millis(20), "{counted:?} of {took:?}");
        assert!(counted >= took / 3, "{counted:?} of {took:?}");
    });
}

/// Scenario 31.
#[test]
fn with_no_time_left_nothing_is_begun() {
    run(async {
        let server = Memcached::start(&[]);
        let client = client(patient(&server.name()));
        let (node, key) = (server.id(), key("k"));
        let now = std::time::Instant::now();
        assert_eq!(kind(client.add(node, &key, b"v", minute(), now).await), FailureKind::Unavailable);
        assert_eq!(server.stored(&key), None);
        let eighty = std::time::Instant::now() + Duration::from_millis(80);
        assert_eq!(client.add(node, &key, b"v", minute(), eighty).await.unwrap(), Added::Stored);
    });
}

/// F18 in small: 64 tasks on 8 keys that all count, by CAS; no count is lost, and no key gets another's.
#[test]
fn tasks_that_share_keys_lose_no_update() {
    run(async {
        let server = Memcached::start(&[]);
        let client = client(patient(&server.name()));
        let node = server.id();
        for number in 0..8 {
            let start = format!("{number}:0");
            client.add(node, &key(&format!("k{number}")), start.as_bytes(), minute(), soon()).await.unwrap();
        }
        let tasks: Vec<_> = (0..64)
            .map(|task| {
                let client = client.clone();
                tokio::spawn(async move {
                    let (own, key) = (task % 8, key(&format!("k{}", task % 8)));
                    let mut done = 0;
                    while done < 50 {
                        let seen = client.get_and_touch(node, &key, minute(), soon()).await.unwrap().unwrap();
                        let text = String::from_utf8(seen.bytes).unwrap();
                        let (number, count) = text.split_once(':').unwrap();
                        assert_eq!(number, own.to_string(), "another's value");
                        let next = format!("{own}:{}", count.parse::<u32>().unwrap() + 1);
                        match client.replace(node, &key, seen.cas, next.as_bytes(), minute(), soon()).await.unwrap() {
                            Replaced::Stored => done += 1,
                            other => assert_eq!(other, Replaced::Conflict),
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        for number in 0..8 {
            assert_eq!(server.stored(&key(&format!("k{number}"))).unwrap(), format!("{number}:400"));
        }
    });
}

/// Scenario 31: time ran out while dialling; nothing is sent, and the connection is good for the next one.
#[test]
fn a_write_whose_time_ran_out_while_dialling_is_not_sent() {
    run(async {
        let server = Memcached::start(&[]);
        let proxy = crate::support::Proxy::start(server.port, |number| match number {
            // 16 bytes of greeting take 32 ms and more.
            0 => crate::support::Harm::Dribble(Duration::from_millis(2)),
            _ => crate::support::Harm::None,
        });
        let client = client(patient(&proxy.name()).least_time(Duration::from_millis(900)));
        let deadline = std::time::Instant::now() + Duration::from_millis(910);
        let add = client.add(proxy.id(), &key("k"), b"v", minute(), deadline).await;
        assert_eq!(kind(add), FailureKind::Unavailable);
        assert_eq!(server.stored(&key("k")), None);
        assert_eq!(client.add(proxy.id(), &key("k"), b"v", minute(), soon()).await.unwrap(), Added::Stored);
        assert_eq!(proxy.accepted(), 1, "the connection was kept");
    });
}
