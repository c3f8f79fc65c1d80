//! Cookies between events.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::{Place, Ran, alb, alb_multi, function_url, get, http_api, rest};

fn bodies(ran: &Ran) -> Vec<Value> {
    ran.json().iter().map(|line| line["body"].clone()).collect()
}

#[test]
fn cookies_stay_between_events_of_every_kind() {
    for make in [http_api, function_url, rest, alb, alb_multi] {
        let event = make("/count", "");
        let ran = Place::new().invoke(&["--json"], &[event.clone(), event.clone(), event]);
        assert_eq!(bodies(&ran), [1, 2, 3], "{ran:?}");
    }
}

#[test]
fn all_kinds_share_one_browser() {
    let events = [http_api, rest, alb, alb_multi].map(|make| make("/count", ""));
    assert_eq!(bodies(&Place::new().invoke(&["--json"], &events)), [1, 2, 3, 4]);
}

#[test]
fn without_a_jar_every_event_stands_for_itself() {
    let ran = Place::new().invoke(&["--json", "--no-jar"], &[get("/count"), get("/count")]);
    assert_eq!(bodies(&ran), [1, 1]);
}

#[test]
fn a_jar_in_a_file_outlives_the_command() {
    let place = Place::new();
    for run in 1..=3 {
        let ran = place.invoke(&["--json", "--jar", "jar.json"], &[get("/count")]);
        assert_eq!(bodies(&ran), [run]);
    }
    assert_eq!(place.names(), ["0.json", "jar.json"]);
}

#[test]
fn a_jar_is_for_its_owner_only() {
    let place = Place::new();
    let mode = |name: &str| fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o777;
    place.invoke(&["--jar", "jar.json"], &[get("/count")]);
    assert_eq!(mode("jar.json"), 0o600);
    fs::set_permissions(place.path("jar.json"), fs::Permissions::from_mode(0o644)).unwrap();
    place.invoke(&["--jar", "jar.json"], &[get("/count")]);
    assert_eq!(mode("jar.json"), 0o600);
}

#[test]
fn a_link_to_a_jar_stays_a_link() {
    let place = Place::new();
    place.write("real.json", r#"{"cookies":[]}"#);
    std::os::unix::fs::symlink("real.json", place.path("jar.json")).unwrap();
    place.invoke(&["--jar", "jar.json"], &[get("/count")]);
    assert!(fs::symlink_metadata(place.path("jar.json")).unwrap().is_symlink());
    assert!(fs::read_to_string(place.path("real.json")).unwrap().contains("shop.example"));
}

#[test]
fn a_wrong_jar_is_a_wrong_argument_and_stays_as_it_is() {
    let place = Place::new();
    place.write("jar.json", "my diary");
    let ran = place.invoke(&["--jar", "jar.json"], &[get("/count")]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
    assert!(ran.err.starts_with("lambda-session: jar.json is no cookie jar of this command: "), "{ran:?}");
    assert_eq!(fs::read_to_string(place.path("jar.json")).unwrap(), "my diary");
    let ran = place.invoke(&["--jar", "no/such/jar.json"], &[get("/count")]);
    assert_eq!(ran.code, 2, "{ran:?}");
}

/// The browser's rules, seen from outside: what an answer sets, and what the next event carries.
#[test]
fn a_browser_decides_what_comes_back() {
    let long = format!("long={}; Path=/", "v".repeat(4093));
    let rows: Vec<(&str, Vec<&str>, &str, Value, Value)> = vec![
        (
            "kept",
            vec!["a=1; Path=/", "b=2; Path=/; Secure; HttpOnly"],
            "/event",
            json!(["kept", "kept"]),
            json!(["a=1", "b=2"]),
        ),
        ("a prefix kept", vec!["__Host-a=1; Path=/; Secure"], "/event", json!(["kept"]), json!(["__Host-a=1"])),
        ("a prefix broken", vec!["__Host-a=1; Path=/"], "/event", json!(["refused"]), Value::Null),
        ("too long", vec![&long], "/event", json!(["refused"]), Value::Null),
        ("another path", vec!["a=1; Path=/x"], "/event", json!(["kept"]), Value::Null),
        ("its path", vec!["a=1; Path=/x"], "/x/event", json!(["kept"]), json!(["a=1"])),
        ("its domain", vec!["a=1; Path=/; Domain=shop.example"], "/event", json!(["kept"]), json!(["a=1"])),
        ("another domain", vec!["a=1; Path=/; Domain=other.example"], "/event", json!(["refused"]), Value::Null),
        (
            "set and removed",
            vec!["a=1; Path=/", "a=; Path=/; Max-Age=0"],
            "/event",
            json!(["kept", "removed"]),
            Value::Null,
        ),
    ];
    for (name, set, next, verdicts, carried) in rows {
        let ran = Place::new().invoke(&["--json"], &[http_api("/set", &json!(set).to_string()), get(next)]);
        let lines = ran.json();
        let found: Vec<_> =
            lines[0]["set_cookies"].as_array().unwrap().iter().map(|cookie| &cookie["browser"]).collect();
        assert_eq!(json!(found), verdicts, "{name}");
        assert_eq!(lines[1]["body"]["event"]["cookies"], carried, "{name}");
    }
}

#[test]
fn the_events_own_cookies_give_way_to_newer_ones() {
    let mut carries = get("/event");
    carries["cookies"] = json!(["n=7", "theme=dark"]);
    let mut counts = carries.clone();
    counts["rawPath"] = json!("/count");
    let ran = Place::new().invoke(&["--json"], &[carries.clone(), counts, carries]);
    let lines = ran.json();
    assert_eq!(lines[0]["body"]["event"]["cookies"], json!(["n=7", "theme=dark"]));
    assert_eq!(lines[1]["body"], 8);
    assert_eq!(lines[2]["body"]["event"]["cookies"], json!(["theme=dark", "n=8"]));
}

#[test]
fn a_refused_cookie_is_told_with_its_reason() {
    let ran = Place::new().invoke(&[], &[http_api("/set", r#"["__Host-a=0123456789abcdef; Path=/"]"#)]);
    assert!(ran.out.contains("\n   set-cookie: __Host-a=01234… (16 characters); Path=/\n     a browser ignores this cookie: __Host- wants Secure\n"), "{}", ran.out);
}
