//! Cancellation: a future that is dropped at any moment takes its connection with it.

use std::time::Duration;

use lambda_session::memcached::{Client, Deleted, Failure, Replaced};

use crate::support::{Harm, Memcached, Proxy, client, key, minute, patient, poll_times, run, soon};

async fn two_users(client: &Client, node: lambda_session::memcached::NodeId) {
    for user in ["alice", "bobby"] {
        client.add(node, &key(user), user.as_bytes(), minute(), soon()).await.unwrap();
    }
}

/// Scenario 1: dropped after 0 … 49 polls, 10,000 times, on a server that may answer in the meantime or not.
#[test]
fn after_a_dropped_read_the_next_one_gets_its_own_value() {
    run(async {
        let server = Memcached::start(&[]);
        let client = client(patient(&server.name()));
        let node = server.id();
        two_users(&client, node).await;
        let mut dropped = 0;
        for round in 0..10_000 {
            let (alice, bobby) = (key("alice"), key("bobby"));
            let read = client.get_and_touch(node, &alice, minute(), soon());
            match poll_times(read, round % 50).await {
                Some(value) => assert_eq!(value.unwrap().unwrap().bytes, b"alice"),
                None => dropped += 1,
            }
            let value = client.get_and_touch(node, &bobby, minute(), soon()).await.unwrap().unwrap();
            assert_eq!(value.bytes, b"bobby", "round {round}");
        }
        assert!(dropped > 200, "{dropped} dropped");
        tokio::time::sleep(Duration::from_millis(50)).await;
        let open = server.connections();
        assert!(open <= 1, "{open} connections are left");
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
