//! A Lambda Runtime API on loopback, for one start of one function.
//!
//! `GET /2018-06-01/runtime/invocation/next`, `POST …/{id}/response`, `POST …/{id}/error`, `POST …/runtime/init/error`,
//! and as much of the extensions API as a runtime that wants to be told of its shutdown needs.

use std::convert::Infallible;
use std::future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{fmt, io};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};
use tokio::task::{self, JoinHandle, JoinSet};
use tokio::time;

use crate::limits::ANSWER_LIMIT_BYTES;
use crate::trace;

/// The listener, and what the function says to it.
#[derive(Debug)]
pub(crate) struct RuntimeApi {
    address: SocketAddr,
    invocations: mpsc::UnboundedSender<Invocation>,
    pub(crate) calls: mpsc::UnboundedReceiver<Call>,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

/// An event on its way to the function.
#[derive(Clone, Debug)]
pub(crate) struct Invocation {
    pub(crate) id: String,
    pub(crate) event: Bytes,
    /// How long the function may take, from the moment it takes the event.
    pub(crate) limit: Duration,
}

/// What the function did.
#[derive(Debug)]
pub(crate) enum Call {
    /// It asked for an event.
    Next,
    /// It was given the event.
    Taken {
        at: Instant,
    },
    Answered {
        at: Instant,
        answer: Posted,
    },
    Failed {
        at: Instant,
        error: FunctionError,
    },
    InitFailed {
        error: FunctionError,
    },
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum Posted {
    Whole(Vec<u8>),
    /// With the prelude of a streamed HTTP answer.
    Streamed(Vec<u8>),
    /// Over the limit of Lambda, which is told first; then the size.
    TooLarge(usize, usize),
    /// A stream that the function broke off.
    Broken(FunctionError),
}

/// An error as a runtime reports it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FunctionError {
    pub(crate) kind: String,
    pub(crate) message: String,
}

impl RuntimeApi {
    /// Listens on a free port of 127.0.0.1.
    pub(crate) async fn open() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (invocations, pending) = mpsc::unbounded_channel();
        let (told, calls) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            host: address.to_string(),
            pending: Mutex::new(pending),
            current: Mutex::new(None),
            told,
            has_extension: AtomicBool::new(false),
        });
        let server = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, invocations, calls, shared, server })
    }

    /// What goes into `AWS_LAMBDA_RUNTIME_API`.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Lays an event out for the next poll.
    pub(crate) fn offer(&self, invocation: Invocation) {
        // The receiver lives in `self.shared`.
        let _ = self.invocations.send(invocation);
    }

    /// Whether the function asked to be told of its shutdown.
    pub(crate) fn has_extension(&self) -> bool {
        self.shared.has_extension.load(Ordering::Relaxed)
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl fmt::Display for FunctionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind.as_str(), self.message.as_str()) {
            ("", "") => f.write_str("no reason given"),
            (kind, "") => f.write_str(kind),
            ("", message) => f.write_str(message),
            (kind, message) => write!(f, "{kind}: {message}"),
        }
    }
}

#[derive(Debug)]
struct Shared {
    /// What stands in the `Host` of whoever was told our address.
    host: String,
    /// Held by the poll that waits, so an event goes to one poll only.
    pending: Mutex<mpsc::UnboundedReceiver<Invocation>>,
    /// The id of the event the function works on.
    current: Mutex<Option<String>>,
    told: mpsc::UnboundedSender<Call>,
    has_extension: AtomicBool,
}

type Reply = Response<Full<Bytes>>;

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => _ = connections.spawn(serve(stream, Arc::clone(&shared))),
                // Out of descriptors, most likely: they come back.
                Err(_) => time::sleep(PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(shared.reply(request).await) }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

impl Shared {
    async fn reply(&self, request: Request<Incoming>) -> Reply {
        if !self.is_from_a_runtime(request.headers()) {
            return refusal(StatusCode::FORBIDDEN, "Forbidden", "this runtime API is the function's alone");
        }
        let path = request.uri().path().to_owned();
        let parts: Vec<_> = path.split('/').skip(1).collect();
        match (request.method(), parts.as_slice()) {
            (&Method::GET, ["2018-06-01", "runtime", "invocation", "next"]) => self.next().await,
            (&Method::POST, ["2018-06-01", "runtime", "invocation", id, "response"]) => {
                self.response(id, request).await
            }
            (&Method::POST, ["2018-06-01", "runtime", "invocation", id, "error"]) => self.error(id, request).await,
            (&Method::POST, ["2018-06-01", "runtime", "init", "error"]) => {
                let error = read_error(request).await;
                self.tell(Call::InitFailed { error });
                accepted()
            }
            (&Method::POST, ["2020-01-01", "extension", "register"]) => {
                self.has_extension.store(true, Ordering::Relaxed);
                let body = json!({"functionName": "function", "functionVersion": "$LATEST", "handler": "bootstrap"});
                reply(StatusCode::OK, &[("lambda-extension-identifier", &request_id())], &body)
            }
            // No event of ours ever goes to an extension; the shutdown comes as a signal.
            (&Method::GET, ["2020-01-01", "extension", "event", "next"]) => future::pending().await,
            _ => refusal(StatusCode::NOT_FOUND, "ResourceNotFound", "this runtime API has no such path"),
        }
    }

    /// Whether a program asks that was told our address. A web page can reach every port of this machine, and would get the
    /// visitors' cookies: its browser says that a page asks, or names another host, where a name was made to lead here.
    fn is_from_a_runtime(&self, headers: &HeaderMap) -> bool {
        let is_told = headers.get(header::HOST).is_some_and(|host| host.as_bytes() == self.host.as_bytes());
        is_told && !PAGE_HEADERS.iter().any(|name| headers.contains_key(*name))
    }

    async fn next(&self) -> Reply {
        self.tell(Call::Next);
        let Some(invocation) = self.pending.lock().await.recv().await else { return future::pending().await };
        *self.current.lock().await = Some(invocation.id.clone());
        self.tell(Call::Taken { at: Instant::now() });
        let deadline = SystemTime::now().checked_add(invocation.limit).unwrap_or(UNIX_EPOCH);
        let deadline = deadline.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let response = Response::builder()
            .header("content-type", "application/json")
            .header("lambda-runtime-aws-request-id", &invocation.id)
            .header("lambda-runtime-deadline-ms", deadline.to_string())
            .header("lambda-runtime-invoked-function-arn", FUNCTION_ARN)
            .header("lambda-runtime-trace-id", trace::header(&invocation.event, &invocation.id, SystemTime::now()));
        response.body(Full::new(invocation.event)).unwrap_or_default()
    }

    async fn response(&self, id: &str, request: Request<Incoming>) -> Reply {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let streams = header("lambda-runtime-function-response-mode") == "streaming";
        let has_prelude = header("content-type").starts_with(STREAMED_HTTP);
        let limit = if streams { STREAM_LIMIT_BYTES } else { ANSWER_LIMIT_BYTES };
        let Some((body, size, trailers)) = read(request, limit).await else {
            return refusal(StatusCode::BAD_REQUEST, "BrokenBody", "the body did not arrive whole");
        };
        if !self.finishes(id).await {
            return refusal(StatusCode::BAD_REQUEST, "InvalidRequestID", "no event of this id waits for an answer");
        }
        let (answer, reply) = if size > limit {
            let message = format!("Exceeded maximum allowed payload size ({limit} bytes).");
            let reply = refusal(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &message);
            (Posted::TooLarge(limit, size), reply)
        } else if trailers.contains_key(ERROR_TYPE_TRAILER) {
            (Posted::Broken(error_of_trailers(&trailers)), accepted())
        } else if streams && has_prelude {
            (Posted::Streamed(body), accepted())
        } else {
            (Posted::Whole(body), accepted())
        };
        self.tell(Call::Answered { at: Instant::now(), answer });
        // Who waits for the answer goes first; the function's thanks can wait.
        task::yield_now().await;
        reply
    }

    async fn error(&self, id: &str, request: Request<Incoming>) -> Reply {
        let error = read_error(request).await;
        if !self.finishes(id).await {
            return refusal(StatusCode::BAD_REQUEST, "InvalidRequestID", "no event of this id waits for an answer");
        }
        self.tell(Call::Failed { at: Instant::now(), error });
        accepted()
    }

    /// Whether `id` is the event in work; it is no longer.
    async fn finishes(&self, id: &str) -> bool {
        self.current.lock().await.take_if(|current| current == id).is_some()
    }

    fn tell(&self, call: Call) {
        // Nobody listens once the function is being stopped.
        let _ = self.told.send(call);
    }
}

/// The body up to `limit` bytes, its whole size, and its trailers; `None` if it broke off.
async fn read(request: Request<Incoming>, limit: usize) -> Option<(Vec<u8>, usize, HeaderMap)> {
    let mut body = request.into_body();
    let (mut bytes, mut size, mut trailers) = (Vec::new(), 0_usize, HeaderMap::new());
    while let Some(frame) = body.frame().await {
        match frame.ok()?.into_data() {
            Ok(data) => {
                size = size.saturating_add(data.len());
                if size <= limit {
                    bytes.extend_from_slice(&data);
                }
            }
            Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
        }
    }
    Some((bytes, size, trailers))
}

async fn read_error(request: Request<Incoming>) -> FunctionError {
    let header = request.headers().get("lambda-runtime-function-error-type");
    let kind = header.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let (body, ..) = read(request, ANSWER_LIMIT_BYTES).await.unwrap_or_default();
    error_of_body(kind, &body)
}

fn error_of_body(kind: String, body: &[u8]) -> FunctionError {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let field = |name| json.get(name).and_then(Value::as_str).map(str::to_owned);
    let message = field("errorMessage").unwrap_or_else(|| match json {
        Value::Null => String::from_utf8_lossy(body).into_owned(),
        _ => String::new(),
    });
    FunctionError { kind: field("errorType").unwrap_or(kind), message }
}

fn error_of_trailers(trailers: &HeaderMap) -> FunctionError {
    let text = |name| trailers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let body = text(ERROR_BODY_TRAILER);
    let body = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body).unwrap_or_else(|_| body.into());
    error_of_body(text(ERROR_TYPE_TRAILER).to_owned(), &body)
}

fn accepted() -> Reply {
    reply(StatusCode::ACCEPTED, &[], &json!({"status": "OK"}))
}

fn refusal(status: StatusCode, kind: &str, message: &str) -> Reply {
    reply(status, &[], &json!({"errorType": kind, "errorMessage": message}))
}

fn reply(status: StatusCode, headers: &[(&str, &str)], body: &Value) -> Reply {
    let mut response = Response::builder().status(status).header("content-type", "application/json");
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Full::from(body.to_string())).unwrap_or_default()
}

/// A fresh id in the shape Lambda gives them: a random UUID.
pub(crate) fn request_id() -> String {
    let mut bytes = [0; 16];
    // Ids tell events apart, they guard nothing: without random bytes the zero id serves.
    let _ = getrandom::fill(&mut bytes);
    let number = u128::from_be_bytes(bytes) & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{number:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

const FUNCTION_ARN: &str = "arn:aws:lambda:us-east-1:123456789012:function:function";
const STREAMED_HTTP: &str = "application/vnd.awslambda.http-integration-response";
const ERROR_TYPE_TRAILER: &str = "lambda-runtime-function-error-type";
const ERROR_BODY_TRAILER: &str = "lambda-runtime-function-error-body";

/// What browsers send for pages and no runtime sends.
const PAGE_HEADERS: [&str; 2] = ["origin", "sec-fetch-site"];

const PAUSE: Duration = Duration::from_millis(50);

/// What Lambda takes as a streamed answer: 200 MiB (Lambda quotas).
const STREAM_LIMIT_BYTES: usize = 200 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids_and_differ() {
        let id = request_id();
        let lengths: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
        assert_eq!(id.get(14..15), Some("4"), "{id}");
        assert!(matches!(id.get(19..20), Some("8" | "9" | "a" | "b")), "{id}");
        assert_ne!(id, request_id());
    }

    #[test]
    fn an_error_is_read_as_runtimes_write_it() {
        let rows = [
            (r#"{"errorType":"E","errorMessage":"m"}"#, "E: m"),
            (r#"{"errorMessage":"m"}"#, "Header: m"),
            ("plain words", "Header: plain words"),
            ("{}", "Header"),
        ];
        for (body, expected) in rows {
            assert_eq!(error_of_body("Header".to_owned(), body.as_bytes()).to_string(), expected);
        }
        assert_eq!(error_of_body(String::new(), b"").to_string(), "no reason given");
    }
}
