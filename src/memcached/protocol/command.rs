//! Commands, written as bytes.

use super::number::push_decimal;
use super::opaque::Opaque;
use super::reply::{Reply, Status};
use crate::memcached::{Key, Ttl};

/// The longest that a command is without its value, in bytes, rounded up: a key of 250, four numbers and their flags.
const HEAD_LIMIT_BYTES: usize = 512;

/// A command about one key.
#[derive(Clone, Copy)]
pub(crate) enum Command<'a> {
    /// Reads a value; with a time to live, from now on it has that.
    Get { key: &'a Key, touch: Option<Ttl> },
    /// Writes a value, on a condition.
    Set { key: &'a Key, value: &'a [u8], ttl: Ttl, mode: Mode },
    /// Deletes a value; with a CAS number, if that is still the one it has.
    Delete { key: &'a Key, cas: Option<u64> },
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
    pub(crate) fn write(&self, opaque: Opaque, out: &mut Vec<u8>) {
        match *self {
            Self::Get { key, touch } => {
                push_name(b"mg ", key, out);
                if let Some(ttl) = touch {
                    push_flag(b" T", ttl.as_secs().into(), out);
                }
                out.extend_from_slice(b" v c");
                push_end(opaque, out);
            }
            Self::Delete { key, cas } => {
                push_name(b"md ", key, out);
                if let Some(cas) = cas {
                    push_flag(b" C", cas, out);
                }
                push_end(opaque, out);
            }
            Self::Set { key, value, ttl, mode } => {
                out.reserve(value.len().saturating_add(HEAD_LIMIT_BYTES));
                push_name(b"ms ", key, out);
                push_flag(b" ", value.len() as u64, out);
                push_flag(b" T", ttl.as_secs().into(), out);
                match mode {
                    Mode::Add => out.extend_from_slice(b" ME"),
                    Mode::Replace(cas) => push_flag(b" C", cas, out),
                }
                push_end(opaque, out);
                out.extend_from_slice(value);
                out.extend_from_slice(b"\r\n");
            }
        }
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
    pub(crate) fn is_answered_by(&self, opaque: Opaque, reply: &Reply, echoes_on_miss: bool) -> bool {
        let expected = match (self, &reply.status) {
            (Self::Get { .. }, Status::Value(_)) => reply.cas.is_some(),
            (Self::Get { .. }, Status::Miss) => true,
            (Self::Set { mode: Mode::Add, .. }, Status::Done | Status::NotStored) => true,
            (Self::Set { mode: Mode::Replace(_), .. }, Status::Done | Status::Exists | Status::NotFound) => true,
            (Self::Delete { .. }, Status::Done | Status::NotFound) => true,
            (Self::Delete { cas: Some(_), .. }, Status::Exists) => true,
            _ => false,
        };
        let ours = match reply.opaque {
            Some(echoed) => echoed == opaque,
            None => reply.status == Status::Miss && !echoes_on_miss,
        };
        expected && ours
    }
}

fn push_name(name: &[u8], key: &Key, out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(key.as_str().as_bytes());
}

fn push_flag(flag: &[u8], number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(flag);
    push_decimal(number, out);
}

fn push_end(opaque: Opaque, out: &mut Vec<u8>) {
    out.extend_from_slice(&opaque.ending());
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
            (Command::Get { key: &key, touch: None }, "mg s:k v c OAAAAAAD_\r\n"),
            (Command::Get { key: &key, touch: Some(ttl) }, "mg s:k T60 v c OAAAAAAD_\r\n"),
            (Command::Delete { key: &key, cas: None }, "md s:k OAAAAAAD_\r\n"),
            (Command::Delete { key: &key, cas: Some(7) }, "md s:k C7 OAAAAAAD_\r\n"),
            (
                Command::Set { key: &key, value: b"a\r\nb", ttl, mode: Mode::Add },
                "ms s:k 4 T60 ME OAAAAAAD_\r\na\r\nb\r\n",
            ),
            (
                Command::Set { key: &key, value: b"", ttl, mode: Mode::Replace(u64::MAX) },
                "ms s:k 0 T60 C18446744073709551615 OAAAAAAD_\r\n\r\n",
            ),
        ] {
            let mut out = Vec::new();
            command.write(Opaque::new(255), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), bytes);
        }
    }

    #[test]
    fn a_reply_answers_only_a_command_that_it_can_answer() {
        let key = Key::new("s:k").unwrap();
        let ttl = Ttl::after(Duration::from_secs(60), SystemTime::UNIX_EPOCH).unwrap();
        let (get, set) =
            (Command::Get { key: &key, touch: None }, |mode| Command::Set { key: &key, value: b"", ttl, mode });
        let delete = |cas| Command::Delete { key: &key, cas };
        let (done, stored, exists, found) = (Status::Done, Status::NotStored, Status::Exists, Status::NotFound);
        for (name, command, answers) in [
            ("a read", get, vec![Status::Value(0..0), Status::Miss]),
            ("an add", set(Mode::Add), vec![done.clone(), stored]),
            ("a replace", set(Mode::Replace(7)), vec![done.clone(), exists.clone(), found.clone()]),
            ("a delete", delete(None), vec![done.clone(), found.clone()]),
            ("a delete that compares", delete(Some(7)), vec![done, exists, found]),
        ] {
            for status in [
                Status::Value(0..0),
                Status::Done,
                Status::Miss,
                Status::NotStored,
                Status::Exists,
                Status::NotFound,
                Status::Error(String::new()),
            ] {
                let reply = Reply { status, cas: Some(7), opaque: Some(Opaque::new(1)) };
                let expected = answers.contains(&reply.status);
                assert_eq!(
                    command.is_answered_by(Opaque::new(1), &reply, true),
                    expected,
                    "{name}: {:?}",
                    reply.status
                );
                assert!(!command.is_answered_by(Opaque::new(2), &reply, true), "{name}: to another command");
            }
        }
    }
}
