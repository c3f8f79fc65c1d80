//! The two replies that nearly every command gets: compared with what they must be, rather than taken apart.
//!
//! ```text
//! HD O<opaque> CR LF
//! VA <bytes> c<cas> O<opaque> CR LF <value> CR LF
//! ```
//!
//! That is a quarter of the instructions that [`Reply::read`] takes (callgrind), which reads all else, and these two alike.

use super::opaque::Opaque;
use super::reply::{Reply, Status};

impl Reply {
    /// The reply that `bytes` begin with, if it is one of the two to the command with this opaque, and whole. `None` says
    /// nothing.
    pub fn read_usual(bytes: &[u8], opaque: Opaque, limit: usize) -> Option<(Self, usize)> {
        let ending = opaque.ending();
        if let Some(rest) = bytes.strip_prefix(b"HD") {
            rest.strip_prefix(&ending)?;
            let whole = ending.len().checked_add(2)?;
            return Some((Self { status: Status::Done, cas: None, opaque: Some(opaque) }, whole));
        }
        let (length, rest) = number(bytes.strip_prefix(b"VA ")?)?;
        let (cas, rest) = number(rest.strip_prefix(b" c")?)?;
        let value = rest.strip_prefix(&ending)?;
        let length = usize::try_from(length).ok().filter(|&length| length <= limit)?;
        let begin = bytes.len().checked_sub(value.len())?;
        let end = begin.checked_add(length)?;
        value.get(length..)?.strip_prefix(b"\r\n")?;
        let status = Status::Value(begin..end);
        Some((Self { status, cas: Some(cas), opaque: Some(opaque) }, end.checked_add(2)?))
    }
}

/// The number that `bytes` begin with, and what follows it.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (mut number, mut rest) = (0_u64, bytes);
    while let [digit @ b'0'..=b'9', after @ ..] = rest {
        number = number.checked_mul(10)?.checked_add(u64::from(digit & 15))?;
        rest = after;
    }
    // 64 bits have 20 digits; zeros before them without end are a line that does not end.
    let digits = bytes.len().checked_sub(rest.len())?;
    (1..=20).contains(&digits).then_some((number, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::memcached::protocol::Progress;

    const LIMIT: usize = 1024;

    #[test]
    fn the_usual_replies_are_read_whole_and_nothing_else_is() {
        let opaque = Opaque::new(255);
        for (name, bytes, is_usual) in [
            ("done", "HD OAAAAAAD_\r\n", true),
            ("done, and more", "HD OAAAAAAD_\r\nEN\r\n", true),
            ("a value", "VA 5 c7 OAAAAAAD_\r\nhello\r\n", true),
            ("an empty value", "VA 0 c18446744073709551615 OAAAAAAD_\r\n\r\n", true),
            ("done, to another command", "HD OAAAAAAH_\r\n", false),
            ("done, without an opaque", "HD\r\n", false),
            ("a value, to another command", "VA 5 c7 OAAAAAAH_\r\nhello\r\n", false),
            ("a value without a CAS number", "VA 5 OAAAAAAD_\r\nhello\r\n", false),
            ("a value in another order", "VA 5 OAAAAAAD_ c7\r\nhello\r\n", false),
            ("a value that is too long", "VA 1025 c7 OAAAAAAD_\r\nhello\r\n", false),
            ("a length of 65 bits", "VA 18446744073709551616 c7 OAAAAAAD_\r\nhello\r\n", false),
            ("a length of 21 digits", "VA 000000000000000000005 c7 OAAAAAAD_\r\nhello\r\n", false),
            ("a value of another length", "VA 4 c7 OAAAAAAD_\r\nhello\r\n", false),
            ("no length", "VA  c7 OAAAAAAD_\r\nhello\r\n", false),
            ("a miss", "EN OAAAAAAD_\r\n", false),
            ("an error", "SERVER_ERROR out of memory\r\n", false),
        ] {
            let read = Reply::read_usual(bytes.as_bytes(), opaque, LIMIT);
            assert_eq!(read.is_some(), is_usual, "{name}");
            let Some((usual, whole)) = read else { continue };
            assert_eq!(Ok(Progress::Whole(usual, whole)), Reply::read(bytes.as_bytes(), LIMIT), "{name}");
            for cut in 0..whole {
                assert_eq!(Reply::read_usual(&bytes.as_bytes()[..cut], opaque, LIMIT), None, "{name}, cut at {cut}");
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_read_as_usual_is_read_as_any_reply(
            length in 0..40_usize, told in 0..40_usize, cas in any::<u64>(), number in any::<u64>(), place in any::<u16>(), byte in any::<u8>()
        ) {
            let opaque = Opaque::new(number);
            let value = "v".repeat(length);
            let told = if place & 1 == 0 { length } else { told };
            for text in [format!("HD O{opaque}\r\n"), format!("VA {told} c{cas} O{opaque}\r\n{value}\r\n")] {
                let mut bytes = text.into_bytes();
                if place & 2 == 0 {
                    let place = usize::from(place) % bytes.len();
                    bytes[place] = byte;
                }
                if let Some((usual, whole)) = Reply::read_usual(&bytes, opaque, LIMIT) {
                    prop_assert_eq!(Ok(Progress::Whole(usual, whole)), Reply::read(&bytes, LIMIT));
                }
            }
        }
    }
}
