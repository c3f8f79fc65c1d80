//! Peer (b): the posts controller on axum and `tower-sessions`, with its `MemoryStore` and signed cookies.

use axum::{
    Json, Router,
    http::StatusCode,
    routing::{get, post},
};
use lambda_http::{Error, run, tracing};
use serde_json::{Map, Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tower_sessions::{MemoryStore, Session, SessionManagerLayer, cookie::Key};

type Data = Map<String, Value>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let key = Key::try_from(std::env::var("SECRET_KEY_BASE")?.as_bytes())?;
    let sessions = SessionManagerLayer::new(MemoryStore::default()).with_signed(key);
    let router =
        Router::new().route("/posts", post(set).get(show)).route("/health", get(async || "ok")).layer(sessions);
    run(router).await
}

async fn set(session: Session, Json(members): Json<Data>) -> Result<Json<Value>, StatusCode> {
    let mut data = data_in(&session).await?;
    data.extend(members);
    let now = OffsetDateTime::now_utc().format(&Rfc3339).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    data.insert("current_time".to_owned(), now.into());
    session.insert(KEY, data).await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(Json(json!({"message": "set some data in the session"})))
}

async fn show(session: Session) -> Result<Json<Data>, StatusCode> {
    data_in(&session).await.map(Json)
}

async fn data_in(session: &Session) -> Result<Data, StatusCode> {
    let data = session.get(KEY).await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(data.unwrap_or_default())
}

const KEY: &str = "data";
