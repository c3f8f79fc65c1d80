//! What the last requests did to the browser's session.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::change::Change;
use crate::event::Pair;
use crate::jar::{Jar, Origin};
use crate::outcome::CookieSet;
use crate::sessions::{Seen, Sessions};

/// The last requests, the newest first.
#[derive(Debug)]
pub(super) struct Ledger {
    /// `None` where no secret is at hand: then no session can be shown, and no cookie is kept.
    sessions: Mutex<Option<Arc<Sessions>>>,
    entries: Mutex<VecDeque<Entry>>,
}

/// One request and its answer, as far as the session is concerned. Cookies are kept as they came: most are never looked at.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) at: SystemTime,
    pub(super) request: String,
    pub(super) status: u16,
    pub(super) took: Duration,
    pub(super) cookies: Vec<Pair>,
    pub(super) set_cookies: Vec<String>,
    pub(super) kept: Kept,
}

/// A session that a cookie only names, as it was found where it is kept; `None`: a cookie holds it, or it could not be seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    pub(super) before: Option<Seen>,
    pub(super) after: Option<Seen>,
}

impl Ledger {
    pub(super) fn new(sessions: Option<Sessions>) -> Self {
        Self { sessions: Mutex::new(sessions.map(Arc::new)), entries: Mutex::default() }
    }

    pub(super) fn sessions(&self) -> Option<Arc<Sessions>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks at sessions with other settings and secrets from now on.
    pub(super) fn renew(&self, sessions: Option<Sessions>) {
        *self.sessions.lock().unwrap_or_else(PoisonError::into_inner) = sessions.map(Arc::new);
    }

    /// Puts `entry` first, and drops the last if there are many.
    pub(super) fn add(&self, mut entry: Entry) {
        match self.sessions() {
            None => {
                entry.cookies.clear();
                entry.set_cookies.clear();
            }
            Some(sessions) => {
                let name = sessions.name();
                entry.cookies.retain(|cookie| cookie.name == name);
                entry.set_cookies.retain(|line| line.split('=').next().is_some_and(|start| start.trim() == name));
            }
        }
        let mut entries = self.entries();
        entries.push_front(entry);
        entries.truncate(KEPT);
    }

    /// The last requests, each with what it did to the session, where that can be seen.
    pub(super) fn told(&self) -> Vec<(Entry, Option<Change>)> {
        let entries: Vec<Entry> = self.entries().iter().cloned().collect();
        let told = |entry: Entry| {
            let change = self.change(&entry);
            (entry, change)
        };
        entries.into_iter().map(told).collect()
    }

    /// What `entry` did to the session, where that can be seen.
    pub(super) fn change(&self, entry: &Entry) -> Option<Change> {
        self.sessions().map(|sessions| entry.change(&sessions))
    }

    /// Whether there is anything to [`look`](Self::look) at.
    pub(super) fn sees_kept(&self) -> bool {
        self.sessions().is_some_and(|sessions| sessions.are_kept())
    }

    /// What the session of a request is now, or that of its answer, if a cookie only names it: at most one round trip.
    pub(super) async fn look(&self, cookies: &[Pair], set_cookies: &[String]) -> Option<Seen> {
        let sessions = self.sessions().filter(|sessions| sessions.are_kept())?;
        let now = SystemTime::now();
        match sessions.named_in_answer(&taken(set_cookies, &sessions)) {
            Some(token) => sessions.look(token.as_deref()?, now).await,
            None => sessions.look(sessions.named_in(cookies, now)?, now).await,
        }
    }

    fn entries(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// What it did to the session, judged at the time of its answer.
    fn change(&self, sessions: &Sessions) -> Change {
        let now = self.at.checked_add(self.took).unwrap_or(self.at);
        let mut before = sessions.seen_in(&self.cookies, now);
        let mut after = sessions.seen_in_answer(&taken(&self.set_cookies, sessions), now);
        let is_named = before == Seen::Elsewhere;
        if let Some(kept) = self.kept.before.as_ref().filter(|_| is_named) {
            before = kept.clone();
        }
        // Beside what was not seen before, all that is there now would look new.
        let is_unseen = is_named && self.kept.before.is_none();
        match (&after, &self.kept.after) {
            (Some(Seen::Elsewhere), Some(kept)) if !is_unseen => after = Some(kept.clone()),
            // The cookie stays the same when what it names changes.
            (None, Some(kept)) if is_named && !is_unseen && *kept != before => after = Some(kept.clone()),
            (None, None) if is_named && !is_unseen => after = Some(Seen::Elsewhere),
            _ => {}
        }
        Change { before, after }
    }

    /// The session tokens that it came with and that it was answered with; none where it came with several, of which one may have
    /// been put there by somebody else.
    pub(super) fn tokens(&self) -> impl Iterator<Item = &str> {
        let first = self.cookies.first();
        let is_one = self.cookies.iter().all(|cookie| first.is_some_and(|first| first.value == cookie.value));
        let set = self.set_cookies.iter().filter_map(|line| line.split(';').next()?.split_once('='));
        let sent = self.cookies.iter().map(|cookie| cookie.value.as_str());
        sent.chain(set.map(|(_, value)| value.trim())).filter(move |token| is_one && !token.is_empty())
    }
}

/// The session cookies that these lines set.
fn taken(lines: &[String], sessions: &Sessions) -> Vec<CookieSet> {
    let origin = Origin { host: "localhost".to_owned(), path: "/".to_owned(), secure: true };
    let mut jar = Jar::default();
    lines.iter().map(|line| CookieSet::taken(&mut jar, line, &origin, Some(sessions.name()))).collect()
}

/// How many requests are kept.
const KEPT: usize = 50;

#[cfg(test)]
mod tests {
    use lambda_session::config::{Settings, keyring};
    use serde_json::{Map, json};

    use super::*;

    /// As in the vectors of architecture.md: the reference is sealed for it, by this secret.
    const NAME: &str = "__Host-s";
    const SECRET: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const REFERENCE: &str = "AqJ3ABEiM0RVZneImaq7zN3u_8pKNkx4jHqas_maRKdhAYnQyES9";

    fn entry(cookies: &[&str], set_cookies: &[&str], kept: Kept) -> Entry {
        let pair = |value: &&str| Pair { name: NAME.to_owned(), value: (*value).to_owned() };
        Entry {
            id: String::new(),
            at: SystemTime::UNIX_EPOCH,
            request: String::new(),
            status: 200,
            took: Duration::ZERO,
            cookies: cookies.iter().map(pair).collect(),
            set_cookies: set_cookies.iter().map(|line| (*line).to_owned()).collect(),
            kept,
        }
    }

    #[test]
    fn a_request_with_two_session_cookies_belongs_to_nobody() {
        let tokens = |cookies: &[&str]| {
            let entry = entry(cookies, &["__Host-session=c; Path=/"], Kept::default());
            entry.tokens().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(tokens(&["a"]), ["a", "c"]);
        assert_eq!(tokens(&["a", "a"]), ["a", "a", "c"]);
        assert_eq!(tokens(&[]), ["c"]);
        assert_eq!(tokens(&["a", "b"]), [""; 0]);
    }

    #[test]
    fn what_was_not_seen_before_or_after_is_not_told_as_a_change() {
        let variables = |name: &str| match name {
            "SECRET_KEY_BASE" => Some(SECRET.to_owned()),
            "SESSION_STORE" => Some("memory".to_owned()),
            "SESSION_NAME" => Some(NAME.to_owned()),
            "SESSION_SCOPE" => Some("shop-test".to_owned()),
            _ => None,
        };
        let settings = Settings::read(&variables).unwrap();
        let sessions = Sessions::new(settings, Some(keyring(&variables).unwrap()));
        let live = |count: u64| Seen::Live(Map::from_iter([("count".to_owned(), json!(count))]));
        for (before, after, word) in [
            (Some(live(1)), Some(live(2)), "changed"),
            (Some(live(1)), Some(live(1)), "unchanged"),
            (Some(live(1)), Some(Seen::Nothing), "ended"),
            (Some(live(1)), None, "kept by the function, so not seen here"),
            (None, Some(live(1)), "kept by the function, so not seen here"),
            (None, None, "kept by the function, so not seen here"),
        ] {
            let told = entry(&[REFERENCE], &[], Kept { before, after }).change(&sessions);
            assert_eq!(told.word(), word, "{told:?}");
        }
    }
}
