//! The cookies a browser would keep, and which of them it would send (RFC 6265bis, section 5.7 and 5.8).
//!
//! Of the list of public suffixes it knows those of AWS's own host names; elsewhere only single labels.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::set_cookie::SetCookie;

/// Where a request goes, as far as cookies care.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Lower case, without port.
    pub(crate) host: String,
    pub(crate) path: String,
    /// https, or this very machine.
    pub(crate) secure: bool,
}

/// What a browser does with a `Set-Cookie` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Kept,
    Removed,
    /// It pays no heed, for this reason.
    Refused(&'static str),
}

/// A browser's cookies, the oldest first.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Jar {
    cookies: Vec<Kept>,
}

/// One cookie in the jar. One that has ended stays as a mark that its name was heard of.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Kept {
    pub(crate) name: String,
    pub(crate) value: String,
    domain: String,
    host_only: bool,
    path: String,
    secure: bool,
    http_only: bool,
    partitioned: bool,
    /// Seconds since 1970; none: with the browser, here with the jar.
    expires: Option<i64>,
}

impl Jar {
    /// Does with `cookie`, set by an answer from `origin`, what a browser would do.
    pub(crate) fn take(&mut self, cookie: SetCookie, origin: &Origin, now: i64) -> Verdict {
        let mut kept = match Kept::new(cookie, origin) {
            Ok(kept) => kept,
            Err(reason) => return Verdict::Refused(reason),
        };
        if !origin.secure && self.cookies.iter().any(|old| old.is_live(now) && old.is_guarded_against(&kept)) {
            return Verdict::Refused("a Secure cookie of this name is there, and this request is not secure");
        }
        let verdict = if kept.is_live(now) { Verdict::Kept } else { Verdict::Removed };
        if verdict == Verdict::Removed {
            kept.value.clear();
        }
        match self.cookies.iter_mut().find(|old| old.is_same(&kept)) {
            Some(old) => *old = kept,
            None => self.cookies.push(kept),
        }
        verdict
    }

    /// The cookies a browser sends to `origin`, in its order: longer paths first, then older cookies.
    pub(crate) fn cookies_for(&self, origin: &Origin, now: i64) -> Vec<&Kept> {
        let mut cookies: Vec<_> =
            self.cookies.iter().filter(|cookie| cookie.is_live(now) && cookie.is_for(origin)).collect();
        cookies.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        cookies
    }

    /// Whether an answer has ever set or removed a cookie of this `name` for `origin`: then the jar's word counts, not the event's.
    pub(crate) fn knows(&self, name: &str, origin: &Origin) -> bool {
        self.cookies.iter().any(|cookie| cookie.name == name && cookie.is_for(origin))
    }
}

impl Kept {
    /// The cookie as kept, or why a browser refuses it (RFC 6265bis, section 5.7, in its order).
    fn new(cookie: SetCookie, origin: &Origin) -> Result<Self, &'static str> {
        let SetCookie { name, value, expires, domain, path, secure, http_only, same_site_none, partitioned } = cookie;
        let domain = domain.filter(|domain| *domain != origin.host || !is_public_suffix(domain, &origin.host));
        if let Some(domain) = &domain {
            if is_public_suffix(domain, &origin.host) {
                return Err("its Domain is a public suffix");
            }
            if !domain_matches(&origin.host, domain) {
                return Err("its Domain does not cover the host of the request");
            }
        }
        if secure && !origin.secure {
            return Err("it is Secure and the request was not (neither https nor this machine)");
        }
        if same_site_none && !secure {
            return Err("SameSite=None wants Secure");
        }
        if partitioned && !secure {
            return Err("Partitioned wants Secure");
        }
        let host_only = domain.is_none();
        let is_root = path.as_deref() == Some("/");
        let prefixed = if name.is_empty() { &value } else { &name };
        for (prefix, wants) in PREFIXES {
            if !prefixed.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)) {
                continue;
            }
            if name.is_empty() {
                return Err("it has no name and its value poses as a prefix");
            }
            if !secure {
                return Err(wants.secure);
            }
            if let Some(reason) = wants.host.filter(|_| !host_only || !is_root) {
                return Err(reason);
            }
            if let Some(reason) = wants.http.filter(|_| !http_only) {
                return Err(reason);
            }
            break;
        }
        Ok(Self {
            name,
            value,
            domain: domain.unwrap_or_else(|| origin.host.clone()),
            host_only,
            path: path.unwrap_or_else(|| default_path(&origin.path).to_owned()),
            secure,
            http_only,
            partitioned,
            expires,
        })
    }

    fn is_live(&self, now: i64) -> bool {
        self.expires.is_none_or(|end| end > now)
    }

    fn is_same(&self, other: &Self) -> bool {
        self.name == other.name
            && self.domain == other.domain
            && self.host_only == other.host_only
            && self.path == other.path
    }

    fn is_for(&self, origin: &Origin) -> bool {
        let at_host =
            if self.host_only { origin.host == self.domain } else { domain_matches(&origin.host, &self.domain) };
        at_host && path_matches(&origin.path, &self.path) && (!self.secure || origin.secure)
    }

    /// Whether a request that is not secure may not put `new` over this one ("leave Secure cookies alone").
    fn is_guarded_against(&self, new: &Self) -> bool {
        self.secure
            && self.name == new.name
            && (domain_matches(&new.domain, &self.domain) || domain_matches(&self.domain, &new.domain))
            && path_matches(&new.path, &self.path)
    }
}

struct Wants {
    secure: &'static str,
    host: Option<&'static str>,
    http: Option<&'static str>,
}

/// The name prefixes (RFC 6265bis, section 4.1.3); the longer one first.
const PREFIXES: [(&str, Wants); 4] = [
    (
        "__Host-Http-",
        Wants {
            secure: "__Host-Http- wants Secure",
            host: Some("__Host-Http- wants Path=/ and no Domain"),
            http: Some("__Host-Http- wants HttpOnly"),
        },
    ),
    ("__Host-", Wants { secure: "__Host- wants Secure", host: Some("__Host- wants Path=/ and no Domain"), http: None }),
    ("__Http-", Wants { secure: "__Http- wants Secure", host: None, http: Some("__Http- wants HttpOnly") }),
    ("__Secure-", Wants { secure: "__Secure- wants Secure", host: None, http: None }),
];

fn domain_matches(host: &str, domain: &str) -> bool {
    host == domain || (host.strip_suffix(domain).is_some_and(|start| start.ends_with('.')) && !is_address(host))
}

fn path_matches(path: &str, cookie_path: &str) -> bool {
    path.strip_prefix(cookie_path)
        .is_some_and(|rest| rest.is_empty() || cookie_path.ends_with('/') || rest.starts_with('/'))
}

/// The path of a cookie that names none (RFC 6265bis, section 5.1.4).
fn default_path(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some((directory, _)) if path.starts_with('/') && !directory.is_empty() => directory,
        _ => "/",
    }
}

/// Whether `domain` is, or lies above, the part of `host` under which strangers get names.
fn is_public_suffix(domain: &str, host: &str) -> bool {
    if is_address(host) {
        return false;
    }
    let suffix = public_suffix(host);
    domain == suffix || suffix.strip_suffix(domain).is_some_and(|start| start.ends_with('.'))
}

fn public_suffix(host: &str) -> &str {
    let last = |count: usize| {
        let start = host.rmatch_indices('.').nth(count.saturating_sub(1)).map(|(at, _)| at.saturating_add(1));
        host.get(start.unwrap_or(0)..).unwrap_or(host)
    };
    let labels: Vec<_> = host.rsplit('.').take(5).collect();
    match labels.as_slice() {
        ["com", "amazonaws", _, "execute-api", ..] | ["com", "amazonaws", "elb", _, ..] => last(4),
        ["cn", "com", "amazonaws", _, "execute-api"] | ["cn", "com", "amazonaws", "elb", _] => last(5),
        ["aws", "on", _, "lambda-url", ..] => last(4),
        ["net", "cloudfront", ..] => last(2),
        _ => last(1),
    }
}

/// The time now, in seconds since 1970.
pub(crate) fn seconds_now() -> i64 {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

/// Whether `host` is this machine, whose cookies browsers treat as secure.
pub(crate) fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        || host.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback())
}

fn is_address(host: &str) -> bool {
    host.parse::<Ipv4Addr>().is_ok() || host.parse::<Ipv6Addr>().is_ok()
}

#[cfg(test)]
#[path = "jar_tests.rs"]
mod tests;
