//! What a token is, for the person who holds the secret: the library side of `lambda-session inspect`.
//!
//! A request never learns any of this: there every refusal is an empty session.

use std::time::{Duration, SystemTime};

use crate::keyring::Keyring;
use crate::lifetime::{Age, Lifetime};
use crate::merge::sizes;
use crate::seal::{self, Binding, Format, Refusal};
use crate::{Record, Token};

/// What a token says of itself, and what a keyring says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspection {
    /// The format that its first byte names: `encrypted`, `signed` or `reference`.
    pub format: Option<&'static str>,
    /// The key id that it names, in hex.
    pub key_id: Option<String>,
    /// The place of the secret that opened it: 0 is the one that seals today.
    pub secret: Option<usize>,
    /// The record in it; a reference holds none.
    pub record: Option<Record>,
    /// The size of each top-level key with its value, in bytes, the largest first.
    pub sizes: Vec<(String, usize)>,
    /// What is left until its idle end.
    pub idle_left: Option<Duration>,
    /// What is left until its absolute end.
    pub absolute_left: Option<Duration>,
    /// Why it would be an empty session: the rule that refuses it. `None`: it is good.
    pub refusal: Option<String>,
}

/// Explains the text of a cookie: whether these secrets open it for this cookie and scope, and how it stands at `now`.
///
/// ```
/// use lambda_session::{Lifetime, inspect::inspect, keyring::{Keyring, Secret}};
/// use std::time::SystemTime;
///
/// let keyring = Keyring::new([Secret::parse(&Secret::generate()?)?])?;
/// let found = inspect("AaJ3AAAA", Some(&keyring), "__Host-session", "", Lifetime::default(), SystemTime::now());
/// assert_eq!((found.format, found.key_id.as_deref()), (Some("encrypted"), Some("a277")));
/// assert_eq!(found.refusal.as_deref(), Some("it is too short for its format"));
/// # Ok::<(), lambda_session::Error>(())
/// ```
pub fn inspect(
    text: &str,
    keyring: Option<&Keyring>,
    name: &str,
    scope: &str,
    lifetime: Lifetime,
    now: SystemTime,
) -> Inspection {
    let mut found = Inspection {
        format: None,
        key_id: None,
        secret: None,
        record: None,
        sizes: Vec::new(),
        idle_left: None,
        absolute_left: None,
        refusal: None,
    };
    let Some(token) = Token::parse(text.as_bytes()) else {
        found.refusal = Some("it is no token: 1 to 4096 characters of A-Z a-z 0-9 - _".into());
        return found;
    };
    let bytes = token.decode();
    let format = match bytes.as_deref() {
        Some(&[version, high, low, ..]) => {
            found.key_id = Some(format!("{high:02x}{low:02x}"));
            Format::of(version)
        }
        Some(&[version, ..]) => Format::of(version),
        _ => None,
    };
    found.format = format.map(|format| match format {
        Format::Encrypted => "encrypted",
        Format::Signed => "signed",
        Format::Reference => "reference",
    });
    let Some(keyring) = keyring else {
        found.refusal = Some("there is no secret to open it with".into());
        return found;
    };
    let binding = Binding { name, scope };
    let opened = match format {
        None if bytes.is_none() => Err(Refusal::Encoding),
        None => Err(Refusal::Format),
        Some(Format::Reference) => seal::dereference(keyring, binding, &token).map(|opened| (opened.key, None)),
        Some(format) => seal::open(keyring, format, binding, &token).map(|opened| (opened.key, Some(opened.inner))),
    };
    match opened {
        Err(refusal) => found.refusal = Some(refusal.rule().into()),
        Ok((key, record)) => {
            found.secret = Some(key);
            if let Some(record) = record {
                found.refusal = rule(lifetime.age(&record, now)).map(Into::into);
                found.sizes = sizes(record.payload());
                found.idle_left = Some(lifetime.idle_left(&record, now));
                found.absolute_left = Some(lifetime.absolute_left(&record, now));
                found.record = Some(record);
            }
        }
    }
    found
}

fn rule(age: Age) -> Option<&'static str> {
    match age {
        Age::Young | Age::Ageing => None,
        Age::Future => Some("its times lie ahead of the clock by more than 60 s, or contradict each other"),
        Age::Idle => Some("it was idle for longer than the idle lifetime"),
        Age::Old => Some("it is older than the absolute lifetime"),
    }
}

impl Refusal {
    fn rule(self) -> &'static str {
        match self {
            Self::Encoding => "it is not the one base64url spelling of its bytes",
            Self::Length => "it is too short for its format",
            Self::Format => "its first byte names no format of this version",
            Self::UnknownKey(_) => "none of these secrets has its key id",
            Self::Seal => {
                "its seal does not match: it was changed, or sealed by another secret, for another cookie name or scope"
            }
            Self::Frame => "what it holds is no session of this version",
        }
    }
}
