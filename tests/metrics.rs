//! What is counted of a request, and how it is told: one line of the embedded metric format.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects
)]

mod support;

use std::sync::{Arc, Mutex};

use http::{Request, Response};
use lambda_session::config::Settings;
use lambda_session::keyring::Keyring;
use lambda_session::metrics::{Metrics, NAMES, REASONS};
use lambda_session::secrets::{Keys, Secrets};
use lambda_session::store::{CookieStore, MemoryStore, Store};
use lambda_session::{Error, ErrorKind, Session, SessionLayer, Values};
use serde_json::{Value, json};
use support::*;
use tower::ServiceExt;

/// Name and value of a cookie that names a session: 14 and 52 characters.
const REFERENCE_BYTES: u64 = 66;

/// What was told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<String>>);

impl Told {
    fn metrics(&self) -> Metrics {
        let told = self.clone();
        Metrics::emf_to("shop", move |lines| told.0.lock().unwrap().push_str(lines))
    }

    fn layer(&self, store: impl Store) -> SessionLayer<Values> {
        layer(store).metrics(self.metrics())
    }

    fn app(&self, store: impl Store) -> App {
        scripted(self.layer(store))
    }

    /// What was told since the last time, checked, without what every line has.
    fn take(&self) -> Vec<Value> {
        let told = std::mem::take(&mut *self.0.lock().unwrap());
        told.split_inclusive('\n')
            .map(|line| {
                assert!(line.ends_with('\n') && line.len() < 256 * 1024);
                let mut line: Value = serde_json::from_str(line).unwrap();
                check(&line);
                let members = line.as_object_mut().unwrap();
                members.remove("_aws");
                assert_eq!(members.remove("FunctionName"), Some("shop".into()));
                line
            })
            .collect()
    }

    /// The same of one line, without the session's hash.
    fn one(&self) -> Value {
        let mut lines = self.take();
        assert_eq!(lines.len(), 1, "{lines:?}");
        let mut line = lines.remove(0);
        if let Some(session) = line.as_object_mut().unwrap().remove("Session") {
            let session = session.as_str().unwrap();
            assert!(session.len() == 8 && session.bytes().all(|byte| byte.is_ascii_hexdigit()), "{session}");
        }
        line
    }
}

/// The rules of the embedded metric format (CloudWatch user guide, "Specification: Embedded metric format").
fn check(line: &Value) {
    let aws = line["_aws"].as_object().unwrap();
    assert_eq!(aws.keys().collect::<Vec<_>>(), ["CloudWatchMetrics", "Timestamp"]);
    assert_eq!(aws["Timestamp"], seconds_now() * 1000);
    let directives = aws["CloudWatchMetrics"].as_array().unwrap();
    assert!(!directives.is_empty());
    let mut named = Vec::new();
    for directive in directives {
        assert_eq!(directive["Namespace"], "lambda-session");
        let metrics = directive["Metrics"].as_array().unwrap();
        assert!((1..=100).contains(&metrics.len()));
        for metric in metrics {
            let name = metric["Name"].as_str().unwrap();
            assert!(NAMES.contains(&name), "{name}");
            let unit = match name {
                "StoreTime" => "Milliseconds",
                "CookieBytes" => "Bytes",
                _ => "Count",
            };
            assert_eq!(metric["Unit"], unit);
            assert!(line[name].is_number(), "{name}");
            named.push(name.to_owned());
        }
        let further = match metrics[0]["Name"].as_str().unwrap() {
            "Refused" => Some("Reason"),
            "Resealed" => Some("KeyId"),
            _ => None,
        };
        let sets = match further {
            None => json!([["FunctionName"]]),
            Some(name) => json!([["FunctionName"], ["FunctionName", name]]),
        };
        assert_eq!(directive["Dimensions"], sets);
        assert!(further.is_none_or(|name| line[name].is_string()));
    }
    // Each metric once, and no number that no directive names.
    let mut numbers: Vec<_> =
        line.as_object().unwrap().iter().filter(|(_, value)| value.is_number()).map(|(name, _)| name.clone()).collect();
    named.sort_unstable();
    numbers.sort_unstable();
    assert_eq!(named, numbers);
    if let Some(reason) = line.get("Reason") {
        assert!(REASONS.contains(&reason.as_str().unwrap()), "{reason}");
    }
}

/// SL4: who never asks for the session is not counted.
#[tokio::test]
async fn an_untouched_request_tells_nothing() {
    let told = Told::default();
    let app = told.app(MemoryStore::with_keyring(keyring(&[0])));
    for path in ["/untouched", "/status-500"] {
        send(&app, path, &[b"__Host-session=AAAA"]).await;
    }
    assert_eq!(told.take(), Vec::<Value>::new());
}

#[tokio::test]
async fn every_deed_is_counted_once() {
    let told = Told::default();
    let mut browser = Browser::new(told.app(MemoryStore::with_keyring(keyring(&[0]))));
    for (path, expected) in [
        ("/read", json!({"Restored": 0})),
        ("/set-a=1", json!({"Restored": 0, "Created": 1, "CookieBytes": REFERENCE_BYTES})),
        ("/read", json!({"Restored": 1})),
        ("/read/read/set-a=2", json!({"Restored": 1, "CookieBytes": REFERENCE_BYTES})),
        ("/set-a=3/status-500", json!({"Restored": 1})),
        ("/renew/set-a=4", json!({"Restored": 1, "Renewed": 1, "CookieBytes": REFERENCE_BYTES})),
        ("/destroy", json!({"Restored": 1, "Destroyed": 1})),
        ("/destroy", json!({"Restored": 0})),
    ] {
        browser.visit(path).await;
        assert_eq!(told.one(), expected, "{path}");
    }
}

/// A handler that fails is counted too: what it asked for was asked for.
#[tokio::test]
async fn a_handler_s_error_is_no_reason_not_to_count() {
    let told = Told::default();
    let mut browser = Browser::new(told.app(MemoryStore::with_keyring(keyring(&[0]))));
    browser.try_visit("/set-a=1/err").await.unwrap_err();
    assert_eq!(told.one(), json!({"Restored": 0}));
}

#[tokio::test]
async fn refused_cookies_are_counted_by_reason() {
    let told = Told::default();
    let (signed, memory) = (CookieStore::signed(keyring(&[0])), MemoryStore::with_keyring(keyring(&[0])));
    let token = |app: App| async move { send(&app, "/set-a=1", &[]).await.token().unwrap() };
    let good = token(app(signed.clone())).await;
    let other = token(app(CookieStore::signed(keyring(&[0])))).await;
    let stranger = token(app(CookieStore::signed(keyring(&[9])))).await;
    let elsewhere = token(scripted(layer(signed.clone()).scope("elsewhere").unwrap())).await;
    let mut changed = good.clone();
    changed.replace_range(20..21, if &good[20..21] == "A" { "B" } else { "A" });
    let (ended, renewed) = (token(app(memory.clone())).await, token(app(memory.clone())).await);
    send(&app(memory.clone()), "/destroy", &[cookie(&ended).as_bytes()]).await;
    send(&app(memory.clone()), "/renew", &[cookie(&renewed).as_bytes()]).await;
    let (signed, memory) = (told.app(signed), told.app(memory));
    set_clock(START + 1);
    let later = send(&app(CookieStore::signed(keyring(&[0]))), "/set-b=1", &[]).await.token().unwrap();
    set_clock(START);
    for (app, token, seconds, reason) in [
        (&signed, "not.a.token", 0, "malformed"),
        (&signed, "AAAA", 0, "malformed"),
        (&signed, stranger.as_str(), 0, "unknown-key"),
        (&signed, &changed, 0, "forged"),
        (&signed, &elsewhere, 0, "forged"),
        (&signed, &good, 1_800, "idle"),
        (&signed, &good, 43_200, "absolute"),
        (&memory, &ended, 0, "gone"),
        (&memory, &renewed, 0, "retired"),
    ] {
        set_clock(START + seconds);
        send(app, "/read", &[cookie(token).as_bytes()]).await;
        assert_eq!(told.one(), json!({"Restored": 0, "Refused": 1, "Reason": reason}), "{reason}");
    }
    set_clock(START - 1_000);
    send(&signed, "/read", &[cookie(&good).as_bytes()]).await;
    assert_eq!(told.one(), json!({"Restored": 0, "Refused": 1, "Reason": "future"}));
    set_clock(START + 2);
    send(&signed, "/read", &[format!("{}; {}", cookie(&good), cookie(&later)).as_bytes()]).await;
    assert_eq!(told.one(), json!({"Restored": 0, "Refused": 1, "Reason": "ambiguous"}));
    assert_eq!(good, other, "nothing random is in a signed session");

    // Several at once, beside one that is good.
    let all = [&good, &stranger, &changed, &elsewhere].map(|token| cookie(token)).join("; ");
    send(&signed, "/read", &[all.as_bytes()]).await;
    let mut lines = told.take();
    assert!(lines[0].as_object_mut().unwrap().remove("Session").is_some());
    lines.iter_mut().for_each(|line| drop(line.as_object_mut().unwrap().remove("Session")));
    assert_eq!(
        lines,
        [json!({"Restored": 1, "Refused": 1, "Reason": "unknown-key"}), json!({"Refused": 2, "Reason": "forged"})]
    );
}

/// An operator sees by this when an old key is no longer in use.
#[tokio::test]
async fn sessions_of_an_old_key_are_counted_by_its_id() {
    for (name, store) in Any::all(&[1]) {
        let told = Told::default();
        let old = keyring(&[1]).ids().next().unwrap();
        let mut browser = Browser::new(app(store.clone()));
        browser.visit("/set-a=1").await;
        let mut browser = browser.at(told.app(store.rotated(&[2, 1], name)));
        browser.visit("/read").await;
        let told_once = told.one();
        assert_eq!((&told_once["Resealed"], &told_once["KeyId"]), (&json!(1), &json!(old)), "{name}");
        browser.visit("/read").await;
        assert_eq!(told.one(), json!({"Restored": 1}), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_store_cannot_say_is_counted() {
    let told = Told::default();
    let memory = MemoryStore::with_keyring(keyring(&[0]));
    let store = ScriptedStore::new(memory, []);
    let app = told.app(store.clone());
    let mut browser = Browser::new(app.clone());
    browser.visit("/set-a=1").await;
    told.take();
    let fails = Turn::Fail(ErrorKind::Unavailable);
    for (name, script, expected) in [
        ("at the load", vec![fails], json!({"Restored": 0, "Unavailable": 1})),
        ("at the commit", vec![Turn::Pass, fails], json!({"Restored": 1, "Unavailable": 1})),
        (
            "too late",
            vec![Turn::Hang],
            json!({"Restored": 0, "Unavailable": 1, "StoreTimeouts": 1, "StoreRoundTrips": 1}),
        ),
    ] {
        store.next(script);
        let answer = browser.visit("/set-a=2").await;
        assert_eq!(answer, refusal(503), "{name}");
        let mut line = told.one();
        if let Some(time) = line.as_object_mut().unwrap().remove("StoreTime") {
            assert!(time.is_f64() && line.get("StoreRoundTrips").is_some(), "{name}");
        }
        assert_eq!(line, expected, "{name}");
    }
}

/// A write that meets another request's.
#[tokio::test]
async fn conflicts_are_counted() {
    let told = Told::default();
    let memory = MemoryStore::with_keyring(keyring(&[0]));
    let other = app(memory.clone());
    let token = send(&other, "/set-a=1", &[]).await.token().unwrap();
    let app = with_handler::<Values, _, _>(told.layer(memory), move |request: Request<String>| {
        let other = other.clone();
        async move {
            let mut session: Session = Session::of(&request).await?;
            session.insert("mine", 1)?;
            drop(session);
            let theirs = support::request("/set-theirs=1", &[request.headers()["cookie"].as_bytes()]);
            other.oneshot(theirs).await?;
            Ok(Response::new(String::new()))
        }
    });
    send(&app, "/", &[cookie(&token).as_bytes()]).await;
    assert_eq!(told.one(), json!({"Restored": 1, "Conflicts": 1, "CookieBytes": REFERENCE_BYTES}));
}

/// A source of secrets that answers as it is told.
#[derive(Clone)]
struct Source(Arc<Mutex<bool>>);

impl Secrets for Source {
    async fn fetch(&self) -> Result<Keyring, Error> {
        match *self.0.lock().unwrap() {
            true => Ok(keyring(&[0])),
            false => Err(Error::new(ErrorKind::Unavailable, "as told")),
        }
    }
}

#[tokio::test]
async fn refreshes_of_the_secrets_are_counted_within_requests() {
    let told = Told::default();
    let source = Source(Arc::new(Mutex::new(true)));
    let keys = Keys::refreshed_at(source.clone(), clock(), |bytes| {
        bytes.fill(0);
        Ok(())
    });
    let app = told.app(CookieStore::signed(keys.await.unwrap()));
    assert_eq!(told.take(), Vec::<Value>::new(), "the start is no request");
    let good = send(&app, "/set-a=1", &[]).await.token().unwrap();
    assert_eq!(told.one()["Created"], 1);
    for (seconds, answers, expected) in [
        (300, true, json!({"Restored": 1, "SecretsFetched": 1})),
        (700, false, json!({"Restored": 1, "SecretsFailed": 1})),
        (701, false, json!({"Restored": 1})),
        (760, true, json!({"Restored": 1, "SecretsFetched": 1})),
    ] {
        set_clock(START + seconds);
        *source.0.lock().unwrap() = answers;
        // Answering 500 so that an ageing session is not written.
        send(&app, "/read/status-500", &[cookie(&good).as_bytes()]).await;
        assert_eq!(told.one(), expected, "{seconds} s");
    }
}

/// A line says which request and which session it is of, by the same hash as the log.
#[tokio::test]
async fn a_line_names_its_request_and_its_session() {
    let told = Told::default();
    let app = told.app(MemoryStore::with_keyring(keyring(&[0])));
    let (log, guard) = Log::capture();
    let mut context = lambda_http::Context::default();
    context.request_id = "8f507cfc-xmpl".into();
    let mut request = request("/set-a=1", &[]);
    request.extensions_mut().insert(context);
    app.oneshot(request).await.unwrap();
    drop(guard);
    let line = &told.take()[0];
    assert_eq!(line["RequestId"], "8f507cfc-xmpl");
    let created = log.lines_with("session created").remove(0);
    let hash = created.split("session=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert_eq!(line["Session"], hash);
}

/// The variable, and what it may not be.
#[test]
fn the_variable_turns_it_on() {
    let read = |value: &str| {
        let value = value.to_owned();
        Settings::read(&move |name: &str| (name == "SESSION_METRICS").then(|| value.clone()))
    };
    for (value, is_on) in [("", false), ("none", false), ("emf", true), (" EMF ", true)] {
        assert_eq!(read(value).unwrap().metrics().is_some(), is_on, "{value:?}");
    }
    let error = read("statsd").unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::Config, r#"SESSION_METRICS is "statsd": give none or emf"#)
    );
}

/// Whoever operates a function finds every name in the documentation.
#[test]
fn every_metric_and_reason_is_documented() {
    let text = include_str!("../docs/operating.md");
    for name in NAMES.iter().chain(&REASONS) {
        assert!(text.contains(&format!("`{name}`")), "{name}");
    }
}

/// Alarms and dashboard ask for what is told.
#[test]
fn the_template_asks_for_metrics_that_there_are() {
    let text = include_str!("../template.yaml");
    let after = |mark: &str| -> Vec<String> {
        let name = |rest: &str| rest.chars().take_while(char::is_ascii_alphanumeric).collect();
        text.split(mark).skip(1).map(name).collect()
    };
    let alarms = after("Namespace: lambda-session\n      MetricName: ");
    let graphs = after(r#"["lambda-session", ""#);
    let searches = after(r#"MetricName=\""#);
    assert!(!alarms.is_empty() && !graphs.is_empty() && !searches.is_empty());
    for name in alarms.iter().chain(&graphs).chain(&searches) {
        assert!(NAMES.contains(&name.as_str()), "{name}");
    }
}
