//! One command and its reply, on a connection that it owns.
//!
//! It is begun and ended by functions; only what waits is a future, and a small one.

use std::{future::Future, time::Instant};

use super::connection::{ASK_NODES, Broken, Connection, Offer, Open};
use super::observer::Discard;
use super::protocol::{Command, Malformed, Opaque, Progress, Reply, Status};
use super::stream::Fault;

/// The largest value that is read, in bytes: what an engine stores by default.
const READ_LIMIT_BYTES: usize = 1024 * 1024;

/// A command that waits for its reply. Only [`end`](Self::end) gives the connection back; with an exchange that is
/// dropped it is closed.
pub(crate) struct Exchange<'a> {
    connection: Connection,
    command: &'a Command<'a>,
    opaque: Opaque,
    ask_nodes: bool,
    /// Whether the server may have the whole command.
    sent: bool,
    offer: Option<Box<Offer>>,
    /// Where the reply begins, after what was offered.
    from: usize,
}

/// What an exchange brought.
pub(crate) struct Exchanged {
    pub(crate) answer: Answer,
    /// Whether the list of nodes was to be had, if it was asked for.
    pub(crate) offer: Option<Box<Offer>>,
    /// The connection, if it is good for another exchange; else why not.
    pub(crate) connection: Result<Connection, Discard>,
}

/// A reply that answers the command.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: Status,
    pub(crate) cas: u64,
    pub(crate) value: Vec<u8>,
}

/// A reply and where it ends, if one came in time.
pub(crate) type Heard = Option<Result<(Reply, usize), Fault>>;

impl<'a> Exchange<'a> {
    /// A command that is about to be sent, perhaps after the question for the list of nodes.
    pub(crate) fn new(mut connection: Connection, command: &'a Command<'a>, opaque: Opaque, ask_nodes: bool) -> Self {
        let output = &mut connection.0.output;
        if ask_nodes {
            output.extend_from_slice(ASK_NODES);
        }
        command.write(opaque, output);
        Self { connection, command, opaque, ask_nodes, sent: false, offer: None, from: 0 }
    }

    /// Sends the command and reads the reply, until `limit`.
    pub(crate) fn hear(&mut self, limit: Instant) -> impl Future<Output = Heard> {
        let Self { connection, opaque, ask_nodes, sent, offer, from, .. } = self;
        let Open { stream, input, output, timer, .. } = &mut *connection.0;
        let hear = |bytes: &[u8]| {
            if *ask_nodes && offer.is_none() {
                match Offer::read(bytes, 0)? {
                    Progress::Whole(found, end) => (*offer, *from) = (Some(Box::new(found)), end),
                    Progress::Partial(missing) => return Ok(Progress::Partial(missing)),
                }
            }
            let bytes = bytes.get(*from..).unwrap_or_default();
            match Reply::read_usual(bytes, *opaque, READ_LIMIT_BYTES) {
                Some((reply, end)) => Ok(Progress::Whole(reply, end)),
                None => Reply::read(bytes, READ_LIMIT_BYTES),
            }
        };
        timer.until(limit, stream.converse(output, input, sent, hear))
    }

    /// What came of it, `began` being when.
    pub(crate) fn end(self, heard: Heard, began: Instant) -> Result<Exchanged, Broken> {
        let Self { connection, command, opaque, sent, offer, from, .. } = self;
        let (reply, end) = match heard {
            Some(Ok(heard)) => heard,
            Some(Err(fault)) => return Err(fault.broken(sent)),
            None => return Err(Broken::timed_out(began.elapsed(), sent)),
        };
        let is_error = matches!(reply.status, Status::Error(_));
        if !is_error && !command.is_answered_by(opaque, &reply, connection.0.echoes_on_miss) {
            return Err(Fault::Malformed(Malformed("a reply to another command")).broken(sent));
        }
        let bytes = connection.0.input.get(from..).unwrap_or_default();
        let value = match &reply.status {
            Status::Value(range) => bytes.get(range.clone()).unwrap_or_default().to_vec(),
            _ => Vec::new(),
        };
        let connection = match end == bytes.len() {
            _ if is_error => Err(Discard::Refused),
            true => Ok(connection.rested()),
            false => Err(Discard::Desynchronised),
        };
        Ok(Exchanged { answer: Answer { status: reply.status, cas: reply.cas.unwrap_or(0), value }, offer, connection })
    }
}
