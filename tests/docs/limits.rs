//! The limits in docs/operating.md are those that the code keeps or plays, by number, and each has its source.

use std::fs;

use crate::page::{Page, root};

const FRONT: &str = "src/bin/lambda-session/serve/front.rs";
const LIMITS: &str = "src/bin/lambda-session/limits.rs";

/// How a row begins, where the code has its numbers, and how it writes them, in their order: `{}` with
/// underscores, `{bare}` without, `{MB}` as a product, `{days}` in seconds.
const KNOWN: &[(&str, &str, &[&str])] = &[
    ("a cookie, name and value", "src/cookie.rs", &["PAIR_LIMIT_BYTES: usize = {bare};"]),
    ("a cookie's life", "src/lifetime.rs", &["LONGEST: Duration = Duration::from_secs({days});"]),
    ("request line and headers, HTTP API and REST API", FRONT, &["Self::HttpApi | Self::Rest => Some({}),"]),
    ("body of a request, HTTP API and REST API", FRONT, &["Self::HttpApi | Self::Rest => {MB},"]),
    ("time for an answer, HTTP API", FRONT, &["Self::HttpApi => Some(Duration::from_secs({})),"]),
    ("time for an answer, REST API", FRONT, &["Self::Rest => Some(Duration::from_secs({})),"]),
    (
        "headers of a request, ALB",
        FRONT,
        &["Self::Alb | Self::AlbMulti => Some({}),", "self.is_load_balancer().then_some({})"],
    ),
    ("headers of an answer, ALB", FRONT, &["self.is_load_balancer().then_some({})"]),
    ("bodies, ALB", LIMITS, &["ALB_LIMIT_BYTES: usize = {MB};", "ALB_LIMIT_BYTES: usize = {MB};"]),
    ("an event", LIMITS, &["EVENT_LIMIT_BYTES: usize = {MB};"]),
    ("an answer of a function", LIMITS, &["ANSWER_LIMIT_BYTES: usize = {};"]),
    ("an answer that is streamed", "src/bin/lambda-session/runtime_api.rs", &["STREAM_LIMIT_BYTES: usize = {MB};"]),
    ("a start", LIMITS, &["START_LIMIT: Duration = Duration::from_secs({});"]),
    ("SSM's GetParameter", "tests/storm.rs", &["const A_SECOND: f64 = {}.0;"]),
    ("a standard parameter", "src/bin/lambda-session/keys/parameter.rs", &["STANDARD_BYTES: usize = {bare};"]),
    ("a value in memcached", "src/memcached/settings.rs", &["VALUE_CEILING_BYTES: usize = {};"]),
];

/// What no code of ours depends on.
const ELSEWHERE: [&str; 4] = ["environment variables", "new environments", "nodes of a cluster", "a line of metrics"];

#[test]
fn every_limit_is_the_code_s() {
    let table = Page::read("docs/operating.md").table("| what | how much |");
    let (mut rows, mut wrong) = (Vec::new(), Vec::new());
    for row in &table {
        let (what, how_much, source) = (row[0].as_str(), row[1].as_str(), row[2].as_str());
        rows.push(what);
        let has_source = ["https://docs.aws.amazon.com/", "quotas", "RFC 6265bis, section ", "measured"];
        if !has_source.iter().any(|words| source.contains(words)) {
            wrong.push(format!("{what}: no source"));
        }
        let Some((_, path, patterns)) = KNOWN.iter().find(|(known, ..)| *known == what) else { continue };
        let code = fs::read_to_string(root().join(path)).unwrap();
        for (number, pattern) in numbers(how_much).zip(*patterns) {
            let written = pattern
                .replace("{bare}", &number.to_string())
                .replace("{days}", &grouped(number * 86_400))
                .replace("{MB}", &if number == 1 { "1024 * 1024".into() } else { format!("{number} * 1024 * 1024") })
                .replace("{}", &grouped(number));
            if !code.contains(&written) {
                wrong.push(format!("{what}: no {written} in {path}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    let known = KNOWN.iter().map(|(row, ..)| *row).chain(ELSEWHERE);
    rows.sort_unstable();
    let mut all: Vec<_> = known.collect();
    all.sort_unstable();
    assert_eq!(rows, all);
}

/// The numbers in a text, with commas between thousands.
fn numbers(text: &str) -> impl Iterator<Item = u64> {
    let digits = |word: &str| word.trim_matches(|c: char| !c.is_ascii_digit()).replace(',', "");
    text.split(' ').filter_map(move |word| digits(word).parse().ok())
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group)).collect();
    groups.join("_")
}
