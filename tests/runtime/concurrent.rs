//! Several events at once: Lambda Managed Instances.

use std::{collections::BTreeSet, sync::Arc};

use axum::{Router, extract::Path, routing::get};
use lambda_session::{Error, Session, SessionLayer};
use serde_json::Value;
use tokio::sync::Barrier;

use crate::ROLE;
use crate::api::{Function, cookie, event};

const DOMAIN: &str = "abc.execute-api.eu-west-1.amazonaws.com";
const ROLE_HERE: &str = "several at once";
const TEST: &str = "concurrent::function_that_serves_several";
/// How many events at once, and how many browsers of how many visits.
const AT_ONCE: usize = 4;
const BROWSERS: usize = 40;
const VISITS: usize = 25;

/// What the tests start. As a test it does nothing.
#[test]
fn function_that_serves_several() {
    if std::env::var(ROLE).as_deref() != Ok(ROLE_HERE) {
        return;
    }
    let all = Arc::new(Barrier::new(AT_ONCE));
    let meet = |ends: fn() -> &'static str| {
        let all = all.clone();
        move || async move {
            all.wait().await;
            ends()
        }
    };
    let app = Router::new()
        .route("/meet", get(meet(|| "met")))
        .route("/panic", get(meet(|| panic!("as asked"))))
        .route("/say/{word}", get(|Path(word): Path<String>| async move { word }))
        .route("/count/{who}", get(count));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(AT_ONCE).enable_all().build().unwrap();
    runtime.block_on(async {
        lambda_http::tracing::init_default_subscriber();
        let sessions = <SessionLayer>::from_env().await.unwrap();
        lambda_session::run(app.layer(sessions)).await.unwrap();
    });
}

/// Counts the visits of a browser, and says whose session it was given.
async fn count(Path(who): Path<String>, mut session: Session) -> Result<String, Error> {
    let owner = session.get::<String>("who").unwrap_or(who);
    let visits = session.get::<usize>("visits").unwrap_or(0) + 1;
    session.insert("visits", visits)?;
    let answer = format!("{owner} {visits}");
    // Others are served while this session is held.
    tokio::task::yield_now().await;
    session.insert("who", owner)?;
    Ok(answer)
}

fn body(answer: &Value) -> &str {
    answer["body"].as_str().unwrap()
}

/// Each of these events is answered only once all of them are in work.
#[tokio::test]
async fn a_managed_instance_serves_as_many_at_once_as_it_is_told() {
    let function = Function::start(ROLE_HERE, TEST, &[("AWS_LAMBDA_MAX_CONCURRENCY", "4")]).await;
    let ids: Vec<String> = (0..AT_ONCE).map(|id| id.to_string()).collect();
    let mut answering: Vec<_> = ids.iter().map(|id| function.send(id, &event(DOMAIN, "/meet", &[]))).collect();
    for answering in &mut answering {
        answering.head().await;
        let answer: Value = serde_json::from_slice(&answering.rest().await).unwrap();
        assert_eq!(body(&answer), "met");
    }
    assert_eq!(function.most_in_work(), AT_ONCE);
}

/// AR2: the others that are in work meanwhile are answered, and as many at once are served as before.
#[tokio::test]
async fn a_panic_is_an_error_of_its_own_request_alone() {
    let function = Function::start(ROLE_HERE, TEST, &[("AWS_LAMBDA_MAX_CONCURRENCY", "4")]).await;
    for round in 0..3 {
        let paths = ["/meet", "/panic", "/meet", "/meet"];
        let mut answering: Vec<_> = (0..AT_ONCE)
            .map(|place| function.send(&format!("{round}-{place}"), &event(DOMAIN, paths[place], &[])))
            .collect();
        for (answering, path) in answering.iter_mut().zip(paths) {
            answering.head().await;
            let answer: Value = serde_json::from_slice(&answering.rest().await).unwrap();
            match path {
                "/panic" => assert_eq!(answer["errorMessage"], "Lambda panicked: as asked", "{answer}"),
                _ => assert_eq!(body(&answer), "met"),
            }
        }
    }
}

/// AR8: forty browsers at four at once, in every store that needs no server: nobody is given another's session.
#[tokio::test]
async fn sessions_do_not_mix_where_requests_are_served_at_once() {
    for store in ["cookie", "memory"] {
        let variables = [("AWS_LAMBDA_MAX_CONCURRENCY", "4"), ("SESSION_STORE", store)];
        let function = Arc::new(Function::start(ROLE_HERE, TEST, &variables).await);
        let browsers: Vec<_> = (0..BROWSERS)
            .map(|browser| {
                let function = function.clone();
                tokio::spawn(async move {
                    let mut jar = Vec::new();
                    for visit in 1..=VISITS {
                        let id = format!("{browser}-{visit}");
                        let answer = function.ask(&id, &event(DOMAIN, &format!("/count/b{browser}"), &jar)).await;
                        assert_eq!(body(&answer), format!("b{browser} {visit}"));
                        jar = cookie(&answer).map_or(jar, |cookie| vec![cookie]);
                    }
                })
            })
            .collect();
        for browser in browsers {
            browser.await.unwrap();
        }
        assert_eq!(function.most_in_work(), AT_ONCE, "{store}");
    }
}

/// Lambda may deliver one event twice; two payloads under one request id are each answered as what they are.
#[tokio::test]
async fn one_request_id_twice_at_once_is_two_requests() {
    let function = Function::start(ROLE_HERE, TEST, &[("AWS_LAMBDA_MAX_CONCURRENCY", "4")]).await;
    let words: BTreeSet<String> = (0..200).map(|word| format!("w{word}")).collect();
    let mut answering: Vec<_> =
        words.iter().map(|word| function.send("twice", &event(DOMAIN, &format!("/say/{word}"), &[]))).collect();
    let mut said = BTreeSet::new();
    for answering in &mut answering {
        answering.head().await;
        let answer: Value = serde_json::from_slice(&answering.rest().await).unwrap();
        said.insert(body(&answer).to_owned());
    }
    assert_eq!(said, words);
}

/// The same binary elsewhere: one event at a time, and nothing is said of it.
#[tokio::test]
async fn elsewhere_it_serves_one_at_a_time() {
    for variables in [&[][..], &[("AWS_LAMBDA_MAX_CONCURRENCY", "1")]] {
        let function = Function::start(ROLE_HERE, TEST, variables).await;
        let mut answering: Vec<_> = ["one", "two", "three"]
            .map(|word| function.send(word, &event(DOMAIN, &format!("/say/{word}"), &[])))
            .into();
        for answering in &mut answering {
            answering.head().await;
            answering.rest().await;
        }
        assert_eq!(function.most_in_work(), 1);
        let log = function.stop().await;
        assert!(!log.contains("WARN"), "{log}");
    }
}
