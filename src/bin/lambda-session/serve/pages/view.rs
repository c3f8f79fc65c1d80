//! What the page tells: the browser's session, and what the last requests did. No form yet, and no token.

use std::collections::BTreeMap;
use std::time::SystemTime;

use lambda_session::Record;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::change::Change;
use crate::duration::{span, spoken};
use crate::event::Pair;
use crate::facts::facts;
use crate::pretty::pretty;
use crate::serve::ledger::{Entry, Ledger};
use crate::sessions::{Sessions, contradiction};

/// The whole page.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) news: Option<&'static str>,
    /// The name of the session cookie; `None` where no secret is at hand to open one with.
    pub(super) cookie: Option<String>,
    /// The session cookies that this very request came with.
    pub(super) sights: Vec<Sight>,
    /// The last requests, the newest first.
    pub(super) visits: Vec<Visit>,
}

/// One session cookie.
#[derive(Debug)]
pub(super) struct Sight {
    pub(super) facts: Vec<(&'static str, String)>,
    pub(super) refusal: Option<String>,
    /// Why the data cannot be seen.
    pub(super) unseen: Option<String>,
    /// The largest first.
    pub(super) fields: Vec<Field>,
}

/// One top-level key of a session.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) key: String,
    /// Of the key and its value.
    pub(super) size_bytes: usize,
    pub(super) value: String,
}

/// One request that was answered.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) id: String,
    pub(super) ago: String,
    pub(super) request: String,
    pub(super) status: u16,
    pub(super) took: String,
    /// What it did to the session, in a word or two.
    pub(super) word: &'static str,
    pub(super) refusal: Option<String>,
    pub(super) touches: Vec<Touch>,
}

/// A key that a request added, changed or removed.
#[derive(Debug)]
pub(super) struct Touch {
    pub(super) sign: &'static str,
    pub(super) key: String,
    pub(super) size_bytes: usize,
    /// What it was and what it is, as far as there is such a thing; only for the browser whose session it is.
    pub(super) values: Vec<String>,
}

impl View {
    /// What whoever sends these cookies may see.
    pub(super) async fn of(cookies: &[Pair], ledger: &Ledger, news: Option<&'static str>, now: SystemTime) -> Self {
        let Some(sessions) = ledger.sessions() else {
            let told = ledger.told();
            let visits = told.iter().map(|(entry, _)| Visit::of(entry, None, false, now)).collect();
            return Self { news, visits, ..Self::default() };
        };
        let mut values: Vec<&str> = Vec::new();
        for cookie in cookies.iter().filter(|cookie| cookie.name == sessions.name()) {
            // The layer looks at no more of them either.
            if !values.contains(&cookie.value.as_str()) && values.len() < COOKIES_LOOKED_AT {
                values.push(&cookie.value);
            }
        }
        let (mut sights, mut good) = (Vec::new(), Vec::new());
        for value in values {
            let sight = Sight::of(value, &sessions, now).await;
            if sight.refusal.is_none() {
                good.push(value);
            }
            sights.push(sight);
        }
        let told = ledger.told();
        let own = own(&told.iter().map(|(entry, _)| entry.tokens().collect()).collect::<Vec<_>>(), &good);
        let visits = told.iter().zip(own).map(|((entry, change), own)| Visit::of(entry, change.as_ref(), own, now));
        let visits = visits.collect();
        if good.len() > 1 {
            let refusal = contradiction(good.len());
            sights.iter_mut().for_each(|sight| _ = sight.refusal.get_or_insert(refusal.clone()));
        }
        Self { news, cookie: Some(sessions.name().to_owned()), sights, visits }
    }
}

impl Sight {
    async fn of(value: &str, sessions: &Sessions, now: SystemTime) -> Self {
        let (inspection, unseen) = sessions.examine(value, now).await;
        let facts = facts(value, &inspection, sessions, now);
        let fields = inspection.record.as_ref().map(fields).unwrap_or_default();
        Self { facts, refusal: inspection.refusal, unseen, fields }
    }
}

fn fields(record: &Record) -> Vec<Field> {
    let data: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(record.payload()).unwrap_or_default();
    let field = |(key, value): (String, Box<RawValue>)| {
        let size_bytes = key.len().saturating_add(value.get().len());
        Field { key, size_bytes, value: laid_out(value.get()) }
    };
    let mut fields: Vec<_> = data.into_iter().map(field).collect();
    fields.sort_by_key(|field| std::cmp::Reverse(field.size_bytes));
    fields
}

impl Visit {
    fn of(entry: &Entry, change: Option<&Change>, is_own: bool, now: SystemTime) -> Self {
        Self {
            id: entry.id.clone(),
            ago: span(now.duration_since(entry.at).unwrap_or_default()),
            request: entry.request.clone(),
            status: entry.status,
            took: spoken(entry.took),
            word: change.map_or("unknown", Change::word),
            refusal: change.and_then(Change::refusal).map(str::to_owned),
            touches: change.map(|change| touches(change, is_own)).unwrap_or_default(),
        }
    }
}

fn touches(change: &Change, is_own: bool) -> Vec<Touch> {
    let difference = change.difference();
    let touch = |sign, key: &str, values: &[&Value]| {
        let texts: Vec<_> = values.iter().map(ToString::to_string).collect();
        let size_bytes = key.len().saturating_add(texts.last().map_or(0, String::len));
        let values = texts.iter().filter(|_| is_own).map(|text| laid_out(text)).collect();
        Touch { sign, key: key.to_owned(), size_bytes, values }
    };
    let added = difference.added.iter().map(|(key, value)| touch("+", key, &[value]));
    let changed = difference.changed.iter().map(|(key, from, to)| touch("~", key, &[from, to]));
    let removed = difference.removed.iter().map(|(key, value)| touch("-", key, &[value]));
    added.chain(changed).chain(removed).collect()
}

/// Which requests belong to the session behind the tokens `good`: those that came with one, or were answered with one, and so on
/// from token to token. The values of other people's sessions are not shown, for anybody on this machine may connect.
fn own(tokens: &[Vec<&str>], good: &[&str]) -> Vec<bool> {
    let (mut known, mut own) = (good.to_vec(), vec![false; tokens.len()]);
    loop {
        let before = known.len();
        for (tokens, own) in tokens.iter().zip(&mut own) {
            if !*own && tokens.iter().any(|token| known.contains(token)) {
                *own = true;
                known.extend(tokens);
            }
        }
        if known.len() == before {
            return own;
        }
    }
}

/// JSON for reading, and not endlessly.
fn laid_out(json: &str) -> String {
    let text = pretty(json).unwrap_or_else(|| json.to_owned());
    let mut shown: String = text.chars().take(SHOWN_CHARACTERS).collect();
    if shown.len() < text.len() {
        shown.push_str(&format!("\n… {} bytes in all", json.len()));
    }
    shown
}

/// A session in memcached may be large.
const SHOWN_CHARACTERS: usize = 20_000;

/// As many as the layer takes into account.
const COOKIES_LOOKED_AT: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_belong_to_a_session_by_the_chain_of_its_tokens() {
        let tokens = [vec!["c", "d"], vec!["x"], vec!["b", "c"], vec!["x", "y"], vec!["b"], vec![]];
        let rows: [(&[&str], [bool; 6]); 4] = [
            (&["d"], [true, false, true, false, true, false]),
            (&["b"], [true, false, true, false, true, false]),
            (&["y"], [false, true, false, true, false, false]),
            (&[], [false; 6]),
        ];
        for (good, expected) in rows {
            assert_eq!(own(&tokens, good), expected, "{good:?}");
        }
    }

    #[test]
    fn data_is_listed_by_size_with_its_numbers_as_they_stand() {
        let payload = br#"{"a":1,"n":12345678901234567890.10,"long":[1,2]}"#.to_vec();
        let record = Record::new(payload, SystemTime::UNIX_EPOCH).unwrap();
        let told: Vec<_> =
            fields(&record).into_iter().map(|field| (field.key, field.size_bytes, field.value)).collect();
        let expected = [("n", 24, "12345678901234567890.10"), ("long", 9, "[\n  1,\n  2\n]"), ("a", 2, "1")]
            .map(|(key, size, value)| (key.to_owned(), size, value.to_owned()));
        assert_eq!(told, expected);
    }
}
