//! Numbers as text, in decimal.
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

/// The number that these digits are; `None` for none, for anything else, and above 64 bits.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    let first = digits.first().map(|_| 0_u64);
    digits.iter().fold(first, |number, byte| match byte {
        b'0'..=b'9' => number?.checked_mul(10)?.checked_add(u64::from(byte & 15)),
        _ => None,
    })
}

const DIGITS: &[u8; 10] = b"0123456789";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(number: u64) -> String {
        let mut out = Vec::new();
        push_decimal(number, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_smallest_and_the_largest_are_written_as_format_does() {
        for number in [0, 9, 10, 15, 16, 255, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            assert_eq!(text(number), format!("{number}"));
        }
    }

    #[test]
    fn what_is_no_number_is_none() {
        for digits in ["", "-1", "+1", " 1", "1 ", "1a", "18446744073709551616", "99999999999999999999999"] {
            assert_eq!(decimal(digits.as_bytes()), None, "{digits:?}");
        }
    }

    proptest! {
        #[test]
        fn a_number_is_read_as_it_is_written(number in any::<u64>(), shift in 0..64_u32) {
            let number = number >> shift;
            prop_assert_eq!(text(number), format!("{number}"));
            prop_assert_eq!(decimal(text(number).as_bytes()), Some(number));
        }

        #[test]
        fn any_digits_are_read_as_parse_does(digits in "[0-9]{1,21}") {
            prop_assert_eq!(decimal(digits.as_bytes()), digits.parse().ok());
        }
    }
}
