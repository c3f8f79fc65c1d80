//! What the function writes: passed on to our standard error line by line, and its end kept for reports.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::task::JoinHandle;
use tokio::time;

use crate::output;

/// Both streams of one process.
#[derive(Debug)]
pub(crate) struct Capture {
    kept: Arc<Mutex<Vec<u8>>>,
    /// What stands before each line that is passed on.
    prefix: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Default for Capture {
    fn default() -> Self {
        let prefix = output::function_prefix("function | ");
        Self { kept: Arc::default(), prefix: Arc::new(Mutex::new(prefix)), readers: Vec::new() }
    }
}

impl Capture {
    /// Puts `prefix` before each line from now on.
    pub(crate) fn label(&self, prefix: String) {
        *self.prefix.lock().unwrap_or_else(PoisonError::into_inner) = prefix;
    }

    /// Follows `stream` to its end.
    pub(crate) fn follow(&mut self, stream: Option<impl AsyncRead + Send + Unpin + 'static>) {
        if let Some(stream) = stream {
            self.readers.push(tokio::spawn(pass_on(stream, Arc::clone(&self.kept), Arc::clone(&self.prefix))));
        }
    }

    /// Forgets what was written so far: the next event begins.
    pub(crate) fn forget(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What was written since; the end of it, if it was much.
    pub(crate) fn text(&self) -> String {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&kept).into_owned()
    }

    /// Waits until everything of a process that ended is read. Not for long: a child of it may hold the streams open.
    pub(crate) async fn drain(&mut self) {
        for reader in &mut self.readers {
            if time::timeout(DRAIN_LIMIT, &mut *reader).await.is_err() {
                reader.abort();
            }
        }
        self.readers.clear();
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        for reader in &self.readers {
            reader.abort();
        }
    }
}

async fn pass_on(mut stream: impl AsyncRead + Unpin, kept: Arc<Mutex<Vec<u8>>>, prefix: Arc<Mutex<String>>) {
    let mut line = Vec::new();
    let mut chunk = vec![0; 8192];
    while let Ok(count @ 1..) = stream.read(&mut chunk).await {
        let bytes = chunk.get(..count).unwrap_or_default();
        keep(&mut kept.lock().unwrap_or_else(PoisonError::into_inner), bytes);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(piece);
            if line.ends_with(b"\n") || line.len() > LINE_LIMIT_BYTES {
                show(&prefix, &mut line);
            }
        }
    }
    if !line.is_empty() {
        show(&prefix, &mut line);
    }
}

fn show(prefix: &Mutex<String>, line: &mut Vec<u8>) {
    output::tell(passed_on(&prefix.lock().unwrap_or_else(PoisonError::into_inner), line));
    line.clear();
}

/// A line as it is passed on: what a stranger got the function to write must not play with the terminal.
fn passed_on(prefix: &str, line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(line));
    format!("{prefix}{}", output::harmless_in_colour(text.strip_suffix('\r').unwrap_or(&text)))
}

fn keep(kept: &mut Vec<u8>, bytes: &[u8]) {
    kept.extend_from_slice(bytes);
    let excess = kept.len().saturating_sub(KEPT_BYTES);
    kept.drain(..excess);
}

/// How much of the function's words a report can show.
const KEPT_BYTES: usize = 64 * 1024;

/// A longer line is passed on in pieces.
const LINE_LIMIT_BYTES: usize = 64 * 1024;

const DRAIN_LIMIT: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_its_colours_and_nothing_else_of_the_terminals() {
        let rows: [(&[u8], &str); 4] = [
            (b"words\n", "f | words"),
            (b"\x1b[31mred\x1b[0m\r\n", "f | \x1b[31mred\x1b[0m"),
            (b"\x1b]52;c;AAAA\x07\x1b[2J\n", "f | \\u001b]52;c;AAAA\\u0007\\u001b[2J"),
            (b"caf\xe9", "f | caf\u{fffd}"),
        ];
        for (line, expected) in rows {
            assert_eq!(passed_on("f | ", line), expected);
        }
    }

    #[test]
    fn only_the_end_is_kept() {
        let mut kept = vec![b'a'; KEPT_BYTES];
        keep(&mut kept, b"end");
        assert_eq!(kept.len(), KEPT_BYTES);
        assert!(kept.ends_with(b"aend"));
    }
}
