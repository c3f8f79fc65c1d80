use super::*;
use crate::memcached::breaker::Blow;
use crate::memcached::rendezvous::seed;

const NAMES: [&str; 3] = [
    "shop.abc123.0001.euw1.cache.amazonaws.com:11211",
    "shop.abc123.0002.euw1.cache.amazonaws.com:11211",
    "shop.abc123.0003.euw1.cache.amazonaws.com:11211",
];

fn fixed(servers: &str) -> Cluster {
    Cluster::new(Settings::new(servers).unwrap()).unwrap()
}

fn discovered() -> Cluster {
    fixed("shop.cfg.example:11211")
}

fn nodes(payload: &str) -> Offer {
    Nodes::parse(payload.as_bytes()).map_or_else(Offer::Garbled, Offer::Nodes)
}

fn names(cluster: &Cluster) -> Vec<String> {
    cluster.list().nodes.iter().map(|node| node.name().to_owned()).collect()
}

/// Made with another implementation (Python's hashlib); all must agree.
#[test]
fn the_choice_of_a_node_agrees_with_the_vectors() {
    for (name, id, number) in [
        ("localhost:11211", [0xca, 0x4a, 0x36, 0x4c], 0xca4a_364c_3fdd_abdb),
        (NAMES[0], [0x92, 0x9c, 0xd7, 0x2b], 0x929c_d72b_d156_9605),
        (NAMES[1], [0xbd, 0x8f, 0x9b, 0x22], 0xbd8f_9b22_a333_df25),
        (NAMES[2], [0x9c, 0x63, 0x36, 0xfa], 0x9c63_36fa_2dc3_2bd3),
        ("[::1]:11211", [0xa4, 0x8a, 0x40, 0x46], 0xa48a_4046_5ad3_3aad),
    ] {
        assert_eq!((NodeId::of(name).0, seed(name)), (id, number), "{name}");
    }
    let list = fixed(&NAMES.join(",")).list();
    let sixteen: Vec<u8> = (0..16).collect();
    for (key, weights, chosen) in [
        (&b""[..], [0xc9fe_f7e9_9ad4_b962, 0x20a0_4731_841e_7627, 0x7453_7f10_8dfa_e951], 0),
        (b"alice", [0x17d7_4f6b_ac40_6383, 0x0419_532b_aa27_680d, 0xdfa8_16f2_dbf6_c21f], 2),
        (b"bob", [0xcf10_1ff3_609d_07f3, 0x3abd_eede_e859_25fb, 0x38f8_7d71_4a10_c2c3], 0),
        (b"carol", [0x5ffc_40fd_52d5_315f, 0xc62f_fd11_c942_84ab, 0x3c80_eac7_5496_dc8f], 1),
        (&sixteen, [0x3c8e_cad0_1a22_7dca, 0x9b93_626b_e7d4_828b, 0x11cd_8c82_2f4a_d18e], 1),
    ] {
        assert_eq!(NAMES.map(|name| weight(seed(name), point(key))), weights, "{key:?}");
        assert_eq!(list.choose(key, &[]).unwrap().name(), NAMES[chosen], "{key:?}");
    }
}

/// MC13: a node more or less moves its own share of new keys only, whatever the order of the list.
#[test]
fn a_node_less_moves_only_its_own_keys() {
    let four = fixed("a:1,b:1,c:1,d:1").list();
    let turned = fixed("d:1,b:1,a:1,c:1").list();
    let three = fixed("c:1,a:1,b:1").list();
    let mut moved = 0;
    for key in 0..10_000_u32 {
        let before = four.choose(&key.to_be_bytes(), &[]).unwrap();
        assert_eq!(before.name(), turned.choose(&key.to_be_bytes(), &[]).unwrap().name());
        let after = three.choose(&key.to_be_bytes(), &[]).unwrap();
        if before.name() == "d:1" {
            moved += 1;
        } else {
            assert_eq!(before.name(), after.name());
        }
    }
    assert!((2_300..2_700).contains(&moved), "{moved} of 10,000 keys moved");
}

#[test]
fn a_new_key_gets_a_node_that_answers() {
    let list = fixed("a:1,b:1").list();
    let first = list.choose(b"key", &[]).unwrap();
    let other = list.choose(b"key", &[first.id]).unwrap();
    assert_ne!(first.name(), other.name());
    first.admit(Moment::now()).unwrap().failed(Blow::TimedOut, "no answer");
    assert_eq!(list.choose(b"key", &[]).unwrap().name(), other.name());
    other.admit(Moment::now()).unwrap().failed(Blow::TimedOut, "no answer");
    // Where all are down, whoever makes something new finds out that one is back: its breaker says how often.
    assert_eq!(list.choose(b"key", &[]).unwrap().name(), first.name());
    assert!(list.choose(b"key", &[first.id, other.id]).is_none());
}

#[test]
fn a_list_is_judged_by_its_version() {
    for (name, ours, offered, dead, verdict) in [
        ("the first", None, 1, false, Verdict::Adopt),
        ("newer", Some(1), 2, false, Verdict::Adopt),
        ("the same", Some(2), 2, false, Verdict::Confirm),
        ("older", Some(2), 1, false, Verdict::Ignore),
        ("the cluster was made anew", Some(2), 1, true, Verdict::Adopt),
    ] {
        assert_eq!(judge(ours, offered, dead), verdict, "{name}");
    }
}

/// Scenario 22 of memcached.md.
#[test]
fn a_bad_answer_leaves_the_list_as_it_is() {
    let cluster = discovered();
    let now = Moment::now();
    cluster.learn(nodes("5\na||1 b||1\n"), Source::Endpoint, now).unwrap();
    for (name, offer) in [
        ("an error", Offer::None("ERROR".to_owned())),
        ("older", nodes("4\nc||1\n")),
        ("empty", nodes("6\n\n")),
        ("port 99999", nodes("6\nc||99999\n")),
        ("garbled", nodes("6\nc|1\n")),
    ] {
        assert!(cluster.learn(offer, Source::Endpoint, now).is_err(), "{name}");
        assert_eq!(names(&cluster), ["a:1", "b:1"], "{name}");
    }
    cluster.learn(nodes("6\nb||1 c||1\n"), Source::Node, now).unwrap();
    assert_eq!(names(&cluster), ["b:1", "c:1"]);
}

/// Scenario 33 of memcached.md.
#[test]
fn a_server_that_lists_no_nodes_is_the_only_one() {
    let cluster = discovered();
    cluster.learn(Offer::None("ERROR".to_owned()), Source::Endpoint, Moment::now()).unwrap();
    assert_eq!(names(&cluster), ["shop.cfg.example:11211"]);
}

/// Scenario 10 of memcached.md: the cluster was made anew under the same name, its versions begin again.
#[test]
fn an_older_list_is_believed_when_no_node_is_left() {
    let cluster = discovered();
    let now = Moment::now();
    cluster.learn(nodes("9\na||1 b||1\n"), Source::Endpoint, now).unwrap();
    for (place, node) in cluster.list().nodes.iter().enumerate() {
        assert!(cluster.learn(nodes("1\nc||1\n"), Source::Endpoint, now).is_err(), "{place} of 2 down");
        node.admit(Moment::now()).unwrap().failed(Blow::TimedOut, "no answer");
    }
    assert!(cluster.learn(nodes("1\nc||1\n"), Source::Node, now).is_err(), "by a node");
    cluster.learn(nodes("1\nc||1\n"), Source::Endpoint, now).unwrap();
    assert_eq!(names(&cluster), ["c:1"]);
}

/// Scenario 23 of memcached.md.
#[test]
fn a_node_that_stays_is_the_same_and_one_that_moved_begins_anew() {
    let cluster = discovered();
    let now = Moment::now();
    cluster.learn(nodes("1\na|10.0.0.1|1 b|10.0.0.2|1\n"), Source::Endpoint, now).unwrap();
    let before = cluster.list();
    before.nodes[1].admit(Moment::now()).unwrap().failed(Blow::TimedOut, "no answer");
    cluster.learn(nodes("2\na|10.0.0.1|1 b|10.0.0.9|1 c||1\n"), Source::Endpoint, now).unwrap();
    let after = cluster.list();
    assert!(Arc::ptr_eq(&before.nodes[0], &after.nodes[0]));
    assert_eq!(after.nodes[1].listed(), Some("10.0.0.9".parse().unwrap()));
    assert!(!after.nodes[1].is_down(), "another machine, another chance");
}

#[test]
fn the_list_is_asked_for_once_a_minute_and_by_one_command() {
    let cluster = discovered();
    let start = Moment::now();
    let at = |seconds| Moment { wall: start.wall + Duration::from_secs(seconds), ..start };
    assert!(cluster.is_due(at(0)), "at the beginning");
    assert!(!cluster.is_due(at(0)), "somebody is asking");
    cluster.learn(nodes("1\na||1\n"), Source::Node, at(0)).unwrap();
    assert!(!cluster.is_due(at(60)));
    assert!(cluster.is_due(at(61)));
    assert!(!cluster.is_due(at(62)), "somebody is asking");
    assert!(cluster.is_due(at(72)), "that brought nothing");
    assert!(!fixed("a:1").is_due(at(0)), "nodes that were set");
}
