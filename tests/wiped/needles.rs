//! What a secret could be found by: itself, its text, and each key derived from it, computed by the book (RFC 5869, RFC 2104,
//! FIPS 197, RFC 8452).

use aes::Aes256;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use hkdf::Hkdf;
use sha2::Sha256;
use sha2::block_api::compress256;

/// Bytes that must be nowhere, with the name of what they are.
pub(crate) struct Needle {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// What bytes are hidden with on their way to the child, and in it.
pub(crate) const MASK: u8 = 0xa5;

/// In hex, each byte behind the mask.
pub(crate) fn masked(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{:02x}", byte ^ MASK)).collect()
}

/// Pieces of 16 bytes: two halves of a key are found apart, wherever one lies.
pub(crate) fn needles(secret: &[u8], text: &str) -> Vec<Needle> {
    let mut found = Vec::new();
    let mut add = |name: &str, bytes: &[u8]| {
        for (place, piece) in bytes.chunks_exact(16).enumerate() {
            found.push(Needle { name: format!("{name}-{place}"), bytes: piece.to_vec() });
        }
    };
    add("secret", secret);
    add("text", text.as_bytes());
    let (prk, hkdf) = Hkdf::<Sha256>::extract(Some(b"lambda-session/v1"), secret);
    add("prk", &prk);
    let derived = |label: &str| {
        let mut key = [0; 32];
        hkdf.expand(label.as_bytes(), &mut key).unwrap();
        key
    };
    let encryption = derived("enc");
    add("key-enc", &encryption);
    // The first two round keys are the key itself.
    let round_keys: Vec<u8> = round_keys(&encryption).concat();
    add("round-key", &round_keys[32..]);
    let message_key = message_key(&encryption);
    add("message-key", &message_key);
    for label in ["mac", "ref"] {
        let key = derived(label);
        add(&format!("key-{label}"), &key);
        for (name, pad) in [("inner", 0x36), ("outer", 0x5c)] {
            let mut block = [pad; 64];
            block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
            add(&format!("pad-{name}-{label}"), &block[..32]);
            let mut state = SHA256_START;
            compress256(&mut state, &[block]);
            add(&format!("hmac-{name}-{label}"), &state.map(u32::to_ne_bytes).concat());
        }
    }
    found
}

/// The state that SHA-256 begins with (FIPS 180-4, section 5.3.3).
const SHA256_START: [u32; 8] =
    [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];

/// The message-encryption key of GCM-SIV for a nonce of zeros (RFC 8452, section 4), which the child's store takes.
fn message_key(key: &[u8; 32]) -> Vec<u8> {
    let cipher = Aes256::new(key.into());
    let mut found = Vec::new();
    for counter in 2_u32..6 {
        let mut block = [0; 16];
        block[..4].copy_from_slice(&counter.to_le_bytes());
        let mut block = block.into();
        cipher.encrypt_block(&mut block);
        found.extend_from_slice(&block[..8]);
    }
    found
}

/// All round keys of AES-256 (FIPS 197, section 5.2), four bytes a word.
fn round_keys(key: &[u8; 32]) -> Vec<[u8; 4]> {
    let mut words: Vec<[u8; 4]> = key.as_chunks::<4>().0.to_vec();
    let mut constant = 1;
    for place in 8..60 {
        let mut word = words[place - 1];
        if place % 8 == 0 {
            word.rotate_left(1);
            word = word.map(substituted);
            word[0] ^= constant;
            constant = doubled(constant);
        } else if place % 8 == 4 {
            word = word.map(substituted);
        }
        let before = words[place - 8];
        words.push([0, 1, 2, 3].map(|i| word[i] ^ before[i]));
    }
    words
}

/// The S-box: the inverse in GF(2^8), then an affine map.
fn substituted(byte: u8) -> u8 {
    let inverse = (1..=255).find(|&other| multiplied(byte, other) == 1).unwrap_or(0);
    (0..5).fold(0x63, |sum, turn| sum ^ inverse.rotate_left(turn))
}

fn multiplied(mut a: u8, mut b: u8) -> u8 {
    let mut product = 0;
    while b != 0 {
        if b & 1 == 1 {
            product ^= a;
        }
        a = doubled(a);
        b >>= 1;
    }
    product
}

fn doubled(byte: u8) -> u8 {
    (byte << 1) ^ if byte & 0x80 == 0 { 0 } else { 0x1b }
}

/// FIPS 197, appendix A.3: the key schedule is the book's.
#[test]
fn the_key_schedule_is_the_book_s() {
    let key: Vec<u8> = (0..32)
        .map(|i| {
            u8::from_str_radix(
                &"603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"[2 * i..2 * i + 2],
                16,
            )
            .unwrap()
        })
        .collect();
    let words = round_keys(&key.try_into().unwrap());
    assert_eq!((words[8], words[59]), ([0x9b, 0xa3, 0x54, 0x11], [0x70, 0x6c, 0x63, 0x1e]));
}
