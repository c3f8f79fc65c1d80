//! `MEMCACHE_*`: where memcached is, and how it is spoken with.

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use super::Variables;
use super::reader::Reader;
use crate::Error;
use crate::cookie::quoted;
use crate::memcached::{Client, Settings};
use crate::metrics::StoreEvents;
use crate::store::check_prefix;

/// Where a developer's own memcached listens.
const LOCAL: &str = "localhost:11211";
/// What `MEMCACHE_TIMEOUT` may be: enough for one exchange within a region, and less than a visitor waits.
const TIMES: RangeInclusive<Duration> = Duration::from_millis(20)..=Duration::from_secs(5);

/// What `MEMCACHE_*` say, checked.
#[derive(Clone, Debug)]
pub(crate) struct Memcache {
    pub(crate) client: Client,
    pub(crate) prefix: Option<String>,
}

impl Memcache {
    pub(crate) fn read(read: &Reader<'_, impl Variables>, is_counted: bool) -> Result<Self, Error> {
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
        if is_counted {
            settings = settings.observer(Arc::new(StoreEvents));
        }
        if let Some(size) = read.number("MEMCACHE_POOL_SIZE", 1, 1000)? {
            settings = settings.pool_size(size);
        }
        if let Some(bytes) = read.number("MEMCACHE_MAX_VALUE", 1024, 1_000_000)? {
            settings = settings.value_limit(bytes);
        }
        if let Some(time) = time(read)? {
            let exchange = time.mul_f64(0.4);
            let shorter = |default, share| exchange.mul_f64(share).min(Duration::from_millis(default));
            // Connecting takes what it takes, however short an exchange may be.
            let (dial, cold) = (Duration::from_millis(500), Duration::from_secs(1));
            settings = settings.warm_time(time).exchange_time(exchange);
            settings = settings.dial_time(dial.max(time.saturating_mul(2))).cold_time(cold.max(time.saturating_mul(4)));
            settings = settings.suspect_exchange_time(shorter(50, 0.5)).hedge_after(shorter(25, 0.25));
        }
        if let Some(on) = read.choice("MEMCACHE_TLS", &[("on", true), ("off", false)])? {
            settings = settings.tls(on);
        }
        if settings.speaks_plainly_with_serverless() {
            return Err(Error::config(
                "MEMCACHE_TLS is off, and ElastiCache Serverless speaks TLS only: take MEMCACHE_TLS out",
            ));
        }
        if let Some(path) = read.value("MEMCACHE_TLS_CA") {
            if !settings.speaks_tls() {
                return Err(Error::config(
                    "MEMCACHE_TLS_CA is set, and TLS is not on: add MEMCACHE_TLS=on, or take it out",
                ));
            }
            let pem = std::fs::read(&path).map_err(|error| {
                Error::config(format!("MEMCACHE_TLS_CA: cannot read {}", quoted(&path))).with_source(error)
            })?;
            settings = settings.tls_ca(pem);
        }
        let prefix = read.value("MEMCACHE_PREFIX");
        if let Some(prefix) = &prefix {
            check_prefix(prefix).map_err(|error| Error::config(format!("MEMCACHE_PREFIX: {error}")))?;
        }
        settings.check().map_err(named("MEMCACHE_SERVERS"))?;
        // What can still be wrong is the file of authorities.
        let client = Client::new(settings).map_err(named("MEMCACHE_TLS_CA"))?;
        Ok(Self { client, prefix })
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
        None => super::reader::parse_duration(text),
    };
    match time {
        Some(time) if TIMES.contains(&time) => Ok(Some(time)),
        _ => Err(Error::config(format!("MEMCACHE_TIMEOUT is {}: give 20ms to 5s", quoted(&value)))),
    }
}
