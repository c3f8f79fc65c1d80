//! Cancellation: a future that is dropped at any moment takes its connection with it.

use std::time::Duration;

use lambda_session::memcached::{Client, Deleted, Failure, Replaced};

use crate::support::{Harm, Memcached, Proxy, client, key, minute, patient, poll_times, run, soon};

async fn two_users(client: &Client, node: lambda_session::memcached::NodeId) {
    for user in ["alice", "bobby"] {
        client.add(node, &key(user), user.as_bytes(), minute(), soon()).await.unwrap();
    }
}

/// Scenario 1: a read whose answer is held at every byte, of the greeting too, is dropped at every poll, 10,000 times: on a connection
/// that was being opened for it, and on one that was open.
#[test]
fn after_a_dropped_read_the_next_one_gets_its_own_value() {
    const ROUNDS: usize = 10_000;
    const POLLS: usize = 24;
    run(async {
        let server = Memcached::start(&[]);
        two_users(&client(patient(&server.name())), server.id()).await;
        let greeting = server.tell("version\r\n").len();
        let answer = "VA 5 c1 OAAAAAAAB\r\nalice\r\n".len();
        let proxy = Proxy::start(server.port, |_| Harm::None);
        let mut most_open = 0;
        for round in 0..ROUNDS {
            // The first connection is held, whatever comes after it is sound.
            let (offset, first) = (round % (greeting + 2 * answer), proxy.accepted());
            proxy.plan(move |number| if number == first { Harm::HoldAnswer(offset) } else { Harm::None });
            let client = client(patient(&proxy.name()));
            let (node, alice, bobby) = (proxy.id(), key("alice"), key("bobby"));
            let read = async |user| client.get_and_touch(node, user, minute(), soon()).await.unwrap().unwrap().bytes;
            if offset >= greeting + answer {
                assert_eq!(read(&bobby).await, b"bobby", "round {round}");
            }
            let held = client.get_and_touch(node, &alice, minute(), soon());
            assert!(poll_times(held, 1 + round / 10 % POLLS).await.is_none(), "round {round}: it was held");
            for user in [&bobby, &alice] {
                assert_eq!(read(user).await, user.as_str().as_bytes(), "round {round}");
            }
            most_open = most_open.max(proxy.open());
            assert_eq!(client.nodes(soon()).await.unwrap()[0].idle, 1, "round {round}");
        }
        for _ in 0..100 {
            if proxy.open() == 0 && server.connections() == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!((proxy.open(), server.connections()), (0, 0), "no socket is left");
        assert!(most_open < 100, "{most_open} at once");
    });
}

/// Scenario 1: the same where every byte of an answer comes alone, dropped at every poll there is.
#[test]
fn a_read_dropped_between_any_two_bytes_leaves_nothing_behind() {
    run(async {
        let server = Memcached::start(&[]);
        let proxy = Proxy::start(server.port, |_| Harm::Dribble(Duration::ZERO));
        let client = client(patient(&proxy.name()));
        let node = proxy.id();
        two_users(&client, node).await;
        for round in 0..300_u64 {
            let alice = key("alice");
            let read = client.get_and_touch(node, &alice, minute(), soon());
            let _ = tokio::time::timeout(Duration::from_micros(round * 10), read).await;
            let value = client.get_and_touch(node, &key("bobby"), minute(), soon()).await.unwrap().unwrap();
            assert_eq!(value.bytes, b"bobby", "round {round}");
        }
        drop(client);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(proxy.open(), 0, "sockets are left");
    });
}

/// Scenario 1, with writes: each is applied whole or not at all, and never to another key.
#[test]
fn a_dropped_write_is_applied_whole_or_not_at_all() {
    run(async {
        let server = Memcached::start(&[]);
        let client = client(patient(&server.name()));
        let node = server.id();
        two_users(&client, node).await;
        let (alice, bobby) = (key("alice"), key("bobby"));
        let mut last = "alice".to_owned();
        for round in 0..2_000 {
            let cas = client.get_and_touch(node, &alice, minute(), soon()).await.unwrap().unwrap().cas;
            let next = format!("alice-{round}");
            let done: Option<Result<Replaced, Failure>> =
                poll_times(client.replace(node, &alice, cas, next.as_bytes(), minute(), soon()), round % 20).await;
            let found = client.get_and_touch(node, &alice, minute(), soon()).await.unwrap().unwrap().bytes;
            let found = String::from_utf8(found).unwrap();
            match done {
                Some(done) => assert_eq!((done.unwrap(), &found), (Replaced::Stored, &next)),
                // It may still be on its way: what the kernel has, it delivers.
                None => assert!(found == next || found == last, "round {round}: {found}"),
            }
            last = found;
            let other = client.get_and_touch(node, &bobby, minute(), soon()).await.unwrap().unwrap();
            assert_eq!(other.bytes, b"bobby", "round {round}");
        }
        assert_eq!(client.delete(node, &bobby, None, soon()).await.unwrap(), Deleted::Done);
    });
}
