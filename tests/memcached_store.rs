//! Sessions in a real memcached where something is wrong: rings and clocks that differ, a node that hangs, answers that are lost.
//! What every store promises is in tests/store_contract.rs.
#![cfg(feature = "memcached")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects
)]

#[path = "memcached/support/mod.rs"]
#[allow(dead_code, unused_imports)]
mod cache;
mod support;

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use lambda_session::store::{Call, Found, MemcachedStore, MemoryStore, Store, Update, Version};
use lambda_session::{ErrorKind, Lifetime};
use support::*;

fn store(servers: &str, seeds: &[u8]) -> MemcachedStore {
    MemcachedStore::new(cache::client(cache::patient(servers)), keyring(seeds))
}

/// What the server says of all that it keeps.
fn dump(server: &cache::Memcached) -> String {
    let stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    (&stream).write_all(b"lru_crawler metadump all\r\n").unwrap();
    let lines = BufReader::new(stream).lines().map(Result::unwrap).take_while(|line| line != "END");
    lines.map(|line| line + "\n").collect()
}

/// What the server keeps: how many seconds each item has left, in their order.
fn seconds_left(server: &cache::Memcached) -> Vec<i64> {
    let dump = dump(server);
    let keys = dump.lines().filter_map(|line| line.strip_prefix("key=")?.split(' ').next());
    let mut left: Vec<_> = keys
        .map(|key| {
            let answer = server.tell(&format!("mg {} t\r\n", key.replace("%3A", ":")));
            answer.trim_end().strip_prefix("HD t").unwrap().parse().unwrap()
        })
        .collect();
    left.sort_unstable();
    left
}

/// F7: an environment that has not heard of a new secret cannot look: that is not "there is nothing", for then it would log
/// people out, lose what they saved, and take a renewal's trace away so that a logout does not find the new session.
#[test]
fn what_a_newer_secret_sealed_is_unavailable_and_not_gone() {
    cache::run(async {
        let server = cache::Memcached::start(&[]);
        let (old, new) = (store(&server.name(), &[1]), store(&server.name(), &[2, 1]));
        let unavailable = |error: lambda_session::Error| assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");

        let token = old.create(&record("{}"), &call()).await.unwrap();
        let Found::Live(loaded) = new.load(&token, &call()).await.unwrap() else { panic!("it opens") };
        let Update::Done(fresh) = new.update(&token, loaded.version, &record(r#"{"a":1}"#), &call()).await.unwrap()
        else {
            panic!("it is stored");
        };
        // The browser may still hold the old reference: another tab's answer was faster.
        unavailable(old.load(&token, &call()).await.unwrap_err());
        unavailable(old.update(&token, loaded.version, &record("{}"), &call()).await.unwrap_err());
        let next = old.create(&record("{}"), &call()).await.unwrap();
        unavailable(old.retire(&token, loaded.version, &next, &call()).await.unwrap_err());
        unavailable(old.delete(&token, Some(loaded.version), &call()).await.unwrap_err());
        assert!(matches!(new.load(&fresh, &call()).await.unwrap(), Found::Live(_)));

        // A logout by the old environment, of a session that the new one has renewed meanwhile.
        let token = old.create(&record("{}"), &call()).await.unwrap();
        let Found::Live(loaded) = old.load(&token, &call()).await.unwrap() else { panic!("it opens") };
        let next = new.create(&record("{}"), &call()).await.unwrap();
        new.retire(&token, loaded.version, &next, &call()).await.unwrap();
        unavailable(old.delete(&token, Some(loaded.version), &call()).await.unwrap_err());
        new.delete(&token, None, &call()).await.unwrap();
        assert!(
            matches!(new.load(&next, &call()).await.unwrap(), Found::Nothing),
            "tried again, it finds the successor"
        );
    });
}

/// F15: a session that is over by this environment's clock may live by another's: who logs it out ends it all the same.
#[test]
fn a_logout_by_a_wrong_clock_is_a_logout() {
    cache::run(async {
        let server = cache::Memcached::start(&[]);
        for (name, app) in
            [("memcached", app(store(&server.name(), &[0]))), ("memory", app(MemoryStore::with_keyring(keyring(&[0]))))]
        {
            for hour in [START - 3600, START + 1800 + 30] {
                set_clock(START);
                let line = cookie(&send(&app, "/set-user=alice", &[]).await.token().unwrap());
                set_clock(hour);
                let logout = send(&app, "/destroy", &[line.as_bytes()]).await;
                assert_eq!((logout.status, logout.sets()), (200, Sets::Removal), "{name}");
                set_clock(START);
                assert_eq!(send(&app, "/read", &[line.as_bytes()]).await.body, "{}", "{name}, {hour}");
            }
        }
    });
}

/// SL4: a logout that others are always faster than goes on for as long as it has time, and is then no success: 503, and the
/// browser keeps the cookie of a session that lives.
#[test]
fn a_logout_gives_up_only_when_its_time_is_over() {
    cache::run(async {
        // Whatever is to be deleted has another number already.
        let contended = cache::Script::start(|_, words| match words[0] {
            "version" => cache::say("VERSION 1.6.18\r\n"),
            "ms" => cache::say(format!("HD {}\r\n", cache::opaque(words))),
            "mg" => cache::say(format!("VA 1 c9 {}\r\nx\r\n", cache::opaque(words))),
            _ => cache::say(format!("EX {}\r\n", cache::opaque(words))),
        });
        // The call's end is what ends it here.
        let settings = cache::patient(&contended.name()).warm_time(Duration::from_secs(3_600));
        let store = MemcachedStore::new(cache::client(settings), keyring(&[0]));
        let token = store.create(&record("{}"), &call()).await.unwrap();
        let (began, time) = (Instant::now(), Duration::from_millis(500));
        let call = Call::new(clock(), began + time, Lifetime::default(), NAME, "");
        let error = store.delete(&token, Some(Version(1)), &call).await.unwrap_err();
        let took = began.elapsed();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        assert!(took > time.mul_f64(0.9) && took < 2 * time, "{took:?}: {error:?}");
    });
}

/// A login does not wait for a node that hangs: it is made on another one within the second, also where all are connected.
#[test]
fn a_new_session_goes_to_a_node_that_answers() {
    cache::run(async {
        let servers = [0; 3].map(|_| cache::Memcached::start(&[]));
        let names = servers.each_ref().map(cache::Memcached::name).join(",");
        let app = app(MemcachedStore::new(cache::client(cache::settings(&names)), keyring(&[0])));
        for _ in 0..30 {
            assert_eq!(send(&app, "/set-user=alice", &[]).await.status, 200);
        }
        servers[1].signal("-STOP");
        let began = Instant::now();
        for _ in 0..30 {
            assert_eq!(send(&app, "/set-user=alice", &[]).await.sets(), Sets::Cookie);
        }
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        servers[1].signal("-CONT");
    });
}

/// MC6: the server forgets a session a minute after its end, and a tombstone no sooner than an invocation can last.
#[test]
fn the_server_is_told_how_long_to_keep() {
    cache::run(async {
        let server = cache::Memcached::start(&[]);
        let store = store(&server.name(), &[0]);
        let left = |expected: &[i64]| {
            // A dump leaves out what is locked at the moment, as by the thread that orders items by their age.
            let all = (0..1000).map(|_| seconds_left(&server)).find(|left| left.len() == expected.len());
            let left = all.unwrap_or_else(|| panic!("the server does not show {} items", expected.len()));
            let close = left.iter().zip(expected).all(|(left, end)| (end - 5..=*end).contains(left));
            assert!(close, "{left:?} is not {expected:?}");
        };
        let token = store.create(&record("{}"), &call()).await.unwrap();
        left(&[1860]);
        // Eleven hours and fifty minutes on, ten minutes are left in all.
        let old = record("{}");
        advance(42_600);
        let Found::Live(loaded) = store.load(&token, &call()).await.unwrap() else { panic!("it is there") };
        store.update(&token, loaded.version, &old.next(b"{}".to_vec(), clock()).unwrap(), &call()).await.unwrap();
        left(&[660]);
        // What is read moves on by the idle time: how old it is in all is judged by the times inside the seal.
        let Found::Live(loaded) = store.load(&token, &call()).await.unwrap() else { panic!("it is there") };
        left(&[1860]);
        let next = store.create(&record("{}"), &call()).await.unwrap();
        store.retire(&token, loaded.version, &next, &call()).await.unwrap();
        left(&[960, 1860]);
        let short = lambda_session::Lifetime::new(Duration::from_secs(30), Duration::from_secs(60)).unwrap();
        let hasty = lambda_session::store::Call::new(clock(), Instant::now() + Duration::from_secs(5), short, NAME, "");
        assert!(matches!(store.load(&token, &hasty).await.unwrap(), Found::Retired));
        left(&[960, 1860]);
    });
}

/// MC2, MC5: a dump of the server shows neither an id nor anything of a session.
#[test]
fn a_dump_of_the_server_shows_nothing() {
    cache::run(async {
        let server = cache::Memcached::start(&[]);
        let token = store(&server.name(), &[0]).create(&record(r#"{"user":"alice"}"#), &call()).await.unwrap();
        let dump = dump(&server);
        let key = dump.split(['=', ' ']).nth(1).unwrap().replace("%3A", ":");
        let value = server.tell(&format!("mg {key} v\r\n"));
        assert!(value.starts_with("VA "), "{value:?}");
        for shown in [token.as_str(), &token.as_str()[4..20], "alice", "user"] {
            assert!(!dump.contains(shown) && !value.contains(shown), "{shown}");
        }
    });
}

/// MC7, F19: what does not fit is refused before the wire, says why, and leaves what is stored as it was.
#[test]
fn a_session_that_does_not_fit_changes_nothing() {
    cache::run(async {
        let server = cache::Memcached::start(&[]);
        let app = app(store(&server.name(), &[0]));
        let line = cookie(&send(&app, "/set-user=alice", &[]).await.token().unwrap());
        let (log, _guard) = Log::capture();
        let answer = send(&app, "/big-270000", &[line.as_bytes()]).await;
        assert_eq!(answer, refusal(500));
        let said = log.lines_with("does not fit the cache");
        assert!(said.len() == 1 && said[0].contains("largest keys: \"big\" 270"), "{said:?}");
        assert_eq!(send(&app, "/read", &[line.as_bytes()]).await.body, r#"{"user":"alice"}"#);
    });
}

/// MC3, CA11: whoever makes cookies up costs the cache nothing, and the log neither: no connection is opened, and no line is above
/// DEBUG.
#[test]
fn ten_thousand_forged_cookies_reach_no_node() {
    cache::run(async {
        let node = cache::Script::start(|_, _| cache::Say::Nothing);
        let app = app(store(&node.name(), &[0]));
        let genuine = other::refer(&secret_bytes(0), NAME, "", [7; 16], node.id().0);
        let genuine = URL_SAFE_NO_PAD.decode(genuine).unwrap();
        let (log, guard) = Log::capture();
        let mut random = 1_u64;
        let mut byte = move || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 56) as u8
        };
        for round in 0..10_000_usize {
            let mut forged = genuine.clone();
            match round % 5 {
                // One byte of it is wrong: format, key id, id, node or MAC.
                0 => forged[round / 5 % genuine.len()] ^= byte() | 1,
                // All but its format and key id.
                1 => forged[3..].fill_with(&mut byte),
                2 => forged.fill_with(&mut byte),
                3 => forged.truncate(round / 5 % genuine.len()),
                _ => forged.extend([byte()]),
            }
            let line = cookie(&URL_SAFE_NO_PAD.encode(&forged));
            let (path, sets) = [
                ("/read", Sets::Nothing),
                ("/untouched", Sets::Nothing),
                ("/renew", Sets::Nothing),
                ("/destroy", Sets::Removal),
            ][round / 5 % 4];
            let answer = send(&app, path, &[line.as_bytes()]).await;
            assert_eq!((answer.status, answer.sets()), (200, sets), "{path}, {line}");
        }
        drop(guard);
        assert_eq!(node.accepted(), 0);
        assert!(log.text().lines().count() > 1_000, "the log was on");
        let loud: Vec<_> = log.text().lines().filter(|line| !line.contains("DEBUG")).map(str::to_owned).collect();
        assert!(loud.is_empty(), "{loud:?}");
    });
}
