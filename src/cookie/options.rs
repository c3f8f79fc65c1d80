//! How the session cookie is called and set: [`CookieOptions`], checked once.

use std::{fmt, time::Duration};

use cookie::{Cookie, Expiration, SameSite};
use http::HeaderValue;

use crate::Error;
use crate::cookie::{Lines, quoted, sensitive};
use crate::lifetime::LONGEST;

/// What a browser keeps of one attribute's value, in bytes (RFC 6265bis, section 5.6).
const ATTRIBUTE_LIMIT_BYTES: usize = 1024;
/// The longest cookie name we set, in bytes: what is left for the session shrinks with it.
const NAME_LIMIT_BYTES: usize = 256;

/// How the session cookie is set: its name and attributes, checked once.
///
/// The default is `__Host-session`, `Secure`, `HttpOnly`, `SameSite=Lax`, `Path=/`, without `Domain`, `Max-Age` or
/// `Partitioned`. Nothing drops `HttpOnly`.
///
/// ```
/// use lambda_session::CookieOptions;
/// use std::time::Duration;
///
/// let shop = CookieOptions::builder().domain("example.com").expire_after(Duration::from_secs(86_400)).build()?;
/// assert_eq!(shop.name(), "__Secure-session");
/// assert_eq!(
///     shop.to_string(),
///     "__Secure-session=; HttpOnly; SameSite=Lax; Secure; Path=/; Domain=example.com; Max-Age=86400",
/// );
///
/// let error = CookieOptions::builder().name("__Host-shop").domain("example.com").build().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "cookie __Host-shop cannot have a domain: drop the domain, or call it __Secure-shop",
/// );
/// # Ok::<(), lambda_session::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieOptions {
    name: String,
    domain: Option<String>,
    path: String,
    expire_after: Option<Duration>,
    same_site: SameSite,
    security: Security,
    partitioned: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Security {
    Secure,
    InsecureForLocalDevelopment,
}

/// Collects what a [`CookieOptions`] should be; [`build`](Self::build) checks it.
#[derive(Clone, Debug)]
#[must_use]
pub struct CookieOptionsBuilder {
    name: Option<String>,
    rest: CookieOptions,
}

impl CookieOptions {
    /// Starts from the default.
    pub fn builder() -> CookieOptionsBuilder {
        let rest = Self {
            name: String::new(),
            domain: None,
            path: "/".into(),
            expire_after: None,
            same_site: SameSite::Lax,
            security: Security::Secure,
            partitioned: false,
        };
        CookieOptionsBuilder { name: None, rest }
    }

    /// The cookie's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How `Set-Cookie` lines are written, worked out once.
    pub(crate) fn lines(&self) -> Lines {
        let mut removal = self.bare();
        removal.set_max_age(time::Duration::ZERO);
        removal.set_expires(Expiration::from(time::OffsetDateTime::UNIX_EPOCH));
        // The value goes between the name and the attributes, Max-Age comes behind them all.
        let bare = self.bare().to_string();
        let (start, attributes) = bare.split_at_checked(self.name.len().saturating_add(1)).unwrap_or_default();
        Lines {
            start: start.into(),
            attributes: attributes.into(),
            expire_after: self.expire_after,
            // Name, path and domain were checked to be visible ASCII, so this is a header value.
            removal: sensitive(removal.to_string()).unwrap_or_else(|_| HeaderValue::from_static("")),
        }
    }

    fn bare(&self) -> Cookie<'_> {
        let mut cookie = Cookie::new(self.name.as_str(), "");
        cookie.set_path(self.path.as_str());
        cookie.set_http_only(true);
        cookie.set_same_site(self.same_site);
        if let Some(domain) = &self.domain {
            cookie.set_domain(domain.as_str());
        }
        if self.security == Security::Secure {
            cookie.set_secure(true);
        }
        if self.partitioned {
            cookie.set_partitioned(true);
        }
        cookie
    }
}

/// The line that sets the cookie, without a value.
impl fmt::Display for CookieOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.bare())?;
        match self.expire_after {
            Some(age) => write!(f, "; Max-Age={}", age.as_secs()),
            None => Ok(()),
        }
    }
}

impl Default for CookieOptions {
    fn default() -> Self {
        let mut options = Self::builder().rest;
        options.name = options.default_name().into();
        options
    }
}

impl CookieOptions {
    fn default_name(&self) -> &'static str {
        match self.security {
            Security::InsecureForLocalDevelopment => "session",
            Security::Secure if self.domain.is_some() || self.path != "/" => "__Secure-session",
            Security::Secure => "__Host-session",
        }
    }
}

impl CookieOptionsBuilder {
    /// The cookie's name (Jets' `key`). Without it: `__Host-session`; with a domain or a path other than `/`
    /// `__Secure-session`; in insecure local development `session`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sends the cookie to every host under this domain, not only to the one that set it. This gives up the
    /// `__Host-` prefix, so any of these hosts can set a cookie of this name for all.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.rest.domain = Some(domain.into());
        self
    }

    /// Sends the cookie only below this path (`/`). No border against other applications of the host: they can read
    /// it by other means.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.rest.path = path.into();
        self
    }

    /// `Max-Age`: the browser keeps the cookie this long, over its own end; bounded by what is left of the absolute
    /// lifetime. Without it the cookie goes when the browser closes.
    pub fn expire_after(mut self, length: Duration) -> Self {
        self.rest.expire_after = Some(length);
        self
    }

    /// Which requests from other sites carry the cookie (`Lax`). `Strict` hides it also from links that lead here,
    /// `None` sends it with everything and leaves forged requests to the application's own defence.
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.rest.same_site = same_site;
        self
    }

    /// A jar of its own for every site that embeds this one (CHIPS).
    pub fn partitioned(mut self) -> Self {
        self.rest.partitioned = true;
        self
    }

    /// Weakens the cookie: without `Secure` anyone on the network path can read and set it. For `http://` on your own
    /// machine only; the name loses its prefix.
    pub fn insecure_for_local_development(mut self) -> Self {
        self.rest.security = Security::InsecureForLocalDevelopment;
        self
    }

    /// The options, if they do not contradict each other.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) when a prefix contradicts an attribute (RFC 6265bis, section 4.1.3), `SameSite=None` or
    /// `Partitioned` comes without `Secure`, a name, domain or path has characters that a cookie cannot have, or an
    /// age exceeds 400 days.
    pub fn build(self) -> Result<CookieOptions, Error> {
        let mut options = self.rest;
        options.name = self.name.unwrap_or_else(|| options.default_name().into());
        check_name(&options.name)?;
        if let Some(domain) = &mut options.domain {
            if let Some(bare) = domain.strip_prefix('.') {
                *domain = bare.into();
            }
            check_domain(domain)?;
        }
        check_path(&options.path)?;
        check_prefix(&options)?;
        if options.security != Security::Secure {
            let what = match (options.same_site, options.partitioned) {
                (SameSite::None, _) => Some("SameSite=None"),
                (_, true) => Some("Partitioned"),
                _ => None,
            };
            if let Some(what) = what {
                return Err(Error::config(format!(
                    "{what} needs Secure: browsers drop the cookie otherwise; drop {what}, or the insecure setting"
                )));
            }
        }
        match options.expire_after {
            Some(age) if age > LONGEST => {
                return Err(Error::config(format!(
                    "a cookie lives at most 400 days ({} s), not {} s",
                    LONGEST.as_secs(),
                    age.as_secs()
                )));
            }
            Some(age) if age < Duration::from_secs(1) => {
                return Err(Error::config(
                    "a cookie lives at least 1 s: leave expire_after unset for one that ends with the browser",
                ));
            }
            _ => {}
        }
        Ok(options)
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || name.len() > NAME_LIMIT_BYTES || !name.bytes().all(token) {
        return Err(Error::config(format!(
            "{} is no cookie name: use 1 to {NAME_LIMIT_BYTES} letters, digits and !#$%&'*+-.^_`|~",
            quoted(name)
        )));
    }
    Ok(())
}

fn check_domain(domain: &str) -> Result<(), Error> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    let labels = domain.split('.').all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'));
    if !labels || domain.len() > 253 || !domain.bytes().all(legal) {
        return Err(Error::config(format!(
            "{} is no domain for a cookie: give a host name such as example.com, without scheme, port or path",
            quoted(domain)
        )));
    }
    Ok(())
}

fn check_path(path: &str) -> Result<(), Error> {
    let legal = |byte: u8| byte.is_ascii_graphic() && byte != b';';
    if !path.starts_with('/') || path.len() > ATTRIBUTE_LIMIT_BYTES || !path.bytes().all(legal) {
        return Err(Error::config(format!(
            "{} is no path for a cookie: begin with /, use visible ASCII without a semicolon, up to {ATTRIBUTE_LIMIT_BYTES} bytes",
            quoted(path)
        )));
    }
    Ok(())
}

/// The prefixes promise attributes, and browsers compare them without regard to case.
fn check_prefix(options: &CookieOptions) -> Result<(), Error> {
    let name = &options.name;
    let lower = name.to_ascii_lowercase();
    let host = lower.starts_with("__host-");
    if !host && !lower.starts_with("__secure-") && !lower.starts_with("__http-") {
        return Ok(());
    }
    let bare = name.split_once('-').map(|x| x.1).unwrap_or_default();
    if options.security != Security::Secure {
        return Err(Error::config(format!(
            "cookie {name} must be Secure: drop the insecure setting, or call it {}",
            if bare.is_empty() { "session" } else { bare }
        )));
    }
    if host && options.domain.is_some() {
        return Err(Error::config(format!(
            "cookie {name} cannot have a domain: drop the domain, or call it __Secure-{bare}"
        )));
    }
    if host && options.path != "/" {
        return Err(Error::config(format!(
            "cookie {name} cannot have a path other than /: drop the path, or call it __Secure-{bare}"
        )));
    }
    Ok(())
}
