//! One node: its name, its connections, and whether it answers.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::address::Address;
use super::breaker::{Admission, Blow, Breaker};
use super::clock::{Clock, Moment, random_bits};
use super::observer::{BreakerState, Discard, Event, Observe};
use super::pool::Pool;
use super::rendezvous::{NodeId, seed};
use super::{Failure, FailureKind, Settings};

/// A node of the cluster, or the configuration endpoint.
pub(crate) struct Node {
    pub(crate) address: Address,
    pub(crate) id: NodeId,
    pub(crate) seed: u64,
    pub(crate) pool: Pool,
    health: Mutex<Health>,
    /// Whether nothing has failed since something succeeded: then there is nothing to look up or to change in `health`.
    is_well: AtomicBool,
    clock: Clock,
    observer: Arc<dyn Observe>,
}

struct Health {
    breaker: Breaker,
    /// Its address by the list of nodes.
    listed: Option<IpAddr>,
    /// Why it is down.
    reason: String,
    engine: Option<String>,
}

/// Leave to try a node. Whoever has it says how it went; dropped without a word, it says nothing about the node.
pub(crate) struct Pass<'a> {
    node: &'a Node,
    admission: Admission,
    told: bool,
}

impl Node {
    pub(crate) fn new(address: Address, listed: Option<IpAddr>, settings: &Settings) -> Self {
        let breaker = Breaker::new(settings.breaker);
        Self {
            id: NodeId::of(address.name()),
            seed: seed(address.name()),
            pool: Pool::new(settings.pool_size, settings.times.idle),
            health: Mutex::new(Health { breaker, listed, reason: String::new(), engine: None }),
            is_well: AtomicBool::new(true),
            clock: settings.clock.clone(),
            observer: settings.observer.clone(),
            address,
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.address.name()
    }

    /// Whether nothing has failed since something succeeded: then it may be tried without asking.
    pub(crate) fn is_well(&self) -> bool {
        self.is_well.load(Ordering::Relaxed)
    }

    /// Leave to try the node, which was well.
    pub(crate) fn pass(&self) -> Pass<'_> {
        Pass { node: self, admission: Admission::Through, told: false }
    }

    /// The node, which was well, answered.
    pub(crate) fn answered(&self) {
        if !self.is_well() {
            self.pass().succeeded();
        }
    }

    /// Leave to try the node, unless it is down.
    pub(crate) fn admit(&self, now: Moment) -> Result<Pass<'_>, Failure> {
        if self.is_well() {
            return Ok(self.pass());
        }
        let mut health = self.health();
        match health.breaker.admit(now) {
            Admission::Refused => {
                let message = format!("cache node {} is down: {}", self.name(), health.reason);
                Err(Failure::new(FailureKind::Unavailable, message))
            }
            admission => Ok(Pass { node: self, admission, told: false }),
        }
    }

    pub(crate) fn is_down(&self) -> bool {
        self.health().breaker.is_open()
    }

    pub(crate) fn takes_new_keys(&self) -> bool {
        if self.is_well() {
            return true;
        }
        let now = self.clock.now();
        self.health().breaker.takes_new_keys(now)
    }

    pub(crate) fn listed(&self) -> Option<IpAddr> {
        self.health().listed
    }

    pub(crate) fn engine(&self) -> Option<String> {
        self.health().engine.clone()
    }

    pub(crate) fn met_engine(&self, engine: String) {
        self.health().engine = Some(engine);
    }

    /// Whether a new list has another address for it: then that is another machine.
    pub(crate) fn is_elsewhere(&self, listed: Option<IpAddr>) -> bool {
        let known = self.listed();
        known.is_some() && listed.is_some() && known != listed
    }

    /// Takes over the address that a new list has for it.
    pub(crate) fn is_listed_at(&self, listed: Option<IpAddr>) {
        let mut health = self.health();
        health.listed = listed.or(health.listed);
    }

    /// The machine is no longer in the list: what is idle is closed, and what is put back from now on.
    pub(crate) fn leave(&self) {
        self.discarded_all(self.pool.close());
    }

    /// Closes the breaker, and says whether it was open.
    fn succeeded(&self) -> bool {
        let mut health = self.health();
        self.is_well.store(true, Ordering::Relaxed);
        health.breaker.succeeded()
    }

    pub(crate) fn discarded(&self, reason: Discard) {
        self.observer.on(&Event::Discarded { node: self.name(), reason });
    }

    /// Connections that were closed unused.
    pub(crate) fn discarded_all(&self, connections: usize) {
        (0..connections).for_each(|_| self.discarded(Discard::Closed));
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Pass<'a> {
    /// Leave to go on after a wait, in which others may have found that the node is down.
    pub(crate) fn after_waiting(self, now: Moment) -> Result<Self, Failure> {
        if self.admission == Admission::Probe || self.node.is_well() { Ok(self) } else { self.node.admit(now) }
    }
}

impl Pass<'_> {
    /// The node answered.
    pub(crate) fn succeeded(mut self) {
        self.told = true;
        if self.node.is_well() {
            return;
        }
        let closed = self.node.succeeded();
        if closed {
            tracing::info!(node = self.node.name(), "cache node answers again");
            self.node.observer.on(&Event::Breaker { node: self.node.name(), state: BreakerState::Closed });
        }
    }

    /// The node did not answer.
    pub(crate) fn failed(mut self, blow: Blow, reason: &str) {
        self.told = true;
        let now = self.node.clock.now();
        let mut health = self.node.health();
        self.node.is_well.store(false, Ordering::Relaxed);
        reason.clone_into(&mut health.reason);
        let opened = health.breaker.failed(self.admission, blow, now, random_bits());
        drop(health);
        if opened {
            tracing::warn!(node = self.node.name(), reason, "cache node is down");
            self.node.observer.on(&Event::Breaker { node: self.node.name(), state: BreakerState::Open });
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if !self.told && self.admission == Admission::Probe {
            self.node.health().breaker.gave_up();
        }
    }
}
