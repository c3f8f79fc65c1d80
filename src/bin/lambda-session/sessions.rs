//! Our own cookie, opened where the secret is at hand.

use std::time::{Duration, SystemTime};

use lambda_session::config::{self, Protection, Settings, StoreKind, Variables};
use lambda_session::inspect::{Inspection, inspect};
use lambda_session::keyring::Keyring;
use lambda_session::{Error, Record};
use serde_json::{Map, Value};

use crate::environment::Environment;
use crate::event::Pair;
use crate::kept::Kept;
use crate::outcome::CookieSet;

/// The settings of the sessions, and the secrets if there are any.
#[derive(Debug)]
pub(crate) struct Sessions {
    settings: Settings,
    keyring: Option<Keyring>,
    kept: Kept,
}

/// What the session cookie of a request or an answer stands for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Seen {
    /// There is none.
    Nothing,
    Live(Map<String, Value>),
    /// The function keeps the data and the cookie only names it.
    Elsewhere,
    /// It stands for nothing, for this reason.
    Refused(String),
}

impl Sessions {
    pub(crate) fn new(settings: Settings, keyring: Option<Keyring>) -> Self {
        Self { settings, keyring, kept: Kept::default() }
    }

    /// The sessions of a function in `environment`; `None` where it has no secret, or not all are at hand: nothing here asks
    /// SSM.
    pub(crate) fn of(environment: &Environment) -> Result<Option<Self>, Error> {
        let is_elsewhere = |name| {
            let value = environment.value(name).unwrap_or_default();
            value.split(',').any(|secret| secret.trim().starts_with("ssm:"))
        };
        if !environment.has("SECRET_KEY_BASE") || is_elsewhere("SECRET_KEY_BASE") || is_elsewhere("SECRET_KEY_BASE_OLD")
        {
            return Ok(None);
        }
        let keyring = config::keyring(environment)?;
        let settings = Settings::read(environment)?;
        let kept = Kept::of(&settings, environment)?;
        Ok(Some(Self { settings, keyring: Some(keyring), kept }))
    }

    /// The name of the cookie.
    pub(crate) fn name(&self) -> &str {
        self.settings.cookie().name()
    }

    /// How many secrets there are.
    pub(crate) fn secrets(&self) -> usize {
        self.keyring.as_ref().map_or(0, Keyring::len)
    }

    /// Explains the value of a cookie as a function with these settings takes it.
    pub(crate) fn inspect(&self, value: &str, now: SystemTime) -> Inspection {
        let (scope, lifetime) = (self.settings.scope(), self.settings.lifetime());
        let mut found = inspect(value, self.keyring.as_ref(), self.name(), scope, lifetime, now);
        let (setting, format) = match (self.settings.store(), self.settings.protection()) {
            (StoreKind::Memory, _) => ("SESSION_STORE=memory", "reference"),
            (StoreKind::Memcached, _) => ("SESSION_STORE=memcached", "reference"),
            (_, Protection::Signed) => ("SESSION_PROTECTION=signed", "signed"),
            _ => ("SESSION_PROTECTION=encrypted", "encrypted"),
        };
        if found.secret.is_some() && found.format != Some(format) {
            found.refusal = Some(format!("with {setting} only a token in the format `{format}` is read"));
        }
        found
    }

    /// As [`inspect`](Self::inspect), and where the cookie only names its session, the session itself, if it can be seen; else why
    /// not. At most one round trip.
    pub(crate) async fn examine(&self, value: &str, now: SystemTime) -> (Inspection, Option<String>) {
        let mut found = self.inspect(value, now);
        if found.refusal.is_some() || found.record.is_some() {
            return (found, None);
        }
        if self.settings.store() == StoreKind::Memory {
            return (found, Some("it is kept in the memory of the function, which alone can see it".to_owned()));
        }
        match self.kept.look(value, &self.settings, now, PATIENCE).await {
            Ok(Some(record)) => {
                let lifetime = self.settings.lifetime();
                found.idle_left = Some(lifetime.idle_left(&record, now));
                found.absolute_left = Some(lifetime.absolute_left(&record, now));
                if lifetime.left(&record, now).is_zero() {
                    found.refusal = Some("its session is over".to_owned());
                }
                found.record = Some(record);
            }
            Ok(None) => found.refusal = Some("the session that it names is gone: ended, renewed or evicted".to_owned()),
            Err(reason) => return (found, Some(reason)),
        }
        (found, None)
    }

    /// What the cookies of a request stand for. Two that are both good contradict each other, so neither counts.
    pub(crate) fn seen_in(&self, cookies: &[Pair], now: SystemTime) -> Seen {
        let mut values: Vec<&str> = Vec::new();
        for cookie in cookies.iter().filter(|cookie| cookie.name == self.name()) {
            if !values.contains(&cookie.value.as_str()) {
                values.push(&cookie.value);
            }
        }
        let (refused, mut good): (Vec<_>, Vec<_>) =
            values.iter().map(|value| self.seen(value, now)).partition(|seen| matches!(seen, Seen::Refused(_)));
        match (good.len(), refused.into_iter().next()) {
            (0, refused) => refused.unwrap_or(Seen::Nothing),
            (1, _) => good.pop().unwrap_or(Seen::Nothing),
            (count, _) => Seen::Refused(contradiction(count)),
        }
    }

    /// What the session cookie of an answer stands for; `None` if it sets none.
    pub(crate) fn seen_in_answer(&self, cookies: &[CookieSet], now: SystemTime) -> Option<Seen> {
        let cookie = cookies.iter().rev().find(|cookie| cookie.name == self.name())?;
        Some(if cookie.is_removal() { Seen::Nothing } else { self.seen(&cookie.value, now) })
    }

    fn seen(&self, value: &str, now: SystemTime) -> Seen {
        let found = self.inspect(value, now);
        match (found.refusal, found.record) {
            (Some(refusal), _) => Seen::Refused(refusal),
            (None, None) => Seen::Elsewhere,
            (None, Some(record)) => Seen::of(&record),
        }
    }

    /// Whether sessions are kept where this command can see them too.
    pub(crate) fn are_kept(&self) -> bool {
        self.kept.is_somewhere()
    }

    /// The token by which the cookies of a request name a session.
    pub(crate) fn named_in<'a>(&self, cookies: &'a [Pair], now: SystemTime) -> Option<&'a str> {
        let is_ours = |cookie: &&Pair| cookie.name == self.name();
        let is_named = |cookie: &&Pair| self.seen(&cookie.value, now) == Seen::Elsewhere;
        cookies.iter().filter(is_ours).find(is_named).map(|cookie| cookie.value.as_str())
    }

    /// The token that an answer sets; `Some(None)` if it removes the cookie.
    pub(crate) fn named_in_answer(&self, cookies: &[CookieSet]) -> Option<Option<String>> {
        let cookie = cookies.iter().rev().find(|cookie| cookie.name == self.name())?;
        Some((!cookie.is_removal()).then(|| cookie.value.clone()))
    }

    /// The session that the token `value` names, as it is now; `None` if it cannot be seen in a moment.
    pub(crate) async fn look(&self, value: &str, now: SystemTime) -> Option<Seen> {
        match self.kept.look(value, &self.settings, now, MOMENT).await.ok()? {
            Some(record) => Some(Seen::of(&record)),
            None => Some(Seen::Nothing),
        }
    }
}

impl Seen {
    fn of(record: &Record) -> Self {
        match serde_json::from_slice(record.payload()) {
            Ok(data) => Self::Live(data),
            Err(_) => Self::Refused("what it holds is no JSON object".to_owned()),
        }
    }

    /// The data, as far as it can be seen.
    pub(crate) fn data(&self) -> Option<&Map<String, Value>> {
        match self {
            Self::Live(data) => Some(data),
            _ => None,
        }
    }
}

/// How long a person waits for a session to be shown; the client's own limits come first.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much later a request may be answered because its session is looked at.
const MOMENT: Duration = Duration::from_millis(100);

/// Why none of `count` good cookies counts.
pub(crate) fn contradiction(count: usize) -> String {
    format!("{count} different cookies of this name are good, so none is believed")
}
