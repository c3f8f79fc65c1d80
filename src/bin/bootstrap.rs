//! The example application: the posts controller, on axum. Copy it.

use std::{collections::BTreeMap, time::SystemTime};

use axum::{
    Router,
    body::Bytes,
    extract::{Form, FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use lambda_http::tracing;
use lambda_session::{Error, Session, SessionLayer};
use serde::Deserialize;
use serde_json::{Map, Value};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let sessions = <SessionLayer>::from_env().await?;
    let app = Router::new()
        .route("/", get(index))
        .route("/health", get(|| async { "ok" }))
        .route("/posts", get(list).post(create))
        .route("/login", post(login))
        .route("/logout", post(logout));
    lambda_session::run(app.layer(sessions)).await
}

/// What the session holds.
async fn list(session: Session) -> Response {
    json(StatusCode::OK, &*session)
}

/// Puts the time into the session, and the members of a JSON object.
async fn create(mut session: Session, body: Bytes) -> Result<Response, Error> {
    let members: Map<String, Value> = match body.as_ref() {
        b"" => Map::new(),
        sent => match serde_json::from_slice(sent) {
            Ok(members) if is_flat(&members) => members,
            _ => return Ok(refused("send a JSON object of at most 60 levels, or nothing")),
        },
    };
    if members.contains_key("user") || members.contains_key("current_time") {
        return Ok(refused("user and current_time are not yours to set"));
    }
    session.extend(members);
    session.insert("current_time", OffsetDateTime::from(SystemTime::now()).format(&Rfc3339).unwrap_or_default())?;
    Ok(message("set some data in the session"))
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
async fn login(mut session: Session, request: Request) -> Result<Response, Error> {
    let sender = Sender::of(request.headers());
    let login: Option<Login> = match sender {
        Sender::Form => Form::from_request(request, &()).await.ok().map(|Form(login)| login),
        Sender::Program => {
            Bytes::from_request(request, &()).await.ok().and_then(|body| serde_json::from_slice(&body).ok())
        }
    };
    let Some(Login { user }) = login.filter(|login| (1..=64).contains(&login.user.chars().count())) else {
        return Ok(refused("send a user of 1 to 64 characters"));
    };
    Session::renew(&mut session);
    session.insert("user", user)?;
    Ok(sender.answer("logged in"))
}

async fn logout(session: Session, headers: HeaderMap) -> Response {
    Session::destroy(session);
    Sender::of(&headers).answer("logged out")
}

async fn index(mut session: Session) -> Result<Html<String>, Error> {
    let visits = session.get::<u64>("visits").unwrap_or(0).saturating_add(1);
    session.insert("visits", visits)?;
    let user = session.get::<String>("user").map_or("nobody".into(), |user| escaped(&user));
    Ok(Html(format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>lambda-session</title>\n\
         <h1>Visit {visits}</h1><p>Logged in: <b id=user>{user}</b></p>\n\
         <form method=post action=login><input name=user maxlength=64 required><button>Log in</button></form>\n\
         <form method=post action=logout><button>Log out</button></form>\n"
    )))
}

/// Who sent a body: a browser's form wants a page, a program wants JSON.
enum Sender {
    Form,
    Program,
}

impl Sender {
    fn of(headers: &HeaderMap) -> Self {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is_form = kind.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded");
        if is_form { Self::Form } else { Self::Program }
    }

    fn answer(&self, text: &str) -> Response {
        match self {
            // Relative, as the forms' actions are: on a REST API's own domain every address begins with the stage.
            Self::Form => Redirect::to("./").into_response(),
            Self::Program => message(text),
        }
    }
}

fn message(text: &str) -> Response {
    json(StatusCode::OK, &BTreeMap::from([("message", text)]))
}

fn refused(text: &str) -> Response {
    json(StatusCode::BAD_REQUEST, &BTreeMap::from([("error", text)]))
}

fn json(status: StatusCode, body: &impl serde::Serialize) -> Response {
    let body = serde_json::to_string(body).unwrap_or_default();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
