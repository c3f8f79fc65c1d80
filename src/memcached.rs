//! A client for ElastiCache for Memcached, made for Lambda: it knows nothing of sessions.
//!
//! ```text
//! protocol    bytes <-> commands and replies, no I/O
//! connection  one exchange at a time; an exchange consumes it and gives it back only after a whole, expected reply
//! pool        the open connections to one node: bounded, last in, first out
//! node        pool and breaker of one node; what an attempt costs the node's good name
//! cluster     which nodes there are, which one a new key gets, what a configuration endpoint's answer changes
//! client      one deadline per operation, one retry, hedged reads, and what became of a write
//! ```
//!
//! There is no background task: a Lambda environment freezes between requests. Whatever must be done from time to time
//! (discovery, probing a node that is down, closing old connections) is done by an operation that is under way anyway.
//!
//! ```no_run
//! # async fn example() -> Result<(), lambda_session::memcached::Failure> {
//! use std::time::{Duration, Instant, SystemTime};
//! use lambda_session::memcached::{Added, Client, Key, Settings, Ttl};
//!
//! let client = Client::new(Settings::new("localhost:11211")?)?;
//! let deadline = Instant::now() + Duration::from_secs(1);
//! let key = Key::new("greeting").expect("a legal key");
//! let ttl = Ttl::after(Duration::from_secs(60), SystemTime::now()).expect("more than zero");
//!
//! let node = client.choose_node(b"random bytes", &[], deadline).await?;
//! assert_eq!(client.add(node, &key, b"hello", ttl, deadline).await?, Added::Stored);
//! let value = client.get_and_touch(node, &key, ttl, deadline).await?.expect("just stored");
//! assert_eq!(value.bytes, b"hello");
//! # Ok(())
//! # }
//! ```

mod address;
mod alarm;
mod attempt;
mod breaker;
mod client;
mod clock;
mod cluster;
mod connection;
mod dial;
mod discovery;
mod exchange;
mod failure;
mod key;
mod node;
mod observer;
mod perform;
mod pool;
pub mod protocol;
mod rendezvous;
mod settings;
mod settle;
mod socket;
mod stream;
mod timer;
mod tls;
mod trouble;
mod warm;
#[cfg(target_os = "linux")]
mod watch;

pub use self::client::{Added, Client, Deleted, Limit, NodeReport, Probe, Replaced, Value};
pub use self::clock::{Clock, Moment};
pub use self::dial::{Resolve, Step};
pub use self::failure::{Failure, FailureKind};
pub use self::key::{Key, Ttl};
pub use self::observer::{BreakerState, Discard, Event, Observe};
pub use self::rendezvous::NodeId;
pub use self::settings::{Discovery, Settings};
