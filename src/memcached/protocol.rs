//! memcached's meta protocol, as bytes: commands are written, replies and lists of nodes are read. No I/O.
//!
//! ```text
//! > mg <key> [T<ttl>] v c O<opaque>            < VA <bytes> c<cas> O<opaque> CR LF <value> CR LF | EN [O<opaque>]
//! > ms <key> <bytes> T<ttl> ME O<opaque>       < HD | NS
//! > ms <key> <bytes> T<ttl> C<cas> O<opaque>   < HD | EX | NF
//! > md <key> [C<cas>] O<opaque>                < HD | EX (with C) | NF
//! > config get cluster                         < CONFIG cluster 0 <bytes> CR LF <list> CR LF END | ERROR
//! > version                                    < VERSION <text>
//! ```
//!
//! The opaque is eight letters, another for every command; a reply with another one is no answer to it. Error lines carry
//! none, and neither does the miss of an engine before 1.6.18.

mod command;
mod list;
mod number;
mod opaque;
mod reply;
mod usual;

pub(crate) use self::command::{Command, Mode};
pub use self::list::{Listed, Nodes};
pub use self::opaque::Opaque;
pub use self::reply::{Configuration, Engine, Malformed, Progress, Reply, Status};
