//! One connection, one exchange at a time.
//!
//! [`Connection::exchange`] takes the connection by value and gives it back only after a whole, expected reply. A future
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
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout_at,
};
use tokio_rustls::{client::TlsStream, rustls::HandshakeKind};

use super::clock::Moment;
use super::observer::Discard;
use super::protocol::{Command, Configuration, Engine, Malformed, Nodes, Progress, Reply, Status};

/// The largest value that is read, in bytes: what an engine stores by default.
const READ_LIMIT_BYTES: usize = 1024 * 1024;
/// How much is read at once, at most: a length that lies costs no more memory than this.
const CHUNK_BYTES: usize = 64 * 1024;
/// How much memory an idle connection keeps for each direction.
const KEEP_BYTES: usize = 16 * 1024;

/// What is asked together with the greeting, or before a command.
const ASK_VERSION: &[u8] = b"version\r\n";
const ASK_NODES: &[u8] = b"config get cluster\r\n";

/// An open connection between two exchanges.
pub(crate) struct Connection {
    stream: Stream,
    input: Vec<u8>,
    output: Vec<u8>,
    echoes_on_miss: bool,
    /// When it was last given back.
    pub(crate) used: Moment,
}

enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What an exchange brought.
pub(crate) struct Exchanged {
    pub(crate) answer: Answer,
    /// Whether the list of nodes was to be had, if it was asked for.
    pub(crate) offer: Option<Offer>,
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

/// What went wrong while reading or writing.
enum Fault {
    Io(io::Error),
    Closed,
    Malformed(Malformed),
}

impl Connection {
    pub(crate) fn tcp(stream: TcpStream) -> Self {
        Self::new(Stream::Tcp(stream))
    }

    pub(crate) fn tls(stream: Box<TlsStream<TcpStream>>) -> Self {
        Self::new(Stream::Tls(stream))
    }

    fn new(stream: Stream) -> Self {
        Self { stream, input: Vec::new(), output: Vec::new(), echoes_on_miss: true, used: Moment::now() }
    }

    /// Asks a new connection who is there, and for the list of nodes on the way.
    pub(crate) async fn greet(&mut self, ask_nodes: bool) -> Result<(Result<Engine, String>, Option<Offer>), Broken> {
        self.output.clear();
        self.output.extend_from_slice(ASK_VERSION);
        if ask_nodes {
            self.output.extend_from_slice(ASK_NODES);
        }
        self.hear_greeting(ask_nodes).await.map_err(|fault| fault.broken(false))
    }

    async fn hear_greeting(&mut self, ask_nodes: bool) -> Result<(Result<Engine, String>, Option<Offer>), Fault> {
        self.stream.write(&self.output, &mut false).await?;
        let mut at = 0;
        let engine = self.read(&mut at, Engine::read).await?;
        let Ok(engine) = engine else { return Ok((engine, None)) };
        self.echoes_on_miss = engine.echoes_on_miss();
        let offer = if ask_nodes { Some(self.read_offer(&mut at).await?) } else { None };
        if at != self.input.len() {
            return Err(Fault::Malformed(Malformed("more than was asked for")));
        }
        self.input.clear();
        Ok((Ok(engine), offer))
    }

    /// Asks for the list of nodes, until `limit`.
    pub(crate) async fn ask_nodes(mut self, limit: Instant) -> Result<(Offer, Self), Broken> {
        let began = Instant::now();
        let asked = async {
            self.stream.write(ASK_NODES, &mut false).await?;
            let mut at = 0;
            let offer = self.read_offer(&mut at).await?;
            if at == self.input.len() { Ok(offer) } else { Err(Fault::Malformed(Malformed("more than was asked for"))) }
        };
        match timeout_at(limit.into(), asked).await {
            Ok(Ok(offer)) => Ok((offer, self.rested())),
            Ok(Err(fault)) => Err(fault.broken(false)),
            Err(_) => Err(Broken::timed_out(began.elapsed(), false)),
        }
    }

    /// Sends a command and reads its reply, between `began` and `limit`.
    pub(crate) async fn exchange(
        mut self,
        command: &Command<'_>,
        opaque: u64,
        ask_nodes: bool,
        began: Instant,
        limit: Instant,
    ) -> Result<Exchanged, Broken> {
        let mut sent = false;
        let talk = self.talk(command, opaque, ask_nodes, &mut sent);
        match timeout_at(limit.into(), talk).await {
            Ok(Ok((answer, offer, end))) => {
                let connection = match answer.status {
                    Status::Error(_) => Err(Discard::Refused),
                    _ if end != self.input.len() => Err(Discard::Desynchronised),
                    _ => Ok(self.rested()),
                };
                Ok(Exchanged { answer, offer, connection })
            }
            Ok(Err(fault)) => Err(fault.broken(sent)),
            Err(_) => Err(Broken::timed_out(began.elapsed(), sent)),
        }
    }

    async fn talk(
        &mut self,
        command: &Command<'_>,
        opaque: u64,
        ask_nodes: bool,
        sent: &mut bool,
    ) -> Result<(Answer, Option<Offer>, usize), Fault> {
        self.output.clear();
        if ask_nodes {
            self.output.extend_from_slice(ASK_NODES);
        }
        command.write(opaque, &mut self.output);
        self.stream.write(&self.output, sent).await?;
        let mut at = 0;
        let offer = if ask_nodes { Some(self.read_offer(&mut at).await?) } else { None };
        let from = at;
        let reply = self.read(&mut at, |bytes| Reply::read(bytes, READ_LIMIT_BYTES)).await?;
        let value = match (&reply.status, self.input.get(from..at)) {
            (Status::Value(range), Some(bytes)) => bytes.get(range.clone()).unwrap_or_default().to_vec(),
            _ => Vec::new(),
        };
        if !matches!(reply.status, Status::Error(_)) && !command.is_answered_by(opaque, &reply, self.echoes_on_miss) {
            return Err(Fault::Malformed(Malformed("a reply to another command")));
        }
        Ok((Answer { cas: reply.cas.unwrap_or(0), status: reply.status, value }, offer, at))
    }

    async fn read_offer(&mut self, at: &mut usize) -> Result<Offer, Fault> {
        let from = *at;
        Ok(match self.read(at, Configuration::read).await? {
            Configuration::None(words) => Offer::None(words),
            Configuration::List(range) => {
                let payload = self.input.get(from..*at).and_then(|bytes| bytes.get(range)).unwrap_or_default();
                Nodes::parse(payload).map_or_else(Offer::Garbled, Offer::Nodes)
            }
        })
    }

    /// Reads until `parse` finds something whole at `at`, and moves `at` behind it.
    async fn read<T>(
        &mut self,
        at: &mut usize,
        parse: impl Fn(&[u8]) -> Result<Progress<T>, Malformed>,
    ) -> Result<T, Fault> {
        loop {
            let missing = match parse(self.input.get(*at..).unwrap_or_default()).map_err(Fault::Malformed)? {
                Progress::Whole(found, consumed) => {
                    *at = at.saturating_add(consumed);
                    return Ok(found);
                }
                Progress::Partial(missing) => missing,
            };
            self.input.reserve(missing.clamp(2048, CHUNK_BYTES));
            // The end of the stream is an error wherever it comes: never a miss, never a short value.
            if self.stream.read(&mut self.input).await? == 0 {
                return Err(Fault::Closed);
            }
        }
    }

    /// Asks the kernel whether anything came while nobody was listening: an end, a reset, a byte that nobody asked for.
    ///
    /// tokio's readiness may be older than the freeze, so it is not asked.
    pub(crate) fn is_quiet(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        match SockRef::from(self.stream.socket()).peek(&mut byte) {
            Ok(_) => false,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        }
    }

    /// To whom it is open, where no certificate was checked for another name.
    pub(crate) fn plain_peer(&self) -> Option<SocketAddr> {
        match &self.stream {
            Stream::Tcp(stream) => stream.peer_addr().ok(),
            Stream::Tls(_) => None,
        }
    }

    /// Whether TLS is spoken, and resumed an earlier session.
    pub(crate) fn resumed(&self) -> Option<bool> {
        match &self.stream {
            Stream::Tcp(_) => None,
            Stream::Tls(stream) => Some(stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed)),
        }
    }

    fn rested(mut self) -> Self {
        self.input.clear();
        self.input.shrink_to(KEEP_BYTES);
        self.output.clear();
        self.output.shrink_to(KEEP_BYTES);
        self
    }
}

impl Stream {
    /// Writes all of `bytes`; `sent` tells whether the server may have them all, even if this is dropped. A command of
    /// which a byte is missing is never carried out.
    async fn write(&mut self, mut bytes: &[u8], sent: &mut bool) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = match self {
                Self::Tcp(stream) => stream.write(bytes).await?,
                Self::Tls(stream) => stream.write(bytes).await?,
            };
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = bytes.get(written..).unwrap_or_default();
        }
        *sent = true;
        match self {
            Self::Tcp(_) => Ok(()),
            Self::Tls(stream) => stream.flush().await,
        }
    }

    async fn read(&mut self, input: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read_buf(input).await,
            Self::Tls(stream) => stream.read_buf(input).await,
        }
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Self::Tcp(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl Broken {
    pub(crate) fn timed_out(after: Duration, sent: bool) -> Self {
        let reason = format!("no answer in {} ms", after.as_millis());
        Self { discard: Discard::TimedOut, sent, reason, source: None }
    }
}

impl Fault {
    fn broken(self, sent: bool) -> Broken {
        let (discard, reason, source) = match self {
            Self::Io(error) => (Discard::Broken, "the connection broke".to_owned(), Some(error.into())),
            Self::Closed => (Discard::Broken, "the connection was closed".to_owned(), None),
            Self::Malformed(what) => (Discard::Desynchronised, format!("it sent {what}"), None),
        };
        Broken { discard, sent, reason, source }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
