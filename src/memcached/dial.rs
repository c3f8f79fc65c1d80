//! Opening a connection: resolve, connect, TLS, greeting, all within one limit.

use std::{
    error::Error as StdError,
    fmt,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use socket2::SockRef;
use tokio::{
    net::{TcpStream, lookup_host},
    time::{timeout, timeout_at},
};

use super::address::Address;
use super::breaker::Blow;
use super::connection::{Connection, Offer};
use super::observer::Discard;
use super::tls::Tls;
use super::{Failure, FailureKind};
use crate::addresses::alternating;

/// The most addresses of one name that are tried.
const ADDRESSES_LIMIT: usize = 8;

/// Finds the addresses of a host.
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of `host` (a name, or an IP address without brackets), in the order in which to try them.
    fn resolve<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;
}

/// Asks the system, anew at every dial: a node that is replaced keeps its name.
pub(crate) struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>> {
        Box::pin(async move {
            match host.parse::<IpAddr>() {
                Ok(ip) => Ok(vec![SocketAddr::new(ip, port)]),
                Err(_) => Ok(lookup_host((host, port)).await?.collect()),
            }
        })
    }
}

/// Opens connections.
#[derive(Clone)]
pub(crate) struct Dialler {
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) tls: Option<Tls>,
}

/// Whether a new connection is asked for the list of nodes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum AskNodes {
    No,
    /// Beside what it is opened for, which must not suffer from a bad answer.
    OnTheWay,
    /// It is opened for that.
    Only,
}

/// A connection that was opened.
pub(crate) struct Dialled {
    pub(crate) connection: Connection,
    pub(crate) engine: String,
    pub(crate) offer: Option<Offer>,
}

/// A connection that was not.
#[derive(Debug)]
pub(crate) struct Undialled {
    pub(crate) blow: Blow,
    /// Whether it is a server that we do not speak with, rather than one that is down.
    pub(crate) refused: bool,
    /// How far it came.
    pub(crate) step: Step,
    /// Whether it was taken and then broke off, as it does where a connection is cut: then another one may last.
    pub(crate) again: bool,
    pub(crate) reason: String,
    pub(crate) source: Option<Box<dyn StdError + Send + Sync>>,
}

/// How far a connection came that could not be opened.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Its name has no address.
    Resolving,
    /// No address takes a connection.
    Connecting,
    /// The TLS handshake failed.
    ShakingHands,
    /// It was asked for its version, and did not give one that we speak with.
    Greeting,
}

impl Dialler {
    /// Opens a connection to `address` until `limit`. `listed` is its IP address by the list of nodes: tried last, for
    /// the name may be newer. One that is taken and then cut before anything was asked is opened once more.
    pub(crate) async fn dial(
        &self,
        address: &Address,
        listed: Option<IpAddr>,
        ask_nodes: AskNodes,
        limit: Instant,
    ) -> Result<Dialled, Undialled> {
        let began = Instant::now();
        let mut step = Step::Resolving;
        let twice = async {
            match self.steps(address, listed, ask_nodes != AskNodes::No, limit, &mut step).await {
                Err(undialled) if undialled.again => {
                    self.steps(address, listed, ask_nodes == AskNodes::Only, limit, &mut step).await
                }
                dialled => dialled,
            }
        };
        match timeout_at(limit.into(), twice).await {
            Ok(dialled) => dialled.map_err(|undialled| Undialled { step, ..undialled }),
            Err(_) => Err(Undialled {
                blow: Blow::TimedOut,
                refused: false,
                step,
                again: false,
                reason: format!("{step} took more than {} ms", began.elapsed().as_millis()),
                source: None,
            }),
        }
    }

    async fn steps(
        &self,
        address: &Address,
        listed: Option<IpAddr>,
        ask_nodes: bool,
        limit: Instant,
        step: &mut Step,
    ) -> Result<Dialled, Undialled> {
        let stream = self.open(address, listed, limit, step).await?;
        let mut connection = match &self.tls {
            None => Connection::tcp(stream),
            Some(tls) => {
                *step = Step::ShakingHands;
                let stream = tls.connect(address, stream).await;
                Connection::tls(stream.map_err(|error| Undialled {
                    again: is_cut(&error),
                    ..Undialled::refusing("TLS failed", Some(error.into()))
                })?)
            }
        };
        *step = Step::Greeting;
        let (engine, offer) = connection.greet(ask_nodes).await.map_err(|broken| Undialled {
            // What came in place of a list may be no reply at all.
            again: ask_nodes || broken.discard == Discard::Broken,
            ..Undialled::refusing(broken.reason, broken.source)
        })?;
        match engine {
            Ok(engine) if engine.is_supported() => Ok(Dialled { connection, engine: engine.text, offer }),
            Ok(engine) => Err(Undialled {
                refused: true,
                ..Undialled::refusing(format!("its engine {} is older than 1.6.12", engine.text), None)
            }),
            Err(words) => Err(Undialled::refusing(format!("it answers {words:?}"), None)),
        }
    }

    /// Connects to the first address that answers. Each gets its share of the time, so a dead one leaves some to the next.
    async fn open(
        &self,
        address: &Address,
        listed: Option<IpAddr>,
        limit: Instant,
        step: &mut Step,
    ) -> Result<TcpStream, Undialled> {
        let share = |parts: usize| -> Duration {
            let left = limit.saturating_duration_since(Instant::now());
            left.checked_div(u32::try_from(parts).unwrap_or(u32::MAX)).unwrap_or(left)
        };
        let listed = listed.map(|ip| SocketAddr::new(ip, address.port()));
        let resolving = self.resolver.resolve(address.host(), address.port());
        // With an address at hand, resolving may not use up all the time.
        let resolved = match timeout(share(if listed.is_some() { 2 } else { 1 }), resolving).await {
            Ok(resolved) => resolved,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        let (mut addresses, mut last) = match resolved {
            Ok(addresses) => (alternating(addresses), None),
            Err(error) => (Vec::new(), Some(error)),
        };
        addresses.truncate(ADDRESSES_LIMIT);
        addresses.extend(listed.filter(|listed| !addresses.contains(listed)));
        if addresses.is_empty() {
            let timed_out = last.as_ref().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut);
            let undialled = Undialled::refusing("its name has no address", last.map(Into::into));
            return Err(Undialled { blow: if timed_out { Blow::TimedOut } else { Blow::Refused }, ..undialled });
        }
        *step = Step::Connecting;
        let mut blow = Blow::Refused;
        for (place, address) in addresses.iter().enumerate() {
            match timeout(share(addresses.len().saturating_sub(place)), TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // Neither fails on a socket that is connected; without them it would only be slower.
                    let _ = stream.set_nodelay(true);
                    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                    return Ok(stream);
                }
                Ok(Err(error)) => last = Some(error),
                Err(_) => {
                    blow = Blow::TimedOut;
                    last = Some(io::ErrorKind::TimedOut.into());
                }
            }
        }
        Err(Undialled { blow, ..Undialled::refusing("it gives no connection", last.map(Into::into)) })
    }
}

impl Undialled {
    /// What the operation that needed the connection fails with; `deed` says what could not be done.
    pub(crate) fn failure(self, deed: impl fmt::Display) -> Failure {
        let kind = if self.refused { FailureKind::Refused } else { FailureKind::Unavailable };
        let failure = Failure::new(kind, format!("{deed}: {}", self.reason)).at(self.step);
        match self.source {
            Some(source) => failure.with_source(source),
            None => failure,
        }
    }

    fn refusing(reason: impl Into<String>, source: Option<Box<dyn StdError + Send + Sync>>) -> Self {
        let (blow, step) = (Blow::Refused, Step::Resolving);
        Self { blow, refused: false, step, again: false, reason: reason.into(), source }
    }
}

/// Whether a handshake ended because the connection did, and not by a verdict.
fn is_cut(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolving => "resolving its name",
            Self::Connecting => "connecting",
            Self::ShakingHands => "the TLS handshake",
            Self::Greeting => "the greeting",
        })
    }
}
