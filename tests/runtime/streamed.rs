//! Answers in pieces: the head, with the cookie, leaves before the body is there.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body::Frame;
use lambda_session::{Error, Session, SessionLayer};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};
use tower::{ServiceBuilder, service_fn};

use crate::ROLE;
use crate::api::{Answering, Function, cookie, event};

const URL: &str = "abcdefghijklmnop.lambda-url.eu-west-1.on.aws";
const HTTP_API: &str = "abc.execute-api.eu-west-1.amazonaws.com";
const ROLE_HERE: &str = "in pieces";
const TEST: &str = "streamed::function_that_streams";
const ZEROS: &[u8] = &[0; 8];

/// What the tests start. As a test it does nothing.
#[test]
fn function_that_streams() {
    if std::env::var(ROLE).as_deref() != Ok(ROLE_HERE) {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        lambda_http::tracing::init_default_subscriber();
        let sessions = <SessionLayer>::from_env().await.unwrap();
        let go = Arc::new(Notify::new());
        let service = service_fn(move |request| answer(request, go.clone()));
        lambda_session::run_streaming(ServiceBuilder::new().layer(sessions).service(service)).await.unwrap();
    });
}

/// A body that somebody else fills.
struct Pieces(mpsc::Receiver<Result<Bytes, Broken>>);

#[derive(Debug)]
struct Broken;

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let piece = self.0.poll_recv(cx);
        assert!(!matches!(&piece, Poll::Ready(Some(Ok(data))) if data == "panic"), "as asked");
        piece.map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("table reports is gone")
    }
}

impl std::error::Error for Broken {}

async fn answer(request: Request<lambda_http::Body>, go: Arc<Notify>) -> Result<Response<Body>, Error> {
    let path = request.uri().path().to_owned();
    if path == "/go" {
        go.notify_one();
        return Ok(Response::new(Body::empty()));
    }
    let mut session: Session = Session::of(&request).await?;
    session.insert("magic", "xyzzy-plugh-7f3a")?;
    let held = if path == "/held" {
        Some(session)
    } else {
        drop(session);
        None
    };
    let (sender, receiver) = mpsc::channel(1);
    let deed = path.clone();
    tokio::spawn(async move {
        sender.send(Ok("first\n".into())).await.unwrap();
        match deed.as_str() {
            "/pieces" => {
                go.notified().await;
                sender.send(Ok("second\n".into())).await.unwrap();
            }
            "/late" => {
                let late: Result<Session, Error> = Session::of(&request).await;
                let said = late.map_or_else(|error| format!("{:?}: {error}\n", error.kind()), |_| "had it\n".into());
                sender.send(Ok(said.into())).await.unwrap();
            }
            "/panic" => sender.send(Ok("panic".into())).await.unwrap(),
            "/broken" => sender.send(Err(Broken)).await.unwrap(),
            _ => {}
        }
        drop(held);
    });
    if path == "/bare" {
        let response = Response::builder().header("x-latin", HeaderValue::from_bytes(b"caf\xe9").unwrap());
        return Ok(response.body(Body::new(Pieces(receiver))).unwrap());
    }
    let response = Response::builder()
        .header("content-type", "text/plain; charset=utf-8")
        .header("set-cookie", "theme=dark")
        .header("x-twice", "one")
        .header("x-twice", "two");
    Ok(response.body(Body::new(Pieces(receiver))).unwrap())
}

/// Reads a prelude, and checks how it was posted.
async fn prelude(answering: &mut Answering) -> (Value, Vec<u8>) {
    let head = answering.head().await;
    assert_eq!(head["lambda-runtime-function-response-mode"], "streaming");
    assert_eq!(head["content-type"], "application/vnd.awslambda.http-integration-response");
    let come = answering.until(ZEROS).await;
    let end = come.windows(ZEROS.len()).position(|window| window == ZEROS).unwrap();
    (serde_json::from_slice(&come[..end]).unwrap(), come[end + ZEROS.len()..].to_vec())
}

fn session_cookie(prelude: &Value) -> String {
    let lines = prelude["cookies"].as_array().unwrap();
    let line = lines.iter().map(|line| line.as_str().unwrap()).find(|line| line.starts_with("__Host-session="));
    line.unwrap().split(';').next().unwrap().to_owned()
}

/// The rest of the body comes only after another request has been served: by then the head and its cookie are with the
/// visitor, who can use it.
#[tokio::test]
async fn the_cookie_leaves_with_the_head() {
    let variables = [("AWS_LAMBDA_MAX_CONCURRENCY", "2"), ("RUST_LOG", "trace"), ("AWS_LAMBDA_LOG_LEVEL", "TRACE")];
    let function = Function::start(ROLE_HERE, TEST, &variables).await;
    let mut answering = function.send("one", &event(URL, "/pieces", &[]));
    let (prelude, mut body) = prelude(&mut answering).await;
    let mut expected = json!({
        "statusCode": 200,
        "headers": {
            "content-type": "text/plain; charset=utf-8", "x-twice": "one, two", "vary": "Cookie",
            "cache-control": "no-store"
        },
        "cookies": ["", "theme=dark"]
    });
    expected["cookies"][0] = prelude["cookies"][0].clone();
    assert_eq!(prelude, expected);
    let cookie = session_cookie(&prelude);
    let mut other = function.send("two", &event(URL, "/go", std::slice::from_ref(&cookie)));
    other.head().await;
    other.rest().await;
    body.extend(answering.rest().await);
    assert_eq!(String::from_utf8(body).unwrap(), "first\nsecond\n");

    // SL11: not even lambda_runtime writes the prelude into the log.
    let log = function.stop().await;
    assert!(log.contains("TRACE"), "the log is on: {log}");
    let token = cookie.split_once('=').unwrap().1;
    for secret in [token, "xyzzy-plugh-7f3a", "theme=dark"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

/// What is asked for or held too late is an error that says so, and never a session that is not saved.
#[tokio::test]
async fn a_session_after_the_head_is_a_clear_error() {
    let function = Function::start(ROLE_HERE, TEST, &[]).await;
    let mut answering = function.send("late", &event(URL, "/late", &[]));
    let (head, mut body) = prelude(&mut answering).await;
    assert_eq!(head["statusCode"], 200);
    body.extend(answering.rest().await);
    assert_eq!(
        String::from_utf8(body).unwrap(),
        "first\nEscaped: the handler has answered: ask for the session before, its cookie leaves with the head of the \
         answer\n"
    );

    let mut answering = function.send("held", &event(URL, "/held", &[]));
    let (head, mut body) = prelude(&mut answering).await;
    assert_eq!((&head["statusCode"], &head["cookies"]), (&json!(500), &json!([])));
    body.extend(answering.rest().await);
    assert_eq!(String::from_utf8(body).unwrap(), "internal server error\n");
    let log = function.stop().await;
    assert!(log.contains("a session outlived the handler it was given to"), "{log}");
}

/// A body that breaks off, or panics, does not look whole; why it broke is in the log and nowhere else.
#[tokio::test]
async fn a_body_that_breaks_off_does_not_look_whole() {
    let function = Function::start(ROLE_HERE, TEST, &[]).await;
    for path in ["/broken", "/panic"] {
        let mut answering = function.send("broken", &event(URL, path, &[]));
        let (_, mut body) = prelude(&mut answering).await;
        body.extend(answering.rest().await);
        let body = String::from_utf8(body).unwrap();
        let said = body.strip_prefix("first\nLambda-Runtime-Function-Error-Type: Runtime.StreamError\r\n");
        assert_eq!(said.map(|said| said.matches('\n').count()), Some(1), "{path}: once, and nothing more: {body}");
    }
    let log = function.stop().await;
    for cause in ["table reports is gone", "it panicked"] {
        assert_eq!(log.matches(&format!("the body of the answer ended early: {cause}")).count(), 1, "{log}");
    }
}

#[tokio::test]
async fn what_a_head_in_pieces_cannot_say_is_told_once_a_minute() {
    let function = Function::start(ROLE_HERE, TEST, &[]).await;
    for _ in 0..2 {
        let mut answering = function.send("bare", &event(URL, "/bare", &[]));
        let (head, _) = prelude(&mut answering).await;
        answering.rest().await;
        let headers =
            json!({"content-type": "application/octet-stream", "vary": "Cookie", "cache-control": "no-store"});
        assert_eq!(head["headers"], headers);
    }
    let log = function.stop().await;
    for words in ["the header x-latin of an answer in pieces is not ASCII", "an answer in pieces has no content type"] {
        assert_eq!(log.matches(words).count(), 1, "{log}");
    }
}

/// An HTTP API and a load balancer take no pieces: the same function answers them whole.
#[tokio::test]
async fn who_takes_no_pieces_is_answered_whole() {
    let function = Function::start(ROLE_HERE, TEST, &[]).await;
    let rest = |version: Option<&str>| {
        let mut event = json!({
            "resource": "/{proxy+}", "path": "/", "httpMethod": "GET", "headers": {"Host": HTTP_API},
            "multiValueHeaders": {"Host": [HTTP_API]}, "requestContext": {"stage": "prod", "domainName": HTTP_API},
            "body": null, "isBase64Encoded": false
        });
        if let Some(version) = version {
            event["version"] = version.into();
        }
        event
    };
    let balancer = json!({
        "requestContext": {"elb": {"targetGroupArn": "arn"}}, "httpMethod": "GET", "path": "/",
        "multiValueQueryStringParameters": {}, "multiValueHeaders": {"host": ["shop"]}, "body": "", "isBase64Encoded": false
    });
    for (name, event, streams) in [
        ("HTTP API", event(HTTP_API, "/", &[]), false),
        ("HTTP API, payload format 1.0", rest(Some("1.0")), false),
        ("load balancer", balancer, false),
        ("REST API", rest(None), true),
        ("function URL", event(URL, "/", &[]), true),
    ] {
        let mut answering = function.send(&name.replace([' ', ','], "-"), &event);
        let head = answering.head().await;
        assert_eq!(head.contains_key("lambda-runtime-function-response-mode"), streams, "{name}");
        let come = answering.rest().await;
        if streams {
            let text = String::from_utf8_lossy(&come).into_owned();
            assert!(text.ends_with("\0first\n") && text.contains("__Host-session="), "{name}: {text}");
        } else {
            let answer: Value = serde_json::from_slice(&come).unwrap();
            assert_eq!(answer["body"], "first\n", "{name}");
            assert!(answer.to_string().contains("__Host-session="), "{name}: {answer}");
        }
    }
    let mut answering = function.send("cookies", &event(HTTP_API, "/go", &[]));
    answering.head().await;
    assert_eq!(cookie(&serde_json::from_slice(&answering.rest().await).unwrap()), None);
}
