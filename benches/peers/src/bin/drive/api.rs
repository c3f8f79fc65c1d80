//! The Lambda Runtime API of one environment, on a loopback port: one thread a connection, blocking reads, keep-alive.
//!
//! Only the functions' side of `next` and `response` is spoken. A turn is a number of events; between turns the
//! program waits in its `next`, as it does on Lambda.

use std::{
    io::{self, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crate::browser::{Browser, Errand};
use crate::wire::{Inbox, Message};

/// The emulation that one program talks to.
pub struct Api {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl Api {
    /// Listens on a free port of 127.0.0.1.
    pub fn listen(browser: Browser) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { state: Mutex::new(State::new(browser)), changed: Condvar::new() });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if accepting.lock().closing {
                    return;
                }
                let shared = Arc::clone(&accepting);
                thread::spawn(move || shared.converse(stream));
            }
        });
        Ok(Self { shared, address })
    }

    /// What `AWS_LAMBDA_RUNTIME_API` has to say.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Hands out `count` events of one kind from the next `next` on.
    pub fn begin(&self, errand: Errand, count: usize) {
        let mut state = self.shared.lock();
        state.errand = errand;
        state.left = count;
        state.times.clear();
        state.times.reserve(count);
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Waits until every event is answered, rightly, and the program asks for the next one.
    pub fn finish(&self, mut is_alive: impl FnMut() -> bool) -> Result<Turn, String> {
        let mut state = self.shared.lock();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            if state.left == 0 && state.is_waiting {
                let times = std::mem::take(&mut state.times);
                return Ok(Turn { times, answered: state.answered });
            }
            if !is_alive() {
                return Err(format!("the program has ended, {} events left", state.left));
            }
            if Instant::now() > deadline {
                return Err(format!("not done within {} s, {} events left", PATIENCE.as_secs(), state.left));
            }
            state = self.shared.changed.wait_timeout(state, GLANCE).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The size of the largest session that the program showed.
    pub fn shown_bytes(&self) -> usize {
        self.shared.lock().browser.shown_bytes()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.changed.notify_all();
        // Wakes the accepting thread, so that it sees the end.
        let _ = TcpStream::connect(self.address);
    }
}

/// What one turn measured.
pub struct Turn {
    /// From the write that carries the event's last byte to the whole answer read, per event.
    pub times: Vec<Duration>,
    /// When the last answer was read.
    pub answered: Instant,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    browser: Browser,
    errand: Errand,
    left: usize,
    times: Vec<Duration>,
    sent: Instant,
    answered: Instant,
    is_waiting: bool,
    closing: bool,
    failure: Option<String>,
}

impl State {
    fn new(browser: Browser) -> Self {
        let now = Instant::now();
        Self {
            browser,
            errand: Errand::Write,
            left: 0,
            times: Vec::new(),
            sent: now,
            answered: now,
            is_waiting: false,
            closing: false,
            failure: None,
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves one connection to its end; what goes wrong before the emulation closes fails the turn.
    fn converse(&self, stream: TcpStream) {
        let outcome = self.serve(stream);
        let mut state = self.lock();
        if !state.closing
            && let Err(error) = outcome
        {
            state.failure.get_or_insert(error.to_string());
        }
        drop(state);
        self.changed.notify_all();
    }

    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut inbox = Inbox::default();
        let mut outbox = Vec::with_capacity(32 * 1024);
        loop {
            let Some(message) = inbox.read(&mut stream)? else { return Ok(()) };
            let read = Instant::now();
            if message.path.ends_with("/invocation/next") {
                let Some(mut state) = self.next_event() else { return Ok(()) };
                let State { browser, errand, sent, .. } = &mut *state;
                browser.write_event(*errand, &mut outbox);
                *sent = Instant::now();
                stream.write_all(&outbox)?;
            } else {
                // First this: a program may ask for its next event on another connection as soon as the answer is accepted.
                self.take_answer(&message, read)?;
                stream.write_all(ACCEPTED)?;
            }
        }
    }

    /// Waits for an event to hand out; `None` once the emulation closes.
    fn next_event(&self) -> Option<MutexGuard<'_, State>> {
        let mut state = self.lock();
        while state.left == 0 && !state.closing {
            state.is_waiting = true;
            self.changed.notify_all();
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.is_waiting = false;
        (!state.closing).then_some(state)
    }

    fn take_answer(&self, message: &Message, read: Instant) -> io::Result<()> {
        let mut state = self.lock();
        let State { browser, errand, left, times, sent, answered, .. } = &mut *state;
        times.push(read.saturating_duration_since(*sent));
        *answered = read;
        browser.take_answer(*errand, &message.path, &message.body).map_err(io::Error::other)?;
        *left = left.checked_sub(1).ok_or_else(|| io::Error::other("an answer to no event"))?;
        Ok(())
    }
}

const ACCEPTED: &[u8] =
    b"HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n{\"status\":\"OK\"}";

/// How long a program may take for one turn before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a waiting driver looks whether the program still lives.
const GLANCE: Duration = Duration::from_millis(200);
