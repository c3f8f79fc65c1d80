//! What must hold for any bytes whatever: one check a fuzz target, shared with the ordinary tests, which replay the
//! corpus through them (`tests/corpus.rs`). A check panics on a broken promise.

#[path = "checks/cookie_header.rs"]
mod cookie_header;
#[path = "checks/dotenv.rs"]
mod dotenv;
#[path = "checks/event.rs"]
mod event;
// The fuzz crate always has the feature; the ordinary tests also run without.
#[cfg(feature = "memcached")]
#[path = "checks/memcached_reply.rs"]
mod memcached_reply;
#[path = "checks/record.rs"]
mod record;
#[path = "checks/token.rs"]
mod token;

use std::{
    pin::pin,
    sync::LazyLock,
    task::{Context, Poll, Waker},
    time::{Duration, Instant, SystemTime},
};

use http::{Request, Response};
use lambda_http::Body;
use tower::{Layer, Service, service_fn};

use lambda_session::keyring::{Keyring, Secret};
use lambda_session::store::{Call, Found, Loaded, Store};
use lambda_session::{CookieOptions, Error, Lifetime, Session, SessionLayer, Token, Values};

pub(crate) use self::cookie_header::cookie_header;
pub(crate) use self::dotenv::dotenv;
pub(crate) use self::event::event;
#[cfg(feature = "memcached")]
pub(crate) use self::memcached_reply::memcached_reply;
pub(crate) use self::record::record;
pub(crate) use self::token::token;

/// Cookie name and scope of architecture.md's vectors.
const NAME: &str = "__Host-s";
const SCOPE: &str = "shop-test";

/// The ring of the vectors' secret, 00 01 … 1f.
static TODAY: LazyLock<Keyring> = LazyLock::new(|| ring([vector_secret()]));

/// The answer of a handler that writes to its session.
fn answer(layer: SessionLayer<Values>, request: Request<Body>) -> Response<Body> {
    let cookie = CookieOptions::builder().name(NAME).build().unwrap();
    let layer = layer.cookie(cookie).scope(SCOPE).unwrap().clock(now);
    let mut service = layer.layer(service_fn(|request: Request<Body>| async move {
        let mut session: Session = Session::of(&request).await?;
        session.insert("visited", true)?;
        Ok::<_, Error>(Response::new(request.into_body()))
    }));
    at_once(service.call(request)).expect("the handler asks once")
}

fn vector_secret() -> Secret {
    Secret::from_bytes((0..32).collect()).unwrap()
}

fn ring(secrets: impl IntoIterator<Item = Secret>) -> Keyring {
    Keyring::new(secrets).unwrap()
}

/// A minute after the vectors were issued.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_370_400)
}

fn call() -> Call {
    call_for(NAME, SCOPE)
}

fn call_for(name: &str, scope: &str) -> Call {
    Call::new(now(), Instant::now(), Lifetime::default(), name, scope)
}

/// The output of a future that has nothing to wait for; after a conflict it lets others go first, once.
fn at_once<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut polls = (0..2).map(|_| future.as_mut().poll(&mut Context::from_waker(Waker::noop())));
    match polls.find_map(|poll| if let Poll::Ready(output) = poll { Some(output) } else { None }) {
        Some(output) => output,
        None => panic!("a store without I/O waited"),
    }
}

fn load<S: Store>(store: &S, token: &Token, call: &Call) -> Option<Loaded> {
    match at_once(store.load(token, call)).expect("a stranger's token is no error") {
        Found::Live(loaded) => Some(loaded),
        _ => None,
    }
}
