//! One variable after another, each checked, each wrong one named with what it may be.

use std::time::Duration;

use super::Variables;
use crate::Error;
use crate::cookie::{CookieOptions, SameSite, quoted};
use crate::lifetime::{LONGEST, Lifetime};

/// Reads variables one by one.
pub(super) struct Reader<'a, V> {
    pub(super) variables: &'a V,
}

impl<V: Variables> Reader<'_, V> {
    pub(super) fn value(&self, name: &str) -> Option<String> {
        self.variables.value(name).filter(|value| !value.trim().is_empty())
    }

    /// Whether this is Lambda, or something that stands for it.
    pub(super) fn is_on_lambda(&self) -> bool {
        self.value("AWS_LAMBDA_RUNTIME_API").is_some()
    }

    #[cfg(feature = "memcached")]
    pub(super) fn number(&self, name: &str, least: usize, most: usize) -> Result<Option<usize>, Error> {
        let Some(value) = self.value(name) else { return Ok(None) };
        match value.trim().parse() {
            Ok(number) if (least..=most).contains(&number) => Ok(Some(number)),
            _ => Err(Error::config(format!("{name} is {}: give {least} to {most}", quoted(&value)))),
        }
    }

    pub(super) fn choice<C: Copy>(&self, name: &str, choices: &[(&str, C)]) -> Result<Option<C>, Error> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let wanted = value.trim().to_ascii_lowercase();
        match choices.iter().find(|(choice, _)| *choice == wanted) {
            Some((_, choice)) => Ok(Some(*choice)),
            None => {
                let names: Vec<&str> = choices.iter().map(|(choice, _)| *choice).collect();
                Err(Error::config(format!("{name} is {}: give {}", quoted(&value), names.join(" or "))))
            }
        }
    }

    pub(super) fn duration(&self, name: &str) -> Result<Option<Duration>, Error> {
        let Some(value) = self.value(name) else { return Ok(None) };
        match parse_duration(value.trim()) {
            Some(length) if length >= Duration::from_secs(1) && length <= LONGEST => Ok(Some(length)),
            _ => Err(Error::config(format!(
                "{name} is {}: give 1s to 400d, as 90s, 30m, 12h, 30d or a number of seconds",
                quoted(&value)
            ))),
        }
    }

    pub(super) fn lifetime(
        &self,
        expire_after: Option<Duration>,
        warnings: &mut Vec<String>,
    ) -> Result<Lifetime, Error> {
        let default = Lifetime::default();
        let (idle, absolute) = (self.duration("SESSION_IDLE")?, self.duration("SESSION_ABSOLUTE")?);
        let ends = absolute.unwrap_or_else(|| expire_after.unwrap_or_default().max(default.absolute()));
        if let (Some(idle), Some(age)) = (idle, expire_after)
            && idle < age
        {
            warnings.push(
                "SESSION_IDLE is shorter than SESSION_EXPIRE_AFTER: browsers keep a cookie whose session is over"
                    .into(),
            );
        }
        if idle.is_some_and(|idle| idle > ends) {
            warnings.push("SESSION_IDLE is longer than SESSION_ABSOLUTE, which ends every session first".into());
        }
        Lifetime::new(idle.or(expire_after).unwrap_or(default.idle()), ends)
    }

    pub(super) fn cookie(&self, is_secure: bool, expire_after: Option<Duration>) -> Result<CookieOptions, Error> {
        let same_sites = [("lax", SameSite::Lax), ("strict", SameSite::Strict), ("none", SameSite::None)];
        let same_site = self.choice("SESSION_SAME_SITE", &same_sites)?;
        let is_partitioned = self.choice("SESSION_PARTITIONED", &[("on", true), ("off", false)])?.unwrap_or(false);
        let mut options = CookieOptions::builder();
        // First each alone, so that the message names the one that is wrong by itself; then all together.
        let mut named = Vec::new();
        let alone = |name: &str, options: crate::cookie::CookieOptionsBuilder| {
            options.build().map(drop).map_err(|error| Error::config(format!("{name}: {error}")))
        };
        if let Some(name) = self.value("SESSION_NAME") {
            alone("SESSION_NAME", CookieOptions::builder().name(name.as_str()))?;
            options = options.name(name);
            named.push("SESSION_NAME");
        }
        if let Some(domain) = self.value("SESSION_DOMAIN") {
            alone("SESSION_DOMAIN", CookieOptions::builder().domain(domain.as_str()))?;
            options = options.domain(domain);
            named.push("SESSION_DOMAIN");
        }
        if let Some(path) = self.value("SESSION_PATH") {
            alone("SESSION_PATH", CookieOptions::builder().path(path.as_str()))?;
            options = options.path(path);
            named.push("SESSION_PATH");
        }
        if let Some(same_site) = same_site {
            options = options.same_site(same_site);
            named.push("SESSION_SAME_SITE");
        }
        if is_partitioned {
            options = options.partitioned();
            named.push("SESSION_PARTITIONED");
        }
        if !is_secure {
            options = options.insecure_for_local_development();
            named.push("SESSION_SECURE");
        }
        if let Some(age) = expire_after {
            options = options.expire_after(age);
        }
        options.build().map_err(|error| Error::config(format!("{}: {error}", named.join(", "))))
    }
}

/// A duration as people write it: `90s`, `30m`, `12h`, `30d` or a number of seconds.
///
/// ```
/// use lambda_session::config::parse_duration;
/// use std::time::Duration;
///
/// assert_eq!(parse_duration("30m"), Some(Duration::from_secs(1800)));
/// assert_eq!(parse_duration("90"), Some(Duration::from_secs(90)));
/// assert_eq!(parse_duration("soon"), None);
/// ```
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = match text.split_at_checked(text.len().checked_sub(1)?)? {
        (number, "s") => (number, 1),
        (number, "m") => (number, 60),
        (number, "h") => (number, 3_600),
        (number, "d") => (number, 86_400),
        _ => (text, 1),
    };
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = digits.then(|| number.parse::<u64>().ok()).flatten()?;
    seconds.checked_mul(unit).map(Duration::from_secs)
}
