//! A proxy that does harm.

use std::{
    net::TcpListener as StdListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use lambda_session::memcached::NodeId;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::PEERS;

/// What a proxy does to a connection. Bytes are counted from the beginning of the connection, greeting included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Harm {
    None,
    /// Closes it after so many bytes of the requests.
    CutRequest(usize),
    /// Closes it after so many bytes of the answers.
    CutAnswer(usize),
    /// One byte of the answers at a time.
    Dribble(Duration),
    /// Accepts, and does nothing.
    Silent,
}

/// What happens to the connection of this number.
type Plan = Arc<Mutex<Box<dyn Fn(usize) -> Harm + Send>>>;

/// What is said to `config get cluster` in the server's place, as an ElastiCache node would; if anything.
pub(crate) type Board = Arc<Mutex<Option<String>>>;

const ASK_NODES: &[u8] = b"config get cluster\r\n";

/// A proxy in front of a server: each connection suffers what the plan says for its number.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    /// How many connections were accepted.
    pub(crate) accepted: Arc<AtomicUsize>,
    /// How many are open.
    pub(crate) open: Arc<AtomicUsize>,
    /// Connections with a smaller number are black holes from now on.
    pub(crate) dead_below: Arc<AtomicUsize>,
    plan: Plan,
    closing: tokio::sync::watch::Sender<u32>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    pub(crate) fn start(upstream: u16, plan: impl Fn(usize) -> Harm + Send + 'static) -> Self {
        Self::listing(upstream, Board::default(), plan)
    }

    /// A proxy that makes an ElastiCache node of its server: it answers for the list of nodes.
    pub(crate) fn listing(upstream: u16, board: Board, plan: impl Fn(usize) -> Harm + Send + 'static) -> Self {
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (accepted, open, dead_below) = <(Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let plan: Plan = Arc::new(Mutex::new(Box::new(plan)));
        let (closing, _) = tokio::sync::watch::channel(0);
        let shared = (accepted.clone(), open.clone(), dead_below.clone(), plan.clone(), closing.clone());
        let task = PEERS.spawn(async move {
            let (accepted, open, dead_below, plan, closing) = shared;
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let number = accepted.fetch_add(1, Ordering::SeqCst);
                open.fetch_add(1, Ordering::SeqCst);
                let harm = plan.lock().unwrap()(number);
                let (open, dead_below, mut closing) = (open.clone(), dead_below.clone(), closing.subscribe());
                let board = board.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        () = forward(stream, upstream, number, harm, dead_below, board) => {}
                        _ = closing.changed() => {}
                    }
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { port, accepted, open, dead_below, plan, closing, task }
    }

    pub(crate) fn name(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn id(&self) -> NodeId {
        NodeId::of(&self.name())
    }

    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    pub(crate) fn plan(&self, plan: impl Fn(usize) -> Harm + Send + 'static) {
        *self.plan.lock().unwrap() = Box::new(plan);
    }

    /// Every connection that is open now is a black hole: it stays open, and nothing comes back.
    pub(crate) fn forget_connections(&self) {
        self.dead_below.store(self.accepted(), Ordering::SeqCst);
    }

    /// Closes every connection that is open now.
    pub(crate) fn close_connections(&self) {
        self.closing.send_modify(|count| *count += 1);
        while self.open.load(Ordering::SeqCst) > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.closing.send_modify(|count| *count += 1);
    }
}

async fn forward(
    mut client: TcpStream,
    upstream: u16,
    number: usize,
    harm: Harm,
    dead_below: Arc<AtomicUsize>,
    board: Board,
) {
    let _ = client.set_nodelay(true);
    if harm == Harm::Silent {
        let mut sink = [0; 1024];
        while matches!(client.read(&mut sink).await, Ok(1..)) {}
        return;
    }
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", upstream)).await else { return };
    let _ = server.set_nodelay(true);
    let (mut asked, mut answered) = (0, 0);
    let (mut request, mut answer) = ([0; 16384], [0; 16384]);
    loop {
        tokio::select! {
            read = client.read(&mut request) => {
                let Ok(length @ 1..) = read else { return };
                if number < dead_below.load(Ordering::SeqCst) { continue }
                let (request, length) = match answer_for_nodes(&request[..length], &board, &mut client, &mut server).await {
                    Some(rest) => (rest, rest.len()),
                    None => (&request[..length], length),
                };
                let most = if let Harm::CutRequest(limit) = harm { limit.saturating_sub(asked) } else { usize::MAX };
                asked += length;
                if server.write_all(&request[..length.min(most)]).await.is_err() { return }
                if most <= length {
                    // What was let through is carried out before the end is seen.
                    let _ = tokio::time::timeout(Duration::from_millis(2), server.read(&mut answer)).await;
                    return;
                }
            }
            read = server.read(&mut answer) => {
                let Ok(length @ 1..) = read else { return };
                if number < dead_below.load(Ordering::SeqCst) { continue }
                let limit = if let Harm::CutAnswer(limit) = harm { limit } else { usize::MAX };
                let most = limit.saturating_sub(answered).min(length);
                answered += length;
                if let Harm::Dribble(pause) = harm {
                    for byte in &answer[..length] {
                        tokio::time::sleep(pause).await;
                        if client.write_all(std::slice::from_ref(byte)).await.is_err() { return }
                    }
                } else if client.write_all(&answer[..most]).await.is_err() {
                    return;
                }
                if answered >= limit { return }
            }
        }
    }
}

/// Answers the question for the list of nodes, if it is among these bytes and there is a list; what is left of them then.
async fn answer_for_nodes<'a>(
    request: &'a [u8],
    board: &Board,
    client: &mut TcpStream,
    server: &mut TcpStream,
) -> Option<&'a [u8]> {
    let list = board.lock().unwrap().clone()?;
    let at = request.windows(ASK_NODES.len()).position(|bytes| bytes == ASK_NODES)?;
    let mut answer = [0; 1024];
    if at > 0 {
        // The greeting comes before it, and its answer, too.
        server.write_all(&request[..at]).await.ok()?;
        let length = server.read(&mut answer).await.ok()?;
        client.write_all(&answer[..length]).await.ok()?;
    }
    client.write_all(list.as_bytes()).await.ok()?;
    Some(&request[at + ASK_NODES.len()..])
}
