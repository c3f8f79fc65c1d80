//! Replays `fuzz/corpus/` through the fuzz targets' own checks, so that what fuzzing once found stays mended without
//! cargo-fuzz.

#[path = "../fuzz/checks.rs"]
mod checks;

use std::{
    fs, panic,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use lambda_session::lambda::Event;

/// Far above what any seed takes in a debug build (milliseconds), far below what a quadratic reader takes of 256 KB.
const PATIENCE: Duration = Duration::from_secs(5);

/// CA7, CA9, CA10.
#[test]
fn cookies_are_found_whatever_stands_around_them() {
    replay("cookie_header", checks::cookie_header);
}

/// CC1, CC2, CC3, CC7, CC10, CC13.
#[test]
fn what_nobody_sealed_never_opens() {
    replay("token", checks::token);
}

/// CC12, SL10.
#[test]
fn a_record_is_its_frame_and_any_payload_is_served() {
    replay("record", checks::record);
}

/// AR1, AR5, AR6, CA8.
#[test]
fn a_payload_is_an_event_or_a_clear_error() {
    replay("event", checks::event);
}

/// SS2.
#[test]
fn settings_are_read_or_refused_by_rule() {
    replay("dotenv", checks::dotenv);
}

/// Scenarios 12, 22.
#[cfg(feature = "memcached")]
#[test]
fn whatever_a_cache_node_sends_is_a_reply_or_none_and_costs_little() {
    replay("memcached_reply", checks::memcached_reply);
}

/// CA11: the time that a `Cookie` header takes grows with its size, not with its square.
#[test]
fn long_cookie_headers_are_read_in_linear_time() {
    for (path, seed) in seeds("cookie_header") {
        let long = seed.repeat((256 * 1024_usize).div_ceil(seed.len().max(1)));
        let start = Instant::now();
        checks::cookie_header(&long);
        assert!(start.elapsed() < PATIENCE, "{}: {} bytes took {:?}", path.display(), long.len(), start.elapsed());
    }
}

/// AR1: more names than a header map holds (24,576), which is more than libFuzzer is given room for.
#[test]
fn an_event_with_more_headers_than_a_map_holds_is_served() {
    let names = |prefix: &str| (0..25_000).map(|i| format!(r#""{prefix}{i}":"1""#)).collect::<Vec<_>>().join(",");
    let context = r#""requestContext":{"http":{"method":"GET"}},"cookies":["a=1"]"#;
    let single = format!(r#"{{"headers":{{{}}},{context}}}"#, names("a"));
    let both = format!(r#"{{"headers":{{{}}},"multiValueHeaders":{{{}}},{context}}}"#, names("a"), names("b"));
    for payload in [single, both] {
        let mut lambda = lambda_http::Context::default();
        lambda.xray_trace_id = Some("Root=1-6b032da0-0a1b2c3d4e5f60718293a4b5".into());
        let request = Event::parse(&payload).unwrap().into_request(lambda).unwrap();
        assert!(request.headers().len() >= 24_576);
    }
}

fn replay(target: &str, check: fn(&[u8])) {
    let seeds = seeds(target);
    assert!(seeds.len() > 20, "{target}: {} seeds", seeds.len());
    for (path, seed) in seeds {
        let outcome = panic::catch_unwind(|| check(&seed));
        assert!(outcome.is_ok(), "{} breaks a promise (above)", path.display());
    }
}

/// The seeds of a target, in the order of their names.
fn seeds(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut paths: Vec<_> = fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}
