use proptest::prelude::*;

use super::*;

const LIMIT: usize = 1024;

fn whole(status: Status, cas: Option<u64>, opaque: Option<u64>, consumed: usize) -> Progress<Reply> {
    Progress::Whole(Reply { status, cas, opaque: opaque.map(Opaque::new) }, consumed)
}

#[test]
fn replies_are_read_as_the_engines_write_them() {
    let error = |words: &str| Status::Error(words.to_owned());
    for (name, bytes, expected) in [
        ("a value", "VA 5 c7 OAAAAAAD_\r\nhello\r\n", whole(Status::Value(19..24), Some(7), Some(255), 26)),
        ("a value with line ends", "VA 4\r\n\r\n\r\n\r\n", whole(Status::Value(6..10), None, None, 12)),
        ("an empty value", "VA 0 c1\r\n\r\n", whole(Status::Value(9..9), Some(1), None, 11)),
        ("done", "HD\r\n", whole(Status::Done, None, None, 4)),
        ("two spaces, before 1.6.18", "HD  OAAAAAAAH\r\n", whole(Status::Done, None, Some(7), 15)),
        ("a space at the end", "HD \r\n", whole(Status::Done, None, None, 5)),
        ("a bare miss, before 1.6.18", "EN\r\n", whole(Status::Miss, None, None, 4)),
        ("a miss", "EN OAAAAAAAH\r\n", whole(Status::Miss, None, Some(7), 14)),
        ("not stored", "NS OAAAAAAAH\r\n", whole(Status::NotStored, None, Some(7), 14)),
        ("exists", "EX c0 OAAAAAAAH\r\n", whole(Status::Exists, Some(0), Some(7), 17)),
        ("not found", "NF\r\nEN\r\n", whole(Status::NotFound, None, None, 4)),
        ("flags that nobody asked for", "HD W X t-1 s5\r\n", whole(Status::Done, None, None, 15)),
        ("an error", "ERROR\r\n", whole(error("ERROR"), None, None, 7)),
        (
            "a full server",
            "ERROR Too many open connections\r\n",
            whole(error("ERROR Too many open connections"), None, None, 33),
        ),
        (
            "a refused write",
            "SERVER_ERROR object too large for cache\r\nEN\r\n",
            whole(error("SERVER_ERROR object too large for cache"), None, None, 41),
        ),
    ] {
        assert_eq!(Reply::read(bytes.as_bytes(), LIMIT), Ok(expected.clone()), "{name}");
        let Progress::Whole(_, consumed) = expected else { continue };
        for cut in 0..consumed {
            let read = Reply::read(&bytes.as_bytes()[..cut], LIMIT);
            let Ok(Progress::Partial(missing)) = read else { panic!("{name}, cut at {cut}: {read:?}") };
            assert!(missing >= 1 && missing <= consumed - cut, "{name}, cut at {cut}: {missing} missing");
        }
    }
}

/// Scenario 12 of memcached.md.
#[test]
fn malformed_replies_are_refused() {
    let endless = "H".repeat(LINE_LIMIT_BYTES);
    for (name, bytes, expected) in [
        ("an unknown code", "OK\r\n", "an unknown code"),
        ("the classic protocol", "STORED\r\n", "an unknown code"),
        ("an empty line", "\r\n", "an unknown code"),
        ("a negative length", "VA -1\r\n", "a value without a length"),
        ("no length", "VA\r\n", "a value without a length"),
        ("a length with a sign", "VA +1\r\nx\r\n", "a value without a length"),
        ("a length of nine quintillions", "VA 9000000000000000000\r\n", "a value that is too long"),
        ("a length above 64 bits", "VA 99999999999999999999999\r\n", "a value without a length"),
        ("a length above the limit", "VA 1025\r\n", "a value that is too long"),
        ("a value longer than said", "VA 2\r\nabc\r\n", "a value of another length"),
        ("no carriage return", "HD\n", "a line without carriage return"),
        ("a carriage return inside", "HD\rX\r\n", "a line with control characters"),
        ("NUL", "HD\0\r\n", "a line with control characters"),
        ("a line that does not end", &endless, "a line that does not end"),
        ("a CAS of letters", "HD cx\r\n", "a CAS that is no number"),
        ("two CAS", "HD c1 c2\r\n", "a flag twice"),
        ("another's opaque", "HD O7\r\n", "an opaque that is not ours"),
        ("a longer opaque", "HD OAAAAAAAHA\r\n", "an opaque that is not ours"),
        ("two opaques", "HD OAAAAAAAH OAAAAAAAH\r\n", "a flag twice"),
    ] {
        assert_eq!(Reply::read(bytes.as_bytes(), LIMIT), Err(Malformed(expected)), "{name}");
    }
}

/// Scenario 22 of memcached.md: the bytes of the list are counted, whatever they are.
#[test]
fn the_list_of_nodes_is_counted() {
    let list = "CONFIG cluster 0 18\r\n1\nEND\r\n|1.2.3.4|1\n\r\nEND\r\n";
    assert_eq!(Configuration::read(list.as_bytes()), Ok(Progress::Whole(Configuration::List(21..39), 46)));
    for cut in 0..list.len() {
        assert!(matches!(Configuration::read(&list.as_bytes()[..cut]), Ok(Progress::Partial(1..))), "cut at {cut}");
    }
    let none = |words: &str, consumed| Ok(Progress::Whole(Configuration::None(words.to_owned()), consumed));
    for (name, bytes, expected) in [
        ("plain memcached", "ERROR\r\n", none("ERROR", 7)),
        ("nothing set", "END\r\n", none("END", 5)),
        ("too long", "CONFIG cluster 0 65537\r\n", Err(Malformed("a list of nodes that is too long"))),
        (
            "shorter than said",
            "CONFIG cluster 0 9\r\n1\na||1\r\nEND\r\n",
            Err(Malformed("a list of nodes of another length")),
        ),
        ("another key", "CONFIG other 0 9\r\n", Err(Malformed("no list of nodes"))),
        ("a reply to something else", "HD\r\n", Err(Malformed("no list of nodes"))),
    ] {
        assert_eq!(Configuration::read(bytes.as_bytes()), expected, "{name}");
    }
}

/// Scenario 32 of memcached.md.
#[test]
fn an_engine_is_judged_by_its_number() {
    for (text, supported, echoes) in [
        ("1.4.5", false, false),
        ("1.5.16", false, false),
        ("1.6.6", false, false),
        ("1.6.11", false, false),
        ("1.6.12", true, false),
        ("1.6.17", true, false),
        ("1.6.18", true, true),
        ("1.6.22", true, true),
        ("1.6.45", true, true),
        ("1.6.9_beta1", false, false),
        ("1.6.22-aws", true, true),
        ("2.0", true, true),
        ("21", true, true),
        ("serverless", true, true),
    ] {
        let line = format!("VERSION {text}\r\n");
        let Ok(Progress::Whole(Ok(engine), consumed)) = Engine::read(line.as_bytes()) else { panic!("{text}") };
        assert_eq!(
            (engine.is_supported(), engine.echoes_on_miss(), consumed),
            (supported, echoes, line.len()),
            "{text}"
        );
        assert_eq!(engine.text, text);
    }
    assert_eq!(Engine::read(b"VERSION \r\n"), Err(Malformed("no version")));
    let full = "ERROR Too many open connections";
    assert_eq!(Engine::read(format!("{full}\r\n").as_bytes()), Ok(Progress::Whole(Err(full.to_owned()), 33)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Scenario 12 of memcached.md: what is asked for is bounded, and what is found lies within the bytes.
    #[test]
    fn any_bytes_ask_for_bounded_memory(bytes in prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        "(VA|HD|EN|NS|EX|NF|ERROR|CONFIG cluster 0|VERSION) ?[-0-9a-zO ]{0,30}(\r\n|\n)?[a-z\r\n]{0,20}".prop_map(String::into_bytes),
    ]) {
        match Reply::read(&bytes, LIMIT) {
            Ok(Progress::Partial(missing)) => prop_assert!((1..=LIMIT + 2).contains(&missing)),
            Ok(Progress::Whole(reply, consumed)) => {
                prop_assert!(consumed <= bytes.len());
                if let Status::Value(range) = reply.status {
                    prop_assert!(range.end + 2 == consumed && range.start <= range.end);
                }
            }
            Err(_) => {}
        }
        match Configuration::read(&bytes) {
            Ok(Progress::Partial(missing)) => prop_assert!((1..=LIST_LIMIT_BYTES + 7).contains(&missing)),
            Ok(Progress::Whole(_, consumed)) => prop_assert!(consumed <= bytes.len()),
            Err(_) => {}
        }
        let _ = Engine::read(&bytes);
        let _ = super::super::Nodes::parse(&bytes);
    }

    /// What is read from the first part of a stream is what is read from the whole: nothing is decided too early.
    #[test]
    fn a_reply_means_the_same_however_it_is_cut(bytes in "(VA [0-9]{1,2}|HD|EN|NS|EX|NF)( c[0-9])?( O[0-9a-f]{16})?\r\n[a-z\r\n]{0,40}") {
        let read = Reply::read(bytes.as_bytes(), LIMIT);
        for cut in 0..bytes.len() {
            match Reply::read(&bytes.as_bytes()[..cut], LIMIT) {
                Ok(Progress::Partial(_)) => {}
                decided => prop_assert_eq!(&decided, &read),
            }
        }
    }
}
