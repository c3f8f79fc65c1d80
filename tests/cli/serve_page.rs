//! The page `/_session`: what it shows, to whom, and to whom not.
#![cfg(feature = "axum")]

use std::path::Path;

use crate::serving::{Heard, Serving};
use crate::support::{SECRET, Sealed, Variables};

const HTML: &str = "Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8";

fn serving(variables: Variables<'_>) -> Serving {
    let mut all = vec![("SECRET_KEY_BASE", SECRET)];
    all.extend(variables);
    Serving::before(Path::new(env!("CARGO_BIN_EXE_bootstrap")), &[], &all)
}

fn cookie(heard: &Heard) -> String {
    let lines = heard.values("set-cookie");
    assert_eq!(lines.len(), 1, "{heard:?}");
    format!("Cookie: {}", lines[0].split(';').next().unwrap())
}

fn post(serving: &Serving, cookies: &[&str], body: &str) -> Heard {
    let mut headers = vec!["Content-Type: application/json"];
    headers.extend(cookies);
    serving.ask("POST /posts", &headers, body)
}

fn page(serving: &Serving, headers: &[&str]) -> Heard {
    serving.ask("GET /_session", headers, "")
}

#[test]
fn the_page_shows_the_browsers_session_and_what_changed_it() {
    let serving = serving(&[]);
    let first = cookie(&post(&serving, &[], r#"{"color":"blue","n":[1,2]}"#));
    let second = cookie(&post(&serving, &[&first], r#"{"color":"green"}"#));
    let shown = page(&serving, &[HTML, &second]);
    assert_eq!((shown.status, shown.values("content-type")), (200, vec!["text/html; charset=utf-8"]));
    let text = shown.text();
    for part in [
        "<p class=\"good\">Good</p>",
        "<dt>cookie</dt><dd>__Host-session</dd>",
        "<dt>format</dt><dd>encrypted</dd>",
        "<dt>key id</dt><dd>a277, of the secret that seals today</dd>",
        "<dt>idle end</dt><dd>in ",
        "<dt>absolute end</dt><dd>in ",
        "<details><summary> <code>color</code> 12 bytes</summary><pre>&quot;green&quot;</pre></details>",
        "<details><summary> <code>n</code> 6 bytes</summary><pre>[\n  1,\n  2\n]</pre></details>",
        "<code>POST /posts</code> 200 in ",
        "session changed<details><summary>~ <code>color</code> 12 bytes</summary><pre>&quot;blue&quot;</pre><pre>&quot;green&quot;</pre>",
        "session new<details><summary>+ <code>color</code> 11 bytes</summary><pre>&quot;blue&quot;</pre></details>",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let token = second.split_once('=').unwrap().1;
    assert!(!text.contains(token) && !text.contains(&token[..12]), "{text}");
}

/// Values are for whoever holds the session's cookie, and stand nowhere but in what a click opens.
#[test]
fn values_are_shown_to_nobody_else_and_not_to_a_terminal() {
    let serving = serving(&[]);
    let own = cookie(&post(&serving, &[], r#"{"color":"blue"}"#));
    let other = cookie(&post(&serving, &[], r#"{"color":"red"}"#));
    let forged = format!("Cookie: __Host-session={}", "A".repeat(80));
    let rows: [(&str, &[&str], bool, bool); 6] = [
        ("the owner", &[HTML, &own], true, false),
        ("the other", &[HTML, &other], false, true),
        ("nobody", &[HTML], false, false),
        ("a forger", &[HTML, &forged], false, false),
        ("the owner's terminal", &[&own], false, false),
        ("the owner's curl", &["Accept: */*", &own], false, false),
    ];
    for (name, headers, blue, red) in rows {
        let heard = page(&serving, headers);
        let text = heard.text();
        assert_eq!((text.contains("blue"), text.contains("red")), (blue, red), "{name}: {text}");
        assert!(text.contains("color"), "{name}: keys are shown");
        let mut outside = text.to_owned();
        while let Some((before, after)) = outside.split_once("<pre>") {
            outside = format!("{before}{}", after.split_once("</pre>").unwrap().1);
        }
        assert!(!outside.contains("blue") && !outside.contains("&quot;red"), "{name}: {outside}");
    }
    let text = page(&serving, &[&own]);
    assert_eq!(text.values("content-type"), ["text/plain; charset=utf-8"]);
    assert!(text.text().contains("  verdict       good\n") && text.text().contains("   11 bytes  color\n"), "{text:?}");
}

#[test]
fn the_page_is_for_a_person_at_this_machine() {
    let serving = serving(&[]);
    let own = cookie(&post(&serving, &[], r#"{"color":"blue"}"#));
    let raw = |host: &str, headers: &[&str]| {
        let lines: String = headers.iter().flat_map(|line| [line, "\r\n"]).collect();
        serving.raw(format!("GET /_session HTTP/1.1\r\nHost: {host}\r\n{own}\r\n{lines}Connection: close\r\n\r\n"))
    };
    let rows: [(&str, &[&str], u16); 18] = [
        ("localhost:3000", &[], 200),
        ("127.0.0.1", &[], 200),
        ("[::1]:3000", &[], 200),
        ("shop.example", &[], 403),
        ("evil.localhost", &[], 403),
        ("localhost.evil.example", &[], 403),
        ("0.0.0.0:3000", &[], 403),
        ("localhost", &["Sec-Fetch-Site: none", "Sec-Fetch-Dest: document", "Sec-Fetch-Mode: navigate"], 200),
        ("localhost", &["Sec-Fetch-Site: same-origin", "Sec-Fetch-Dest: document"], 200),
        ("localhost", &["Sec-Fetch-Site: same-site", "Sec-Fetch-Dest: document"], 403),
        ("localhost", &["Sec-Fetch-Site: cross-site", "Sec-Fetch-Dest: document"], 403),
        ("localhost", &["Sec-Fetch-Site: cross-site", "Sec-Fetch-Dest: image"], 403),
        ("localhost", &["Sec-Fetch-Site: same-origin", "Sec-Fetch-Dest: iframe"], 403),
        ("localhost", &["Sec-Fetch-Site: same-origin", "Sec-Fetch-Dest: empty"], 403),
        ("localhost", &["X-Forwarded-For: 192.0.2.1"], 403),
        ("localhost", &["X-Forwarded-Host: shop.example"], 403),
        ("localhost", &["Forwarded: for=192.0.2.1"], 403),
        ("localhost", &["Via: 1.1 tunnel"], 403),
    ];
    for (host, headers, status) in rows {
        let heard = raw(host, &[headers, &[HTML]].concat());
        assert_eq!(heard.status, status, "{host} {headers:?}: {heard:?}");
        assert_eq!(heard.text().contains("blue"), status == 200, "{host} {headers:?}");
        let policy = heard.values("content-security-policy")[0];
        assert!(
            policy.starts_with("default-src 'none'; style-src 'sha256-") && policy.ends_with("; sandbox"),
            "{policy}"
        );
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(heard.values(name), [value], "{name}");
        }
        assert!(!heard.headers.iter().any(|(name, _)| name.starts_with("access-control-")), "{heard:?}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let heard = serving.ask(&format!("{method} /_session"), &[&own], "");
        assert_eq!((heard.status, heard.values("allow")), (405, vec!["GET"]), "{method}");
    }
    assert_eq!(serving.get("/_session/x").status, 404, "other paths are the function's");
}

#[test]
fn a_hostile_session_is_shown_as_text() {
    let serving = serving(&[]);
    let hostile = "</pre></details><script>alert(1)</script>";
    let body = format!(r#"{{"{hostile}":"{hostile}","\u202ekey":"\u001b[2J"}}"#);
    let own = cookie(&post(&serving, &[], &body));
    serving.get("/%3Cscript%3E?<script>");
    let text = page(&serving, &[HTML, &own]).text().to_owned();
    assert!(!text.contains("<script") && !text.contains('\u{202e}') && !text.contains('\u{1b}'), "{text}");
    assert!(text.contains("&lt;/pre&gt;&lt;/details&gt;&lt;script&gt;alert(1)&lt;/script&gt;"), "{text}");
}

#[test]
fn a_cookie_that_is_no_session_is_shown_with_the_rule_that_refuses_it() {
    let serving = serving(&[]);
    let old = Sealed {
        issued: std::time::Duration::from_secs(3600),
        created: std::time::Duration::from_secs(7200),
        ..Sealed::default()
    };
    let good = Sealed::default().encrypted();
    let rows = [
        (format!("__Host-session={}", old.encrypted()), "Refused: it was idle for longer than the idle lifetime"),
        ("__Host-session=AaJ3AAAA".to_owned(), "Refused: it is too short for its format"),
        ("__Host-session=".to_owned(), "Refused: it is no token"),
        ("other=1".to_owned(), "This browser sends no session cookie (__Host-session)."),
        (
            format!("__Host-session={good}; __Host-session={}", Sealed::default().encrypted()),
            "Refused: 2 different cookies of this name are good, so none is believed",
        ),
    ];
    for (line, expected) in rows {
        let heard = page(&serving, &[HTML, &format!("Cookie: {line}")]);
        assert!(heard.text().contains(expected), "{line}: {}", heard.text());
    }
}

#[test]
fn without_a_secret_no_session_is_shown() {
    let serving = Serving::before(&crate::support::python(), &[], &[]);
    serving.get("/count");
    let heard = page(&serving, &[HTML, "Cookie: __Host-session=AaJ3AAAA"]);
    assert!(heard.text().contains("No secret is at hand here"), "{heard:?}");
    assert!(heard.text().contains("<code>GET /count</code> 200 in ") && !heard.text().contains("AaJ3"), "{heard:?}");
}

/// What only the function can see is said to be so.
#[test]
fn a_session_in_the_functions_memory_is_said_to_be_unseen() {
    let serving = Serving::before(
        Path::new(env!("CARGO_BIN_EXE_bootstrap")),
        &["--environments", "1"],
        &[("SECRET_KEY_BASE", SECRET), ("SESSION_STORE", "memory")],
    );
    let own = cookie(&post(&serving, &[], r#"{"color":"blue"}"#));
    let heard = page(&serving, &[HTML, &own]);
    let expected = "<p>Not seen here: it is kept in the memory of the function, which alone can see it</p>";
    assert!(heard.text().contains(expected) && heard.text().contains("<dd>reference</dd>"), "{heard:?}");
}

#[test]
#[cfg(feature = "memcached")]
fn a_session_in_memcached_is_read_there() {
    let mut server = crate::cache::Memcached::start(&[]);
    let name = server.name();
    let variables = [("SESSION_STORE", "memcached"), ("MEMCACHE_SERVERS", &name), ("MEMCACHE_PREFIX", "shop")];
    let serving = serving(&variables);
    let own = cookie(&post(&serving, &[], r#"{"color":"blue"}"#));
    let text = page(&serving, &[HTML, &own]).text().to_owned();
    for part in ["<p class=\"good\">Good</p>", "<dd>reference</dd>", "<dt>idle end</dt>", "<code>color</code> 11 bytes"]
    {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(text.contains("<pre>&quot;blue&quot;</pre>"), "{text}");
    post(&serving, &[&own], r#"{"color":"green"}"#);
    let text = page(&serving, &[HTML, &own]).text().to_owned();
    let values = "<pre>&quot;blue&quot;</pre><pre>&quot;green&quot;</pre>";
    for part in [
        "session new<details><summary>+ <code>color</code> 11 bytes</summary><pre>&quot;blue&quot;</pre></details>",
        &format!("session changed<details><summary>~ <code>color</code> 12 bytes</summary>{values}"),
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    serving.ask("GET /posts", &[&own], "");
    serving.wait_for("GET /posts -> 200, session: unchanged");
    assert!(!page(&serving, &[HTML]).text().contains("blue"), "not without its cookie");
    serving.ask("POST /logout", &[&own], "");
    serving.wait_for("POST /logout -> 200, session: ended");
    let gone = page(&serving, &[HTML, &own]);
    assert!(gone.text().contains("Refused: the session that it names is gone"), "{gone:?}");
    let own = cookie(&post(&serving, &[], "{}"));
    server.kill();
    let down = page(&serving, &[HTML, &own]);
    assert!(down.text().contains("Not seen here: "), "{down:?}");
}
