//! Two requests change one session at once, in every order in which their questions can reach the store (security.md,
//! SL4, SL10; architecture.md section 3).
//!
//! The store waits before every question until it is this request's step; a schedule says who steps. All schedules are
//! run, so nothing here depends on luck.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects
)]

#[path = "support/orders.rs"]
mod orders;
mod support;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use lambda_session::store::{Call, CookieStore, Found, Loaded, MemoryStore, Retired, Store, Update, Version};
use lambda_session::{Conflict, Error, ErrorKind, Record, Token, Values};
use orders::{Meeting, Outcome};
use support::*;
use tower::ServiceExt;

/// Runs two requests of one session in every order; `session` is the path that makes it.
async fn every_order(policy: Conflict, session: &str, age: u64, one: &str, two: &str) -> Vec<Outcome> {
    set_clock(START);
    let mut browser = Browser::new(app(MemoryStore::with_keyring(keyring(&[0]))));
    browser.visit(session).await;
    let session = browser.visit("/read").await.body;
    let app = |store| scripted(layer::<Values>(store).on_conflict(policy));
    Meeting { apps: [&app, &app], session: &session, age, paths: [one, two] }.in_every_order().await
}

/// SL10: two writes to different keys are both kept, in every order.
#[tokio::test]
async fn changes_to_different_keys_are_both_kept() {
    let outcomes = every_order(Conflict::Merge, "/set-a=0/set-b=0/set-c=0", 0, "/set-a=1", "/set-b=2").await;
    // Two questions each, and one more update for whoever met a conflict.
    assert!(outcomes.len() >= 6, "{}", outcomes.len());
    for outcome in outcomes {
        assert_eq!(outcome.answers.each_ref().map(|answer| answer.status), [200, 200], "{}", outcome.order);
        assert_eq!(outcome.old, r#"{"a":"1","b":"2","c":"0"}"#, "{}", outcome.order);
        assert_eq!(outcome.kept, 1, "{}", outcome.order);
    }
}

/// SL10: every pair of changes ends as one of the two requests after the other would have ended.
#[tokio::test]
async fn every_order_ends_as_one_after_the_other() {
    const START: &str = "/set-a=0/set-b=0";
    for (one, two) in [
        ("/set-a=1", "/set-a=2"),
        ("/set-a=1", "/remove-a"),
        ("/set-a=1", "/remove-b"),
        ("/remove-a", "/remove-a"),
        ("/remove-a", "/remove-b"),
        ("/set-n=1", "/set-n=2"),
        ("/set-n=1/remove-a", "/set-m=2/remove-b"),
        ("/set-a=1/set-n=1", "/set-a=2/remove-b"),
        ("/set-a=1/remove-a", "/set-b=1"),
    ] {
        let mut serial = Vec::new();
        for (first, second) in [(one, two), (two, one)] {
            let mut browser = Browser::new(app(MemoryStore::with_keyring(keyring(&[0]))));
            browser.visit(START).await;
            browser.visit(first).await;
            browser.visit(second).await;
            serial.push(browser.visit("/read").await.body);
        }
        for outcome in every_order(Conflict::Merge, START, 0, one, two).await {
            assert!(serial.contains(&outcome.old), "{one} and {two}, {}: {}", outcome.order, outcome.old);
            assert_eq!(outcome.kept, 1);
        }
    }
}

/// SL10: under `Fail` the later of two that overlap is 409, whole, and saves nothing; one after the other both are good.
#[tokio::test]
async fn under_fail_the_later_request_is_409() {
    for outcome in every_order(Conflict::Fail, "/set-a=0/set-b=0", 0, "/set-a=1", "/set-b=2").await {
        let refused: Vec<bool> = outcome.answers.iter().map(|answer| *answer == refusal(409)).collect();
        let expected = match refused[..] {
            [false, false] => r#"{"a":"1","b":"2"}"#,
            [false, true] => r#"{"a":"1","b":"0"}"#,
            [true, false] => r#"{"a":"0","b":"2"}"#,
            _ => panic!("{}: both refused", outcome.order),
        };
        assert_eq!(outcome.old, expected, "{}", outcome.order);
        // The second step of a request has loaded, the third has stored.
        let serial = outcome.step('1', 3) < outcome.step('2', 2) || outcome.step('2', 3) < outcome.step('1', 2);
        assert_eq!(refused == [false, false], serial, "{}", outcome.order);
    }
}

/// SL10: under `Overwrite` the later session stands whole.
#[tokio::test]
async fn under_overwrite_the_later_session_stands_whole() {
    let mut ends = BTreeSet::new();
    for outcome in every_order(Conflict::Overwrite, "/set-a=0/set-b=0", 0, "/set-a=1", "/set-b=2").await {
        assert_eq!(outcome.answers.each_ref().map(|answer| answer.status), [200, 200], "{}", outcome.order);
        ends.insert(outcome.old);
    }
    let whole = [r#"{"a":"0","b":"2"}"#, r#"{"a":"1","b":"0"}"#, r#"{"a":"1","b":"2"}"#];
    assert_eq!(ends, whole.map(Into::into).into());
}

/// SL4, SL10: a logout wins over every write and every rewrite of an ageing session, in every order: nothing is left, no
/// cookie of the other answer stands for anything, under every policy.
#[tokio::test]
async fn a_logout_wins_over_every_write() {
    for policy in [Conflict::Merge, Conflict::Fail, Conflict::Overwrite] {
        for (age, other) in [(0, "/set-a=1"), (200, "/read"), (200, "/set-a=1"), (0, "/read"), (0, "/destroy")] {
            for outcome in every_order(policy, "/set-user=alice", age, "/destroy", other).await {
                let order = format!("{policy:?}, {other}, {}", outcome.order);
                assert_eq!(outcome.answers[0].sets(), Sets::Removal, "{order}");
                assert_eq!(outcome.old, "{}", "{order}");
                assert!(!outcome.new.iter().any(|new| new.contains("alice")), "{order}: {:?}", outcome.new);
                // A write that came after the logout begins a session of its own.
                let afresh = usize::from(outcome.new[1] == r#"{"a":"1"}"#);
                assert_eq!(outcome.kept, afresh, "{order}");
            }
        }
    }
}

/// SL2, SL4, SL10: a logout and a renewal at once. The old id is dead in every order, and whoever logs out a session that
/// was theirs when they asked for it ends what took its place too. Only who comes with an id that is retired already ends
/// nothing: an attacker may hold it.
#[tokio::test]
async fn a_logout_wins_over_a_renewal_that_is_under_way() {
    let mut after = 0;
    for renewal in ["/renew", "/renew/set-role=admin"] {
        for outcome in every_order(Conflict::Merge, "/set-user=alice", 0, "/destroy", renewal).await {
            let order = format!("{renewal}, {}", outcome.order);
            assert_eq!((outcome.answers[0].sets(), outcome.old.as_str()), (Sets::Removal, "{}"), "{order}");
            if outcome.new[1].contains("alice") {
                // The renewal's fourth step ends the old id, the logout's second asks for it.
                assert!(outcome.step('1', 2) > outcome.step('2', 4), "{order}: the logout found a session");
                assert_eq!(outcome.kept, 1, "{order}");
                after += 1;
            } else {
                let afresh = usize::from(outcome.new[1].contains("admin"));
                assert_eq!(outcome.kept, afresh, "{order}");
            }
        }
    }
    assert!(after > 0, "the exception that DESIGN.md names exists");
}

/// SL2: two renewals at once leave one session, never two, and the one that lost sets no cookie.
#[tokio::test]
async fn two_renewals_leave_one_session() {
    for outcome in every_order(Conflict::Merge, "/set-user=alice", 0, "/renew", "/renew").await {
        let alive = outcome.new.iter().filter(|new| new.contains("alice")).count();
        assert_eq!((alive, outcome.kept, outcome.old.as_str()), (1, 1, "{}"), "{}", outcome.order);
        assert!(outcome.new.contains(&"-".to_owned()), "{}: {:?}", outcome.order, outcome.new);
    }
}

/// SL2, SL4: a write that overlaps a renewal never revives the old id, and never brings a second session about.
#[tokio::test]
async fn a_write_never_revives_a_renewed_id() {
    for other in ["/set-a=1", "/read"] {
        for outcome in every_order(Conflict::Merge, "/set-user=alice", 200, "/renew", other).await {
            let order = format!("{other}, {}", outcome.order);
            assert_eq!((outcome.old.as_str(), outcome.kept), ("{}", 1), "{order}");
            assert!(outcome.new[0].contains("alice"), "{order}");
        }
    }
}

/// SL10: a write that was saved is in the renewed session, or the renewal says that it met one; it is never lost unsaid.
#[tokio::test]
async fn a_renewal_loses_no_write_that_was_saved() {
    let mut met = 0;
    for policy in [Conflict::Merge, Conflict::Fail, Conflict::Overwrite] {
        for outcome in every_order(policy, "/set-user=alice", 0, "/renew", "/set-a=1").await {
            let order = format!("{policy:?}, {}", outcome.order);
            let (renewed, saved) = (outcome.answers[0].token().is_some(), outcome.answers[1].token().is_some());
            match policy {
                Conflict::Merge if renewed && saved => {
                    assert_eq!(outcome.new[0], r#"{"a":"1","user":"alice"}"#, "{order}");
                }
                Conflict::Fail if outcome.answers[0].status == 409 => {
                    met += 1;
                    assert_eq!(outcome.old, r#"{"a":"1","user":"alice"}"#, "{order}");
                    assert_eq!(outcome.kept, 1, "{order}: nothing of the renewal stays behind");
                }
                _ => assert!(renewed, "{order}"),
            }
        }
    }
    assert!(met > 0, "some order makes the renewal meet the write");
}

/// A rewrite that only prolongs the session gives way to a change, and never undoes one.
#[tokio::test]
async fn prolonging_never_undoes_a_change() {
    for policy in [Conflict::Merge, Conflict::Fail, Conflict::Overwrite] {
        for outcome in every_order(policy, "/set-a=0", 200, "/set-a=1", "/read").await {
            let order = format!("{policy:?}, {}", outcome.order);
            assert_eq!(outcome.answers[1].status, 200, "{order}: a reader never meets a conflict");
            if outcome.answers[0].status == 200 {
                assert_eq!(outcome.old, r#"{"a":"1"}"#, "{order}");
            }
        }
    }
}

/// A session that somebody else changes first, so many times; answers at once.
#[derive(Clone)]
struct Contended(u64);

impl Store for Contended {
    async fn load(&self, _: &Token, _: &Call) -> Result<Found, Error> {
        Ok(Found::Live(Loaded { record: record("{}"), version: Version(0), stale_key: false }))
    }
    async fn create(&self, _: &Record, _: &Call) -> Result<Token, Error> {
        Ok(Token::parse(b"NEWNEW").unwrap())
    }
    async fn update(&self, token: &Token, seen: Version, record: &Record, _: &Call) -> Result<Update, Error> {
        if seen.0 < self.0 {
            return Ok(Update::Conflict(self.theirs(seen)));
        }
        assert_eq!(record.payload(), format!(r#"{{"a":"1","other":{}}}"#, self.0).as_bytes());
        Ok(Update::Done(token.clone()))
    }
    async fn retire(&self, _: &Token, seen: Version, _: &Token, _: &Call) -> Result<Retired, Error> {
        Ok(if seen.0 < self.0 { Retired::Conflict(self.theirs(seen)) } else { Retired::Done })
    }
    async fn delete(&self, _: &Token, _: Option<Version>, _: &Call) -> Result<(), Error> {
        Ok(())
    }
}

impl Contended {
    fn theirs(&self, seen: Version) -> Loaded {
        let version = Version(seen.0 + 1);
        Loaded { record: record(&format!(r#"{{"other":{}}}"#, version.0)), version, stale_key: false }
    }
}

/// SL10: however many writers are faster, a change is merged into what they stored and written again while there is time.
#[tokio::test]
async fn a_merge_is_repeated_while_there_is_time() {
    let store = CountingStore::new(Contended(1_000));
    for (path, calls) in [
        ("/set-a=1", Calls { loads: 1, updates: 1_001, ..Calls::default() }),
        ("/renew", Calls { loads: 1, creates: 1_001, retires: 1_001, deletes: 1_000, ..Calls::default() }),
    ] {
        let answer = send(&app(store.clone()), path, &[b"__Host-session=AAAA"]).await;
        assert_eq!((answer.status, answer.sets(), store.calls()), (200, Sets::Cookie, calls), "{path}");
    }
}

/// SL10: a store that answers at once, and on which somebody else is faster for ever, ends in 409 when the store's time is
/// over, and nothing is saved. Whoever shares the thread goes on meanwhile.
#[tokio::test]
async fn endless_conflicts_end_in_409_when_the_time_is_over() {
    let time = Duration::from_millis(100);
    for path in ["/set-a=1", "/renew"] {
        let store = CountingStore::new(Contended(u64::MAX));
        let app = scripted(layer::<Values>(store.clone()).store_timeout(time));
        let others = tokio::spawn(async {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        });
        let begun = Instant::now();
        assert_eq!(send(&app, path, &[b"__Host-session=AAAA"]).await, refusal(409), "{path}");
        let took = begun.elapsed();
        assert!(took >= time && took < 10 * time, "{path}: {took:?}");
        let calls = store.calls();
        assert!(calls.updates.max(calls.retires) > 16, "{path}: {calls:?}");
        assert_eq!(calls.creates, calls.deletes, "{path}: nothing that was made stays behind");
        assert!(others.is_finished(), "{path}: it kept the runtime to itself");
    }
}

/// The store's time always has an end: nobody can ask for none.
#[tokio::test]
async fn the_store_s_time_has_an_end() {
    /// Tells how much time a call has.
    struct Asked;

    impl Store for Asked {
        async fn load(&self, _: &Token, call: &Call) -> Result<Found, Error> {
            let left = call.deadline().saturating_duration_since(Instant::now());
            Err(Error::new(ErrorKind::Data, left.as_secs().to_string()))
        }
        async fn create(&self, _: &Record, _: &Call) -> Result<Token, Error> {
            unreachable!("nothing is written")
        }
        async fn update(&self, _: &Token, _: Version, _: &Record, _: &Call) -> Result<Update, Error> {
            unreachable!("nothing is written")
        }
        async fn retire(&self, _: &Token, _: Version, _: &Token, _: &Call) -> Result<Retired, Error> {
            unreachable!("nothing is written")
        }
        async fn delete(&self, _: &Token, _: Option<Version>, _: &Call) -> Result<(), Error> {
            unreachable!("nothing is written")
        }
    }

    for (time, left) in [
        (Duration::from_secs(60), 59),
        (Duration::from_secs(86_400), 899),
        (Duration::from_secs(u64::MAX), 899),
        (Duration::MAX, 899),
    ] {
        let app = scripted(layer::<Values>(Asked).store_timeout(time));
        let error = app.oneshot(request("/read", &[b"__Host-session=AAAA"])).await.unwrap_err();
        assert_eq!(error.to_string(), left.to_string(), "{time:?}");
    }
}

/// In the cookie nobody can compare: the last answer wins, as documented; no answer is refused.
#[tokio::test]
async fn in_the_cookie_the_last_answer_wins() {
    for policy in [Conflict::Merge, Conflict::Fail, Conflict::Overwrite] {
        let app = scripted(layer(CookieStore::encrypted(keyring(&[0]))).on_conflict(policy));
        let line = cookie(&send(&app, "/set-a=0/set-b=0", &[]).await.token().unwrap());
        let (one, two) = (
            send(&app, "/set-a=1", &[line.as_bytes()]).await.token().unwrap(),
            send(&app, "/set-b=2", &[line.as_bytes()]).await.token().unwrap(),
        );
        for (token, body) in [(one, r#"{"a":"1","b":"0"}"#), (two, r#"{"a":"0","b":"2"}"#)] {
            assert_eq!(send(&app, "/read", &[cookie(&token).as_bytes()]).await.body, body, "{policy:?}");
        }
    }
}
