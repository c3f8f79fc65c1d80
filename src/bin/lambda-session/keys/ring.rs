//! The text of a ring as lines that can be edited: comments stay, and so does the order.

use std::fmt;
use std::time::{Duration, SystemTime};

use lambda_session::Error;
use lambda_session::keyring::Keyring;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroizing;

/// A ring: what functions make of the text, and the lines that it is written in.
pub(crate) struct Ring {
    lines: Vec<Line>,
    keyring: Keyring,
}

/// One key of a ring. Its secret never leaves this module but in the text of the whole ring.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) not_before: SystemTime,
    secret: Zeroizing<String>,
}

/// What functions do with a key at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It opens, and is to seal.
    Accepted,
    /// It opens and seals.
    Sealing,
    /// It opens what it has sealed before.
    Retired,
}

#[derive(Clone)]
enum Line {
    Key(Key),
    /// Anything may stand in a comment, a key that somebody took out too.
    Other(Zeroizing<String>),
}

impl Ring {
    /// Reads what a function would read. A bare secret is a ring of one key that has always sealed.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let keyring = Keyring::parse(text)?;
        let mut ids = keyring.ids();
        let lines = text.trim_start_matches('\u{feff}').lines().map(|line| {
            let word = line.trim();
            if word.is_empty() || word.starts_with('#') {
                return Line::Other(Zeroizing::new(line.to_owned()));
            }
            let mut words = word.split_ascii_whitespace().skip(1);
            let (time, secret) = match (words.next(), words.next()) {
                (Some(time), Some(secret)) => (OffsetDateTime::parse(time, &Rfc3339).ok(), secret),
                _ => (None, word),
            };
            let not_before = time.map_or(SystemTime::UNIX_EPOCH, SystemTime::from);
            let id = ids.next().unwrap_or_default();
            Line::Key(Key { id, not_before, secret: Zeroizing::new(secret.to_owned()) })
        });
        let lines = lines.collect();
        drop(ids);
        Ok(Self { lines, keyring })
    }

    /// A ring of these secrets, each with the time from which on it seals.
    pub(crate) fn of<'a>(keys: impl IntoIterator<Item = (SystemTime, &'a str)>) -> Result<Self, Error> {
        let line = |(not_before, secret): (_, &str)| {
            Line::Key(Key { id: String::new(), not_before, secret: Zeroizing::new(secret.to_owned()) })
        };
        Self::of_lines(&keys.into_iter().map(line).collect::<Vec<_>>())
    }

    fn of_lines(lines: &[Line]) -> Result<Self, Error> {
        Self::parse(&text_of(lines))
    }

    /// What is kept in the parameter.
    pub(crate) fn text(&self) -> Zeroizing<String> {
        text_of(&self.lines)
    }

    /// The keys, in the order of their lines.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.lines.iter().filter_map(|line| match line {
            Line::Key(key) => Some(key),
            Line::Other(_) => None,
        })
    }

    /// The place of the key that seals at `now`, by the rule of the functions.
    pub(crate) fn sealing_place(&self, now: SystemTime) -> usize {
        self.keyring.sealing_place(now)
    }

    pub(crate) fn state(&self, place: usize, now: SystemTime) -> State {
        match self.keys().nth(place) {
            _ if place == self.sealing_place(now) => State::Sealing,
            Some(key) if key.not_before > now => State::Accepted,
            _ => State::Retired,
        }
    }

    /// Since when a key has been retired: when the first of those that come before it was to seal.
    pub(crate) fn retired_since(&self, place: usize, now: SystemTime) -> Option<SystemTime> {
        if self.state(place, now) != State::Retired {
            return None;
        }
        let of = self.keys().nth(place)?.not_before;
        let comes_before = |(other, key): &(usize, &Key)| {
            key.not_before <= now && (key.not_before > of || (key.not_before == of && *other < place))
        };
        self.keys().enumerate().filter(comes_before).map(|(_, key)| key.not_before).min()
    }

    /// Which key seals now, and which from when on: the place and the time of each change to come.
    pub(crate) fn outlook(&self, now: SystemTime) -> Vec<(SystemTime, usize)> {
        let mut times: Vec<_> = self.keys().map(|key| key.not_before).filter(|time| *time > now).collect();
        times.push(now);
        times.sort();
        let mut changes: Vec<_> = times.into_iter().map(|time| (time, self.sealing_place(time))).collect();
        changes.dedup_by_key(|(_, place)| *place);
        changes
    }

    /// The same with one key more, above all lines, so that no comment comes to stand above another key than before.
    pub(crate) fn with(&self, not_before: SystemTime, secret: &str) -> Result<Self, Error> {
        let key = Key { id: String::new(), not_before, secret: Zeroizing::new(secret.to_owned()) };
        let mut lines = self.lines.clone();
        lines.insert(0, Line::Key(key));
        Self::of_lines(&lines)
    }

    /// The same with another time for the key at this place.
    pub(crate) fn with_time(&self, place: usize, not_before: SystemTime) -> Result<Self, Error> {
        let mut lines = self.lines.clone();
        let keys = lines.iter_mut().filter_map(|line| match line {
            Line::Key(key) => Some(key),
            Line::Other(_) => None,
        });
        keys.skip(place).take(1).for_each(|key| key.not_before = not_before);
        Self::of_lines(&lines)
    }

    /// The same without the keys at these places.
    pub(crate) fn without(&self, places: &[usize]) -> Result<Self, Error> {
        let mut place = 0_usize;
        let stays = |line: &&Line| match line {
            Line::Other(_) => true,
            Line::Key(_) => {
                let stays = !places.contains(&place);
                place = place.saturating_add(1);
                stays
            }
        };
        Self::of_lines(&self.lines.iter().filter(stays).cloned().collect::<Vec<_>>())
    }
}

/// The ids only.
impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ring({})", self.keyring.ids().collect::<Vec<_>>().join(", "))
    }
}

/// `time` as it stands in a ring.
pub(crate) fn written(time: SystemTime) -> String {
    OffsetDateTime::from(time).format(&Rfc3339).unwrap_or_default()
}

/// `time`, or the whole second after it: what a person can read and type.
pub(crate) fn whole_second(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs().saturating_add(u64::from(since.subsec_nanos() > 0));
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(time)
}

fn text_of(lines: &[Line]) -> Zeroizing<String> {
    // With its whole size at once: growing would leave copies behind.
    let size = |line: &Line| match line {
        Line::Key(key) => key.secret.len().saturating_add(64),
        Line::Other(text) => text.len().saturating_add(1),
    };
    let mut text = Zeroizing::new(String::with_capacity(lines.iter().map(size).sum()));
    for line in lines {
        match line {
            Line::Key(key) => {
                text.push_str("v1 ");
                text.push_str(&written(key.not_before));
                text.push(' ');
                text.push_str(&key.secret);
            }
            Line::Other(other) => text.push_str(other),
        }
        text.push('\n');
    }
    text.pop();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    const OLD: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e2f";

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn comments_and_order_outlive_every_edit() {
        let text = format!("# ours\n\nv1 1970-01-01T00:01:40Z {NEW}\n  # since spring\nv1 1970-01-01T00:00:50Z {OLD}");
        let ring = Ring::parse(&text).unwrap();
        assert_eq!(*ring.text(), text);
        let later = ring.with_time(1, at(200)).unwrap();
        assert_eq!(*later.text(), text.replace("00:00:50", "00:03:20"));
        let more = ring.without(&[0]).unwrap().with(at(300), NEW).unwrap();
        assert_eq!(
            *more.text(),
            format!("v1 1970-01-01T00:05:00Z {NEW}\n# ours\n\n  # since spring\nv1 1970-01-01T00:00:50Z {OLD}")
        );
        assert!(ring.without(&[0, 1]).is_err(), "a ring is never empty");
    }

    #[test]
    fn a_bare_secret_is_a_ring_that_has_always_sealed() {
        let ring = Ring::parse(&format!("\u{feff}{NEW}\r\n")).unwrap();
        assert_eq!((ring.keys().count(), ring.sealing_place(at(0))), (1, 0));
        assert_eq!(*ring.text(), format!("v1 1970-01-01T00:00:00Z {NEW}"));
        assert_eq!(format!("{ring:?}"), "Ring(a277)");
    }

    #[test]
    fn states_and_times_follow_the_rule_of_the_functions() {
        let ring = Ring::of([(at(900), NEW), (at(500), OLD), (at(100), NEW)]).unwrap();
        let states = |now| (0..3).map(|place| ring.state(place, at(now))).collect::<Vec<_>>();
        assert_eq!(states(50), [State::Accepted, State::Accepted, State::Sealing], "a clock behind");
        assert_eq!(states(600), [State::Accepted, State::Sealing, State::Retired]);
        assert_eq!(states(900), [State::Sealing, State::Retired, State::Retired]);
        assert_eq!(ring.retired_since(2, at(2000)), Some(at(500)));
        assert_eq!(ring.retired_since(1, at(2000)), Some(at(900)));
        assert_eq!(ring.retired_since(0, at(2000)), None);
        assert_eq!(ring.outlook(at(600)), [(at(600), 1), (at(900), 0)]);
    }

    #[test]
    fn times_are_written_in_whole_seconds() {
        assert_eq!(written(whole_second(at(99) + Duration::from_millis(1))), "1970-01-01T00:01:40Z");
        assert_eq!(whole_second(at(99)), at(99));
    }
}
