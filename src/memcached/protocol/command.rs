//! Commands, written as bytes.

use std::io::Write;

use super::reply::{Reply, Status};
use crate::memcached::{Key, Ttl};

/// A command about one key.
#[derive(Clone, Copy)]
pub(crate) enum Command<'a> {
    /// Reads a value; with a time to live, from now on it has that.
    Get { key: &'a Key, touch: Option<Ttl> },
    /// Writes a value, on a condition.
    Set { key: &'a Key, value: &'a [u8], ttl: Ttl, mode: Mode },
    /// Deletes a value.
    Delete { key: &'a Key },
}

/// On which condition a value is written. There is no unconditional one: it could revive what was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// If there is none under the key.
    Add,
    /// If the one under the key is still the one with this CAS number.
    Replace(u64),
}

impl Command<'_> {
    /// Appends the command.
    pub(crate) fn write(&self, opaque: u64, out: &mut Vec<u8>) {
        // Writing to a Vec cannot fail.
        let _ = match *self {
            Self::Get { key, touch: None } => write!(out, "mg {} v c O{opaque:016x}\r\n", key.as_str()),
            Self::Get { key, touch: Some(ttl) } => {
                write!(out, "mg {} T{} v c O{opaque:016x}\r\n", key.as_str(), ttl.as_secs())
            }
            Self::Delete { key } => write!(out, "md {} O{opaque:016x}\r\n", key.as_str()),
            Self::Set { key, value, ttl, mode } => {
                out.reserve(value.len().saturating_add(512));
                let head = (key.as_str(), value.len(), ttl.as_secs());
                let _ = match mode {
                    Mode::Add => write!(out, "ms {} {} T{} ME O{opaque:016x}\r\n", head.0, head.1, head.2),
                    Mode::Replace(cas) => {
                        write!(out, "ms {} {} T{} C{cas} O{opaque:016x}\r\n", head.0, head.1, head.2)
                    }
                };
                out.extend_from_slice(value);
                out.extend_from_slice(b"\r\n");
                Ok(())
            }
        };
    }

    /// What it is called in a message.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Get { .. } => "a read",
            Self::Set { .. } => "a write",
            Self::Delete { .. } => "a delete",
        }
    }

    /// Whether the reply answers this command: what it may say, and that it says it to us.
    pub(crate) fn is_answered_by(&self, opaque: u64, reply: &Reply, echoes_on_miss: bool) -> bool {
        let expected = match (self, &reply.status) {
            (Self::Get { .. }, Status::Value(_)) => reply.cas.is_some(),
            (Self::Get { .. }, Status::Miss) => true,
            (Self::Set { mode: Mode::Add, .. }, Status::Done | Status::NotStored) => true,
            (Self::Set { mode: Mode::Replace(_), .. }, Status::Done | Status::Exists | Status::NotFound) => true,
            (Self::Delete { .. }, Status::Done | Status::NotFound) => true,
            _ => false,
        };
        let ours = match reply.opaque {
            Some(echoed) => echoed == opaque,
            None => reply.status == Status::Miss && !echoes_on_miss,
        };
        expected && ours
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn commands_are_written_as_the_protocol_has_them() {
        let key = Key::new("s:k").unwrap();
        let ttl = Ttl::after(Duration::from_secs(60), SystemTime::UNIX_EPOCH).unwrap();
        for (command, bytes) in [
            (Command::Get { key: &key, touch: None }, "mg s:k v c O00000000000000ff\r\n"),
            (Command::Get { key: &key, touch: Some(ttl) }, "mg s:k T60 v c O00000000000000ff\r\n"),
            (Command::Delete { key: &key }, "md s:k O00000000000000ff\r\n"),
            (
                Command::Set { key: &key, value: b"a\r\nb", ttl, mode: Mode::Add },
                "ms s:k 4 T60 ME O00000000000000ff\r\na\r\nb\r\n",
            ),
            (
                Command::Set { key: &key, value: b"", ttl, mode: Mode::Replace(u64::MAX) },
                "ms s:k 0 T60 C18446744073709551615 O00000000000000ff\r\n\r\n",
            ),
        ] {
            let mut out = Vec::new();
            command.write(255, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), bytes);
        }
    }
}
