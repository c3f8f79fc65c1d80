//! Every figure of the client, with its default: [`Settings`].

use std::{fmt, sync::Arc, time::Duration};

use super::address::Address;
use super::breaker::Limits;
use super::clock::Clock;
use super::dial::{Resolve, SystemResolver};
use super::observer::Observe;
use super::{Event, Failure};

/// The largest value that every engine stores under its default settings, in bytes, rounded down (measured: 1,048,476).
pub(crate) const VALUE_CEILING_BYTES: usize = 1_000_000;

/// Where the nodes are, and how long to wait for them.
#[derive(Clone)]
pub struct Settings {
    pub(crate) servers: Vec<Address>,
    pub(crate) discovery: Discovery,
    pub(crate) tls: Option<bool>,
    pub(crate) tls_ca: Option<Arc<[u8]>>,
    pub(crate) tls_name: Option<Arc<str>>,
    pub(crate) pool_size: usize,
    pub(crate) value_limit: usize,
    pub(crate) times: Times,
    pub(crate) breaker: Limits,
    pub(crate) clock: Clock,
    pub(crate) observer: Arc<dyn Observe>,
    pub(crate) resolver: Arc<dyn Resolve>,
}

/// The times of the settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) exchange: Duration,
    pub(crate) suspect_exchange: Duration,
    pub(crate) dial: Duration,
    pub(crate) warm: Duration,
    pub(crate) cold: Duration,
    pub(crate) floor: Duration,
    pub(crate) hedge: Duration,
    pub(crate) suspect: Duration,
    pub(crate) idle: Duration,
    pub(crate) list: Duration,
}

/// Whether the server is asked for a list of nodes.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Discovery {
    /// If it is one server and its name holds `.cfg.`.
    #[default]
    ByName,
    /// Yes: it must be one server.
    On,
    /// No: the servers are the nodes.
    Off,
}

impl Settings {
    /// The default settings for these servers: `host:port`, separated by commas; without a port it is 11211.
    ///
    /// Give every client that shares sessions the same list, and change it everywhere at once: under a node that a client does
    /// not know it finds nothing. A configuration endpoint spares you that.
    ///
    /// # Errors
    ///
    /// [`Settings`](super::FailureKind::Settings) for an empty list, a bad entry, or an entry twice.
    pub fn new(servers: &str) -> Result<Self, Failure> {
        let mut addresses: Vec<Address> = Vec::new();
        for entry in servers.split(',').map(str::trim) {
            let address = Address::parse(entry)
                .ok_or_else(|| Failure::settings(format!("cache server {:?} is not host:port", shorten(entry))))?;
            if addresses.contains(&address) {
                return Err(Failure::settings(format!("cache server {} is named twice", address.name())));
            }
            addresses.push(address);
        }
        Ok(Self {
            servers: addresses,
            discovery: Discovery::ByName,
            tls: None,
            tls_ca: None,
            tls_name: None,
            pool_size: 10,
            value_limit: 256 * 1024,
            times: Times {
                exchange: Duration::from_millis(100),
                suspect_exchange: Duration::from_millis(50),
                dial: Duration::from_millis(500),
                warm: Duration::from_millis(250),
                cold: Duration::from_secs(1),
                floor: Duration::from_millis(5),
                hedge: Duration::from_millis(25),
                suspect: Duration::from_secs(1),
                idle: Duration::from_secs(300),
                list: Duration::from_secs(60),
            },
            breaker: Limits { time_outs: 1, refusals: 2, probe: Duration::from_secs(1) },
            clock: Clock::system(),
            observer: Arc::new(Silent),
            resolver: Arc::new(SystemResolver),
        })
    }

    /// Whether to ask the server for a list of nodes: by its name, unless set.
    pub fn discovery(mut self, discovery: Discovery) -> Self {
        self.discovery = discovery;
        self
    }

    /// Whether to speak TLS: with a server whose name holds `.serverless.`, unless set.
    pub fn tls(mut self, on: bool) -> Self {
        self.tls = Some(on);
        self
    }

    /// The authorities to trust, as PEM, in place of the public ones.
    pub fn tls_ca(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.tls_ca = Some(pem.into().into());
        self
    }

    /// The name that certificates must bear, in place of the node's own.
    pub fn tls_name(mut self, name: impl Into<String>) -> Self {
        self.tls_name = Some(name.into().into());
        self
    }

    /// The most connections to one node: 10.
    pub fn pool_size(mut self, connections: usize) -> Self {
        self.pool_size = connections;
        self
    }

    /// The largest value, in bytes: 262,144; at most 1,000,000.
    pub fn value_limit(mut self, bytes: usize) -> Self {
        self.value_limit = bytes;
        self
    }

    /// How long an exchange on an open connection may take: 100 ms.
    pub fn exchange_time(mut self, time: Duration) -> Self {
        self.times.exchange = time;
        self
    }

    /// How long a write waits on a connection that may be dead: 50 ms.
    pub fn suspect_exchange_time(mut self, time: Duration) -> Self {
        self.times.suspect_exchange = time;
        self
    }

    /// How long resolving, connecting, TLS and greeting may take: 500 ms.
    pub fn dial_time(mut self, time: Duration) -> Self {
        self.times.dial = time;
        self
    }

    /// How long an operation may take that finds an open connection: 250 ms.
    pub fn warm_time(mut self, time: Duration) -> Self {
        self.times.warm = time;
        self
    }

    /// How long an operation may take that has to open one: 1 s.
    pub fn cold_time(mut self, time: Duration) -> Self {
        self.times.cold = time;
        self
    }

    /// With less time than this nothing is begun: 5 ms.
    pub fn least_time(mut self, time: Duration) -> Self {
        self.times.floor = time;
        self
    }

    /// How long a read waits on a connection that may be dead before it is sent on a fresh one too: 25 ms.
    pub fn hedge_after(mut self, time: Duration) -> Self {
        self.times.hedge = time;
        self
    }

    /// How long a connection is idle before it may be dead: 1 s.
    pub fn suspect_after(mut self, idle: Duration) -> Self {
        self.times.suspect = idle;
        self
    }

    /// How long a connection is idle before it is closed: 300 s; network equipment forgets it after 350 s.
    pub fn idle_limit(mut self, idle: Duration) -> Self {
        self.times.idle = idle;
        self
    }

    /// How old the list of nodes may be before the next command asks for it: 60 s.
    pub fn list_age(mut self, age: Duration) -> Self {
        self.times.list = age;
        self
    }

    /// After how many time-outs, without an answer in between, a node is down: 1. Then only a probe waits for it.
    pub fn down_after_time_outs(mut self, time_outs: u32) -> Self {
        self.breaker.time_outs = time_outs;
        self
    }

    /// After how many connections that it refuses or breaks, without an answer in between, a node is down: 2.
    pub fn down_after_refusals(mut self, refusals: u32) -> Self {
        self.breaker.refusals = refusals;
        self
    }

    /// How often a node that is down is tried: every second, give or take a quarter.
    pub fn probe_interval(mut self, time: Duration) -> Self {
        self.breaker.probe = time;
        self
    }

    /// Takes the time that policy depends on from another clock: for tests.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Shows what happens to a metrics hook.
    pub fn observer(mut self, observer: Arc<dyn Observe>) -> Self {
        self.observer = observer;
        self
    }

    /// Resolves names in another way.
    pub fn resolver(mut self, resolver: Arc<dyn Resolve>) -> Self {
        self.resolver = resolver;
        self
    }

    /// Whether TLS was turned off for a server that speaks nothing else.
    pub(crate) fn speaks_plainly_with_serverless(&self) -> bool {
        !self.speaks_tls() && self.servers.iter().any(Address::is_serverless)
    }

    /// Whether TLS is spoken.
    pub(crate) fn speaks_tls(&self) -> bool {
        self.tls.unwrap_or_else(|| self.servers.iter().any(Address::is_serverless))
    }

    /// The server to ask for the nodes, if they are asked for; checks what can only be checked together.
    pub(crate) fn check(&self) -> Result<Option<&Address>, Failure> {
        if self.pool_size == 0 {
            return Err(Failure::settings("a pool of 0 connections is too small: give 1 or more"));
        }
        if self.value_limit > VALUE_CEILING_BYTES {
            let limit = self.value_limit;
            return Err(Failure::settings(format!(
                "values of {limit} bytes are too large: give {VALUE_CEILING_BYTES} or less"
            )));
        }
        if self.breaker.time_outs == 0 || self.breaker.refusals == 0 {
            return Err(Failure::settings("a node cannot be down after 0 time-outs or refusals: give 1 or more"));
        }
        let named = self.servers.iter().any(Address::is_configuration_endpoint);
        let asked = match self.discovery {
            Discovery::ByName => named,
            Discovery::On => true,
            Discovery::Off => false,
        };
        match self.servers.as_slice() {
            [only] if asked => Ok(Some(only)),
            _ if asked => Err(Failure::settings("a configuration endpoint must be the only cache server")),
            _ => Ok(None),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("servers", &self.servers)
            .field("times", &self.times)
            .field("breaker", &self.breaker)
            .finish_non_exhaustive()
    }
}

/// Sees nothing.
struct Silent;

impl Observe for Silent {
    fn on(&self, _: &Event<'_>) {}
}

fn shorten(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_make_no_sense_are_refused_at_start() {
        let check = |servers: &str| Settings::new(servers).and_then(|settings| settings.check().map(|_| ()));
        for (name, result, message) in [
            ("empty", check(""), "cache server \"\" is not host:port"),
            ("a bad port", check("a:b"), "cache server \"a:b\" is not host:port"),
            ("a comma too many", check("a:1,"), "cache server \"\" is not host:port"),
            ("twice", check("a:1, A:1"), "cache server a:1 is named twice"),
            ("two endpoints", check("x.cfg.y:1,x.cfg.z:1"), "a configuration endpoint must be the only cache server"),
            (
                "no connections",
                Settings::new("a").unwrap().pool_size(0).check().map(|_| ()),
                "a pool of 0 connections is too small: give 1 or more",
            ),
            (
                "no time-out",
                Settings::new("a").unwrap().down_after_time_outs(0).check().map(|_| ()),
                "a node cannot be down after 0 time-outs or refusals: give 1 or more",
            ),
            (
                "no refusal",
                Settings::new("a").unwrap().down_after_refusals(0).check().map(|_| ()),
                "a node cannot be down after 0 time-outs or refusals: give 1 or more",
            ),
            (
                "large values",
                Settings::new("a").unwrap().value_limit(1_000_001).check().map(|_| ()),
                "values of 1000001 bytes are too large: give 1000000 or less",
            ),
        ] {
            assert_eq!(result.unwrap_err().to_string(), message, "{name}");
        }
    }

    #[test]
    fn discovery_and_tls_go_by_the_name() {
        for (servers, discovered, tls) in [
            ("localhost:11211", false, false),
            ("a:1,b:2,c:3", false, false),
            ("shop.abc.cfg.euw1.cache.amazonaws.com:11211", true, false),
            ("shop-abc.serverless.euw1.cache.amazonaws.com:11211", false, true),
        ] {
            let settings = Settings::new(servers).unwrap();
            assert_eq!(settings.check().unwrap().is_some(), discovered, "{servers}");
            assert_eq!(settings.speaks_tls(), tls, "{servers}");
        }
        assert!(Settings::new("a").unwrap().discovery(Discovery::On).check().unwrap().is_some());
        assert!(Settings::new("a.cfg.b").unwrap().discovery(Discovery::Off).check().unwrap().is_none());
    }
}
