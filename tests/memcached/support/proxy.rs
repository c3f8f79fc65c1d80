//! A proxy that does harm.

use std::{
    net::TcpListener as StdListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use lambda_session::memcached::NodeId;
use socket2::SockRef;
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
    /// Lets so many bytes of the answers through, and no more.
    HoldAnswer(usize),
    /// One byte of the answers at a time.
    Dribble(Duration),
    /// Every answer after the greeting is, in turn: right, another connection's, the one before on this connection, said
    /// twice.
    Twist,
    /// Holds the first write that compares a CAS number, and closes the connection. It reaches the server before the next such
    /// write does.
    LateWrite,
    /// Accepts, and does nothing.
    Silent,
}

/// Ends connections, by a word that is said anew each time.
type Closing = tokio::sync::watch::Sender<End>;

#[derive(Clone, Copy)]
enum End {
    /// FIN: the last that is heard.
    Close,
    /// RST: what was on its way is lost.
    Reset,
}

/// What happens to the connection of this number.
type Plan = Mutex<Box<dyn Fn(usize) -> Harm + Send>>;

/// What is said to `config get cluster` in the server's place, as an ElastiCache node would; if anything.
pub(crate) type Board = Arc<Mutex<Option<String>>>;

const ASK_NODES: &[u8] = b"config get cluster\r\n";

/// A proxy in front of a server: each connection suffers what the plan says for its number.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    shared: Arc<Shared>,
    closing: Closing,
    task: tokio::task::JoinHandle<()>,
}

struct Shared {
    upstream: u16,
    plan: Plan,
    board: Board,
    accepted: AtomicUsize,
    open: AtomicUsize,
    /// Connections with a smaller number are black holes.
    dead_below: AtomicUsize,
    /// How long every answer waits, in microseconds, and every byte of it.
    delay: AtomicU64,
    pause: AtomicU64,
    /// A write that is on its way.
    late: Mutex<Option<Vec<u8>>>,
    /// How many answers were twisted, and the last of another connection.
    twists: Mutex<(usize, Vec<u8>)>,
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
        let shared = Arc::new(Shared {
            upstream,
            plan: Mutex::new(Box::new(plan)),
            board,
            accepted: AtomicUsize::default(),
            open: AtomicUsize::default(),
            dead_below: AtomicUsize::default(),
            delay: AtomicU64::default(),
            pause: AtomicU64::default(),
            late: Mutex::default(),
            twists: Mutex::default(),
        });
        let (closing, _) = tokio::sync::watch::channel(End::Close);
        let task = PEERS.spawn(accept(listener, shared.clone(), closing.clone()));
        Self { port, shared, closing, task }
    }

    pub(crate) fn name(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn id(&self) -> NodeId {
        NodeId::of(&self.name())
    }

    /// How many connections were accepted.
    pub(crate) fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// How many are open.
    pub(crate) fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    pub(crate) fn plan(&self, plan: impl Fn(usize) -> Harm + Send + 'static) {
        *self.shared.plan.lock().unwrap() = Box::new(plan);
    }

    /// Every connection that is open now is a black hole: it stays open, and nothing comes back.
    pub(crate) fn forget_connections(&self) {
        self.shared.dead_below.store(self.accepted(), Ordering::SeqCst);
    }

    /// From now on every answer comes byte by byte, also on connections that are open.
    pub(crate) fn dribble(&self, pause: Duration) {
        self.shared.pause.store(u64::try_from(pause.as_micros()).unwrap(), Ordering::SeqCst);
    }

    /// From now on every answer comes so much later, also on connections that are open.
    pub(crate) fn delay(&self, delay: Duration) {
        self.shared.delay.store(u64::try_from(delay.as_micros()).unwrap(), Ordering::SeqCst);
    }

    /// Closes every connection that is open now.
    pub(crate) fn close_connections(&self) {
        self.end_connections(End::Close);
    }

    /// Resets every connection that is open now, as a machine does that has forgotten them.
    pub(crate) fn reset_connections(&self) {
        self.end_connections(End::Reset);
    }

    fn end_connections(&self, end: End) {
        self.closing.send_replace(end);
        while self.open() > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.closing.send_replace(End::Close);
    }
}

async fn accept(listener: StdListener, shared: Arc<Shared>, closing: Closing) {
    let listener = TcpListener::from_std(listener).unwrap();
    while let Ok((mut stream, _)) = listener.accept().await {
        let number = shared.accepted.fetch_add(1, Ordering::SeqCst);
        shared.open.fetch_add(1, Ordering::SeqCst);
        let harm = shared.plan.lock().unwrap()(number);
        let (shared, mut closing) = (shared.clone(), closing.subscribe());
        tokio::spawn(async move {
            tokio::select! {
                () = shared.forward(&mut stream, number, harm) => {}
                _ = closing.changed() => {
                    if let End::Reset = *closing.borrow() {
                        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
                    }
                }
            }
            drop(stream);
            shared.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

impl Shared {
    async fn forward(&self, client: &mut TcpStream, number: usize, harm: Harm) {
        let _ = client.set_nodelay(true);
        if harm == Harm::Silent {
            let mut sink = [0; 1024];
            while matches!(client.read(&mut sink).await, Ok(1..)) {}
            return;
        }
        let Ok(mut server) = TcpStream::connect(("127.0.0.1", self.upstream)).await else { return };
        let _ = server.set_nodelay(true);
        let (mut asked, mut answered) = (0, 0);
        let (mut request, mut answer, mut before) = ([0; 16384], [0; 16384], Vec::new());
        loop {
            tokio::select! {
                read = client.read(&mut request) => {
                    let Ok(length @ 1..) = read else { return };
                    if number < self.dead_below.load(Ordering::SeqCst) { continue }
                    let request = self.answer_for_nodes(&request[..length], client, &mut server).await;
                    if request.starts_with(b"ms ") && request.windows(2).any(|bytes| bytes == b" C") {
                        if harm == Harm::LateWrite {
                            *self.late.lock().unwrap() = Some(request.to_vec());
                            return;
                        }
                        self.deliver_late().await;
                    }
                    let most = if let Harm::CutRequest(limit) = harm { limit.saturating_sub(asked) } else { usize::MAX };
                    asked += request.len();
                    if server.write_all(&request[..request.len().min(most)]).await.is_err() { return }
                    if most <= request.len() {
                        // What was let through is carried out before the end is seen.
                        let _ = tokio::time::timeout(Duration::from_millis(2), server.read(&mut answer)).await;
                        return;
                    }
                }
                read = server.read(&mut answer) => {
                    let Ok(length @ 1..) = read else { return };
                    if number < self.dead_below.load(Ordering::SeqCst) { continue }
                    let (limit, holds) = match harm {
                        Harm::CutAnswer(limit) => (limit, false),
                        Harm::HoldAnswer(limit) => (limit, true),
                        _ => (usize::MAX, false),
                    };
                    let most = limit.saturating_sub(answered).min(length);
                    let bytes = match harm {
                        Harm::Twist if answered > 0 => self.twist(&answer[..length], &mut before),
                        _ => answer[..most].to_vec(),
                    };
                    answered += length;
                    if self.say(client, &bytes, harm).await.is_none() || answered >= limit && !holds { return }
                }
            }
        }
    }

    async fn deliver_late(&self) {
        let Some(late) = self.late.lock().unwrap().take() else { return };
        let mut server = TcpStream::connect(("127.0.0.1", self.upstream)).await.unwrap();
        server.write_all(&late).await.unwrap();
        assert!(server.read(&mut [0; 64]).await.unwrap() > 0, "it is carried out");
    }

    async fn say(&self, client: &mut TcpStream, bytes: &[u8], harm: Harm) -> Option<()> {
        let delay = self.delay.load(Ordering::SeqCst);
        if delay > 0 {
            tokio::time::sleep(Duration::from_micros(delay)).await;
        }
        let pause = match harm {
            Harm::Dribble(pause) => Some(pause),
            _ => Some(Duration::from_micros(self.pause.load(Ordering::SeqCst))).filter(|pause| !pause.is_zero()),
        };
        let Some(pause) = pause else { return client.write_all(bytes).await.ok() };
        for byte in bytes {
            tokio::time::sleep(pause).await;
            client.write_all(std::slice::from_ref(byte)).await.ok()?;
        }
        Some(())
    }

    /// What is said in place of an answer; `before` is the one before on the same connection.
    fn twist(&self, answer: &[u8], before: &mut Vec<u8>) -> Vec<u8> {
        let mut twists = self.twists.lock().unwrap();
        twists.0 += 1;
        let another = std::mem::replace(&mut twists.1, answer.to_vec());
        let before = std::mem::replace(before, answer.to_vec());
        let said = match twists.0 % 4 {
            0 => answer.to_vec(),
            1 => another,
            2 => before,
            _ => answer.repeat(2),
        };
        if said.is_empty() { answer.repeat(2) } else { said }
    }

    /// Answers the question for the list of nodes, if it is among these bytes and there is a list; what is left of them.
    async fn answer_for_nodes<'a>(
        &self,
        request: &'a [u8],
        client: &mut TcpStream,
        server: &mut TcpStream,
    ) -> &'a [u8] {
        let list = self.board.lock().unwrap().clone();
        let Some(list) = list else { return request };
        let Some(at) = request.windows(ASK_NODES.len()).position(|bytes| bytes == ASK_NODES) else { return request };
        if at > 0 {
            // The greeting comes before it, and its answer, too.
            let mut answer = [0; 1024];
            let _ = server.write_all(&request[..at]).await;
            let length = server.read(&mut answer).await.unwrap_or(0);
            let _ = client.write_all(&answer[..length]).await;
        }
        let _ = client.write_all(list.as_bytes()).await;
        &request[at + ASK_NODES.len()..]
    }
}
