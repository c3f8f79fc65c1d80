//! What a store keeps: the session's data and its two times.
//!
//! The frame, which every token format seals whole:
//!
//! ```text
//! flags u8 = 0 | created u32 | issued u32 | payload: the session's JSON object
//! ```
//!
//! Integers are big-endian, times are seconds since 1970.

use std::time::{Duration, SystemTime};

use crate::{Error, ErrorKind};

/// The bytes before the payload: flags, created, issued.
pub(crate) const FRAME_HEAD_BYTES: usize = 9;
/// How deep a session's JSON may nest (security.md, CC12); serde_json itself stops at 128.
const DEPTH_LIMIT: usize = 64;
/// The largest payload any store takes, in bytes (security.md, CC12).
const PAYLOAD_LIMIT_BYTES: usize = 1_048_576;

/// A session as a store keeps it: a JSON object, when it was created, when it was last issued.
///
/// ```
/// use lambda_session::Record;
/// use std::time::{Duration, SystemTime};
///
/// let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_369_800);
/// let record = Record::new(br#"{"user":"alice"}"#.to_vec(), now)?;
/// assert_eq!(record.created(), now);
/// assert_eq!(record.payload(), br#"{"user":"alice"}"#);
/// assert_eq!(Record::from_frame(&record.to_frame()).unwrap(), record);
/// # Ok::<(), lambda_session::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    payload: Vec<u8>,
    created: u32,
    issued: u32,
}

impl Record {
    /// A record that begins now.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Data`] if the payload is no JSON object or nests deeper than 64, [`ErrorKind::TooLarge`] above
    /// 1 MiB.
    pub fn new(payload: Vec<u8>, now: SystemTime) -> Result<Self, Error> {
        check(&payload)?;
        let now = seconds(now);
        Ok(Self { payload, created: now, issued: now })
    }

    /// The next version of this record: other data, the same beginning, issued now.
    ///
    /// # Errors
    ///
    /// As [`Record::new`].
    pub fn next(&self, payload: Vec<u8>, now: SystemTime) -> Result<Self, Error> {
        check(&payload)?;
        Ok(Self { payload, created: self.created, issued: seconds(now).max(self.created) })
    }

    /// The session's data: the text of a JSON object.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// When the session began: from here its absolute lifetime is counted.
    pub fn created(&self) -> SystemTime {
        moment(self.created)
    }

    /// When the record was last written: from here its idle lifetime is counted.
    pub fn issued(&self) -> SystemTime {
        moment(self.issued)
    }

    /// The frame of this record, as drawn in the [module](self).
    pub fn to_frame(&self) -> Vec<u8> {
        let mut frame = Vec::with_capacity(self.payload.len().saturating_add(FRAME_HEAD_BYTES));
        self.write_frame(&mut frame);
        frame
    }

    /// The record in a frame; `None` if it is none.
    pub fn from_frame(frame: &[u8]) -> Option<Self> {
        let (head, payload) = frame.split_first_chunk::<FRAME_HEAD_BYTES>()?;
        let &[flags, c0, c1, c2, c3, i0, i1, i2, i3] = head;
        if flags != 0 || check(payload).is_err() {
            return None;
        }
        let (created, issued) = (u32::from_be_bytes([c0, c1, c2, c3]), u32::from_be_bytes([i0, i1, i2, i3]));
        Some(Self { payload: payload.to_vec(), created, issued })
    }

    pub(crate) fn write_frame(&self, to: &mut Vec<u8>) {
        to.push(0);
        to.extend_from_slice(&self.created.to_be_bytes());
        to.extend_from_slice(&self.issued.to_be_bytes());
        to.extend_from_slice(&self.payload);
    }

    pub(crate) fn created_seconds(&self) -> u32 {
        self.created
    }

    pub(crate) fn issued_seconds(&self) -> u32 {
        self.issued
    }
}

/// The size and the times, never the data.
impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Record({} bytes, created {}, issued {})", self.payload.len(), self.created, self.issued)
    }
}

/// Whole seconds since 1970, kept within what a frame holds.
pub(crate) fn seconds(time: SystemTime) -> u32 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}

pub(crate) fn moment(seconds: u32) -> SystemTime {
    // A u32 of seconds ends in 2106, which every platform's `SystemTime` holds.
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds.into())).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn check(payload: &[u8]) -> Result<(), Error> {
    if payload.len() > PAYLOAD_LIMIT_BYTES {
        let size = payload.len();
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!("session of {size} bytes is larger than any store takes: {PAYLOAD_LIMIT_BYTES} bytes"),
        ));
    }
    if payload.first() != Some(&b'{') || payload.last() != Some(&b'}') {
        return Err(Error::new(ErrorKind::Data, "a session encodes to a JSON object: make it a struct or a map"));
    }
    if depth(payload) > DEPTH_LIMIT {
        return Err(Error::new(ErrorKind::Data, format!("a session nests at most {DEPTH_LIMIT} levels deep")));
    }
    Ok(())
}

/// How deep a JSON text nests, or a limit that it does not exceed. A quoted bracket does not count.
fn depth(json: &[u8]) -> usize {
    // Nearly no session has as many brackets at all, and counting them costs nearly nothing.
    let brackets = json.iter().filter(|&&byte| byte == b'{' || byte == b'[').count();
    if brackets <= DEPTH_LIMIT {
        return brackets;
    }
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match (byte, quoted) {
            _ if escaped => escaped = false,
            (b'\\', true) => escaped = true,
            (b'"', _) => quoted = !quoted,
            (b'{' | b'[', false) => {
                depth = depth.saturating_add(1);
                deepest = deepest.max(depth);
            }
            (b'}' | b']', false) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bracket_in_a_string_does_not_nest() {
        let many = "[".repeat(100);
        let siblings = format!("{{\"a\":[{}[]]}}", "[],".repeat(100));
        for (json, deep) in [
            (format!(r#"{{"a":"{many}"}}"#), 1),
            (format!(r#"{{"a\"{many}":"\\","b":[]}}"#), 2),
            (siblings, 3),
            (format!("{many}{}", "]".repeat(100)), 100),
        ] {
            assert_eq!(depth(json.as_bytes()), deep, "{json}");
        }
    }

    /// CC12: what nests too deeply is refused on the way in, so it is never met on the way out.
    #[test]
    fn a_session_nests_at_most_64_levels() {
        let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        let now = SystemTime::UNIX_EPOCH;
        assert!(Record::new(nested(64).into_bytes(), now).is_ok());
        let error = Record::new(nested(65).into_bytes(), now).unwrap_err();
        assert_eq!(error.to_string(), "a session nests at most 64 levels deep");
    }

    #[test]
    fn a_payload_that_is_no_object_is_refused() {
        for payload in ["", "1", "[]", "null", "\"{}\"", "{"] {
            let error = Record::new(payload.into(), SystemTime::UNIX_EPOCH).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Data, "{payload}");
        }
    }

    #[test]
    fn unknown_flags_are_no_record() {
        let mut frame = Record::new(b"{}".to_vec(), SystemTime::UNIX_EPOCH).unwrap().to_frame();
        for flag in 0..8 {
            frame[0] = 1 << flag;
            assert_eq!(Record::from_frame(&frame), None, "bit {flag}");
        }
    }

    /// F15: clocks before 1970 and after 2106 neither panic nor wrap.
    #[test]
    fn times_stay_within_what_a_frame_holds() {
        let far = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(u32::MAX) + 1);
        let early = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!((seconds(far), seconds(early)), (u32::MAX, 0));
    }
}
