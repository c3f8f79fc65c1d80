//! The secrets: what one must be ([`Secret`]), and the ring of them that seals with one and opens with all
//! ([`Keyring`]).
//!
//! ```text
//! PRK = HKDF-Extract-SHA256(salt = "lambda-session/v1", ikm = secret)
//! K_enc, K_mac, K_ref = HKDF-Expand(PRK, "enc" | "mac" | "ref", 32 bytes);  kid = HKDF-Expand(PRK, "kid", 2 bytes)
//! ```
//!
//! As text, in a parameter or a file, a ring is one key a line, the newest first, with the time from which on it seals:
//!
//! ```text
//! # made by `lambda-session secret`
//! v1 2026-11-22T18:00:00Z <43 characters of base64url: 32 bytes>
//! v1 2026-08-20T09:00:00Z <43 characters>
//! ```

use std::{fmt, sync::Arc, time::SystemTime};

use aes_gcm_siv::{Aes256GcmSiv, KeyInit};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hkdf::Hkdf;
use hmac::Hmac;
use sha2::Sha256;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use zeroize::Zeroizing;

use crate::random::{self, RandomSource};
use crate::{Error, ErrorKind, wipe};

/// The salt of the key derivation: it sets our keys apart from any other use of the same secret.
const SALT: &[u8] = b"lambda-session/v1";
/// The least a secret holds: 256 bits (security.md, SS2).
const SECRET_BYTES: usize = 32;
/// The least number of different bytes in a secret; 32 random bytes have fewer once in 10^16.
const DISTINCT_BYTES: usize = 12;
/// What people leave standing where a secret should be.
const PLACEHOLDERS: [&str; 11] = [
    "changeme",
    "change_me",
    "change-me",
    "placeholder",
    "replaceme",
    "replace_me",
    "replace-me",
    "yoursecret",
    "your_secret",
    "your-secret",
    "example",
];

/// One secret: 32 random bytes or more. It is wiped from memory when dropped and never printed.
///
/// ```
/// use lambda_session::keyring::Secret;
///
/// let secret = Secret::parse(&Secret::generate()?)?;
/// assert_eq!(format!("{secret:?}"), "Secret(32 bytes)");
///
/// let error = Secret::parse("hunter2").unwrap_err();
/// assert_eq!(error.to_string(), "the secret is too short: 43 characters of base64url or 64 hex digits are the least");
/// # Ok::<(), lambda_session::Error>(())
/// ```
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// The secret that this text spells: hex digits only are hex (64 or more, an even number), anything else is
    /// unpadded base64url (43 characters or more). A BOM, spaces around it and a line end are dropped.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] names the rule that refuses it, never the text: too short, another alphabet, more than
    /// one spelling, a placeholder, repetitive.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim_start_matches('\u{feff}').trim();
        let lower = Zeroizing::new(text.to_ascii_lowercase());
        if PLACEHOLDERS.iter().any(|word| lower.contains(word)) {
            return Err(Error::config("the secret is a placeholder: put a fresh one in its place"));
        }
        let hex = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let least = if hex { SECRET_BYTES.saturating_mul(2) } else { 43 };
        if text.len() < least {
            return Err(Error::config(
                "the secret is too short: 43 characters of base64url or 64 hex digits are the least",
            ));
        }
        let bytes = if hex { decode_hex(&lower) } else { URL_SAFE_NO_PAD.decode(text).ok() };
        match bytes {
            Some(bytes) => Self::from_bytes(bytes),
            None if hex => Err(Error::config("the secret has an odd number of hex digits: one was lost or added")),
            None => Err(Error::config(
                "the secret is neither hex nor unpadded base64url (A-Z a-z 0-9 - _, unused bits zero)",
            )),
        }
    }

    /// The secret made of these bytes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] for fewer than 32 bytes, fewer than 12 different ones, or a repeated pattern.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, Error> {
        let secret = Self(Zeroizing::new(bytes));
        let bytes = &secret.0;
        if bytes.len() < SECRET_BYTES {
            return Err(Error::config(format!("the secret has {} bytes: {SECRET_BYTES} are the least", bytes.len())));
        }
        let mut seen = [false; 256];
        for &byte in bytes.iter() {
            if let Some(place) = seen.get_mut(usize::from(byte)) {
                *place = true;
            }
        }
        if seen.iter().filter(|seen| **seen).count() < DISTINCT_BYTES || repeats(bytes) {
            return Err(Error::config("the secret is repetitive: it must come from a random generator"));
        }
        Ok(secret)
    }

    /// The text of a fresh secret: 32 bytes from the operating system as 43 characters of base64url.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Random`] when the operating system gives no random bytes.
    pub fn generate() -> Result<Zeroizing<String>, Error> {
        Self::generate_from(random::system)
    }

    /// The same secret once more, for a ring that is made again at each refresh.
    #[cfg(feature = "ssm")]
    pub(crate) fn copy(&self) -> Self {
        Self(self.0.clone())
    }

    pub(crate) fn generate_from(random: RandomSource) -> Result<Zeroizing<String>, Error> {
        let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
        random(bytes.as_mut_slice())?;
        Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice())))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

/// One or more secrets: the first seals, all open. Cloning it is cheap and copies no key.
///
/// To rotate, put a fresh secret first and keep the old one behind it until the absolute lifetime is over: what the
/// old one sealed is sealed anew on its next visit, and nobody is logged out.
///
/// ```
/// use lambda_session::keyring::{Keyring, Secret};
///
/// let (today, yesterday) = (Secret::generate()?, Secret::generate()?);
/// let keyring = Keyring::new([Secret::parse(&today)?, Secret::parse(&yesterday)?])?;
/// assert_eq!(format!("{keyring:?}"), "Keyring(2 keys)");
/// # Ok::<(), lambda_session::Error>(())
/// ```
#[derive(Clone)]
pub struct Keyring(Arc<Ring>);

/// Each key in a place of its own.
#[expect(clippy::vec_box, reason = "a list that grows moves what it holds and wipes nothing")]
struct Ring {
    first: Box<Key>,
    others: Vec<Box<Key>>,
}

/// What working with the keys has left on this thread's stack goes with them.
impl Drop for Ring {
    fn drop(&mut self) {
        wipe::wipe_stack();
    }
}

/// The version that a line of a ring's text begins with.
const LINE_VERSION: &str = "v1";

/// What one secret becomes: four keys with labels of their own; the secret itself is never a cipher key.
pub(crate) struct Key {
    not_before: SystemTime,
    pub(crate) kid: [u8; 2],
    pub(crate) encryption: Aes256GcmSiv,
    pub(crate) mac: Hmac<Sha256>,
    pub(crate) reference: Hmac<Sha256>,
    #[cfg(feature = "memcached")]
    root: Zeroizing<[u8; 32]>,
}

impl Keyring {
    /// A ring of these secrets, the sealing one first.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if there is none.
    pub fn new(secrets: impl IntoIterator<Item = Secret>) -> Result<Self, Error> {
        Self::dated(secrets.into_iter().map(|secret| (SystemTime::UNIX_EPOCH, secret)))
    }

    /// A ring of secrets, each with the time from which on it seals: of those whose time has come the newest does, and
    /// where two are alike the first. All open at once, so environments that learn of a new key at different times never
    /// meet a token that they cannot open. If no time has come (a clock that is behind), the earliest seals.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if there is none.
    pub fn dated(secrets: impl IntoIterator<Item = (SystemTime, Secret)>) -> Result<Self, Error> {
        let mut keys = secrets.into_iter().map(|(not_before, secret)| Key::derive(&secret.0, not_before));
        let first = keys.next().ok_or_else(|| Error::config("a keyring needs at least one secret"))??;
        Ok(Self(Arc::new(Ring { first, others: keys.collect::<Result<_, _>>()? })))
    }

    /// The ring that this text spells: lines as drawn in the [module](self), or one bare secret.
    ///
    /// ```
    /// use lambda_session::keyring::{Keyring, Secret};
    ///
    /// let ring = Keyring::parse(&format!("# today's\nv1 2026-11-22T18:00:00Z {}\n", *Secret::generate()?))?;
    /// assert_eq!(ring.len(), 1);
    ///
    /// let error = Keyring::parse("v1 yesterday abc").unwrap_err();
    /// assert_eq!(error.to_string(), "line 1: the time is none: write it as 2026-11-22T18:00:00Z");
    /// # Ok::<(), lambda_session::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] names the line and the rule, never what stands there.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::dated(Self::secrets(text)?)
    }

    /// The secrets of a ring's text, each with the time from which on it seals.
    pub(crate) fn secrets(text: &str) -> Result<Vec<(SystemTime, Secret)>, Error> {
        let text = text.trim_start_matches('\u{feff}');
        let lines =
            (1_usize..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let lines: Vec<_> = lines.collect();
        let is_bare = matches!(lines.as_slice(), [(_, line)] if !line.contains([' ', '\t']));
        let keys: Vec<_> = lines
            .into_iter()
            .map(|(number, line)| {
                let key = if is_bare {
                    Secret::parse(line).map(|secret| (SystemTime::UNIX_EPOCH, secret))
                } else {
                    parse_line(line)
                };
                key.map_err(|error| Error::config(format!("line {number}: {error}")))
            })
            .collect::<Result<_, _>>()?;
        if keys.is_empty() { Err(Error::config("a keyring needs at least one secret")) } else { Ok(keys) }
    }

    /// How many secrets the ring holds: at least one.
    #[expect(clippy::len_without_is_empty, reason = "a ring is never empty")]
    pub fn len(&self) -> usize {
        self.0.others.len().saturating_add(1)
    }

    /// The ids of the keys, in ring order: four hex digits each, which tokens carry to say what opens them.
    ///
    /// ```
    /// use lambda_session::keyring::Keyring;
    /// use std::time::SystemTime;
    ///
    /// let ring = Keyring::parse("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")?;
    /// assert_eq!(ring.ids().collect::<Vec<_>>(), ["a277"]);
    /// assert_eq!(ring.sealing_place(SystemTime::now()), 0);
    /// # Ok::<(), lambda_session::Error>(())
    /// ```
    pub fn ids(&self) -> impl Iterator<Item = String> {
        std::iter::once(&self.0.first).chain(&self.0.others).map(|key| {
            let [high, low] = key.kid;
            format!("{high:02x}{low:02x}")
        })
    }

    /// The place in the ring, counted from 0, of the key that seals at `now`.
    pub fn sealing_place(&self, now: SystemTime) -> usize {
        self.sealing(now).0
    }

    /// The key that seals now, with its place in the ring.
    pub(crate) fn sealing(&self, now: SystemTime) -> (usize, &Key) {
        let first = (0, &*self.0.first);
        let others = || self.keys().skip(1);
        if self.keys().any(|(_, key)| key.not_before <= now) {
            others().filter(|(_, key)| key.not_before <= now).fold(first, |best, other| {
                let is_better = best.1.not_before > now || other.1.not_before > best.1.not_before;
                if is_better { other } else { best }
            })
        } else {
            others().fold(first, |best, other| if other.1.not_before < best.1.not_before { other } else { best })
        }
    }

    /// The id of the key at this place.
    pub(crate) fn kid(&self, place: usize) -> Option<[u8; 2]> {
        self.keys().nth(place).map(|(_, key)| key.kid)
    }

    /// All keys of this id, with their places in the ring: nearly always one or none.
    pub(crate) fn with_kid(&self, kid: [u8; 2]) -> impl Iterator<Item = (usize, &Key)> {
        self.keys().filter(move |(_, key)| key.kid == kid)
    }

    fn keys(&self) -> impl Iterator<Item = (usize, &Key)> {
        std::iter::once(&self.0.first).chain(&self.0.others).map(|key| &**key).enumerate()
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.len() {
            1 => f.write_str("Keyring(1 key)"),
            keys => write!(f, "Keyring({keys} keys)"),
        }
    }
}

impl Key {
    fn derive(secret: &[u8], not_before: SystemTime) -> Result<Box<Self>, Error> {
        wipe::then_wiped(|| Self::derived(secret, not_before).map(Box::new))
    }

    fn derived(secret: &[u8], not_before: SystemTime) -> Result<Self, Error> {
        let (root, hkdf) = Hkdf::<Sha256>::extract(Some(SALT), secret);
        let root = Zeroizing::new(<[u8; 32]>::from(root));
        let expand = |label: &str, key: &mut [u8]| {
            hkdf.expand(label.as_bytes(), key)
                .map_err(|error| Error::new(ErrorKind::Config, "cannot derive a key").with_source(error.to_string()))
        };
        let mut key = Zeroizing::new([0; 32]);
        expand("enc", key.as_mut_slice())?;
        let encryption = Aes256GcmSiv::new(&(*key).into());
        expand("mac", key.as_mut_slice())?;
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key.as_slice()).map_err(key_length)?;
        expand("ref", key.as_mut_slice())?;
        let reference = <Hmac<Sha256> as KeyInit>::new_from_slice(key.as_slice()).map_err(key_length)?;
        let mut kid = [0; 2];
        expand("kid", &mut kid)?;
        #[cfg(not(feature = "memcached"))]
        drop(root);
        Ok(Self {
            not_before,
            kid,
            encryption,
            mac,
            reference,
            #[cfg(feature = "memcached")]
            root,
        })
    }

    /// The key for what a server keeps of one session: who holds the server's memory and this secret's other keys, but not
    /// the session's id, opens nothing.
    #[cfg(feature = "memcached")]
    pub(crate) fn stored(&self, id: &[u8; 16]) -> Option<Aes256GcmSiv> {
        let mut key = Zeroizing::new([0; 32]);
        let hkdf = Hkdf::<Sha256>::from_prk(self.root.as_slice()).ok()?;
        hkdf.expand_multi_info(&[b"store", id], key.as_mut_slice()).ok()?;
        Some(Aes256GcmSiv::new(&(*key).into()))
    }
}

fn parse_line(line: &str) -> Result<(SystemTime, Secret), Error> {
    let mut words = line.split_ascii_whitespace();
    let (Some(version), Some(time), Some(secret), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Error::config("it is no key: write version, time and secret, as v1 2026-11-22T18:00:00Z AbC…"));
    };
    if version != LINE_VERSION {
        return Err(Error::config(format!("its version is not {LINE_VERSION}")));
    }
    let time = OffsetDateTime::parse(time, &Rfc3339)
        .map_err(|_| Error::config("the time is none: write it as 2026-11-22T18:00:00Z"))?;
    Ok((time.into(), Secret::parse(secret)?))
}

fn key_length(error: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Config, "cannot use a key of 32 bytes").with_source(error.to_string())
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    // With its whole size at once: growing would leave copies behind.
    let mut bytes = Vec::with_capacity(pairs.len());
    for &[high, low] in pairs {
        bytes.push(digit(high)? << 4 | digit(low)?);
    }
    Some(bytes)
}

/// Whether these bytes are one shorter piece, written two times or more.
fn repeats(bytes: &[u8]) -> bool {
    (1..=bytes.len() / 2).any(|period| bytes.iter().zip(bytes.iter().skip(period)).all(|(a, b)| a == b))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of architecture.md's vectors: 00 01 02 … 1f.
    const VECTOR: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    /// SS2: a secret is refused by rule, and the rule is all that is said.
    #[test]
    fn weak_secrets_are_refused_by_rule() {
        let short = "the secret is too short: 43 characters of base64url or 64 hex digits are the least";
        let repetitive = "the secret is repetitive: it must come from a random generator";
        let alphabet = "the secret is neither hex nor unpadded base64url (A-Z a-z 0-9 - _, unused bits zero)";
        for (name, text, expected) in [
            ("empty", String::new(), short),
            ("spaces", " \t ".into(), short),
            ("62 hex digits", VECTOR[2..].into(), short),
            ("43 hex digits are hex", VECTOR[..43].into(), short),
            ("42 characters", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdH"[..41].into(), short),
            (
                "65 hex digits",
                format!("{VECTOR}0"),
                "the secret has an odd number of hex digits: one was lost or added",
            ),
            ("padding", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".into(), alphabet),
            ("unused bits", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9".into(), alphabet),
            ("a space within", "AAECAwQFBgcICQoLDA0ODxAREhMU FRYXGBkaGxwdHh8".into(), alphabet),
            ("all zero", "0".repeat(64), repetitive),
            ("eleven different bytes", "000102030405060708090a".repeat(4), repetitive),
            ("a pattern, twice", VECTOR.repeat(2), repetitive),
            (
                "changeme",
                format!("changeme{}", "Ab3_".repeat(10)),
                "the secret is a placeholder: put a fresh one in its place",
            ),
        ] {
            let error = Secret::parse(&text).unwrap_err();
            assert_eq!(error.to_string(), expected, "{name}");
            assert_eq!(error.kind(), ErrorKind::Config, "{name}");
        }
    }

    #[test]
    fn good_secrets_are_taken_in_both_spellings() {
        let bytes: Vec<u8> = (0..32).collect();
        for (name, text) in [
            ("hex", VECTOR.to_owned()),
            ("hex in capitals", VECTOR.to_uppercase()),
            ("base64url", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8".into()),
            ("a line end", format!("{VECTOR}\r\n")),
            ("spaces and a BOM", format!("\u{feff}  {VECTOR} ")),
        ] {
            assert_eq!(*Secret::parse(&text).unwrap().0, bytes, "{name}");
        }
    }

    #[test]
    fn the_key_id_agrees_with_the_vector() {
        let ring = Keyring::new([Secret::parse(VECTOR).unwrap()]).unwrap();
        assert_eq!(ring.sealing(SystemTime::UNIX_EPOCH).1.kid, [0xa2, 0x77]);
    }

    /// CC6: the labels give keys that differ pairwise, and none of them is the secret.
    #[test]
    fn every_label_gives_a_key_of_its_own() {
        let secret: Vec<u8> = (0..32).collect();
        let hkdf = Hkdf::<Sha256>::new(Some(SALT), &secret);
        let mut keys: Vec<Vec<u8>> = ["enc", "mac", "ref", "store", "kid"]
            .iter()
            .map(|label| {
                let mut key = vec![0; 32];
                hkdf.expand(label.as_bytes(), &mut key).unwrap();
                key
            })
            .collect();
        keys.push(secret);
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), 6);
    }

    /// SS7: a key opens at once and seals from its time on; a clock that is behind seals with the earliest.
    #[test]
    fn the_newest_key_whose_time_has_come_seals() {
        let at = |seconds| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        let secret = |seed: u8| Secret::from_bytes((0..32).map(|i| i ^ seed).collect()).unwrap();
        for (name, times, now, place) in [
            ("one", vec![50], 100, 0),
            ("the newest", vec![90, 50], 100, 0),
            ("the newest, in any order", vec![50, 90], 100, 1),
            ("the first of two alike", vec![90, 90], 100, 0),
            ("one to come", vec![110, 50], 100, 1),
            ("one to come, from its time on", vec![110, 50], 110, 0),
            ("a clock behind", vec![110, 105], 100, 1),
        ] {
            let keys = times.iter().zip(1..).map(|(time, seed)| (at(*time), secret(seed)));
            let ring = Keyring::dated(keys).unwrap();
            assert_eq!(ring.sealing(at(now)).0, place, "{name}");
        }
    }

    /// SS2: a ring's text is refused by line and rule, and nothing of it is repeated.
    #[test]
    fn a_bad_line_is_named_by_number_and_rule() {
        let good = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
        for (name, text, expected) in [
            (
                "two words",
                format!("# one\n\nv1 {good}"),
                "line 3: it is no key: write version, time and secret, as v1 2026-11-22T18:00:00Z AbC…",
            ),
            ("a version to come", format!("v2 2026-11-22T18:00:00Z {good}"), "line 1: its version is not v1"),
            ("no time", format!("v1 now {good}"), "line 1: the time is none: write it as 2026-11-22T18:00:00Z"),
            (
                "two bare secrets",
                format!("{good}\n{good}"),
                "line 1: it is no key: write version, time and secret, as v1 2026-11-22T18:00:00Z AbC…",
            ),
            (
                "a weak secret",
                format!("v1 2026-11-22T18:00:00Z {good}\nv1 2026-11-22T18:00:00Z hunter2"),
                "line 2: the secret is too short: 43 characters of base64url or 64 hex digits are the least",
            ),
            ("nothing", "# nothing\n".into(), "a keyring needs at least one secret"),
        ] {
            assert_eq!(Keyring::parse(&text).unwrap_err().to_string(), expected, "{name}");
        }
        assert_eq!(Keyring::parse(&format!("\u{feff}{good}\r\n")).unwrap().len(), 1);
    }

    #[test]
    fn an_empty_ring_is_refused() {
        assert_eq!(Keyring::new([]).unwrap_err().to_string(), "a keyring needs at least one secret");
    }

    /// CL1: 10,000 secrets, none twice.
    #[test]
    fn fresh_secrets_differ() {
        let secrets: std::collections::HashSet<String> =
            (0..10_000).map(|_| Secret::generate().unwrap().to_string()).collect();
        assert_eq!(secrets.len(), 10_000);
    }

    /// F16: without random bytes there is no secret.
    #[test]
    fn no_random_bytes_no_secret() {
        let broken: RandomSource = |_| Err(Error::new(ErrorKind::Random, "none"));
        assert_eq!(Secret::generate_from(broken).unwrap_err().kind(), ErrorKind::Random);
    }
}
