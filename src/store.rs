//! Where sessions are kept: the trait [`Store`] and the stores of this crate.
//!
//! A store maps a [`Token`], the text of the cookie, to a [`Record`] and back. The data itself in the cookie
//! ([`CookieStore`]) and an id in the cookie ([`MemoryStore`]) are two ways of making a token; nothing above this trait
//! can tell them apart.

mod cookie;
#[cfg(feature = "memcached")]
mod memcached;
mod memory;

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant, SystemTime},
};

pub use self::cookie::CookieStore;
#[cfg(feature = "memcached")]
pub use self::memcached::MemcachedStore;
#[cfg(feature = "memcached")]
pub(crate) use self::memcached::check_prefix;
pub use self::memory::MemoryStore;
use crate::seal::Binding;
use crate::{Error, Lifetime, Record, Token};

/// Keeps sessions.
///
/// Write one with plain `async fn`. Never do work in the background: a Lambda environment freezes between requests.
/// A store that cannot answer says so with [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable); "I could not
/// look" is never [`Found::Nothing`], which would log people out.
///
/// ```
/// use lambda_session::{Error, Record, Token};
/// use lambda_session::store::{Call, Found, MemoryStore, Retired, Store, Update, Version};
///
/// /// Counts what reaches the store beneath.
/// struct Counting<S>(S, std::sync::atomic::AtomicU64);
///
/// impl<S: Store> Store for Counting<S> {
///     async fn load(&self, token: &Token, call: &Call) -> Result<Found, Error> {
///         self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
///         self.0.load(token, call).await
///     }
///     async fn create(&self, record: &Record, call: &Call) -> Result<Token, Error> {
///         self.0.create(record, call).await
///     }
///     async fn update(&self, token: &Token, seen: Version, record: &Record, call: &Call) -> Result<Update, Error> {
///         self.0.update(token, seen, record, call).await
///     }
///     async fn retire(&self, token: &Token, seen: Version, next: &Token, call: &Call) -> Result<Retired, Error> {
///         self.0.retire(token, seen, next, call).await
///     }
///     async fn delete(&self, token: &Token, seen: Option<Version>, call: &Call) -> Result<(), Error> {
///         self.0.delete(token, seen, call).await
///     }
/// }
/// ```
pub trait Store: Send + Sync + 'static {
    /// How long all of one request's questions may take together, unless the layer's
    /// [`store_timeout`](crate::SessionLayer::store_timeout) says otherwise: 5 s.
    fn timeout(&self) -> Duration {
        TIMEOUT
    }

    /// What `token` stands for; [`Found::Nothing`] if it is forged, unknown, expired or gone.
    fn load(&self, token: &Token, call: &Call) -> impl Future<Output = Result<Found, Error>> + Send;

    /// Keeps a new record under a new token. A token that a client sent is never taken over.
    fn create(&self, record: &Record, call: &Call) -> impl Future<Output = Result<Token, Error>> + Send;

    /// Overwrites what was loaded, if it is still what was loaded. What is gone stays gone.
    fn update(
        &self,
        token: &Token,
        seen: Version,
        record: &Record,
        call: &Call,
    ) -> impl Future<Output = Result<Update, Error>> + Send;

    /// Ends a renewed token at once, if its record is still what was loaded; for 10 s `load` answers [`Found::Retired`]
    /// for it, and an update of it is [`Update::Gone`]. `next` took its place: who deletes the old one for 15 min from now,
    /// which is the longest that a request lives on Lambda, ends `next` too.
    fn retire(
        &self,
        token: &Token,
        seen: Version,
        next: &Token,
        call: &Call,
    ) -> impl Future<Output = Result<Retired, Error>> + Send;

    /// Forgets a record, and what took its place if it was retired; a token that stands for nothing is no error. `seen` is
    /// what was loaded, if anything was: a store may save a question with it, but what was changed since is forgotten too.
    fn delete(
        &self,
        token: &Token,
        seen: Option<Version>,
        call: &Call,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}

/// How long a store may take for one request's questions where nothing else bounds it.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long a renewed id is remembered as retired: longer than two requests of one page overlap.
pub(crate) const RETIRED_FOR: Duration = Duration::from_secs(10);
/// How long a retired id still names what took its place: a logout that loaded the old one may be under way for as long as
/// an invocation lasts (Lambda quotas: 900 s).
pub(crate) const SUCCEEDED_FOR: Duration = Duration::from_secs(900);
/// How much longer than its session a record is kept: clocks differ.
pub(crate) const GRACE: Duration = Duration::from_secs(60);

/// What a store may know of the request that calls it. Tests pass it.
#[derive(Clone, Debug)]
pub struct Call {
    now: SystemTime,
    deadline: Instant,
    lifetime: Lifetime,
    cookie: Arc<str>,
    scope: Arc<str>,
    /// What calls of this request on open connections have taken of their time, in nanoseconds.
    #[cfg_attr(not(feature = "memcached"), expect(dead_code, reason = "only a store with connections counts it"))]
    warm: Arc<AtomicU64>,
}

impl Call {
    /// A call at `now` for the cookie `cookie` in the application `scope`, to be answered until `deadline`.
    pub fn new(
        now: SystemTime,
        deadline: Instant,
        lifetime: Lifetime,
        cookie: impl Into<Arc<str>>,
        scope: impl Into<Arc<str>>,
    ) -> Self {
        Self { now, deadline, lifetime, cookie: cookie.into(), scope: scope.into(), warm: Arc::default() }
    }

    /// The same call, sharing its time on open connections with others of its request.
    pub(crate) fn sharing(self, warm: Arc<AtomicU64>) -> Self {
        Self { warm, ..self }
    }

    /// What this request's calls on open connections have taken so far.
    #[cfg(feature = "memcached")]
    pub(crate) fn warm(&self) -> &Arc<AtomicU64> {
        &self.warm
    }

    /// The time that counts: when the request began or, for what is saved, when the handler had answered. A store reads no
    /// clock for policy.
    pub fn now(&self) -> SystemTime {
        self.now
    }

    /// When the answer comes too late: the caller gives up then.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// How long a record is worth keeping.
    pub fn lifetime(&self) -> Lifetime {
        self.lifetime
    }

    /// The name of the session cookie: tokens are bound to it.
    pub fn cookie(&self) -> &str {
        &self.cookie
    }

    /// The application and stage: tokens are bound to it.
    pub fn scope(&self) -> &str {
        &self.scope
    }
}

/// What [`Store::load`] found.
#[derive(Debug)]
#[non_exhaustive]
pub enum Found {
    /// A record.
    Live(Loaded),
    /// A token that was renewed within the last 10 s: an empty session that stores nothing and sets no cookie; only a logout
    /// still tells the browser to forget.
    Retired,
    /// Nothing that this token stands for.
    Nothing,
}

/// A record as it was loaded.
#[derive(Debug)]
pub struct Loaded {
    /// The record.
    pub record: Record,
    /// What [`Store::update`] compares.
    pub version: Version,
    /// Whether an old secret sealed it: it is then sealed anew under today's.
    pub stale_key: bool,
}

/// Which version of a record was loaded; its meaning is the store's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version(pub u64);

/// What became of an update.
#[derive(Debug)]
#[non_exhaustive]
pub enum Update {
    /// Stored; the token to set.
    Done(Token),
    /// Somebody else was first; what they stored.
    Conflict(Loaded),
    /// The record is no more: somebody logged out, and nothing is revived.
    Gone,
}

/// What became of a token that was to be retired.
#[derive(Debug)]
#[non_exhaustive]
pub enum Retired {
    /// It is retired.
    Done,
    /// Somebody else has changed the session meanwhile; what they stored.
    Conflict(Loaded),
    /// It was gone already: somebody logged out or renewed it first.
    Gone,
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// [`Store`] with its futures boxed, so that a layer's type does not name its store.
pub(crate) trait AnyStore: Send + Sync + 'static {
    fn load<'a>(&'a self, token: &'a Token, call: &'a Call) -> Answer<'a, Found>;
    fn create<'a>(&'a self, record: &'a Record, call: &'a Call) -> Answer<'a, Token>;
    fn update<'a>(&'a self, token: &'a Token, seen: Version, record: &'a Record, call: &'a Call) -> Answer<'a, Update>;
    fn retire<'a>(&'a self, token: &'a Token, seen: Version, next: &'a Token, call: &'a Call) -> Answer<'a, Retired>;
    fn delete<'a>(&'a self, token: &'a Token, seen: Option<Version>, call: &'a Call) -> Answer<'a, ()>;
}

impl<S: Store> AnyStore for S {
    fn load<'a>(&'a self, token: &'a Token, call: &'a Call) -> Answer<'a, Found> {
        Box::pin(Store::load(self, token, call))
    }

    fn create<'a>(&'a self, record: &'a Record, call: &'a Call) -> Answer<'a, Token> {
        Box::pin(Store::create(self, record, call))
    }

    fn update<'a>(&'a self, token: &'a Token, seen: Version, record: &'a Record, call: &'a Call) -> Answer<'a, Update> {
        Box::pin(Store::update(self, token, seen, record, call))
    }

    fn retire<'a>(&'a self, token: &'a Token, seen: Version, next: &'a Token, call: &'a Call) -> Answer<'a, Retired> {
        Box::pin(Store::retire(self, token, seen, next, call))
    }

    fn delete<'a>(&'a self, token: &'a Token, seen: Option<Version>, call: &'a Call) -> Answer<'a, ()> {
        Box::pin(Store::delete(self, token, seen, call))
    }
}

pub(crate) fn later(now: SystemTime, by: Duration) -> SystemTime {
    now.checked_add(by).unwrap_or(now)
}

/// What the tokens of this call are bound to.
pub(crate) fn binding(call: &Call) -> Binding<'_> {
    Binding { name: call.cookie(), scope: call.scope() }
}
