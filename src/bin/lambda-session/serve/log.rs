//! What Lambda writes into a function's log around each event, and what went wrong, for whoever sits before the screen.

use std::fs::File;
use std::io::Read;
use std::time::Duration;

use crate::change::Change;
use crate::duration::spoken;
use crate::output::{Style, function_prefix, harmless, one_line, paint_error, tell};
use crate::sessions::Seen;

/// Before each line of the function that belongs to the event `id`.
pub(super) fn prefix(id: &str) -> String {
    function_prefix(&format!("{} | ", short(id)))
}

/// The line that opens an event.
pub(super) fn start(id: &str) {
    tell(format!("START RequestId: {id} Version: $LATEST"));
}

/// The lines that close it: what it came to, then Lambda's two: `took` by the function, `started` before, so much memory at most.
pub(super) fn end(id: &str, told: &str, took: Duration, started: Option<Duration>, memory_bytes: Option<u64>) {
    let report = report(id, took, started, memory_bytes);
    tell(format!("{}{told}\nEND RequestId: {id}\n{report}", prefix(id)));
}

/// What a request came to: its status, and what became of the session where that can be seen.
pub(super) fn told(request: &str, status: u16, change: Option<&Change>) -> String {
    let is_seen = |change: &&Change| change.before != Seen::Elsewhere && change.after != Some(Seen::Elsewhere);
    let has_session = |change: &&Change| change.before != Seen::Nothing || change.after.is_some();
    let word = change.filter(is_seen).filter(has_session).map(Change::word);
    let session = word.map(|word| format!(", session: {word}")).unwrap_or_default();
    format!("{} -> {status}{session}", brief(request))
}

fn report(id: &str, took: Duration, started: Option<Duration>, memory_bytes: Option<u64>) -> String {
    let milliseconds = |span: Duration| format!("{:.2} ms", span.as_secs_f64() * 1000.0);
    // Lambda rounds up, and counts the start since August 2025.
    let billed = took.saturating_add(started.unwrap_or_default()).as_micros().div_ceil(1000);
    let memory = memory_bytes.map_or("unknown".to_owned(), |bytes| format!("{} MB", bytes.div_ceil(1024 * 1024)));
    let init = started.map(|span| format!("\tInit Duration: {}", milliseconds(span))).unwrap_or_default();
    let took = milliseconds(took);
    format!(
        "REPORT RequestId: {id}\tDuration: {took}\tBilled Duration: {billed} ms\tMemory Size: 128 MB\tMax Memory Used: {memory}{init}"
    )
}

/// The line of a request that never was an event: `cause` is why.
pub(super) fn refused(request: &str, status: u16, cause: &str) {
    tell(paint_error(Style::Note, &format!("refused {} with {status}: {}", brief(request), brief(cause))));
}

/// `text` on one line, of bounded length: it comes from the function, or from a stranger.
fn brief(text: &str) -> String {
    let start: String = text.chars().take(BRIEF_CHARACTERS).collect();
    match text.len().saturating_sub(start.len()) {
        0 => one_line(text),
        more => format!("{}… and {more} bytes more", one_line(&start)),
    }
}

/// A request that the function did not answer: what was asked, why, what the browser got, and the function's last words.
#[derive(Debug)]
pub(super) struct Trouble<'a> {
    pub(super) id: &'a str,
    pub(super) request: &'a str,
    pub(super) cause: &'a str,
    pub(super) status: u16,
    pub(super) after: Option<Duration>,
    pub(super) output: &'a str,
}

impl Trouble<'_> {
    /// One block, in one write.
    pub(super) fn tell(&self) {
        tell(self.block());
    }

    fn block(&self) -> String {
        let after = self.after.map(|span| format!(" after {}", spoken(span))).unwrap_or_default();
        let head = format!("{} | no answer to {}", short(self.id), brief(self.request));
        let mut block = paint_error(Style::Bad, &head);
        block.push_str(&format!("\n    cause: {}{after}", brief(self.cause)));
        block.push_str(&format!("\n    the browser got: {}", self.status));
        let lines: Vec<&str> = self.output.lines().collect();
        for (index, line) in lines.iter().skip(lines.len().saturating_sub(LAST_LINES)).enumerate() {
            let name = if index == 0 { "its last words: " } else { "                " };
            block.push_str(&format!("\n    {name}{}", harmless(line)));
        }
        block
    }
}

/// Something about the answer to the event `id` that deserves a word.
pub(super) fn note(id: &str, text: &str) {
    tell(paint_error(Style::Note, &format!("{} | note: {}", short(id), brief(text))));
}

/// The most memory that `process` has used, in bytes, where the system says.
pub(super) fn memory_bytes(process: Option<u32>) -> Option<u64> {
    // In one read, and not in ever larger ones as for a file that has no length.
    let mut bytes = [0; 4096];
    let count = File::open(format!("/proc/{}/status", process?)).and_then(|mut file| file.read(&mut bytes)).ok()?;
    let status = std::str::from_utf8(bytes.get(..count)?).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// Enough of an id to find it in the log.
fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

const LAST_LINES: usize = 5;

/// Some lines of a terminal.
const BRIEF_CHARACTERS: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_lambdas() {
        let id = "8f507cfc-xmpl-4697-b07a-ac58fc914c95";
        let (took, start) = (Duration::from_micros(1_230), Duration::from_micros(45_670));
        assert_eq!(
            report(id, took, Some(start), Some(9_000_000)),
            format!(
                "REPORT RequestId: {id}\tDuration: 1.23 ms\tBilled Duration: 47 ms\tMemory Size: 128 MB\tMax Memory Used: 9 MB\tInit Duration: 45.67 ms"
            )
        );
        assert!(
            report(id, took, None, None)
                .ends_with("\tBilled Duration: 2 ms\tMemory Size: 128 MB\tMax Memory Used: unknown")
        );
    }

    #[test]
    fn a_request_is_told_with_what_became_of_the_session() {
        let live = || Seen::Live(serde_json::Map::new());
        let rows = [
            (None, "GET / -> 200"),
            (Some((Seen::Nothing, None)), "GET / -> 200"),
            (Some((Seen::Nothing, Some(live()))), "GET / -> 200, session: new"),
            (Some((live(), None)), "GET / -> 200, session: unchanged"),
            (Some((live(), Some(Seen::Nothing))), "GET / -> 200, session: ended"),
            (Some((Seen::Elsewhere, None)), "GET / -> 200"),
        ];
        for (change, expected) in rows {
            let change = change.map(|(before, after)| Change { before, after });
            assert_eq!(told("GET /", 200, change.as_ref()), expected);
        }
    }

    #[test]
    fn a_long_cause_is_cut() {
        let told = brief(&"ü\n".repeat(1_000_000));
        assert!(told.starts_with("ü\\u000aü") && told.ends_with("ü\\u000a… and 2998500 bytes more"), "{}", told.len());
        assert_eq!(brief("short"), "short");
    }

    #[test]
    fn trouble_is_one_block_and_cannot_play_with_the_terminal() {
        let trouble = Trouble {
            id: "8f507cfc-xmpl",
            request: "GET /a\u{202e}b",
            cause: "the function ended without an answer (exit status: 7)",
            status: 502,
            after: Some(Duration::from_millis(3)),
            output: "1\n2\n3\n4\n5\n\u{1b}[2J6\n",
        };
        assert_eq!(
            trouble.block(),
            "8f507cfc | no answer to GET /a\\u202eb\n    cause: the function ended without an answer (exit status: 7) after 3 ms\n    \
             the browser got: 502\n    its last words: 2\n                    3\n                    4\n                    5\n                    \\u001b[2J6"
        );
    }
}
