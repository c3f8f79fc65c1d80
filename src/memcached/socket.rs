//! Bytes to and from a TCP socket that the runtime watches.
//!
//! On Linux the system calls are made without the C library, whose `send` and `recv` are points of cancellation: where a
//! process has several threads it switches that on and off around each of them, 15 ns a call.

use std::{
    io,
    task::{Context, Poll},
};

use tokio::net::TcpStream;

#[cfg(target_os = "linux")]
pub(super) use linux::{poll_receive, send};
#[cfg(not(target_os = "linux"))]
pub(super) use other::{poll_receive, send};

#[cfg(target_os = "linux")]
mod linux {
    use std::task::ready;

    use rustix::{
        buffer::spare_capacity,
        io::Errno,
        net::{RecvFlags, SendFlags},
    };
    use tokio::{io::Interest, task::coop::poll_proceed};

    use super::*;

    /// Sends as much as there is room for at once.
    pub(in super::super) fn send(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        let mut sent = Ok(0);
        let _ = stream.try_io(Interest::WRITABLE, || match rustix::net::send(stream, bytes, SendFlags::NOSIGNAL) {
            Err(Errno::AGAIN) => Err(io::ErrorKind::WouldBlock.into()),
            done => {
                sent = done.map_err(io::Error::from);
                Ok(())
            }
        });
        sent
    }

    /// Receives what there is, up to the spare room of `input`; nought at the end of the stream.
    pub(in super::super) fn poll_receive(
        stream: &TcpStream,
        input: &mut Vec<u8>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let proceeded = ready!(poll_proceed(context));
            if let Some(received) = receive(stream, input) {
                proceeded.made_progress();
                return Poll::Ready(received);
            }
            drop(proceeded);
            ready!(stream.poll_read_ready(context))?;
        }
    }

    /// `None` where there is nothing, which is mostly known without a call.
    fn receive(stream: &TcpStream, input: &mut Vec<u8>) -> Option<io::Result<usize>> {
        let room = input.capacity().saturating_sub(input.len());
        let mut received = None;
        let _ = stream.try_io(Interest::READABLE, || {
            match rustix::net::recv(stream, spare_capacity(input), RecvFlags::empty()) {
                Err(Errno::AGAIN) => Err(io::ErrorKind::WouldBlock.into()),
                // Less than there was room for: the socket is empty. Told so, the runtime does not have to find it out with
                // one more call.
                Ok((_, bytes)) if 0 < bytes && bytes < room => {
                    received = Some(Ok(bytes));
                    Err(io::ErrorKind::WouldBlock.into())
                }
                done => {
                    received = Some(done.map(|(_, bytes)| bytes).map_err(io::Error::from));
                    Ok(())
                }
            }
        });
        received
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    use std::{future::Future, pin::pin};

    use tokio::io::AsyncReadExt;

    use super::*;

    pub(in super::super) fn send(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        match stream.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            sent => sent,
        }
    }

    pub(in super::super) fn poll_receive(
        stream: &mut TcpStream,
        input: &mut Vec<u8>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        pin!(stream.read_buf(input)).poll(context)
    }
}
