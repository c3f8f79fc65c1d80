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
    /// and how many bytes it took. `sent` tells whether the server may have all of `output`, even if this is dropped: a
    /// command of which a byte is missing is never carried out.
    ///
    /// Written as one function to be polled: a chain of `async` ones moves what it finds from hand to hand (250 more
    /// instructions an exchange, by callgrind).
    pub(crate) fn converse<T>(
        &mut self,
        output: &[u8],
        input: &mut Vec<u8>,
        sent: &mut bool,
        mut hear: impl FnMut(&[u8]) -> Result<Progress<T>, Malformed> + Unpin,
    ) -> impl Future<Output = Result<(T, usize), Fault>> + Unpin {
        let (mut unsaid, mut is_said) = (output, false);
        input.reserve(LEAST_BYTES);
        poll_fn(move |context| {
            if !is_said {
                ready!(self.poll_say(&mut unsaid, sent, context))?;
                is_said = true;
            }
            loop {
                // The end of the stream is an error wherever it comes: never a miss, never a short value.
                if ready!(self.poll_hear(input, context))? == 0 {
                    return Poll::Ready(Err(Fault::Closed));
                }
                match hear(input) {
                    Ok(Progress::Whole(found, end)) => return Poll::Ready(Ok((found, end))),
                    Ok(Progress::Partial(missing)) => input.reserve(missing.clamp(LEAST_BYTES, CHUNK_BYTES)),
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

    fn poll_say(&mut self, unsaid: &mut &[u8], sent: &mut bool, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !unsaid.is_empty() {
            let written = match self {
                Self::Tcp(stream) => match stream.try_write(unsaid) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        ready!(Pin::new(stream).poll_write(context, unsaid))?
                    }
                    done => done?,
                },
                Self::Tls(stream) => ready!(Pin::new(stream).poll_write(context, unsaid))?,
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *unsaid = unsaid.get(written..).unwrap_or_default();
        }
        *sent = true;
        match self {
            Self::Tcp(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_hear(&mut self, input: &mut Vec<u8>, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => pin!(stream.read_buf(input)).poll(context),
            Self::Tls(stream) => pin!(stream.read_buf(input)).poll(context),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
