//! The gateway's listeners: both addresses of localhost, and no other.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time;

use crate::serve::gateway::Gateway;

/// Listens at `port` (0: any that is free) of 127.0.0.1, and of ::1 where this machine has it: browsers try both.
pub(super) async fn bind(port: u16) -> io::Result<Vec<TcpListener>> {
    let first = TcpListener::bind(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)).await?;
    let port = first.local_addr()?.port();
    match TcpListener::bind(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port)).await {
        Ok(second) => Ok(vec![first, second]),
        // Somebody else there would get what browsers send to localhost.
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
        Err(_) => Ok(vec![first]),
    }
}

/// Room for the connections of all listeners.
pub(super) fn room() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(MAX_CONNECTIONS))
}

/// Serves whoever connects while there is `room`, until it is dropped.
pub(super) async fn serve(listener: TcpListener, room: Arc<Semaphore>, gateway: Arc<Gateway>) {
    let port = listener.local_addr().map_or(0, |address| address.port());
    loop {
        // Nobody closes the semaphore. Who finds no room waits in the system's queue.
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let conversation = converse(stream, peer.ip(), port, Arc::clone(&gateway));
                tokio::spawn(async move {
                    conversation.await;
                    drop(place);
                });
            }
            // Out of descriptors, most likely: they come back.
            Err(_) => time::sleep(PAUSE).await,
        }
    }
}

async fn converse(stream: TcpStream, peer: IpAddr, port: u16, gateway: Arc<Gateway>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let gateway = Arc::clone(&gateway);
        async move { Ok::<_, Infallible>(gateway.answer(request, peer, port).await) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT).max_headers(MAX_HEADERS);
    // A client that breaks off is no news.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

/// Half of the files that a process may usually have open (1,024): the other half is for the functions.
const MAX_CONNECTIONS: usize = 512;

const PAUSE: Duration = Duration::from_millis(50);

/// How long a client may take for a request's head, as long as an idle connection lives.
const HEAD_LIMIT: Duration = Duration::from_secs(60);

/// Many more than a browser sends. Room for them is made for each request, so not for as many as would fit into 10,240 bytes.
const MAX_HEADERS: usize = 256;
