//! What an operator sees of the cache: round trips, time-outs, breaker, told with the request that met them.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use lambda_session::metrics::{Metrics, StoreEvents};
use serde_json::{Value, json};

use crate::{
    shared::{App, layer},
    support::{Memcached, client, patient, run, settings},
    visits::{app_over, enter, sessions},
};

/// What was told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<String>>);

impl Told {
    /// The application over sessions in this cache, counted.
    fn app(&self, settings: lambda_session::memcached::Settings) -> App {
        let told = self.clone();
        let metrics = Metrics::emf_to("shop", move |lines| told.0.lock().unwrap().push_str(lines));
        app_over(layer(sessions(&client(settings.observer(Arc::new(StoreEvents))))).metrics(metrics))
    }

    /// The last line, without what every line has; how long the store took is a number of milliseconds.
    fn last(&self) -> Value {
        let told = std::mem::take(&mut *self.0.lock().unwrap());
        let mut line: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
        let members = line.as_object_mut().unwrap();
        for name in ["_aws", "FunctionName", "Session"] {
            members.remove(name);
        }
        if let Some(time) = members.remove("StoreTime") {
            assert!(time.as_f64().unwrap() > 0.0);
        }
        line
    }
}

/// SL4: the figures of README's table, as an operator sees them.
#[test]
fn round_trips_are_counted_for_the_request_that_made_them() {
    run(async {
        let server = Memcached::start(&[]);
        let told = Told::default();
        let app = told.app(patient(&server.name()));
        let mut alice = enter(&app, "alice").await;
        assert_eq!(told.last(), json!({"Restored": 0, "Created": 1, "CookieBytes": 66, "StoreRoundTrips": 1}));
        for (path, expected) in [
            ("/read", json!({"Restored": 1, "StoreRoundTrips": 1})),
            ("/count", json!({"Restored": 1, "CookieBytes": 66, "StoreRoundTrips": 2})),
            ("/leave", json!({"Restored": 1, "Destroyed": 1, "StoreRoundTrips": 2})),
        ] {
            alice.visit(path).await;
            assert_eq!(told.last(), expected, "{path}");
        }
        // Forged: no question is asked.
        let mut eve = alice.with_cookie("__Host-session", "AqJ3ABEiM0RVZneImaq7zN3u_8pKNkx4jHqas_maRKdhAYnQyES9");
        eve.visit("/read").await;
        assert_eq!(told.last(), json!({"Restored": 0, "Refused": 1, "Reason": "forged"}));
    });
}

/// Two requests at once on one connection pool: each has its own counts.
#[test]
fn requests_at_once_are_counted_apart() {
    run(async {
        let server = Memcached::start(&[]);
        let told = Told::default();
        let app = told.app(patient(&server.name()));
        let (mut alice, mut bob) = (enter(&app, "alice").await, enter(&app, "bob").await);
        told.last();
        for _ in 0..50 {
            let (read, counted) = (alice.visit("/read"), bob.visit("/count"));
            tokio::join!(read, counted);
            let lines = std::mem::take(&mut *told.0.lock().unwrap());
            let mut trips: Vec<u64> = lines
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap()["StoreRoundTrips"].as_u64().unwrap())
                .collect();
            trips.sort_unstable();
            assert_eq!(trips, [1, 2]);
        }
    });
}

/// A node that is silent: time-outs and what was done about them, and in the end the breaker.
#[test]
fn a_silent_node_is_seen_as_time_outs_and_an_open_breaker() {
    run(async {
        let server = Memcached::start(&[]);
        let told = Told::default();
        let short = Duration::from_millis(40);
        let app = told.app(settings(&server.name()).exchange_time(short).dial_time(short).cold_time(short * 4));
        let mut alice = enter(&app, "alice").await;
        told.last();
        server.signal("-STOP");
        let (mut timeouts, mut breaker, mut discarded) = (0, 0, 0);
        for _ in 0..50 {
            assert_eq!(alice.visit("/read").await.status, 503);
            let line = told.last();
            assert_eq!((&line["Unavailable"], &line["Restored"]), (&json!(1), &json!(0)));
            timeouts += line["StoreTimeouts"].as_u64().unwrap_or(0);
            discarded += line["StoreDiscarded"].as_u64().unwrap_or(0);
            breaker += line["BreakerOpen"].as_u64().unwrap_or(0);
            if breaker > 0 {
                break;
            }
        }
        server.signal("-CONT");
        assert!(timeouts > 0 && discarded > 0, "{timeouts} time-outs, {discarded} connections closed");
        assert_eq!(breaker, 1);
    });
}
