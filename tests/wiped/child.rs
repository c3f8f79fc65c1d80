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

/// Says that this is the child, and where its secret is.
pub(crate) const ROLE: &str = "TEST_ROLE";
/// Where the SSM is.
pub(crate) const SSM_URL: &str = "TEST_SSM";

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
    if role == "ssm" {
        use lambda_session::secrets::ssm::{Client, SsmSecrets};

        let config = aws_sdk_ssm::Config::builder()
            .behavior_version(aws_sdk_ssm::config::BehaviorVersion::v2026_01_12())
            .region(aws_sdk_ssm::config::Region::new("eu-west-1"))
            .credentials_provider(aws_sdk_ssm::config::Credentials::new("AKIDEXAMPLE", "key", None, None, "test"))
            .endpoint_url(std::env::var(SSM_URL).unwrap())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        return Keys::refreshed(SsmSecrets::new(&Client::from_conf(config), "/a").unwrap()).await.unwrap();
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
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_369_800);
    let call = Call::new(now, Instant::now() + Duration::from_secs(5), Lifetime::default(), "__Host-session", "");
    let token = store.create(&Record::new(b"{}".to_vec(), now).unwrap(), &call).await.unwrap();
    assert!(matches!(store.load(&token, &call).await, Ok(Found::Live(_))));
}

/// The nonce that the message key to look for belongs to.
fn zeros(buffer: &mut [u8]) -> Result<(), Error> {
    buffer.fill(0);
    Ok(())
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}
