//! Where a keyring comes from while the function lives: given once, or fetched and refreshed.
//!
//! A [`Secrets`] source is asked once at start and then rarely: on a request, when the ring is older than five minutes
//! (give or take a fifth, so that environments do not ask in step), by wall clock, since monotonic time may stand still in
//! a frozen environment. Where the source fails, the last good ring serves for up to a day. Nothing runs in the background.

mod live;
pub(crate) mod parameter;
#[cfg(feature = "ssm")]
mod quiet;
mod schedule;
#[cfg(feature = "ssm")]
pub mod ssm;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Instant, SystemTime},
};

use crate::Error;
use crate::keyring::Keyring;
use crate::random::{self, RandomSource};
use crate::seal::{Opened, Refusal};
use crate::secrets::live::Live;
use crate::store::Call;

/// A place that secrets are kept: SSM Parameter Store, Secrets Manager, a file.
///
/// ```
/// use lambda_session::{Error, ErrorKind, keyring::Keyring, secrets::Secrets};
///
/// /// A ring in a file that something else keeps current.
/// struct RingFile(&'static str);
///
/// impl Secrets for RingFile {
///     async fn fetch(&self) -> Result<Keyring, Error> {
///         let text = std::fs::read_to_string(self.0)
///             .map_err(|error| Error::new(ErrorKind::Unavailable, "cannot read the ring").with_source(error))?;
///         Keyring::parse(&text)
///     }
/// }
/// ```
pub trait Secrets: Send + Sync + 'static {
    /// The ring as it stands now.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) for what may pass; any other kind for what will not by
    /// itself, such as a parameter that is not there or that nobody may read.
    fn fetch(&self) -> impl Future<Output = Result<Keyring, Error>> + Send;
}

/// What a store seals and opens with: a ring that stays, or one that is refreshed. Made from a [`Keyring`], by
/// [`Keys::refreshed`] or by [`Keys::on_demand`].
#[derive(Clone)]
pub struct Keys(Source);

#[derive(Clone)]
enum Source {
    Fixed(Keyring),
    Live(Arc<Live>),
}

/// What a token held, and whether a key other than today's sealed it.
pub(crate) struct Unsealed<T> {
    pub(crate) inner: T,
    pub(crate) is_stale: bool,
    pub(crate) ring: Keyring,
}

impl From<Keyring> for Keys {
    fn from(keyring: Keyring) -> Self {
        Self(Source::Fixed(keyring))
    }
}

impl Keys {
    /// Fetches the ring and keeps it fresh.
    ///
    /// Trouble that may pass is met with further attempts, spread by full jitter, for up to 8 s. After that this does not fail:
    /// requests that ask for a session are answered 503 and ask the source again, every 1 to 5 s, until the ring is there;
    /// routes that never ask are served.
    ///
    /// # Errors
    ///
    /// What will not pass by itself, at once: the function should not start.
    pub async fn refreshed(secrets: impl Secrets) -> Result<Self, Error> {
        Self::refreshed_at(secrets, SystemTime::now(), random::system).await
    }

    /// Fetches the ring on the first request that needs it, and keeps it fresh: for a source that cannot be asked at start,
    /// as the AWS Parameters and Secrets extension. Costs no I/O. That request waits for 2 s at most, and what goes wrong is
    /// answered 503, also what will not pass by itself.
    pub fn on_demand(secrets: impl Secrets) -> Self {
        Self(Source::Live(Arc::new(Live::new(Arc::new(secrets), random::system))))
    }

    /// The same as [`Keys::refreshed`] at a given time, with jitter from this source: for tests. Pauses are by tokio's clock, which a test can
    /// pause too.
    ///
    /// # Errors
    ///
    /// As [`Keys::refreshed`].
    pub async fn refreshed_at(secrets: impl Secrets, now: SystemTime, random: RandomSource) -> Result<Self, Error> {
        let live = Live::new(Arc::new(secrets), random);
        live.start(now).await?;
        Ok(Self(Source::Live(Arc::new(live))))
    }

    /// The ring to use at `now`; waits for a refresh that is due, until `deadline` and 500 ms at most.
    pub(crate) async fn at(&self, now: SystemTime, deadline: Instant) -> Result<Keyring, Error> {
        let live = match &self.0 {
            Source::Fixed(ring) => return Ok(ring.clone()),
            Source::Live(live) => live,
        };
        if let Some(ring) = live.fresh(now) {
            return Ok(ring);
        }
        live.refresh(now, deadline).await;
        live.last_good(now)
    }

    /// Opens a token with the ring, and with a newer one if this one does not know its key id.
    pub(crate) async fn open<T>(
        &self,
        call: &Call,
        open: impl Fn(&Keyring) -> Result<Opened<T>, Refusal>,
    ) -> Result<Option<Unsealed<T>>, Error> {
        Ok(self.try_open(call, open).await?.ok())
    }

    /// The same, with the reason why it does not open.
    pub(crate) async fn try_open<T>(
        &self,
        call: &Call,
        open: impl Fn(&Keyring) -> Result<Opened<T>, Refusal>,
    ) -> Result<Result<Unsealed<T>, Refusal>, Error> {
        let mut ring = self.at(call.now(), call.deadline()).await?;
        let mut opened = open(&ring);
        if matches!(opened, Err(Refusal::UnknownKey))
            && let Some(newer) = self.after_unknown_key(call.now(), call.deadline()).await
        {
            opened = open(&newer);
            ring = newer;
        }
        Ok(opened.map(|opened| {
            let (place, _) = ring.sealing(call.now());
            Unsealed { inner: opened.inner, is_stale: opened.key != place, ring }
        }))
    }

    /// A newer ring for a token whose key id this one does not know: asked at most once a minute.
    pub(crate) async fn after_unknown_key(&self, now: SystemTime, deadline: Instant) -> Option<Keyring> {
        let Source::Live(live) = &self.0 else { return None };
        if !live.is_asked_by_unknown_key(now) {
            return None;
        }
        live.refresh(now, deadline).await;
        live.last_good(now).ok()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Fixed(ring) => write!(f, "Keys({ring:?})"),
            Source::Live(live) => write!(f, "Keys(refreshed, {live:?})"),
        }
    }
}

/// [`Secrets`] with its future boxed, and free to be kept.
trait AnySecrets: Send + Sync + 'static {
    fn fetch(self: Arc<Self>) -> Answer;
}

type Answer = Pin<Box<dyn Future<Output = Result<Keyring, Error>> + Send>>;

impl<S: Secrets> AnySecrets for S {
    fn fetch(self: Arc<Self>) -> Answer {
        Box::pin(async move { Secrets::fetch(&*self).await })
    }
}
