//! The text of the cookie, checked once: [`Token`]; and the random bits of a server-side session: [`SessionId`].

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use crate::Error;
use crate::random::RandomSource;

/// The most characters a token has: what a cookie may hold in name and value (RFC 6265bis, section 5.6).
const LIMIT_BYTES: usize = 4096;

/// How much of a token's end tells it apart: its tag has 22 characters and stands for all of it; a reference has 52.
const FINGERPRINTED_BYTES: usize = 64;

/// The text of the session cookie: 1 to 4,096 characters of base64url.
///
/// A token is as good as a password while its session lives, so `Debug` does not show it.
///
/// ```
/// use lambda_session::Token;
///
/// let token = Token::parse(b"AqJ3ABEiM0RV").unwrap();
/// assert_eq!(token.as_str(), "AqJ3ABEiM0RV");
/// assert_eq!(format!("{token:?}"), "Token(12 characters)");
/// assert!(Token::parse(b"a b").is_none());
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Token(String);

impl Token {
    /// The token that these bytes spell; `None` for another alphabet or length.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() || bytes.len() > LIMIT_BYTES {
            return None;
        }
        let legal = |&byte: &u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if !bytes.iter().all(legal) {
            return None;
        }
        String::from_utf8(bytes.to_vec()).ok().map(Self)
    }

    /// The token as it stands in the cookie.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The token for these bytes.
    pub(crate) fn encode(bytes: &[u8]) -> Self {
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The bytes behind the text, if it is their one spelling: unused bits are zero.
    pub(crate) fn decode(&self) -> Option<Vec<u8>> {
        URL_SAFE_NO_PAD.decode(&self.0).ok()
    }

    /// Eight hex digits that tell tokens apart in a log and open nothing: of the token's end, where its seal is.
    pub(crate) fn fingerprint(&self) -> String {
        let end = self.0.len().saturating_sub(FINGERPRINTED_BYTES);
        let end = self.0.as_bytes().get(end..).unwrap_or_default();
        let digest = Sha256::new().chain_update(b"lambda-session/v1 log").chain_update(end).finalize();
        digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({} characters)", self.0.len())
    }
}

/// The 128 random bits that name a session in a server-side store (ASVS 7.2.3 asks for 128).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionId([u8; 16]);

impl SessionId {
    pub(crate) fn random(random: RandomSource) -> Result<Self, Error> {
        let mut id = [0; 16];
        random(&mut id)?;
        Ok(Self(id))
    }

    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Under what a store keeps the session: a hash, so that a dump of the store holds no id.
    pub(crate) fn storage_key(&self, scope: &str) -> StorageKey {
        let length = u16::try_from(scope.len()).unwrap_or(u16::MAX);
        let digest = Sha256::new()
            .chain_update(b"lambda-session/v1 sid")
            .chain_update(length.to_be_bytes())
            .chain_update(scope)
            .chain_update(self.0)
            .finalize();
        let mut key = [0; 24];
        key.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        StorageKey(key)
    }
}

/// The hash under which a store keeps a session.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct StorageKey([u8; 24]);

/// The id opens what is stored: it is not shown.
impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId")
    }
}

impl fmt::Display for StorageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_one_alphabet_and_a_bounded_length() {
        for (name, bytes, good) in [
            ("empty", vec![], false),
            ("one character", vec![b'A'], true),
            ("as long as a cookie", vec![b'A'; 4096], true),
            ("longer than a cookie", vec![b'A'; 4097], false),
            ("padding", b"AA==".to_vec(), false),
            ("standard base64", b"A+/A".to_vec(), false),
            ("quotes", b"\"AA\"".to_vec(), false),
            ("above ASCII", vec![b'A', 0xc3, 0xa9], false),
        ] {
            assert_eq!(Token::parse(&bytes).is_some(), good, "{name}");
        }
    }

    /// CC10: of the four spellings that decode to one byte, one is accepted.
    #[test]
    fn unused_bits_must_be_zero() {
        let accepted: Vec<_> = ["AA", "AB", "AC", "AP", "AQ"]
            .into_iter()
            .filter(|text| Token::parse(text.as_bytes()).and_then(|token| token.decode()).is_some())
            .collect();
        assert_eq!(accepted, ["AA", "AQ"]);
    }

    /// architecture.md, section 4: the memcached key of the vectors, without its prefix.
    #[test]
    fn the_storage_key_agrees_with_the_vector() {
        let id = [0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
        assert_eq!(SessionId::from_bytes(id).storage_key("shop-test").to_string(), "Jm7ddsU23J0la6h6LhhJZ8mBPPXBP9bm");
    }
}
