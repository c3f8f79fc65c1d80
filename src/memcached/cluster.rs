//! Which nodes there are, and what an answer of the configuration endpoint changes.

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::address::Address;
use super::clock::Moment;
use super::connection::Offer;
use super::node::Node;
use super::observer::{BreakerState, Event};
use super::protocol::Nodes;
use super::rendezvous::{NodeId, point, weight};
use super::{Failure, Settings};
use crate::notice::Notice;

/// How soon the list is asked for again on the way where that brought nothing.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// How long a node that was asked for in vain is not asked for again.
const MISSING_FOR: Duration = Duration::from_secs(10);
/// How many such nodes are remembered: more were never taken out of one cluster within that time (ElastiCache has 60 at most).
const MISSING_LIMIT: usize = 64;
/// How old the list is at least when it is doubted because a node gives no connection.
const DOUBT_AFTER: Duration = Duration::from_secs(1);

/// The nodes, and the endpoint that lists them.
pub(crate) struct Cluster {
    settings: Settings,
    endpoint: Option<Arc<Node>>,
    list: Known,
    asked: Mutex<Asked>,
    /// The nodes that were asked for in vain, and when.
    missing: Mutex<Vec<(NodeId, Moment)>>,
    trouble: Notice,
}

/// What is known of the nodes.
enum Known {
    /// The servers are the nodes: an operation borrows its own, without a lock.
    Fixed(Arc<List>),
    /// An endpoint lists them.
    Followed(Mutex<Arc<List>>),
}

/// The nodes at one moment.
#[derive(Default)]
pub(crate) struct List {
    /// `None` for nodes that no configuration endpoint listed.
    pub(crate) version: Option<u64>,
    pub(crate) nodes: Vec<Arc<Node>>,
    /// Id and seed of each, in a row: whoever looks for one of sixty nodes does not look at sixty places in memory.
    marks: Vec<(NodeId, u64)>,
}

#[derive(Default)]
struct Asked {
    /// When a command last went out with the question.
    asked: Option<Moment>,
    /// When the list was last confirmed.
    confirmed: Option<Moment>,
    /// How many answers were good.
    answers: u64,
}

/// Who said what the nodes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A node of the list.
    Node,
    /// The configuration endpoint, resolved anew.
    Endpoint,
}

/// What to do with a list that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It is the one that we have.
    Confirm,
    /// It is newer.
    Adopt,
    /// It is older, and ours is alive.
    Ignore,
}

impl Cluster {
    pub(crate) fn new(settings: Settings) -> Result<Self, Failure> {
        let node = |address: &Address| Arc::new(Node::new(address.clone(), None, &settings));
        let endpoint = settings.check()?.map(node);
        let nodes = if endpoint.is_some() { Vec::new() } else { settings.servers.iter().map(node).collect() };
        if has_twins(&nodes) {
            return Err(Failure::settings("two cache servers have the same node id: give one of them another name"));
        }
        let list = Arc::new(List::new(None, nodes));
        let list = if endpoint.is_some() { Known::Followed(Mutex::new(list)) } else { Known::Fixed(list) };
        Ok(Self {
            endpoint,
            list,
            asked: Mutex::default(),
            missing: Mutex::default(),
            trouble: Notice::new(),
            settings,
        })
    }

    pub(crate) fn list(&self) -> Arc<List> {
        match &self.list {
            Known::Fixed(list) => list.clone(),
            Known::Followed(list) => locked(list).clone(),
        }
    }

    /// The node with this id.
    pub(crate) fn find(&self, id: NodeId) -> Option<Cow<'_, Arc<Node>>> {
        match &self.list {
            Known::Fixed(list) => list.find(id).map(Cow::Borrowed),
            Known::Followed(list) => locked(list).find(id).cloned().map(Cow::Owned),
        }
    }

    /// The endpoint that lists the nodes, if there is one.
    pub(crate) fn endpoint(&self) -> Option<&Arc<Node>> {
        self.endpoint.as_ref()
    }

    /// Whether the next command is to ask for the list too. Whoever is told so asks; nobody else does for a while.
    pub(crate) fn is_due(&self, now: Moment) -> bool {
        if self.endpoint.is_none() {
            return false;
        }
        let mut asked = self.asked();
        let older = |moment: Option<Moment>, age| moment.is_none_or(|moment| now.since(moment) > age);
        let due = older(asked.confirmed, self.settings.times.list) && older(asked.asked, ASK_AGAIN_AFTER);
        if due {
            asked.asked = Some(now);
        }
        due
    }

    /// Whether it is worth asking for the list because a node gives no connection.
    pub(crate) fn is_doubtful(&self, now: Moment) -> bool {
        self.endpoint.is_some() && self.asked().confirmed.is_none_or(|confirmed| now.since(confirmed) > DOUBT_AFTER)
    }

    /// Whether this node was asked for in vain a moment ago.
    pub(crate) fn is_missing(&self, id: NodeId, now: Moment) -> bool {
        self.missing().iter().any(|(missing, since)| *missing == id && now.since(*since) < MISSING_FOR)
    }

    /// The nodes were asked for, and this one is not among them.
    pub(crate) fn miss(&self, id: NodeId, now: Moment) {
        let mut missing = self.missing();
        missing.retain(|(known, since)| *known != id && now.since(*since) < MISSING_FOR);
        if missing.len() < MISSING_LIMIT {
            missing.push((id, now));
        }
    }

    /// How many good answers there were: whoever waited for one knows whether it came.
    pub(crate) fn answers(&self) -> u64 {
        self.asked().answers
    }

    /// Takes in what was said about the nodes. Whether it was any good; if not, the list stays as it is.
    pub(crate) fn learn(&self, offer: Offer, source: Source, now: Moment) -> Result<(), String> {
        let adopted = match offer {
            Offer::Nodes(nodes) => self.adopt(nodes, source),
            Offer::None(words) => self.adopt_single_endpoint(&words),
            Offer::Garbled(malformed) => Err(malformed.to_string()),
        };
        match adopted {
            Ok(()) => {
                let mut asked = self.asked();
                asked.confirmed = Some(now);
                asked.answers = asked.answers.wrapping_add(1);
            }
            Err(ref reason) => {
                if self.trouble.is_due_now() {
                    tracing::warn!(
                        reason,
                        "the list of cache nodes is no good; the one before stays (said once a minute)"
                    );
                }
                self.settings.observer.on(&Event::ListRefused { reason });
            }
        }
        adopted
    }

    fn adopt(&self, nodes: Nodes, source: Source) -> Result<(), String> {
        let mut list = self.followed()?;
        let dead = source == Source::Endpoint && list.nodes.iter().all(|node| node.is_down());
        let changed = match judge(list.version, nodes.version, dead) {
            Verdict::Ignore => return Err(format!("version {} after a newer one", nodes.version)),
            Verdict::Confirm => false,
            Verdict::Adopt => {
                let next = self.following(&list, &nodes)?;
                let kept = |node: &Arc<Node>| next.nodes.iter().any(|other| Arc::ptr_eq(node, other));
                for node in list.nodes.iter().filter(|node| !kept(node)) {
                    node.leave();
                    if node.is_down() && next.nodes.iter().any(|other| other.id == node.id) {
                        let event = Event::Breaker { node: node.name(), state: BreakerState::Closed };
                        self.settings.observer.on(&event);
                    }
                }
                *list = Arc::new(next);
                true
            }
        };
        let event = Event::List { version: nodes.version, nodes: list.nodes.len(), changed };
        drop(list);
        if changed {
            tracing::info!(version = nodes.version, nodes = nodes.nodes.len(), "the list of cache nodes changed");
        }
        self.settings.observer.on(&event);
        Ok(())
    }

    /// The next list; a node that stays keeps its connections. One that is on another machine by now is another node, even though
    /// keys go by its name: what is still under way to the old machine must not be put back among the new one's connections.
    fn following(&self, list: &List, nodes: &Nodes) -> Result<List, String> {
        let next: Vec<_> = nodes
            .nodes
            .iter()
            .map(|listed| match list.nodes.iter().find(|node| node.address == listed.address) {
                Some(node) if !node.is_elsewhere(listed.ip) => node.clone(),
                _ => Arc::new(Node::new(listed.address.clone(), listed.ip, &self.settings)),
            })
            .collect();
        if has_twins(&next) {
            return Err("two nodes with the same node id".to_owned());
        }
        nodes.nodes.iter().zip(&next).for_each(|(listed, node)| node.is_listed_at(listed.ip));
        Ok(List::new(Some(nodes.version), next))
    }

    /// A server that does not know the question is the only one, as with ElastiCache Serverless and plain memcached; but not where
    /// it had listed some, and not one that has no list just now (`END`) or cannot tell (`SERVER_ERROR`): then its answer is a
    /// fault, and believing it would log everybody out.
    fn adopt_single_endpoint(&self, words: &str) -> Result<(), String> {
        let mut list = self.followed()?;
        match &self.endpoint {
            Some(endpoint) if list.version.is_none() && knows_no_list(words) => {
                if list.nodes.is_empty() {
                    *list = Arc::new(List::new(None, vec![endpoint.clone()]));
                }
                Ok(())
            }
            _ => Err(format!("{words:?} in place of a list")),
        }
    }

    fn followed(&self) -> Result<MutexGuard<'_, Arc<List>>, String> {
        match &self.list {
            Known::Fixed(_) => Err("a list that nobody asked for".to_owned()),
            Known::Followed(list) => Ok(locked(list)),
        }
    }

    fn missing(&self) -> MutexGuard<'_, Vec<(NodeId, Moment)>> {
        locked(&self.missing)
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        locked(&self.asked)
    }
}

impl List {
    fn new(version: Option<u64>, nodes: Vec<Arc<Node>>) -> Self {
        let marks = nodes.iter().map(|node| (node.id, node.seed)).collect();
        Self { version, nodes, marks }
    }

    pub(crate) fn find(&self, id: NodeId) -> Option<&Arc<Node>> {
        let place = self.marks.iter().position(|(mark, _)| *mark == id)?;
        self.nodes.get(place)
    }

    /// The node for a new key, among those that take new keys and are not to be avoided. Where none takes any, whichever it
    /// is finds out whether it is back: its breaker lets one through now and then, and refuses the others at once.
    pub(crate) fn choose(&self, key: &[u8], avoid: &[NodeId]) -> Option<&Arc<Node>> {
        let point = point(key);
        let heaviest = |able: fn(&Node) -> bool| {
            let candidates = self.marks.iter().zip(&self.nodes).filter(|((id, _), _)| !avoid.contains(id));
            let weighed = candidates.map(|(&(_, seed), node)| (weight(seed, point), node));
            let chosen = weighed
                .filter(|(_, node)| able(node))
                .max_by(|(one, node), (other, than)| one.cmp(other).then_with(|| than.name().cmp(node.name())));
            chosen.map(|(_, node)| node)
        };
        // Seldom is a node down: so the first look is at the marks alone.
        let first = heaviest(|_| true)?;
        if first.takes_new_keys() { Some(first) } else { heaviest(Node::takes_new_keys).or(Some(first)) }
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.nodes.iter().map(|node| node.name())).finish()
    }
}

/// An engine's words for a command that it does not know.
fn knows_no_list(words: &str) -> bool {
    words.split(' ').next() == Some("ERROR")
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn has_twins(nodes: &[Arc<Node>]) -> bool {
    let mut ids: Vec<_> = nodes.iter().map(|node| node.id).collect();
    ids.sort_unstable();
    ids.windows(2).any(|pair| matches!(pair, [one, other] if one == other))
}

/// An older list is one that a node has not heard the end of; or that of a cluster that was made anew under the same
/// name, if no node of ours is left.
fn judge(ours: Option<u64>, offered: u64, dead: bool) -> Verdict {
    match ours {
        Some(ours) if offered == ours => Verdict::Confirm,
        Some(ours) if offered < ours && !dead => Verdict::Ignore,
        _ => Verdict::Adopt,
    }
}

#[cfg(test)]
mod tests;
