//! An operation from end to end: its node is found, one exchange is all it needs; else it is tried again, or elsewhere.

use std::sync::Arc;

use super::attempt::Attempt;
use super::client::{Limit, Shared};
use super::cluster::Source;
use super::exchange::{Answer, Exchanged};
use super::node::Node;
use super::protocol::Command;
use super::trouble::Trouble;
use super::warm::Hindered;
use super::{Failure, NodeId};

impl Shared {
    /// Carries a command out on a node; `None` if the node is no longer in the list.
    pub(crate) async fn perform(
        &self,
        id: NodeId,
        command: &Command<'_>,
        limit: &Limit,
    ) -> Result<Option<Answer>, Failure> {
        let found = match self.cluster.find(id) {
            Some(node) => Some(node),
            // Seldom, and large, as what follows the exchange: what is waited for in every operation shall be small.
            None => Box::pin(self.node(id, limit.end)).await?,
        };
        let Some(node) = found else { return Ok(None) };
        let attempt = self.attempt(&node);
        let hindered = match attempt.set_out(command, limit) {
            Err(hindered) => hindered,
            Ok((mut exchange, end, under_way)) => {
                let heard = exchange.hear(end).await;
                match exchange.end(heard, under_way.start.instant) {
                    Ok(Exchanged { answer, offer: None, connection: Ok(connection) }) => {
                        attempt.arrive(under_way, connection, limit);
                        return Ok(Some(answer));
                    }
                    heard => Hindered::Heard { under_way, heard: Box::new(heard) },
                }
            }
        };
        Box::pin(self.go_on(&node, hindered, command, limit)).await
    }

    /// What is left of an operation that was hindered.
    async fn go_on(
        &self,
        node: &Arc<Node>,
        hindered: Hindered<'_>,
        command: &Command<'_>,
        limit: &Limit,
    ) -> Result<Option<Answer>, Failure> {
        match self.attempt(node).go_on(hindered, command, limit).await {
            Ok(answer) => Ok(Some(answer)),
            Err(trouble) => self.look_elsewhere(node, command, limit, trouble).await,
        }
    }

    /// Perhaps a node that gives no connection is not down but gone, or elsewhere.
    async fn look_elsewhere(
        &self,
        node: &Arc<Node>,
        command: &Command<'_>,
        limit: &Limit,
        trouble: Trouble,
    ) -> Result<Option<Answer>, Failure> {
        if !trouble.undialled || !self.cluster.is_doubtful(self.settings.clock.now()) {
            return Err(trouble.failure);
        }
        let listed = node.listed();
        if self.discover(limit.end).await.is_err() {
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
