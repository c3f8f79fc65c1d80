//! A listener that answers by a script.

use std::{
    net::{SocketAddr, TcpListener as StdListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use lambda_session::memcached::NodeId;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
};

use super::PEERS;

/// A listener that answers every command line with what the script makes of it. `ms` is given its value too.
pub(crate) struct Script {
    pub(crate) port: u16,
    pub(crate) accepted: Arc<AtomicUsize>,
    /// Every command line that came.
    pub(crate) heard: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

/// What a script says to a command.
pub(crate) enum Say {
    Bytes(Vec<u8>),
    /// The bytes, and then the end.
    Last(Vec<u8>),
    Nothing,
}

impl Script {
    /// `answer` is told the number of the connection and the command's words.
    pub(crate) fn start(answer: impl Fn(usize, &[&str]) -> Say + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), answer)
    }

    pub(crate) fn start_at(
        address: SocketAddr,
        answer: impl Fn(usize, &[&str]) -> Say + Send + Sync + 'static,
    ) -> Self {
        let listener = StdListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepted = Arc::<AtomicUsize>::default();
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let (count, ears, answer) = (accepted.clone(), heard.clone(), Arc::new(answer));
        let task = PEERS.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let (answer, ears) = (answer.clone(), ears.clone());
                tokio::spawn(async move {
                    let _ = stream.set_nodelay(true);
                    let mut stream = BufReader::new(stream);
                    let mut line = String::new();
                    while matches!(stream.read_line(&mut line).await, Ok(1..)) {
                        let words: Vec<&str> = line.split_whitespace().collect();
                        ears.lock().unwrap().push(line.trim_end().to_owned());
                        if words[0] == "ms" {
                            let mut value = vec![0; words[2].parse::<usize>().unwrap() + 2];
                            if stream.read_exact(&mut value).await.is_err() {
                                return;
                            }
                        }
                        match answer(number, &words) {
                            Say::Bytes(bytes) => {
                                if stream.write_all(&bytes).await.is_err() {
                                    return;
                                }
                            }
                            Say::Last(bytes) => {
                                let _ = stream.write_all(&bytes).await;
                                let _ = stream.shutdown().await;
                                return;
                            }
                            Say::Nothing => {}
                        }
                        line.clear();
                    }
                });
            }
        });
        Self { port, accepted, heard, task }
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

    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn say(text: impl Into<String>) -> Say {
    Say::Bytes(text.into().into_bytes())
}

/// The opaque among a command's words, with its letter.
pub(crate) fn opaque<'a>(words: &[&'a str]) -> &'a str {
    words.iter().rev().find(|word| word.starts_with('O')).unwrap()
}
