//! A client for the listener, secrets, and what shows which of them a ring has.

use std::time::{Duration, Instant, SystemTime};

use aws_sdk_ssm::config::{BehaviorVersion, Credentials, Region};
use lambda_session::keyring::{Keyring, Secret};
use lambda_session::secrets::ssm::{self, Client, SsmSecrets};
use lambda_session::store::{Call, CookieStore, Found, Store};
use lambda_session::{Error, Lifetime, Record, Token};

use crate::listener::Ssm;

/// The moment of architecture.md's vectors.
pub(crate) const START: u64 = 1_795_369_800;

/// A client as `ssm::client` makes it, but for what it reads from the environment, which tests share.
pub(crate) fn client(listener: &Ssm) -> Client {
    let config = aws_sdk_ssm::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("AKIDEXAMPLE", "the-secret-access-key", None, None, "test"))
        .endpoint_url(listener.url())
        .http_client(ssm::http_client())
        .build();
    Client::from_conf(config)
}

pub(crate) fn secrets(ssm: &Ssm, parameters: &str) -> SsmSecrets {
    SsmSecrets::new(&client(ssm), parameters).unwrap()
}

/// A secret's text: 43 characters of base64url.
pub(crate) fn text(seed: u8) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

    URL_SAFE_NO_PAD.encode((0..32).map(|byte: u8| byte ^ seed.wrapping_mul(37)).collect::<Vec<_>>())
}

pub(crate) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(START + seconds)
}

pub(crate) fn call(seconds: u64) -> Call {
    let lifetime = Lifetime::new(Duration::from_secs(90_000), Duration::from_secs(200_000)).unwrap();
    Call::new(at(seconds), Instant::now() + Duration::from_secs(5), lifetime, "__Host-session", "")
}

pub(crate) async fn seal(store: &CookieStore, seconds: u64) -> Result<Token, Error> {
    store.create(&Record::new(b"{}".to_vec(), at(seconds)).unwrap(), &call(seconds)).await
}

pub(crate) async fn opens(store: &CookieStore, token: &Token, seconds: u64) -> bool {
    matches!(store.load(token, &call(seconds)).await, Ok(Found::Live(_)))
}

/// Which of the secrets of these seeds the ring opens with, the sealing one first.
pub(crate) async fn seeds(ring: &Keyring) -> Vec<u8> {
    let ring = CookieStore::encrypted(ring.clone());
    let sealed = seal(&ring, 0).await.unwrap();
    let mut found = Vec::new();
    for seed in 0..8 {
        let alone = CookieStore::encrypted(Keyring::new([Secret::parse(&text(seed)).unwrap()]).unwrap());
        if opens(&ring, &seal(&alone, 0).await.unwrap(), 0).await {
            found.push(seed);
        }
        if opens(&alone, &sealed, 0).await {
            let last = found.len() - 1;
            found.swap(0, last);
        }
    }
    found
}
