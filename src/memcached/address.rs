//! Where a node listens: a host and a port, and the one name that is made of them.

use std::{fmt, net::IpAddr};

/// memcached's port.
const PORT: u16 = 11211;
/// The longest host name, in bytes (RFC 1035, section 2.3.4).
const HOST_LIMIT_BYTES: usize = 253;

/// A host and a port. The host is in lower case, so that every function gives a node the same name.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    host: Box<str>,
    port: u16,
    name: Box<str>,
}

impl Address {
    /// The address of `host` (a name, or an IP address without brackets) and `port`.
    pub(crate) fn new(host: &str, port: u16) -> Option<Self> {
        let host = host.to_ascii_lowercase();
        let six = matches!(host.parse(), Ok(IpAddr::V6(_)));
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let good = six || (!host.is_empty() && host.len() <= HOST_LIMIT_BYTES && host.bytes().all(legal));
        if port == 0 || !good {
            return None;
        }
        let name = if six { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        Some(Self { host: host.into(), port, name: name.into() })
    }

    /// The address that is spelled `host:port`, `host`, `[v6]:port` or `[v6]`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']')?;
                host.parse::<std::net::Ipv6Addr>().ok()?;
                (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let port = match port {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
            None => PORT,
        };
        Self::new(host, port)
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// `host:port`: what is hashed, and what people read.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the host is an ElastiCache configuration endpoint by its name.
    pub(crate) fn is_configuration_endpoint(&self) -> bool {
        self.host.contains(".cfg.")
    }

    /// Whether the host is an ElastiCache Serverless endpoint by its name.
    pub(crate) fn is_serverless(&self) -> bool {
        self.host.contains(".serverless.")
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_name() {
        for (text, name) in [
            ("localhost:11211", Some("localhost:11211")),
            ("localhost", Some("localhost:11211")),
            ("Shop.CFG.use1.cache.amazonaws.com:11212", Some("shop.cfg.use1.cache.amazonaws.com:11212")),
            ("127.0.0.1:1", Some("127.0.0.1:1")),
            ("[::1]:11211", Some("[::1]:11211")),
            ("[FE80::1]", Some("[fe80::1]:11211")),
            ("", None),
            (":11211", None),
            ("::1", None),
            ("[localhost]:1", None),
            ("[::1]11211", None),
            ("host:0", None),
            ("host:65536", None),
            ("host:+1", None),
            ("host:", None),
            ("ho st:1", None),
            ("ho\r\nst:1", None),
        ] {
            assert_eq!(Address::parse(text).as_ref().map(Address::name), name, "{text:?}");
        }
    }
}
