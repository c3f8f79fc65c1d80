//! F6, F18: requests that are given up at every poll, and a million of them at once.

use std::{fs, time::Duration};

use tokio::{runtime::Builder, task::JoinSet};
use tower::ServiceExt;

use crate::{
    figure::Fault,
    shared::{cookie, request},
    support::{Memcached, client, patient, poll_times, run},
    visits::{app, enter},
};

const MEBIBYTE: usize = 1024 * 1024;

pub(crate) fn drops() -> Fault {
    const ROUNDS: usize = 10_000;
    run(async {
        let server = Memcached::start(&[]);
        let app = app(&client(patient(&server.name())));
        let (mut alice, mut bobby) = (enter(&app, "alice").await, enter(&app, "bobby").await);
        let token = cookie(&alice.token().unwrap());
        let (before, mut dropped, mut whole, mut wrong) = (sockets(), 0, 0, 0);
        let mut polls = 0;
        while dropped < ROUNDS {
            // At the first poll, the second, … until it ends by itself; then another kind of visit.
            let path = ["/count", "/read", "/note-one=1", "/enter-alice"][whole % 4];
            let visit = app.clone().oneshot(request(path, &[token.as_bytes()]));
            if poll_times(visit, polls).await.is_none() {
                (dropped, polls) = (dropped + 1, polls + 1);
            } else {
                (whole, polls) = (whole + 1, 0);
            }
            wrong += usize::from(bobby.visit("/read").await.body != "bobby 0");
        }
        let lost = !alice.visit("/read").await.body.starts_with("alice ");
        // What is closed is closed at once; the server needs a moment to see it.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        Fault::new(
            "a request is dropped at every poll",
            "at the first, the second, … 10,000 times; after each, another user's",
        )
        .at_least("requests dropped at each of their polls", 20, whole)
        .no_more("next answers not their own", 0, wrong + usize::from(lost))
        .no_more("sockets left", 0, sockets().saturating_sub(before))
        .no_more("connections left at the server", 1, server.connections())
        .no_more("tasks left", 0, tasks)
    })
}

/// How many sockets this process has.
fn sockets() -> usize {
    let links = fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
}

pub(crate) fn mixes() -> Fault {
    const SESSIONS: usize = 8;
    const TASKS: usize = 64;
    const REQUESTS: usize = 1_000_000;
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(async {
        let server = Memcached::start(&[]);
        let app = app(&client(patient(&server.name())));
        let mut users = Vec::new();
        for number in 0..SESSIONS {
            users.push(enter(&app, &format!("user-{number}")).await);
        }
        let (mut mixed, mut errors, mut conflicts, mut memory, mut lost) = (0, 0, 0, 0, 0);
        for requests in [REQUESTS / 20, REQUESTS] {
            memory = resident();
            let mut tasks = JoinSet::new();
            for task in 0..TASKS {
                let (mut browser, name) = (users[task % SESSIONS].clone(), format!("user-{} ", task % SESSIONS));
                tasks.spawn(async move {
                    let (mut mixed, mut errors, mut conflicts) = (0, 0, 0);
                    for number in 0..requests / TASKS {
                        let path =
                            if number % 8 == 0 { format!("/note-task-{task}={number}") } else { "/read".to_owned() };
                        let answer = browser.visit(&path).await;
                        mixed += usize::from(answer.status == 200 && !answer.body.starts_with(&name));
                        errors += usize::from(answer.status >= 500);
                        conflicts += usize::from(answer.status == 409);
                    }
                    while browser.visit(&format!("/note-task-{task}=last")).await.status == 409 {}
                    (mixed, errors, conflicts)
                });
            }
            while let Some(done) = tasks.join_next().await {
                let done = done.unwrap();
                (mixed, errors, conflicts) = (mixed + done.0, errors + done.1, conflicts + done.2);
            }
        }
        for task in 0..TASKS {
            let all = users[task % SESSIONS].visit("/all").await.body;
            lost += usize::from(!all.contains(&format!("\"task-{task}\":\"last\"")));
        }
        let growth = resident().saturating_sub(memory);
        Fault::new(
            "64 tasks at once on 8 sessions",
            "1,000,000 requests, every eighth writes a key of its task; 10 connections",
        )
        .no_more("mix-ups", 0, mixed)
        .no_more("answers of 5xx", 0, errors)
        .no_more("told that others were faster until the time was over (409)", 0, conflicts)
        .no_more("updates lost", 0, lost)
        .figure("resident memory grows by ≤ 10 MiB", format!("{:.1} MiB", growth as f64 / MEBIBYTE as f64), {
            growth <= 10 * MEBIBYTE
        })
    })
}

/// How much memory this process has, in bytes.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}
