//! Nodes that are replaced by other machines, under the same name or another.

use std::{
    collections::HashMap,
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use lambda_session::memcached::{NodeId, Resolve};

use crate::discovery::{Board, answer, node, post, reads};
use crate::support::{Hands, Script, client, list, patient, run, settings};

/// Names that lead where the test says.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<HashMap<String, SocketAddr>>>);

impl Names {
    fn lead(&self, host: &str, port: u16) {
        self.lead_to(host, SocketAddr::new([127, 0, 0, 1].into(), port));
    }

    fn lead_to(&self, host: &str, address: SocketAddr) {
        self.0.lock().unwrap().insert(host.to_owned(), address);
    }
}

impl Resolve for Names {
    fn resolve<'a>(
        &'a self,
        host: &'a str,
        _: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>> {
        let found = self.0.lock().unwrap().get(host).copied();
        Box::pin(async move { found.map(|address| vec![address]).ok_or_else(|| io::ErrorKind::NotFound.into()) })
    }
}

/// Scenarios 10, 23: six hours later every node is another one, and the endpoint's name leads to another machine.
#[test]
fn after_a_thaw_with_all_nodes_replaced_the_first_request_succeeds() {
    run(async {
        let board = Board::default();
        let (old, new) = (node(&board), node(&board));
        let (names, hands) = (Names::default(), Hands::new());
        names.lead("shop.cfg.example", old.port);
        names.lead("one.example", old.port);
        post(&board, list(5, &["one.example:11211"]));
        let settings = settings("shop.cfg.example:11211").resolver(Arc::new(names.clone())).clock(hands.clock());
        let client = client(settings);
        let (one, two) = (NodeId::of("one.example:11211"), NodeId::of("two.example:11211"));
        assert!(reads(&client, one).await);
        drop(old);
        names.lead("shop.cfg.example", new.port);
        names.0.lock().unwrap().remove("one.example");
        names.lead("two.example", new.port);
        post(&board, list(6, &["two.example:11211"]));
        hands.forward(Duration::from_secs(6 * 3600));
        let began = Instant::now();
        assert!(!reads(&client, one).await, "a session on a node that is gone");
        assert!(reads(&client, two).await);
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    });
}

/// Scenario 23: a node that was replaced keeps its name, and its name leads to another machine.
#[test]
fn a_replaced_node_is_found_under_its_name() {
    run(async {
        let board = Board::default();
        let (before, after) = (node(&board), node(&board));
        let (names, hands) = (Names::default(), Hands::new());
        names.lead("one.example", before.port);
        let client = client(patient("one.example:11211").resolver(Arc::new(names.clone())).clock(hands.clock()));
        let one = NodeId::of("one.example:11211");
        assert!(reads(&client, one).await);
        names.lead("one.example", after.port);
        hands.forward(Duration::from_secs(301));
        assert!(reads(&client, one).await);
        assert_eq!((before.accepted(), after.accepted()), (1, 1));
    });
}

/// Scenario 23: that a node is on another machine is heard on a connection to the old one: it is not used again.
#[test]
fn a_connection_to_the_machine_of_before_is_not_kept() {
    run(async {
        let board = Board::default();
        let before = node(&board);
        let there = SocketAddr::new([127, 0, 0, 2].into(), before.port);
        let shared = board.clone();
        let after = Script::start_at(there, move |_, words| answer(&shared, words));
        let (names, hands) = (Names::default(), Hands::new());
        let name = format!("one.example:{}", before.port);
        let listed = |version: u64, address: &str| {
            let payload = format!("{version}\none.example|{address}|{}\n", before.port);
            post(&board, format!("CONFIG cluster 0 {}\r\n{payload}\r\nEND\r\n", payload.len()));
        };
        listed(1, "127.0.0.1");
        names.lead("one.example", before.port);
        names.lead("shop.cfg.example", before.port);
        let settings = patient(&format!("shop.cfg.example:{}", before.port)).resolver(Arc::new(names.clone()));
        let client = client(settings.clock(hands.clock()));
        let one = NodeId::of(&name);
        assert!(reads(&client, one).await);
        listed(2, "127.0.0.2");
        names.lead_to("one.example", there);
        hands.forward(Duration::from_secs(61));
        assert!(reads(&client, one).await, "this read brings the list");
        for _ in 0..3 {
            assert!(reads(&client, one).await);
        }
        assert_eq!((before.accepted(), after.accepted()), (1, 1));
    });
}
