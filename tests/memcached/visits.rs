//! An application whose sessions are in memcached, and its visitors: requests in, answers out.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD, Engine};
use http::{Request, Response};
use lambda_session::memcached::{Client, NodeId};
use lambda_session::store::MemcachedStore;
use lambda_session::{Error, Session, SessionLayer, Values};
use tokio::{sync::Notify, task::JoinHandle};
use tower::ServiceExt;

use crate::shared::{Answer, App, Browser, cookie, keyring, layer, request, with_handler};

/// Sessions of this client, sealed by this seed's secret.
pub(crate) fn sessions(client: &Client) -> MemcachedStore {
    MemcachedStore::new(client.clone(), keyring(&[0]))
}

/// The application with its sessions in this client's cache.
pub(crate) fn app(client: &Client) -> App {
    app_over(layer(sessions(client)))
}

pub(crate) fn app_over(layer: SessionLayer<Values>) -> App {
    with_handler(layer, serve)
}

/// `/enter-NAME` begins a session, `/read` tells it, `/count` counts a visit in it, `/note-KEY=VALUE` writes a note,
/// `/notes` and `/all` tell them, `/big-BYTES` fills it, `/leave` ends it; `/static` does not ask for one. The answer is `NAME COUNT`.
async fn serve(request: Request<String>) -> Result<Response<String>, Error> {
    let path = request.uri().path().trim_start_matches('/');
    let (deed, rest) = path.split_once('-').unwrap_or((path, ""));
    if deed == "static" {
        return Ok(Response::new(String::new()));
    }
    let mut session: Session = Session::of(&request).await?;
    match deed {
        "read" => {}
        "enter" => session.insert("name", rest)?,
        "count" => {
            let count = count(&session);
            session.insert("count", count + 1)?;
        }
        "note" => {
            let (key, value) = rest.split_once('=').unwrap();
            session.insert(key, value)?;
        }
        "big" => session.insert("big", "x".repeat(rest.parse().unwrap()))?,
        "notes" => {
            let note = |key| session.get::<String>(key).unwrap_or_default();
            return Ok(Response::new(format!("{} {}", note("one"), note("other"))));
        }
        "all" => return Ok(Response::new(serde_json::to_string(&*session).unwrap())),
        "leave" => {
            pass(&request).await;
            Session::destroy(session);
            return Ok(Response::new(String::new()));
        }
        _ => panic!("{deed} is no deed"),
    }
    let answer = format!("{} {}", session.get::<String>("name").unwrap_or_default(), count(&session));
    pass(&request).await;
    Ok(Response::new(answer))
}

/// Waits at the gate, if the request has one.
async fn pass(request: &Request<String>) {
    if let Some(gate) = request.extensions().get::<Gate>() {
        gate.loaded.notify_one();
        gate.go_on.notified().await;
    }
}

fn count(session: &Values) -> u64 {
    session.get("count").unwrap_or(0)
}

/// A browser that has a session of this name.
pub(crate) async fn enter(app: &App, name: &str) -> Browser {
    let mut browser = Browser::new(app.clone());
    let answer = browser.visit(&format!("/enter-{name}")).await;
    assert_eq!((answer.status, answer.body), (200, format!("{name} 0")));
    browser
}

/// Where a handler waits that holds its session.
#[derive(Clone, Default)]
struct Gate {
    loaded: Arc<Notify>,
    go_on: Arc<Notify>,
}

/// A request whose handler has loaded and changed its session, and not yet returned.
pub(crate) struct Held {
    gate: Gate,
    answer: JoinHandle<Answer>,
}

impl Held {
    pub(crate) async fn begin(app: &App, token: &str, path: &str) -> Self {
        let gate = Gate::default();
        let mut request = request(path, &[cookie(token).as_bytes()]);
        request.extensions_mut().insert(gate.clone());
        let answer = app.clone().oneshot(request);
        let mut answer = tokio::spawn(async move { Answer::of(answer.await.unwrap()) });
        tokio::select! {
            () = gate.loaded.notified() => Self { gate, answer },
            answer = &mut answer => panic!("{path} is answered already: {answer:?}"),
        }
    }

    pub(crate) async fn finish(self) -> Answer {
        self.gate.go_on.notify_one();
        self.answer.await.unwrap()
    }
}

/// The node that a token names (its format stands in `src/seal.rs`): 4 bytes behind version, key id and session id.
pub(crate) fn node_of(token: &str) -> NodeId {
    let bytes = URL_SAFE_NO_PAD.decode(token).unwrap();
    NodeId(bytes[19..23].try_into().unwrap())
}

/// A visit, and how long it took.
pub(crate) async fn timed(browser: &mut Browser, path: &str) -> (Answer, Duration) {
    let began = Instant::now();
    let answer = browser.visit(path).await;
    (answer, began.elapsed())
}
