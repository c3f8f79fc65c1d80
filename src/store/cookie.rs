//! The session itself in the cookie: no server, no I/O, 4,096 bytes.

use crate::cookie::PAIR_LIMIT_BYTES;
use crate::keyring::Keyring;
use crate::merge::largest_keys;
use crate::random::{self, RandomSource};
use crate::seal::{self, Format};
use crate::secrets::Keys;
use crate::store::{Call, Found, Loaded, Retired, Store, Update, Version, binding};
use crate::{Error, ErrorKind, Record, Token};

/// Keeps the whole session in the cookie, encrypted or signed. Costs no I/O.
///
/// **A cookie session cannot be recalled.** Logout removes it from the browser, but a copy that somebody made before
/// stays good until its idle or absolute end, and two requests at once overwrite each other: the last answer wins. Keep
/// lifetimes short, or keep sessions in a server-side store, where that matters.
///
/// What fits is about 3,000 bytes of JSON: a cookie's name and value have 4,096 bytes together, and base64 takes a
/// quarter of them.
///
/// ```
/// use lambda_session::{SessionLayer, Values, keyring::{Keyring, Secret}, store::CookieStore};
///
/// let keyring = Keyring::new([Secret::parse(&Secret::generate()?)?])?;
/// let sessions = SessionLayer::<Values>::new(CookieStore::encrypted(keyring));
/// # Ok::<(), lambda_session::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CookieStore {
    keys: Keys,
    format: Format,
    random: RandomSource,
}

impl CookieStore {
    /// Sessions that their owner can neither read nor change.
    pub fn encrypted(keys: impl Into<Keys>) -> Self {
        Self { keys: keys.into(), format: Format::Encrypted, random: random::system }
    }

    /// Sessions that their owner can read but not change: for data that is no secret from them.
    pub fn signed(keys: impl Into<Keys>) -> Self {
        Self { keys: keys.into(), format: Format::Signed, random: random::system }
    }

    /// Takes nonces from another source: for tests of what happens without random bytes.
    pub fn with_random(mut self, random: RandomSource) -> Self {
        self.random = random;
        self
    }

    async fn seal(&self, record: &Record, call: &Call) -> Result<Token, Error> {
        let ring = self.keys.at(call.now(), call.deadline()).await?;
        let (_, key) = ring.sealing(call.now());
        let token = match self.format {
            Format::Encrypted => seal::encrypt(key, binding(call), record, self.random)?,
            _ => seal::sign(key, binding(call), record),
        };
        let size = call.cookie().len().saturating_add(token.as_str().len());
        if size > PAIR_LIMIT_BYTES {
            return Err(too_large(size, record));
        }
        Ok(token)
    }
}

impl Store for CookieStore {
    async fn load(&self, token: &Token, call: &Call) -> Result<Found, Error> {
        let open = |ring: &Keyring| seal::open(ring, self.format, binding(call), token);
        let Some(opened) = self.keys.open(call, open).await? else { return Ok(Found::Nothing) };
        Ok(Found::Live(Loaded { record: opened.inner, version: Version::default(), stale_key: opened.is_stale }))
    }

    async fn create(&self, record: &Record, call: &Call) -> Result<Token, Error> {
        self.seal(record, call).await
    }

    async fn update(&self, _: &Token, _: Version, record: &Record, call: &Call) -> Result<Update, Error> {
        self.seal(record, call).await.map(Update::Done)
    }

    async fn retire(&self, _: &Token, _: Version, _: &Token, _: &Call) -> Result<Retired, Error> {
        Ok(Retired::Done)
    }

    async fn delete(&self, _: &Token, _: Option<Version>, _: &Call) -> Result<(), Error> {
        Ok(())
    }
}

fn too_large(size: usize, record: &Record) -> Error {
    let largest = largest_keys(record.payload());
    Error::new(
        ErrorKind::TooLarge,
        format!(
            "session of {size} bytes does not fit a cookie of {PAIR_LIMIT_BYTES} bytes (name and value); largest keys: {largest}"
        ),
    )
}
