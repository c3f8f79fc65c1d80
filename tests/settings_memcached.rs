//! `SESSION_STORE=memcached`: every variable, every wrong value with its exact line (issue 3, "Where it connects").
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
    net::TcpListener,
    sync::Arc,
    time::{Duration, Instant},
};

use http::Response;
use lambda_session::config::{Settings, StoreKind};
use lambda_session::memcached::{Client, Key, Settings as Cache};
use lambda_session::{Conflict, Error, ErrorKind, Session, Values};
use support::{Sets, keyring, scripted, send, with_handler};
use tokio::{sync::Barrier, task::LocalSet};

fn read(variables: &[(&str, &str)]) -> Result<Settings, Error> {
    let mut variables: Vec<(String, String)> =
        variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    variables.push(("SESSION_STORE".into(), "memcached".into()));
    Settings::read(&move |name: &str| variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()))
}

#[test]
fn on_a_developer_s_machine_it_is_the_one_on_localhost() {
    let settings = read(&[]).unwrap();
    assert_eq!((settings.store(), settings.conflict()), (StoreKind::Memcached, Conflict::Merge));
    assert_eq!(format!("{:?}", settings.memcached().unwrap()), r#"Client(["localhost:11211"])"#);
    assert_eq!(settings.warnings(), &[] as &[String]);
}

/// On Lambda nothing listens on localhost: the operator hears so at start, not at the first login.
#[test]
fn on_lambda_the_servers_must_be_named() {
    let on_lambda = ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001");
    let error = read(&[on_lambda]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(
        error.to_string(),
        "MEMCACHE_SERVERS is not set, and there is no memcached beside a Lambda function: give the cluster's configuration \
         endpoint or its nodes, as host:port"
    );
    assert!(read(&[on_lambda, ("MEMCACHE_SERVERS", "shop.abc.cfg.euw1.cache.amazonaws.com:11211")]).is_ok());
}

#[test]
fn every_wrong_value_is_named_with_the_way_out() {
    let directory = tempfile::tempdir().unwrap();
    let no_pem = directory.path().join("ca.pem");
    std::fs::write(&no_pem, "no certificate").unwrap();
    let long = "p".repeat(201);
    for (variables, expected) in [
        (vec![("MEMCACHE_SERVERS", "cache:99999")], r#"MEMCACHE_SERVERS: cache server "cache:99999" is not host:port"#),
        (vec![("MEMCACHE_SERVERS", "a,,b")], r#"MEMCACHE_SERVERS: cache server "" is not host:port"#),
        (vec![("MEMCACHE_SERVERS", "a,a:11211")], "MEMCACHE_SERVERS: cache server a:11211 is named twice"),
        (
            vec![("MEMCACHE_SERVERS", "a.cfg.b,c")],
            "MEMCACHE_SERVERS: a configuration endpoint must be the only cache server",
        ),
        (vec![("MEMCACHE_POOL_SIZE", "0")], r#"MEMCACHE_POOL_SIZE is "0": give 1 to 1000"#),
        (vec![("MEMCACHE_POOL_SIZE", "ten")], r#"MEMCACHE_POOL_SIZE is "ten": give 1 to 1000"#),
        (vec![("MEMCACHE_MAX_VALUE", "1MB")], r#"MEMCACHE_MAX_VALUE is "1MB": give 1024 to 1000000"#),
        (vec![("MEMCACHE_MAX_VALUE", "1000001")], r#"MEMCACHE_MAX_VALUE is "1000001": give 1024 to 1000000"#),
        (vec![("MEMCACHE_TIMEOUT", "9ms")], r#"MEMCACHE_TIMEOUT is "9ms": give 20ms to 5s"#),
        (vec![("MEMCACHE_TIMEOUT", "31s")], r#"MEMCACHE_TIMEOUT is "31s": give 20ms to 5s"#),
        (vec![("MEMCACHE_TIMEOUT", "-1ms")], r#"MEMCACHE_TIMEOUT is "-1ms": give 20ms to 5s"#),
        (vec![("MEMCACHE_TLS", "yes")], r#"MEMCACHE_TLS is "yes": give on or off"#),
        (
            vec![("MEMCACHE_TLS", "on"), ("MEMCACHE_TLS_CA", "/none/ca.pem")],
            r#"MEMCACHE_TLS_CA: cannot read "/none/ca.pem""#,
        ),
        (
            vec![("MEMCACHE_TLS_CA", "/none/ca.pem")],
            "MEMCACHE_TLS_CA is set, and TLS is not on: add MEMCACHE_TLS=on, or take it out",
        ),
        (
            vec![("MEMCACHE_SERVERS", "shop-abc.serverless.euw1.cache.amazonaws.com:11211"), ("MEMCACHE_TLS", "off")],
            "MEMCACHE_TLS is off, and ElastiCache Serverless speaks TLS only: take MEMCACHE_TLS out",
        ),
        (
            vec![("MEMCACHE_PREFIX", "a b")],
            r#"MEMCACHE_PREFIX: "a b" is no prefix of storage keys: give 1 to 200 characters of A-Z a-z 0-9 : _ -"#,
        ),
        (vec![("MEMCACHE_PREFIX", long.as_str())], "MEMCACHE_PREFIX: \"ppppppp"),
        (vec![("SESSION_CONFLICT", "last")], r#"SESSION_CONFLICT is "last": give merge or fail or overwrite"#),
        (vec![("MEMCACHE_TLS", "on"), ("MEMCACHE_TLS_CA", no_pem.to_str().unwrap())], "MEMCACHE_TLS_CA: "),
    ] {
        let error = read(&variables).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{variables:?}");
        assert!(error.to_string().starts_with(expected), "{variables:?}: {error}");
    }
}

/// A session goes there and back by the settings alone; prefix, limit and time-out are those that were given.
#[test]
fn the_settings_make_the_store() {
    cache::run(async {
        let server = cache::Memcached::start(&[]);
        let layer = |more: &[(&str, &str)]| {
            let name = server.name();
            let variables: Vec<_> = [("MEMCACHE_SERVERS", name.as_str()), ("MEMCACHE_PREFIX", "shop")]
                .into_iter()
                .chain(more.iter().copied())
                .collect();
            read(&variables).unwrap().layer::<Values>(keyring(&[0])).unwrap()
        };
        let app = scripted(layer(&[]));
        let first = send(&app, "/set-a=1", &[]).await;
        assert_eq!((first.status, first.sets()), (200, Sets::Cookie));
        let line = support::cookie(&first.token().unwrap());
        assert_eq!(send(&app, "/read", &[line.as_bytes()]).await.body, r#"{"a":"1"}"#);
        assert!(server.tell("lru_crawler metadump all\r\n").contains("key=shop%3A"), "the prefix");

        let small = scripted(layer(&[("MEMCACHE_MAX_VALUE", "1024")]));
        assert_eq!(send(&small, "/big-2000", &[]).await.status, 500);

        let quick = scripted(layer(&[("MEMCACHE_TIMEOUT", "20ms")]));
        assert_eq!(send(&quick, "/read", &[line.as_bytes()]).await.status, 200);
        server.signal("-STOP");
        let began = Instant::now();
        assert_eq!(send(&quick, "/read", &[line.as_bytes()]).await.status, 503);
        // By default it would be 100 ms for the exchange and the rest of 250 ms for another connection.
        assert!(began.elapsed() < Duration::from_millis(90), "{:?}", began.elapsed());
        server.signal("-CONT");
    });
}

/// What an operator sets is what happens: no more connections than that at once, and the policy for two requests at once.
#[test]
fn pool_size_and_conflict_policy_are_those_that_were_given() {
    cache::run(LocalSet::new().run_until(async {
        let server = cache::Memcached::start(&[]);
        let name = server.name();
        let app = |more: (&str, &str)| {
            scripted(read(&[("MEMCACHE_SERVERS", &name), more]).unwrap().layer::<Values>(keyring(&[0])).unwrap())
        };
        for (size, expected) in [("1", 1), ("3", 3)] {
            let before = server.stat("total_connections");
            let app = app(("MEMCACHE_POOL_SIZE", size));
            let visits: Vec<_> = (0..32)
                .map(|_| {
                    let app = app.clone();
                    tokio::task::spawn_local(async move { send(&app, "/set-a=1", &[]).await.status })
                })
                .collect();
            for visit in visits {
                assert_eq!(visit.await.unwrap(), 200);
            }
            assert_eq!(server.stat("total_connections") - before - 1, expected, "pool of {size}");
        }
        let (first, second, both) = (r#"{"a":"1"}"#, r#"{"a":"0","b":"2"}"#, r#"{"a":"1","b":"2"}"#);
        for (policy, status, kept) in
            [("merge", 200, [both; 2]), ("fail", 409, [first, second]), ("overwrite", 200, [first, second])]
        {
            let variables = [("MEMCACHE_SERVERS", name.as_str()), ("SESSION_CONFLICT", policy)];
            let layer = || read(&variables).unwrap().layer::<Values>(keyring(&[0])).unwrap();
            let plain = scripted(layer());
            let line = support::cookie(&send(&plain, "/set-a=0", &[]).await.token().unwrap());
            // Both have loaded the session before either saves it.
            let both_loaded = Arc::new(Barrier::new(2));
            let meeting = with_handler(layer(), move |request| {
                let both_loaded = both_loaded.clone();
                async move {
                    let mut session: Session = Session::of(&request).await?;
                    both_loaded.wait().await;
                    let (key, value) = request.uri().path()[1..].split_once('=').unwrap();
                    session.insert(key, value)?;
                    Ok(Response::new(String::new()))
                }
            });
            let cookies = [line.as_bytes()];
            let (one, other) = tokio::join!(send(&meeting, "/a=1", &cookies), send(&meeting, "/b=2", &cookies));
            let mut statuses = [one.status, other.status];
            statuses.sort_unstable();
            assert_eq!(statuses, [200, status], "{policy}");
            let body = send(&plain, "/read", &cookies).await.body;
            assert!(kept.contains(&body.as_str()), "{policy}: {body}");
        }
    }));
}

/// After how many operations without success a node counts as down, told by what the client itself reports of it.
fn operations_until_down(listener: &TcpListener, change: impl FnOnce(Cache) -> Cache) -> u32 {
    cache::run(async {
        let servers = listener.local_addr().unwrap().to_string();
        let client = Client::new(change(Cache::new(&servers).unwrap())).unwrap();
        let deadline = || Instant::now() + Duration::from_secs(5);
        let node = client.nodes(deadline()).await.unwrap()[0].id;
        let key = Key::new("k").unwrap();
        for count in 1..10 {
            client.get(node, &key, deadline()).await.unwrap_err();
            if client.nodes(deadline()).await.unwrap()[0].is_down {
                return count;
            }
        }
        panic!("it is never down");
    })
}

/// The breaker of a node opens after one time-out or two refusals; both are settings.
#[test]
fn a_node_is_down_after_as_many_failures_as_are_set() {
    // The kernel takes connections, and nobody reads them.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let brief = |settings: Cache| settings.dial_time(Duration::from_millis(60));
    assert_eq!(operations_until_down(&silent, brief), 1);
    assert_eq!(operations_until_down(&silent, |settings| brief(settings).down_after_time_outs(3)), 3);
    // Whoever connects is sent away.
    let rude = TcpListener::bind("127.0.0.1:0").unwrap();
    let door = rude.try_clone().unwrap();
    std::thread::spawn(move || door.incoming().for_each(drop));
    let patient = |settings: Cache| settings.dial_time(Duration::from_secs(5)).cold_time(Duration::from_secs(5));
    assert_eq!(operations_until_down(&rude, patient), 2);
    assert_eq!(operations_until_down(&rude, |settings| patient(settings).down_after_refusals(4)), 4);
}
