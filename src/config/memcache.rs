//! `MEMCACHE_*`: where memcached is, and how it is spoken with.

use std::time::Duration;

use super::{Reader, Variables};
use crate::Error;
use crate::cookie::quoted;
use crate::memcached::{Client, Key, Settings};

/// Where a developer's own memcached listens.
const LOCAL: &str = "localhost:11211";
/// The longest time that an operation may be given: an invocation of an HTTP API ends at 30 s.
const LONGEST: Duration = Duration::from_secs(30);

/// What `MEMCACHE_*` say, checked.
#[derive(Clone, Debug)]
pub(crate) struct Memcache {
    pub(crate) client: Client,
    pub(crate) prefix: Option<String>,
    /// How long all calls of one request may take where they must connect first.
    pub(crate) cold_time: Duration,
}

impl Memcache {
    pub(crate) fn read(read: &Reader<'_, impl Variables>) -> Result<Self, Error> {
        let servers = match read.value("MEMCACHE_SERVERS") {
            Some(servers) => servers,
            None if read.is_on_lambda() => {
                return Err(Error::config(
                    "MEMCACHE_SERVERS is not set, and there is no memcached beside a Lambda function: give the cluster's \
                     configuration endpoint or its nodes, as host:port",
                ));
            }
            None => LOCAL.into(),
        };
        let named = |variable: &'static str| move |failure| Error::config(format!("{variable}: {failure:?}"));
        let mut settings = Settings::new(&servers).map_err(named("MEMCACHE_SERVERS"))?;
        if let Some(size) = read.number("MEMCACHE_POOL_SIZE", 1, 1000)? {
            settings = settings.pool_size(size);
        }
        if let Some(bytes) = read.number("MEMCACHE_MAX_VALUE", 1024, 1_000_000)? {
            settings = settings.value_limit(bytes);
        }
        if let Some(time) = time(read)? {
            settings = settings.warm_time(time).cold_time(time.saturating_mul(4)).dial_time(time.saturating_mul(2));
            settings = settings.exchange_time(time.mul_f64(0.4));
        }
        if let Some(on) = read.choice("MEMCACHE_TLS", &[("on", true), ("off", false)])? {
            settings = settings.tls(on);
        }
        if let Some(path) = read.value("MEMCACHE_TLS_CA") {
            let pem = std::fs::read(&path).map_err(|error| {
                Error::config(format!("MEMCACHE_TLS_CA: cannot read {}", quoted(&path))).with_source(error)
            })?;
            settings = settings.tls_ca(pem);
        }
        let prefix = read.value("MEMCACHE_PREFIX");
        if let Some(prefix) = prefix.as_deref().filter(|prefix| Key::new(*prefix).is_none() || prefix.len() > 200) {
            let shown = quoted(prefix);
            return Err(Error::config(format!(
                "MEMCACHE_PREFIX is {shown}: give 1 to 200 characters of A-Z a-z 0-9 : _ -"
            )));
        }
        let cold_time = settings.cold();
        settings.check().map_err(named("MEMCACHE_SERVERS"))?;
        // What can still be wrong is the file of authorities.
        let client = Client::new(settings).map_err(named("MEMCACHE_TLS_CA"))?;
        Ok(Self { client, prefix, cold_time })
    }
}

/// `MEMCACHE_TIMEOUT`, in which milliseconds make sense.
fn time(read: &Reader<'_, impl Variables>) -> Result<Option<Duration>, Error> {
    let Some(value) = read.value("MEMCACHE_TIMEOUT") else { return Ok(None) };
    let text = value.trim();
    let time = match text.strip_suffix("ms") {
        Some(number) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            number.parse().ok().map(Duration::from_millis)
        }
        Some(_) => None,
        None => super::parse_duration(text),
    };
    match time {
        Some(time) if (Duration::from_millis(10)..=LONGEST).contains(&time) => Ok(Some(time)),
        _ => Err(Error::config(format!("MEMCACHE_TIMEOUT is {}: give 10ms to 30s", quoted(&value)))),
    }
}
