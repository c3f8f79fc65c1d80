//! A session from its first write to its end: what is asked of the store, what is saved, what an answer sets
//! (architecture.md section 3; security.md, SL1 to SL11; issue 2, "What an answer sets").
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects
)]

mod support;

use std::{
    collections::{BTreeMap, HashMap},
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Waker},
    time::{Duration, SystemTime},
};

use http::{Request, Response};
use lambda_session::store::{CookieStore, MemoryStore, Store};
use lambda_session::{Error, ErrorKind, Lifetime, Record, Session, SessionLayer, Token, Values};
use serde::{Deserialize, Serialize};
use support::*;
use tower::ServiceExt;

const ALICE: &str = r#"{"user":"alice"}"#;

// ---- What an answer sets

/// Where a request's cookie comes from, and what it is: a row of the issue's table.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cookies {
    None,
    Forged,
    Foreign,
    Unknown,
    Idle,
    Old,
    Retired,
    TwoAuthentic,
    Young,
    Ageing,
    OldKey,
}

impl Cookies {
    const ALL: [Self; 11] = [
        Self::None,
        Self::Forged,
        Self::Foreign,
        Self::Unknown,
        Self::Idle,
        Self::Old,
        Self::Retired,
        Self::TwoAuthentic,
        Self::Young,
        Self::Ageing,
        Self::OldKey,
    ];

    /// The application under today's secret, and the `Cookie` line of this row.
    async fn prepare(self, name: &str, store: &Any) -> (App, String) {
        set_clock(START);
        let today = app(store.rotated(&[2, 1], name));
        let make = async |app: &App, path: &str| cookie(&send(app, path, &[]).await.token().unwrap());
        let line = match self {
            Self::None => "other=1".into(),
            Self::Forged => cookie("AaJ3AAAA"),
            Self::Foreign => cookie("\"not ours\""),
            Self::Unknown => {
                let elsewhere = if store.is_server() {
                    app(MemoryStore::with_keyring(keyring(&[2])))
                } else {
                    app(store.rotated(&[9], name))
                };
                make(&elsewhere, "/set-user=alice").await
            }
            Self::Idle => {
                let line = make(&today, "/set-user=alice").await;
                advance(30 * 60);
                line
            }
            Self::Old => {
                let mut browser = Browser::new(today.clone());
                browser.visit("/set-user=alice").await;
                for _ in 0..48 {
                    advance(15 * 60);
                    browser.visit("/read").await;
                }
                cookie(&browser.token().unwrap())
            }
            Self::Retired => {
                let line = make(&today, "/set-user=alice").await;
                send(&today, "/renew", &[line.as_bytes()]).await;
                line
            }
            Self::TwoAuthentic => {
                let (one, two) = (make(&today, "/set-user=alice").await, make(&today, "/set-user=bob").await);
                format!("{one}; {two}")
            }
            Self::Young => make(&today, "/set-user=alice").await,
            Self::Ageing => {
                let line = make(&today, "/set-user=alice").await;
                advance(181);
                line
            }
            Self::OldKey => make(&app(store.rotated(&[1], name)), "/set-user=alice").await,
        };
        (today, line)
    }

    fn is_live(self, is_memory: bool) -> bool {
        // A cookie store cannot retire: a copy of the old cookie lives to its end, as its documentation says.
        matches!(self, Self::Young | Self::Ageing | Self::OldKey) || (self == Self::Retired && !is_memory)
    }
}

/// Issue 2, "What an answer sets"; SL3, SL7, SL9, CA4, CA5, CA6: every kind of cookie under every deed, over every store.
#[tokio::test]
async fn what_an_answer_sets() {
    use Sets::{Cookie, Nothing, Removal};
    for cookies in Cookies::ALL {
        for (name, store) in Any::all(&[1]) {
            let (live, carried) = (cookies.is_live(store.is_server()), cookies != Cookies::None);
            let retired = cookies == Cookies::Retired && store.is_server();
            let worth_rewriting = matches!(cookies, Cookies::Ageing | Cookies::OldKey);
            let read = if worth_rewriting { Cookie } else { Nothing };
            let written = if retired { Nothing } else { Cookie };
            for (deed, sets) in [
                ("/untouched", Nothing),
                ("/read", read),
                ("/read/read", read),
                // Changed and changed back is no change.
                ("/set-w=1/remove-w", read),
                ("/set-w=1", written),
                ("/renew", if live { Cookie } else { Nothing }),
                ("/renew/set-w=1", written),
                ("/destroy", if carried { Removal } else { Nothing }),
                ("/set-w=1/destroy", if carried { Removal } else { Nothing }),
                ("/renew/set-w=1/destroy", if carried { Removal } else { Nothing }),
                ("/set-w=1/status-404", written),
                ("/set-w=1/status-500", Nothing),
                ("/destroy/status-503", Nothing),
            ] {
                let (app, line) = cookies.prepare(name, &store).await;
                let answer = send(&app, deed, &[line.as_bytes()]).await;
                let row = format!("{name}: {cookies:?}, {deed}");
                assert_eq!(answer.sets(), sets, "{row}");
                assert!(answer.set_cookies().len() <= 1, "{row}");
                if deed == "/read" {
                    assert_eq!(answer.body, if live { ALICE } else { "{}" }, "{row}");
                }
            }
        }
    }
}

/// What is saved sets its cookie, also where that is the one which the browser sent (DESIGN.md says why).
#[tokio::test]
async fn what_is_saved_sets_its_cookie_again() {
    let mut browser = Browser::new(app(MemoryStore::with_keyring(keyring(&[0]))));
    let first = browser.visit("/set-a=1").await;
    let second = browser.visit("/set-a=2").await;
    assert_eq!(first.set_cookies(), second.set_cookies());
    assert_eq!((second.set_cookies().len(), second.header("cache-control")), (1, vec!["no-store"]));
}

/// "A write sets a fresh cookie": nothing of what the refused cookie claimed is in it, and no id is taken over (SL5).
#[tokio::test]
async fn an_id_that_a_client_brings_is_never_taken_over() {
    for cookies in [Cookies::Forged, Cookies::Unknown, Cookies::Idle, Cookies::Old, Cookies::TwoAuthentic] {
        for (name, store) in Any::all(&[1]) {
            let (app, line) = cookies.prepare(name, &store).await;
            let answer = send(&app, "/set-w=1", &[line.as_bytes()]).await;
            let token = answer.token().unwrap();
            assert!(!line.contains(&token), "{name}: {cookies:?}");
            let read = send(&app, "/read", &[cookie(&token).as_bytes()]).await;
            assert_eq!(read.body, r#"{"w":"1"}"#, "{name}: {cookies:?}");
            let before = send(&app, "/read", &[line.as_bytes()]).await;
            assert_eq!(before.body, "{}", "{name}: {cookies:?}: the old cookie stays refused");
        }
    }
}

// ---- Lazy

/// A handler that never asks costs no store call; one that asks costs one load, however often it asks.
#[tokio::test]
async fn asking_is_what_costs() {
    let store = CountingStore::new(MemoryStore::with_keyring(keyring(&[0])));
    let mut browser = Browser::new(app(store.clone()));
    let calls = Calls::default();
    for (path, expected) in [
        ("/read", calls),
        ("/destroy", calls),
        ("/renew", calls),
        ("/set-a=1", Calls { creates: 1, ..calls }),
        ("/untouched", calls),
        ("/read", Calls { loads: 1, ..calls }),
        ("/read/read/read", Calls { loads: 1, ..calls }),
        ("/set-a=1", Calls { loads: 1, ..calls }),
        ("/set-a=2/set-b=3", Calls { loads: 1, updates: 1, ..calls }),
        ("/set-a=4/status-500", Calls { loads: 1, ..calls }),
        ("/renew", Calls { loads: 1, creates: 1, retires: 1, ..calls }),
        ("/set-a=5/renew/destroy", Calls { loads: 1, deletes: 1, ..calls }),
    ] {
        browser.visit(path).await;
        assert_eq!(store.calls(), expected, "{path}");
    }
}

/// SL7: ten thousand visits without a cookie store nothing and set nothing.
#[tokio::test]
async fn anonymous_visits_store_nothing() {
    let memory = MemoryStore::with_keyring(keyring(&[0]));
    let store = CountingStore::new(memory.clone());
    let app = app(store.clone());
    for visit in 0..10_000 {
        let path = ["/read", "/untouched", "/destroy", "/renew"][visit % 4];
        assert_eq!(send(&app, path, &[]).await.sets(), Sets::Nothing);
    }
    assert_eq!((store.calls(), memory.len()), (Calls::default(), 0));
}

// ---- Lifetime

/// SL1: both ends are enforced by the server, whatever the browser keeps; 30 minutes and 12 hours where nobody says
/// otherwise, and a session that is used all day ends all the same.
#[tokio::test]
async fn both_ends_are_enforced_by_the_server() {
    assert_eq!(Lifetime::default(), Lifetime::new(Duration::from_secs(1_800), Duration::from_secs(43_200)).unwrap());
    for (name, store) in Any::all(&[0]) {
        for (what, spent, live) in [("the last second", 1_799, true), ("idle", 1_800, false)] {
            set_clock(START);
            let mut browser = Browser::new(app(store.clone()));
            browser.visit("/set-user=alice").await;
            advance(spent);
            assert_eq!(browser.visit("/read").await.body, if live { ALICE } else { "{}" }, "{name}: {what}");
        }
        set_clock(START);
        let mut browser = Browser::new(app(store));
        browser.visit("/set-user=alice").await;
        for minutes in (10..720).step_by(10) {
            set_clock(START + minutes * 60);
            assert_eq!(browser.visit("/read").await.body, ALICE, "{name}: after {minutes} minutes");
        }
        set_clock(START + 43_199);
        assert_eq!(browser.visit("/set-w=1").await.body, r#"{"user":"alice","w":"1"}"#, "{name}: the last second");
        set_clock(START + 43_200);
        assert_eq!(browser.visit("/read").await.body, "{}", "{name}: writing does not prolong the absolute end");
    }
}

/// SL1: an end there must be.
#[test]
fn no_lifetime_is_endless() {
    let day = Duration::from_secs(86_400);
    for (idle, absolute, message) in [
        (Duration::ZERO, day, "an idle lifetime of 0 s is too short: give 1 s or more"),
        (day, Duration::from_millis(999), "an absolute lifetime of 0 s is too short: give 1 s or more"),
        (day * 401, day, "an idle lifetime of 34646400 s is too long: give 400 days (34560000 s) or less"),
        (
            day,
            Duration::MAX,
            "an absolute lifetime of 18446744073709551615 s is too long: give 400 days (34560000 s) or less",
        ),
    ] {
        assert_eq!(Lifetime::new(idle, absolute).unwrap_err().to_string(), message);
    }
}

// ---- Renewal and logout

/// SL2: a renewed session has a new id and a new beginning; the old id is dead at once, for ten seconds as one that
/// sets nothing.
#[tokio::test]
async fn a_renewed_session_has_a_new_id_and_a_new_beginning() {
    let memory = MemoryStore::with_keyring(keyring(&[0]));
    let mut browser = Browser::new(app(memory.clone()));
    browser.visit("/set-user=alice").await;
    let stolen = browser.clone();
    advance(600);
    let answer = browser.visit("/renew/set-role=admin").await;
    assert_eq!(answer.body, r#"{"role":"admin","user":"alice"}"#);
    assert_ne!(browser.token(), stolen.token());
    assert_eq!(memory.len(), 1);

    for (after, path, sets) in [
        (0, "/read", Sets::Nothing),
        (5, "/set-a=1", Sets::Nothing),
        (9, "/renew/set-a=1", Sets::Nothing),
        (10, "/read", Sets::Nothing),
        (10, "/set-a=1", Sets::Cookie),
    ] {
        set_clock(START + 600 + after);
        let answer = stolen.clone().visit(path).await;
        assert!(!answer.body.contains("alice"), "{path} after {after} s");
        assert_eq!(answer.sets(), sets, "{path} after {after} s");
    }
    let token = Token::parse(browser.token().unwrap().as_bytes()).unwrap();
    let lambda_session::store::Found::Live(loaded) = memory.load(&token, &call()).await.unwrap() else { panic!() };
    assert_eq!(loaded.record.created(), at(START + 600));
}

/// SL2: in the cookie a renewal is a new cookie with the same data and a new beginning.
#[tokio::test]
async fn a_renewed_cookie_session_begins_anew() {
    for (name, store) in Any::all(&[0]).into_iter().filter(|(_, store)| !store.is_server()) {
        set_clock(START);
        let mut browser = Browser::new(app(store.clone()));
        browser.visit("/set-user=alice").await;
        advance(600);
        assert_eq!(browser.visit("/renew").await.sets(), Sets::Cookie, "{name}");
        let token = Token::parse(browser.token().unwrap().as_bytes()).unwrap();
        let lambda_session::store::Found::Live(loaded) = store.load(&token, &call()).await.unwrap() else { panic!() };
        let mut expected = record(ALICE);
        assert_eq!(loaded.record, expected, "{name}");
        expected = Record::new(ALICE.into(), at(START + 600)).unwrap();
        assert_eq!(
            (loaded.record.created(), loaded.record.issued()),
            (expected.created(), expected.issued()),
            "{name}"
        );
    }
}

/// SL3: a logout ends the session in the store and in the browser; the next visit is nobody's.
#[tokio::test]
async fn a_logout_ends_the_session_in_store_and_browser() {
    let memory = MemoryStore::with_keyring(keyring(&[0]));
    let mut browser = Browser::new(app(memory.clone()));
    browser.visit("/set-user=alice").await;
    let stolen = browser.clone();
    assert_eq!(browser.visit("/destroy").await.sets(), Sets::Removal);
    assert_eq!((browser.token(), memory.len()), (None, 0));
    for path in ["/read", "/set-a=1"] {
        assert!(!stolen.clone().visit(path).await.body.contains("alice"), "{path}");
    }
}

/// `destroy` wins over anything written in the same request, before and after it; what asks again sees nothing.
#[tokio::test]
async fn destroy_wins_over_everything_in_its_request() {
    for (name, store) in Any::all(&[0]) {
        for (path, body) in [
            ("/set-a=1/destroy", r#"{"a":"1","user":"alice"}"#),
            ("/renew/destroy", ALICE),
            ("/destroy/read", "{}"),
            ("/set-a=1/destroy/read", "{}"),
            ("/destroy/set-a=1", r#"{"a":"1"}"#),
            ("/set-b=1/destroy/set-a=1/read", "{}"),
            ("/destroy/renew/set-a=1", r#"{"a":"1"}"#),
        ] {
            let mut browser = Browser::new(app(store.clone()));
            browser.visit("/set-user=alice").await;
            let answer = browser.visit(path).await;
            assert_eq!((answer.body.as_str(), answer.sets()), (body, Sets::Removal), "{name}: {path}");
            assert_eq!(browser.visit("/read").await.body, "{}", "{name}: {path}");
        }
        if let Any::Memory(memory) = store {
            assert_eq!(memory.len(), 0);
        }
    }
}

// ---- What commits nothing

/// SL8: a handler that fails, panics, answers 408 or 5xx, or is cancelled commits nothing and sets nothing, whatever it staged.
#[tokio::test]
async fn a_failed_handler_commits_nothing() {
    let staged = ["/set-a=1", "/renew", "/renew/set-a=1", "/destroy", "/remove-user"];
    for (name, store) in Any::all(&[0]) {
        let counting = CountingStore::new(store.clone());
        let app = app(counting.clone());
        let mut browser = Browser::new(app.clone());
        browser.visit("/set-user=alice").await;
        let line = cookie(&browser.token().unwrap());
        counting.calls();
        for deed in staged {
            for status in [408, 500, 501, 503, 599] {
                let answer = browser.visit(&format!("{deed}/status-{status}")).await;
                assert_eq!((answer.status, answer.sets()), (status, Sets::Nothing), "{name}: {deed}, {status}");
            }
            let error = browser.try_visit(&format!("{deed}/err")).await.unwrap_err();
            assert_eq!(error.to_string(), "the handler failed", "{name}: {deed}");

            let path = format!("{deed}/panic");
            let panicked = std::panic::catch_unwind(AssertUnwindSafe(|| {
                let mut answer = Box::pin(app.clone().oneshot(request(&path, &[line.as_bytes()])));
                let _ = answer.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            }));
            assert!(panicked.is_err(), "{name}: {deed}");
        }
        assert_eq!(counting.calls(), Calls { loads: 7 * staged.len() as u32, ..Calls::default() }, "{name}");
        assert_eq!(browser.visit("/read").await.body, ALICE, "{name}");
    }
}

/// SL8: a panic while the session is held commits nothing, also where a layer between catches it: its answer stands.
#[tokio::test]
async fn a_caught_panic_commits_nothing() {
    let store = CountingStore::new(MemoryStore::with_keyring(keyring(&[0])));
    let handler = |request: Request<String>| async move {
        if request.uri().path() == "/good" {
            return script(self::request("/set-user=alice", &[])).await.or(Ok(Response::default()));
        }
        let mut session: Session = Session::of(&request).await?;
        session.insert("a", 1)?;
        let caught = std::panic::catch_unwind(AssertUnwindSafe(move || {
            let _held = session;
            panic!("while it is held");
        }));
        assert!(caught.is_err());
        Ok(Response::new("caught".to_owned()))
    };
    let app = with_handler::<Values, _, _>(layer(store.clone()), handler);
    let answer = send(&app, "/", &[]).await;
    assert_eq!((answer.status, answer.body.as_str(), answer.token()), (200, "caught", None));
    assert_eq!(store.calls(), Calls::default());
}

/// SL8: an answer that nobody waits for is not committed: dropped at every point at which it waits.
#[tokio::test]
async fn a_cancelled_request_commits_nothing() {
    for path in ["/set-a=1", "/renew", "/destroy"] {
        // Never polled; waiting for the load; waiting for the first question of the commit.
        for polls in 0..=2 {
            let memory = MemoryStore::with_keyring(keyring(&[0]));
            let mut browser = Browser::new(app(memory.clone()));
            browser.visit("/set-user=alice").await;
            let slow = app(ScriptedStore::always(memory.clone(), Turn::Wait));
            let line = cookie(&browser.token().unwrap());
            let mut answer = Box::pin(slow.oneshot(request(path, &[line.as_bytes()])));
            for _ in 0..polls {
                assert!(step(answer.as_mut()).is_pending(), "{path}");
            }
            drop(answer);
            assert_eq!((browser.visit("/read").await.body.as_str(), memory.len()), (ALICE, 1), "{path}, {polls} polls");
        }
    }
}

/// SL8: an ask that is dropped half way lets the next one ask.
#[tokio::test]
async fn an_ask_that_is_dropped_lets_the_next_one_ask() {
    let memory = MemoryStore::with_keyring(keyring(&[0]));
    let token = send(&app(memory.clone()), "/set-user=alice", &[]).await.token().unwrap();
    let slow = ScriptedStore::new(memory, [Turn::Hang]);
    let app = with_handler::<Values, _, _>(layer(slow), |request: Request<String>| async move {
        let mut first = Box::pin(Session::<Values>::of(&request));
        assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let second = Session::<Values>::of(&request).await.unwrap_err();
        assert_eq!(second.kind(), ErrorKind::InUse, "one asks at a time");
        drop(first);
        let session: Session = Session::of(&request).await?;
        Ok(Response::new(session.get::<String>("user").unwrap()))
    });
    assert_eq!(send(&app, "/", &[cookie(&token).as_bytes()]).await.body, "alice");
}

// ---- Unreadable cookies and stale rings

/// SL9, F7: an instance with a stale ring clears nobody's cookie; the session is back at the next instance that can read it.
#[tokio::test]
async fn an_instance_with_a_stale_ring_logs_nobody_out() {
    for (name, store) in Any::all(&[1]) {
        let (fresh, stale) = (app(store.rotated(&[2, 1], name)), app(store.clone()));
        let mut browser = Browser::new(fresh.clone());
        browser.visit("/set-user=alice").await;
        for visit in 0..1_000 {
            browser = browser.at(if visit % 2 == 0 { stale.clone() } else { fresh.clone() });
            let answer = browser.visit("/read").await;
            assert_eq!(answer.sets(), Sets::Nothing, "{name}, visit {visit}");
            assert_eq!(answer.body, if visit % 2 == 0 { "{}" } else { ALICE }, "{name}, visit {visit}");
        }
    }
}

/// F7, F17: rotation in two steps, the new secret first behind the old one, loses nobody while half of the instances
/// are a step behind.
#[tokio::test]
async fn a_rotation_in_two_steps_loses_nobody() {
    for (name, store) in Any::all(&[1]) {
        set_clock(START);
        let ring = |seeds: &[u8]| app(store.rotated(seeds, name));
        let steps = [ring(&[1]), ring(&[1, 2]), ring(&[2, 1]), ring(&[2])];
        let mut browser = Browser::new(steps[0].clone());
        browser.visit("/set-user=alice").await;
        for pair in steps.windows(2).take(2) {
            for visit in 0..10 {
                advance(200);
                browser = browser.at(pair[visit % 2].clone());
                assert_eq!(browser.visit("/read").await.body, ALICE, "{name}");
                assert_eq!(browser.visit(&format!("/set-w={visit}/remove-w")).await.status, 200, "{name}");
            }
        }
        // Everybody has been before a ring that seals with the new secret: the old one can go.
        let mut browser = browser.at(steps[2].clone());
        browser.visit("/read").await;
        assert_eq!(browser.at(steps[3].clone()).visit("/read").await.body, ALICE, "{name}");
    }
}

/// "A token sealed by an old secret is resealed on its next visit": once, with the session as it was.
#[tokio::test]
async fn what_an_old_secret_sealed_is_resealed_once() {
    for (name, store) in Any::all(&[1]) {
        let mut browser = Browser::new(app(store.clone()));
        browser.visit("/set-user=alice").await;
        let mut browser = browser.at(app(store.rotated(&[2, 1], name)));
        let sets: Vec<Sets> = [browser.visit("/read").await.sets(), browser.visit("/read").await.sets()].into();
        assert_eq!(sets, [Sets::Cookie, Sets::Nothing], "{name}");
        assert_eq!(browser.at(app(store.rotated(&[2], name))).visit("/read").await.body, ALICE, "{name}");
    }
}

// ---- Store errors

/// A store that fails is unavailable, not empty: 503, whole, from the ask and from every question of the commit; the
/// browser keeps its cookie, and the session is there when the store is.
#[tokio::test]
async fn an_outage_is_503_and_logs_nobody_out() {
    let down = Turn::Fail(ErrorKind::Unavailable);
    for (what, path, script) in [
        ("load", "/read", vec![down]),
        ("update", "/set-a=1", vec![Turn::Pass, down]),
        ("rewrite of an ageing session", "/read", vec![Turn::Pass, down]),
        ("create for a renewal", "/renew", vec![Turn::Pass, down]),
        ("retire", "/renew", vec![Turn::Pass, Turn::Pass, down]),
        ("delete", "/destroy", vec![Turn::Pass, down]),
    ] {
        set_clock(START);
        let memory = MemoryStore::with_keyring(keyring(&[0]));
        let store = ScriptedStore::new(memory, []);
        let mut browser = Browser::new(app(store.clone()));
        browser.visit("/set-user=alice").await;
        advance(200);
        store.next(script);
        assert_eq!(browser.visit(path).await, refusal(503), "{what}");
        assert_eq!(browser.visit("/read").await.body, ALICE, "{what}: back again");
    }
    let store = ScriptedStore::new(MemoryStore::with_keyring(keyring(&[0])), [down]);
    assert_eq!(send(&app(store), "/set-a=1", &[]).await, refusal(503), "create");
}

/// A handler that ignores the outage and answers is answered as it says; the store is asked once in a request.
#[tokio::test]
async fn a_store_is_asked_once_in_a_request_that_finds_it_unavailable() {
    let counting = CountingStore::new(ScriptedStore::always(
        MemoryStore::with_keyring(keyring(&[0])),
        Turn::Fail(ErrorKind::Unavailable),
    ));
    let app = with_handler::<Values, _, _>(layer(counting.clone()), |request: Request<String>| async move {
        let errors: Vec<String> = [Session::<Values>::of(&request).await, Session::of(&request).await]
            .map(|asked| asked.unwrap_err().to_string())
            .into();
        Ok(Response::new(errors.join("; ")))
    });
    let answer = send(&app, "/", &[cookie("AAAA").as_bytes()]).await;
    assert_eq!(
        answer,
        Answer {
            status: 200,
            headers: vec![("vary".into(), "Cookie".into())],
            body: "the store failed as told; the session store gave no answer earlier in this request".into(),
        }
    );
    assert_eq!(counting.calls(), Calls { loads: 1, ..Calls::default() });
}

/// AR7, F13: a store that never answers is given up at the layer's own limit, or before the invocation ends; what the
/// handler did is then not saved at all.
#[tokio::test]
async fn no_wait_outlives_the_invocation() {
    for (what, script, path) in [
        ("load", vec![Turn::Hang], "/read"),
        ("update", vec![Turn::Pass, Turn::Hang], "/set-a=1"),
        ("delete", vec![Turn::Pass, Turn::Hang], "/destroy"),
    ] {
        for (bound, timeout, left_ms) in [
            ("the store's limit", Duration::from_millis(20), None),
            ("the invocation", Duration::from_secs(3_600), Some(120_i64)),
            ("an invocation that is over", Duration::from_secs(3_600), Some(-1)),
            ("less than the reserve", Duration::from_secs(3_600), Some(99)),
        ] {
            let store = ScriptedStore::new(MemoryStore::with_keyring(keyring(&[0])), []);
            let app = scripted(layer(store.clone()).store_timeout(timeout));
            let token = send(&app, "/set-user=alice", &[]).await.token().unwrap();
            store.next(script.clone());
            let mut request = request(path, &[cookie(&token).as_bytes()]);
            if let Some(left) = left_ms {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
                let mut context = lambda_http::Context::default();
                context.deadline = u64::try_from(now as i64 + left).unwrap();
                request.extensions_mut().insert(context);
            }
            let answer = tokio::time::timeout(Duration::from_secs(10), app.clone().oneshot(request)).await;
            assert_eq!(Answer::of(answer.expect("within 10 s").unwrap()), refusal(503), "{what}: {bound}");
            let later = send(&app, "/read", &[cookie(&token).as_bytes()]).await;
            assert_eq!(later.body, ALICE, "{what}: {bound}");
        }
    }
}

/// AR9: every 500 is the same to the byte, whatever went wrong; so are 503 and 409.
#[tokio::test]
async fn every_answer_of_one_status_is_the_same() {
    let memory = || MemoryStore::with_keyring(keyring(&[0]));
    for kind in [
        ErrorKind::Config,
        ErrorKind::Conflict,
        ErrorKind::Data,
        ErrorKind::Escaped,
        ErrorKind::Event,
        ErrorKind::InUse,
        ErrorKind::MissingLayer,
        ErrorKind::Random,
        ErrorKind::TooLarge,
        ErrorKind::Unavailable,
    ] {
        let status = match kind {
            ErrorKind::Unavailable => 503,
            ErrorKind::Conflict => 409,
            _ => 500,
        };
        let app = app(ScriptedStore::always(memory(), Turn::Fail(kind)));
        assert_eq!(send(&app, "/set-a=1", &[]).await, refusal(status), "{kind:?}");
        assert_eq!(Error::new(kind, "").status(), status, "{kind:?}");
    }
    let cookies = app(CookieStore::encrypted(keyring(&[0])));
    assert_eq!(send(&cookies, "/big-4000", &[]).await, refusal(500), "too large");
    assert_eq!(send(&cookies, "/deep-63", &[]).await.status, 200, "63 levels in one key");
    assert_eq!(send(&cookies, "/deep-64", &[]).await, refusal(500), "64 levels in one key");
}

// ---- One holder at a time

/// A second ask while a session is held is an error at once; after it is dropped the next sees what it wrote.
#[tokio::test]
async fn a_session_is_held_by_one_at_a_time() {
    let app = with_handler::<Values, _, _>(layer(MemoryStore::new().unwrap()), |request: Request<String>| async move {
        let mut first: Session = Session::of(&request).await?;
        first.insert("a", 1)?;
        let second = Session::<Values>::of(&request).await.unwrap_err();
        assert_eq!(
            (second.kind(), second.to_string().as_str()),
            (
                ErrorKind::InUse,
                "the session is already held in this request: drop it before asking again, or pass it on"
            )
        );
        drop(first);
        let third: Session = Session::of(&request).await?;
        Ok(Response::new(third.get::<u32>("a").unwrap().to_string()))
    });
    let answer = send(&app, "/", &[]).await;
    assert_eq!((answer.body.as_str(), answer.sets()), ("1", Sets::Cookie));
}

/// A session that outlives its handler is `Escaped`: 500, nothing saved; whoever asks later is told so.
#[tokio::test]
async fn a_session_that_escapes_its_handler_is_not_saved() {
    let store = CountingStore::new(MemoryStore::with_keyring(keyring(&[0])));
    type Kept = Arc<Mutex<Vec<(Session, Request<String>)>>>;
    let kept: Kept = Arc::default();
    let keep = kept.clone();
    let app = with_handler::<Values, _, _>(layer(store.clone()), move |request: Request<String>| {
        let keep = keep.clone();
        async move {
            let mut session: Session = Session::of(&request).await?;
            session.insert("a", 1)?;
            keep.lock().unwrap().push((session, request));
            Ok(Response::new("done".to_owned()))
        }
    });
    assert_eq!(send(&app, "/", &[]).await, refusal(500));
    let (mut session, request) = kept.lock().unwrap().pop().unwrap();
    session.insert("b", 2).unwrap();
    drop(session);
    let error = Session::<Values>::of(&request).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (
            ErrorKind::Escaped,
            "the handler has answered: ask for the session before, its cookie leaves with the head of the answer"
        )
    );
    assert_eq!(store.calls(), Calls::default());
}

/// Without a layer of its type an ask says which one to add.
#[tokio::test]
async fn without_its_layer_an_ask_says_what_to_add() {
    let bare = request("/", &[]);
    let error = Session::<Values>::of(&bare).await.unwrap_err();
    let name = std::any::type_name::<Values>();
    assert_eq!(error.kind(), ErrorKind::MissingLayer);
    assert_eq!(
        error.to_string(),
        format!("no SessionLayer<{name}> stands before this handler: add .layer(SessionLayer::<{name}>…)")
    );
    let app = with_handler::<Values, _, _>(layer(MemoryStore::new().unwrap()), |request: Request<String>| async move {
        let error = Session::<Visits>::of(&request).await.unwrap_err();
        Ok(Response::new(format!("{:?}", error.kind())))
    });
    assert_eq!(send(&app, "/", &[]).await.body, "MissingLayer", "a layer of another type");
}

// ---- Types

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Visits {
    count: u64,
}

/// What `T` a handler uses, and what it does with it.
async fn change<T: lambda_session::Data>(
    store: &Any,
    token: Option<&str>,
    change: fn(&mut T),
) -> (Sets, Option<String>) {
    let app = with_handler::<T, _, _>(layer(store.clone()), move |request: Request<String>| async move {
        let mut session: Session<T> = Session::of(&request).await?;
        change(&mut session);
        Ok(Response::new(String::new()))
    });
    let line = token.map(cookie).unwrap_or_default();
    let answer = send(&app, "/", &[line.as_bytes()]).await;
    let token = answer.token().or(token.map(Into::into));
    (answer.sets(), token)
}

/// What is stored under a token, as JSON.
async fn stored(store: &Any, token: &str) -> String {
    let answer = send(&app(store.clone()), "/read", &[cookie(token).as_bytes()]).await;
    answer.body
}

/// Begins a session with this JSON.
async fn begin(store: &Any, payload: &str) -> String {
    store.create(&record(payload), &call()).await.unwrap().as_str().to_owned()
}

/// Typed and dynamic are one: what a struct wrote a map reads, and the other way.
#[tokio::test]
async fn typed_and_dynamic_sessions_are_one() {
    for (name, store) in Any::all(&[0]) {
        let (_, token) = change::<Visits>(&store, None, |visits| visits.count += 1).await;
        let (_, token) = change::<Values>(&store, token.as_deref(), |values| values.insert("count", 41).unwrap()).await;
        let (_, token) = change::<Visits>(&store, token.as_deref(), |visits| visits.count += 1).await;
        assert_eq!(stored(&store, &token.unwrap()).await, r#"{"count":42}"#, "{name}");
    }
}

/// Top-level keys that a type does not know are kept, to the digit; only keys that it had can go.
#[tokio::test]
async fn keys_that_a_type_does_not_know_are_kept() {
    #[derive(Default, Serialize, Deserialize)]
    struct Optional {
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    }
    // A number that no f64 holds, and text as it was spelled.
    let kept = r#""big":12345678901234567890.25,"nested":{"z":1,"a":[1.0,"é"]}"#;
    let written = r#"{"big":12345678901234567890.25,"count":2,"nested":{"z":1,"a":[1.0,"é"]}}"#;
    for (name, store) in Any::all(&[0]) {
        let token = begin(&store, &format!(r#"{{{kept},"count":1}}"#)).await;
        let (_, token) = change::<Visits>(&store, Some(&token), |visits| visits.count = 2).await;
        assert_eq!(payload(&store, &token.unwrap()), written, "{name}: written");

        let token = begin(&store, &format!(r#"{{{kept},"note":"n"}}"#)).await;
        let (_, token) = change::<Optional>(&store, Some(&token), |data| data.note = None).await;
        assert_eq!(payload(&store, &token.unwrap()), format!("{{{kept}}}"), "{name}: removed");

        let token = begin(&store, &format!("{{{kept}}}")).await;
        let (sets, _) = change::<Optional>(&store, Some(&token), |data| data.note = None).await;
        assert_eq!(sets, Sets::Nothing, "{name}: was not there");
    }
}

/// The stored text under a token.
fn payload(store: &Any, token: &str) -> String {
    let token = Token::parse(token.as_bytes()).unwrap();
    match ready(store.load(&token, &call())).unwrap() {
        lambda_session::store::Found::Live(loaded) => String::from_utf8(loaded.record.payload().to_vec()).unwrap(),
        _ => panic!("no session"),
    }
}

#[derive(Default, Serialize, Deserialize)]
struct Wide {
    #[serde(default)]
    count: u64,
    #[serde(default = "light")]
    theme: String,
    #[serde(default)]
    map: HashMap<String, u32>,
    #[serde(default)]
    price: f64,
}

fn light() -> String {
    "light".into()
}

/// Changes are found, not declared: borrowing mutably, writing the same, another order of a map and a new default field
/// are none.
#[tokio::test]
async fn what_is_the_same_as_before_is_no_change() {
    let before = r#"{"count":1,"map":{"a":1,"b":2,"c":3,"d":4},"price":0.1}"#;
    type Row = (&'static str, fn(&mut Wide), Sets);
    let rows: [Row; 6] = [
        ("borrowed", |data| assert_eq!(&mut data.count, &1), Sets::Nothing),
        ("the same again", |data| data.count = 1, Sets::Nothing),
        ("back again", |data| (data.count, data.count) = (2, 1), Sets::Nothing),
        (
            "another order",
            |data| {
                data.map = ["d", "b", "a", "c"].map(|key| (key.to_owned(), u32::from(key.as_bytes()[0] - b'`'))).into()
            },
            Sets::Nothing,
        ),
        ("a value", |data| data.count = 2, Sets::Cookie),
        ("within a map", |data| assert_eq!(data.map.insert("a".into(), 9), Some(1)), Sets::Cookie),
    ];
    for (name, store) in Any::all(&[0]) {
        for (what, deed, sets) in rows {
            let token = begin(&store, before).await;
            assert_eq!(change::<Wide>(&store, Some(&token), deed).await.0, sets, "{name}: {what}");
        }
        let (sets, token) = change::<Wide>(&store, Some(&begin(&store, "{}").await), |_| ()).await;
        assert_eq!((sets, payload(&store, &token.unwrap()).as_str()), (Sets::Nothing, "{}"), "{name}: only defaults");
        assert_eq!(change::<Wide>(&store, None, |_| ()).await.0, Sets::Nothing, "{name}: a session's first defaults");
    }
}

/// A type's new default field is written with the first change, and never over what another version has set.
#[tokio::test]
async fn a_default_never_overwrites_what_is_there() {
    for (name, store) in Any::all(&[0]) {
        let token = begin(&store, r#"{"count":1,"price":0.1}"#).await;
        let (_, token) = change::<Wide>(&store, Some(&token), |data| data.count = 2).await;
        let written = payload(&store, &token.unwrap());
        let written: BTreeMap<String, serde_json::Value> = serde_json::from_str(&written).unwrap();
        let expected = serde_json::json!({"count": 2, "map": {}, "price": 0.1, "theme": "light"});
        assert_eq!(serde_json::to_value(written).unwrap(), expected, "{name}");
    }
}

/// A field that was renamed and still answers to its old name: with both names kept the session would not decode again,
/// and its owner would be logged out.
#[tokio::test]
async fn a_renamed_field_logs_nobody_out() {
    #[derive(Default, Serialize, Deserialize)]
    struct Renamed {
        #[serde(alias = "user")]
        name: String,
        #[serde(default)]
        count: u64,
    }
    for (name, store) in Any::all(&[0]) {
        set_clock(START);
        let token = begin(&store, r#"{"user":"alice"}"#).await;
        let (_, token) = change::<Renamed>(&store, Some(&token), |session| session.count += 1).await;
        assert_eq!(stored(&store, token.as_deref().unwrap()).await, r#"{"count":1,"name":"alice"}"#, "{name}");
        let (_, token) = change::<Renamed>(&store, token.as_deref(), |session| session.count += 1).await;
        assert_eq!(stored(&store, &token.unwrap()).await, r#"{"count":2,"name":"alice"}"#, "{name}");
    }
}

/// Data that does not fit the type is an empty session, left alone until the handler writes, then replaced whole; one
/// warning a minute says so, without the data.
#[tokio::test]
async fn data_that_does_not_fit_is_an_empty_session() {
    for (name, store) in Any::all(&[0]) {
        set_clock(START);
        let misfit = r#"{"count":"many","user":"alice"}"#;
        let token = begin(&store, misfit).await;
        let (log, guard) = Log::capture();
        let app = with_handler::<Visits, _, _>(layer(store.clone()), |request: Request<String>| async move {
            let mut session: Session<Visits> = Session::of(&request).await?;
            let before = session.count;
            if request.uri().path() == "/write" {
                session.count += 1;
            }
            Ok(Response::new(before.to_string()))
        });
        let line = cookie(&token);
        for _ in 0..3 {
            let answer = send(&app, "/read", &[line.as_bytes()]).await;
            assert_eq!((answer.body.as_str(), answer.sets()), ("0", Sets::Nothing), "{name}");
        }
        assert_eq!(payload(&store, &token), misfit, "{name}: left alone");
        advance(60);
        let answer = send(&app, "/write", &[line.as_bytes()]).await;
        let written = answer.token().unwrap();
        assert_eq!(payload(&store, &written), r#"{"count":1}"#, "{name}: replaced whole");
        drop(guard);
        let warnings = log.lines_with("WARN");
        assert_eq!(warnings.len(), 2, "{name}: {warnings:?}");
        let type_name = std::any::type_name::<Visits>();
        assert!(warnings[0].ends_with(&format!(
            "a session's data does not fit {type_name}: it counts as empty and is replaced when the handler writes"
        )));
        assert!(!log.text().contains("alice") && !log.text().contains("many"));
    }
}

/// What encodes to no JSON object is an error of the application's: 500, nothing saved.
#[tokio::test]
async fn a_session_encodes_to_an_object() {
    let app =
        with_handler::<Vec<u32>, _, _>(layer(MemoryStore::new().unwrap()), |request: Request<String>| async move {
            let error = Session::<Vec<u32>>::of(&request).await.unwrap_err();
            Ok(Response::new(format!("{:?}: {error}", error.kind())))
        });
    let expected = "Data: a session encodes to a JSON object: make it a struct or a map";
    assert_eq!(send(&app, "/", &[]).await.body, expected);

    #[derive(Default, Serialize, Deserialize)]
    struct Keyed {
        map: BTreeMap<(u8, u8), u8>,
    }
    let app = with_handler::<Keyed, _, _>(layer(MemoryStore::new().unwrap()), |request: Request<String>| async move {
        Session::<Keyed>::of(&request).await?.map.insert((1, 2), 3);
        Ok(Response::new("done".to_owned()))
    });
    assert_eq!(send(&app, "/", &[]).await, refusal(500), "a map whose keys are no strings");
}

/// Layers of two types, with two cookie names, stand before one service; each has its own session.
#[tokio::test]
async fn two_layers_keep_two_sessions() {
    use lambda_session::CookieOptions;
    use tower::{Layer, service_fn, util::BoxCloneService};

    let named = |name: &str| CookieOptions::builder().name(name).build().unwrap();
    let visits = layer::<Visits>(CookieStore::encrypted(keyring(&[0]))).cookie(named("__Host-visits"));
    let values: SessionLayer = layer(MemoryStore::with_keyring(keyring(&[0]))).cookie(named("__Host-values"));
    let handler = service_fn(|request: Request<String>| async move {
        let mut visits: Session<Visits> = Session::of(&request).await?;
        let mut values: Session = Session::of(&request).await?;
        visits.count += 1;
        values.insert("a", visits.count)?;
        Ok::<_, Error>(Response::new(visits.count.to_string()))
    });
    let app: App = BoxCloneService::new(visits.layer(values.layer(handler)));
    let mut browser = Browser::new(app);
    for visit in 1..=3 {
        let answer = browser.visit("/").await;
        assert_eq!((answer.body.as_str(), answer.set_cookies().len()), (visit.to_string().as_str(), 2));
        assert_eq!(answer.header("vary"), ["Cookie"]);
    }
}

// ---- axum

#[cfg(feature = "axum")]
mod extractors {
    use axum::{Router, body::Body, routing::get};

    use super::*;

    fn router(layer: SessionLayer<Values>) -> Router {
        Router::new()
            .route(
                "/count",
                get(|mut session: Session| async move {
                    let count = session.get::<u64>("count").unwrap_or(0) + 1;
                    session.insert("count", count)?;
                    Ok::<_, Error>(count.to_string())
                }),
            )
            .route(
                "/optional",
                get(|session: Option<Session>| async move {
                    session.map_or("anonymous".into(), |session| format!("{} keys", session.len()))
                }),
            )
            .route(
                "/write-optional",
                get(|session: Option<Session>| async move {
                    if let Some(mut session) = session {
                        session.insert("a", 1)?;
                    }
                    Ok::<_, Error>("served")
                }),
            )
            .route("/twice", get(|_first: Session, _second: Session| async { "never" }))
            .route("/twice-optional", get(|_first: Session, _second: Option<Session>| async { "never" }))
            .route("/untouched", get(|| async { "untouched" }))
            .layer(layer)
    }

    async fn ask(router: &Router, path: &str, token: Option<&str>) -> Answer {
        let mut request = Request::builder().uri(path).body(Body::empty()).unwrap();
        if let Some(token) = token {
            request.headers_mut().insert("cookie", cookie(token).parse().unwrap());
        }
        let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
        let body = axum::body::to_bytes(body, 100_000).await.unwrap();
        Answer::of(Response::from_parts(parts, String::from_utf8(body.to_vec()).unwrap()))
    }

    fn text(body: &str) -> Answer {
        Answer {
            status: 200,
            headers: vec![
                ("content-length".into(), body.len().to_string()),
                ("content-type".into(), "text/plain; charset=utf-8".into()),
                ("vary".into(), "Cookie".into()),
            ],
            body: body.into(),
        }
    }

    /// axum's router counts a body that it knows; the refusal itself is the same.
    fn unsized_answer(mut answer: Answer) -> Answer {
        answer.headers.retain(|(name, _)| name != "content-length");
        answer
    }

    /// Both extractors in the good case.
    #[tokio::test]
    async fn the_extractors_give_the_session() {
        let router = router(layer(MemoryStore::with_keyring(keyring(&[0]))));
        let token = ask(&router, "/count", None).await.token().unwrap();
        assert_eq!(ask(&router, "/count", Some(&token)).await.body, "2");
        assert_eq!(ask(&router, "/optional", Some(&token)).await, text("1 keys"));
        assert_eq!(ask(&router, "/optional", None).await, text("0 keys"));
        assert_eq!(ask(&router, "/optional", Some("forged")).await, text("0 keys"));
        assert_eq!(ask(&router, "/untouched", Some(&token)).await.header("vary"), [] as [&str; 0]);
    }

    /// `Session` answers 503 while the store is unavailable; `Option<Session>` is `None` then, the route serves
    /// anonymously and nothing is written.
    #[tokio::test]
    async fn an_optional_session_is_none_while_the_store_is_unavailable() {
        let store = CountingStore::new(ScriptedStore::always(
            MemoryStore::with_keyring(keyring(&[0])),
            Turn::Fail(ErrorKind::Unavailable),
        ));
        let router = router(layer(store.clone()));
        assert_eq!(unsized_answer(ask(&router, "/count", Some("AAAA")).await), refusal(503));
        assert_eq!(ask(&router, "/optional", Some("AAAA")).await, text("anonymous"));
        assert_eq!(ask(&router, "/write-optional", Some("AAAA")).await, text("served"));
        assert_eq!(store.calls(), Calls { loads: 3, ..Calls::default() });
    }

    /// And only then: any other trouble is answered 500 by both.
    #[tokio::test]
    async fn an_optional_session_is_none_only_while_the_store_is_unavailable() {
        let broken = |kind| router(layer(ScriptedStore::always(MemoryStore::new().unwrap(), Turn::Fail(kind))));
        for kind in [ErrorKind::Data, ErrorKind::Random, ErrorKind::TooLarge, ErrorKind::Config] {
            let answer = unsized_answer(ask(&broken(kind), "/optional", Some("AAAA")).await);
            assert_eq!((answer.status, answer.body.as_str()), (500, "internal server error\n"), "{kind:?}");
        }
        let good = router(layer(MemoryStore::new().unwrap()));
        for path in ["/twice", "/twice-optional"] {
            assert_eq!(unsized_answer(ask(&good, path, None).await), refusal(500), "{path}: in use");
        }
        let bare = Router::new().route("/", get(|_: Option<Session>| async { "never" }));
        let mut expected = refusal(500);
        expected.headers.retain(|(name, _)| name != "vary");
        assert_eq!(unsized_answer(ask(&bare, "/", None).await), expected, "without a layer");
    }

    /// A session error that a handler passes on with `?` is answered without a word more.
    #[tokio::test]
    async fn an_error_as_an_answer_says_nothing() {
        use axum::response::IntoResponse;
        let answer = Error::new(ErrorKind::Data, "alice's secret").with_source("more").into_response();
        let (parts, body) = answer.into_parts();
        let body = axum::body::to_bytes(body, 1_000).await.unwrap();
        assert_eq!((parts.status.as_u16(), &body[..]), (500, &b"internal server error\n"[..]));
    }
}

/// `Session::of` does not borrow the request: the body can be taken while it is asked for.
#[tokio::test]
async fn asking_does_not_borrow_the_request() {
    let app = with_handler::<Values, _, _>(layer(MemoryStore::new().unwrap()), |request: Request<String>| async move {
        let asked = Session::<Values>::of(&request);
        let body = request.into_body();
        let asked: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(asked);
        asked.await?.insert("body", body)?;
        Ok(Response::new(String::new()))
    });
    assert_eq!(send(&app, "/", &[]).await.sets(), Sets::Cookie);
}

/// A session that JSON cannot hold while `broken` is filled: its keys are no strings.
#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Breakable {
    user: String,
    broken: std::collections::HashMap<Vec<u8>, u8>,
}

/// Data that cannot be encoded is 500 and saves nothing, but never stands in the way of a logout.
#[tokio::test]
async fn a_logout_wins_over_data_that_cannot_be_encoded() {
    let store = MemoryStore::with_keyring(keyring(&[0]));
    let handler = |request: Request<String>| async move {
        let mut session: Session<Breakable> = Session::of(&request).await?;
        match request.uri().path() {
            "/login" => session.user = "alice".into(),
            "/read" => return Ok(Response::new(session.user.clone())),
            "/break" => drop(session.broken.insert(vec![1], 1)),
            "/break-and-destroy" => {
                session.broken.insert(vec![1], 1);
                drop(session);
                Session::destroy(Session::<Breakable>::of(&request).await?);
            }
            _ => {
                Session::destroy(session);
                Session::<Breakable>::of(&request).await?.broken.insert(vec![1], 1);
            }
        }
        Ok(Response::new(String::new()))
    };
    let app = with_handler::<Breakable, _, _>(layer(store.clone()), handler);
    for (path, status, user) in
        [("/break", 500, "alice"), ("/break-and-destroy", 200, ""), ("/destroy-and-break", 200, "")]
    {
        let line = cookie(&send(&app, "/login", &[]).await.token().unwrap());
        assert_eq!(send(&app, path, &[line.as_bytes()]).await.status, status, "{path}");
        assert_eq!(send(&app, "/read", &[line.as_bytes()]).await.body, user, "{path}");
    }
}
