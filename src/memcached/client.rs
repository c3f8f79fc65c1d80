//! What can be asked of the cluster, and what comes of it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::clock::{Clock, Start};
use super::cluster::Cluster;
use super::dial::{AskNodes, Dialler};
use super::exchange::Answer;
use super::node::Node;
use super::observer::Event;
use super::protocol::{Command, Mode, Status};
use super::tls::Tls;
use super::{Failure, FailureKind, Key, NodeId, Settings, Ttl};

/// A client of one cluster. Clones share their connections.
///
/// Every operation names its node and ends at its `limit`, or sooner by the settings. A failure's
/// [`kind`](Failure::kind) says what became of it; a node that is no longer in the list has no values: that is a miss.
///
/// It belongs to one tokio runtime, as its sockets do: an operation on a connection of a runtime that is not driven hears
/// nothing, its limit neither. A runtime that has ended is no harm: its connections are opened anew.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

/// What all clones share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) cluster: Cluster,
    pub(crate) dialler: Dialler,
    /// Held by whoever asks for the list of nodes.
    pub(crate) asking: tokio::sync::Mutex<()>,
}

/// Until when an operation is worth waiting for: an [`Instant`], or a [`Limit`] that several operations share.
#[derive(Clone, Debug)]
pub struct Limit {
    pub(crate) end: Instant,
    /// What operations on open connections have taken so far, in nanoseconds.
    warm: Option<Arc<AtomicU64>>,
}

/// A value, and its CAS number.
#[derive(Clone, PartialEq, Eq)]
pub struct Value {
    /// The value.
    pub bytes: Vec<u8>,
    /// What [`Client::replace`] compares.
    pub cas: u64,
}

/// What became of an [`add`](Client::add).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is stored.
    Stored,
    /// There was a value under the key, which stays.
    Exists,
}

/// What became of a [`replace`](Client::replace).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// It is stored.
    Stored,
    /// Somebody else was first, and their value stays.
    Conflict,
    /// There is no value any more, and there still is none.
    Gone,
}

/// What became of a [`delete`](Client::delete).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// The value is gone.
    Done,
    /// There was none.
    NotFound,
    /// It has another CAS number than the one to compare, and stays.
    Conflict,
}

/// What is known of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeReport {
    /// `host:port`.
    pub name: String,
    /// By what a reference names it.
    pub id: NodeId,
    /// Whether its breaker is open.
    pub is_down: bool,
    /// How many connections to it are idle.
    pub idle: usize,
    /// The version of its engine, once one connection was open.
    pub engine: Option<String>,
}

/// What a connection to a node showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The version of its engine.
    pub engine: String,
    /// How long resolving, connecting and greeting took.
    pub took: Duration,
    /// Whether TLS is spoken.
    pub tls: bool,
}

impl From<Instant> for Limit {
    fn from(end: Instant) -> Self {
        Self { end, warm: None }
    }
}

impl Limit {
    /// Operations that belong together end at `end`, and those on open connections take no longer together than
    /// [`warm_time`](Settings::warm_time): `warm` counts what they have taken, in nanoseconds.
    pub fn shared(end: Instant, warm: Arc<AtomicU64>) -> Self {
        Self { end, warm: Some(warm) }
    }

    /// What operations on open connections have taken so far.
    pub(crate) fn spent(&self) -> Duration {
        Duration::from_nanos(self.warm.as_ref().map_or(0, |warm| warm.load(Ordering::Relaxed)))
    }

    /// Counts an operation on an open connection.
    pub(crate) fn spend(&self, clock: &Clock, began: Start) {
        if let Some(warm) = &self.warm {
            let took = u64::try_from(clock.took(began).as_nanos()).unwrap_or(u64::MAX);
            warm.fetch_add(took, Ordering::Relaxed);
        }
    }
}

impl Client {
    /// A client by these settings. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// [`FailureKind::Settings`] for settings that make no sense together, and for a CA that cannot be read.
    pub fn new(settings: Settings) -> Result<Self, Failure> {
        let tls = if settings.speaks_tls() { Some(Tls::new(&settings)?) } else { None };
        Ok(Self(Arc::new(Shared {
            cluster: Cluster::new(settings.clone())?,
            dialler: Dialler { resolver: settings.resolver.clone(), tls },
            asking: tokio::sync::Mutex::default(),
            settings,
        })))
    }

    /// The node for something new, by rendezvous hashing of `key` (random bytes will do) among the nodes that answer.
    /// Costs no round trip once the nodes are known.
    ///
    /// # Errors
    ///
    /// [`FailureKind::Unavailable`] if no node answers but those to `avoid`, or the list of nodes cannot be had.
    pub async fn choose_node(&self, key: &[u8], avoid: &[NodeId], deadline: Instant) -> Result<NodeId, Failure> {
        let list = self.0.nodes(deadline).await?;
        list.choose(key, avoid).map(|node| node.id).ok_or_else(|| {
            let message = format!("none of {} cache nodes answers", list.nodes.len());
            Failure::new(FailureKind::Unavailable, message)
        })
    }

    /// Reads a value, which goes on living for as long as it had left: one round trip. `None` is a miss.
    ///
    /// # Errors
    ///
    /// [`FailureKind::Unavailable`] or [`FailureKind::Refused`]; never [`FailureKind::Unknown`].
    pub async fn get(&self, node: NodeId, key: &Key, limit: impl Into<Limit>) -> Result<Option<Value>, Failure> {
        self.read(node, &Command::Get { key, touch: None }, limit.into()).await
    }

    /// Reads a value, which from now on lives for `ttl`: one round trip. `None` is a miss.
    ///
    /// # Errors
    ///
    /// [`FailureKind::Unavailable`] or [`FailureKind::Refused`]; never [`FailureKind::Unknown`].
    pub async fn get_and_touch(
        &self,
        node: NodeId,
        key: &Key,
        ttl: Ttl,
        limit: impl Into<Limit>,
    ) -> Result<Option<Value>, Failure> {
        self.read(node, &Command::Get { key, touch: Some(ttl) }, limit.into()).await
    }

    async fn read(&self, node: NodeId, command: &Command<'_>, limit: Limit) -> Result<Option<Value>, Failure> {
        match self.0.perform(node, command, &limit).await? {
            Some(Answer { status: Status::Value(_), cas, value }) => Ok(Some(Value { bytes: value, cas })),
            Some(Answer { status: Status::Miss, .. }) | None => Ok(None),
            Some(answer) => Err(refused(command, answer)),
        }
    }

    /// Stores a value if there is none under the key: one round trip.
    ///
    /// # Errors
    ///
    /// [`FailureKind::TooLarge`] before anything is sent; else by what became of it.
    pub async fn add(
        &self,
        node: NodeId,
        key: &Key,
        value: &[u8],
        ttl: Ttl,
        limit: impl Into<Limit>,
    ) -> Result<Added, Failure> {
        self.0.check_size(value)?;
        let command = Command::Set { key, value, ttl, mode: Mode::Add };
        match self.0.perform(node, &command, &limit.into()).await? {
            Some(Answer { status: Status::Done, .. }) => Ok(Added::Stored),
            Some(Answer { status: Status::NotStored, .. }) => Ok(Added::Exists),
            Some(answer) => Err(refused(&command, answer)),
            None => Err(Failure::new(FailureKind::Unavailable, "the cache node was removed from the list")),
        }
    }

    /// Stores a value if the one under the key still has this CAS number: one round trip.
    ///
    /// A write without an answer is looked up: [`Replaced::Conflict`] may then also mean that it was applied, and that
    /// somebody has built upon it.
    ///
    /// # Errors
    ///
    /// [`FailureKind::TooLarge`] before anything is sent, so that what is stored is as it was; else by what became of it.
    pub async fn replace(
        &self,
        node: NodeId,
        key: &Key,
        cas: u64,
        value: &[u8],
        ttl: Ttl,
        limit: impl Into<Limit>,
    ) -> Result<Replaced, Failure> {
        self.0.check_size(value)?;
        let command = Command::Set { key, value, ttl, mode: Mode::Replace(cas) };
        match self.0.perform(node, &command, &limit.into()).await? {
            Some(Answer { status: Status::Done, .. }) => Ok(Replaced::Stored),
            Some(Answer { status: Status::Exists, .. }) => Ok(Replaced::Conflict),
            Some(Answer { status: Status::NotFound, .. }) | None => Ok(Replaced::Gone),
            Some(answer) => Err(refused(&command, answer)),
        }
    }

    /// Deletes a value, with a CAS number only if it still has that one: one round trip.
    ///
    /// A delete without an answer is sent again: [`Deleted::Done`] may then also mean that somebody else has deleted it.
    ///
    /// # Errors
    ///
    /// By what became of it; after [`FailureKind::Unknown`] the value may be there or not.
    pub async fn delete(
        &self,
        node: NodeId,
        key: &Key,
        cas: Option<u64>,
        limit: impl Into<Limit>,
    ) -> Result<Deleted, Failure> {
        let command = Command::Delete { key, cas };
        match self.0.perform(node, &command, &limit.into()).await? {
            Some(Answer { status: Status::Done, .. }) => Ok(Deleted::Done),
            Some(Answer { status: Status::Exists, .. }) => Ok(Deleted::Conflict),
            Some(Answer { status: Status::NotFound, .. }) | None => Ok(Deleted::NotFound),
            Some(answer) => Err(refused(&command, answer)),
        }
    }

    /// How long an operation may take that has to open a connection.
    pub fn cold_time(&self) -> Duration {
        self.0.settings.times.cold
    }

    /// The largest value that is sent, in bytes.
    pub fn value_limit(&self) -> usize {
        self.0.settings.value_limit
    }

    /// The nodes, asking for them if none are known yet.
    ///
    /// # Errors
    ///
    /// [`FailureKind::Unavailable`] if the list of nodes cannot be had.
    pub async fn nodes(&self, deadline: Instant) -> Result<Vec<NodeReport>, Failure> {
        let list = self.0.nodes(deadline).await?;
        Ok(list.nodes.iter().map(report).collect())
    }

    /// The configuration endpoint that lists the nodes, as `host:port`; `None` where the servers are the nodes.
    pub fn endpoint(&self) -> Option<&str> {
        self.0.cluster.endpoint().map(|endpoint| endpoint.name())
    }

    /// Connects to a node anew, whatever its breaker says, and tells who is there: for diagnosis.
    ///
    /// # Errors
    ///
    /// [`FailureKind::Unavailable`] or [`FailureKind::Refused`], with host and reason.
    pub async fn probe(&self, node: NodeId, deadline: Instant) -> Result<Probe, Failure> {
        let Some(node) = self.0.node(node, deadline).await? else {
            return Err(Failure::new(FailureKind::Unavailable, "there is no such cache node"));
        };
        let began = Instant::now();
        let limit = deadline.min(began.checked_add(self.0.settings.times.dial).unwrap_or(began));
        match self.0.dialler.dial(&node.address, node.listed(), AskNodes::No, limit).await {
            Ok(dialled) => {
                Ok(Probe { engine: dialled.engine, took: began.elapsed(), tls: dialled.connection.resumed().is_some() })
            }
            Err(undialled) => Err(undialled.failure(format!("cannot connect to cache node {}", node.name()))),
        }
    }
}

impl Shared {
    pub(crate) fn observe(&self, event: &Event<'_>) {
        self.settings.observer.on(event);
    }

    /// A server that refuses a value for its size deletes the one it has: it must not come to that.
    fn check_size(&self, value: &[u8]) -> Result<(), Failure> {
        let (size, limit) = (value.len(), self.settings.value_limit);
        if size <= limit {
            return Ok(());
        }
        let message = format!("a value of {size} bytes does not fit the cache's limit of {limit} bytes");
        Err(Failure::new(FailureKind::TooLarge, message))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({:?})", self.0.cluster.list())
    }
}

/// A value may be somebody's session: only its size is shown.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({} bytes)", self.bytes.len())
    }
}

/// An error line in answer to a command.
fn refused(command: &Command<'_>, answer: Answer) -> Failure {
    let words = match answer.status {
        Status::Error(words) => words,
        other => format!("{other:?}"),
    };
    let no_room = ["object too large", "out of memory"].iter().any(|reason| words.contains(reason));
    let kind = match command {
        // An engine that finds no room for a value unlinks the one it has, "to avoid stale data".
        Command::Set { mode: Mode::Replace(_), .. } if no_room => FailureKind::Lost,
        Command::Set { mode: Mode::Add, .. } if no_room => FailureKind::Full,
        _ => FailureKind::Refused,
    };
    Failure::new(kind, format!("the cache refused {}: {words:?}", command.name()))
}

fn report(node: &Arc<Node>) -> NodeReport {
    NodeReport {
        name: node.name().to_owned(),
        id: node.id,
        is_down: node.is_down(),
        idle: node.pool.idle(),
        engine: node.engine(),
    }
}
