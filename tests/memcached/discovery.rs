//! A configuration endpoint that lists the nodes.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use lambda_session::memcached::{Added, Client, Discovery, FailureKind, NodeId, Settings};

use crate::support::{
    Counts, Hands, Memcached, Say, Script, client, key, kind, list, minute, opaque, patient, run, say, settings, soon,
};

/// What every node of the cluster says to `config get cluster`.
pub(crate) type Board = Arc<Mutex<String>>;

/// A node that knows the list, and has every key.
pub(crate) fn node(board: &Board) -> Script {
    let board = board.clone();
    Script::start(move |_, words| answer(&board, words))
}

pub(crate) fn answer(board: &Board, words: &[&str]) -> Say {
    match words[0] {
        "version" => say("VERSION 1.6.22\r\n"),
        "config" => say(board.lock().unwrap().clone()),
        "mg" => say(format!("VA 1 c1 {}\r\nv\r\n", opaque(words))),
        _ => say(format!("HD {}\r\n", opaque(words))),
    }
}

pub(crate) fn post(board: &Board, text: String) {
    *board.lock().unwrap() = text;
}

fn discovered(endpoint: &Script) -> Settings {
    patient(&endpoint.name()).discovery(Discovery::On)
}

async fn names(client: &Client) -> Vec<String> {
    client.nodes(soon()).await.unwrap().into_iter().map(|node| node.name).collect()
}

fn asked(script: &Script) -> usize {
    script.heard().iter().filter(|line| line.as_str() == "config get cluster").count()
}

pub(crate) async fn reads(client: &Client, node: NodeId) -> bool {
    client.get_and_touch(node, &key("k"), minute(), soon()).await.unwrap().is_some()
}

/// The list is asked for once, and then once a minute with a command that is sent anyway: no round trip of its own.
#[test]
fn the_list_is_had_once_and_followed_on_commands_that_are_sent_anyway() {
    run(async {
        let board = Board::default();
        let (endpoint, one, two) = (node(&board), node(&board), node(&board));
        post(&board, list(1, &[one.name()]));
        let hands = Hands::new();
        let client = client(discovered(&endpoint).clock(hands.clock()));
        for _ in 0..10 {
            assert!(reads(&client, one.id()).await);
        }
        assert_eq!((asked(&endpoint), asked(&one), endpoint.accepted(), one.accepted()), (1, 0, 1, 1));
        post(&board, list(2, &[one.name(), two.name()]));
        hands.forward(Duration::from_secs(59));
        assert!(reads(&client, one.id()).await);
        assert_eq!(names(&client).await.len(), 1);
        hands.forward(Duration::from_secs(2));
        for _ in 0..10 {
            assert!(reads(&client, one.id()).await);
        }
        assert_eq!((asked(&endpoint), asked(&one)), (1, 1));
        let heard = one.heard();
        let question = heard.iter().position(|line| line == "config get cluster").unwrap();
        assert!(heard[question + 1].starts_with("mg k "), "it travels before a command");
        assert_eq!(names(&client).await, [one.name(), two.name()]);
        assert!(reads(&client, two.id()).await);
    });
}

/// The endpoint's name leads to one of the nodes: a cluster of one node costs one connection.
#[test]
fn the_endpoints_connection_is_its_nodes_first_one() {
    run(async {
        let board = Board::default();
        let only = node(&board);
        let payload = format!("1\n127.0.0.1|127.0.0.1|{}\n", only.port);
        post(&board, format!("CONFIG cluster 0 {}\r\n{payload}\r\nEND\r\n", payload.len()));
        let client = client(discovered(&only));
        assert!(reads(&client, only.id()).await);
        assert_eq!(only.accepted(), 1);
    });
}

/// Scenario 23: a node more, a node less, all replaced; those that stay keep their connections.
#[test]
fn a_list_that_changes_moves_nobody_else() {
    run(async {
        let board = Board::default();
        let (endpoint, one, two, three) = (node(&board), node(&board), node(&board), node(&board));
        post(&board, list(1, &[one.name(), two.name()]));
        let hands = Hands::new();
        let client = client(discovered(&endpoint).clock(hands.clock()));
        assert!(reads(&client, one.id()).await && reads(&client, two.id()).await);
        post(&board, list(2, &[two.name(), three.name()]));
        hands.forward(Duration::from_secs(61));
        assert!(reads(&client, two.id()).await);
        assert!(!reads(&client, one.id()).await, "what a removed node had is gone");
        assert!(reads(&client, two.id()).await && reads(&client, three.id()).await);
        assert_eq!((one.accepted(), two.accepted(), three.accepted()), (1, 1, 1), "dials");
        let chosen: Vec<_> = {
            let mut chosen = Vec::new();
            for number in 0..100_u8 {
                chosen.push(client.choose_node(&[number], &[], soon()).await.unwrap());
            }
            chosen
        };
        assert!(chosen.contains(&two.id()) && chosen.contains(&three.id()) && !chosen.contains(&one.id()));
    });
}

/// A node that this environment has not heard of yet is asked for before its keys count as gone.
#[test]
fn an_unknown_node_is_asked_for_once_before_it_counts_as_gone() {
    run(async {
        let board = Board::default();
        let (endpoint, one, two) = (node(&board), node(&board), node(&board));
        post(&board, list(1, &[one.name()]));
        let client = client(discovered(&endpoint));
        assert!(reads(&client, one.id()).await);
        post(&board, list(2, &[one.name(), two.name()]));
        assert!(reads(&client, two.id()).await, "it joined meanwhile");
        assert_eq!((asked(&endpoint), asked(&one)), (1, 1), "a node is asked that is connected");
        assert!(!reads(&client, NodeId(*b"gone")).await);
        let before = (asked(&endpoint), asked(&one), asked(&two));
        for _ in 0..100 {
            assert!(!reads(&client, NodeId(*b"gone")).await);
        }
        assert_eq!((asked(&endpoint), asked(&one), asked(&two)), before, "who comes again does not ask again");
        // The list cannot be had: nobody knows whether the node is gone.
        post(&board, "SERVER_ERROR busy\r\n".to_owned());
        let read = client.get_and_touch(NodeId(*b"lost"), &key("k"), minute(), soon()).await;
        assert_eq!(kind(read), FailureKind::Unavailable);
        assert!(reads(&client, two.id()).await, "known nodes are there all the same");
    });
}

/// Scenario 22, over the wire: the list stays, the data is right.
#[test]
fn a_bad_list_on_the_way_disturbs_no_command() {
    run(async {
        let board = Board::default();
        let (endpoint, one) = (node(&board), node(&board));
        post(&board, list(7, &[one.name()]));
        let (hands, counts) = (Hands::new(), Arc::new(Counts::default()));
        let client = client(discovered(&endpoint).clock(hands.clock()).observer(counts.clone()));
        assert!(reads(&client, one.id()).await);
        for (name, bad) in [
            ("an error", "ERROR\r\n".to_owned()),
            ("nothing", "END\r\n".to_owned()),
            ("older", list(6, &["10.0.0.1:1"])),
            ("empty", "CONFIG cluster 0 3\r\n8\n\n\r\nEND\r\n".to_owned()),
            ("port 99999", "CONFIG cluster 0 11\r\n8\na||99999\n\r\nEND\r\n".to_owned()),
            ("a megabyte", format!("CONFIG cluster 0 1000000\r\n{}\r\nEND\r\n", "x".repeat(1_000_000))),
            ("another length", "CONFIG cluster 0 4\r\n8\na||1\n\r\nEND\r\n".to_owned()),
        ] {
            post(&board, bad);
            hands.forward(Duration::from_secs(61));
            assert!(reads(&client, one.id()).await, "{name}");
            assert!(reads(&client, one.id()).await, "{name}");
            assert_eq!(names(&client).await, [one.name()], "{name}");
        }
        assert!(counts.of("ListRefused") >= 5);
    });
}

/// Scenario 33: one endpoint that knows no `config`; here plain memcached.
#[test]
fn a_server_without_a_list_is_the_only_node() {
    run(async {
        let server = Memcached::start(&[]);
        let client = client(patient(&server.name()).discovery(Discovery::On));
        let node = client.choose_node(b"any", &[], soon()).await.unwrap();
        assert_eq!(node, server.id());
        assert_eq!(client.add(node, &key("k"), b"v", minute(), soon()).await.unwrap(), Added::Stored);
        assert_eq!(server.stored(&key("k")).unwrap(), "v");
    });
}

/// Scenario 22: an endpoint that has no list just now is not taken for one that knows no lists.
#[test]
fn an_endpoint_without_a_list_for_now_is_asked_again() {
    run(async {
        for words in ["END\r\n", "SERVER_ERROR busy\r\n", "CLIENT_ERROR not now\r\n"] {
            let board = Board::default();
            let (endpoint, one) = (node(&board), node(&board));
            post(&board, words.to_owned());
            let client = client(discovered(&endpoint).probe_interval(Duration::ZERO));
            assert_eq!(kind(client.choose_node(b"any", &[], soon()).await), FailureKind::Unavailable, "{words}");
            post(&board, list(1, &[one.name()]));
            assert_eq!(client.choose_node(b"any", &[], soon()).await.unwrap(), one.id(), "{words}");
        }
    });
}

/// Scenario 23: while a change spreads, a node may say the list of before: then the endpoint is asked too.
#[test]
fn a_node_with_the_list_of_before_does_not_end_a_session_of_a_new_node() {
    run(async {
        let (new, old) = (Board::default(), Board::default());
        let (endpoint, one, two) = (node(&new), node(&old), node(&new));
        for board in [&new, &old] {
            post(board, list(1, &[one.name()]));
        }
        let client = client(discovered(&endpoint));
        assert!(reads(&client, one.id()).await);
        post(&new, list(2, &[one.name(), two.name()]));
        assert!(reads(&client, two.id()).await);
        assert_eq!((asked(&endpoint), asked(&one)), (2, 1));
    });
}

/// An endpoint that had no time to answer is not taken for one that is down.
#[test]
fn a_caller_without_time_does_not_count_against_the_endpoint() {
    run(async {
        let board = Board::default();
        let (endpoint, one) = (node(&board), node(&board));
        post(&board, list(1, &[one.name()]));
        let (hands, counts) = (Hands::new(), Arc::new(Counts::default()));
        let client =
            client(settings(&endpoint.name()).discovery(Discovery::On).clock(hands.clock()).observer(counts.clone()));
        for _ in 0..5 {
            let failed = client.choose_node(b"any", &[], Instant::now() + Duration::from_micros(500)).await;
            assert_eq!(kind(failed), FailureKind::Unavailable);
        }
        assert_eq!((counts.of("BreakerOpen"), endpoint.accepted()), (0, 0));
        assert!(reads(&client, one.id()).await);
    });
}

/// Scenario 21: node and endpoint hang: the look for another list is within the operation's time, not after it.
#[test]
fn looking_for_another_list_takes_no_time_of_its_own() {
    run(async {
        let board = Board::default();
        let is_hung = Arc::new(AtomicBool::new(false));
        let hanging = |board: &Board| {
            let (board, is_hung) = (board.clone(), is_hung.clone());
            Script::start(move |_, words| if is_hung.load(SeqCst) { Say::Nothing } else { answer(&board, words) })
        };
        let (endpoint, one) = (hanging(&board), hanging(&board));
        post(&board, list(1, &[one.name()]));
        let hands = Hands::new();
        let client = client(settings(&endpoint.name()).discovery(Discovery::On).clock(hands.clock()));
        assert!(reads(&client, one.id()).await);
        is_hung.store(true, SeqCst);
        hands.forward(Duration::from_secs(6 * 3600));
        let began = Instant::now();
        let read = client.get_and_touch(one.id(), &key("k"), minute(), soon()).await;
        assert_eq!(kind(read), FailureKind::Unavailable);
        assert!(began.elapsed() < Duration::from_millis(1050), "{:?}", began.elapsed());
    });
}

/// Scenario 21: nothing listens at boot; the next request tries again, and finds it within two seconds.
#[test]
fn an_endpoint_that_is_down_at_boot_is_tried_again() {
    run(async {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let board = Board::default();
        let one = node(&board);
        post(&board, list(1, &[one.name()]));
        let hands = Hands::new();
        let name = format!("127.0.0.1:{port}");
        let client = client(settings(&name).discovery(Discovery::On).clock(hands.clock()));
        for _ in 0..5 {
            let began = Instant::now();
            assert_eq!(kind(client.choose_node(b"any", &[], soon()).await), FailureKind::Unavailable);
            assert!(began.elapsed() < Duration::from_millis(1100));
        }
        let up = board.clone();
        let _endpoint = Script::start_at(name.parse().unwrap(), move |_, words| answer(&up, words));
        hands.forward(Duration::from_secs(2));
        assert!(reads(&client, one.id()).await);
    });
}

/// Scenario 22: an endpoint that hangs.
#[test]
fn an_endpoint_that_hangs_holds_the_deadline() {
    run(async {
        let endpoint = Script::start(|_, _| Say::Nothing);
        let client = client(settings(&endpoint.name()).discovery(Discovery::On));
        for limit in [600, 50] {
            let began = Instant::now();
            let failed = client.choose_node(b"any", &[], soon()).await.unwrap_err();
            assert_eq!(failed.kind(), FailureKind::Unavailable);
            assert!(began.elapsed() < Duration::from_millis(limit), "{:?}", began.elapsed());
        }
    });
}

/// Whoever looks for a node that is gone waits for the one who asks, and does not ask again.
#[test]
fn a_node_that_is_gone_is_asked_for_once_by_all_who_look_for_it() {
    run(async {
        let board = Board::default();
        let (endpoint, one) = (node(&board), node(&board));
        post(&board, list(1, &[one.name()]));
        let client = client(discovered(&endpoint));
        assert!(reads(&client, one.id()).await);
        let looks: Vec<_> = (0..20)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move { reads(&client, NodeId(*b"gone")).await })
            })
            .collect();
        for look in looks {
            assert!(!look.await.unwrap());
        }
        assert_eq!((asked(&endpoint), asked(&one)), (2, 1));
    });
}
