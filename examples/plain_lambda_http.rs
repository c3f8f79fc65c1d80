//! The posts controller of `src/bin/bootstrap.rs` as a plain lambda_http handler, without axum.
//!
//! ```sh
//! cargo build --example plain_lambda_http
//! lambda-session invoke --bootstrap target/debug/examples/plain_lambda_http events/http-api-*.json
//! ```

use std::time::SystemTime;

use lambda_http::{Body, Request, RequestPayloadExt, Response, service_fn, tower::Layer, tracing};
use lambda_session::{Error, Session, SessionLayer};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let sessions = <SessionLayer>::from_env().await?;
    lambda_session::run(sessions.layer(service_fn(handle))).await
}

async fn handle(request: Request) -> Result<Response<Body>, Error> {
    match (request.method().as_str(), request.uri().path()) {
        ("GET", "/posts") => list(&request).await,
        ("POST", "/posts") => create(&request).await,
        ("GET", "/") => index(&request).await,
        ("POST", "/login") => login(&request).await,
        ("POST", "/logout") => logout(&request).await,
        ("GET", "/health") => Ok(Response::new("ok".into())),
        _ => Ok(answer(404, &json!({ "error": "not found" }))),
    }
}

async fn list(request: &Request) -> Result<Response<Body>, Error> {
    let session: Session = Session::of(request).await?;
    Ok(answer(200, &json!(*session)))
}

async fn create(request: &Request) -> Result<Response<Body>, Error> {
    let members: Map<String, Value> = match request.body().as_ref() {
        b"" => Map::new(),
        sent => match serde_json::from_slice(sent) {
            Ok(members) if is_flat(&members) => members,
            _ => {
                let error = "send a JSON object of at most 60 levels, or nothing";
                return Ok(answer(400, &json!({ "error": error })));
            }
        },
    };
    if members.contains_key("user") || members.contains_key("current_time") {
        return Ok(answer(400, &json!({ "error": "user and current_time are not yours to set" })));
    }
    let mut session: Session = Session::of(request).await?;
    session.extend(members);
    session.insert("current_time", OffsetDateTime::from(SystemTime::now()).format(&Rfc3339).unwrap_or_default())?;
    Ok(answer(200, &json!({ "message": "set some data in the session" })))
}

/// Whether a session can hold it: it nests at most 64 levels deep.
fn is_flat(members: &Map<String, Value>) -> bool {
    fn depth(value: &Value) -> usize {
        match value {
            Value::Array(values) => values.iter().map(depth).max().unwrap_or(0).saturating_add(1),
            Value::Object(members) => members.values().map(depth).max().unwrap_or(0).saturating_add(1),
            _ => 0,
        }
    }
    members.values().all(|value| depth(value) < 60)
}

#[derive(Deserialize)]
struct Login {
    user: String,
}

/// Checks no password: it shows where one would be checked.
async fn login(request: &Request) -> Result<Response<Body>, Error> {
    // Reads JSON or a form, by its content type.
    let sent: Option<Login> = request.payload().ok().flatten();
    let Some(Login { user }) = sent.filter(|login| (1..=64).contains(&login.user.chars().count())) else {
        return Ok(answer(400, &json!({ "error": "send a user of 1 to 64 characters" })));
    };
    let mut session: Session = Session::of(request).await?;
    Session::renew(&mut session);
    session.insert("user", user)?;
    Ok(done(request, "logged in"))
}

async fn logout(request: &Request) -> Result<Response<Body>, Error> {
    let session: Session = Session::of(request).await?;
    Session::destroy(session);
    Ok(done(request, "logged out"))
}

/// A page with a visit counter, who is logged in, and forms.
async fn index(request: &Request) -> Result<Response<Body>, Error> {
    let mut session: Session = Session::of(request).await?;
    let visits = session.get::<u64>("visits").unwrap_or(0).saturating_add(1);
    session.insert("visits", visits)?;
    let user = session.get::<String>("user").unwrap_or_else(|| "nobody".into());
    let user = user.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    let mut page = Response::new(Body::from(format!(
        "<!doctype html><meta charset=utf-8><title>lambda-session</title><h1>Visit {visits}</h1>\n\
         <p>Logged in: <b id=user>{user}</b></p>\n\
         <form method=post action=login><input name=user maxlength=64 required><button>Log in</button></form>\n\
         <form method=post action=logout><button>Log out</button></form>\n"
    )));
    page.headers_mut().insert("content-type", http::HeaderValue::from_static("text/html; charset=utf-8"));
    Ok(page)
}

/// A browser's form is led back to the page, a program gets JSON.
fn done(request: &Request, text: &str) -> Response<Body> {
    let kind = request.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded") {
        return answer(200, &json!({ "message": text }));
    }
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = http::StatusCode::SEE_OTHER;
    response.headers_mut().insert("location", http::HeaderValue::from_static("./"));
    response
}

fn answer(status: u16, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status.try_into().unwrap_or_default();
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    response
}
