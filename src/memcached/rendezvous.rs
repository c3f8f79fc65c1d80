//! Which node a new key gets: rendezvous hashing with a hash that will not change.
//!
//! ```text
//! name       host ":" port, the host in lower case, an IPv6 address in brackets
//! node id    SHA-256(name)[..4]
//! seed       SHA-256(name)[..8] as a big-endian number
//! point      SHA-256(key)[..8] as a big-endian number
//! weight     fmix64(seed ^ point); the node with the largest wins, of equal ones that with the smaller name
//! fmix64(x)  x ^= x >> 33; x *= ff51afd7ed558ccd; x ^= x >> 33; x *= c4ceb9fe1a85ec53; x ^= x >> 33  (MurmurHash3, mod 2^64)
//! ```
//!
//! The name is hashed and never the address: a node that is replaced keeps its name and its keys.

use std::fmt;

use sha2::{Digest, Sha256};

/// The four bytes by which a reference names its node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub [u8; 4]);

impl NodeId {
    /// The id of the node `host:port`.
    ///
    /// ```
    /// # use lambda_session::memcached::NodeId;
    /// assert_eq!(NodeId::of("localhost:11211").0, [0xca, 0x4a, 0x36, 0x4c]);
    /// ```
    pub fn of(name: &str) -> Self {
        let [a, b, c, d, ..] = digest(name.as_bytes());
        Self([a, b, c, d])
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.0;
        write!(f, "NodeId({a:02x}{b:02x}{c:02x}{d:02x})")
    }
}

/// The seed of the node `host:port`.
pub(crate) fn seed(name: &str) -> u64 {
    head(digest(name.as_bytes()))
}

/// The point of a key.
pub(crate) fn point(key: &[u8]) -> u64 {
    head(digest(key))
}

/// How much the node wants the key.
pub(crate) fn weight(seed: u64, point: u64) -> u64 {
    let mut x = seed ^ point;
    x ^= x >> 33;
    x = x.wrapping_mul(0xff51_afd7_ed55_8ccd);
    x ^= x >> 33;
    x = x.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ (x >> 33)
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn head([a, b, c, d, e, f, g, h, ..]: [u8; 32]) -> u64 {
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}
