//! One command and its reply, on a connection that it owns.
//!
//! It is begun and ended by functions; only what waits is a future, and a small one.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    io,
    task::{Context, Poll, ready},
    time::Instant,
};

use super::clock::Start;
use super::connection::{ASK_NODES, Broken, Connection, KEEP_BYTES, Offer, Open, Wire};
use super::observer::Discard;
use super::protocol::{Command, Malformed, Progress, Reply, Status};
use super::stream::{Fault, make_room};

/// The largest value that is read, in bytes: what an engine stores by default.
const READ_LIMIT_BYTES: usize = 1024 * 1024;

/// A command that waits for its reply. Only [`end`](Self::end) gives the connection back; with an exchange that is
/// dropped it is closed.
///
/// How far it has come stands in the [`Turn`] of its connection, which stays where it is: to move it from hand to hand took a
/// tenth of what an operation costs beyond its system calls.
pub(crate) struct Exchange<'a> {
    connection: Connection,
    command: &'a Command<'a>,
}

/// How far the exchange on a connection has come.
#[derive(Default)]
pub(super) struct Turn {
    ask_nodes: bool,
    is_begun: bool,
    /// How much was said of what the socket did not take at once, in bytes.
    said: usize,
    /// Whether the server may have the whole command, even if this is dropped: one of which a byte is missing is never
    /// carried out.
    sent: bool,
    is_said: bool,
    offer: Option<Box<Offer>>,
    /// Where the reply begins, after what was offered.
    from: usize,
    reply: Option<Reply>,
}

thread_local! {
    /// Where commands are written before they are sent, one after the other. Nearly always the socket takes all of one at once,
    /// and then nothing of it is kept.
    static COMMAND: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
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

impl Answer {
    pub(crate) fn done() -> Self {
        Self { status: Status::Done, cas: 0, value: Vec::new() }
    }
}

/// Where the reply ends, if one came in time.
pub(crate) type Heard = Option<Result<usize, Fault>>;

impl<'a> Exchange<'a> {
    /// A command that is about to be sent, perhaps after the question for the list of nodes.
    pub(crate) fn new(mut connection: Connection, command: &'a Command<'a>, ask_nodes: bool, start: Start) -> Self {
        connection.begin(start);
        connection.0.wire.turn = Turn { ask_nodes, ..Turn::default() };
        Self { connection, command }
    }

    /// Sends the command and reads the reply, until `limit`.
    pub(crate) fn hear(&mut self, limit: Instant) -> impl Future<Output = Heard> {
        let Self { connection, command } = self;
        let Open { timer, wire, start, .. } = &mut *connection.0;
        timer.until(start.instant, limit, poll_fn(|context| wire.poll(command, context)))
    }

    /// When it began.
    pub(crate) fn start(&self) -> Start {
        self.connection.0.start
    }

    /// The connection, if it is good for another exchange and all that the reply says is that it was done: what nearly every
    /// write hears, told without taking the reply apart.
    pub(crate) fn done(self, heard: &Heard) -> Result<Connection, Self> {
        let Wire { input, turn, opaque, .. } = &self.connection.0.wire;
        let is_whole = matches!(heard, Some(Ok(end)) if *end == input.len()) && turn.offer.is_none();
        let is_done = |reply: &Reply| reply.status == Status::Done && self.command.is_answered_by(*opaque, reply, true);
        match turn.reply.as_ref() {
            Some(reply) if is_whole && is_done(reply) => Ok(self.connection.rested()),
            _ => Err(self),
        }
    }

    /// What came of it.
    pub(crate) fn end(self, heard: Heard) -> Result<Exchanged, Broken> {
        let Self { mut connection, command } = self;
        let Open { wire: Wire { input, turn, opaque, .. }, start, echoes_on_miss, .. } = &mut *connection.0;
        let sent = turn.sent;
        let (offer, from) = (turn.offer.take(), turn.from);
        let (reply, end) = match (heard, turn.reply.take()) {
            (Some(Ok(end)), Some(reply)) => (reply, end),
            (Some(Err(fault)), _) => return Err(fault.broken(sent)),
            _ => return Err(Broken::timed_out(start.instant.elapsed(), sent)),
        };
        let is_error = matches!(reply.status, Status::Error(_));
        if !is_error && !command.is_answered_by(*opaque, &reply, *echoes_on_miss) {
            return Err(Fault::Malformed(Malformed("a reply to another command")).broken(sent));
        }
        let bytes = input.get(from..).unwrap_or_default();
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

impl Wire {
    fn poll(&mut self, command: &Command<'_>, context: &mut Context<'_>) -> Poll<Result<usize, Fault>> {
        if !self.turn.is_said {
            ready!(self.poll_say(command, context))?;
            self.turn.is_said = true;
        }
        loop {
            ready!(self.stream.poll_more(&mut self.input, context))?;
            match self.read()? {
                Progress::Whole((), end) => return Poll::Ready(Ok(end)),
                Progress::Partial(missing) => make_room(&mut self.input, missing),
            }
        }
    }

    /// Says what is not said yet. Written into `output` is only what the socket does not take at once.
    fn poll_say(&mut self, command: &Command<'_>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.turn.is_begun {
            self.turn.is_begun = true;
            let mut bytes = COMMAND.take();
            bytes.clear();
            if self.turn.ask_nodes {
                bytes.extend_from_slice(ASK_NODES);
            }
            command.write(self.opaque, &mut bytes);
            let said = self.stream.say(&bytes);
            if let Ok(said) = said {
                self.output.extend_from_slice(bytes.get(said..).unwrap_or_default());
            }
            bytes.shrink_to(KEEP_BYTES);
            COMMAND.set(bytes);
            said?;
            make_room(&mut self.input, 0);
        }
        let Turn { said, sent, .. } = &mut self.turn;
        ready!(self.stream.poll_say(&self.output, said, context))?;
        *sent = true;
        self.stream.poll_flush(context)
    }

    /// The list of nodes, if it was asked for, and the reply.
    fn read(&mut self) -> Result<Progress<()>, Malformed> {
        let Turn { ask_nodes, offer, from, reply, .. } = &mut self.turn;
        if *ask_nodes && offer.is_none() {
            match Offer::read(&self.input, 0)? {
                Progress::Whole(found, end) => (*offer, *from) = (Some(Box::new(found)), end),
                Progress::Partial(missing) => return Ok(Progress::Partial(missing)),
            }
        }
        let bytes = self.input.get(*from..).unwrap_or_default();
        let (found, end) = match Reply::read_usual(bytes, self.opaque, READ_LIMIT_BYTES) {
            Some(found) => found,
            None => match Reply::read(bytes, READ_LIMIT_BYTES)? {
                Progress::Whole(found, end) => (found, end),
                Progress::Partial(missing) => return Ok(Progress::Partial(missing)),
            },
        };
        *reply = Some(found);
        Ok(Progress::Whole((), end))
    }
}
