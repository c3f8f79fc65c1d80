//! An operation from end to end: its node is found, one exchange is all it needs; else it is tried again, or elsewhere.

use std::{future::Future, pin::Pin, sync::Arc};

use super::attempt::{Attempt, UnderWay};
use super::client::{Limit, Shared};
use super::cluster::Source;
use super::exchange::{Answer, Exchanged};
use super::node::Node;
use super::protocol::Command;
use super::trouble::Trouble;
use super::{Failure, NodeId};

/// What is seldom waited for, and large: the future of every operation shall be small.
type Seldom<'a> = Pin<Box<dyn Future<Output = Result<Option<Answer>, Failure>> + Send + 'a>>;

impl Shared {
    /// Carries a command out on a node; `None` if the node is no longer in the list.
    pub(crate) async fn perform(
        &self,
        id: NodeId,
        command: &Command<'_>,
        limit: &Limit,
    ) -> Result<Option<Answer>, Failure> {
        let Some(node) = self.cluster.find(id) else { return self.look_up(id, command, limit).await };
        let attempt = self.attempt(&node);
        let Some((mut exchange, end, place)) = attempt.set_out(command, limit) else {
            return self.go_on(&node, None, command, limit).await;
        };
        let heard = exchange.hear(end).await;
        let exchange = match exchange.done(&heard) {
            Ok(connection) => {
                attempt.arrive(place, connection, limit);
                return Ok(Some(Answer::done()));
            }
            Err(exchange) => exchange,
        };
        let start = exchange.start();
        match exchange.end(heard) {
            Ok(Exchanged { answer, offer: None, connection: Ok(connection) }) => {
                attempt.arrive(place, connection, limit);
                Ok(Some(answer))
            }
            heard => self.go_on(&node, Some(UnderWay { place, start, heard: Box::new(heard) }), command, limit).await,
        }
    }

    /// An operation on a node that is not in the list, as far as we know.
    #[cold]
    fn look_up<'a>(&'a self, id: NodeId, command: &'a Command<'_>, limit: &'a Limit) -> Seldom<'a> {
        Box::pin(async move {
            match self.node(id, limit.end).await? {
                Some(node) => self.go_on(&node, None, command, limit).await,
                None => Ok(None),
            }
        })
    }

    /// An operation that needs more than an exchange on an open connection: all of it, or what is left after an exchange that
    /// brought no answer, or more than one, or a connection that is good for nothing more.
    #[cold]
    fn go_on<'a>(
        &'a self,
        node: &'a Arc<Node>,
        under_way: Option<UnderWay<'a>>,
        command: &'a Command<'_>,
        limit: &'a Limit,
    ) -> Seldom<'a> {
        Box::pin(async move {
            let attempt = self.attempt(node);
            let done = match under_way {
                None => attempt.carry_out(command, limit).await,
                Some(under_way) => attempt.go_on(under_way, command, limit).await,
            };
            match done {
                Ok(answer) => Ok(Some(answer)),
                Err(trouble) => self.look_elsewhere(node, command, limit, trouble).await,
            }
        })
    }

    /// Perhaps a node that gives no connection is not down but gone, or elsewhere.
    async fn look_elsewhere(
        &self,
        node: &Arc<Node>,
        command: &Command<'_>,
        limit: &Limit,
        trouble: Trouble,
    ) -> Result<Option<Answer>, Failure> {
        let until = trouble.undialled.filter(|_| self.cluster.is_doubtful(self.settings.clock.now()));
        let Some(until) = until else { return Err(trouble.failure) };
        let listed = node.listed();
        if self.discover(until).await.is_err() {
            return Err(trouble.failure);
        }
        match self.cluster.find(node.id) {
            None => Ok(None),
            Some(again) if Arc::ptr_eq(&again, node) && again.listed() == listed => Err(trouble.failure),
            Some(again) => match self.attempt(&again).carry_out(command, limit).await {
                Ok(answer) => Ok(Some(answer)),
                Err(trouble) => Err(trouble.failure),
            },
        }
    }

    fn attempt<'a>(&'a self, node: &'a Arc<Node>) -> Attempt<'a> {
        let is_endpoint = self.cluster.endpoint().is_some_and(|endpoint| Arc::ptr_eq(endpoint, node));
        Attempt { shared: self, node, source: if is_endpoint { Source::Endpoint } else { Source::Node } }
    }
}
