//! What a command carries and its reply echoes.

use std::fmt;

/// Eight letters, digits, `-` and `_`: half of what 64 bits take in hex, in each direction, and nothing has to be decoded
/// to be compared (300 of the 4,000 instructions of a delete, by callgrind).
///
/// They are the lowest 48 bits of a number that goes on from a random one: a connection repeats itself after 2^48 commands,
/// which at 100,000 a second is 89 years, and that a foreign reply fits by chance has a probability of 2^-48.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opaque([u8; LENGTH]);

impl Opaque {
    /// The opaque of this number.
    pub fn new(number: u64) -> Self {
        let (mut text, mut rest) = ([0; LENGTH], number);
        for letter in text.iter_mut().rev() {
            *letter = LETTERS.get((rest & 63) as usize).copied().unwrap_or_default();
            rest >>= 6;
        }
        Self(text)
    }

    /// The opaque of this number, where it is that of the number before: one letter differs, 63 times of 64.
    pub(crate) fn advance(&mut self, number: u64) {
        let lowest = (number & 63) as usize;
        let [.., last] = &mut self.0;
        match LETTERS.get(lowest) {
            Some(&letter) if lowest != 0 => *last = letter,
            _ => *self = Self::new(number),
        }
    }

    /// What a reply echoes, if that is as long as ours are; whether it is ours shows when it is compared.
    pub(super) fn read(echoed: &[u8]) -> Option<Self> {
        echoed.try_into().ok().map(Self)
    }

    /// The flag that it is, and the end of the line: so a command ends, and so do most replies to it.
    pub(super) fn ending(&self) -> [u8; 12] {
        let [a, b, c, d, e, f, g, h] = self.0;
        [b' ', b'O', a, b, c, d, e, f, g, h, b'\r', b'\n']
    }
}

impl fmt::Display for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

const LENGTH: usize = 8;
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// So no two of 2^48 commands in a row carry the same one.
        #[test]
        fn an_opaque_holds_48_bits(number in any::<u64>()) {
            let opaque = Opaque::new(number);
            let value = |letter: &u8| LETTERS.iter().position(|other| other == letter).unwrap() as u64;
            let held = opaque.0.iter().fold(0, |held, letter| held << 6 | value(letter));
            prop_assert_eq!(held, number & ((1 << 48) - 1));
            prop_assert_eq!(Opaque::read(&opaque.0), Some(opaque));
            let mut next = opaque;
            for step in 1..70 {
                next.advance(number.wrapping_add(step));
                prop_assert_eq!(next, Opaque::new(number.wrapping_add(step)));
            }
        }
    }
}
