//! A runtime API that serves several environments' worth of polls at once, and a function of this test program behind it.

use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    net::Ipv4Addr,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    io::AsyncReadExt,
    net::TcpListener,
    process::{Child, Command},
    sync::mpsc,
    task::{JoinHandle, JoinSet},
    time::timeout,
};

use crate::{ROLE, SECRET};

/// Longer than anything here takes on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// A function that runs, and what stands for Lambda.
pub(crate) struct Function {
    shared: Arc<Shared>,
    offers: mpsc::UnboundedSender<(String, String)>,
    api: JoinHandle<()>,
    child: Child,
}

struct Shared {
    offers: tokio::sync::Mutex<mpsc::UnboundedReceiver<(String, String)>>,
    /// Who waits for the answer to which request id.
    waiting: Mutex<HashMap<String, VecDeque<mpsc::UnboundedSender<Piece>>>>,
    in_work: AtomicUsize,
    most_in_work: AtomicUsize,
}

/// What a function posts, as it comes.
enum Piece {
    Head(HeaderMap),
    Data(Bytes),
}

/// An answer that is on its way.
pub(crate) struct Answering(mpsc::UnboundedReceiver<Piece>);

impl Function {
    /// Starts this test program in a role, with these variables.
    pub(crate) async fn start(role: &str, test: &str, variables: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (offers, offered) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            offers: tokio::sync::Mutex::new(offered),
            waiting: Mutex::default(),
            in_work: AtomicUsize::new(0),
            most_in_work: AtomicUsize::new(0),
        });
        let api = tokio::spawn(accept(listener, shared.clone()));
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env_clear()
            .env(ROLE, role)
            .env("AWS_LAMBDA_RUNTIME_API", address)
            .env("AWS_LAMBDA_FUNCTION_NAME", "function")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("SECRET_KEY_BASE", SECRET)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { shared, offers, api, child }
    }

    /// Sends an event under a request id.
    pub(crate) fn send(&self, id: &str, event: &Value) -> Answering {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.shared.waiting.lock().unwrap().entry(id.to_owned()).or_default().push_back(sender);
        self.offers.send((id.to_owned(), event.to_string())).unwrap();
        Answering(receiver)
    }

    /// Answers a poll with no event.
    pub(crate) fn send_nothing(&self) {
        self.offers.send((String::new(), String::new())).unwrap();
    }

    /// Sends an event, and waits for the whole answer.
    pub(crate) async fn ask(&self, id: &str, event: &Value) -> Value {
        let mut answering = self.send(id, event);
        answering.head().await;
        serde_json::from_slice(&answering.rest().await).unwrap()
    }

    /// The most events that it had in work at once.
    pub(crate) fn most_in_work(&self) -> usize {
        self.shared.most_in_work.load(Ordering::SeqCst)
    }

    /// Ends what stands for Lambda, and every connection to it.
    pub(crate) fn hang_up(&self) {
        self.api.abort();
    }

    /// Ends the function; all that it has written.
    pub(crate) async fn stop(mut self) -> String {
        self.child.start_kill().unwrap();
        self.ended().await
    }

    /// Waits until the function has ended by itself; all that it has written.
    pub(crate) async fn ended(mut self) -> String {
        let mut log = Vec::new();
        self.child.stdout.take().unwrap().read_to_end(&mut log).await.unwrap();
        self.child.stderr.take().unwrap().read_to_end(&mut log).await.unwrap();
        self.child.wait().await.unwrap();
        String::from_utf8_lossy(&log).into_owned()
    }
}

impl Answering {
    /// The header lines with which the function posts its answer.
    pub(crate) async fn head(&mut self) -> HeaderMap {
        match timeout(PATIENCE, self.0.recv()).await.expect("an answer in time") {
            Some(Piece::Head(head)) => head,
            _ => panic!("no answer begins here"),
        }
    }

    /// What comes until these bytes have come.
    pub(crate) async fn until(&mut self, end: &[u8]) -> Vec<u8> {
        let mut come = Vec::new();
        while !come.windows(end.len()).any(|window| window == end) {
            match timeout(PATIENCE, self.0.recv()).await.expect("more in time") {
                Some(Piece::Data(data)) => come.extend_from_slice(&data),
                _ => panic!("it ended after {:?}", String::from_utf8_lossy(&come)),
            }
        }
        come
    }

    /// What comes until the end.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut come = Vec::new();
        while let Some(piece) = timeout(PATIENCE, self.0.recv()).await.expect("an end in time") {
            if let Piece::Data(data) = piece {
                come.extend_from_slice(&data);
            }
        }
        come
    }
}

/// An event of payload format 2.0 from this domain.
pub(crate) fn event(domain: &str, path: &str, cookies: &[String]) -> Value {
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "", "cookies": cookies,
        "headers": {"host": domain},
        "requestContext": {"http": {"method": "GET", "path": path}, "stage": "$default", "domainName": domain},
        "isBase64Encoded": false
    })
}

/// The `name=value` of the one cookie that an answer sets.
pub(crate) fn cookie(answer: &Value) -> Option<String> {
    let lines: Vec<&str> = answer["cookies"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    assert!(lines.len() <= 1, "{lines:?}");
    lines.first().map(|line| line.split(';').next().unwrap().to_owned())
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = shared.clone();
        connections.spawn(async move {
            stream.set_nodelay(true).unwrap();
            let service = service_fn(|request| {
                let shared = shared.clone();
                async move { Ok::<_, Infallible>(shared.reply(request).await) }
            });
            // The function may be killed in the middle of an exchange.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

impl Shared {
    async fn reply(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        match (request.method(), parts.as_slice()) {
            (&Method::GET, ["2018-06-01", "runtime", "invocation", "next"]) => self.next().await,
            (&Method::POST, ["2018-06-01", "runtime", "invocation", id, "response" | "error"]) => {
                self.posted(id, request).await
            }
            _ => panic!("{path}"),
        }
    }

    async fn next(&self) -> Response<Full<Bytes>> {
        let offered = self.offers.lock().await.recv().await;
        let Some((id, event)) = offered else { return std::future::pending().await };
        if event.is_empty() {
            return Response::builder().status(204).body(Full::default()).unwrap();
        }
        let in_work = self.in_work.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_in_work.fetch_max(in_work, Ordering::SeqCst);
        Response::builder()
            .header("lambda-runtime-trace-id", format!("Root=1-{id}"))
            .header("lambda-runtime-invocation-id", format!("invocation-{id}"))
            .header("lambda-runtime-aws-request-id", id)
            .header("lambda-runtime-deadline-ms", "4102444800000")
            .header("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-west-1:123456789012:function:function")
            .body(event.into())
            .unwrap()
    }

    async fn posted(&self, id: &str, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let sender = self.waiting.lock().unwrap().get_mut(id).and_then(VecDeque::pop_front).expect("somebody waits");
        let (parts, mut body) = request.into_parts();
        sender.send(Piece::Head(parts.headers)).unwrap();
        while let Some(Ok(frame)) = body.frame().await {
            if let Ok(data) = frame.into_data() {
                sender.send(Piece::Data(data)).unwrap();
            }
        }
        self.in_work.fetch_sub(1, Ordering::SeqCst);
        // As Lambda says to the answer to an invocation that has timed out.
        let status = if id.starts_with("late") { 410 } else { 202 };
        Response::builder().status(status).body(Full::default()).unwrap()
    }
}
