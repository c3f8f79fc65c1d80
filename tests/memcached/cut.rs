//! Connections that are cut at every byte.

use lambda_session::memcached::{Added, Deleted, FailureKind, Replaced};

use crate::support::{Harm, Memcached, Proxy, client, key, kind, minute, patient, run, soon};

/// More bytes than a conversation of these tests has in either direction, from greeting to the end.
const CONVERSATION: usize = 110;

/// Scenarios 2, 3, 7: the first connection is cut at every byte; the second answers.
#[test]
fn a_read_is_right_wherever_its_connection_is_cut() {
    run(async {
        let server = Memcached::start(&[]);
        server.tell("ms k 5\r\nhello\r\n");
        for harm in [Harm::CutRequest as fn(usize) -> Harm, Harm::CutAnswer] {
            for offset in 0..CONVERSATION {
                let proxy =
                    Proxy::start(server.port, move |number| if number == 0 { harm(offset) } else { Harm::None });
                let client = client(patient(&proxy.name()));
                let read = client.get_and_touch(proxy.id(), &key("k"), minute(), soon()).await;
                assert_eq!(read.unwrap().expect("a miss").bytes, b"hello", "{:?}", harm(offset));
            }
        }
    });
}

/// Scenario 3: every connection is cut; never a miss, never a short value.
#[test]
fn a_value_that_is_cut_short_is_never_a_miss_and_never_short() {
    run(async {
        let server = Memcached::start(&[]);
        server.tell("ms k 5\r\nhello\r\n");
        let greeting =
            format!("VERSION {}\r\n", server.tell("version\r\n").trim_start_matches("VERSION ").trim()).len();
        let reply = "VA 5 c1 OAAAAAAAB\r\nhello\r\n".len();
        for offset in 0..greeting + reply {
            let proxy = Proxy::start(server.port, move |_| Harm::CutAnswer(offset));
            let client = client(patient(&proxy.name()));
            let read = client.get_and_touch(proxy.id(), &key("k"), minute(), soon()).await;
            assert_eq!(kind(read), FailureKind::Unavailable, "cut at {offset}");
        }
    });
}

/// Scenarios 2, 20: a write on a connection that is cut at every byte is told apart by what is stored; only of an add
/// that is not stored yet nobody knows whether it will be.
#[test]
fn a_write_tells_what_became_of_it_wherever_its_connection_is_cut() {
    run(async {
        let server = Memcached::start(&[]);
        for harm in [Harm::CutRequest as fn(usize) -> Harm, Harm::CutAnswer] {
            for offset in 0..CONVERSATION {
                server.tell("flush_all\r\n");
                server.tell("ms old 3\r\nold\r\n");
                server.tell("ms dead 3\r\nold\r\n");
                server.tell("ms same 3\r\nold\r\n");
                let (cas, same) = (server.cas("old"), server.cas("same"));
                for deed in ["add", "replace", "delete", "delete if the same"] {
                    let what = format!("{deed}, {:?}", harm(offset));
                    let proxy =
                        Proxy::start(server.port, move |number| if number == 0 { harm(offset) } else { Harm::None });
                    let (client, node) = (client(patient(&proxy.name())), proxy.id());
                    let (failed, key) = match deed {
                        "add" => (
                            client.add(node, &key("new"), b"new", minute(), soon()).await.map(|done| {
                                assert_eq!(done, Added::Stored, "{what}");
                            }),
                            key("new"),
                        ),
                        "replace" => (
                            client.replace(node, &key("old"), cas, b"new", minute(), soon()).await.map(|done| {
                                assert_eq!(done, Replaced::Stored, "{what}");
                            }),
                            key("old"),
                        ),
                        "delete" => (
                            client.delete(node, &key("dead"), None, soon()).await.map(|done| {
                                assert_eq!(done, Deleted::Done, "{what}");
                            }),
                            key("dead"),
                        ),
                        _ => (
                            client.delete(node, &key("same"), Some(same), soon()).await.map(|done| {
                                assert_eq!(done, Deleted::Done, "{what}");
                            }),
                            key("same"),
                        ),
                    };
                    let after = Some("new".to_owned()).filter(|_| !deed.starts_with("delete"));
                    match failed {
                        Ok(()) => assert_eq!(server.stored(&key), after, "{what}"),
                        Err(failure) => {
                            assert_eq!((deed, failure.kind()), ("add", FailureKind::Unknown), "{what}: {failure:?}");
                            assert_eq!(server.stored(&key), None, "{what}");
                        }
                    }
                }
            }
        }
    });
}
