//! (i) Blocking ping-pong of the same bytes on loopback, with a thread that only echoes lengths: the physical limit.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use crate::{
    Failed,
    contender::Contender,
    work::{Deed, Lane},
};

pub struct PingPong {
    connections: Vec<TcpStream>,
    turns: Sender<Turn>,
}

/// How often what is exchanged.
#[derive(Clone, Copy)]
struct Turn {
    lanes: usize,
    jobs: usize,
    request: usize,
    answer: usize,
}

impl PingPong {
    pub fn start(lanes: usize) -> Result<Self, Failed> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let (mut connections, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..lanes {
            connections.push(TcpStream::connect(listener.local_addr()?)?);
            theirs.push(listener.accept()?.0);
        }
        connections.iter().chain(&theirs).try_for_each(|stream| stream.set_nodelay(true))?;
        let (turns, coming) = channel();
        thread::spawn(move || answer(&coming, &mut theirs));
        Ok(Self { connections, turns })
    }
}

impl Contender for PingPong {
    fn name(&self) -> &'static str {
        "(i) ping-pong"
    }

    fn turn(&mut self, deed: Deed, lanes: &[Lane]) -> Result<Duration, Failed> {
        let first = lanes.first().and_then(|lane| lane.first()).ok_or("no work")?;
        // A value's line has some 40 bytes.
        let answer = deed.least_answer() + if deed.least_answer() > 2 { 40 } else { 20 };
        let jobs = lanes.first().map_or(0, |lane| lane.len());
        self.turns.send(Turn { lanes: lanes.len(), jobs, request: first.request.len(), answer })?;
        let mut buffer = vec![0; answer];
        let began = Instant::now();
        for _ in 0..jobs {
            for stream in self.connections.iter_mut().take(lanes.len()) {
                stream.write_all(&first.request)?;
            }
            for stream in self.connections.iter_mut().take(lanes.len()) {
                stream.read_exact(&mut buffer)?;
            }
        }
        Ok(began.elapsed())
    }
}

fn answer(coming: &Receiver<Turn>, connections: &mut [TcpStream]) {
    for turn in coming {
        let (mut request, answer) = (vec![0; turn.request], vec![b'x'; turn.answer]);
        for _ in 0..turn.jobs {
            for stream in connections.iter_mut().take(turn.lanes) {
                if stream.read_exact(&mut request).and_then(|()| stream.write_all(&answer)).is_err() {
                    return;
                }
            }
        }
    }
}
