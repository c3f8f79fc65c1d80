//! Bytes off the wire: one place, which is wiped.

use std::{io, ops::Range};

use bytes::Bytes;
use zeroize::Zeroizing;

/// How much room an answer has at first: SSM's are seldom larger than 9 KiB, a parameter of 8 KiB and what is around it.
const FIRST_BYTES: usize = 16 * 1024;
/// The largest answer; ten parameters of 8 KiB, each byte escaped as six, take half of it.
const LIMIT_BYTES: usize = 1024 * 1024;

/// What was received and may be secret: wiped when it is dropped, and wherever it was when it grows.
#[derive(Default)]
pub(super) struct Received(Zeroizing<Vec<u8>>);

impl Received {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, with room for at least so many more: a vector that found none itself would leave what it has behind.
    ///
    /// # Errors
    ///
    /// For an answer above 1 MiB.
    pub(super) fn with_room(&mut self, bytes: usize) -> io::Result<&mut Vec<u8>> {
        let needed = self.0.len().saturating_add(bytes);
        if needed > LIMIT_BYTES {
            let text = format!("the answer has more than {LIMIT_BYTES} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        if needed > self.0.capacity() {
            let capacity = needed.max(self.0.capacity().saturating_mul(2)).max(FIRST_BYTES);
            let mut larger = Zeroizing::new(Vec::with_capacity(capacity));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        Ok(&mut self.0)
    }

    /// These pieces, which are in order, as one that wipes all when the last who has of it drops it.
    pub(super) fn into_bytes(mut self, pieces: Vec<Range<usize>>) -> Bytes {
        let mut end = 0_usize;
        for piece in pieces {
            let length = piece.len();
            self.0.copy_within(piece, end);
            end = end.saturating_add(length);
        }
        self.0.truncate(end);
        Bytes::from_owner(self.0)
    }
}
