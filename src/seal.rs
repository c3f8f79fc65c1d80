//! The token formats. Text is base64url without padding; `LP(x)` is the u16 length of x, big-endian, then x.
//!
//! ```text
//! 01 encrypted  01|kid[2]|nonce[12]|AES-256-GCM-SIV(frame)|tag[16]
//! 02 reference  02|kid[2]|id[16]|node[4]|HMAC-SHA256(K_ref, AAD|id|node)[..16]
//! 03 signed     03|kid[2]|frame|HMAC-SHA256(K_mac, AAD|u32 len(frame)|frame)[..16]
//! AAD           first 3 bytes | LP("lambda-session/v1") | LP("enc"|"ref"|"mac") | LP(cookie name) | LP(scope)
//! ```
//!
//! The frame is [`record`](crate::record)'s. Opening checks the seal before it looks at anything inside; every
//! failure is one [`Refusal`], which only `inspect` ever tells apart.

#[cfg(feature = "memcached")]
pub(crate) mod stored;

use aes_gcm_siv::aead::AeadInOut;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::keyring::{Key, Keyring};
use crate::random::RandomSource;
use crate::record::{FRAME_HEAD_BYTES, Record};
use crate::token::{SessionId, Token};
use crate::{Error, ErrorKind};

const HEADER_BYTES: usize = 3;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const LABEL: &str = "lambda-session/v1";

/// The format of a token: its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Encrypted = 1,
    Reference = 2,
    Signed = 3,
}

/// What a seal is bound to besides its key: a token of another cookie or application does not open.
#[derive(Clone, Copy)]
pub(crate) struct Binding<'a> {
    pub(crate) name: &'a str,
    pub(crate) scope: &'a str,
}

/// What a token held, and the place in the ring of the key that opened it.
pub(crate) struct Opened<T> {
    pub(crate) inner: T,
    pub(crate) key: usize,
}

/// Which rule refused a token. A request never learns it: to a handler every refusal is an empty session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Encoding,
    Length,
    Format,
    /// With the id that no key of the ring has.
    UnknownKey([u8; 2]),
    Seal,
    Frame,
}

/// What a reference names: the id, and the node that keeps the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) id: SessionId,
    pub(crate) node: [u8; 4],
}

impl Format {
    fn label(self) -> &'static str {
        match self {
            Self::Encrypted => "enc",
            Self::Reference => "ref",
            Self::Signed => "mac",
        }
    }

    /// The format that a first byte claims.
    pub(crate) fn of(byte: u8) -> Option<Self> {
        [Self::Encrypted, Self::Reference, Self::Signed].into_iter().find(|format| *format as u8 == byte)
    }
}

/// Seals a record so that its owner can neither read nor change it. The nonce is random at every seal; should it
/// ever repeat, AES-GCM-SIV shows only whether two sessions are equal.
pub(crate) fn encrypt(key: &Key, binding: Binding<'_>, record: &Record, random: RandomSource) -> Result<Token, Error> {
    let mut nonce = [0; NONCE_BYTES];
    random(&mut nonce)?;
    let header = header(Format::Encrypted, key);
    let overhead = HEADER_BYTES + NONCE_BYTES + FRAME_HEAD_BYTES + TAG_BYTES;
    let mut token = Vec::with_capacity(record.payload().len().saturating_add(overhead));
    token.extend_from_slice(&header);
    token.extend_from_slice(&nonce);
    record.write_frame(&mut token);
    let aad = aad(Format::Encrypted, &header, binding);
    let frame = token.get_mut(HEADER_BYTES + NONCE_BYTES..).unwrap_or_default();
    let tag = key.encryption.encrypt_inout_detached(&nonce.into(), &aad, frame.into()).map_err(|error| {
        Error::new(ErrorKind::TooLarge, "cannot encrypt the session").with_source(error.to_string())
    })?;
    token.extend_from_slice(&tag);
    Ok(Token::encode(&token))
}

/// Seals a record so that its owner can read but not change it.
pub(crate) fn sign(key: &Key, binding: Binding<'_>, record: &Record) -> Token {
    let header = header(Format::Signed, key);
    let overhead = HEADER_BYTES + FRAME_HEAD_BYTES + TAG_BYTES;
    let mut token = Vec::with_capacity(record.payload().len().saturating_add(overhead));
    token.extend_from_slice(&header);
    record.write_frame(&mut token);
    let frame = token.get(HEADER_BYTES..).unwrap_or_default();
    let mac = signed_mac(key, &aad(Format::Signed, &header, binding), frame).finalize().into_bytes();
    token.extend(mac.iter().take(TAG_BYTES));
    Token::encode(&token)
}

/// Seals a reference: a forged one is refused without asking any store.
pub(crate) fn refer(key: &Key, binding: Binding<'_>, reference: Reference) -> Token {
    let header = header(Format::Reference, key);
    let mac = reference_mac(key, &aad(Format::Reference, &header, binding), reference).finalize().into_bytes();
    let mut token = Vec::with_capacity(HEADER_BYTES + 20 + TAG_BYTES);
    token.extend_from_slice(&header);
    token.extend_from_slice(reference.id.as_bytes());
    token.extend_from_slice(&reference.node);
    token.extend(mac.iter().take(TAG_BYTES));
    Token::encode(&token)
}

/// The record in an encrypted or signed token.
pub(crate) fn open(
    keyring: &Keyring,
    format: Format,
    binding: Binding<'_>,
    token: &Token,
) -> Result<Opened<Record>, Refusal> {
    let bytes = token.decode().ok_or(Refusal::Encoding)?;
    let (header, body) = split_header(format, &bytes)?;
    let aad = aad(format, header, binding);
    let (key, frame) = match format {
        Format::Encrypted => decrypt(keyring, header, &aad, body)?,
        Format::Signed => verify(keyring, header, &aad, body)?,
        Format::Reference => return Err(Refusal::Format),
    };
    Record::from_frame(&frame).map(|inner| Opened { inner, key }).ok_or(Refusal::Frame)
}

/// What a reference token names.
pub(crate) fn dereference(
    keyring: &Keyring,
    binding: Binding<'_>,
    token: &Token,
) -> Result<Opened<Reference>, Refusal> {
    let bytes = token.decode().ok_or(Refusal::Encoding)?;
    let (header, body) = split_header(Format::Reference, &bytes)?;
    let (&id, body) = body.split_first_chunk::<16>().ok_or(Refusal::Length)?;
    let (&node, mac) = body.split_first_chunk::<4>().ok_or(Refusal::Length)?;
    let mac: &[u8; TAG_BYTES] = mac.try_into().map_err(|_| Refusal::Length)?;
    let reference = Reference { id: SessionId::from_bytes(id), node };
    let aad = aad(Format::Reference, header, binding);
    let mut refusal = Refusal::UnknownKey(kid_of(header));
    for (place, key) in keyring.with_kid(kid_of(header)) {
        if reference_mac(key, &aad, reference).verify_truncated_left(mac).is_ok() {
            return Ok(Opened { inner: reference, key: place });
        }
        refusal = Refusal::Seal;
    }
    Err(refusal)
}

fn decrypt(keyring: &Keyring, header: &[u8; 3], aad: &[u8], body: &[u8]) -> Result<(usize, Vec<u8>), Refusal> {
    let (nonce, body) = body.split_first_chunk::<NONCE_BYTES>().ok_or(Refusal::Length)?;
    let (sealed, tag) = body.split_last_chunk::<TAG_BYTES>().ok_or(Refusal::Length)?;
    let mut refusal = Refusal::UnknownKey(kid_of(header));
    for (place, key) in keyring.with_kid(kid_of(header)) {
        let mut frame = sealed.to_vec();
        let buffer = frame.as_mut_slice().into();
        if key.encryption.decrypt_inout_detached(&(*nonce).into(), aad, buffer, &(*tag).into()).is_ok() {
            return Ok((place, frame));
        }
        refusal = Refusal::Seal;
    }
    Err(refusal)
}

fn verify(keyring: &Keyring, header: &[u8; 3], aad: &[u8], body: &[u8]) -> Result<(usize, Vec<u8>), Refusal> {
    let (frame, mac) = body.split_last_chunk::<TAG_BYTES>().ok_or(Refusal::Length)?;
    let mut refusal = Refusal::UnknownKey(kid_of(header));
    for (place, key) in keyring.with_kid(kid_of(header)) {
        if signed_mac(key, aad, frame).verify_truncated_left(mac).is_ok() {
            return Ok((place, frame.to_vec()));
        }
        refusal = Refusal::Seal;
    }
    Err(refusal)
}

fn signed_mac(key: &Key, aad: &[u8], frame: &[u8]) -> Hmac<Sha256> {
    let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    key.mac.clone().chain_update(aad).chain_update(length.to_be_bytes()).chain_update(frame)
}

fn reference_mac(key: &Key, aad: &[u8], reference: Reference) -> Hmac<Sha256> {
    key.reference.clone().chain_update(aad).chain_update(reference.id.as_bytes()).chain_update(reference.node)
}

fn header(format: Format, key: &Key) -> [u8; HEADER_BYTES] {
    let [high, low] = key.kid;
    [format as u8, high, low]
}

fn kid_of(header: &[u8; HEADER_BYTES]) -> [u8; 2] {
    let &[_, high, low] = header;
    [high, low]
}

/// The header of a token whose first byte names the one format that is wanted: a token never chooses its own.
fn split_header(format: Format, bytes: &[u8]) -> Result<(&[u8; HEADER_BYTES], &[u8]), Refusal> {
    let (header, body) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(Refusal::Length)?;
    if header.first() != Some(&(format as u8)) {
        return Err(Refusal::Format);
    }
    Ok((header, body))
}

fn aad(format: Format, header: &[u8; HEADER_BYTES], binding: Binding<'_>) -> Vec<u8> {
    let mut aad = Vec::with_capacity(128);
    aad.extend_from_slice(header);
    for part in [LABEL, format.label(), binding.name, binding.scope] {
        // Names are checked to be shorter where they are set (cookie.rs, layer.rs).
        aad.extend_from_slice(&u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes());
        aad.extend_from_slice(part.as_bytes());
    }
    aad
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::keyring::Secret;

    const BINDING: Binding<'static> = Binding { name: "__Host-s", scope: "shop-test" };
    const ENCRYPTED: &str = "AaJ3AAAAAAAAAAAAAAAAwDHYd2jLIKjwvijpGKj5VyouYKpsaObUeahN1ZS1HMnzYL7epFhsVCE";
    const SIGNED: &str = "A6J3AGsDK0hrAy1keyJ1c2VyIjoiYWxpY2Uifbh1-qedkPMtBZNC6Nt5WaA";
    const REFERENCE: &str = "AqJ3ABEiM0RVZneImaq7zN3u_8pKNkx4jHqas_maRKdhAYnQyES9";

    fn ring() -> Keyring {
        Keyring::new([Secret::from_bytes((0..32).collect()).unwrap()]).unwrap()
    }

    fn record() -> Record {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let payload = br#"{"user":"alice"}"#.to_vec();
        Record::new(payload.clone(), at(1_795_369_800)).unwrap().next(payload, at(1_795_370_340)).unwrap()
    }

    fn reference() -> Reference {
        let id = [0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
        Reference { id: SessionId::from_bytes(id), node: [0xca, 0x4a, 0x36, 0x4c] }
    }

    fn token(text: &str) -> Token {
        Token::parse(text.as_bytes()).unwrap()
    }

    /// CC14, architecture.md section 4: the vectors of another implementation, byte for byte.
    #[test]
    fn the_vectors_agree_byte_for_byte() {
        let ring = ring();
        let zeros: RandomSource = |buffer| {
            buffer.fill(0);
            Ok(())
        };
        assert_eq!(
            encrypt(ring.sealing(SystemTime::UNIX_EPOCH).1, BINDING, &record(), zeros).unwrap().as_str(),
            ENCRYPTED
        );
        assert_eq!(sign(ring.sealing(SystemTime::UNIX_EPOCH).1, BINDING, &record()).as_str(), SIGNED);
        assert_eq!(refer(ring.sealing(SystemTime::UNIX_EPOCH).1, BINDING, reference()).as_str(), REFERENCE);

        assert!(open(&ring, Format::Encrypted, BINDING, &token(ENCRYPTED)).unwrap().inner == record());
        assert!(open(&ring, Format::Signed, BINDING, &token(SIGNED)).unwrap().inner == record());
        assert!(dereference(&ring, BINDING, &token(REFERENCE)).unwrap().inner == reference());
    }

    /// CC2: the configured format is the only one that opens, whatever the token says of itself.
    #[test]
    fn a_token_never_chooses_its_format() {
        let ring = ring();
        for (format, text) in [(Format::Signed, ENCRYPTED), (Format::Encrypted, SIGNED), (Format::Encrypted, REFERENCE)]
        {
            assert_eq!(open(&ring, format, BINDING, &token(text)).err(), Some(Refusal::Format));
        }
        assert_eq!(dereference(&ring, BINDING, &token(SIGNED)).err(), Some(Refusal::Format));
        assert_eq!(open(&ring, Format::Reference, BINDING, &token(REFERENCE)).err(), Some(Refusal::Format));
    }

    /// CC3: bound to cookie name and scope, and the border between the two counts.
    #[test]
    fn a_token_opens_only_where_it_was_sealed() {
        let ring = ring();
        let sealed = sign(ring.sealing(SystemTime::UNIX_EPOCH).1, Binding { name: "ab", scope: "c" }, &record());
        for (name, scope) in [("a", "bc"), ("ab", "d"), ("ac", "c"), ("abc", ""), ("", "abc")] {
            let refused = open(&ring, Format::Signed, Binding { name, scope }, &sealed).err();
            assert_eq!(refused, Some(Refusal::Seal), "{name} {scope}");
        }
    }

    /// CC7, CC9: every flipped bit is refused, by the same path, and gives no record.
    #[test]
    fn every_flipped_bit_is_refused() {
        let ring = ring();
        for (format, text) in [(Format::Encrypted, ENCRYPTED), (Format::Signed, SIGNED), (Format::Reference, REFERENCE)]
        {
            let bytes = token(text).decode().unwrap();
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let flipped = Token::encode(&flipped);
                let refused = match format {
                    Format::Reference => dereference(&ring, BINDING, &flipped).err(),
                    format => open(&ring, format, BINDING, &flipped).err(),
                };
                assert!(refused.is_some(), "{format:?}, bit {bit}");
            }
            for length in 0..bytes.len() {
                let cut = Token::encode(&bytes[..length]);
                let opened = match format {
                    Format::Reference => dereference(&ring, BINDING, &cut).is_ok(),
                    format => open(&ring, format, BINDING, &cut).is_ok(),
                };
                assert!(!opened, "{format:?}, cut to {length} bytes");
            }
        }
    }

    /// CC13: on a collision of key ids both keys are tried, and a forged id opens nothing.
    #[test]
    fn key_ids_only_select() {
        let (other, other_kid) = (1_u32..)
            .map(|seed| {
                let bytes: Vec<u8> =
                    (0..32).map(|i| (seed.wrapping_mul(2_654_435_761) >> (i % 24)) as u8 ^ i).collect();
                Secret::from_bytes(bytes)
            })
            .filter_map(Result::ok)
            .map(|secret| Keyring::new([secret]).unwrap())
            .map(|ring| (ring.clone(), ring.sealing(SystemTime::UNIX_EPOCH).1.kid))
            .next()
            .unwrap();
        let mut bytes = token(ENCRYPTED).decode().unwrap();
        bytes[1..3].copy_from_slice(&other_kid);
        assert_eq!(open(&other, Format::Encrypted, BINDING, &Token::encode(&bytes)).err(), Some(Refusal::Seal));
        let unknown = Refusal::UnknownKey([0xa2, 0x77]);
        assert_eq!(open(&other, Format::Encrypted, BINDING, &token(ENCRYPTED)).err(), Some(unknown));
    }

    /// CC4, F16: without random bytes nothing is sealed.
    #[test]
    fn no_random_bytes_nothing_sealed() {
        let broken: RandomSource = |_| Err(Error::new(ErrorKind::Random, "none"));
        let error = encrypt(ring().sealing(SystemTime::UNIX_EPOCH).1, BINDING, &record(), broken).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Random);
    }

    /// CC4: should a nonce repeat, equality is all that leaks.
    #[test]
    fn a_repeated_nonce_leaks_only_equality() {
        let ring = ring();
        let zeros: RandomSource = |_| Ok(());
        let seal = |payload: &str| {
            let record = Record::new(payload.into(), SystemTime::UNIX_EPOCH).unwrap();
            encrypt(ring.sealing(SystemTime::UNIX_EPOCH).1, BINDING, &record, zeros).unwrap().decode().unwrap()
        };
        let (one, same, two) = (seal(r#"{"n":1}"#), seal(r#"{"n":1}"#), seal(r#"{"n":2}"#));
        assert_eq!(one, same);
        let alike = one.iter().zip(&two).skip(15).filter(|(a, b)| a == b).count();
        assert!(alike < 6, "{alike} of {} bytes alike: the key stream repeats", one.len() - 15);
    }
}
