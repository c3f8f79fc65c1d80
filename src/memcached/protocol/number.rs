//! Numbers as text: decimal, and 16 hex digits in lower case.
//!
//! By hand, since every command holds several: `write!` took 600 of the 8,000 instructions of an exchange (callgrind).

/// Appends a number in decimal.
pub(super) fn push_decimal(number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut rest = number;
    let mut unused = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS.get((rest % 10) as usize).copied().unwrap_or_default();
        rest /= 10;
        unused = unused.saturating_sub(1);
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(unused..).unwrap_or_default());
}

/// Appends a number as 16 hex digits.
pub(super) fn push_hexadecimal(number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 16];
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS.get((rest & 15) as usize).copied().unwrap_or_default();
        rest >>= 4;
    }
    out.extend_from_slice(&digits);
}

/// The number that these digits are; `None` for none, for anything else, and above 64 bits.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    let first = digits.first().map(|_| 0_u64);
    digits.iter().fold(first, |number, byte| match byte {
        b'0'..=b'9' => number?.checked_mul(10)?.checked_add(u64::from(byte & 15)),
        _ => None,
    })
}

/// The number that exactly 16 hex digits in lower case are, as we write them.
pub(super) fn hexadecimal(digits: &[u8]) -> Option<u64> {
    let digits: &[u8; 16] = digits.try_into().ok()?;
    let (mut number, mut good) = (0_u64, true);
    for &digit in digits {
        let is_letter = digit > b'9';
        good &= matches!(digit, b'0'..=b'9' | b'a'..=b'f');
        number = number << 4 | u64::from((digit & 15).wrapping_add(u8::from(is_letter).wrapping_mul(9)));
    }
    good.then_some(number)
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(push: fn(u64, &mut Vec<u8>), number: u64) -> String {
        let mut out = Vec::new();
        push(number, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_smallest_and_the_largest_are_written_as_format_does() {
        for number in [0, 9, 10, 15, 16, 255, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            assert_eq!(text(push_decimal, number), format!("{number}"));
            assert_eq!(text(push_hexadecimal, number), format!("{number:016x}"));
        }
    }

    #[test]
    fn what_is_no_number_is_none() {
        for digits in ["", "-1", "+1", " 1", "1 ", "1a", "18446744073709551616", "99999999999999999999999"] {
            assert_eq!(decimal(digits.as_bytes()), None, "{digits:?}");
        }
        for digits in ["", "7", "00000000000000ff0", "00000000000000FF", "000000000000000g", "+00000000000000f"] {
            assert_eq!(hexadecimal(digits.as_bytes()), None, "{digits:?}");
        }
    }

    proptest! {
        #[test]
        fn a_number_is_read_as_it_is_written(number in any::<u64>(), shift in 0..64_u32) {
            let number = number >> shift;
            prop_assert_eq!(text(push_decimal, number), format!("{number}"));
            prop_assert_eq!(text(push_hexadecimal, number), format!("{number:016x}"));
            prop_assert_eq!(decimal(text(push_decimal, number).as_bytes()), Some(number));
            prop_assert_eq!(hexadecimal(text(push_hexadecimal, number).as_bytes()), Some(number));
        }

        #[test]
        fn any_digits_are_read_as_parse_does(digits in "[0-9]{1,21}") {
            prop_assert_eq!(decimal(digits.as_bytes()), digits.parse().ok());
        }
    }
}
