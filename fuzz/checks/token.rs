//! The token: what nobody sealed, and what we sealed and somebody changed.

use std::sync::LazyLock;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

use lambda_session::inspect::{Inspection, inspect};
use lambda_session::keyring::{Keyring, Secret};
use lambda_session::store::{CookieStore, MemoryStore, Retired, Store, Update, Version};
use lambda_session::{Error, ErrorKind, Lifetime, Record, Token};

use super::{NAME, SCOPE, TODAY, at_once, call, call_for, load, now, ring, vector_secret};

/// architecture.md's vectors: the only tokens that nobody here sealed and that open.
const ENCRYPTED: &str = "AaJ3AAAAAAAAAAAAAAAAwDHYd2jLIKjwvijpGKj5VyouYKpsaObUeahN1ZS1HMnzYL7epFhsVCE";
const SIGNED: &str = "A6J3AGsDK0hrAy1keyJ1c2VyIjoiYWxpY2Uifbh1-qedkPMtBZNC6Nt5WaA";
const REFERENCE: &str = "AqJ3ABEiM0RVZneImaq7zN3u_8pKNkx4jHqas_maRKdhAYnQyES9";
/// The same as [`SIGNED`] under yesterday's secret, for `{"user":"bob"}`.
const SIGNED_YESTERDAY: &str = "A0mUAGsDK0hrAy1keyJ1c2VyIjoiYm9iIn39BMNa931Jc08ksDDvxBOf";
/// What a cookie's name and value have together (RFC 6265bis, section 5.6).
const COOKIE_LIMIT_BYTES: usize = 4096;

static YESTERDAY: LazyLock<Keyring> = LazyLock::new(|| ring([other_secret()]));
static BOTH: LazyLock<Keyring> = LazyLock::new(|| ring([vector_secret(), other_secret()]));

/// CC1, CC2, CC3, CC7, CC10, CC13: what nobody sealed never opens, what was sealed opens where and as it was sealed
/// and nowhere else, and `inspect` explains anything.
pub(crate) fn token(data: &[u8]) {
    // As text, and as what a well-formed text spells: so that the fuzzer comes past the alphabet.
    for text in [String::from_utf8_lossy(data).into_owned(), URL_SAFE_NO_PAD.encode(data)] {
        a_strangers_token_stands_for_nothing(&text);
    }

    let record = Record::from_frame(data).map_or_else(
        || {
            Record::new(
                serde_json::to_vec(&Value::from_iter([("data", String::from_utf8_lossy(data))])).unwrap(),
                now(),
            )
        },
        |record| Record::new(record.payload().to_vec(), now()),
    );
    let Ok(record) = record else { return };
    let pick = data.iter().fold(data.len(), |sum, &byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let zero = |buffer: &mut [u8]| -> Result<(), Error> {
        buffer.fill(0x5a);
        Ok(())
    };
    let encrypted = |ring: &Keyring| CookieStore::encrypted(ring.clone()).with_random(zero);
    let signed = |ring: &Keyring| CookieStore::signed(ring.clone());
    let memory = MemoryStore::with_keyring(TODAY.clone()).with_random(zero);
    let sealed = [
        a_seal_holds(&encrypted(&TODAY), &encrypted(&YESTERDAY), &encrypted(&BOTH), &record, pick),
        a_seal_holds(&signed(&TODAY), &signed(&YESTERDAY), &signed(&BOTH), &record, pick),
        a_seal_holds(&memory, &memory.rotated(YESTERDAY.clone()), &memory.rotated(BOTH.clone()), &record, pick),
    ];
    for (place, token) in sealed.iter().enumerate() {
        let Some(token) = token else { continue };
        let others = [
            load(&encrypted(&TODAY), token, &call()),
            load(&signed(&TODAY), token, &call()),
            load(&memory, token, &call()),
        ];
        for (other, found) in others.into_iter().enumerate() {
            assert_eq!(found.is_some(), other == place, "a token of store {place} in store {other}");
        }
        let found = explain(token.as_str(), Some(&TODAY));
        assert_eq!((found.secret, found.refusal), (Some(0), None));
        assert!(found.record.is_none_or(|found| found == record));
        assert!(found.sizes.iter().map(|(_, size)| size).sum::<usize>() <= record.payload().len());
    }
}

fn explain(text: &str, keyring: Option<&Keyring>) -> Inspection {
    inspect(text, keyring, NAME, SCOPE, Lifetime::default(), now())
}

fn a_strangers_token_stands_for_nothing(text: &str) {
    let is_signed = text == SIGNED || text == SIGNED_YESTERDAY;
    let is_vector = is_signed || text == ENCRYPTED || text == REFERENCE;
    let found = explain(text, Some(&BOTH));
    assert_eq!(found.secret.is_some(), is_vector);
    assert_eq!(found.refusal.is_none(), is_vector);
    assert!(is_vector || found.record.is_none());
    let found = explain(text, None);
    assert!(found.secret.is_none() && found.record.is_none() && found.refusal.is_some());

    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let parsed = Token::parse(text.as_bytes());
    assert_eq!(parsed.is_some(), (1..=4096).contains(&text.len()) && text.bytes().all(legal));
    let Some(token) = parsed else { return };
    assert_eq!(token.as_str(), text);
    assert_eq!(format!("{token:?}"), format!("Token({} characters)", text.len()));
    let memory = MemoryStore::with_keyring(BOTH.clone());
    assert_eq!(load(&CookieStore::encrypted(BOTH.clone()), &token, &call()).is_some(), text == ENCRYPTED);
    assert_eq!(load(&CookieStore::signed(BOTH.clone()), &token, &call()).is_some(), is_signed);
    assert!(load(&memory, &token, &call()).is_none());
    let record = Record::new(b"{}".to_vec(), now()).unwrap();
    assert!(matches!(at_once(memory.update(&token, Version(1), &record, &call())), Ok(Update::Gone)));
    assert!(matches!(at_once(memory.retire(&token, Version::default(), &token, &call())), Ok(Retired::Gone)));
    at_once(memory.delete(&token, None, &call())).unwrap();
    assert!(memory.is_empty(), "nobody's token is taken over");
}

/// Seals a record, changes the token in every way that keeps it a token, and opens each. `None`: it does not fit.
fn a_seal_holds<S: Store>(store: &S, other: &S, both: &S, record: &Record, pick: usize) -> Option<Token> {
    let token = match at_once(store.create(record, &call())) {
        Ok(token) => token,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::TooLarge);
            return None;
        }
    };
    assert!(NAME.len() + token.as_str().len() <= COOKIE_LIMIT_BYTES);
    for (store, call, is_good) in [
        (store, call(), true),
        (both, call(), true),
        (other, call(), false),
        (store, call_for("__Host-", "sshop-test"), false),
        (store, call_for(NAME, ""), false),
    ] {
        let found = load(store, &token, &call);
        assert_eq!(found.as_ref().map(|found| &found.record), is_good.then_some(record));
        assert!(found.is_none_or(|found| !found.stale_key), "today's key sealed it");
    }
    if let Ok(old) = at_once(other.create(record, &call())) {
        let found = load(both, &old, &call()).expect("an old key still opens");
        assert!(found.stale_key && found.record == *record);
    }

    let bytes = URL_SAFE_NO_PAD.decode(token.as_str()).expect("a token is base64url");
    assert_eq!(URL_SAFE_NO_PAD.encode(&bytes), token.as_str());
    let mut flipped = bytes.clone();
    flipped[pick / 8 % bytes.len()] ^= 1 << (pick % 8);
    let cut = &bytes[..pick % bytes.len()];
    let longer = [bytes.as_slice(), &[pick as u8]].concat();
    let mut respelled = token.as_str().as_bytes().to_vec();
    let place = pick % respelled.len();
    respelled[place] = if respelled[place] == b'A' { b'B' } else { b'A' };
    let mut unused_bits = token.as_str().as_bytes().to_vec();
    *unused_bits.last_mut().unwrap() += 1;
    for (name, text) in [
        ("a flipped bit", URL_SAFE_NO_PAD.encode(flipped).into_bytes()),
        ("cut", URL_SAFE_NO_PAD.encode(cut).into_bytes()),
        ("longer", URL_SAFE_NO_PAD.encode(longer).into_bytes()),
        ("another character", respelled),
        ("another last character", unused_bits),
        ("a character more", [token.as_str().as_bytes(), b"A"].concat()),
    ] {
        let opened = Token::parse(&text).and_then(|token| load(both, &token, &call()));
        assert!(opened.is_none(), "{name}: {}", String::from_utf8_lossy(&text));
    }
    Some(token)
}

fn other_secret() -> Secret {
    Secret::from_bytes((100..140).collect()).unwrap()
}
