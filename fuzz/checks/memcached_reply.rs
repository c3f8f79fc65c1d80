//! What a cache node may send: replies, lists of nodes, its version.

use lambda_session::memcached::protocol::{Configuration, Engine, Malformed, Nodes, Opaque, Progress, Reply, Status};

/// The largest value in these checks: small, so that fuzzing reaches what lies beyond it.
const VALUE_LIMIT_BYTES: usize = 4096;
/// The longest line, list and node count that may be read, and how much of a server's own words is kept.
const LINE_LIMIT_BYTES: usize = 2048;
const LIST_LIMIT_BYTES: usize = 65_536;
const NODES_LIMIT: usize = 512;
const WORDS_LIMIT: usize = 64;

/// Scenarios 12 and 22 of memcached.md: any bytes are one reply, the beginning of one, or none; which of them does not
/// depend on how the network cuts them; and what must be kept until that is known is bounded, whatever lengths are
/// claimed. (The fuzzer also forbids any single allocation above 1 MiB: `fuzz/run.sh`.)
pub(crate) fn memcached_reply(data: &[u8]) {
    let reply = |bytes: &[u8]| Reply::read(bytes, VALUE_LIMIT_BYTES);
    reading_is_the_same_however_it_is_cut(data, LINE_LIMIT_BYTES + VALUE_LIMIT_BYTES + 2, reply);
    reading_is_the_same_however_it_is_cut(data, LINE_LIMIT_BYTES + LIST_LIMIT_BYTES + 7, Configuration::read);
    reading_is_the_same_however_it_is_cut(data, LINE_LIMIT_BYTES, Engine::read);

    if let Ok(Progress::Whole(reply, consumed)) = reply(data) {
        a_reply_says_what_its_line_says(data, &reply, consumed);
        if let Some(opaque) = reply.opaque {
            let usual = Reply::read_usual(data, opaque, VALUE_LIMIT_BYTES);
            assert!(usual.is_none_or(|usual| usual == (reply, consumed)), "the usual replies are read alike");
        }
    }
    match Configuration::read(data) {
        Ok(Progress::Whole(Configuration::List(range), consumed)) => {
            assert_eq!(&data[range.end..consumed], b"\r\nEND\r\n");
            a_list_is_bounded_and_is_its_text(&data[range]);
        }
        Ok(Progress::Whole(Configuration::None(words), _)) => the_servers_words_are_short(&words),
        Ok(Progress::Partial(_)) | Err(_) => {}
    }
    match Engine::read(data) {
        Ok(Progress::Whole(Ok(engine), _)) => the_servers_words_are_short(&engine.text),
        Ok(Progress::Whole(Err(words), _)) => the_servers_words_are_short(&words),
        Ok(Progress::Partial(_)) | Err(_) => {}
    }
    a_list_is_bounded_and_is_its_text(data);
    what_an_engine_writes_is_read(data);
}

/// A reader that is given more and more of `data` decides once, and never asks for more than `most` bytes in all.
fn reading_is_the_same_however_it_is_cut<T: PartialEq + std::fmt::Debug>(
    data: &[u8],
    most: usize,
    read: impl Fn(&[u8]) -> Result<Progress<T>, Malformed>,
) {
    let whole = read(data);
    if let Ok(Progress::Whole(_, consumed)) = &whole {
        assert!((1..=data.len()).contains(consumed));
        assert_eq!(read(&data[..*consumed]), whole, "what follows means nothing");
    }
    // Every cut of a short input; of a long one those where something is decided, and some in between.
    let step = data.len().div_ceil(64).max(1);
    let near_the_end = data.len().saturating_sub(16)..data.len();
    for cut in (0..data.len().min(64)).chain((0..data.len()).step_by(step)).chain(near_the_end) {
        match read(&data[..cut]) {
            Ok(Progress::Partial(missing)) => {
                assert!(missing >= 1 && cut + missing <= most, "{missing} bytes after {cut}");
                if let Ok(Progress::Whole(_, consumed)) = &whole {
                    assert!(cut + missing <= *consumed, "{missing} bytes after {cut} of {consumed}");
                }
            }
            decided => assert_eq!(decided, whole, "cut at {cut}"),
        }
    }
    if let Ok(Progress::Partial(missing)) = whole {
        assert!(missing >= 1 && data.len() + missing <= most, "{missing} bytes after {}", data.len());
    }
}

/// The same line, read in another way.
fn a_reply_says_what_its_line_says(data: &[u8], reply: &Reply, consumed: usize) {
    let end = data.iter().position(|&byte| byte == b'\n').expect("a line ends") + 1;
    let line = std::str::from_utf8(&data[..end]).expect("a line is ASCII").strip_suffix("\r\n").expect("CR LF");
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let code = words.first().copied().unwrap_or_default();
    let flag = |letter: char| words.iter().skip(1).find_map(|word| word.strip_prefix(letter));
    match &reply.status {
        Status::Error(said) => {
            assert!(["ERROR", "CLIENT_ERROR", "SERVER_ERROR"].contains(&code) && line.starts_with(said.as_str()));
            the_servers_words_are_short(said);
            assert_eq!((reply.cas, reply.opaque, consumed), (None, None, end));
            return;
        }
        Status::Value(range) => {
            assert_eq!((code, words.get(1).and_then(|word| word.parse().ok())), ("VA", Some(range.len())));
            assert_eq!((range.start, &data[range.end..consumed]), (end, b"\r\n".as_slice()));
        }
        plain => {
            let expected = match code {
                "HD" => Status::Done,
                "EN" => Status::Miss,
                "NS" => Status::NotStored,
                "EX" => Status::Exists,
                "NF" => Status::NotFound,
                other => panic!("{other} is no code"),
            };
            assert_eq!((plain, consumed), (&expected, end));
        }
    }
    assert_eq!(reply.cas, flag('c').map(|digits| digits.parse().expect("a CAS is a number")));
    assert_eq!(reply.opaque.map(|opaque| opaque.to_string()).as_deref(), flag('O'));
}

fn a_list_is_bounded_and_is_its_text(payload: &[u8]) {
    let Ok(list) = Nodes::parse(payload) else { return };
    let names: Vec<&str> = list.names().collect();
    assert!((1..=NODES_LIMIT).contains(&names.len()));
    let mut sorted = names.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), names.len(), "a node is named twice");
    let entries = names.iter().map(|name| {
        let (host, port) = name.rsplit_once(':').expect("a name is host:port");
        format!("{}||{port}", host.trim_start_matches('[').trim_end_matches(']'))
    });
    let again = format!("{}\n{}\n", list.version, entries.collect::<Vec<_>>().join(" "));
    let again = Nodes::parse(again.as_bytes()).expect("a list, written anew");
    assert_eq!((again.version, again.names().collect::<Vec<_>>()), (list.version, names));
}

/// What is passed on of a server's words is short, and cannot break a log line.
fn the_servers_words_are_short(words: &str) {
    assert!(words.len() <= WORDS_LIMIT && words.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{words:?}");
}

/// Whatever a value holds, it comes back whole: nothing in it is taken for an end, with old engines' double spaces or not.
fn what_an_engine_writes_is_read(data: &[u8]) {
    let value = &data[..data.len().min(VALUE_LIMIT_BYTES)];
    let number = |from: usize| {
        let bytes = data.iter().skip(from).chain(std::iter::repeat(&0)).take(8);
        bytes.fold(0_u64, |number, &byte| number << 8 | u64::from(byte))
    };
    let (cas, opaque) = (number(0), Opaque::new(number(8)));
    for space in [" ", "  "] {
        let head = format!("VA {}{space}c{cas}{space}O{opaque}\r\n", value.len());
        let reply = [head.as_bytes(), value, b"\r\n"].concat();
        let status = Status::Value(head.len()..head.len() + value.len());
        let expected = Reply { status, cas: Some(cas), opaque: Some(opaque) };
        assert_eq!(Reply::read(&reply, VALUE_LIMIT_BYTES), Ok(Progress::Whole(expected.clone(), reply.len())));
        let usual = (space == " ").then_some((expected, reply.len()));
        assert_eq!(Reply::read_usual(&reply, opaque, VALUE_LIMIT_BYTES), usual);
    }
    let list = format!("CONFIG cluster 0 {}\r\n", value.len());
    let answer = [list.as_bytes(), value, b"\r\nEND\r\n"].concat();
    let range = list.len()..list.len() + value.len();
    assert_eq!(Configuration::read(&answer), Ok(Progress::Whole(Configuration::List(range), answer.len())));
}
