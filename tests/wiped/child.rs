//! The child: has a ring, works with it, drops it, and looks for it.

use std::{
    io::Read,
    time::{Duration, Instant, SystemTime},
};

use lambda_session::secrets::Keys;
use lambda_session::store::{Call, CookieStore, Found, Store};
use lambda_session::{Error, Lifetime, Record, config};

use crate::needles::MASK;
use crate::scan::{Masked, scan};

/// Says that this is the child, and where its secret is: a variable, or parameters of the SSM that AWS's variables name.
pub(crate) const ROLE: &str = "TEST_ROLE";

/// What the parent starts; as a test it does nothing.
#[test]
fn the_child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let mut told = String::new();
    std::io::stdin().read_to_string(&mut told).unwrap();
    let mut lines = told.lines();
    let secret = unhex(lines.next().unwrap());
    let needles: Vec<Masked> = lines
        .map(|line| line.split_once(' ').unwrap())
        .map(|(name, bytes)| Masked { name: name.to_owned(), bytes: unhex(bytes) })
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let keys = runtime.block_on(keys(&role, &secret));
    let store = CookieStore::encrypted(keys.clone()).with_random(zeros);
    runtime.block_on(work(&store));
    runtime.block_on(work(&CookieStore::signed(keys.clone())));
    println!("before: {}", scan(&needles).join(" "));
    drop((store, keys, runtime));
    println!("after: {}", scan(&needles).join(" "));
}

async fn keys(role: &str, masked: &[u8]) -> Keys {
    #[cfg(feature = "ssm")]
    if role.starts_with('/') {
        use lambda_session::secrets::ssm::{self, SsmSecrets};

        let secrets = SsmSecrets::new(&ssm::client().await, role).unwrap();
        return Keys::refreshed_at(secrets, now(), lambda_session::random::system).await.unwrap();
    }
    assert_eq!(role, "variable");
    // Only on the way: a process's own environment is the kernel's, and stays.
    let value = |name: &str| {
        let text = || masked.iter().map(|byte| char::from(byte ^ MASK));
        match name {
            "SECRET_KEY_BASE" => Some(text().collect()),
            "SECRET_KEY_BASE_OLD" => Some(text().chain([',']).chain(text()).chain([',']).chain(text()).collect()),
            _ => None,
        }
    };
    config::keys(&value).await.unwrap()
}

/// Seals and opens a session.
async fn work(store: &CookieStore) {
    let now = now();
    let call = Call::new(now, Instant::now() + Duration::from_secs(5), Lifetime::default(), "__Host-session", "");
    let token = store.create(&Record::new(b"{}".to_vec(), now).unwrap(), &call).await.unwrap();
    assert!(matches!(store.load(&token, &call).await, Ok(Found::Live(_))));
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_369_800)
}

/// The nonce that the message key to look for belongs to.
fn zeros(buffer: &mut [u8]) -> Result<(), Error> {
    buffer.fill(0);
    Ok(())
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}
