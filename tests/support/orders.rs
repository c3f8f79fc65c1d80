//! Two requests of one session in every order in which their questions can reach the store.
#![allow(dead_code, unreachable_pub)]

use std::{collections::BTreeSet, future::Future, pin::Pin, task::Poll};

use lambda_session::store::{Found, MemoryStore, Store};
use lambda_session::{Error, Token};
use tower::ServiceExt;

use crate::support::*;

/// An application on a store that waits before every question until it is its request's turn.
pub type Make<'a> = &'a dyn Fn(ScriptedStore<MemoryStore>) -> App;

/// Two requests that carry one cookie.
pub struct Meeting<'a> {
    /// Whom each of them asks.
    pub apps: [Make<'a>; 2],
    /// What their session holds.
    pub session: &'a str,
    /// How many seconds ago it was saved.
    pub age: u64,
    pub paths: [&'a str; 2],
}

/// How one order of two requests came out.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Who stepped, in order.
    pub order: String,
    pub answers: [Answer; 2],
    /// What the cookie that both requests carried stands for afterwards.
    pub old: String,
    /// What the cookie of each answer stands for afterwards; `-` where it set none.
    pub new: [String; 2],
    /// How many records are kept.
    pub kept: usize,
}

impl Outcome {
    /// The place in the order of this request's step of that number, counted from 1.
    pub fn step(&self, who: char, count: usize) -> Option<usize> {
        self.order.match_indices(who).nth(count - 1).map(|(place, _)| place)
    }
}

type Answering = Pin<Box<dyn Future<Output = Result<http::Response<String>, Error>> + Send>>;

impl Meeting<'_> {
    pub async fn in_every_order(&self) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let mut schedules: Vec<Vec<bool>> = vec![Vec::new()];
        while let Some(schedule) = schedules.pop() {
            let (outcome, taken) = self.in_order(&schedule).await;
            schedules.extend(further(&schedule, &taken));
            outcomes.push(outcome);
        }
        let orders: BTreeSet<_> = outcomes.iter().map(|outcome| outcome.order.clone()).collect();
        assert_eq!(orders.len(), outcomes.len(), "every order once");
        outcomes
    }

    /// Runs them in the order that this schedule begins with; returns the choices that there were.
    async fn in_order(&self, schedule: &[bool]) -> (Outcome, Vec<bool>) {
        set_clock(START);
        let memory = MemoryStore::with_keyring(keyring(&[0]));
        let line = cookie(memory.create(&record(self.session), &call()).await.unwrap().as_str());
        advance(self.age);
        let mut answering: [Option<Answering>; 2] = [0, 1].map(|who| {
            let app = self.apps[who](ScriptedStore::always(memory.clone(), Turn::Wait));
            Some(Box::pin(app.oneshot(request(self.paths[who], &[line.as_bytes()]))) as Answering)
        });
        let mut answers = [None, None];
        let (mut taken, mut order) = (Vec::new(), String::new());
        loop {
            let second = match (&answering[0], &answering[1]) {
                (None, None) => break,
                (Some(_), None) => false,
                (None, Some(_)) => true,
                (Some(_), Some(_)) => {
                    let second = schedule.get(taken.len()).copied().unwrap_or(false);
                    taken.push(second);
                    second
                }
            };
            order.push(if second { '2' } else { '1' });
            let place = usize::from(second);
            if let Some(future) = &mut answering[place]
                && let Poll::Ready(answer) = step(future.as_mut())
            {
                answers[place] = Some(Answer::of(answer.unwrap()));
                answering[place] = None;
            }
        }
        let answers = answers.map(Option::unwrap);
        let mut new = ["-".to_owned(), "-".to_owned()];
        for (new, answer) in new.iter_mut().zip(&answers) {
            if let Some(token) = answer.token() {
                *new = if token.is_empty() { "removed".into() } else { stands_for(&memory, &cookie(&token)) };
            }
        }
        let outcome = Outcome { order, answers, old: stands_for(&memory, &line), new, kept: memory.len() };
        (outcome, taken)
    }
}

/// The stored text behind a cookie, to the digit; `{}` where it stands for nothing.
fn stands_for(store: &MemoryStore, line: &str) -> String {
    let token = Token::parse(line.split_once('=').unwrap().1.as_bytes()).unwrap();
    match ready(store.load(&token, &call())).unwrap() {
        Found::Live(loaded) => String::from_utf8(loaded.record.payload().to_vec()).unwrap(),
        _ => "{}".to_owned(),
    }
}
