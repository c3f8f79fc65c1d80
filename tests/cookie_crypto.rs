//! Tokens: what seals them, what opens them, and what never does (security.md, CC1 to CC14).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects
)]

mod support;

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet},
    path::Path,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use lambda_session::keyring::{Keyring, Secret};
use lambda_session::store::{CookieStore, Found, Loaded, MemoryStore, Store};
use lambda_session::{Error, ErrorKind, Record, Token};
use proptest::prelude::*;
use support::*;

const ENCRYPTED: &str = "AaJ3AAAAAAAAAAAAAAAAwDHYd2jLIKjwvijpGKj5VyouYKpsaObUeahN1ZS1HMnzYL7epFhsVCE";
const SIGNED: &str = "A6J3AGsDK0hrAy1keyJ1c2VyIjoiYWxpY2Uifbh1-qedkPMtBZNC6Nt5WaA";
const REFERENCE: &str = "AqJ3ABEiM0RVZneImaq7zN3u_8pKNkx4jHqas_maRKdhAYnQyES9";

/// A few hundred cases; no file of failures beside the sources.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn token(text: &str) -> Token {
    Token::parse(text.as_bytes()).unwrap()
}

/// What a store makes of a token for this cookie and scope.
fn open(store: &impl Store, text: &str, name: &str, scope: &str) -> Option<Loaded> {
    let token = Token::parse(text.as_bytes())?;
    match ready(store.load(&token, &call_at(clock(), name, scope))).unwrap() {
        Found::Live(loaded) => Some(loaded),
        _ => None,
    }
}

fn seal(store: &impl Store, record: &Record, name: &str, scope: &str) -> String {
    ready(store.create(record, &call_at(clock(), name, scope))).unwrap().as_str().to_owned()
}

fn zeros(buffer: &mut [u8]) -> Result<(), Error> {
    buffer.fill(0);
    Ok(())
}

fn broken(_: &mut [u8]) -> Result<(), Error> {
    Err(Error::new(ErrorKind::Random, "the operating system gave no random bytes"))
}

/// Every Rust file under src/, with its text before the unit tests.
fn sources() -> Vec<(String, String)> {
    fn walk(directory: &Path, found: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap().to_owned();
                found.push((path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display().to_string(), code));
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    found.sort();
    found
}

fn files_with(text: &str) -> Vec<(String, usize)> {
    let count = |(file, code): (String, String)| (file, code.matches(text).count());
    sources().into_iter().map(count).filter(|(_, count)| *count > 0).collect()
}

/// CC1: for a request there is one way to open each kind of token; `inspect` is the command line's.
#[test]
fn one_place_opens_each_kind_of_token() {
    let files = |names: &[&str]| names.iter().map(|name| (name.to_string(), 1)).collect::<Vec<_>>();
    assert_eq!(files_with("seal::open("), files(&["src/inspect.rs", "src/store/cookie.rs"]));
    // A reference by each store that keeps sessions on a server, and what memcached keeps by that one.
    let servers = files(&["src/inspect.rs", "src/store/memcached.rs", "src/store/memory.rs"]);
    assert_eq!(files_with("seal::dereference("), servers);
    assert_eq!(files_with("stored::open("), files(&["src/store/memcached.rs"]));
    assert_eq!(files_with(".decrypt_inout_detached("), files(&["src/seal.rs", "src/seal/stored.rs"]));
}

/// CC7: tags are compared by the AEAD and by `verify_truncated_left`, both constant-time, and nowhere else.
#[test]
fn tags_are_compared_in_constant_time() {
    assert_eq!(files_with(".verify_truncated_left("), [("src/seal.rs".to_owned(), 2)]);
    assert_eq!(files_with("mac =="), []);
    assert_eq!(files_with("tag =="), []);
    assert_eq!(files_with("decrypt_in_place"), []);
}

/// CC2: the store's one format opens, whatever a token says of itself.
#[test]
fn a_token_never_chooses_how_it_is_opened() {
    let texts = [("encrypted", ENCRYPTED), ("signed", SIGNED), ("memory", REFERENCE)];
    for (store_name, store) in Any::all(&[0]) {
        for (kind, text) in texts {
            // The reference's record is in no memory, so only its two neighbours could open.
            let opens = kind == store_name && kind != "memory";
            assert_eq!(open(&store, text, "__Host-s", "shop-test").is_some(), opens, "{store_name} opens {kind}");
            let mut bytes = URL_SAFE_NO_PAD.decode(text).unwrap();
            let own = bytes[0];
            for version in (0..=255).filter(|version| *version != own) {
                bytes[0] = version;
                let claimed = URL_SAFE_NO_PAD.encode(&bytes);
                assert!(open(&store, &claimed, "__Host-s", "shop-test").is_none(), "{store_name}: {kind} as {version}");
            }
        }
    }
}

/// CC3: the border between name and scope counts.
#[test]
fn name_and_scope_do_not_run_together() {
    for (store_name, store) in Any::all(&[0]) {
        let sealed = seal(&store, &record("{}"), "ab", "c");
        assert!(open(&store, &sealed, "ab", "c").is_some(), "{store_name}");
        for (name, scope) in [("a", "bc"), ("abc", ""), ("ab", ""), ("ab", "C"), ("AB", "c"), ("ab", "c\0")] {
            assert!(open(&store, &sealed, name, scope).is_none(), "{store_name}: {name:?}, {scope:?}");
        }
    }
}

proptest! {
    #![proptest_config(cases(200))]

    /// CC3: any change of mode, name or scope is refused.
    #[test]
    fn any_change_of_mode_name_or_scope_is_refused(
        mode in 0..3_usize, name in "[a-c]{1,3}", scope in "[a-c]{0,3}",
        other_mode in 0..3_usize, other_name in "[a-c]{1,3}", other_scope in "[a-c]{0,3}",
    ) {
        let stores = Any::all(&[0]);
        let sealed = seal(&stores[mode].1, &record("{}"), &name, &scope);
        let same = (mode, &name, &scope) == (other_mode, &other_name, &other_scope);
        let opened = open(&stores[other_mode].1, &sealed, &other_name, &other_scope);
        prop_assert_eq!(opened.is_some(), same);
        prop_assert!(open(&stores[mode].1, &sealed, &name, &scope).is_some());
    }
}

thread_local! {
    static ASKED: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
    static NEXT: Cell<u8> = const { Cell::new(0) };
}

fn counted(buffer: &mut [u8]) -> Result<(), Error> {
    ASKED.with_borrow_mut(|asked| asked.push(buffer.len()));
    NEXT.set(NEXT.get() + 1);
    buffer.fill(NEXT.get());
    Ok(())
}

/// CC4: each seal asks for its own nonce, each session for its own id, and uses what it got.
#[test]
fn every_seal_asks_for_random_bytes_of_its_own() {
    let store = CookieStore::encrypted(keyring(&[0])).with_random(counted);
    for round in 1..=3_u8 {
        let sealed = URL_SAFE_NO_PAD.decode(seal(&store, &record("{}"), NAME, "")).unwrap();
        assert_eq!(sealed[3..15], [round; 12]);
    }
    assert_eq!(ASKED.take(), [12, 12, 12]);

    let store = MemoryStore::with_keyring(keyring(&[0])).with_random(counted);
    let text = seal(&store, &record("{}"), NAME, "");
    assert_eq!(other::dereference(&secret_bytes(0), NAME, "", &text), Some(([4; 16], [0; 4])));
    assert_eq!(ASKED.take(), [16]);

    let store = CookieStore::signed(keyring(&[0])).with_random(counted);
    seal(&store, &record("{}"), NAME, "");
    assert_eq!(ASKED.take(), [] as [usize; 0], "a signature needs none");
}

/// CC4: of a million nonces and a million ids none comes twice.
#[test]
fn no_nonce_and_no_id_comes_twice() {
    let count = 1_000_000;
    let call = call();
    let record = record("{}");
    for (name, store) in Any::all(&[0]).into_iter().filter(|(name, _)| *name != "signed") {
        // Deleted at once: what is tested is the token.
        let seen: HashSet<[u8; 12]> = (0..count)
            .map(|_| {
                let token = ready(store.create(&record, &call)).unwrap();
                ready(store.delete(&token, None, &call)).unwrap();
                URL_SAFE_NO_PAD.decode(token.as_str()).unwrap()[3..15].try_into().unwrap()
            })
            .collect();
        assert_eq!(seen.len(), count, "{name}");
    }
}

/// CC4: should a nonce repeat, nothing but equality shows.
#[test]
fn a_repeated_nonce_shows_only_equality() {
    let store = CookieStore::encrypted(keyring(&[0])).with_random(zeros);
    let seal = |payload| URL_SAFE_NO_PAD.decode(seal(&store, &record(payload), NAME, "")).unwrap();
    let (one, same, two) = (seal(r#"{"n":1}"#), seal(r#"{"n":1}"#), seal(r#"{"n":2}"#));
    assert_eq!(one, same);
    let alike = one.iter().zip(&two).skip(15).filter(|(a, b)| a == b).count();
    assert!(alike < 6, "{alike} of {} bytes alike: the key stream repeats", one.len() - 15);
}

/// CC4, F16: without random bytes the answer is 500 and nothing is sealed; what is there stays readable.
#[tokio::test]
async fn without_random_bytes_nothing_is_sealed() {
    let memory = MemoryStore::with_keyring(keyring(&[0]));
    for (name, good, bad) in [
        (
            "encrypted",
            app(CookieStore::encrypted(keyring(&[0]))),
            app(CookieStore::encrypted(keyring(&[0])).with_random(broken)),
        ),
        ("memory", app(memory.clone()), app(memory.clone().with_random(broken))),
    ] {
        assert_eq!(send(&bad, "/set-a=1", &[]).await, refusal(500), "{name}: create");
        let mut browser = Browser::new(good);
        browser.visit("/set-a=1").await;
        let mut starved = browser.at(bad);
        assert_eq!(starved.visit("/renew").await, refusal(500), "{name}: renew");
        assert_eq!(starved.visit("/read").await.body, r#"{"a":"1"}"#, "{name}: read");
        assert_eq!(browser.visit("/read").await.body, r#"{"a":"1"}"#, "{name}: the old cookie is still good");
    }
    assert_eq!(memory.len(), 1);
}

/// CC6: a token under a key of another label is no token.
#[test]
fn each_format_has_a_key_of_its_own() {
    let secret = secret_bytes(0);
    let labels = ["enc", "mac", "ref", "store", "kid"];
    let keys: HashSet<_> =
        labels.iter().map(|label| other::derive(&secret, label, 32)).chain([secret.clone()]).collect();
    assert_eq!(keys.len(), labels.len() + 1);
    let frame = other::frame(0, START as u32, START as u32, b"{}");
    let (encrypted, signed) = (CookieStore::encrypted(keyring(&[0])), CookieStore::signed(keyring(&[0])));
    for label in labels {
        let text = other::encrypt_under(other::header(1, &secret), label, &secret, NAME, "", [7; 12], &frame);
        assert_eq!(open(&encrypted, &text, NAME, "").is_some(), label == "enc", "{label}");
        let text = other::sign_under(other::header(3, &secret), label, &secret, NAME, "", &frame);
        assert_eq!(open(&signed, &text, NAME, "").is_some(), label == "mac", "{label}");
    }
}

/// CC7, CC9: whatever is wrong with a token, the answer is the same to the byte, and holds nothing of the session.
#[tokio::test]
async fn every_refusal_answers_alike() {
    for (name, store) in Any::all(&[0]) {
        let app = app(store);
        let mut browser = Browser::new(app.clone());
        browser.visit("/set-user=alice").await;
        let text = browser.token().unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
        let mut broken: Vec<(String, String)> = Vec::new();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            broken.push((format!("bit {bit}"), URL_SAFE_NO_PAD.encode(flipped)));
        }
        for length in 0..bytes.len() {
            broken.push((format!("cut to {length}"), URL_SAFE_NO_PAD.encode(&bytes[..length])));
        }
        broken.push(("longer".into(), format!("{text}AAAA")));
        broken.push(("padded".into(), format!("{text}=")));
        broken.push(("quoted".into(), format!("\"{text}\"")));
        let expected = send(&app, "/read", &[cookie("nonsense").as_bytes()]).await;
        assert_eq!((expected.body.as_str(), expected.sets()), ("{}", Sets::Nothing));
        for (what, text) in broken {
            assert_eq!(send(&app, "/read", &[cookie(&text).as_bytes()]).await, expected, "{name}: {what}");
        }
        assert_eq!(browser.visit("/read").await.body, r#"{"user":"alice"}"#, "{name}: the whole token");
    }
}

/// CC8: the times are inside the seal and judged to the second; 60 s ahead of the clock are forgiven.
#[tokio::test]
async fn times_are_judged_inside_the_seal() {
    const IDLE: u32 = 30 * 60;
    const ABSOLUTE: u32 = 12 * 60 * 60;
    let (secret, now) = (secret_bytes(0), START as u32);
    for (name, created, issued, lives) in [
        ("now", now, now, true),
        ("the last second of idle", now - IDLE + 1, now - IDLE + 1, true),
        ("idle", now - IDLE, now - IDLE, false),
        ("the last second of all", now - ABSOLUTE + 1, now, true),
        ("old", now - ABSOLUTE, now, false),
        ("60 s ahead", now + 60, now + 60, true),
        ("61 s ahead", now + 61, now + 61, false),
        ("issued 61 s ahead", now, now + 61, false),
        ("created after it was issued", now, now - 1, false),
        ("1970", 0, 0, false),
        ("2106", u32::MAX, u32::MAX, false),
    ] {
        let frame = other::frame(0, created, issued, br#"{"a":1}"#);
        let tokens = [
            (app(CookieStore::encrypted(keyring(&[0]))), other::encrypt(&secret, NAME, "", [1; 12], &frame)),
            (app(CookieStore::signed(keyring(&[0]))), other::sign(&secret, NAME, "", &frame)),
        ];
        for (app, text) in tokens {
            let answer = send(&app, "/read", &[cookie(&text).as_bytes()]).await;
            assert_eq!(answer.body, if lives { r#"{"a":1}"# } else { "{}" }, "{name}");
            assert_eq!(answer.status, 200, "{name}");
        }
    }
}

/// F15: with a clock of 1970, 2106 or beyond nothing panics and no session lives on.
#[tokio::test]
async fn a_wrong_clock_ends_sessions_early() {
    for (name, store) in Any::all(&[0]) {
        set_clock(START);
        let mut browser = Browser::new(app(store));
        browser.visit("/set-a=1").await;
        for now in [0, START - 3_600, START + 3_600, u64::from(u32::MAX), u64::from(u32::MAX) * 2] {
            set_clock(now);
            let mut visitor = browser.clone();
            assert_eq!(visitor.visit("/read").await.body, "{}", "{name} at {now}");
            assert_eq!(visitor.visit("/set-b=1").await.status, 200, "{name} at {now}");
        }
        set_clock(START);
        assert_eq!(browser.visit("/read").await.body, r#"{"a":"1"}"#, "{name}: the clock is right again");
    }
}

proptest! {
    #![proptest_config(cases(100))]

    /// CC10: what is accepted is the one spelling of its bytes.
    #[test]
    fn a_token_has_one_spelling(payload in payloads(), place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        for (_, store) in Any::all(&[0]) {
            let text = seal(&store, &record(&payload), NAME, "");
            prop_assert_eq!(&URL_SAFE_NO_PAD.encode(URL_SAFE_NO_PAD.decode(&text).unwrap()), &text);
            let mut changed = text.clone().into_bytes();
            let place = place.index(changed.len());
            changed[place] = byte;
            if changed != text.as_bytes() {
                let opened = Token::parse(&changed).map(|token| ready(store.load(&token, &call())).unwrap());
                prop_assert!(!matches!(opened, Some(Found::Live(_))));
            }
        }
    }

    /// CC11: a token's length says the length of what it holds, never what it is.
    #[test]
    fn the_length_depends_on_the_payload_s_length_only(payload in payloads()) {
        let unpadded = |bytes: usize| (bytes * 4).div_ceil(3);
        for (name, store) in Any::all(&[0]) {
            let expected = match name {
                "encrypted" => unpadded(3 + 12 + 9 + payload.len() + 16),
                "signed" => unpadded(3 + 9 + payload.len() + 16),
                _ => 52,
            };
            prop_assert_eq!(seal(&store, &record(&payload), NAME, "").len(), expected);
        }
    }
}

/// CC10: of the 64 last characters one is accepted, and no other spelling of the whole.
#[test]
fn no_other_spelling_opens() {
    for (name, store) in Any::all(&[0]) {
        // Three payload lengths: tokens end with 0, 2 and 4 unused bits.
        for payload in ["{}", r#"{"":1}"#, r#"{"":12}"#] {
            let text = seal(&store, &record(payload), NAME, "");
            let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            let accepted: Vec<String> = alphabet
                .chars()
                .map(|last| format!("{}{last}", &text[..text.len() - 1]))
                .filter(|text| open(&store, text, NAME, "").is_some())
                .collect();
            assert_eq!(accepted.join(" "), text, "{name}");
            for other in [format!("{text}="), format!("{text}=="), format!(" {text}"), format!("{text}\n")] {
                assert!(open(&store, &other, NAME, "").is_none(), "{name}: {other:?}");
            }
            let standard = text.replace('-', "+").replace('_', "/");
            assert_eq!(open(&store, &standard, NAME, "").is_some(), standard == text, "{name}");
        }
    }
}

/// CC12: an authentic seal is no reason to believe what is inside: it counts as an empty session, without a panic, a
/// deep recursion or an allocation that the token asked for.
#[tokio::test]
async fn what_an_authentic_token_holds_is_checked_too() {
    let (secret, now) = (secret_bytes(0), START as u32);
    let nested = |levels: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(levels - 1), "]".repeat(levels - 1));
    let framed = |payload: &[u8]| other::frame(0, now, now, payload);
    let mut rows: Vec<(String, Vec<u8>, String)> = (0..8)
        .map(|bit| (format!("flag bit {bit}"), other::frame(1 << bit, now, now, b"{}"), "{}".into()))
        .chain(
            (0..9).map(|length| (format!("a frame of {length} bytes"), framed(b"{}")[..length].to_vec(), "{}".into())),
        )
        .collect();
    for (name, payload, read) in [
        ("an object", br#"{"a":1}"#.to_vec(), r#"{"a":1}"#.to_owned()),
        ("64 levels", nested(64).into_bytes(), nested(64)),
        ("65 levels", nested(65).into_bytes(), "{}".into()),
        ("1,400 levels", nested(1_400).into_bytes(), "{}".into()),
        ("1,400 levels, never closed", format!("{{{}}}", "[".repeat(1_400)).into_bytes(), "{}".into()),
        ("nothing", b"".to_vec(), "{}".into()),
        ("a list", b"[1]".to_vec(), "{}".into()),
        ("null", b"null".to_vec(), "{}".into()),
        ("no JSON", b"{nonsense}".to_vec(), "{}".into()),
        ("no UTF-8", b"{\"a\":\"\xff\"}".to_vec(), "{}".into()),
        ("a key twice", br#"{"a":1,"a":2}"#.to_vec(), r#"{"a":2}"#.into()),
        ("more after its end", br#"{} {}"#.to_vec(), "{}".into()),
    ] {
        rows.push((name.into(), framed(&payload), read));
    }
    for (name, frame, read) in rows {
        for (app, text) in [
            (app(CookieStore::encrypted(keyring(&[0]))), other::encrypt(&secret, NAME, "", [1; 12], &frame)),
            (app(CookieStore::signed(keyring(&[0]))), other::sign(&secret, NAME, "", &frame)),
        ] {
            let line = cookie(&text);
            let answer = send(&app, "/read", &[line.as_bytes()]).await;
            assert_eq!(
                (answer.status, answer.body.as_str(), answer.sets()),
                (200, read.as_str(), Sets::Nothing),
                "{name}"
            );
            let written = send(&app, "/set-w=1", &[line.as_bytes()]).await;
            assert_eq!((written.status, written.sets()), (200, Sets::Cookie), "{name}: written");
        }
    }
}

/// CC12: what is longer than a cookie is no token, and nothing of it is decoded.
#[test]
fn a_token_is_at_most_as_long_as_a_cookie() {
    let frame = |size: usize| {
        other::frame(0, START as u32, START as u32, format!("{{\"a\":\"{}\"}}", "x".repeat(size)).as_bytes())
    };
    let store = CookieStore::signed(keyring(&[0]));
    let sizes: Vec<(usize, bool)> = [3_030, 3_040]
        .map(|size| {
            let text = other::sign(&secret_bytes(0), NAME, "", &frame(size));
            (text.len(), open(&store, &text, NAME, "").is_some())
        })
        .into();
    assert_eq!(sizes, [(4_088, true), (4_102, false)]);
}

proptest! {
    #![proptest_config(cases(100))]

    /// CC13: a token of one secret never opens under another, also with the other's key id on it.
    #[test]
    fn a_token_of_one_secret_never_opens_under_another(
        (one, two) in (any::<u8>(), any::<u8>()).prop_filter("two secrets", |(one, two)| one != two),
        payload in payloads(),
    ) {
        for ((name, first), (_, second)) in Any::all(&[one]).into_iter().zip(Any::all(&[two])) {
            let second = match (&first, second) {
                // The same memory: only the secret can make the difference.
                (Any::Memory(store), _) => Any::Memory(store.rotated(keyring(&[two]))),
                (_, second) => second,
            };
            let text = seal(&first, &record(&payload), NAME, "");
            prop_assert!(open(&first, &text, NAME, "").is_some());
            prop_assert!(open(&second, &text, NAME, "").is_none());
            let mut forged = URL_SAFE_NO_PAD.decode(&text).unwrap();
            let version = forged[0];
            forged[..3].copy_from_slice(&other::header(version, &secret_bytes(two)));
            prop_assert!(open(&second, &URL_SAFE_NO_PAD.encode(&forged), NAME, "").is_none(), "{name}, forged id");
            prop_assert!(open(&first, &URL_SAFE_NO_PAD.encode(&forged), NAME, "").is_none(), "{name}, forged id");
        }
    }
}

/// Two different secrets with one key id, found by trying.
fn colliding() -> (Vec<u8>, Vec<u8>) {
    let mut seen = HashMap::new();
    for seed in 0_u32.. {
        let secret: Vec<u8> =
            (0..32_u32).map(|i| (seed.wrapping_mul(2_654_435_761).rotate_left(i) as u8) ^ (i as u8)).collect();
        if Secret::from_bytes(secret.clone()).is_err() {
            continue;
        }
        let kid = other::derive(&secret, "kid", 2);
        if let Some(before) = seen.insert(kid, secret.clone())
            && before != secret
        {
            return (before, secret);
        }
    }
    unreachable!("65,536 key ids collide long before the seeds end")
}

/// CC13: key ids only select. Where two secrets share one, both are tried, in every format, and each opens its own.
#[test]
fn on_a_collision_of_key_ids_both_keys_are_tried() {
    let (one, two) = colliding();
    let ring = |secrets: &[&Vec<u8>]| {
        Keyring::new(secrets.iter().map(|secret| Secret::from_bytes(secret.to_vec()).unwrap())).unwrap()
    };
    let memory = MemoryStore::new().unwrap();
    let stores = |secrets: &[&Vec<u8>]| {
        [
            Any::Cookie(CookieStore::encrypted(ring(secrets))),
            Any::Cookie(CookieStore::signed(ring(secrets))),
            Any::Memory(memory.rotated(ring(secrets))),
        ]
    };
    for (place, both) in stores(&[&one, &two]).iter().enumerate() {
        let (first, second) = (&stores(&[&one])[place], &stores(&[&two])[place]);
        let texts = [seal(first, &record("{}"), NAME, ""), seal(second, &record("{}"), NAME, "")];
        let kids: Vec<_> = texts.iter().map(|text| URL_SAFE_NO_PAD.decode(text).unwrap()[1..3].to_vec()).collect();
        assert_eq!(kids[0], kids[1]);
        let stale: Vec<_> =
            texts.iter().map(|text| open(both, text, NAME, "").map(|loaded| loaded.stale_key)).collect();
        assert_eq!(stale, [Some(false), Some(true)], "store {place}");
        assert!(open(first, &texts[1], NAME, "").is_none() && open(second, &texts[0], NAME, "").is_none());
    }
}

/// CC14, architecture.md section 4: the vectors of a third implementation, byte for byte, through the public API.
#[test]
fn the_vectors_agree_byte_for_byte() {
    let at_vector = record(r#"{"user":"alice"}"#).next(br#"{"user":"alice"}"#.to_vec(), at(1_795_370_340)).unwrap();
    let encrypted = CookieStore::encrypted(keyring(&[0])).with_random(zeros);
    let signed = CookieStore::signed(keyring(&[0]));
    for (store, text) in [(encrypted, ENCRYPTED), (signed, SIGNED)] {
        assert_eq!(seal(&store, &at_vector, "__Host-s", "shop-test"), text);
        let loaded = open(&store, text, "__Host-s", "shop-test").unwrap();
        assert_eq!((&loaded.record, loaded.stale_key), (&at_vector, false));
    }
    fn vector_id(buffer: &mut [u8]) -> Result<(), Error> {
        buffer.iter_mut().zip((0..16).map(|byte: u8| byte * 0x11)).for_each(|(to, from)| *to = from);
        Ok(())
    }
    // The memory store knows no nodes, so its reference differs from the vector in node and tag alone.
    let store = MemoryStore::with_keyring(keyring(&[0])).with_random(vector_id);
    let text = seal(&store, &at_vector, "__Host-s", "shop-test");
    let id: [u8; 16] = std::array::from_fn(|byte| byte as u8 * 0x11);
    assert_eq!(other::dereference(&secret_bytes(0), "__Host-s", "shop-test", &text), Some((id, [0; 4])));
    let vector = other::dereference(&secret_bytes(0), "__Host-s", "shop-test", REFERENCE);
    assert_eq!(vector, Some((id, [0xca, 0x4a, 0x36, 0x4c])));
}

proptest! {
    #![proptest_config(cases(100))]

    /// CC14: what one implementation seals, the other opens, in both directions and every format.
    #[test]
    fn two_implementations_agree_in_both_directions(
        seed in any::<u8>(), name in "[!-:<-~&&[^=,;\"\\\\]]{1,40}", scope in "\\PC{0,40}", payload in payloads(),
        created in START as u32 - 1000..START as u32, unused in 0..1000_u32, nonce in any::<[u8; 12]>(),
    ) {
        let (secret, issued) = (secret_bytes(seed), created + unused);
        let record = Record::new(payload.clone().into(), at(created.into())).unwrap();
        let record = record.next(payload.clone().into(), at(issued.into())).unwrap();
        let frame = other::frame(0, created, issued, payload.as_bytes());

        let store = CookieStore::encrypted(keyring(&[seed]));
        let ours = seal(&store, &record, &name, &scope);
        prop_assert_eq!(other::decrypt(&secret, &name, &scope, &ours), Some(frame.clone()));
        let theirs = other::encrypt(&secret, &name, &scope, nonce, &frame);
        prop_assert_eq!(open(&store, &theirs, &name, &scope).map(|loaded| loaded.record), Some(record.clone()));

        let store = CookieStore::signed(keyring(&[seed]));
        let ours = seal(&store, &record, &name, &scope);
        prop_assert_eq!(other::verify(&secret, &name, &scope, &ours), Some(frame.clone()));
        prop_assert_eq!(other::sign(&secret, &name, &scope, &frame), ours);

        let store = MemoryStore::with_keyring(keyring(&[seed]));
        let ours = seal(&store, &record, &name, &scope);
        let (id, node) = other::dereference(&secret, &name, &scope, &ours).unwrap();
        prop_assert_eq!(&other::refer(&secret, &name, &scope, id, node), &ours);
        // Their reference under another of the ring's secrets leads to the same record.
        let ring = store.rotated(keyring(&[seed, seed ^ 0xff]));
        let theirs = other::refer(&secret_bytes(seed ^ 0xff), &name, &scope, id, [9; 4]);
        let loaded = open(&ring, &theirs, &name, &scope).unwrap();
        prop_assert_eq!((loaded.record, loaded.stale_key), (record, true));
    }
}

/// JSON objects of up to about 300 bytes.
fn payloads() -> impl Strategy<Value = String> {
    prop::collection::btree_map("\\PC{0,8}", "\\PC{0,24}", 0..6).prop_map(|map| serde_json::to_string(&map).unwrap())
}

/// A token's `Debug` shows no token, a ring's and a secret's no key.
#[test]
fn debug_shows_neither_token_nor_key() {
    let secret = Secret::from_bytes(secret_bytes(0)).unwrap();
    let shown = format!("{:?} {:?} {:?} {:?}", token(SIGNED), secret, keyring(&[0]), keyring(&[0, 1]));
    assert_eq!(shown, "Token(59 characters) Secret(32 bytes) Keyring(1 key) Keyring(2 keys)");
}
