//! One event after another: where it is not a Managed Instance.

use axum::{Router, routing::get};
use lambda_http::Context;
use lambda_session::SessionLayer;
use serde_json::Value;

use crate::ROLE;
use crate::api::{Function, event};

const DOMAIN: &str = "abc.execute-api.eu-west-1.amazonaws.com";
const ROLE_HERE: &str = "one after another";
const TEST: &str = "turns::function_that_tells_its_trace_id";

/// What the tests start. As a test it does nothing.
#[test]
fn function_that_tells_its_trace_id() {
    if std::env::var(ROLE).as_deref() != Ok(ROLE_HERE) {
        return;
    }
    let tell = |request: axum::extract::Request| async move {
        let context = request.extensions().get::<Context>().and_then(|context| context.xray_trace_id.clone());
        format!("{context:?} {:?}", std::env::var("_X_AMZN_TRACE_ID").ok())
    };
    let app = Router::new().route("/", get(tell)).route(
        "/panic",
        get(async || {
            if std::env::args().count() > 0 {
                panic!("as asked")
            }
        }),
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ended = runtime.block_on(async {
        lambda_http::tracing::init_default_subscriber();
        let sessions = <SessionLayer>::from_env().await?;
        lambda_session::run(app.layer(sessions)).await
    });
    eprintln!("ended: {:?}", ended.unwrap_err());
}

async fn told(function: &Function, id: &str) -> String {
    let answer: Value = function.ask(id, &event(DOMAIN, "/", &[])).await;
    answer["body"].as_str().unwrap().to_owned()
}

/// glibc keeps every value that a variable ever had, so the variable that AWS SDKs read is set where that is asked for alone.
#[tokio::test]
async fn a_trace_id_is_in_the_context_and_in_a_variable_only_if_that_is_asked_for() {
    for (setting, is_set) in [(None, false), (Some("off"), false), (Some("on"), true)] {
        let variables: Vec<_> = setting.map(|setting| ("SESSION_TRACE_ENV", setting)).into_iter().collect();
        let function = Function::start(ROLE_HERE, TEST, &variables).await;
        for id in ["one", "two"] {
            let trace = format!("Root=1-{id}");
            let variable = is_set.then_some(&trace);
            assert_eq!(told(&function, id).await, format!("{:?} {variable:?}", Some(&trace)), "{setting:?}");
        }
    }
}

/// Lambda tells by it whether an answer is to the invocation that is under way.
#[tokio::test]
async fn an_answer_and_an_error_bear_the_invocation_s_id() {
    for (path, kind) in [("/", None), ("/panic", Some("unhandled"))] {
        let function = Function::start(ROLE_HERE, TEST, &[]).await;
        let mut answering = function.send("one", &event(DOMAIN, path, &[]));
        let head = answering.head().await;
        let says = |name: &str| head.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(says("lambda-runtime-invocation-id"), Some("invocation-one"), "{path}");
        assert_eq!(says("lambda-runtime-function-error-type"), kind, "{path}");
        let answer: Value = serde_json::from_slice(&answering.rest().await).unwrap();
        assert_eq!(answer["errorMessage"].as_str(), kind.map(|_| "Lambda panicked: as asked"), "{answer}");
    }
}

/// An answer that Lambda takes no more is a line in the log, and the next event is served.
#[tokio::test]
async fn an_answer_that_comes_too_late_ends_nothing() {
    let function = Function::start(ROLE_HERE, TEST, &[]).await;
    for id in ["late", "one"] {
        assert_eq!(told(&function, id).await, format!(r#"Some("Root=1-{id}") None"#));
    }
    let log = function.stop().await;
    assert_eq!(log.matches("Lambda took no answer").count(), 1, "{log}");
}

#[tokio::test]
async fn a_setting_that_is_neither_on_nor_off_ends_the_start() {
    let function = Function::start(ROLE_HERE, TEST, &[("SESSION_TRACE_ENV", "yes")]).await;
    let log = function.ended().await;
    assert!(log.contains(r#"ended: SESSION_TRACE_ENV is "yes": give on or off"#), "{log}");
}

/// Emulators answer 204 where there is nothing to do.
#[tokio::test]
async fn a_poll_that_brings_no_event_is_followed_by_another() {
    let function = Function::start(ROLE_HERE, TEST, &[]).await;
    function.send_nothing();
    assert_eq!(told(&function, "one").await, r#"Some("Root=1-one") None"#);
}

/// An environment whose runtime API is gone is over, and says so.
#[tokio::test]
async fn a_runtime_api_that_is_gone_is_an_error() {
    let function = Function::start(ROLE_HERE, TEST, &[]).await;
    told(&function, "one").await;
    function.hang_up();
    let log = function.ended().await;
    assert!(log.contains("ended: the Lambda runtime ended: "), "{log}");
}
