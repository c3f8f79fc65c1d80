//! Replies, read from bytes that may end anywhere.

use std::{fmt, ops::Range};

use super::number::decimal;
use super::opaque::Opaque;

/// The longest line that a server sends in answer to our commands, in bytes; its own limit for a command is 2,048.
const LINE_LIMIT_BYTES: usize = 2048;
/// The longest list of nodes that is read, in bytes: 60 nodes take about 8,000.
const LIST_LIMIT_BYTES: usize = 64 * 1024;
/// How much of a server's own words is repeated.
const WORDS_LIMIT: usize = 64;
/// The oldest engine that we speak with: the first with the length as second word of `ms`, `HD`, and TLS.
const OLDEST: (u32, u32, u32) = (1, 6, 12);
/// The first engine that echoes the opaque on a miss.
const ECHOES_ON_MISS: (u32, u32, u32) = (1, 6, 18);

/// How far reading has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress<T> {
    /// It is whole, and took so many bytes.
    Whole(T, usize),
    /// At least so many bytes are missing.
    Partial(usize),
}

/// Bytes that are no reply; the connection they came from is good for nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

/// One reply to a meta command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What it says.
    pub status: Status,
    /// The CAS number, where it was asked for.
    pub cas: Option<u64>,
    /// The opaque that it echoes.
    pub opaque: Option<Opaque>,
}

/// What a reply says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// `VA`: a value; where it stands among the bytes.
    Value(Range<usize>),
    /// `HD`: done.
    Done,
    /// `EN`: a miss.
    Miss,
    /// `NS`: not stored.
    NotStored,
    /// `EX`: somebody else was first.
    Exists,
    /// `NF`: there is none.
    NotFound,
    /// An error line, in the server's own words; whatever follows it means nothing.
    Error(String),
}

impl Reply {
    /// The reply that `bytes` begin with. Values are at most `limit` bytes long.
    pub fn read(bytes: &[u8], limit: usize) -> Result<Progress<Self>, Malformed> {
        let Some((line, after)) = line(bytes)? else { return Ok(Progress::Partial(1)) };
        let mut words = line.split(|&byte| byte == b' ').filter(|word| !word.is_empty());
        let status = match words.next() {
            Some(b"VA") => {
                let length = words.next().and_then(decimal).ok_or(Malformed("a value without a length"))?;
                let length = usize::try_from(length).ok().filter(|&length| length <= limit);
                let length = length.ok_or(Malformed("a value that is too long"))?;
                let end = after.saturating_add(length);
                Status::Value(after..end)
            }
            Some(b"HD") => Status::Done,
            Some(b"EN") => Status::Miss,
            Some(b"NS") => Status::NotStored,
            Some(b"EX") => Status::Exists,
            Some(b"NF") => Status::NotFound,
            _ => {
                let words = error_line(line).ok_or(Malformed("an unknown code"))?;
                return Ok(Progress::Whole(Self { status: Status::Error(words), cas: None, opaque: None }, after));
            }
        };
        let (cas, opaque) = flags(words)?;
        let consumed = match &status {
            Status::Value(range) => match block_end(bytes, range.end, b"\r\n", "a value of another length")? {
                Progress::Whole((), consumed) => consumed,
                Progress::Partial(missing) => return Ok(Progress::Partial(missing)),
            },
            _ => after,
        };
        Ok(Progress::Whole(Self { status, cas, opaque }, consumed))
    }
}

/// The answer to `config get cluster`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Configuration {
    /// A list; where it stands among the bytes.
    List(Range<usize>),
    /// An error line: there is no list to be had here.
    None(String),
}

impl Configuration {
    /// The answer that `bytes` begin with. The list is counted, not searched for its end.
    pub fn read(bytes: &[u8]) -> Result<Progress<Self>, Malformed> {
        let Some((line, after)) = line(bytes)? else { return Ok(Progress::Partial(1)) };
        if let Some(words) = error_line(line) {
            return Ok(Progress::Whole(Self::None(words), after));
        }
        if line == b"END" {
            return Ok(Progress::Whole(Self::None("END".to_owned()), after));
        }
        let length = line.strip_prefix(b"CONFIG cluster 0 ").and_then(decimal).ok_or(Malformed("no list of nodes"))?;
        let length = usize::try_from(length).ok().filter(|&length| length <= LIST_LIMIT_BYTES);
        let end = after.saturating_add(length.ok_or(Malformed("a list of nodes that is too long"))?);
        Ok(match block_end(bytes, end, b"\r\nEND\r\n", "a list of nodes of another length")? {
            Progress::Whole((), whole) => Progress::Whole(Self::List(after..end), whole),
            Progress::Partial(missing) => Progress::Partial(missing),
        })
    }
}

/// What the server says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// Its version, in its own words.
    pub text: String,
    number: (u32, u32, u32),
}

impl Engine {
    /// The answer to `version` that `bytes` begin with: the engine, or an error line.
    pub fn read(bytes: &[u8]) -> Result<Progress<Result<Self, String>>, Malformed> {
        let Some((line, after)) = line(bytes)? else { return Ok(Progress::Partial(1)) };
        if let Some(words) = error_line(line) {
            return Ok(Progress::Whole(Err(words), after));
        }
        let text = line.strip_prefix(b"VERSION ").filter(|text| !text.is_empty());
        let text = text.ok_or(Malformed("no version"))?;
        Ok(Progress::Whole(Ok(Self { text: excerpt(text), number: number(text) }), after))
    }

    /// Whether we speak with it. One whose version is no number is taken for a new one: old ones all have numbers.
    pub fn is_supported(&self) -> bool {
        self.number >= OLDEST
    }

    /// Whether a miss must echo the opaque.
    pub fn echoes_on_miss(&self) -> bool {
        self.number >= ECHOES_ON_MISS
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The line that `bytes` begin with, without its end, and where the rest begins.
fn line(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, Malformed> {
    let window = bytes.get(..LINE_LIMIT_BYTES).unwrap_or(bytes);
    let length = window.iter().position(|byte| !matches!(byte, b' '..=b'~')).unwrap_or(window.len());
    let (line, end) = window.split_at_checked(length).unwrap_or((window, &[]));
    match end {
        [b'\r', b'\n', ..] => Ok(Some((line, length.saturating_add(2)))),
        [] | [b'\r'] if window.len() == LINE_LIMIT_BYTES => Err(Malformed("a line that does not end")),
        [] | [b'\r'] => Ok(None),
        [b'\n', ..] => Err(Malformed("a line without carriage return")),
        _ => Err(Malformed("a line with control characters")),
    }
}

fn error_line(line: &[u8]) -> Option<String> {
    let word = line.split(|&byte| byte == b' ').next()?;
    matches!(word, b"ERROR" | b"CLIENT_ERROR" | b"SERVER_ERROR").then(|| excerpt(line))
}

/// CAS and opaque among a reply's flags; flags that we did not ask for are let be.
fn flags<'a>(words: impl Iterator<Item = &'a [u8]>) -> Result<(Option<u64>, Option<Opaque>), Malformed> {
    let (mut cas, mut opaque) = (None, None);
    for word in words {
        let is_second = match word.split_first() {
            Some((b'c', digits)) => {
                let number = decimal(digits).ok_or(Malformed("a CAS that is no number"))?;
                cas.replace(number).is_some()
            }
            Some((b'O', echoed)) => {
                let echoed = Opaque::read(echoed).ok_or(Malformed("an opaque that is not ours"))?;
                opaque.replace(echoed).is_some()
            }
            _ => continue,
        };
        if is_second {
            return Err(Malformed("a flag twice"));
        }
    }
    Ok((cas, opaque))
}

/// Checks that a block that ends at `end` is followed by `tail`; as soon as it is not, it has another length.
fn block_end(bytes: &[u8], end: usize, tail: &[u8], otherwise: &'static str) -> Result<Progress<()>, Malformed> {
    let whole = end.saturating_add(tail.len());
    let missing = whole.saturating_sub(bytes.len());
    let come = bytes.get(end..whole.min(bytes.len())).unwrap_or_default();
    match tail.strip_prefix(come) {
        Some([]) => Ok(Progress::Whole((), whole)),
        Some(_) => Ok(Progress::Partial(missing)),
        None => Err(Malformed(otherwise)),
    }
}

/// The numbers that a version begins with; one that begins with none is newer than all.
fn number(text: &[u8]) -> (u32, u32, u32) {
    let mut parts = text.split(|&byte| byte == b'.').map(|part| {
        let digits = part.iter().take_while(|byte| byte.is_ascii_digit()).count();
        part.get(..digits).and_then(decimal).and_then(|number| u32::try_from(number).ok())
    });
    match parts.next().flatten() {
        Some(major) => (major, parts.next().flatten().unwrap_or(0), parts.next().flatten().unwrap_or(0)),
        None => (u32::MAX, 0, 0),
    }
}

/// The first words of a line, which is ASCII without control characters.
fn excerpt(line: &[u8]) -> String {
    line.iter().take(WORDS_LIMIT).map(|&byte| char::from(byte)).collect()
}

#[cfg(test)]
mod tests;
