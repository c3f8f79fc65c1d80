//! [`SessionLayer`]: the settings, as a tower layer.

use std::{
    fmt,
    marker::PhantomData,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tower_layer::Layer;

use crate::cookie::{CookieOptions, Lines};
use crate::metrics::Metrics;
use crate::notice::Notices;
use crate::service::SessionService;
use crate::session::Data;
use crate::store::{AnyStore, Store};
use crate::values::Values;
use crate::{Error, Lifetime};

/// The longest scope: it is written into every seal behind a length of 16 bits.
pub(crate) const SCOPE_LIMIT_BYTES: usize = 256;

/// What is kept back of an invocation's time, unless set (security.md, AR7).
pub(crate) const RESERVE: Duration = Duration::from_millis(100);

/// What happens when two requests change one session at the same time. A cookie store cannot tell: there the last
/// answer wins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Conflict {
    /// Both changes are kept, key by key at the top level; where both changed one key, the later one stands. Whoever meets
    /// one writer after the other merges and tries again until the store's time is over, and is then answered 409.
    ///
    /// What a request writes as it was is no change of its own. So what is true only together goes under one key, the user and their
    /// rights above all: with a key for each, a login beside another request can end with the rights that the other wrote.
    #[default]
    Merge,
    /// The later request is answered 409 and saves nothing.
    Fail,
    /// The later request's session stands whole.
    Overwrite,
}

/// Gives every request of a service its session: a tower layer for an axum `Router` or a `service_fn`.
///
/// ```
/// use lambda_session::{SessionLayer, Values, store::MemoryStore};
/// use tower::ServiceBuilder;
///
/// let sessions = SessionLayer::<Values>::new(MemoryStore::new()?);
/// let service = ServiceBuilder::new().layer(sessions).service_fn(|_: http::Request<String>| async {
///     Ok::<_, std::convert::Infallible>(http::Response::new(String::new()))
/// });
/// # Ok::<(), lambda_session::Error>(())
/// ```
///
/// `T` is the session's type: handlers ask for `Session<T>`. Layers of different types can stand before one service; give
/// each a cookie name of its own, since of two with one name the outer takes the inner's cookie away.
#[must_use]
pub struct SessionLayer<T = Values> {
    settings: Arc<Settings>,
    of: PhantomData<fn() -> T>,
}

/// What a layer and all its services share; nothing of it belongs to one request.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) store: Arc<dyn AnyStore>,
    pub(crate) cookie: CookieOptions,
    pub(crate) lines: Lines,
    /// The cookie's name again, as calls carry it.
    pub(crate) name: Arc<str>,
    pub(crate) scope: Arc<str>,
    pub(crate) lifetime: Lifetime,
    pub(crate) conflict: Conflict,
    pub(crate) store_timeout: Duration,
    pub(crate) reserve: Duration,
    pub(crate) clock: fn() -> SystemTime,
    pub(crate) notices: Arc<Notices>,
    pub(crate) metrics: Option<Metrics>,
}

impl<T: Data> SessionLayer<T> {
    /// Sessions in this store, with every setting at its safe default: cookie `__Host-session`, 30 minutes idle, 12
    /// hours in all.
    pub fn new<S: Store>(store: S) -> Self {
        let cookie = CookieOptions::default();
        let settings = Settings {
            store_timeout: store.timeout(),
            reserve: RESERVE,
            store: Arc::new(store),
            name: cookie.name().into(),
            lines: cookie.lines(),
            cookie,
            scope: "".into(),
            lifetime: Lifetime::default(),
            conflict: Conflict::default(),
            clock: SystemTime::now,
            notices: Arc::new(Notices::new()),
            metrics: None,
        };
        Self { settings: Arc::new(settings), of: PhantomData }
    }

    /// How the cookie is called and set.
    pub fn cookie(self, cookie: CookieOptions) -> Self {
        self.with(|settings| {
            settings.name = cookie.name().into();
            settings.lines = cookie.lines();
            settings.cookie = cookie;
        })
    }

    /// When sessions end.
    pub fn lifetime(self, lifetime: Lifetime) -> Self {
        self.with(|settings| settings.lifetime = lifetime)
    }

    /// Which application and stage the sessions belong to (empty): a session of another scope does not open here, even
    /// under the same secret. Functions behind one domain share sessions by sharing cookie name, scope and secrets.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) above 256 bytes.
    pub fn scope(self, scope: &str) -> Result<Self, Error> {
        if scope.len() > SCOPE_LIMIT_BYTES {
            let size = scope.len();
            return Err(Error::config(format!(
                "a scope of {size} bytes is too long: use {SCOPE_LIMIT_BYTES} or fewer"
            )));
        }
        Ok(self.with(|settings| settings.scope = scope.into()))
    }

    /// What happens when two requests change one session at the same time ([`Conflict::Merge`]).
    pub fn on_conflict(self, conflict: Conflict) -> Self {
        self.with(|settings| settings.conflict = conflict)
    }

    /// How long the store may take for all questions of one request (what the [store](Store::timeout) says: 5 s, with
    /// memcached 1 s), 15 min at most; the handler's own time does not count. The end
    /// of the Lambda invocation, less the [reserve](Self::reserve), bounds it too.
    pub fn store_timeout(self, timeout: Duration) -> Self {
        self.with(|settings| settings.store_timeout = timeout)
    }

    /// What is kept back of an invocation's time, so that the answer leaves before Lambda ends it (100 ms): where less is left,
    /// the store is given up and the answer is 503. Raise it where layers around this one take long with an answer.
    pub fn reserve(self, reserve: Duration) -> Self {
        self.with(|settings| settings.reserve = reserve)
    }

    /// Reads the time from another clock than the system's: for tests.
    pub fn clock(self, clock: fn() -> SystemTime) -> Self {
        self.with(|settings| settings.clock = clock)
    }

    /// Counts what happens to sessions, and hands each request's counts on (not at all): see [`metrics`](crate::metrics).
    pub fn metrics(self, metrics: Metrics) -> Self {
        self.with(|settings| settings.metrics = Some(metrics))
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }
}

impl<S, T> Layer<S> for SessionLayer<T> {
    type Service = SessionService<S, T>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService::new(inner, self.settings.clone())
    }
}

impl<T> Clone for SessionLayer<T> {
    fn clone(&self) -> Self {
        Self { settings: self.settings.clone(), of: PhantomData }
    }
}

impl<T> fmt::Debug for SessionLayer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayer")
            .field("cookie", &self.settings.cookie)
            .field("scope", &self.settings.scope)
            .field("lifetime", &self.settings.lifetime)
            .field("conflict", &self.settings.conflict)
            .finish_non_exhaustive()
    }
}
