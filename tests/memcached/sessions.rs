//! What a user of the application sees: whole requests, with their sessions in a real memcached.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use lambda_session::keyring::Keyring;
use lambda_session::secrets::{Keys, Secrets};
use lambda_session::store::MemcachedStore;
use lambda_session::{Error, ErrorKind, SessionLayer, Values};
use tower::ServiceExt;

use crate::{
    shared::{Answer, Browser, Sets, cookie, keyring, layer, refusal, request, scripted, send},
    support::{Hands, Harm, Memcached, Proxy, client, key, minute, patient, poll_times, run, settings, soon},
    visits::{Held, app, enter, node_of, sessions},
};

/// Scenario 14, F19.
#[test]
fn a_session_that_outgrows_the_cache_is_an_error_and_the_stored_one_stays() {
    run(async {
        let server = Memcached::start(&[]);
        let client = client(patient(&server.name()));
        let mut alice = enter(&app(&client), "alice").await;
        assert_eq!(alice.visit("/big-300000").await, refusal(500));
        let again = alice.visit("/read").await;
        assert_eq!((again.status, again.body.as_str(), again.sets()), (200, "alice 0", Sets::Nothing));
    });
}

/// Scenario 17, F14: by flush and by eviction.
#[test]
fn a_session_that_the_cache_forgot_is_a_new_one_and_no_error() {
    run(async {
        let server = Memcached::start(&["-m", "2"]);
        let client = client(patient(&server.name()));
        let app = app(&client);
        for forgetting in ["flush", "eviction"] {
            let mut alice = enter(&app, "alice").await;
            if forgetting == "flush" {
                assert_eq!(server.tell("flush_all\r\n"), "OK\r\n");
            } else {
                // Of every size about the session's, so that they are after its place, for which a megabyte has room 6,898 times.
                for number in 0..30_000 {
                    let (key, size) = (key(&format!("fill-{number}")), 60 + number % 3 * 20);
                    client.add(server.id(), &key, &vec![b'x'; size], minute(), soon()).await.unwrap();
                }
            }
            let read = alice.visit("/read").await;
            assert_eq!((read.status, read.body.as_str(), read.sets()), (200, " 0", Sets::Nothing), "{forgetting}");
            let entered = alice.visit("/enter-alice").await;
            assert_eq!((entered.status, entered.sets()), (200, Sets::Cookie), "{forgetting}");
            assert_eq!(alice.visit("/count").await.body, "alice 1", "{forgetting}");
        }
    });
}

/// Scenario 18: CAS numbers begin anew with a node, and so may meet a number that was loaded before.
#[test]
fn a_request_that_a_restart_overtakes_writes_onto_nothing() {
    run(async {
        let mut server = Memcached::start(&[]);
        let client = client(patient(&server.name()));
        let app = app(&client);
        let alice = enter(&app, "alice").await;
        let held = Held::begin(&app, &alice.token().unwrap(), "/count").await;
        server.restart();
        // As many sessions as it takes for the numbers to meet.
        let mut others = Vec::new();
        for number in 0..5 {
            others.push(enter(&app, &format!("bobby-{number}")).await);
        }
        let answer = held.finish().await;
        assert_eq!((answer.status, answer.sets()), (200, Sets::Nothing), "its session is gone, and stays so");
        assert_eq!(Browser::visit(&mut alice.clone(), "/read").await.body, " 0", "revived");
        for (number, other) in others.iter_mut().enumerate() {
            assert_eq!(other.visit("/read").await.body, format!("bobby-{number} 0"));
        }
        assert_eq!(server.items(), 5);
    });
}

/// Scenario 19: both loaded before either saved; nothing of either is lost.
#[test]
fn of_two_saves_at_once_both_are_kept() {
    run(async {
        let server = Memcached::start(&[]);
        let client = client(patient(&server.name()));
        let app = app(&client);
        let mut alice = enter(&app, "alice").await;
        for round in 0..50 {
            let token = alice.token().unwrap();
            let one = Held::begin(&app, &token, &format!("/note-one={round}")).await;
            let other = Held::begin(&app, &token, &format!("/note-other={round}")).await;
            let (first, second) = if round % 2 == 0 { (one, other) } else { (other, one) };
            assert_eq!((first.finish().await.status, second.finish().await.status), (200, 200));
            assert_eq!(alice.visit("/notes").await.body, format!("{round} {round}"), "an update was lost");
        }
    });
}

/// Scenario 19: whichever of a save and a logout is first, and whichever loaded first: afterwards nobody is logged in.
#[test]
fn of_a_save_and_a_logout_the_logout_wins() {
    run(async {
        let server = Memcached::start(&[]);
        let client = client(patient(&server.name()));
        let app = app(&client);
        for round in 0..60 {
            let alice = enter(&app, "alice").await;
            let token = alice.token().unwrap();
            let (save, logout) = (Held::begin(&app, &token, "/count"), Held::begin(&app, &token, "/leave"));
            let (save, logout) = tokio::join!(save, logout);
            let what = format!("round {round}");
            match round % 3 {
                0 => {
                    assert_eq!(save.finish().await.status, 200, "{what}");
                    assert_eq!(logout.finish().await.sets(), Sets::Removal, "{what}");
                }
                1 => {
                    assert_eq!(logout.finish().await.sets(), Sets::Removal, "{what}");
                    assert_ne!(save.finish().await.sets(), Sets::Cookie, "{what}");
                }
                _ => {
                    let (save, logout) = tokio::join!(save.finish(), logout.finish());
                    assert_eq!((save.status, logout.sets()), (200, Sets::Removal), "{what}");
                }
            }
            assert_eq!(Browser::visit(&mut alice.clone(), "/read").await.body, " 0", "{what}: revived");
            assert_eq!(server.items(), 0, "{what}");
        }
    });
}

/// Scenario 26: a logout that the node did not confirm is no success, and no other node takes the session over.
#[test]
fn a_logout_at_a_hung_node_is_reported_as_failed() {
    run(async {
        let servers = [Memcached::start(&[]), Memcached::start(&[])];
        let hands = Hands::new();
        let servers_named = servers.each_ref().map(Memcached::name).join(",");
        let client = client(settings(&servers_named).clock(hands.clock()));
        let app = app(&client);
        let mut alice = enter(&app, "alice").await;
        let token = alice.token().unwrap();
        let (own, other) = if node_of(&token) == servers[0].id() { (0, 1) } else { (1, 0) };
        servers[own].signal("-STOP");
        assert_eq!(alice.visit("/leave").await, refusal(503));
        assert_eq!(alice.visit("/count").await, refusal(503));
        assert_eq!(alice.visit("/static").await.status, 200, "who needs no session is served");
        assert_eq!(alice.token().as_ref(), Some(&token), "the browser keeps its cookie");
        assert_eq!(servers[other].items(), 0, "the session was moved");
        servers[own].signal("-CONT");
        hands.forward(Duration::from_secs(2));
        // The node may have carried out what it had received; it has no more than that.
        let body = alice.visit("/read").await.body;
        assert!(["alice 0", " 0"].contains(&body.as_str()), "{body}");
        assert_eq!(alice.visit("/leave").await.status, 200);
        let mut copy = alice.clone().with_cookie(crate::shared::NAME, &token);
        assert_eq!(copy.visit("/read").await.body, " 0", "it lives on");
    });
}

/// F5, scenario 11, in small (`make faults` does it 100,000 times): answers that belong to somebody else give nobody a
/// foreign session, and nobody an empty one.
#[test]
fn answers_that_are_swapped_between_two_users_are_nobodys_session() {
    run(async {
        let server = Memcached::start(&[]);
        let proxy = Proxy::start(server.port, |_| Harm::None);
        let app = app(&client(patient(&proxy.name()).probe_interval(Duration::ZERO)));
        let (mut alice, mut bobby) = (enter(&app, "alice").await, enter(&app, "bobby").await);
        proxy.plan(|_| Harm::Twist);
        proxy.close_connections();
        let mut right = 0;
        for round in 0..500 {
            let path = if round % 3 == 0 { "/note-one=1" } else { "/read" };
            let (one, other) = tokio::join!(alice.visit(path), bobby.visit(path));
            for (answer, own) in [(one, "alice 0"), (other, "bobby 0")] {
                if answer.status == 200 {
                    assert_eq!(answer.body, own, "round {round}");
                    right += 1;
                } else {
                    assert_eq!(answer, refusal(503), "round {round}");
                }
            }
        }
        assert!(right > 10, "{right} of 1,000 were answered");
    });
}

/// F6, scenario 1, in small (`make faults` does it 10,000 times): a request that is given up at any poll.
#[test]
fn a_request_dropped_at_any_poll_leaves_the_next_one_its_own_session() {
    run(async {
        let server = Memcached::start(&[]);
        let app = app(&client(patient(&server.name())));
        let (mut alice, mut bobby) = (enter(&app, "alice").await, enter(&app, "bobby").await);
        let token = cookie(&alice.token().unwrap());
        let (mut dropped, mut polls) = (0, 0);
        while dropped < 500 {
            let visit = app.clone().oneshot(request("/count", &[token.as_bytes()]));
            match poll_times(visit, polls).await {
                Some(answer) => {
                    assert!(Answer::of(answer.unwrap()).body.starts_with("alice "));
                    polls = 0;
                }
                None => (dropped, polls) = (dropped + 1, polls + 1),
            }
            assert_eq!(bobby.visit("/read").await.body, "bobby 0");
        }
        assert!(alice.visit("/read").await.body.starts_with("alice "));
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(server.connections() <= 1, "{} connections are left", server.connections());
    });
}

/// A ring as SSM gives it; without any, a source that does not answer.
#[derive(Clone, Default)]
struct Source(Arc<Mutex<Option<Keyring>>>);

impl Secrets for Source {
    async fn fetch(&self) -> Result<Keyring, Error> {
        self.0.lock().unwrap().clone().ok_or_else(|| Error::new(ErrorKind::Unavailable, "as the test wants it"))
    }
}

/// SS9: a key leaked and is revoked. What it sealed is over, not unavailable for as long as the browser asks, though the
/// reference is of a key that is still there: a refreshed ring knows that nobody has the other. Where the ring may lack a key, as when its
/// source is down or when it stays, that session is unavailable.
#[test]
fn a_session_whose_value_a_revoked_key_sealed_is_over() {
    run(async {
        let server = Memcached::start(&[]);
        let client = client(patient(&server.name()));
        let over = |keys: Keys| scripted(SessionLayer::<Values>::new(MemcachedStore::new(client.clone(), keys)));
        for (name, ring, expected) in [
            ("revoked", Some([2, 0]), 200),
            ("the source is down", None, 503),
            ("a ring that stays", Some([2, 0]), 503),
        ] {
            let first = send(&over(keyring(&[0]).into()), "/set-a=1", &[]).await;
            let old = cookie(&first.token().unwrap());
            // Rotated; the answer to this one never reaches the browser.
            let lost = send(&over(keyring(&[1, 0]).into()), "/set-b=2", &[old.as_bytes()]).await;
            assert_eq!(lost.sets(), Sets::Cookie);
            let after = if expected == 503 && ring.is_some() {
                over(keyring(&[2, 0]).into())
            } else {
                let source = Source(Arc::new(Mutex::new(Some(keyring(&[2, 0])))));
                let keys = Keys::refreshed_at(source.clone(), SystemTime::now(), |_| Ok(())).await.unwrap();
                *source.0.lock().unwrap() = ring.map(|seeds| keyring(&seeds));
                over(keys)
            };
            for path in ["/read", "/destroy"] {
                assert_eq!(send(&after, path, &[old.as_bytes()]).await.status, expected, "{name}: {path}");
            }
        }
    });
}

/// All of a request's questions share 250 ms on open connections: what the load took the save does not have.
#[test]
fn a_slow_load_leaves_a_save_the_rest_of_the_request_s_time() {
    run(async {
        let server = Memcached::start(&[]);
        let proxy = Proxy::start(server.port, |_| Harm::None);
        let alice = enter(&app(&client(settings(&proxy.name()))), "alice").await;
        for is_slow in [false, true] {
            let app = app(&client(settings(&proxy.name())));
            assert_eq!(alice.at(app.clone()).visit("/read").await.status, 200);
            if is_slow {
                // Of the 100 ms that an exchange may take.
                proxy.delay(Duration::from_millis(70));
            }
            let began = Instant::now();
            let held = Held::begin(&app, &alice.token().unwrap(), "/count").await;
            let loaded = began.elapsed();
            assert_eq!(loaded > Duration::from_millis(50), is_slow, "{loaded:?}");
            server.signal("-STOP");
            let saving = Instant::now();
            assert_eq!(held.finish().await.status, 503);
            let store = loaded + saving.elapsed();
            let expected = Duration::from_millis(150)..Duration::from_millis(350);
            assert!(expected.contains(&store), "{store:?}, {loaded:?} of it for the load");
            server.signal("-CONT");
            proxy.delay(Duration::ZERO);
        }
    });
}

/// A renewal whose first try arrives late, and is then told of itself that it was too late, has still renewed the session.
#[test]
fn a_renewal_that_meets_its_own_first_try_is_done() {
    run(async {
        let server = Memcached::start(&[]);
        let proxy = Proxy::start(server.port, |number| if number == 0 { Harm::LateWrite } else { Harm::None });
        let app = scripted(layer(sessions(&client(patient(&proxy.name())))));
        let old = cookie(&send(&app, "/set-a=1", &[]).await.token().unwrap());
        let renewed = send(&app, "/renew/read", &[old.as_bytes()]).await;
        assert_eq!((renewed.status, renewed.body.as_str(), renewed.sets()), (200, r#"{"a":"1"}"#, Sets::Cookie));
        assert_eq!(proxy.accepted(), 2, "the first try's connection broke");
        let new = cookie(&renewed.token().unwrap());
        assert_eq!(send(&app, "/read", &[new.as_bytes()]).await.body, r#"{"a":"1"}"#);
        assert_eq!(send(&app, "/read", &[old.as_bytes()]).await.body, "{}");
    });
}
