//! Writing for people and pipes: colour, harmless text, and quiet ends.

use std::env;
use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write};
use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use crate::spool::Spool;

/// Why a command ends early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nobody reads standard output any more: a quiet end.
    Closed,
    /// It would harm, or somebody else was faster.
    #[cfg_attr(not(feature = "ssm"), expect(dead_code, reason = "only `keys` writes where somebody else may"))]
    Refused(String),
    /// The command line or a file it names is wrong.
    Usage(String),
    /// What the command needs is not there: a secret, a program, a place to write.
    Environment(String),
}

impl Failure {
    /// What it tells a person.
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Closed => "standard output is closed",
            Self::Refused(text) | Self::Usage(text) | Self::Environment(text) => text,
        }
    }

    fn from_write(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::Closed
        } else {
            Self::Environment(format!("cannot write to standard output: {error}"))
        }
    }
}

/// Standard output.
#[derive(Debug)]
pub(crate) struct Out {
    stdout: io::Stdout,
    colour: bool,
}

impl Out {
    /// Opens standard output; coloured only on a terminal, and not against `NO_COLOR`.
    pub(crate) fn open() -> Self {
        let stdout = io::stdout();
        let colour = stdout.is_terminal() && colour_is_wanted();
        Self { stdout, colour }
    }

    /// Writes `text` and a line end.
    pub(crate) fn line(&mut self, text: impl fmt::Display) -> Result<(), Failure> {
        writeln!(self.stdout, "{text}").map_err(|error| Failure::from_write(&error))
    }

    /// Writes bytes as they are, and sees to it that they are gone.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.stdout.write_all(bytes).and_then(|()| self.stdout.flush()).map_err(|error| Failure::from_write(&error))
    }

    /// Hands everything written so far to the reader.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.stdout.flush().map_err(|error| Failure::from_write(&error))
    }

    /// `text` in `style`, where colours are on.
    pub(crate) fn paint(&self, style: Style, text: impl fmt::Display) -> String {
        if self.colour { style.around(text) } else { text.to_string() }
    }
}

/// How a piece of text stands out on a terminal.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Style {
    Bold,
    Dim,
    Good,
    Bad,
    Note,
}

impl Style {
    fn around(self, text: impl fmt::Display) -> String {
        let code = match self {
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Good => "32",
            Self::Bad => "31",
            Self::Note => "33",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// Writes one line to standard error, in one piece; it may be closed as well.
pub(crate) fn tell(text: impl fmt::Display) {
    let line = format!("{text}\n");
    match SPOOL.get() {
        Some(spool) => spool.put(&line),
        None => _ = io::stderr().write_all(line.as_bytes()),
    }
}

/// From now on nobody who tells waits for whoever reads standard error.
pub(crate) fn spool() {
    // Without a thread it is written as before.
    if let Ok(spool) = Spool::start(io::stderr()) {
        let _ = SPOOL.set(spool);
    }
}

/// Gives what was told last a moment to be written.
pub(crate) fn finish() {
    if let Some(spool) = SPOOL.get() {
        spool.drain(LAST_WORDS_LIMIT);
    }
}

static SPOOL: OnceLock<Spool> = OnceLock::new();

const LAST_WORDS_LIMIT: Duration = Duration::from_millis(500);

/// `text` as the prefix of a line that the function wrote.
pub(crate) fn function_prefix(text: &str) -> String {
    paint_error(Style::Dim, text)
}

/// `text` in `style`, where colours are on for standard error.
pub(crate) fn paint_error(style: Style, text: &str) -> String {
    static IS_COLOURED: LazyLock<bool> = LazyLock::new(|| io::stderr().is_terminal() && colour_is_wanted());
    if *IS_COLOURED { style.around(text) } else { text.to_owned() }
}

/// The same rule for clap, which by itself would colour help for a dumb terminal where `CI` is set.
pub(crate) fn help_colour() -> clap::ColorChoice {
    if colour_is_wanted() { clap::ColorChoice::Auto } else { clap::ColorChoice::Never }
}

fn colour_is_wanted() -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    !is_set("NO_COLOR") && env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// `text` with everything escaped that could move a cursor, turn the reading direction or hide:
/// as `\u….`, so JSON stays JSON. Line ends and tabs stay.
pub(crate) fn harmless(text: &str) -> String {
    escaped(text, |c| matches!(c, '\n' | '\t'))
}

/// `text` as [`harmless`], but colours stay: the sequences `ESC [ … m` of digits and semicolons.
pub(crate) fn harmless_in_colour(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (index, piece) in text.split(ESCAPE).enumerate() {
        let plain = match colour_length(piece) {
            _ if index == 0 => piece,
            0 => {
                out.push_str(&harmless(ESCAPE));
                piece
            }
            length => {
                let (colour, plain) = piece.split_at_checked(length).unwrap_or_default();
                out.push_str(ESCAPE);
                out.push_str(colour);
                plain
            }
        };
        out.push_str(&harmless(plain));
    }
    out
}

/// The length of what stands after the escape character of a colour; 0 if that is none.
fn colour_length(text: &str) -> usize {
    let Some(rest) = text.strip_prefix('[') else { return 0 };
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != ';').unwrap_or(rest.len());
    match rest.get(end..).is_some_and(|rest| rest.starts_with('m')) {
        true => end.saturating_add("[m".len()),
        false => 0,
    }
}

const ESCAPE: &str = "\u{1b}";

/// `text` on one line: as [`harmless`], and line ends and tabs are escaped too.
pub(crate) fn one_line(text: &str) -> String {
    escaped(text, |_| false)
}

fn escaped(text: &str, stays: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if stays(c) || !is_treacherous(c) {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

/// Controls, bidirectional marks, and what takes no room on the screen.
fn is_treacherous(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_made_harmless() {
        let rows = [
            ("plain text stays", "grüße, 世界", "grüße, 世界"),
            ("line ends and tabs stay", "a\n\tb", "a\n\tb"),
            ("an escape sequence", "\u{1b}[31mred", "\\u001b[31mred"),
            ("a carriage return", "a\rb", "a\\u000db"),
            ("a C1 control", "a\u{9b}b", "a\\u009bb"),
            ("a bidirectional override", "a\u{202e}b", "a\\u202eb"),
            ("an isolate", "\u{2066}b\u{2069}", "\\u2066b\\u2069"),
            ("a zero width space", "a\u{200b}b", "a\\u200bb"),
            ("a tag, as a surrogate pair", "a\u{e0041}", "a\\udb40\\udc41"),
        ];
        for (name, text, expected) in rows {
            assert_eq!(harmless(text), expected, "{name}");
        }
        for (text, expected) in [
            ("\u{1b}[1;31mred\u{1b}[0m \u{1b}[m", "\u{1b}[1;31mred\u{1b}[0m \u{1b}[m"),
            ("\u{1b}[2J\u{1b}[31", "\\u001b[2J\\u001b[31"),
            ("\u{1b}\u{1b}[1m\u{1b}", "\\u001b\u{1b}[1m\\u001b"),
            ("\u{1b}]0;title\u{7}\r\t\u{202e}", "\\u001b]0;title\\u0007\\u000d\t\\u202e"),
            ("[31m plain", "[31m plain"),
        ] {
            assert_eq!(harmless_in_colour(text), expected);
        }
        assert_eq!(one_line("a\nb\tc"), "a\\u000ab\\u0009c");
    }
}
