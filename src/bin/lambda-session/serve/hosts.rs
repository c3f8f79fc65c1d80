//! The names that the gateway answers to: a site whose name has been made to lead here (DNS rebinding) still sends its own.

use crate::jar::is_loopback;

/// This machine's names, and those that the command line adds.
#[derive(Debug)]
pub(super) struct Hosts(Vec<String>);

impl Hosts {
    pub(super) fn new(names: &[String]) -> Self {
        Self(names.to_vec())
    }

    /// Whether a request for `host` (without its port) is for the function.
    pub(super) fn contain(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        is_loopback(&host) || self.0.contains(&host)
    }
}

/// Reads a name of the command line.
pub(super) fn parse(text: &str) -> Result<String, String> {
    let is_name = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    if is_name {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("a host reads shop.example, without scheme and port".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_and_those_that_are_named_are_answered_for() {
        let hosts = Hosts::new(&[parse("Shop.Test").unwrap()]);
        let rows = [
            ("localhost", true),
            ("LOCALHOST", true),
            ("a.localhost", true),
            ("127.0.0.1", true),
            ("127.0.0.2", true),
            ("::1", true),
            ("shop.test", true),
            ("SHOP.test", true),
            ("a.shop.test", false),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("0.0.0.0", false),
            ("", false),
        ];
        for (host, expected) in rows {
            assert_eq!(hosts.contain(host), expected, "{host}");
        }
        for text in ["", "http://shop.test", "shop.test:80", "a b"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
