//! What the variables say: no I/O, and one wrong variable hides no other.

use lambda_session::config::{Protection, Settings, StoreKind, Variables};
use lambda_session::{Conflict, Error};

use crate::doctor::check::{Check, Verdict};
use crate::duration::span;
use crate::environment::Environment;
use crate::output::one_line;

/// How the cookie is set, and when sessions end.
pub(crate) fn cookie_and_lifetime(environment: &Environment) -> Vec<Check> {
    let cookie = read("cookie", COOKIE, environment, |settings| settings.cookie().to_string());
    let lifetime = read("lifetime", LIFETIME, environment, |settings| {
        let lifetime = settings.lifetime();
        format!("{} without a request, {} in all", span(lifetime.idle()), span(lifetime.absolute()))
    });
    let scope = read("scope", SCOPE, environment, |settings| match settings.scope() {
        "" => "none: whoever has the secret and the cookie's name shares the sessions".to_owned(),
        scope => format!("{scope:?}"),
    });
    // Said only where it is set: most functions count nothing.
    let (metrics, _) = read("metrics", METRICS, environment, |settings| match settings.metrics() {
        Some(_) => "emf: one line for each request that asks for its session, on standard output".to_owned(),
        None => "none".to_owned(),
    });
    let is_set = METRICS.iter().any(|name| environment.value(name).is_some_and(|value| !value.trim().is_empty()));
    let metrics = (if is_set { metrics } else { Vec::new() }, None);
    [cookie, lifetime, scope, metrics].into_iter().flat_map(|(checks, _)| checks).collect()
}

/// Where sessions are kept, and the settings of that place, if they are good.
pub(crate) fn store(environment: &Environment) -> (Vec<Check>, Option<Settings>) {
    let wanted = environment.value("SESSION_STORE").unwrap_or_default();
    if cfg!(not(feature = "memcached")) && wanted.trim().eq_ignore_ascii_case("memcached") {
        let way_out = "`cargo install lambda-session --features cli,memcached` builds one with it";
        let finding = "memcached, and this program was built without it";
        return (vec![Check::bad("store", finding, Some(way_out.to_owned()))], None);
    }
    // What the store makes of a cookie, or of two requests at once.
    let (protection, _) = read("protection", PROTECTION, environment, |settings| match settings.protection() {
        Protection::Signed => "signed: whoever has the cookie can read the session".to_owned(),
        _ => "encrypted".to_owned(),
    });
    let (conflict, _) = read("conflict", CONFLICT, environment, |settings| match settings.conflict() {
        Conflict::Fail => "fail: of two requests at once on one session the second is answered 409".to_owned(),
        Conflict::Overwrite => "overwrite: of two requests at once on one session the last one wins".to_owned(),
        _ => "merge: two requests at once on one session both count, key by key".to_owned(),
    });
    let is_wrong = |checks: &[Check]| checks.iter().any(|check| check.verdict == Verdict::Bad);
    let (wrong_protection, wrong_conflict) = (is_wrong(&protection), is_wrong(&conflict));
    let mut variables = STORE.to_vec();
    variables.extend(PROTECTION.iter().filter(|_| !wrong_protection));
    variables.extend(CONFLICT.iter().filter(|_| !wrong_conflict));
    let (mut checks, settings) = read("store", &variables, environment, |settings| match settings.store() {
        StoreKind::Cookie => "cookie: a session cannot be recalled, a copy of the cookie lives to its end".to_owned(),
        StoreKind::Memcached => "memcached: a logout ends a session for every copy of its cookie".to_owned(),
        _ => "memory: for tests and local development, gone with the process".to_owned(),
    });
    let kind = settings.as_ref().map(Settings::store);
    if kind == Some(StoreKind::Cookie) || wrong_protection {
        checks.extend(protection);
    }
    if kind.is_some_and(|kind| kind != StoreKind::Cookie) || wrong_conflict {
        checks.extend(conflict.into_iter().filter(|check| check.verdict != Verdict::Warning));
    }
    (checks, settings)
}

/// Reads the settings as if only these variables were set, and says what they come to.
fn read(
    name: &'static str,
    variables: &[&str],
    environment: &Environment,
    finding: impl FnOnce(&Settings) -> String,
) -> (Vec<Check>, Option<Settings>) {
    let only = |variable: &str| environment.value(variable).filter(|_| variables.contains(&variable));
    match Settings::read(&only) {
        Ok(settings) => {
            let mut checks = vec![Check::good(name, finding(&settings))];
            checks.extend(settings.warnings().iter().map(|warning| Check::warning(name, one_line(warning))));
            (checks, Some(settings))
        }
        Err(error) => (vec![Check::bad(name, told(&error), None)], None),
    }
}

/// The error and its causes; it names the way out itself.
pub(crate) fn told(error: &Error) -> String {
    one_line(&format!("{error:?}"))
}

const COOKIE: &[&str] = &[
    "SESSION_NAME",
    "SESSION_DOMAIN",
    "SESSION_PATH",
    "SESSION_SAME_SITE",
    "SESSION_SECURE",
    "SESSION_PARTITIONED",
    "SESSION_EXPIRE_AFTER",
];
const LIFETIME: &[&str] = &["SESSION_IDLE", "SESSION_ABSOLUTE", "SESSION_EXPIRE_AFTER"];
const SCOPE: &[&str] = &["SESSION_SCOPE"];
const PROTECTION: &[&str] = &["SESSION_PROTECTION"];
const CONFLICT: &[&str] = &["SESSION_CONFLICT"];
const METRICS: &[&str] = &["SESSION_METRICS", "SESSION_TRACE_ENV"];
const STORE: &[&str] = &[
    "SESSION_STORE",
    "MEMCACHE_SERVERS",
    "MEMCACHE_TLS",
    "MEMCACHE_TLS_CA",
    "MEMCACHE_POOL_SIZE",
    "MEMCACHE_TIMEOUT",
    "MEMCACHE_MAX_VALUE",
    "MEMCACHE_PREFIX",
    "AWS_LAMBDA_RUNTIME_API",
];
