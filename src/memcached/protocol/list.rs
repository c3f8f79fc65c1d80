//! The list of nodes that a configuration endpoint gives.
//!
//! ```text
//! <version> LF host|ip|port host|ip|port … LF          the ip may be empty
//! ```

use std::net::IpAddr;

use super::reply::Malformed;
use crate::memcached::address::Address;

/// The most nodes that a list may name; ElastiCache has at most 60 in a cluster.
const NODES_LIMIT: usize = 512;

/// A list of nodes, checked whole: one bad entry spoils it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nodes {
    /// Grows with every change.
    pub version: u64,
    /// At least one node, each with another name.
    pub nodes: Vec<Listed>,
}

/// A node of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub(crate) address: Address,
    pub(crate) ip: Option<IpAddr>,
}

impl Nodes {
    /// The list that is written so.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let text = std::str::from_utf8(payload).map_err(|_| Malformed("a list that is not text"))?;
        let (version, rest) = text.split_once('\n').ok_or(Malformed("a list without a version"))?;
        let version = version.trim_end_matches('\r');
        let digits = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
        let version = version.parse().ok().filter(|_| digits).ok_or(Malformed("a list without a version"))?;
        let mut nodes: Vec<Listed> = Vec::new();
        for entry in rest.split([' ', '\n', '\r']).filter(|entry| !entry.is_empty()) {
            let listed = Listed::parse(entry).ok_or(Malformed("a list with a bad entry"))?;
            if nodes.len() >= NODES_LIMIT {
                return Err(Malformed("a list with too many nodes"));
            }
            if nodes.iter().any(|other| other.address == listed.address) {
                return Err(Malformed("a list that names a node twice"));
            }
            nodes.push(listed);
        }
        if nodes.is_empty() {
            return Err(Malformed("a list without nodes"));
        }
        Ok(Self { version, nodes })
    }

    /// The names of the nodes, `host:port`.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|node| node.address.name())
    }
}

impl Listed {
    fn parse(entry: &str) -> Option<Self> {
        let mut parts = entry.split('|');
        let (host, ip, port) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let ip = if ip.is_empty() { None } else { Some(ip.parse().ok()?) };
        Some(Self { address: Address::new(host, port.parse().ok()?)?, ip })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_good_as_a_whole_or_not_at_all() {
        let two = Ok((12, vec!["a.example:11211".to_owned(), "b.example:11212".to_owned()]));
        let one = Ok((1, vec!["a:1".to_owned()]));
        for (name, payload, expected) in [
            ("two nodes", "12\na.example|10.0.0.1|11211 b.example|10.0.0.2|11212\n", two.clone()),
            ("ip empty", "12\na.example||11211 b.example||11212\n", two),
            ("no line end", "1\na||1", one.clone()),
            ("IPv6", "1\na|fe80::1|1\n", one),
            ("END inside a host", "1\nEND|1.2.3.4|1\n", Ok((1, vec!["end:1".to_owned()]))),
            ("empty", "", Err("a list without a version")),
            ("no nodes", "3\n\n", Err("a list without nodes")),
            ("no version", "a||1\n", Err("a list without a version")),
            ("version of letters", "x\na||1\n", Err("a list without a version")),
            ("version with a sign", "+3\na||1\n", Err("a list without a version")),
            ("port 99999", "1\na||99999\n", Err("a list with a bad entry")),
            ("port 0", "1\na||0\n", Err("a list with a bad entry")),
            ("a bad ip", "1\na|300.1.1.1|1\n", Err("a list with a bad entry")),
            ("two parts", "1\na|1\n", Err("a list with a bad entry")),
            ("four parts", "1\na||1|x\n", Err("a list with a bad entry")),
            ("no host", "1\n||1\n", Err("a list with a bad entry")),
            ("one bad of two", "1\na||1 b||x\n", Err("a list with a bad entry")),
            ("a node twice", "1\na||1 A||1\n", Err("a list that names a node twice")),
        ] {
            let found = Nodes::parse(payload.as_bytes());
            let found = found.map(|list| (list.version, list.names().map(str::to_owned).collect::<Vec<_>>()));
            assert_eq!(found, expected.map_err(Malformed), "{name}");
        }
        let many = format!("1\n{}\n", (1..=513).map(|port| format!("a||{port} ")).collect::<String>());
        assert_eq!(Nodes::parse(many.as_bytes()), Err(Malformed("a list with too many nodes")));
    }
}
