//! What can cross threads and await points: a change here breaks users' code without a line of theirs changing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects
)]

use std::convert::Infallible;

use http::{Request, Response};
use lambda_http::Body;
use lambda_session::config::Settings;
use lambda_session::cookie::{Candidates, CookieOptionsBuilder};
use lambda_session::inspect::Inspection;
use lambda_session::keyring::{Keyring, Secret};
use lambda_session::lambda::{Answer, Event, Kind};
use lambda_session::metrics::Metrics;
use lambda_session::store::{Call, CookieStore, Found, Loaded, MemoryStore, Retired, Store, Update, Version};
use lambda_session::{
    Conflict, CookieOptions, Error, ErrorKind, Lifetime, Record, ResponseFuture, SameSite, Session, SessionLayer,
    SessionService, Token, Values,
};

fn send_sync<T: Send + Sync + 'static>() {}
fn clone<T: Clone>() {}
fn send<T: Send>(_: T) {}

/// A type that is Send but not Sync: a session's data may be one.
#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Unsync {
    cell: std::cell::Cell<u8>,
}

/// AR8: settings, stores and values are shared by every task.
#[test]
fn what_is_shared_is_send_and_sync() {
    send_sync::<(SessionLayer, SessionLayer<Unsync>, SessionService<(), Unsync>)>();
    send_sync::<(CookieStore, MemoryStore, Keyring, Secret, Settings)>();
    send_sync::<(CookieOptions, CookieOptionsBuilder, Candidates, Lifetime, SameSite, Conflict)>();
    send_sync::<(Error, ErrorKind, Record, Token, Values, Inspection)>();
    send_sync::<(Call, Found, Loaded, Retired, Update, Version)>();
    send_sync::<(Event, Answer, Kind)>();
    send_sync::<(Metrics, SessionLayer)>();
    send_sync::<Session>();
    clone::<(SessionLayer<Unsync>, SessionService<(), Unsync>, CookieStore, MemoryStore, Keyring)>();
    clone::<(CookieOptions, Lifetime, Record, Token, Values, Settings, Call)>();
}

/// A session is held across await points of a spawned task, also where its data is not Sync.
#[test]
fn a_session_can_be_held_across_await_points() {
    async fn handler(request: Request<String>) -> Result<(), Error> {
        let session: Session<Unsync> = Session::of(&request).await?;
        std::future::ready(()).await;
        session.cell.set(1);
        Ok(())
    }
    send(handler(Request::new(String::new())));
    fn is_send<T: Send>() {}
    is_send::<Session<Unsync>>();
    is_send::<ResponseFuture<std::future::Ready<Result<Response<String>, Infallible>>, String>>();
}

/// Asking gives a future that is Send and does not borrow the request, also where the request's body is not Sync.
#[test]
fn asking_gives_a_future_of_its_own() {
    fn owned<T: Send + 'static>(_: T) {}
    let request = Request::new(std::cell::Cell::new(0));
    owned(Session::<Values>::of(&request));
}

/// `run` asks `Clone + Send + 'static` of the service and `Send + 'static` of its future, and no more: not Sync, so that
/// it can serve concurrently later without breaking anybody.
#[test]
fn run_takes_a_service_that_is_clone_and_send() {
    #[derive(Clone)]
    struct Handler {
        _unsync: std::cell::Cell<u8>,
    }

    impl tower_service::Service<lambda_http::Request> for Handler {
        type Response = Response<Body>;
        type Error = Error;
        type Future = std::future::Ready<Result<Response<Body>, Error>>;

        fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Error>> {
            std::task::Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: lambda_http::Request) -> Self::Future {
            std::future::ready(Ok(Response::new(Body::Empty)))
        }
    }

    let handler = || Handler { _unsync: std::cell::Cell::new(0) };
    let _not_polled = lambda_session::run(handler());
    let layer = SessionLayer::<Values>::new(MemoryStore::new().unwrap());
    let _not_polled = lambda_session::run(tower_layer::Layer::layer(&layer.clone(), handler()));
    #[cfg(feature = "axum")]
    let _not_polled = lambda_session::run(axum::Router::new().layer(layer));
}

/// A store is written with plain `async fn`, and stores of a type chosen at run time make layers of one type.
#[test]
fn choosing_a_store_at_run_time_is_a_plain_if() {
    fn layer(is_memory: bool, keyring: Keyring) -> SessionLayer {
        if is_memory {
            SessionLayer::new(MemoryStore::with_keyring(keyring))
        } else {
            SessionLayer::new(CookieStore::signed(keyring))
        }
    }
    let secret = || Secret::from_bytes((0..32).collect()).unwrap();
    for is_memory in [true, false] {
        let _ = layer(is_memory, Keyring::new([secret()]).unwrap());
    }
    fn is_store<S: Store>() {}
    is_store::<CookieStore>();
}
