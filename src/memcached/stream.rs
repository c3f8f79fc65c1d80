//! Bytes over TCP or TLS: said whole, then heard until there is enough.

use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncReadExt, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

use super::protocol::{Malformed, Progress};
use super::socket;

/// How much is read at once, at most: a length that lies costs no more memory than this.
const CHUNK_BYTES: usize = 64 * 1024;
/// How much is read at once, at least.
const LEAST_BYTES: usize = 2048;

/// A connected stream.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What went wrong while writing or reading.
pub(crate) enum Fault {
    Io(io::Error),
    Closed,
    Malformed(Malformed),
}

impl Stream {
    /// Writes all of `output`, then reads into `input`, which is empty, until `hear` finds in it what it waits for; that,
    /// and how many bytes it took.
    pub(crate) fn converse<T>(
        &mut self,
        output: &[u8],
        input: &mut Vec<u8>,
        mut hear: impl FnMut(&[u8]) -> Result<Progress<T>, Malformed> + Unpin,
    ) -> impl Future<Output = Result<(T, usize), Fault>> + Unpin {
        let (mut said, mut is_said) = (0, false);
        make_room(input, 0);
        poll_fn(move |context| {
            if !is_said {
                ready!(self.poll_say(output, &mut said, context))?;
                ready!(self.poll_flush(context))?;
                is_said = true;
            }
            loop {
                ready!(self.poll_more(input, context))?;
                match hear(input) {
                    Ok(Progress::Whole(found, end)) => return Poll::Ready(Ok((found, end))),
                    Ok(Progress::Partial(missing)) => make_room(input, missing),
                    Err(malformed) => return Poll::Ready(Err(Fault::Malformed(malformed))),
                }
            }
        })
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Tcp(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    /// Writes as much as is taken at once.
    pub(super) fn say(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => socket::send(stream, bytes),
            Self::Tls(_) => Ok(0),
        }
    }

    /// Writes what is left of `output` after `said` bytes.
    pub(super) fn poll_say(
        &mut self,
        output: &[u8],
        said: &mut usize,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while let Some(unsaid) = output.get(*said..).filter(|unsaid| !unsaid.is_empty()) {
            let written = match self {
                Self::Tcp(stream) => ready!(Pin::new(stream).poll_write(context, unsaid))?,
                Self::Tls(stream) => ready!(Pin::new(stream).poll_write(context, unsaid))?,
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *said = said.saturating_add(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Sends what TLS holds back.
    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    /// Reads what there is, up to the spare room of `input`. The end of the stream is an error wherever it comes: never a miss,
    /// never a short value.
    pub(super) fn poll_more(&mut self, input: &mut Vec<u8>, context: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        match ready!(self.poll_hear(input, context))? {
            0 => Poll::Ready(Err(Fault::Closed)),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_hear(&mut self, input: &mut Vec<u8>, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => socket::poll_receive(stream, input, context),
            Self::Tls(stream) => pin!(stream.read_buf(input)).poll(context),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Malformed> for Fault {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// Makes room for what is missing, or for as much as is worth a call.
pub(super) fn make_room(input: &mut Vec<u8>, missing: usize) {
    input.reserve(missing.clamp(LEAST_BYTES, CHUNK_BYTES));
}
