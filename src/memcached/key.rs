//! What goes into a command besides the value, checked once: [`Key`] and [`Ttl`].

use std::{
    fmt,
    time::{Duration, SystemTime},
};

/// The longest key, in bytes (memcached's protocol.txt).
const KEY_LIMIT_BYTES: usize = 250;
/// The longest time that is taken as relative, in seconds: 30 days (memcached's protocol.txt). One more is a date in 1970.
const RELATIVE_LIMIT: u64 = 60 * 60 * 24 * 30;
/// The last date that every engine understands: times are 32 bits with a sign (measured: the year 2065 is gone at once).
const ABSOLUTE_LIMIT: u64 = i32::MAX as u64;

/// A key: 1 to 250 characters of `A-Z a-z 0-9 : _ -`, so that no key can carry a second command.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key(Box<str>);

impl Key {
    /// The key that is spelled so; `None` for another alphabet or length.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text: String = text.into();
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'_' | b'-');
        let good = !text.is_empty() && text.len() <= KEY_LIMIT_BYTES && text.bytes().all(legal);
        good.then(|| Self(text.into()))
    }

    /// The key's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A key is as good as a name of what it opens: it is not shown.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} characters)", self.0.len())
    }
}

/// How long a value is kept, as the server understands it: never zero (for ever), never a date in the past.
///
/// Up to 30 days it is relative, so the server's clock does not matter. Above it is a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttl(u32);

impl Ttl {
    /// This long from `now`, rounded up to a second; `None` for nothing at all: then delete.
    ///
    /// A date after 2038-01-19, which engines take for one in the past, becomes 30 days: a value that is touched within
    /// them lives on.
    ///
    /// ```
    /// # use std::time::{Duration, SystemTime};
    /// # use lambda_session::memcached::Ttl;
    /// let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_369_800);
    /// let days = |days: u64| Ttl::after(Duration::from_secs(days * 86_400), now);
    /// assert_eq!(days(30).unwrap().as_secs(), 2_592_000);
    /// assert_eq!(days(31).unwrap().as_secs(), 1_795_369_800 + 31 * 86_400);
    /// assert!(days(0).is_none());
    /// ```
    pub fn after(time: Duration, now: SystemTime) -> Option<Self> {
        let seconds = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
        let date = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs().saturating_add(seconds);
        let number = match seconds {
            0 => return None,
            1..=RELATIVE_LIMIT => seconds,
            _ if date > RELATIVE_LIMIT && date <= ABSOLUTE_LIMIT => date,
            _ => RELATIVE_LIMIT,
        };
        u32::try_from(number).ok().map(Self)
    }

    /// The number that is sent.
    pub fn as_secs(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario 30 of memcached.md.
    #[test]
    fn no_key_carries_a_second_command() {
        for (name, text, good) in [
            ("what the store makes", "s1:Jm7ddsU23J0la6h6LhhJZ8mBPPXBP9bm".to_owned(), true),
            ("empty", String::new(), false),
            ("a space", "a b".to_owned(), false),
            ("a line end", "a\r\nmd b".to_owned(), false),
            ("NUL", "a\0".to_owned(), false),
            ("above ASCII", "ä".to_owned(), false),
            ("250 characters", "k".repeat(250), true),
            ("251 characters", "k".repeat(251), false),
        ] {
            assert_eq!(Key::new(text).is_some(), good, "{name}");
        }
    }

    /// Scenario 15 of memcached.md.
    #[test]
    fn no_time_to_live_means_for_ever_or_the_past() {
        const NOW: u64 = 1_795_369_800;
        const DAY: u64 = 86_400;
        for (name, now, seconds, sent) in [
            ("nothing", NOW, 0, None),
            ("one second", NOW, 1, Some(1)),
            ("29 days", NOW, 29 * DAY, Some(29 * DAY)),
            ("a second less than 30 days", NOW, 2_591_999, Some(2_591_999)),
            ("30 days", NOW, 2_592_000, Some(2_592_000)),
            ("a second more than 30 days", NOW, 2_592_001, Some(NOW + 2_592_001)),
            ("400 days", NOW, 400 * DAY, Some(NOW + 400 * DAY)),
            ("a date after 2038", 2_147_483_000, 400 * DAY, Some(2_592_000)),
            ("for ever", NOW, u64::MAX, Some(2_592_000)),
            ("a clock at 1970", 0, 31 * DAY, Some(31 * DAY)),
        ] {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now);
            let ttl = Ttl::after(Duration::from_secs(seconds), now);
            assert_eq!(ttl.map(|ttl| u64::from(ttl.as_secs())), sent, "{name}");
        }
        let ttl = Ttl::after(Duration::from_millis(1), SystemTime::UNIX_EPOCH);
        assert_eq!(ttl.map(Ttl::as_secs), Some(1), "a fraction is a second");
    }
}
