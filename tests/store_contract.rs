//! What every store promises. A cookie store keeps nothing, so it cannot end, compare or forget: those rows say so.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects
)]

mod support;

use std::{future::Future, time::SystemTime};

use lambda_session::store::{Call, Found, Loaded, MemoryStore, Retired, Store, Update, Version};
use lambda_session::{Record, Token};
use support::*;
use tokio::runtime::{Builder, Runtime};

#[cfg(feature = "memcached")]
#[path = "memcached/support/mod.rs"]
#[allow(dead_code, unused_imports)]
mod cache;

/// A store under test, with what it can be asked in one line.
struct Tested(Any);

/// Waits for a store's answer, on this thread.
fn wait<F: Future>(answer: F) -> F::Output {
    thread_local! {
        static RUNTIME: Runtime = Builder::new_current_thread().enable_all().build().unwrap();
    }
    RUNTIME.with(|runtime| runtime.block_on(answer))
}

/// One of each kind: those of this process, and memcached on the real one.
fn all(seeds: &[u8]) -> Vec<(&'static str, Any)> {
    let stores = Any::all(seeds).into_iter();
    #[cfg(feature = "memcached")]
    let stores = stores.chain([("memcached", Any::Memcached(memcached(seeds)))]);
    stores.collect()
}

/// A store on a real memcached, which ends with this test.
#[cfg(feature = "memcached")]
fn memcached(seeds: &[u8]) -> lambda_session::store::MemcachedStore {
    thread_local! {
        static SERVER: cache::Memcached = cache::Memcached::start(&[]);
    }
    let client = cache::client(cache::patient(&SERVER.with(cache::Memcached::name)));
    lambda_session::store::MemcachedStore::new(client, keyring(seeds))
}

impl Tested {
    fn create(&self, payload: &str) -> Token {
        wait(self.0.create(&record(payload), &call())).unwrap()
    }

    fn load(&self, token: &Token) -> Found {
        wait(self.0.load(token, &call())).unwrap()
    }

    fn live(&self, token: &Token) -> Loaded {
        match self.load(token) {
            Found::Live(loaded) => loaded,
            other => panic!("{other:?}"),
        }
    }

    fn payload(&self, token: &Token) -> String {
        String::from_utf8(self.live(token).record.payload().to_vec()).unwrap()
    }

    fn update(&self, token: &Token, seen: Version, payload: &str) -> Update {
        wait(self.0.update(token, seen, &record(payload), &call())).unwrap()
    }

    /// Ends the version that is there now; of what is not there, any.
    fn retire(&self, token: &Token) -> &'static str {
        let seen = match self.load(token) {
            Found::Live(loaded) => loaded.version,
            _ => Version::default(),
        };
        self.retire_version(token, seen)
    }

    fn retire_version(&self, token: &Token, seen: Version) -> &'static str {
        self.retire_for(token, seen, &self.create(r#"{"next":1}"#))
    }

    fn retire_for(&self, token: &Token, seen: Version, next: &Token) -> &'static str {
        match wait(self.0.retire(token, seen, next, &call())).unwrap() {
            Retired::Done => "retired",
            Retired::Conflict(_) => "conflict",
            Retired::Gone => "gone",
            _ => "unknown",
        }
    }

    fn delete(&self, token: &Token) {
        wait(self.0.delete(token, None, &call())).unwrap();
    }
}

fn found(found: &Found) -> &'static str {
    match found {
        Found::Live(_) => "live",
        Found::Retired => "retired",
        Found::Nothing => "nothing",
        _ => "unknown",
    }
}

fn updated(update: &Update) -> &'static str {
    match update {
        Update::Done(_) => "done",
        Update::Conflict(_) => "conflict",
        Update::Gone => "gone",
        _ => "unknown",
    }
}

/// One promise: its name, what a server-side store says, what a cookie store says, and how to ask.
type Promise = (&'static str, &'static str, &'static str, fn(&Tested) -> &'static str);

const PROMISES: &[Promise] = &[
    ("what was created is there, whole", "the same", "the same", |store| {
        let record = record(r#"{"a":1,"b":[{"c":"é"}]}"#);
        let token = wait(store.0.create(&record, &call())).unwrap();
        let loaded = store.live(&token);
        if loaded.record == record && !loaded.stale_key { "the same" } else { "another" }
    }),
    ("two sessions have two tokens", "two", "two", |store| {
        // In the cookie they may be equal where they hold the same: these do not.
        if store.create(r#"{"n":1}"#) == store.create(r#"{"n":2}"#) { "one" } else { "two" }
    }),
    ("times are kept to the second", "kept", "kept", |store| {
        let token = store.create("{}");
        advance(100);
        let next = store.live(&token).record.next(b"{}".to_vec(), clock()).unwrap();
        let Update::Done(token) = wait(store.0.update(&token, store.live(&token).version, &next, &call())).unwrap()
        else {
            return "not stored";
        };
        let kept = store.live(&token).record;
        if (kept.created(), kept.issued()) == (at(START), at(START + 100)) { "kept" } else { "changed" }
    }),
    // SL5
    ("a token that a client made up is nothing", "nothing", "nothing", |store| {
        found(&store.load(&Token::parse(b"AqJ3ABEiM0RVZneImaq7zN3u_8pKNkx4jHqas_maRKdhAYnQyES9").unwrap()))
    }),
    ("an update of a token that a client made up stores nothing", "gone", "done", |store| {
        let forged = Token::parse(b"AqJ3ABEiM0RVZneImaq7zN3u_8pKNkx4jHqas_maRKdhAYnQyES9").unwrap();
        updated(&store.update(&forged, Version::default(), "{}"))
    }),
    ("another cookie's token is nothing", "nothing", "nothing", |store| {
        let token = store.create("{}");
        found(&wait(store.0.load(&token, &call_at(clock(), "__Host-other", ""))).unwrap())
    }),
    ("another application's token is nothing", "nothing", "nothing", |store| {
        let token = store.create("{}");
        found(&wait(store.0.load(&token, &call_at(clock(), NAME, "other"))).unwrap())
    }),
    ("an update stores", "updated", "updated", |store| {
        let token = store.create(r#"{"a":1}"#);
        let Update::Done(token) = store.update(&token, store.live(&token).version, r#"{"a":2}"#) else { return "lost" };
        if store.payload(&token) == r#"{"a":2}"# { "updated" } else { "not updated" }
    }),
    // SL10
    ("an update of what was changed meanwhile is a conflict", "conflict", "done", |store| {
        let token = store.create(r#"{"a":1}"#);
        let seen = store.live(&token).version;
        store.update(&token, seen, r#"{"a":2}"#);
        updated(&store.update(&token, seen, r#"{"a":3}"#))
    }),
    ("a conflict brings what was stored", "theirs, and it can be updated", "no conflict", |store| {
        let token = store.create(r#"{"a":1}"#);
        let seen = store.live(&token).version;
        store.update(&token, seen, r#"{"a":2}"#);
        match store.update(&token, seen, r#"{"a":3}"#) {
            Update::Conflict(theirs) if theirs.record.payload() == br#"{"a":2}"# => {
                match updated(&store.update(&token, theirs.version, r#"{"a":3}"#)) {
                    "done" => "theirs, and it can be updated",
                    _ => "theirs",
                }
            }
            Update::Done(_) => "no conflict",
            _ => "something else",
        }
    }),
    // SL3
    ("what was deleted is nothing", "nothing", "live", |store| {
        let token = store.create("{}");
        store.delete(&token);
        found(&store.load(&token))
    }),
    ("deleting nothing is no error", "no error", "no error", |store| {
        let token = store.create("{}");
        store.delete(&token);
        store.delete(&token);
        store.delete(&Token::parse(b"AAAA").unwrap());
        "no error"
    }),
    // SL4
    ("what was deleted is never revived", "gone", "done", |store| {
        let token = store.create("{}");
        let seen = store.live(&token).version;
        store.delete(&token);
        updated(&store.update(&token, seen, r#"{"a":1}"#))
    }),
    ("a deleted token cannot be retired", "gone", "retired", |store| {
        let token = store.create("{}");
        store.delete(&token);
        store.retire(&token)
    }),
    // SL2
    ("a retired token is known as one", "retired", "live", |store| {
        let token = store.create("{}");
        store.retire(&token);
        found(&store.load(&token))
    }),
    ("a retired token is known for 10 s", "retired at 9 s, nothing at 10 s", "live", |store| {
        let token = store.create("{}");
        store.retire(&token);
        advance(9);
        let at_nine = store.load(&token);
        advance(1);
        match (at_nine, store.load(&token)) {
            (Found::Retired, Found::Nothing) => "retired at 9 s, nothing at 10 s",
            (Found::Live(_), Found::Live(_)) => "live",
            _ => "something else",
        }
    }),
    ("a retired token cannot be updated", "gone", "done", |store| {
        let token = store.create("{}");
        let seen = store.live(&token).version;
        store.retire(&token);
        updated(&store.update(&token, seen, r#"{"a":1}"#))
    }),
    ("a token is retired once", "gone", "retired", |store| {
        let token = store.create("{}");
        store.retire(&token);
        store.retire(&token)
    }),
    ("a token is retired only as it was loaded", "conflict", "retired", |store| {
        let token = store.create("{}");
        let seen = store.live(&token).version;
        store.update(&token, seen, r#"{"a":1}"#);
        store.retire_version(&token, seen)
    }),
    // Logout wins: also over a renewal that was through before it.
    ("who deletes a retired token ends what took its place", "nothing", "live", |store| {
        let (token, next) = (store.create("{}"), store.create(r#"{"n":1}"#));
        store.retire_for(&token, store.live(&token).version, &next);
        store.delete(&token);
        found(&store.load(&next))
    }),
    ("also by what was loaded before it was retired", "nothing", "live", |store| {
        let (token, next) = (store.create("{}"), store.create(r#"{"n":1}"#));
        let seen = store.live(&token).version;
        store.retire_for(&token, seen, &next);
        wait(store.0.delete(&token, Some(seen), &call())).unwrap();
        found(&store.load(&next))
    }),
    ("also through two renewals, and a retired token stays known as one", "nothing, retired", "live, live", |store| {
        let [token, next, last] = [r#"{"n":0}"#, r#"{"n":1}"#, r#"{"n":2}"#].map(|payload| store.create(payload));
        store.retire_for(&token, store.live(&token).version, &next);
        store.retire_for(&next, store.live(&next).version, &last);
        store.delete(&token);
        match (store.load(&last), store.load(&token)) {
            (Found::Nothing, Found::Retired) => "nothing, retired",
            (Found::Live(_), Found::Live(_)) => "live, live",
            _ => "something else",
        }
    }),
    ("a logout that takes as long as an invocation still ends what took its place", "nothing", "live", |store| {
        let (token, next) = (store.create("{}"), store.create(r#"{"n":1}"#));
        let seen = store.live(&token).version;
        store.retire_for(&token, seen, &next);
        advance(899);
        wait(store.0.delete(&token, Some(seen), &call())).unwrap();
        found(&store.load(&next))
    }),
    ("a delete wins over a change that came first", "nothing", "live", |store| {
        let token = store.create("{}");
        let seen = store.live(&token).version;
        store.update(&token, seen, r#"{"a":1}"#);
        wait(store.0.delete(&token, Some(seen), &call())).unwrap();
        found(&store.load(&token))
    }),
    ("what is not over is not forgotten", "live", "live", |store| {
        let token = store.create("{}");
        advance(30 * 60 - 1);
        found(&store.load(&token))
    }),
];

/// SL2, SL3, SL4, SL5, SL10: the contract, row by row, over every store of this crate.
#[test]
fn every_store_keeps_the_contract() {
    for (promise, server, cookie, ask) in PROMISES {
        for (name, store) in all(&[0]) {
            set_clock(START);
            let expected = if store.is_server() { server } else { cookie };
            assert_eq!(&ask(&Tested(store)), expected, "{name}: {promise}");
        }
    }
}

/// Rotation: what an old secret sealed opens, is marked as stale, and is sealed by today's at the next update; without
/// the old secret it is nothing.
#[test]
fn an_old_secret_opens_and_is_replaced() {
    for (name, store) in all(&[1]) {
        let old = Tested(store);
        let token = old.create(r#"{"a":1}"#);
        let both = Tested(old.0.rotated(&[2, 1], name));
        let loaded = both.live(&token);
        assert!(loaded.stale_key, "{name}");
        let Update::Done(fresh) = both.update(&token, loaded.version, r#"{"a":1}"#) else { panic!("{name}") };
        assert_eq!((both.live(&fresh).stale_key, both.payload(&fresh).as_str()), (false, r#"{"a":1}"#), "{name}");
        let new = Tested(both.0.rotated(&[2], name));
        assert_eq!((found(&new.load(&token)), found(&new.load(&fresh))), ("nothing", "live"), "{name}");
        assert_eq!(found(&old.load(&fresh)), "nothing", "{name}: an instance with a stale ring");
    }
}

/// What is over is swept out, so a process that lives long does not fill up.
#[test]
fn a_memory_store_does_not_grow_for_ever() {
    let store = MemoryStore::with_keyring(keyring(&[0]));
    let create = || wait(store.create(&record("{}"), &call())).unwrap();
    (0..1_000).for_each(|_| drop(create()));
    assert_eq!(store.len(), 1_000);
    advance(30 * 60 + 60);
    (0..256).for_each(|_| drop(create()));
    assert!(store.len() <= 256, "{}", store.len());
    assert!(!store.is_empty());
}

/// A store of one's own is asked with the request's time, lifetime, cookie name and scope.
#[tokio::test]
async fn a_call_carries_the_request_s_settings() {
    use std::sync::{Arc, Mutex};

    type Seen = (SystemTime, u64, String, String);

    #[derive(Clone, Default)]
    struct Listening(Arc<Mutex<Vec<Seen>>>);

    impl Listening {
        fn hear(&self, call: &Call) {
            let seen = (call.now(), call.lifetime().idle().as_secs(), call.cookie().into(), call.scope().into());
            self.0.lock().unwrap().push(seen);
        }
    }

    impl Store for Listening {
        async fn load(&self, _: &Token, call: &Call) -> Result<Found, lambda_session::Error> {
            self.hear(call);
            Ok(Found::Nothing)
        }
        async fn create(&self, _: &Record, call: &Call) -> Result<Token, lambda_session::Error> {
            self.hear(call);
            Ok(Token::parse(b"AAAA").unwrap())
        }
        async fn update(&self, _: &Token, _: Version, _: &Record, _: &Call) -> Result<Update, lambda_session::Error> {
            unreachable!("nothing is ever loaded")
        }
        async fn retire(&self, _: &Token, _: Version, _: &Token, _: &Call) -> Result<Retired, lambda_session::Error> {
            unreachable!("nothing is ever loaded")
        }
        async fn delete(&self, _: &Token, _: Option<Version>, _: &Call) -> Result<(), lambda_session::Error> {
            unreachable!("nothing is ever loaded")
        }
    }

    let store = Listening::default();
    let seconds = std::time::Duration::from_secs;
    let layer = layer(store.clone())
        .cookie(lambda_session::CookieOptions::builder().name("__Host-shop").build().unwrap())
        .lifetime(lambda_session::Lifetime::new(seconds(100), seconds(200)).unwrap())
        .scope("shop-test")
        .unwrap();
    send(&scripted(layer), "/set-a=1", &[b"__Host-shop=AAAA"]).await;
    let expected: Seen = (at(START), 100, "__Host-shop".into(), "shop-test".into());
    assert_eq!(*store.0.lock().unwrap(), [expected.clone(), expected]);
}
