//! A connection, over TCP or TLS, that hears into a place which is wiped.

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf},
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream, rustls::pki_types::ServerName};

use super::apart;
use super::received::Received;
use crate::addresses::alternating;

/// How much is read at once, at least.
const READ_BYTES: usize = 4096;
/// How long the next address waits for this one (the "connection attempt delay" of RFC 8305 is 250 ms): one that swallows
/// packets costs no more.
const NEXT_ADDRESS: Duration = Duration::from_millis(300);

pub(super) enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Connects to the first of a host's addresses that answers, each tried for 300 ms while there is another.
pub(super) async fn open(host: &str, port: u16) -> io::Result<TcpStream> {
    let failed =
        |deed: &str, error: io::Error| io::Error::new(error.kind(), format!("cannot {deed} {host}:{port}: {error}"));
    // As a URI has it, an IPv6 address stands in brackets.
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let found: Vec<SocketAddr> =
        lookup_host((name, port)).await.map_err(|error| failed("find the address of", error))?.collect();
    let mut addresses = alternating(found).into_iter().peekable();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    while let Some(address) = addresses.next() {
        let connecting = TcpStream::connect(address);
        let connected = match addresses.peek() {
            Some(_) => timeout(NEXT_ADDRESS, connecting).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
            None => connecting.await,
        };
        match connected {
            Ok(stream) => {
                // It does not fail on a socket that is connected; without it, it would only be slower.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(failed("connect to", last))
}

/// Shakes hands as a client of this host.
pub(super) async fn secure(host: &str, stream: TcpStream, tls: &TlsConnector) -> io::Result<Stream> {
    let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(name).map_err(io::Error::other)?;
    let stream = tls.connect(name, stream).await;
    let failed = |error: io::Error| io::Error::new(error.kind(), format!("TLS with {host} failed: {error}"));
    Ok(Stream::Tls(Box::new(stream.map_err(failed)?)))
}

impl Stream {
    pub(super) async fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(bytes).await,
            Self::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }

    /// Adds what comes next, and says how many bytes that were: none at the end.
    pub(super) async fn hear(&mut self, received: &mut Received) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read_buf(received.with_room(READ_BYTES)?).await,
            Self::Tls(stream) => poll_fn(|context| poll_hear(stream, received, context)).await,
        }
    }
}

fn poll_hear(
    stream: &mut TlsStream<TcpStream>,
    received: &mut Received,
    context: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    loop {
        let before = received.bytes().len();
        // What rustls hands out itself are zeros in the places of the bytes that were heard apart.
        let mut zeros = [0; READ_BYTES];
        let mut zeros = ReadBuf::new(&mut zeros);
        let read = apart::hear(received, || Pin::new(&mut *stream).poll_read(context, &mut zeros));
        let heard = received.bytes().len().saturating_sub(before);
        if heard > 0 {
            return Poll::Ready(Ok(heard));
        }
        ready!(read)?;
        if zeros.filled().is_empty() {
            return Poll::Ready(Ok(0));
        }
    }
}
