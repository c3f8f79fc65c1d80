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
            Ok(members) => members,
            Err(_) => return Ok(answer(400, &json!({ "error": "send a JSON object, or nothing" }))),
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
    Ok(answer(200, &json!({ "message": "logged in" })))
}

async fn logout(request: &Request) -> Result<Response<Body>, Error> {
    let session: Session = Session::of(request).await?;
    Session::destroy(session);
    Ok(answer(200, &json!({ "message": "logged out" })))
}

fn answer(status: u16, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status.try_into().unwrap_or_default();
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    response
}
