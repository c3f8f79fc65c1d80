//! What is logged, and what never is (security.md, SL11, AR3, AR4, AR5, AR10, SS12).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects
)]

#[cfg(feature = "memcached")]
#[path = "memcached/support/mod.rs"]
#[allow(dead_code, unused_imports)]
mod cache;
mod support;

use std::{fmt::Write, panic::AssertUnwindSafe};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};
use http::{HeaderValue, Request, Response, header};
use lambda_http::Body;
use lambda_session::config::{Settings, keyring as ring_of};
use lambda_session::lambda::{Answer as EventAnswer, Event, Kind};
use lambda_session::metrics::Metrics;
use lambda_session::store::{MemoryStore, Store};
use lambda_session::{CookieOptions, ErrorKind, Session, SessionLayer, Values};
use support::*;
use tower::ServiceExt;

/// Every spelling in which something could be written by mistake: raw, base64 in its alphabets and at its three offsets,
/// hex in both cases and as Rust prints bytes, percent form, escaped.
fn spellings(secret: &[u8]) -> Vec<String> {
    let mut found: Vec<String> = String::from_utf8(secret.to_vec()).into_iter().collect();
    for engine in [&STANDARD, &URL_SAFE, &STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
        found.push(engine.encode(secret));
        for offset in 1..3 {
            // Inside something longer the first and last characters depend on the neighbours.
            let shifted = engine.encode([&vec![0; offset][..], secret].concat());
            let shifted = shifted.trim_end_matches('=');
            found.push(shifted[4..shifted.len() - 1].to_owned());
        }
    }
    let hex = secret.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    });
    let percent = secret.iter().fold(String::new(), |mut text, byte| {
        write!(text, "%{byte:02X}").unwrap();
        text
    });
    found.extend([hex.to_uppercase(), hex, percent.to_lowercase(), percent]);
    found.push(format!("{secret:?}").trim_matches(['[', ']']).to_owned());
    found.push(secret.escape_ascii().to_string());
    found.iter_mut().for_each(|text| *text = text.chars().take(40).collect());
    found.retain(|text| text.len() >= 8);
    found
}

/// The search itself finds what it is meant to find.
#[test]
fn the_search_finds_every_spelling() {
    for text in spellings(b"a secret that is long enough to be found") {
        assert!(text.len() >= 8, "{text}");
    }
    let found = spellings(b"secret-value");
    for text in [
        "secret-value",
        "c2VjcmV0LXZhbHVl",
        "7365637265742d76616c7565",
        "7365637265742D76616C7565",
        "%73%65%63%72%65%74%2D%76%61%6C%75%65",
        "115, 101, 99, 114, 101, 116, 45, 118, 97",
    ] {
        assert!(found.iter().any(|found| text.starts_with(found.as_str()) || found.starts_with(text)), "{text}");
    }
}

/// SL11, SS12, AR11: the whole life of sessions, good and bad, over every store at TRACE: no secret, key, token, id or
/// value of a session is in the log in any spelling.
#[tokio::test]
async fn nothing_secret_is_logged_at_trace() {
    const VALUE: &str = "alice's mother's maiden name";
    let segment = "alice's%20mother's%20maiden%20name";
    let (log, guard) = Log::capture_spans();
    // What is counted is told too, and searched with the rest.
    let app = |store: Any| counted(layer(store));
    let mut secrets: Vec<Vec<u8>> = vec![VALUE.into(), segment.into()];
    for seed in [0, 1, 2] {
        let secret = secret_bytes(seed);
        secrets.extend(["enc", "mac", "ref"].map(|label| other::derive(&secret, label, 32)));
        secrets.push(secret);
    }
    let stores = Any::all(&[1]);
    #[cfg(feature = "memcached")]
    let mut server = cache::Memcached::start(&[]);
    #[cfg(feature = "memcached")]
    let stores = [stores, vec![("memcached", Any::Memcached(memcached_at(&server)))]].concat();
    for (name, store) in stores {
        set_clock(START);
        let old = app(store.clone());
        let new = app(store.rotated(&[2, 1], name));
        let mut browser = Browser::new(old);
        let mut paths = vec![
            format!("/set-name={segment}"),
            "/read".into(),
            "/set-a=1/set-b=2".into(),
            "/renew".into(),
            format!("/set-name={segment}2/status-500"),
            format!("/set-name={segment}3/err"),
            "/deep-70".into(),
            "/set-key=1/big-5000".into(),
            "/remove-big".into(),
        ];
        paths.push("/read/destroy".into());
        for path in paths {
            let before = browser.token();
            let _ = browser.try_visit(&path).await;
            browser = browser.at(new.clone());
            let stale = before.clone();
            secrets.extend([before, browser.token()].into_iter().flatten().map(String::into_bytes));
            if let Some(token) = stale {
                // The same token again: retired, gone or replayed; broken; twice; with a stale ring; after its end.
                let mut broken = token.clone();
                broken.replace_range(10..11, if &token[10..11] == "A" { "B" } else { "A" });
                for line in [cookie(&token), cookie(&broken), format!("{}; {}", cookie(&token), cookie(&broken))] {
                    for path in ["/read", "/renew"] {
                        let answer = send(&new, path, &[line.as_bytes()]).await;
                        secrets.extend(answer.token().map(String::into_bytes));
                    }
                    send(&app(store.rotated(&[0], name)), "/read", &[line.as_bytes()]).await;
                }
                secrets.push(broken.into_bytes());
            }
        }
        let both: Vec<String> = [send(&new, "/set-a=1", &[]).await, send(&new, "/set-a=2", &[]).await]
            .map(|answer| answer.token().unwrap())
            .into();
        send(&new, "/destroy", &[format!("{}; {}", cookie(&both[0]), cookie(&both[1])).as_bytes()]).await;
        secrets.extend(both.into_iter().map(String::into_bytes));
        // A store that fails in every way, and a handler that panics.
        for turn in [Turn::Fail(ErrorKind::Unavailable), Turn::Fail(ErrorKind::Data)] {
            let failing = ScriptedStore::always(store.clone(), turn);
            send(&counted(layer(failing)), "/set-a=1", &[]).await;
        }
        let panicked = std::panic::catch_unwind(AssertUnwindSafe(|| {
            ready(send(&new, &format!("/set-name={segment}/panic"), &[]));
        }));
        assert!(panicked.is_err());
    }
    #[cfg(feature = "memcached")]
    {
        // Under what the server keeps them; and a node that goes away in the middle of a session.
        let dump = server.tell("lru_crawler metadump all\r\n");
        let keys = dump.lines().filter_map(|line| line.strip_prefix("key=s%3A")?.split(' ').next());
        let keys: Vec<_> = keys.map(|key| key.as_bytes().to_vec()).collect();
        assert!(!keys.is_empty(), "{dump}");
        secrets.extend(keys);
        let app = app(Any::Memcached(memcached_at(&server)));
        let token = send(&app, &format!("/set-name={segment}"), &[]).await.token().unwrap();
        server.kill();
        for path in ["/read", "/set-a=1", "/destroy"] {
            assert_eq!(send(&app, path, &[cookie(&token).as_bytes()]).await, refusal(503));
        }
        secrets.push(token.into_bytes());
    }
    // The bare ids, wherever a token is a reference.
    let ids = secrets.iter().filter_map(|token| {
        let token = std::str::from_utf8(token).ok()?;
        [0, 1, 2].iter().find_map(|&seed| other::dereference(&secret_bytes(seed), NAME, "", token))
    });
    let ids: Vec<_> = ids.map(|(id, _)| id.to_vec()).collect();
    assert!(ids.len() > 10, "{} ids", ids.len());
    secrets.extend(ids);
    // Settings: refused ones too.
    for text in ["hunter2hunter2hunter2", "changeme-hunter2hunter2hunter2hunter2hunter2"] {
        let error = ring_of(&|_: &str| Some(text.to_owned())).unwrap_err();
        tracing::error!("{error} {error:?}");
        secrets.push(text.into());
    }
    // Events, good and bad.
    let token = "AaJ3QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI";
    let event = format!(
        r#"{{"version":"2.0","rawPath":"/","rawQueryString":"","cookies":["{NAME}={token}"],"headers":{{}},
            "requestContext":{{"http":{{"method":"GET"}},"stage":"$default"}},"body":"{VALUE}"}}"#
    );
    for payload in [event.clone(), event.replace("\"http\"", "\"hhtp\""), event[..event.len() - 1].to_owned()] {
        match Event::parse(&payload).and_then(|event| event.into_request(lambda_http::Context::default())) {
            Ok(request) => tracing::info!("{:?}", request.headers()),
            Err(error) => tracing::info!("{error:?}"),
        }
    }
    secrets.push(token.into());
    drop(guard);

    let text = log.text();
    assert!(text.contains("CloudWatchMetrics") && text.contains("session.id_hash"), "counts and spans are on");
    assert!(text.lines().count() > 100, "the capture works: {} lines", text.lines().count());
    secrets.sort();
    secrets.dedup();
    for secret in &secrets {
        for spelling in spellings(secret) {
            let found = text.lines().find(|line| line.contains(&spelling));
            assert!(found.is_none(), "{:?} is in {found:?}", String::from_utf8_lossy(secret));
        }
    }
}

#[cfg(feature = "memcached")]
fn memcached_at(server: &cache::Memcached) -> lambda_session::store::MemcachedStore {
    lambda_session::store::MemcachedStore::new(cache::client(cache::patient(&server.name())), keyring(&[1]))
}

/// The application over this layer, whose counts are written into the log.
fn counted(layer: SessionLayer<Values>) -> App {
    scripted(layer.metrics(Metrics::emf_to("shop", |lines| tracing::info!("{lines}"))))
}

/// Every line of a request says which request it is and, once that is known, whose session, by the hash that its other
/// lines have; each question to the store is a span of its own.
#[tokio::test]
async fn every_line_of_a_request_names_it_and_its_session() {
    let store = MemoryStore::with_keyring(keyring(&[0]));
    let app = with_handler::<Values, _, _>(layer(store), |request: Request<String>| async move {
        tracing::info!("before");
        let mut session: Session = Session::of(&request).await?;
        let visits = session.get::<u64>("visits").unwrap_or(0);
        session.insert("visits", visits + 1)?;
        tracing::info!("after");
        Ok(Response::new(String::new()))
    });
    let visit = |id: &str, cookies: &[&[u8]]| {
        let mut context = lambda_http::Context::default();
        context.request_id = id.into();
        let mut request = request("/", cookies);
        request.extensions_mut().insert(context);
        app.clone().oneshot(request)
    };
    let (log, guard) = Log::capture_spans();
    let token = Answer::of(visit("first", &[]).await.unwrap()).token().unwrap();
    visit("second", &[cookie(&token).as_bytes()]).await.unwrap();
    drop(guard);
    let created = log.lines_with("session created").remove(0);
    let hash = created.split(" session=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let [anonymous, known] = log.lines_with("after").try_into().unwrap();
    assert!(anonymous.contains("session{request_id=\"first\"}"), "{anonymous}");
    assert!(known.contains(&format!("session{{request_id=\"second\" session.id_hash=\"{hash}\"}}")), "{known}");
    let before = log.lines_with("before").remove(1);
    assert!(before.contains("session{request_id=\"second\"}"), "{before}");
    let asked: Vec<_> = ["load", "create", "update"]
        .map(|deed| {
            log.lines_with(&format!(":store{{deed=\"{deed}\"}}: ")).iter().filter(|line| line.ends_with("new")).count()
        })
        .into();
    assert_eq!(asked, [1, 1, 1], "{}", log.text());
}

/// SL11: what happens to sessions can be followed by eight hex digits of a hash, and rejections say so.
#[tokio::test]
async fn sessions_can_be_followed_in_the_log() {
    let (log, guard) = Log::capture();
    let mut browser = Browser::new(app(MemoryStore::with_keyring(keyring(&[0]))));
    browser.visit("/set-a=1").await;
    browser.visit("/renew").await;
    let renewed = browser.clone();
    browser.visit("/destroy").await;
    renewed.clone().visit("/read").await;
    drop(guard);
    let field = |message: &str, name: &str| {
        let lines = log.lines_with(message);
        assert_eq!(lines.len(), 1, "{message}: {lines:?}");
        assert!(lines[0].contains("DEBUG"), "{}", lines[0]);
        let value = lines[0].split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap().to_owned();
        assert!(value.len() == 8 && value.bytes().all(|byte| byte.is_ascii_hexdigit()), "{}", lines[0]);
        value
    };
    let created = field("session created", "session");
    assert_eq!(field("session renewed", "before"), created);
    let renewed = field("session renewed", "session");
    assert_ne!(renewed, created);
    assert_eq!(field("session destroyed", "session"), renewed);
    assert_eq!(field("session refused: it stands for nothing", "session"), renewed);
}

/// A stranger cannot flood the log: what every request of an outage meets is one line a minute for its kind.
#[tokio::test]
async fn a_stranger_cannot_flood_the_log() {
    let failing = ScriptedStore::always(MemoryStore::new().unwrap(), Turn::Fail(ErrorKind::Unavailable));
    let app = app(failing);
    let (log, guard) = Log::capture();
    for second in 0..180 {
        set_clock(START + second);
        send(&app, "/read", &[cookie("AAAA").as_bytes()]).await;
    }
    drop(guard);
    let lines: Vec<String> = log.text().lines().filter(|line| !line.contains("DEBUG")).map(Into::into).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines.iter().all(|line| line.contains("ERROR answered 503") || line.contains("answered 503")), "{lines:?}");
}

/// AR9: what an answer does not say, the log says.
#[tokio::test]
async fn what_an_answer_hides_the_log_says() {
    let (log, guard) = Log::capture();
    let app = app(lambda_session::store::CookieStore::signed(keyring(&[0])));
    assert_eq!(send(&app, "/big-5000", &[]).await, refusal(500));
    drop(guard);
    let lines = log.lines_with("ERROR");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].ends_with(
            "answered 500 Internal Server Error: session of 6732 bytes does not fit a cookie of 4096 bytes (name and \
             value); largest keys: \"big\" 5005 bytes (said once a minute)"
        ),
        "{}",
        lines[0]
    );
}

/// AR10: what a stranger named is escaped and cut: no control character, no bidirectional override, 64 characters.
#[tokio::test]
async fn foreign_names_are_escaped_and_cut() {
    let names = ["\u{1b}[31mred", "two\r\nlines", "\u{202e}reversed", "\u{0}nul"];
    let long = "x".repeat(200);
    let payload = names.iter().chain([&long.as_str()]).fold(serde_json::Map::new(), |mut map, name| {
        map.insert(name.to_string(), "y".repeat(2_000).into());
        map
    });
    let payload = serde_json::to_string(&payload).unwrap();
    let (log, guard) = Log::capture();
    let app = with_handler::<Values, _, _>(
        layer(lambda_session::store::CookieStore::signed(keyring(&[0]))),
        move |request: Request<String>| {
            let payload = payload.clone();
            async move {
                let mut session: Session = Session::of(&request).await?;
                session.extend(serde_json::from_str::<serde_json::Map<_, _>>(&payload).unwrap());
                Ok(Response::new(String::new()))
            }
        },
    );
    send(&app, "/", &[]).await;
    for bad in names.iter().chain([&long.as_str()]) {
        let error = Settings::read(&|name: &str| (name == "SESSION_STORE").then(|| bad.to_string())).unwrap_err();
        tracing::error!("{error}");
        let error = CookieOptions::builder().name(*bad).path(*bad).build().unwrap_err();
        tracing::error!("{error}");
    }
    drop(guard);
    let text = log.text();
    assert!(text.contains("ERROR"));
    let raw: Vec<char> = text.chars().filter(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}').collect();
    assert!(raw.is_empty(), "{raw:?}");
    assert!(!text.contains(&"x".repeat(65)) && text.contains(&"x".repeat(64)), "cut to 64");
    assert_eq!(text.lines().count(), 1 + 2 * (names.len() + 1), "one line each: {text}");
}

/// AR4: a session cookie above 3,500 bytes, or all of an answer's above 8,000, are worth one warning a minute.
#[tokio::test]
async fn large_cookies_are_warned_about() {
    let neighbours = |bytes: usize| format!("/cookie-a={}", "b".repeat(bytes));
    for (name, path, warns) in [
        ("small", "/big-100".to_owned(), false),
        // The whole line is 38 bytes of payload and seal, base64, name and attributes.
        ("just below", "/big-2540".into(), false),
        ("just above", "/big-2560".into(), true),
        ("many", format!("/big-100{}{}", neighbours(4_000), neighbours(4_000)), true),
        ("not so many", format!("/big-100{}{}", neighbours(3_000), neighbours(3_000)), false),
    ] {
        let app = app(lambda_session::store::CookieStore::signed(keyring(&[0])));
        let (log, guard) = Log::capture();
        for _ in 0..3 {
            assert_eq!(send(&app, &path, &[]).await.status, 200, "{name}");
        }
        drop(guard);
        let warnings = log.lines_with("WARN");
        assert_eq!(warnings.len(), usize::from(warns), "{name}: {warnings:?}");
        if let Some(warning) = warnings.first() {
            assert!(warning.contains("an HTTP API takes 10240 bytes of request line and headers"), "{warning}");
        }
    }
}

/// AR3, AR5: an answer near Lambda's limit, and several cookies for an ALB that may keep one, are said once a minute.
#[test]
fn answers_that_may_not_arrive_whole_are_warned_about() {
    let (log, guard) = Log::capture();
    for size in [4_999_999, 5_000_000, 5_000_000] {
        EventAnswer::new(Kind::Rest, Response::new(Body::Text("x".repeat(size))));
    }
    for (kind, cookies) in [(Kind::Alb, 1), (Kind::AlbMulti, 2), (Kind::HttpApi, 2), (Kind::Alb, 2), (Kind::Alb, 3)] {
        let mut response = Response::new(Body::Empty);
        for _ in 0..cookies {
            response.headers_mut().append(header::SET_COOKIE, HeaderValue::from_static("a=1"));
        }
        let _: serde_json::Value = EventAnswer::new(kind, response).into();
    }
    drop(guard);
    let warnings: Vec<String> = log
        .lines_with("WARN")
        .iter()
        .map(|line| line.split_once(": ").map(|(_, message)| message.trim().to_owned()).unwrap())
        .collect();
    assert_eq!(
        warnings,
        [
            "an answer of 5000000 bytes comes near the limit: Lambda takes 6 MB, behind an ALB 1 MB",
            "an answer to an ALB sets several cookies: turn on lambda.multi_value_headers.enabled at the target group, \
             without it only the session's is sure to arrive",
        ]
    );
}

/// A store's own error, with its cause, is in the log once, on one line.
#[tokio::test]
async fn a_store_s_error_is_logged_where_it_is_answered() {
    use lambda_session::store::{Call, Found, Retired, Update, Version};
    use lambda_session::{Error, Record, Token};

    struct Down;

    impl Store for Down {
        async fn load(&self, _: &Token, _: &Call) -> Result<Found, Error> {
            Err(Error::new(ErrorKind::Unavailable, "table sessions gave no answer").with_source("connection refused"))
        }
        async fn create(&self, _: &Record, _: &Call) -> Result<Token, Error> {
            unreachable!("the load fails")
        }
        async fn update(&self, _: &Token, _: Version, _: &Record, _: &Call) -> Result<Update, Error> {
            unreachable!("the load fails")
        }
        async fn retire(&self, _: &Token, _: Version, _: &Token, _: &Call) -> Result<Retired, Error> {
            unreachable!("the load fails")
        }
        async fn delete(&self, _: &Token, _: Option<Version>, _: &Call) -> Result<(), Error> {
            unreachable!("the load fails")
        }
    }

    let (log, guard) = Log::capture();
    assert_eq!(send(&app(Down), "/read", &[cookie("AAAA").as_bytes()]).await, refusal(503));
    drop(guard);
    let lines = log.lines_with("ERROR");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].ends_with(
            "answered 503 Service Unavailable: the session store gave no answer earlier in this request: table sessions \
             gave no answer: connection refused (said once a minute)"
        ),
        "{}",
        lines[0]
    );
}
