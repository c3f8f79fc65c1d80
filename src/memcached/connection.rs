//! One connection, one exchange at a time.
//!
//! An [`Exchange`] takes the connection by value and gives it back only after a whole, expected reply. A future
//! that is dropped, a time-out, an error line, a byte too many: the connection is closed with it. Closing resets it
//! (`SO_LINGER` 0), so that what the kernel still holds of a command is not delivered later.

use std::{
    error::Error as StdError,
    io,
    mem::MaybeUninit,
    net::SocketAddr,
    time::{Duration, Instant},
};

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio_rustls::{client::TlsStream, rustls::HandshakeKind};

use super::clock::{Clock, Moment, Start, random_bits};
use super::exchange::{Exchange, Exchanged, Turn};
use super::observer::Discard;
use super::protocol::{Command, Configuration, Engine, Malformed, Nodes, Opaque, Progress};
use super::stream::{Fault, Stream};
use super::timer::Timer;

/// How much memory an idle connection keeps for each direction.
pub(super) const KEEP_BYTES: usize = 16 * 1024;

/// What is asked together with the greeting, or before a command.
const ASK_VERSION: &[u8] = b"version\r\n";
pub(super) const ASK_NODES: &[u8] = b"config get cluster\r\n";

/// An open connection between two exchanges. It goes from hand to hand in every one, so it is only a pointer.
pub(crate) struct Connection(pub(super) Box<Open>);

pub(super) struct Open {
    pub(super) wire: Wire,
    pub(super) timer: Timer,
    /// When its last exchange began.
    pub(super) start: Start,
    /// The number that its last opaque was made of.
    number: u64,
    pub(super) echoes_on_miss: bool,
}

/// The stream, and what is on its way.
pub(super) struct Wire {
    pub(super) stream: Stream,
    pub(super) input: Vec<u8>,
    pub(super) output: Vec<u8>,
    /// The opaque of the last command.
    pub(super) opaque: Opaque,
    pub(super) turn: Turn,
}

/// What a server said when it was asked for the nodes.
#[derive(Debug)]
pub(crate) enum Offer {
    /// A list.
    Nodes(Nodes),
    /// That there is none to be had, in its own words.
    None(String),
    /// A list that is no good.
    Garbled(Malformed),
}

/// An exchange that brought no answer. The connection is closed.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) discard: Discard,
    /// Whether the server has the whole command, and may carry it out.
    pub(crate) sent: bool,
    pub(crate) reason: String,
    pub(crate) source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Connection {
    pub(crate) fn tcp(stream: TcpStream) -> Self {
        Self::new(Stream::Tcp(stream))
    }

    pub(crate) fn tls(stream: Box<TlsStream<TcpStream>>) -> Self {
        Self::new(Stream::Tls(stream))
    }

    fn new(stream: Stream) -> Self {
        let number = random_bits();
        let (input, output, opaque, turn) = (Vec::new(), Vec::new(), Opaque::new(number), Turn::default());
        let wire = Wire { stream, input, output, opaque, turn };
        let (timer, start) = (Timer::default(), Clock::system().start());
        Self(Box::new(Open { wire, timer, start, number, echoes_on_miss: true }))
    }

    /// Asks a new connection who is there, and for the list of nodes on the way.
    pub(crate) async fn greet(&mut self, ask_nodes: bool) -> Result<(Result<Engine, String>, Option<Offer>), Broken> {
        let Wire { stream, input, .. } = &mut self.0.wire;
        let question = if ask_nodes { [ASK_VERSION, ASK_NODES].concat() } else { ASK_VERSION.to_vec() };
        let hear = |bytes: &[u8]| {
            let (engine, end) = match Engine::read(bytes)? {
                Progress::Whole(Ok(engine), end) => (engine, end),
                Progress::Whole(Err(words), end) => return Ok(Progress::Whole((Err(words), None), end)),
                Progress::Partial(missing) => return Ok(Progress::Partial(missing)),
            };
            if !ask_nodes {
                return Ok(Progress::Whole((Ok(engine), None), end));
            }
            Ok(match Offer::read(bytes, end)? {
                Progress::Whole(offer, end) => Progress::Whole((Ok(engine), Some(offer)), end),
                Progress::Partial(missing) => Progress::Partial(missing),
            })
        };
        let heard = stream.converse(&question, input, hear).await;
        let ((engine, offer), end) = heard.map_err(|fault| fault.broken(false))?;
        let Ok(engine) = engine else { return Ok((engine, None)) };
        if end != input.len() {
            return Err(Fault::Malformed(Malformed("more than was asked for")).broken(false));
        }
        input.clear();
        self.0.echoes_on_miss = engine.echoes_on_miss();
        Ok((Ok(engine), offer))
    }

    /// Asks for the list of nodes at `start`, until `limit`.
    pub(crate) async fn ask_nodes(mut self, start: Start, limit: Instant) -> Result<(Offer, Self), Broken> {
        let began = start.instant;
        self.use_at(start);
        let Open { wire: Wire { stream, input, .. }, timer, .. } = &mut *self.0;
        let asking = stream.converse(ASK_NODES, input, |bytes| Offer::read(bytes, 0));
        match timer.until(began, limit, asking).await {
            Some(Ok((offer, end))) if end == self.0.wire.input.len() => Ok((offer, self.rested())),
            Some(Ok(_)) => Err(Fault::Malformed(Malformed("more than was asked for")).broken(false)),
            Some(Err(fault)) => Err(fault.broken(false)),
            None => Err(Broken::timed_out(began.elapsed(), false)),
        }
    }

    /// Sends a command at `start` and reads its reply, until `limit`.
    pub(crate) async fn exchange(
        self,
        command: &Command<'_>,
        ask_nodes: bool,
        start: Start,
        limit: Instant,
    ) -> Result<Exchanged, Broken> {
        let mut exchange = Exchange::new(self, command, ask_nodes, start);
        let heard = exchange.hear(limit).await;
        exchange.end(heard)
    }

    /// Asks the kernel whether anything came while nobody was listening: an end, a reset, a byte that nobody asked for.
    ///
    /// tokio's readiness may be older than the freeze, so it is not asked.
    pub(crate) fn is_quiet(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        match SockRef::from(self.0.wire.stream.socket()).peek(&mut byte) {
            Ok(_) => false,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        }
    }

    /// An exchange begins. The opaque of its command is another for every command on this connection, and very likely on any
    /// other.
    pub(super) fn begin(&mut self, start: Start) {
        self.use_at(start);
        self.0.number = self.0.number.wrapping_add(1);
        self.0.wire.opaque.advance(self.0.number);
    }

    /// When its last exchange began. When that ended would cost one more look at the clock, and is at most the limit of an
    /// exchange later: by so much too soon does a connection count as idle for long.
    pub(crate) fn used(&self) -> Moment {
        self.0.start.moment
    }

    pub(crate) fn use_at(&mut self, start: Start) {
        self.0.start = start;
    }

    /// To whom it is open, where no certificate was checked for another name.
    pub(crate) fn plain_peer(&self) -> Option<SocketAddr> {
        match &self.0.wire.stream {
            Stream::Tcp(stream) => stream.peer_addr().ok(),
            Stream::Tls(_) => None,
        }
    }

    /// Whether TLS is spoken, and resumed an earlier session.
    pub(crate) fn resumed(&self) -> Option<bool> {
        match &self.0.wire.stream {
            Stream::Tcp(_) => None,
            Stream::Tls(stream) => Some(stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed)),
        }
    }

    pub(super) fn rested(mut self) -> Self {
        let Wire { input, output, .. } = &mut self.0.wire;
        for buffer in [input, output] {
            buffer.clear();
            buffer.shrink_to(KEEP_BYTES);
        }
        self
    }
}

impl Offer {
    /// What stands at `from`, and where it ends.
    pub(super) fn read(bytes: &[u8], from: usize) -> Result<Progress<Self>, Malformed> {
        let bytes = bytes.get(from..).unwrap_or_default();
        let (offer, end) = match Configuration::read(bytes)? {
            Progress::Partial(missing) => return Ok(Progress::Partial(missing)),
            Progress::Whole(Configuration::None(words), end) => (Self::None(words), end),
            Progress::Whole(Configuration::List(range), end) => {
                let payload = bytes.get(range).unwrap_or_default();
                (Nodes::parse(payload).map_or_else(Self::Garbled, Self::Nodes), end)
            }
        };
        Ok(Progress::Whole(offer, from.saturating_add(end)))
    }
}

impl Broken {
    pub(crate) fn timed_out(after: Duration, sent: bool) -> Self {
        let reason = format!("no answer in {} ms", after.as_millis());
        Self { discard: Discard::TimedOut, sent, reason, source: None }
    }
}

impl Fault {
    pub(super) fn broken(self, sent: bool) -> Broken {
        let (discard, reason, source) = match self {
            Self::Io(error) => (Discard::Broken, "the connection broke".to_owned(), Some(error.into())),
            Self::Closed => (Discard::Broken, "the connection was closed".to_owned(), None),
            Self::Malformed(what) => (Discard::Desynchronised, format!("it sent {what}"), None),
        };
        Broken { discard, sent, reason, source }
    }
}
