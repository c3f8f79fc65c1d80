//! Settings from the environment, for people who deploy with a template.
//!
//! | variable | what it is | default |
//! | --- | --- | --- |
//! | `SECRET_KEY_BASE` | the secret that seals; `lambda-session secret` makes one. Or `ssm:` and the name of a parameter that holds it | none: this or the next is required |
//! | `SESSION_KEYS_PARAMETER` | in its place: the SSM parameter that holds the [ring](crate::keyring), a SecureString; or several with commas between, the one that seals first (feature `ssm`) | none |
//! | `SECRET_KEY_BASE_OLD` | older secrets that still open, comma separated; `ssm:` and a name here too | none |
//! | `SESSION_STORE` | `cookie`, `memcached` (feature `memcached`) or `memory` | `cookie` |
//! | `SESSION_PROTECTION` | `encrypted`, or `signed`: readable by its owner | `encrypted` |
//! | `SESSION_NAME` | the cookie's name | `__Host-session` |
//! | `SESSION_DOMAIN` | sends the cookie to every host under this domain | none |
//! | `SESSION_PATH` | sends the cookie only below this path | `/` |
//! | `SESSION_EXPIRE_AFTER` | the cookie's Max-Age; also the idle time where that is not set | none |
//! | `SESSION_IDLE` | a session ends after so long without a request | `30m` |
//! | `SESSION_ABSOLUTE` | a session ends after so long in all | `12h`, or `SESSION_EXPIRE_AFTER` if longer |
//! | `SESSION_SAME_SITE` | `lax`, `strict` or `none` | `lax` |
//! | `SESSION_SECURE` | `off` for `http://` on your own machine only | `on` |
//! | `SESSION_PARTITIONED` | `on`: a jar for each site that embeds this one | `off` |
//! | `SESSION_SCOPE` | application and stage: sessions of another scope do not open | empty |
//! | `SESSION_METRICS` | `emf`: count what happens to sessions, for CloudWatch ([`metrics`](crate::metrics)) | `none` |
//! | `SESSION_TRACE_ENV` | `on`: [`run`](crate::run) puts each event's X-Ray trace id into `_X_AMZN_TRACE_ID`, where AWS SDKs look for it; 160 bytes of memory an event | `off` |
//! | `SESSION_CONFLICT` | two requests that change one session at once: `merge`, `fail` (409) or `overwrite` | `merge` |
//!
//! With `SESSION_STORE=memcached`:
//!
//! | variable | what it is | default |
//! | --- | --- | --- |
//! | `MEMCACHE_SERVERS` | `host:port`, comma separated; or one ElastiCache configuration endpoint, whose list of nodes is followed. A list of your own is changed everywhere at once: who does not know a node takes its sessions for none | `localhost:11211`; required on Lambda |
//! | `MEMCACHE_TLS` | `on` or `off` | `on` for `.serverless.` names, else `off` |
//! | `MEMCACHE_TLS_CA` | a PEM file of the authorities to trust instead of the public ones | none |
//! | `MEMCACHE_POOL_SIZE` | the most connections to one node, 1 to 1000 | `10` |
//! | `MEMCACHE_TIMEOUT` | what all calls of one request may take on open connections, `20ms` to `5s`; four tenths of it for one exchange. Where one must connect first: four times it, and 1 s at least | `250ms` |
//! | `MEMCACHE_MAX_VALUE` | the largest sealed session, in bytes, 40 more than its JSON: 1024 to 1000000 | `262144` |
//! | `MEMCACHE_PREFIX` | what storage keys begin with, 1 to 200 of `A-Z a-z 0-9 : _ -` | `s` |
//!
//! Secrets from SSM are fetched at start, in one call, and refreshed while the function lives ([`Keys`]).
//!
//! Durations read `90s`, `30m`, `12h`, `30d` or a number of seconds. With `SESSION_DOMAIN`, or a path other than `/`, the
//! default name is `__Secure-session`; with `SESSION_SECURE=off` it is `session`. An empty variable counts as unset, and
//! hides what a file says.
//!
//! Change `SESSION_NAME` together with `SESSION_DOMAIN` or `SESSION_PATH`: browsers keep the cookie of the old place, send
//! both, and two live sessions in one request count as none until the older one ends.
//!
//! A cookie session cannot be recalled: logout removes it from the browser, a copy lives to its end. Keep
//! `SESSION_IDLE` and `SESSION_ABSOLUTE` short where that matters.

#[cfg(feature = "memcached")]
mod memcache;
mod reader;
mod secrets;

use std::path::Path;

use tracing::warn;

use crate::cookie::{CookieOptions, quoted};
use crate::layer::{Conflict, SCOPE_LIMIT_BYTES};
use crate::lifetime::Lifetime;
use crate::metrics::Metrics;
use crate::secrets::Keys;
use crate::session::Data;
#[cfg(feature = "memcached")]
use crate::store::MemcachedStore;
use crate::store::{CookieStore, MemoryStore};
use crate::{Error, SessionLayer, dotenv};

use self::reader::Reader;
pub use self::reader::parse_duration;
pub use self::secrets::{current_keyring, keyring, keys};

/// Where the values of variables come from.
pub trait Variables {
    /// The value of this variable, if it is set.
    fn value(&self, name: &str) -> Option<String>;
}

impl<F: Fn(&str) -> Option<String>> Variables for F {
    fn value(&self, name: &str) -> Option<String> {
        self(name)
    }
}

/// The variables of this process and, outside of Lambda, of `.env.local` and `.env` in the working directory: the
/// process wins over files, `.env.local` over `.env`.
///
/// # Errors
///
/// [`ErrorKind::Config`](crate::ErrorKind::Config) for a file that cannot be read or has a line that is no assignment.
pub fn environment() -> Result<impl Variables, Error> {
    // On Lambda the working directory is the deployment package: a file packed by mistake must change nothing.
    let files = match std::env::var_os("AWS_LAMBDA_RUNTIME_API") {
        Some(_) => Vec::new(),
        None => dotenv_files(Path::new("."))?,
    };
    Ok(move |name: &str| {
        let file = || files.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        match std::env::var_os(name) {
            // What is no UTF-8 is no value of ours, and must not fall back to a file's.
            Some(value) => Some(value.into_string().unwrap_or_else(|_| "\u{fffd}".into())),
            None => file(),
        }
    })
}

/// The variables in `.env.local` and `.env` of a directory, each name once; a file that is not there has none.
///
/// # Errors
///
/// As [`environment`]. The message names the file and the line, never what stands there.
pub fn dotenv_files(directory: &Path) -> Result<Vec<(String, String)>, Error> {
    let mut variables: Vec<(String, String)> = Vec::new();
    for name in [".env.local", ".env"] {
        let text = match std::fs::read_to_string(directory.join(name)) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(Error::config(format!("cannot read {name}")).with_source(error)),
        };
        let pairs = dotenv::parse(&text)
            .map_err(|line| Error::config(format!("{name}, line {line}, is no assignment: write NAME=value")))?;
        // Within one file the last assignment of a name stands, as a shell would have it.
        for (name, value) in pairs.into_iter().rev() {
            if !variables.iter().any(|(known, _)| *known == name) {
                variables.push((name, value));
            }
        }
    }
    Ok(variables)
}

/// What the variables say, checked; the secrets are apart, in [`keyring`].
///
/// ```
/// use lambda_session::config::Settings;
///
/// let settings = Settings::read(&|name: &str| (name == "SESSION_EXPIRE_AFTER").then(|| "30d".to_owned()))?;
/// assert_eq!(settings.lifetime().idle().as_secs(), 30 * 86_400);
///
/// let error = Settings::read(&|name: &str| (name == "SESSION_STORE").then(|| "redis".to_owned())).unwrap_err();
/// assert_eq!(error.to_string(), "SESSION_STORE is \"redis\": give cookie or memcached or memory");
/// # Ok::<(), lambda_session::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Settings {
    store: StoreKind,
    protection: Protection,
    cookie: CookieOptions,
    lifetime: Lifetime,
    scope: String,
    conflict: Conflict,
    metrics: Option<Metrics>,
    #[cfg(feature = "memcached")]
    memcache: Option<memcache::Memcache>,
    warnings: Vec<String>,
}

/// Where `SESSION_STORE` keeps sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreKind {
    /// In the cookie.
    Cookie,
    /// In ElastiCache for Memcached, or any memcached.
    Memcached,
    /// In this process.
    Memory,
}

/// How `SESSION_PROTECTION` seals a cookie session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protection {
    /// Its owner can neither read nor change it.
    Encrypted,
    /// Its owner can read but not change it.
    Signed,
}

impl Settings {
    /// Reads and checks all variables but the secrets.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config): one line that names the variable, what it may be, and what to do.
    pub fn read(variables: &impl Variables) -> Result<Self, Error> {
        let read = Reader { variables };
        let mut warnings = Vec::new();
        let stores =
            [("cookie", StoreKind::Cookie), ("memcached", StoreKind::Memcached), ("memory", StoreKind::Memory)];
        let store = read.choice("SESSION_STORE", &stores)?.unwrap_or(StoreKind::Cookie);
        if store == StoreKind::Memcached && cfg!(not(feature = "memcached")) {
            return Err(Error::config(
                "SESSION_STORE is \"memcached\", and this program was built without it: add the feature `memcached` to \
                 lambda-session in Cargo.toml",
            ));
        }
        if store != StoreKind::Memcached && read.value("MEMCACHE_SERVERS").is_some() {
            warnings
                .push("MEMCACHE_SERVERS is set, and SESSION_STORE is not memcached: no session is kept there".into());
        }
        let conflicts = [("merge", Conflict::Merge), ("fail", Conflict::Fail), ("overwrite", Conflict::Overwrite)];
        let conflict = read.choice("SESSION_CONFLICT", &conflicts)?.unwrap_or_default();
        let is_counted = read.choice("SESSION_METRICS", &[("none", false), ("emf", true)])?.unwrap_or(false);
        has_trace_env(variables)?;
        let protections = [("encrypted", Protection::Encrypted), ("signed", Protection::Signed)];
        let protection = read.choice("SESSION_PROTECTION", &protections)?;
        if store == StoreKind::Cookie && read.value("SESSION_CONFLICT").is_some() {
            warnings.push(
                "SESSION_CONFLICT is set, and SESSION_STORE is cookie: nobody sees two requests at once, the last answer \
                 wins"
                    .into(),
            );
        }
        if store != StoreKind::Cookie && protection.is_some() {
            warnings.push(
                "SESSION_PROTECTION is set, and SESSION_STORE is not cookie: the cookie only names the session".into(),
            );
        }
        let is_secure = read.choice("SESSION_SECURE", &[("on", true), ("off", false)])?.unwrap_or(true);
        if !is_secure {
            warnings.push(
                "SESSION_SECURE=off: anyone on the network path can read and set the session cookie; for http:// on your \
                 own machine only"
                    .into(),
            );
        }
        let expire_after = read.duration("SESSION_EXPIRE_AFTER")?;
        let lifetime = read.lifetime(expire_after, &mut warnings)?;
        let cookie = read.cookie(is_secure, expire_after)?;
        let scope = read.value("SESSION_SCOPE").unwrap_or_default();
        // What stands for bytes that are no UTF-8: two such scopes would be one.
        if scope.contains('\u{fffd}') {
            return Err(Error::config("SESSION_SCOPE is no UTF-8: give plain text such as shop-prod"));
        }
        if scope.trim() != scope || scope.chars().any(char::is_control) {
            let shown = quoted(&scope);
            return Err(Error::config(format!(
                "SESSION_SCOPE is {shown}: take out blanks around it and control characters"
            )));
        }
        if scope.len() > SCOPE_LIMIT_BYTES {
            let size = scope.len();
            return Err(Error::config(format!("SESSION_SCOPE has {size} bytes: give {SCOPE_LIMIT_BYTES} or fewer")));
        }
        if store == StoreKind::Memory && read.is_on_lambda() {
            warnings.push(
                "SESSION_STORE=memory: every environment has sessions of its own and loses them when it is recycled; for \
                 tests and local development only"
                    .into(),
            );
        }
        Ok(Self {
            store,
            protection: protection.unwrap_or(Protection::Encrypted),
            cookie,
            lifetime,
            scope,
            conflict,
            metrics: is_counted.then(|| Metrics::of(read.value("AWS_LAMBDA_FUNCTION_NAME").as_deref())),
            #[cfg(feature = "memcached")]
            memcache: if store == StoreKind::Memcached {
                Some(memcache::Memcache::read(&read, is_counted)?)
            } else {
                None
            },
            warnings,
        })
    }

    /// Where sessions are kept.
    pub fn store(&self) -> StoreKind {
        self.store
    }

    /// How a cookie session is sealed.
    pub fn protection(&self) -> Protection {
        self.protection
    }

    /// How the cookie is set.
    pub fn cookie(&self) -> &CookieOptions {
        &self.cookie
    }

    /// When sessions end.
    pub fn lifetime(&self) -> Lifetime {
        self.lifetime
    }

    /// Which application and stage the sessions belong to.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// What happens when two requests change one session at once.
    pub fn conflict(&self) -> Conflict {
        self.conflict
    }

    /// Where counts go, if `SESSION_METRICS` asks for any.
    pub fn metrics(&self) -> Option<&Metrics> {
        self.metrics.as_ref()
    }

    /// The client for `SESSION_STORE=memcached`; nothing is connected yet.
    #[cfg(feature = "memcached")]
    pub fn memcached(&self) -> Option<&crate::memcached::Client> {
        self.memcache.as_ref().map(|memcache| &memcache.client)
    }

    /// What is allowed but unlikely to be meant, a line each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The layer that these settings describe.
    ///
    /// # Errors
    ///
    /// None of today's settings, which are checked already.
    pub fn layer<T: Data>(self, keys: impl Into<Keys>) -> Result<SessionLayer<T>, Error> {
        let layer = match (self.store, self.protection) {
            #[cfg(feature = "memcached")]
            (StoreKind::Memcached, _) => self.memcached_layer(keys.into())?,
            (StoreKind::Cookie, Protection::Signed) => SessionLayer::new(CookieStore::signed(keys)),
            (StoreKind::Cookie, Protection::Encrypted) => SessionLayer::new(CookieStore::encrypted(keys)),
            _ => SessionLayer::new(MemoryStore::with_keyring(keys)),
        };
        let layer = layer.cookie(self.cookie).lifetime(self.lifetime).on_conflict(self.conflict).scope(&self.scope)?;
        Ok(match self.metrics {
            Some(metrics) => layer.metrics(metrics),
            None => layer,
        })
    }

    #[cfg(feature = "memcached")]
    fn memcached_layer<T: Data>(&self, keys: Keys) -> Result<SessionLayer<T>, Error> {
        let Some(memcache) = &self.memcache else { return Err(Error::config("SESSION_STORE is not memcached")) };
        let mut store = MemcachedStore::new(memcache.client.clone(), keys);
        if let Some(prefix) = &memcache.prefix {
            store = store.prefix(prefix)?;
        }
        Ok(SessionLayer::new(store))
    }
}

/// Whether each event's trace id is to be in `_X_AMZN_TRACE_ID`, as `SESSION_TRACE_ENV` says.
pub(crate) fn has_trace_env(variables: &impl Variables) -> Result<bool, Error> {
    let read = Reader { variables };
    Ok(read.choice("SESSION_TRACE_ENV", &[("on", true), ("off", false)])?.unwrap_or(false))
}

impl<T: Data> SessionLayer<T> {
    /// The layer that the [environment](crate::config) describes.
    ///
    /// ```no_run
    /// # async fn start() -> Result<(), lambda_session::Error> {
    /// use lambda_session::SessionLayer;
    ///
    /// #[derive(Default, serde::Serialize, serde::Deserialize)]
    /// struct Visits { count: u64 }
    ///
    /// let sessions = SessionLayer::<Visits>::from_env().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Secrets from SSM cost one call, and the only time that this takes: up to 8 s while SSM is in trouble that may pass,
    /// after which the function starts without them and requests ask again ([`Keys::refreshed`]). Let the rest of your start
    /// go on meanwhile:
    ///
    /// ```
    /// # async fn start() -> Result<(), lambda_session::Error> {
    /// use lambda_session::{Error, SessionLayer};
    ///
    /// struct Prices;
    ///
    /// async fn load_prices() -> Result<Prices, Error> {
    ///     Ok(Prices)
    /// }
    ///
    /// let (sessions, prices) = tokio::try_join!(<SessionLayer>::from_env(), load_prices())?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config): one line that names the variable or the parameter, what it may be,
    /// and what to do. Let `main` return it, so that the function does not start.
    pub async fn from_env() -> Result<Self, Error> {
        let variables = environment()?;
        let settings = Settings::read(&variables)?;
        for warning in settings.warnings() {
            warn!("{warning}");
        }
        settings.layer(keys(&variables).await?)
    }
}
