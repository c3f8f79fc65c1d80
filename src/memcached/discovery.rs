//! Asking for the list of nodes by itself: at the first command, for a node that is not in the list, and when a node
//! gives no connection. In between the question travels with commands ([`attempt`](super::attempt)).

use std::{borrow::Cow, sync::Arc, time::Instant};

use tokio::time::timeout_at;

use super::attempt::later;
use super::client::Shared;
use super::cluster::{List, Source};
use super::connection::{Connection, Offer};
use super::dial::AskNodes;
use super::node::Node;
use super::observer::{Discard, Event};
use super::trouble::blame;
use super::{Failure, FailureKind, NodeId};

/// How many nodes are asked before the endpoint.
const NODES_ASKED: usize = 1;

impl Shared {
    /// The nodes; asks for them if none are known yet.
    pub(crate) async fn nodes(&self, deadline: Instant) -> Result<Arc<List>, Failure> {
        let list = self.cluster.list();
        if !list.nodes.is_empty() {
            return Ok(list);
        }
        self.discover(deadline).await?;
        Ok(self.cluster.list())
    }

    /// The node with this id; `None` if there is none, after asking once.
    pub(crate) async fn node(&self, id: NodeId, deadline: Instant) -> Result<Option<Cow<'_, Arc<Node>>>, Failure> {
        if let Some(node) = self.cluster.find(id) {
            return Ok(Some(node));
        }
        if self.cluster.endpoint().is_none() {
            return Ok(None);
        }
        // Whoever comes again and again with a reference to a node that is gone does not ask again and again.
        if self.cluster.is_missing(id, self.settings.clock.now()) {
            return Ok(None);
        }
        self.discover_for(Some(id), deadline).await?;
        Ok(self.cluster.find(id))
    }

    /// Asks for the list of nodes: a node that is connected, then the endpoint, resolved anew. One operation asks; others
    /// wait for its answer.
    pub(crate) async fn discover(&self, deadline: Instant) -> Result<(), Failure> {
        self.discover_for(None, deadline).await
    }

    /// The same, for a node that is not in the list: a node may have an old list for a while, so it is asked for until
    /// the endpoint does not know it either.
    async fn discover_for(&self, wanted: Option<NodeId>, deadline: Instant) -> Result<(), Failure> {
        let is_found = || wanted.is_none_or(|id| self.cluster.find(id).is_some());
        let Some(endpoint) = self.cluster.endpoint() else { return Ok(()) };
        let now = Instant::now();
        let deadline = deadline.min(now.checked_add(self.settings.times.cold).unwrap_or(now));
        let before = self.cluster.answers();
        let Ok(_flight) = timeout_at(deadline.into(), self.asking.lock()).await else {
            let message = format!("configuration endpoint {} gave no answer in time", endpoint.name());
            return Err(Failure::new(FailureKind::Unavailable, message));
        };
        // Who waited has the answer, also if it is that there is no such node.
        let is_missing = |id| self.cluster.is_missing(id, self.settings.clock.now());
        if wanted.is_some_and(is_missing) || self.cluster.answers() != before && is_found() {
            return Ok(());
        }
        let list = self.cluster.list();
        let connected = list.nodes.iter().filter(|node| node.pool.idle() > 0 && !node.is_down());
        for node in connected.take(NODES_ASKED) {
            if self.ask_node(node, deadline).await.is_some() && is_found() {
                return Ok(());
            }
        }
        self.ask_endpoint(endpoint, deadline).await?;
        if let Some(id) = wanted.filter(|_| !is_found()) {
            self.cluster.miss(id, self.settings.clock.now());
        }
        Ok(())
    }

    /// Asks on a connection that is open. That it brings nothing says nothing about the node: the connection may be old.
    async fn ask_node(&self, node: &Arc<Node>, deadline: Instant) -> Option<()> {
        let start = self.settings.clock.start();
        let (_place, open) = node.pool.enter(start.moment, |reason| node.discarded(reason))?;
        let (connection, _) = open?;
        let limit = deadline.min(later(start.instant, self.settings.times.exchange));
        match connection.ask_nodes(start, limit).await {
            Ok((offer, connection)) => {
                node.pool.put(connection);
                self.cluster.learn(offer, Source::Node, self.settings.clock.now()).ok()
            }
            Err(broken) => {
                node.discarded(broken.discard);
                None
            }
        }
    }

    async fn ask_endpoint(&self, endpoint: &Arc<Node>, deadline: Instant) -> Result<(), Failure> {
        let (times, began) = (&self.settings.times, Instant::now());
        if later(began, times.floor) > deadline {
            let message = format!("there is no time to ask configuration endpoint {}", endpoint.name());
            return Err(Failure::new(FailureKind::Unavailable, message));
        }
        let pass = endpoint.admit(self.settings.clock.now())?;
        let limit = deadline.min(later(began, times.dial));
        let dialled = match self.dialler.dial(&endpoint.address, None, AskNodes::Only, limit).await {
            Ok(dialled) => dialled,
            Err(undialled) => {
                if let Some(blow) = blame(undialled.blow, began, limit, times) {
                    pass.failed(blow, &undialled.reason);
                }
                return Err(undialled.failure(format!("cannot ask configuration endpoint {}", endpoint.name())));
            }
        };
        pass.succeeded();
        let resumed = dialled.connection.resumed();
        self.observe(&Event::Dialled { node: endpoint.name(), took: began.elapsed(), resumed });
        endpoint.met_engine(dialled.engine);
        let now = self.settings.clock.now();
        let offer = dialled.offer.unwrap_or(Offer::None(String::new()));
        let learnt = self.cluster.learn(offer, Source::Endpoint, now);
        self.adopt(endpoint, dialled.connection);
        learnt.map_err(|reason| {
            let message = format!("configuration endpoint {} gave no list of nodes: {reason}", endpoint.name());
            Failure::new(FailureKind::Unavailable, message)
        })
    }

    /// The endpoint's name leads to one of the nodes: its connection is that node's first one.
    fn adopt(&self, endpoint: &Arc<Node>, mut connection: Connection) {
        let peer = connection.plain_peer();
        let list = self.cluster.list();
        let owner = list.nodes.iter().find(|node| {
            let listed = node
                .listed()
                .is_some_and(|ip| peer.is_some_and(|peer| (peer.ip(), peer.port()) == (ip, node.address.port())));
            listed || Arc::ptr_eq(node, endpoint)
        });
        match owner {
            Some(node) if node.pool.idle() == 0 => match node.pool.spare_place() {
                Some(place) => {
                    connection.use_at(self.settings.clock.start());
                    place.put(connection);
                }
                None => endpoint.discarded(Discard::Closed),
            },
            _ => endpoint.discarded(Discard::Closed),
        }
    }
}
