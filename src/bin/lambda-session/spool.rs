//! Words on their way to standard error: whoever reads it slowly, or not at all, holds up no request.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{mem, thread};

/// A thread that writes, and what waits for it.
#[derive(Debug)]
pub(crate) struct Spool(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: String,
    /// Lines for which there was no room; they would have come after what waits.
    dropped: usize,
    is_writing: bool,
}

impl Spool {
    /// Writes to `sink` from now on.
    pub(crate) fn start(sink: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let writer = Arc::clone(&shared);
        thread::Builder::new().name("writer".to_owned()).spawn(move || writer.write_to(sink))?;
        Ok(Self(shared))
    }

    /// Puts whole lines behind those that wait, or drops them where too much does.
    pub(crate) fn put(&self, lines: &str) {
        let mut state = self.0.state();
        // Once one is dropped, all are until there is room: what is missing is missing in one place.
        if state.dropped > 0 || state.waiting.len().saturating_add(lines.len()) > WAITING_BYTES {
            state.dropped = state.dropped.saturating_add(lines.lines().count());
        } else {
            state.waiting.push_str(lines);
        }
        self.0.changed.notify_all();
    }

    /// Waits until all is written, at most for `limit`.
    pub(crate) fn drain(&self, limit: Duration) {
        let state = self.0.state();
        let _ = self.0.changed.wait_timeout_while(state, limit, |state| state.is_writing || state.has_more());
    }
}

impl Shared {
    fn write_to(&self, mut sink: impl Write) {
        loop {
            let state = self.state();
            let mut state =
                self.changed.wait_while(state, |state| !state.has_more()).unwrap_or_else(PoisonError::into_inner);
            let mut text = mem::take(&mut state.waiting);
            if let dropped @ 1.. = mem::take(&mut state.dropped) {
                text.push_str(&format!("... {dropped} lines dropped: standard error is read too slowly\n"));
            }
            state.is_writing = true;
            drop(state);
            // It may be closed.
            let _ = sink.write_all(text.as_bytes());
            self.state().is_writing = false;
            self.changed.notify_all();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_more(&self) -> bool {
        !self.waiting.is_empty() || self.dropped > 0
    }
}

/// Seconds of a function that writes much, and little beside the memory that it takes itself.
const WAITING_BYTES: usize = 8 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Says when it is written to, and waits to be let go on.
    struct Slow(Sender<String>, Receiver<()>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(String::from_utf8_lossy(bytes).into_owned());
            let _ = self.1.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_nobody_reads_is_dropped_and_counted_and_the_order_stays() {
        let ((written, seen), (go_on, let_go)) = (channel(), channel());
        let spool = Spool::start(Slow(written, let_go)).unwrap();
        spool.put("first\n");
        assert_eq!(seen.recv().unwrap(), "first\n");
        // The writer stands still; nobody who puts does.
        let large = format!("{}\n", "x".repeat(WAITING_BYTES - 8));
        for line in ["second\n", &large, "third\nfourth\n"] {
            spool.put(line);
        }
        spool.drain(Duration::from_millis(1));
        go_on.send(()).unwrap();
        assert_eq!(
            seen.recv().unwrap(),
            format!("second\n{large}... 2 lines dropped: standard error is read too slowly\n")
        );
        go_on.send(()).unwrap();
        spool.put("fifth\n");
        assert_eq!(seen.recv().unwrap(), "fifth\n");
        go_on.send(()).unwrap();
        spool.drain(Duration::from_secs(60));
        assert!(!spool.0.state().has_more());
    }
}
