//! What a server keeps for a session. Not text: it never leaves the server.
//!
//! ```text
//! 04 stored     04|kid[2]|nonce[12]|AES-256-GCM-SIV(frame)|tag[16]     under K_store, which depends on the session's id
//! AAD           first 3 bytes | LP("lambda-session/v1") | LP("store") | LP(storage key)
//! frame         of a live session, the record's
//! frame         of a retired id: flags = 02 | issued u32 | issued u32 | id[16] | node[4] of what took its place
//! ```
//!
//! The key depends on the id, which the server never sees (its keys are hashes): who can read and write the server's memory
//! reads nothing and forges nothing. Bound to the storage key, a value does not open in another's place.

use std::time::SystemTime;

use aes_gcm_siv::aead::AeadInOut;

use super::{HEADER_BYTES, LABEL, NONCE_BYTES, Opened, Reference, Refusal, TAG_BYTES, kid_of};
use crate::keyring::{Key, Keyring};
use crate::random::RandomSource;
use crate::record::{FRAME_HEAD_BYTES, Record, moment, seconds};
use crate::token::SessionId;
use crate::{Error, ErrorKind};

const FORMAT: u8 = 4;
const RETIRED: u8 = 2;
/// How much longer a value is than its payload: header, nonce, frame head and tag.
pub(crate) const OVERHEAD_BYTES: usize = HEADER_BYTES + NONCE_BYTES + FRAME_HEAD_BYTES + TAG_BYTES;

/// What stands in a session's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// The session.
    Live(Record),
    /// It was renewed at this time, and what took its place.
    Retired { at: SystemTime, next: Reference },
}

/// Where a value belongs: the id that its key depends on, and the key that the server knows it by.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) id: &'a SessionId,
    pub(crate) key: &'a str,
}

/// Seals what a server keeps. The nonce is random at every seal, so no two values are equal: a write that got no answer is
/// recognised by its bytes.
pub(crate) fn seal(key: &Key, place: Place<'_>, stored: &Stored, random: RandomSource) -> Result<Vec<u8>, Error> {
    let mut nonce = [0; NONCE_BYTES];
    random(&mut nonce)?;
    let [high, low] = key.kid;
    let header = [FORMAT, high, low];
    let payload = match stored {
        Stored::Live(record) => record.payload().len(),
        Stored::Retired { .. } => 20,
    };
    let mut value = Vec::with_capacity(payload.saturating_add(OVERHEAD_BYTES));
    value.extend_from_slice(&header);
    value.extend_from_slice(&nonce);
    stored.write_frame(&mut value);
    let frame = value.get_mut(HEADER_BYTES + NONCE_BYTES..).unwrap_or_default();
    let tag = key
        .stored(place.id.as_bytes())
        .and_then(|key| key.encrypt_inout_detached(&nonce.into(), &aad(header, place), frame.into()).ok())
        .ok_or_else(|| Error::new(ErrorKind::TooLarge, "cannot encrypt the session"))?;
    value.extend_from_slice(&tag);
    Ok(value)
}

/// What a server kept, if it is what one of our keys sealed for this place.
pub(crate) fn open(keyring: &Keyring, place: Place<'_>, value: &[u8]) -> Result<Opened<Stored>, Refusal> {
    let (header, body) = value.split_first_chunk::<HEADER_BYTES>().ok_or(Refusal::Length)?;
    if header.first() != Some(&FORMAT) {
        return Err(Refusal::Format);
    }
    let (nonce, body) = body.split_first_chunk::<NONCE_BYTES>().ok_or(Refusal::Length)?;
    let (sealed, tag) = body.split_last_chunk::<TAG_BYTES>().ok_or(Refusal::Length)?;
    let aad = aad(*header, place);
    let mut refusal = Refusal::UnknownKey(kid_of(header));
    for (ring_place, key) in keyring.with_kid(kid_of(header)) {
        let mut frame = sealed.to_vec();
        let buffer = frame.as_mut_slice().into();
        let Some(key) = key.stored(place.id.as_bytes()) else { continue };
        if key.decrypt_inout_detached(&(*nonce).into(), &aad, buffer, &(*tag).into()).is_ok() {
            let inner = Stored::from_frame(&frame).ok_or(Refusal::Frame)?;
            return Ok(Opened { inner, key: ring_place });
        }
        refusal = Refusal::Seal;
    }
    Err(refusal)
}

impl Stored {
    fn write_frame(&self, to: &mut Vec<u8>) {
        match self {
            Self::Live(record) => record.write_frame(to),
            Self::Retired { at, next } => {
                to.push(RETIRED);
                let at = seconds(*at).to_be_bytes();
                to.extend_from_slice(&at);
                to.extend_from_slice(&at);
                to.extend_from_slice(next.id.as_bytes());
                to.extend_from_slice(&next.node);
            }
        }
    }

    fn from_frame(frame: &[u8]) -> Option<Self> {
        let &[RETIRED, _, _, _, _, i0, i1, i2, i3, ref next @ ..] = frame else {
            return Record::from_frame(frame).map(Self::Live);
        };
        let (&id, node) = next.split_first_chunk::<16>()?;
        let next = Reference { id: SessionId::from_bytes(id), node: node.try_into().ok()? };
        Some(Self::Retired { at: moment(u32::from_be_bytes([i0, i1, i2, i3])), next })
    }
}

fn aad(header: [u8; HEADER_BYTES], place: Place<'_>) -> Vec<u8> {
    let mut aad = Vec::with_capacity(128);
    aad.extend_from_slice(&header);
    for part in [LABEL, "store", place.key] {
        // A storage key has at most 250 bytes.
        aad.extend_from_slice(&u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes());
        aad.extend_from_slice(part.as_bytes());
    }
    aad
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::keyring::Secret;

    const KEY: &str = "s1:Jm7ddsU23J0la6h6LhhJZ8mBPPXBP9bm";
    const ID: [u8; 16] =
        [0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
    /// Made with another implementation: Python's `cryptography`, HKDFExpand and AESGCMSIV, nonce 12 zero bytes.
    const LIVE: &str = "04a27700000000000000000000000063549b165326f6943e0fff5c23562106857d6a8558cfcc4d3a2710e98a2ae3757879f4c4c9a2ee8509";

    fn ring() -> Keyring {
        Keyring::new([Secret::from_bytes((0..32).collect()).unwrap()]).unwrap()
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn record() -> Record {
        let payload = br#"{"user":"alice"}"#.to_vec();
        Record::new(payload.clone(), at(1_795_369_800)).unwrap().next(payload, at(1_795_370_340)).unwrap()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// CC14: the vector of another implementation, byte for byte.
    #[test]
    fn the_vector_agrees_byte_for_byte() {
        let zeros: RandomSource = |_| Ok(());
        let (ring, id) = (ring(), SessionId::from_bytes(ID));
        let place = Place { id: &id, key: KEY };
        let stored = Stored::Live(record());
        let value = seal(ring.sealing(SystemTime::UNIX_EPOCH).1, place, &stored, zeros).unwrap();
        assert_eq!(hex(&value), LIVE);
        assert!(open(&ring, place, &value).unwrap().inner == stored);
    }

    /// MC5: a value opens in its own place only, and not a bit of it can be changed.
    #[test]
    fn a_value_opens_only_where_it_was_sealed() {
        let (ring, id, other) = (ring(), SessionId::from_bytes(ID), SessionId::from_bytes([7; 16]));
        let place = Place { id: &id, key: KEY };
        let next = Reference { id: other, node: [1, 2, 3, 4] };
        for stored in [Stored::Live(record()), Stored::Retired { at: at(1_795_370_340), next }] {
            let value = seal(ring.sealing(SystemTime::UNIX_EPOCH).1, place, &stored, crate::random::system).unwrap();
            assert!(open(&ring, place, &value).unwrap().inner == stored);
            for (name, place) in
                [("another id", Place { id: &other, ..place }), ("another key", Place { key: "s1:other", ..place })]
            {
                assert_eq!(open(&ring, place, &value).err(), Some(Refusal::Seal), "{name}");
            }
            for bit in 0..value.len() * 8 {
                let mut flipped = value.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(open(&ring, place, &flipped).is_err(), "bit {bit}");
            }
            for length in 0..value.len() {
                assert!(open(&ring, place, &value[..length]).is_err(), "cut to {length} bytes");
            }
        }
    }

    /// The server sees neither the id nor anything of the session.
    #[test]
    fn a_value_shows_nothing() {
        let (ring, id) = (ring(), SessionId::from_bytes(ID));
        let place = Place { id: &id, key: KEY };
        let key = ring.sealing(SystemTime::UNIX_EPOCH).1;
        let value = seal(key, place, &Stored::Live(record()), crate::random::system).unwrap();
        for part in [&b"alice"[..], b"user", &ID[..8], &1_795_369_800_u32.to_be_bytes()] {
            assert!(!value.windows(part.len()).any(|window| window == part));
        }
    }
}
