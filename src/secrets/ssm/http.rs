//! The HTTP client under the SDK: one exchange a connection, and nothing of an answer left in memory.
//!
//! An answer of SSM holds the secrets. Other clients read it into buffers that they free as they are (DESIGN.md, "What of a
//! secret can be seen, and where?"); here the bytes have one place from the wire to the SDK, which is wiped when the last
//! of them is dropped.

mod apart;
mod message;
mod received;
mod stream;
mod tls;

use std::{
    error::Error as StdError,
    fmt,
    future::Future,
    io,
    ops::Range,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use aws_sdk_ssm::config::{HttpClient, RuntimeComponents};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::{Uri, uri::Scheme};
use http_body::{Body, Frame};
use tokio_rustls::TlsConnector;

use self::message::Head;
use self::received::Received;
use self::stream::Stream;

/// HTTP/1.1 over TCP and TLS. Clones share their TLS configuration.
#[derive(Clone, Default)]
pub(super) struct Http {
    tls: Arc<OnceLock<TlsConnector>>,
}

/// [`Http`] with the times that a call may take.
#[derive(Clone, Debug)]
struct Wire {
    http: Http,
    /// For name, connection and handshake.
    connect: Duration,
    /// From the request to the answer's head.
    read: Option<Duration>,
}

/// What the SDK's defaults give a connection (smithy's behaviour version of 2026), for callers who say nothing.
const CONNECT: Duration = Duration::from_millis(3100);

impl HttpClient for Http {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Wire {
            http: self.clone(),
            connect: settings.connect_timeout().unwrap_or(CONNECT),
            read: settings.read_timeout(),
        })
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let wire = self.clone();
        HttpConnectorFuture::new(async move { wire.exchange(&request).await })
    }
}

impl Wire {
    async fn exchange(&self, request: &HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let wrong = |why: &str| ConnectorError::user(format!("cannot send the request: {why}").into());
        let uri: Uri = request.uri().parse().map_err(|_| wrong("its address is no URI"))?;
        let server = Server::of(&uri).ok_or_else(|| wrong("its address has no host, or is not of http or https"))?;
        let body = request.body().bytes().ok_or_else(|| wrong("its body is a stream"))?;
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let headers: Vec<_> = request.headers().iter().collect();
        let sent = message::request(request.method(), target, &server.authority(), &headers, body);

        let connecting = within(Some(self.connect), "connecting", self.http.connect(&server));
        let mut stream = connecting.await.map_err(|error| failure(error).never_connected())?;
        let mut received = Received::default();
        let answering = async {
            stream.say(&sent).await?;
            head(&mut stream, &mut received, request.method()).await
        };
        let head = within(self.read, "waiting for the answer", answering).await.map_err(failure)?;
        // The SDK tells an answer that is not whole from one that never came.
        let reading = within(self.read, "reading the answer", extents(&mut stream, &mut received, &head)).await;
        let body = match reading {
            Ok(extents) => SdkBody::from(received.into_bytes(extents)),
            Err(error) => SdkBody::from_body_1_x(Broken(Some(error))),
        };
        head.answer(body)
    }
}

impl Http {
    /// Opens a connection; what TLS needs is made ready while the network works on it.
    async fn connect(&self, server: &Server<'_>) -> io::Result<Stream> {
        if !server.is_secure {
            return Ok(Stream::Tcp(stream::open(server.host, server.port).await?));
        }
        let (tcp, tls) = tokio::join!(stream::open(server.host, server.port), async { self.tls() });
        stream::secure(server.host, tcp?, &tls?).await
    }

    /// The TLS configuration, made once: to read the system's authorities takes a millisecond.
    fn tls(&self) -> io::Result<TlsConnector> {
        if let Some(made) = self.tls.get() {
            return Ok(made.clone());
        }
        let made = tls::connector()?;
        Ok(self.tls.get_or_init(|| made).clone())
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Http")
    }
}

/// Whom a request goes to.
struct Server<'a> {
    host: &'a str,
    port: u16,
    is_secure: bool,
}

impl<'a> Server<'a> {
    fn of(uri: &'a Uri) -> Option<Self> {
        let scheme = uri.scheme()?;
        let is_secure = *scheme == Scheme::HTTPS;
        if !is_secure && *scheme != Scheme::HTTP {
            return None;
        }
        let host = uri.host()?;
        Some(Self { host, port: uri.port_u16().unwrap_or(default_port(is_secure)), is_secure })
    }

    /// As a `Host` line has it, and as the request is signed: a default port is left out.
    fn authority(&self) -> String {
        if self.port == default_port(self.is_secure) {
            self.host.to_owned()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

fn default_port(is_secure: bool) -> u16 {
    if is_secure { 443 } else { 80 }
}

/// Reads until the answer's head is there, and takes it off.
async fn head(stream: &mut Stream, received: &mut Received, method: &str) -> io::Result<Head> {
    loop {
        if let Some(head) = message::head(received.bytes(), method)? {
            return Ok(head);
        }
        if stream.hear(received).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed before an answer"));
        }
    }
}

/// Reads until the body is there: where its pieces lie.
async fn extents(stream: &mut Stream, received: &mut Received, head: &Head) -> io::Result<Vec<Range<usize>>> {
    let mut is_over = false;
    loop {
        if let Some(extents) = head.body(received.bytes(), is_over)? {
            return Ok(extents);
        }
        if is_over {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed within an answer"));
        }
        is_over = stream.hear(received).await? == 0;
    }
}

impl Head {
    fn answer(self, body: SdkBody) -> Result<HttpResponse, ConnectorError> {
        let status = self.status.try_into().map_err(|_| failure(io::ErrorKind::InvalidData.into()))?;
        let mut answer = HttpResponse::new(status, body);
        for (name, value) in self.headers {
            // A header that the SDK cannot hold is one that it does not ask for.
            let _ = answer.headers_mut().try_append(name, value);
        }
        Ok(answer)
    }
}

/// A body that was not heard to its end.
struct Broken(Option<io::Error>);

impl Body for Broken {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(self.0.take().map(Err))
    }
}

/// Lets a deed take so long at most.
async fn within<T>(limit: Option<Duration>, deed: &str, doing: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let Some(limit) = limit else { return doing.await };
    match tokio::time::timeout(limit, doing).await {
        Ok(done) => done,
        Err(_) => {
            let text = format!("{deed} took more than {} ms", limit.as_millis());
            Err(io::Error::new(io::ErrorKind::TimedOut, text))
        }
    }
}

fn failure(error: io::Error) -> ConnectorError {
    let is_late = error.kind() == io::ErrorKind::TimedOut;
    let error: Box<dyn StdError + Send + Sync> = error.into();
    if is_late { ConnectorError::timeout(error) } else { ConnectorError::io(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deed_that_takes_too_long_is_late() {
        let limit = Some(Duration::from_millis(3100));
        let late = within::<()>(limit, "connecting", std::future::pending()).await.unwrap_err();
        assert_eq!(
            (late.to_string().as_str(), failure(late).is_timeout()),
            ("connecting took more than 3100 ms", true)
        );
        assert_eq!(within(limit, "connecting", async { Ok(1) }).await.unwrap(), 1);
    }

    #[test]
    fn a_server_is_named_as_the_request_is_signed() {
        for (uri, expected) in [
            ("https://ssm.eu-west-1.amazonaws.com/", Some(("ssm.eu-west-1.amazonaws.com", 443))),
            ("https://localhost:443/", Some(("localhost", 443))),
            ("http://localhost:443/", Some(("localhost:443", 443))),
            ("http://[fd00:ec2::254]/latest", Some(("[fd00:ec2::254]", 80))),
            ("https://[::1]:8000/", Some(("[::1]:8000", 8000))),
            ("ftp://localhost/", None),
            ("/", None),
        ] {
            let uri: Uri = uri.parse().unwrap();
            let server = Server::of(&uri).map(|server| (server.authority(), server.port));
            assert_eq!(server, expected.map(|(authority, port)| (authority.to_owned(), port)), "{uri}");
        }
    }
}
