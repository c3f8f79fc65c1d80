//! Handlers that take long: whose time it is, when what they saved is dated, and what becomes of one that is cut off
//! (security.md, SL1, SL2, SL8, AR7).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects
)]

mod support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{Request, Response};
use lambda_session::store::{MemoryStore, Store};
use lambda_session::{Lifetime, Session, Values};
use support::*;
use tower::ServiceExt;

const ALICE: &str = r#"{"user":"alice"}"#;

/// What a deed of [`slow`] takes: longer than a renewed id is remembered.
const SLOW: u64 = 120;

/// The application, each of whose answers takes so long after its deeds.
fn slow(store: impl Store) -> App {
    with_handler::<Values, _, _>(layer(store), |request: Request<String>| async {
        let answer = script(request).await;
        advance(SLOW);
        answer
    })
}

/// SL1: what a slow handler has changed is dated when it is saved: the session lives as long from then on as any other.
#[tokio::test]
async fn what_a_slow_handler_saves_is_dated_when_it_is_saved() {
    for (name, store) in Any::all(&[0]) {
        for deed in ["/set-user=alice", "/set-user=alice/renew"] {
            for (what, spent, live) in [("the last second", 1_799, true), ("idle", 1_800, false)] {
                set_clock(START);
                let mut browser = Browser::new(slow(store.clone()));
                browser.visit("/set-begun=yes").await;
                let answer = browser.visit(deed).await;
                assert_eq!(seconds_now(), START + 2 * SLOW, "{name}: {deed}");
                assert_eq!(answer.sets(), Sets::Cookie, "{name}: {deed}");
                advance(spent);
                let read = browser.at(app(store.clone())).visit("/read").await.body;
                assert_eq!(read.contains("alice"), live, "{name}: {deed}, {what}: {read}");
            }
        }
    }
}

/// SL2: a renewed id is remembered from when it was renewed: a request that comes then, however slow the login was, sets no
/// cookie over the new one.
#[tokio::test]
async fn a_slow_login_s_old_id_is_retired_for_ten_seconds_after_it() {
    for (spent, sets) in [(9, Sets::Nothing), (10, Sets::Cookie)] {
        set_clock(START);
        let memory = MemoryStore::with_keyring(keyring(&[0]));
        let quick = app(memory.clone());
        let line = cookie(&send(&quick, "/set-user=alice", &[]).await.token().unwrap());
        assert_eq!(send(&slow(memory), "/renew", &[line.as_bytes()]).await.sets(), Sets::Cookie);
        advance(spent);
        assert_eq!(send(&quick, "/set-a=1", &[line.as_bytes()]).await.sets(), sets, "{spent} s later");
    }
}

/// F15: a clock that goes back while a handler runs dates nothing before the request.
#[tokio::test]
async fn nothing_is_dated_before_its_request() {
    for (name, store) in Any::all(&[0]) {
        set_clock(START);
        let back = with_handler::<Values, _, _>(layer(store.clone()), |request: Request<String>| async {
            let answer = script(request).await;
            set_clock(START - 3_600);
            answer
        });
        let token = send(&back, "/set-user=alice", &[]).await.token().unwrap();
        set_clock(START + 1_799);
        assert_eq!(send(&app(store), "/read", &[cookie(&token).as_bytes()]).await.body, ALICE, "{name}");
    }
}

/// SL1: a request that came in time keeps its session, though the idle end comes while its handler runs.
#[tokio::test]
async fn a_session_outlives_its_idle_end_in_a_request_that_came_in_time() {
    for (name, store) in Any::all(&[0]) {
        set_clock(START);
        let mut browser = Browser::new(app(store.clone()));
        browser.visit("/set-user=alice").await;
        advance(1_799);
        let mut slow = browser.at(slow(store.clone()));
        assert_eq!(slow.visit("/set-a=1").await.sets(), Sets::Cookie, "{name}");
        let read = slow.at(app(store)).visit("/read").await.body;
        assert_eq!(read, r#"{"a":"1","user":"alice"}"#, "{name}");
    }
}

/// SL1: a session whose absolute end comes while a handler runs is not prolonged by what that handler saves.
#[tokio::test]
async fn a_session_that_ends_during_a_handler_has_ended() {
    for (name, store) in Any::all(&[0]) {
        set_clock(START);
        let lifetime = Lifetime::new(Duration::from_secs(1_000), Duration::from_secs(1_000)).unwrap();
        let quick = scripted(layer(store.clone()).lifetime(lifetime));
        let slow = with_handler::<Values, _, _>(layer(store.clone()).lifetime(lifetime), |request| async {
            let answer = script(request).await;
            advance(SLOW);
            answer
        });
        let line = cookie(&send(&quick, "/set-user=alice", &[]).await.token().unwrap());
        advance(999);
        let answer = send(&slow, "/set-a=1", &[line.as_bytes()]).await;
        assert_eq!(answer.status, 200, "{name}");
        for token in [answer.token().map(|token| cookie(&token)), Some(line)].into_iter().flatten() {
            assert_eq!(send(&quick, "/read", &[token.as_bytes()]).await.body, "{}", "{name}");
        }
    }
}

/// SL8: a time limit between the sessions and the handler that cuts the handler off half way, and answers 408 as tower-http's
/// does: what the handler had staged until then is not saved.
#[tokio::test(start_paused = true)]
async fn a_handler_that_is_cut_off_half_way_commits_nothing() {
    for (name, store) in Any::all(&[0]) {
        let counting = CountingStore::new(store);
        let limited = |request: Request<String>| async move {
            let half = async {
                let answer = script(request).await;
                std::future::pending::<()>().await;
                answer
            };
            tokio::time::timeout(Duration::from_secs(1), half).await.unwrap_or_else(|_| {
                let mut answer = Response::new(String::new());
                *answer.status_mut() = http::StatusCode::REQUEST_TIMEOUT;
                Ok(answer)
            })
        };
        let mut browser = Browser::new(app(counting.clone()));
        browser.visit("/set-user=alice").await;
        counting.calls();
        let mut cut = browser.at(with_handler::<Values, _, _>(layer(counting.clone()), limited));
        for deed in ["/set-a=1", "/renew", "/destroy", "/set-a=1/renew"] {
            let answer = cut.visit(deed).await;
            assert_eq!((answer.status, answer.sets()), (408, Sets::Nothing), "{name}: {deed}");
        }
        assert_eq!(counting.calls(), Calls { loads: 4, ..Calls::default() }, "{name}");
        assert_eq!(browser.visit("/read").await.body, ALICE, "{name}");
    }
}

/// AR7: the store's time is the store's: a handler that takes longer than it still has its session saved.
#[tokio::test]
async fn a_slow_handler_leaves_the_store_its_time() {
    // A store that does not answer at once, so that the deadline counts.
    let store = ScriptedStore::always(MemoryStore::with_keyring(keyring(&[0])), Turn::Wait);
    let handler = |request: Request<String>| async move {
        let mut session: Session = Session::of(&request).await?;
        // Longer than the store's whole time; no clock of ours can be passed here.
        std::thread::sleep(Duration::from_millis(250));
        session.insert("a", 1)?;
        Ok(Response::new(String::new()))
    };
    let timeout = Duration::from_millis(200);
    let app = with_handler::<Values, _, _>(layer::<Values>(store).store_timeout(timeout), handler);
    let mut answering = Box::pin(app.oneshot(request("/", &[])));
    let answer = loop {
        if let std::task::Poll::Ready(answer) = step(answering.as_mut()) {
            break answer.unwrap();
        }
    };
    assert_eq!(answer.status(), 200);
}

/// AR7: whatever the store does, the answer is there when the invocation has its reserve left: 100 ms unless set.
#[test]
fn an_answer_leaves_the_reserve_untouched() {
    let left = Duration::from_millis(3_000);
    for (what, script, path) in [
        ("load", vec![Turn::Hang], "/read"),
        ("create", vec![Turn::Pass, Turn::Hang], "/renew"),
        ("update", vec![Turn::Pass, Turn::Hang], "/set-a=1"),
        ("delete", vec![Turn::Pass, Turn::Hang], "/destroy"),
    ] {
        for (reserve, kept) in [
            (None, Duration::from_millis(100)),
            (Some(Duration::ZERO), Duration::ZERO),
            (Some(Duration::from_millis(750)), Duration::from_millis(750)),
            (Some(Duration::MAX), left),
        ] {
            let took = until_given_up(path, &script, left, reserve);
            // Waiting costs no time here; what the machine takes to get so far is real.
            let late = took.abs_diff(left - kept);
            assert!(late < Duration::from_millis(50), "{what}, {reserve:?}: {took:?}");
        }
    }
}

/// How long a request takes whose invocation has so much time left, and whose store hangs.
fn until_given_up(path: &str, script: &[Turn], left: Duration, reserve: Option<Duration>) -> Duration {
    // A runtime of its own: its clock is the system's when it begins, and runs ahead as soon as something is waited for.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let store = ScriptedStore::new(MemoryStore::with_keyring(keyring(&[0])), []);
        let layer = layer(store.clone()).store_timeout(Duration::from_secs(60));
        let app = scripted(match reserve {
            Some(reserve) => layer.reserve(reserve),
            None => layer,
        });
        let token = send(&app, "/set-user=alice", &[]).await.token().unwrap();
        store.next(script.iter().copied());
        let mut request = request(path, &[cookie(&token).as_bytes()]);
        let mut context = lambda_http::Context::default();
        let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + left;
        context.deadline = u64::try_from(end.as_millis()).unwrap();
        request.extensions_mut().insert(context);
        let begun = tokio::time::Instant::now();
        assert_eq!(Answer::of(app.oneshot(request).await.unwrap()), refusal(503), "{path}, {reserve:?}");
        begun.elapsed()
    })
}
