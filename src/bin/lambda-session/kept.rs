//! Sessions that a cookie only names, read in the memcached that keeps them.

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use lambda_session::config::{self, Settings, Variables};
use lambda_session::store::{Call, Found, MemcachedStore, Store};
use lambda_session::{Error, Record, Token};

use crate::environment::Environment;

/// The memcached that keeps the sessions, if one does.
#[derive(Default)]
pub(crate) struct Kept {
    store: Option<MemcachedStore>,
}

impl Kept {
    /// The one that `settings` name, read with the secrets of `environment`. Nothing is connected yet.
    pub(crate) fn of(settings: &Settings, environment: &Environment) -> Result<Self, Error> {
        let Some(client) = settings.memcached() else { return Ok(Self::default()) };
        let store = MemcachedStore::new(client.clone(), config::keyring(environment)?);
        let prefix = environment.value("MEMCACHE_PREFIX").filter(|prefix| !prefix.trim().is_empty());
        let store = match prefix {
            Some(prefix) => store.prefix(&prefix)?,
            None => store,
        };
        Ok(Self { store: Some(store) })
    }

    pub(crate) fn is_somewhere(&self) -> bool {
        self.store.is_some()
    }

    /// The session that the token `value` names, if it is still there: one round trip, for no longer than `patience`.
    ///
    /// # Errors
    ///
    /// Why it cannot be seen.
    pub(crate) async fn look(
        &self,
        value: &str,
        settings: &Settings,
        now: SystemTime,
        patience: Duration,
    ) -> Result<Option<Record>, String> {
        let (Some(store), Some(token)) = (&self.store, Token::parse(value.as_bytes())) else { return Ok(None) };
        let began = Instant::now();
        let deadline = began.checked_add(patience).unwrap_or(began);
        let call = Call::new(now, deadline, settings.lifetime(), settings.cookie().name(), settings.scope());
        match store.load(&token, &call).await {
            Ok(Found::Live(loaded)) => Ok(Some(loaded.record)),
            Ok(_) => Ok(None),
            Err(error) => Err(format!("{error:?}")),
        }
    }
}

/// Whether there is one.
impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kept({})", if self.store.is_some() { "memcached" } else { "nowhere" })
    }
}
