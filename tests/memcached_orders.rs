//! Two requests change one session at once, in every order in which their *commands* can reach a real memcached
//! (security.md, SL2, SL4, SL10; memcached.md, scenario 19).
//!
//! tests/conflict.rs does the same for the questions to a store; here a question may be several commands, and another
//! request's may come between them. Each request has a gate of its own in front of the server, which lets one command and its
//! answer through when the schedule says so. All schedules are run, so nothing here depends on luck.
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

use std::{collections::BTreeSet, future::Future, io, net::SocketAddr, pin::Pin, sync::Arc};

use lambda_session::memcached::Resolve;
use lambda_session::store::MemcachedStore;
use lambda_session::{Conflict, Values};
use support::*;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    task::LocalSet,
};

/// How one order of two requests came out.
#[derive(Clone, Debug, PartialEq)]
struct Outcome {
    /// Whose command was let through, in order.
    order: String,
    answers: [Answer; 2],
    /// What the cookie that both requests carried stands for afterwards.
    old: String,
    /// What the cookie of each answer stands for afterwards; `-` where it set none.
    new: [String; 2],
}

impl Outcome {
    /// The place in the order of this request's command of that number, counted from 1.
    fn step(&self, who: char, count: usize) -> Option<usize> {
        self.order.match_indices(who).nth(count - 1).map(|(place, _)| place)
    }
}

/// What a request tells the schedule.
enum Word {
    /// A command waits at its gate.
    Waits(usize),
    /// Its answer is here.
    Answered(usize, Answer),
}

/// Runs two requests of one session in every order.
fn every_order(policy: Conflict, session: &str, age: u64, one: &'static str, two: &'static str) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    cache::run(LocalSet::new().run_until(async {
        let server = cache::Memcached::start(&[]);
        let mut schedules: Vec<Vec<bool>> = vec![Vec::new()];
        while let Some(schedule) = schedules.pop() {
            let (outcome, taken) = in_order(&server, policy, session, age, [one, two], &schedule).await;
            schedules.extend(further(&schedule, &taken));
            outcomes.push(outcome);
        }
    }));
    let orders: BTreeSet<_> = outcomes.iter().map(|outcome| outcome.order.clone()).collect();
    assert_eq!(orders.len(), outcomes.len(), "every order once");
    outcomes
}

/// Runs them in the order that this schedule begins with; returns the choices that there were.
async fn in_order(
    server: &cache::Memcached,
    policy: Conflict,
    session: &str,
    age: u64,
    paths: [&'static str; 2],
    schedule: &[bool],
) -> (Outcome, Vec<bool>) {
    set_clock(START);
    let (words, mut said) = mpsc::unbounded_channel();
    let mut gates = Vec::new();
    let mut stores = Vec::new();
    for who in 0..2 {
        let gate = Arc::new(Semaphore::new(0));
        let port = open_gate(who, server.port, gate.clone(), words.clone()).await;
        stores.push(store_at(port, &server.name()));
        gates.push(gate);
    }
    let plain = app(store_at(server.port, &server.name()));
    let line = cookie(&send(&plain, session, &[]).await.token().unwrap());
    advance(age);
    for (who, store) in stores.into_iter().enumerate() {
        let (line, path, words) = (line.clone(), paths[who], words.clone());
        let gated = scripted(layer::<Values>(store).on_conflict(policy));
        tokio::task::spawn_local(async move {
            let answer = send(&gated, path, &[line.as_bytes()]).await;
            let _ = words.send(Word::Answered(who, answer));
        });
    }
    let (mut waits, mut answers) = ([false; 2], [None, None]);
    let (mut taken, mut order) = (Vec::new(), String::new());
    loop {
        // Nobody goes on before both stand at their gate or have their answer.
        while (0..2).any(|who| !waits[who] && answers[who].is_none()) {
            match said.recv().await.unwrap() {
                Word::Waits(who) => waits[who] = true,
                Word::Answered(who, answer) => answers[who] = Some(answer),
            }
        }
        let second = match waits {
            [false, false] => break,
            [true, false] => false,
            [false, true] => true,
            [true, true] => {
                let second = schedule.get(taken.len()).copied().unwrap_or(false);
                taken.push(second);
                second
            }
        };
        order.push(if second { '2' } else { '1' });
        waits[usize::from(second)] = false;
        gates[usize::from(second)].add_permits(1);
    }
    let answers = answers.map(Option::unwrap);
    let old = send(&plain, "/read", &[line.as_bytes()]).await.body;
    let mut new = ["-".to_owned(), "-".to_owned()];
    for (new, answer) in new.iter_mut().zip(&answers) {
        if answer.sets() == Sets::Cookie {
            *new = send(&plain, "/read", &[cookie(&answer.token().unwrap()).as_bytes()]).await.body;
        }
    }
    (Outcome { order, answers, old, new }, taken)
}

/// A store whose client reaches the one node `name` at this port: a reference means the same to each of them.
fn store_at(port: u16, name: &str) -> MemcachedStore {
    MemcachedStore::new(cache::client(cache::patient(name).resolver(Arc::new(At(port)))), keyring(&[0]))
}

struct At(u16);

impl Resolve for At {
    fn resolve<'a>(
        &'a self,
        _: &'a str,
        _: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>> {
        Box::pin(async { Ok(vec![SocketAddr::from(([127, 0, 0, 1], self.0))]) })
    }
}

/// A listener that passes one command at a time on to the server, each when the gate has a permit for it.
async fn open_gate(who: usize, server: u16, gate: Arc<Semaphore>, words: mpsc::UnboundedSender<Word>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::task::spawn_local(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
            let (gate, words) = (gate.clone(), words.clone());
            tokio::task::spawn_local(async move {
                let (mut client, mut server) = (BufReader::new(client), BufReader::new(server));
                while let Some(command) = message(&mut client, "ms", 2).await {
                    // Greeting a new connection is no command of a session.
                    if !command.starts_with(b"version") {
                        words.send(Word::Waits(who)).unwrap();
                        gate.acquire().await.unwrap().forget();
                    }
                    server.get_mut().write_all(&command).await.unwrap();
                    let Some(reply) = message(&mut server, "VA", 1).await else { return };
                    if client.get_mut().write_all(&reply).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

/// A line, and the data block behind it where its first word says that there is one; its size is the word at that place.
async fn message(from: &mut BufReader<TcpStream>, with_data: &str, place: usize) -> Option<Vec<u8>> {
    let mut message = Vec::new();
    if from.read_until(b'\n', &mut message).await.ok()? == 0 {
        return None;
    }
    let line = String::from_utf8(message.clone()).unwrap();
    let words: Vec<_> = line.split_ascii_whitespace().collect();
    if words.first() == Some(&with_data) {
        let mut data = vec![0; words[place].parse::<usize>().unwrap() + 2];
        from.read_exact(&mut data).await.ok()?;
        message.extend(data);
    }
    Some(message)
}

/// SL10: changes to different keys are both kept.
#[test]
fn two_saves_lose_nothing() {
    let outcomes = every_order(Conflict::Merge, "/set-user=alice", 0, "/set-a=1", "/set-b=2");
    for outcome in &outcomes {
        assert_eq!(outcome.old, r#"{"a":"1","b":"2","user":"alice"}"#, "{}", outcome.order);
        assert!(outcome.answers.iter().all(|answer| answer.status == 200), "{}", outcome.order);
    }
    assert!(outcomes.len() > 4, "{}", outcomes.len());
}

/// SL3, SL4: after a logout the session is dead in every order, whatever else was under way.
#[test]
fn a_logout_wins_over_every_write() {
    for other in ["/set-a=1", "/read", "/destroy"] {
        // 200 s old: a session that is only read is written anew.
        for outcome in every_order(Conflict::Merge, "/set-user=alice", 200, "/destroy", other) {
            let order = format!("{other}, {}", outcome.order);
            assert_eq!((outcome.answers[0].sets(), outcome.old.as_str()), (Sets::Removal, "{}"), "{order}");
            assert!(!outcome.new[1].contains("alice"), "{order}: {:?}", outcome.new);
        }
    }
}

/// SL2, SL3: a logout that found the session ends what a renewal made of it, in every order.
#[test]
fn a_logout_wins_over_a_login_that_is_under_way() {
    let mut after = 0;
    for login in ["/renew", "/renew/set-role=admin"] {
        for outcome in every_order(Conflict::Merge, "/set-user=alice", 0, "/destroy", login) {
            let order = format!("{login}, {}", outcome.order);
            assert_eq!((outcome.answers[0].sets(), outcome.old.as_str()), (Sets::Removal, "{}"), "{order}");
            if outcome.new[1].contains("alice") {
                // The login's third command ends the old id, the logout's first asks for it.
                assert!(outcome.step('1', 1) > outcome.step('2', 3), "{order}: the logout found a session");
                after += 1;
            }
        }
    }
    assert!(after > 0, "the exception that DESIGN.md names exists");
}

/// SL2, SL4: a write that overlaps a renewal never revives the old id, and what it saved is not lost unsaid.
#[test]
fn a_renewal_and_a_save_leave_one_session() {
    for other in ["/set-a=1", "/read"] {
        for outcome in every_order(Conflict::Merge, "/set-user=alice", 200, "/renew", other) {
            let order = format!("{other}, {}", outcome.order);
            assert_eq!(outcome.old, "{}", "{order}");
            assert!(outcome.new[0].contains("alice"), "{order}: {:?}", outcome.new);
            let was_saved = other == "/set-a=1" && outcome.answers[1].sets() == Sets::Cookie;
            // The renewal's third command ends the old id; the write's second is the write.
            if was_saved && outcome.step('2', 2) < outcome.step('1', 3) {
                assert!(outcome.new[0].contains(r#""a":"1""#), "{order}: {:?}", outcome.new);
            }
        }
    }
}

/// SL2: two renewals at once leave one session.
#[test]
fn two_renewals_leave_one_session() {
    for outcome in every_order(Conflict::Merge, "/set-user=alice", 0, "/renew", "/renew") {
        let alive = outcome.new.iter().filter(|new| new.contains("alice")).count();
        assert_eq!((alive, outcome.old.as_str()), (1, "{}"), "{}: {:?}", outcome.order, outcome.new);
    }
}
