//! A listener on loopback that speaks SSM's protocol (AWS JSON 1.1 over HTTP/1.1), and makes its faults.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects
)]

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

/// An SSM of one's own. It answers from its parameters, but for the faults that it was told to make.
#[derive(Clone)]
pub struct Ssm {
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    parameters: BTreeMap<String, Parameter>,
    /// What somebody writes after the next call.
    writes: Vec<(String, Parameter)>,
    /// The next calls' faults; the last stays.
    faults: VecDeque<Fault>,
    calls: Vec<Call>,
}

struct Parameter {
    kind: String,
    value: String,
}

/// One call, as it came over the wire.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub action: String,
    pub body: Value,
}

#[derive(Clone, Debug)]
pub enum Fault {
    None,
    /// An answer of this status, error code and message.
    Refuses(u16, &'static str, &'static str),
    /// This status and body, whatever they mean.
    Says(u16, String),
    /// The call is read and never answered.
    Hangs,
    /// The right answer, after so long.
    Late(Duration),
    /// The right answer, byte by byte.
    Trickles,
    /// The right answer; then nothing is heard on this connection, as after a freeze.
    FallsSilent,
    /// The connection is cut after so many bytes of the right answer.
    Cuts(usize),
    /// The right answer, in chunks of so many bytes.
    Chunks(usize),
    /// The right answer, once somebody says so.
    Waits(Arc<Notify>),
}

impl Ssm {
    /// Listens on a free port of loopback, in the current runtime.
    pub async fn start() -> Self {
        Self::listen(None).await
    }

    /// The same over TLS.
    pub async fn start_tls(tls: TlsAcceptor) -> Self {
        Self::listen(Some(tls)).await
    }

    async fn listen(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ssm = Self { address: listener.local_addr().unwrap(), tls, state: Arc::default() };
        let served = ssm.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let served = served.clone();
                // A client that goes away is no trouble of ours.
                tokio::spawn(async move {
                    match &served.tls {
                        None => served.serve(stream).await.ok(),
                        Some(tls) => served.serve(tls.accept(stream).await.ok()?).await.ok(),
                    }
                });
            }
        });
        ssm
    }

    pub fn url(&self) -> String {
        match self.tls {
            None => format!("http://{}", self.address),
            Some(_) => format!("https://localhost:{}", self.address.port()),
        }
    }

    pub fn put(&self, name: &str, value: &str) -> &Self {
        self.put_as("SecureString", name, value)
    }

    pub fn put_as(&self, kind: &str, name: &str, value: &str) -> &Self {
        let parameter = Parameter { kind: kind.into(), value: value.into() };
        self.state.lock().unwrap().parameters.insert(name.into(), parameter);
        self
    }

    /// Somebody writes this after the next call.
    pub fn puts_next(&self, name: &str, value: &str) -> &Self {
        let parameter = Parameter { kind: "SecureString".into(), value: value.into() };
        self.state.lock().unwrap().writes.push((name.into(), parameter));
        self
    }

    /// Makes these faults, one a call, the last again and again.
    pub fn faults(&self, faults: impl IntoIterator<Item = Fault>) -> &Self {
        self.state.lock().unwrap().faults = faults.into_iter().collect();
        self
    }

    pub fn calls(&self) -> Vec<Call> {
        self.state.lock().unwrap().calls.clone()
    }

    pub fn count(&self) -> usize {
        self.state.lock().unwrap().calls.len()
    }

    async fn serve(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
        let mut read = Vec::new();
        loop {
            let Some((head, body, rest)) = request(&mut stream, read).await? else { return Ok(()) };
            read = rest;
            let action = head.lines().find_map(|line| line.strip_prefix("x-amz-target: AmazonSSM.")).unwrap_or("?");
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            let (fault, (status, answer)) = {
                let mut state = self.state.lock().unwrap();
                let faults = &mut state.faults;
                let fault = if faults.len() > 1 { faults.pop_front() } else { faults.front().cloned() };
                let answer = state.answer(action, &body);
                let writes = std::mem::take(&mut state.writes);
                state.parameters.extend(writes);
                state.calls.push(Call { action: action.to_owned(), body });
                (fault.unwrap_or(Fault::None), answer)
            };
            let right = response(status, &answer.to_string());
            match fault {
                Fault::None => stream.write_all(right.as_bytes()).await?,
                Fault::Refuses(status, code, message) => {
                    let body = json!({"__type": code, "message": message}).to_string();
                    stream.write_all(response(status, &body).as_bytes()).await?;
                }
                Fault::Says(status, body) => stream.write_all(response(status, &body).as_bytes()).await?,
                Fault::FallsSilent => {
                    stream.write_all(right.as_bytes()).await?;
                    stream.flush().await?;
                    std::future::pending().await
                }
                Fault::Hangs => std::future::pending().await,
                Fault::Waits(word) => {
                    word.notified().await;
                    stream.write_all(right.as_bytes()).await?;
                }
                Fault::Late(wait) => {
                    tokio::time::sleep(wait).await;
                    stream.write_all(right.as_bytes()).await?;
                }
                Fault::Trickles => {
                    for byte in right.bytes() {
                        stream.write_all(&[byte]).await?;
                        stream.flush().await?;
                        tokio::task::yield_now().await;
                    }
                }
                Fault::Chunks(bytes) => {
                    let body = answer.to_string();
                    let chunks = body
                        .as_bytes()
                        .chunks(bytes)
                        .map(|chunk| format!("{:x}\r\n{}\r\n", chunk.len(), String::from_utf8_lossy(chunk)));
                    let head = format!("HTTP/1.1 {status} Status\r\ntransfer-encoding: chunked\r\n\r\n");
                    let chunked = std::iter::once(head).chain(chunks).chain(["0\r\n\r\n".into()]);
                    for piece in chunked {
                        stream.write_all(piece.as_bytes()).await?;
                    }
                }
                Fault::Cuts(bytes) => {
                    stream.write_all(&right.as_bytes()[..bytes.min(right.len())]).await?;
                    return stream.flush().await;
                }
            }
            stream.flush().await?;
        }
    }
}

impl State {
    fn answer(&self, action: &str, body: &Value) -> (u16, Value) {
        match action {
            "GetParameter" => {
                let name = body["Name"].as_str().unwrap_or_default();
                match self.found(name) {
                    Some(parameter) => (200, json!({ "Parameter": parameter })),
                    None => (400, json!({"__type": "ParameterNotFound", "message": ""})),
                }
            }
            "GetParameters" => {
                let mut names: Vec<&str> = body["Names"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
                // As SSM does: in alphabetical order, whatever was asked.
                names.sort_unstable();
                let (found, invalid): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| self.found(name).is_some());
                let found: Vec<_> = found.into_iter().filter_map(|name| self.found(name)).collect();
                (200, json!({"Parameters": found, "InvalidParameters": invalid}))
            }
            _ => (400, json!({"__type": "UnknownOperationException"})),
        }
    }

    /// What SSM says of a parameter, asked by name, ARN or either with a selector: kept here under the name alone.
    fn found(&self, asked: &str) -> Option<Value> {
        let path = asked.strip_prefix(ARN).unwrap_or(asked);
        let (name, selector) = path.split_once(':').unwrap_or((path, ""));
        // A parameter with a selector is kept under name and selector.
        let parameter = self.parameters.get(path)?;
        let mut found = json!({
            "Name": name, "ARN": format!("{ARN}{name}"), "Type": parameter.kind, "Value": parameter.value, "Version": 1,
            "DataType": "text", "LastModifiedDate": 1_795_369_800.0
        });
        if !selector.is_empty() {
            found["Selector"] = format!(":{selector}").into();
        }
        Some(found)
    }
}

/// What comes before a path in an ARN of this SSM.
pub const ARN: &str = "arn:aws:ssm:eu-west-1:123456789012:parameter";

fn response(status: u16, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} Status\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Head, body and what came behind them; `None` at the end of the connection.
async fn request(
    stream: &mut (impl AsyncRead + Unpin),
    mut read: Vec<u8>,
) -> std::io::Result<Option<(String, Vec<u8>, Vec<u8>)>> {
    loop {
        if let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&read[..end]).into_owned();
            let length = head
                .lines()
                .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned))
                .map_or(0, |length| length.parse().unwrap());
            if read.len() >= end + 4 + length {
                let rest = read.split_off(end + 4 + length);
                return Ok(Some((head, read.split_off(end + 4), rest)));
            }
        }
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await? {
            0 => return Ok(None),
            count => read.extend_from_slice(&buffer[..count]),
        }
    }
}
