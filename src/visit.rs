//! What one request does to its session, and the decision what becomes of it: no I/O, no clock.

use std::borrow::Cow;

use crate::lifetime::Age;
use crate::merge::Patch;
use crate::store::Loaded;
use crate::{Error, Token};

/// What a request's cookie stood for.
#[derive(Debug)]
pub(crate) enum Origin {
    /// Nothing: no cookie, or one that is forged, unknown or expired. With two different live ones neither is believed.
    Absent,
    /// An id that was renewed a moment ago.
    Retired,
    /// A live session.
    Live { token: Token, loaded: Loaded, age: Age },
}

/// What one request has done to its session so far.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) origin: Origin,
    /// What else the store has for this request's cookies, and was not believed: one of two live sessions, or one that
    /// is over by our clock. A logout ends it too.
    pub(crate) others: Vec<Token>,
    /// Whether the request carried a cookie of our name.
    pub(crate) carried: bool,
    /// The changes, in their order: one for each time that the session was held and changed.
    pub(crate) patches: Vec<Patch>,
    pub(crate) is_renewed: bool,
    pub(crate) is_destroyed: bool,
    /// The session could not be encoded when it was given back.
    pub(crate) failure: Option<Error>,
}

/// What there is to do when the handler has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Nothing,
    /// Tell the browser to forget; end what live records there are.
    Forget,
    /// Keep a first record and set its cookie.
    Create,
    /// Keep the next record and set its cookie.
    Update,
    /// The same, but only to prolong or reseal it: nobody's change depends on it.
    Refresh,
    /// Keep the record under a new token and end the old one.
    Renew,
}

impl Visit {
    pub(crate) fn new(origin: Origin, carried: bool) -> Self {
        Self {
            origin,
            others: Vec::new(),
            carried,
            patches: Vec::new(),
            is_renewed: false,
            is_destroyed: false,
            failure: None,
        }
    }

    /// The session's data as this request sees it now.
    pub(crate) fn payload(&self) -> Result<Cow<'_, [u8]>, Error> {
        let loaded = match &self.origin {
            Origin::Live { loaded, .. } => loaded.record.payload(),
            Origin::Absent | Origin::Retired => EMPTY,
        };
        self.patched(if self.is_destroyed { EMPTY } else { loaded })
    }

    /// What this request's changes make of a payload.
    pub(crate) fn patched<'a>(&self, payload: &'a [u8]) -> Result<Cow<'a, [u8]>, Error> {
        self.patches
            .iter()
            .try_fold(payload.into(), |payload: Cow<'_, [u8]>, patch| patch.apply(&payload).map(Cow::Owned))
    }

    /// Whether the changes lead anywhere: what one holder did, the next may have undone.
    fn is_changed(&self) -> bool {
        match (self.patches.as_slice(), &self.origin) {
            ([], _) => false,
            ([_], _) => true,
            (_, Origin::Live { loaded, .. }) => {
                self.payload().map_or(true, |payload| *payload != *loaded.record.payload())
            }
            _ => self.payload().map_or(true, |payload| *payload != *EMPTY),
        }
    }

    /// What there is to do with this visit after a good answer. One row of the table a line; no I/O, no clock.
    pub(crate) fn decide(&self) -> Deed {
        let changed = self.is_changed();
        match &self.origin {
            Origin::Live { .. } if self.is_destroyed => Deed::Forget,
            _ if self.is_destroyed && self.carried => Deed::Forget,
            _ if self.is_destroyed => Deed::Nothing,
            Origin::Retired => Deed::Nothing,
            Origin::Absent if changed => Deed::Create,
            Origin::Absent => Deed::Nothing,
            Origin::Live { .. } if self.is_renewed => Deed::Renew,
            Origin::Live { .. } if changed => Deed::Update,
            Origin::Live { loaded, age, .. } if *age == Age::Ageing || loaded.stale_key => Deed::Refresh,
            Origin::Live { .. } => Deed::Nothing,
        }
    }
}

/// A session that holds nothing.
pub(crate) const EMPTY: &[u8] = b"{}";

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::Record;
    use crate::store::Version;

    fn live(age: Age, stale_key: bool) -> Origin {
        let record = Record::new(b"{}".to_vec(), UNIX_EPOCH + Duration::from_secs(1000)).unwrap();
        let loaded = Loaded { record, version: Version::default(), stale_key };
        Origin::Live { token: Token::parse(b"AA").unwrap(), loaded, age }
    }

    fn absent() -> Origin {
        Origin::Absent
    }

    /// The decision table, whole: SL1 to SL9 and CA6 rest on it.
    #[test]
    fn the_decision_table() {
        const CHANGED: u8 = 1;
        const RENEWED: u8 = 2;
        const DESTROYED: u8 = 4;
        const CARRIED: u8 = 8;
        for (name, origin, marks, deed) in [
            ("anonymous, read", absent(), 0, Deed::Nothing),
            ("anonymous, written", absent(), CHANGED, Deed::Create),
            ("anonymous, renewed", absent(), RENEWED, Deed::Nothing),
            ("anonymous, renewed and written", absent(), RENEWED | CHANGED, Deed::Create),
            ("anonymous, destroyed", absent(), DESTROYED, Deed::Nothing),
            ("unreadable cookie, read", absent(), CARRIED, Deed::Nothing),
            ("unreadable cookie, written", absent(), CARRIED | CHANGED, Deed::Create),
            ("unreadable cookie, destroyed", absent(), CARRIED | DESTROYED, Deed::Forget),
            ("retired, read", Origin::Retired, CARRIED, Deed::Nothing),
            ("retired, written", Origin::Retired, CARRIED | CHANGED, Deed::Nothing),
            ("retired, renewed", Origin::Retired, CARRIED | RENEWED | CHANGED, Deed::Nothing),
            ("retired, destroyed", Origin::Retired, CARRIED | DESTROYED, Deed::Forget),
            ("young, read", live(Age::Young, false), CARRIED, Deed::Nothing),
            ("ageing, read", live(Age::Ageing, false), CARRIED, Deed::Refresh),
            ("old key, read", live(Age::Young, true), CARRIED, Deed::Refresh),
            ("young, written", live(Age::Young, false), CARRIED | CHANGED, Deed::Update),
            ("ageing, written", live(Age::Ageing, true), CARRIED | CHANGED, Deed::Update),
            ("renewed", live(Age::Young, false), CARRIED | RENEWED, Deed::Renew),
            ("renewed and written", live(Age::Young, false), CARRIED | RENEWED | CHANGED, Deed::Renew),
            ("destroyed", live(Age::Young, false), CARRIED | DESTROYED, Deed::Forget),
            ("destroyed wins", live(Age::Ageing, true), CARRIED | DESTROYED | CHANGED | RENEWED, Deed::Forget),
        ] {
            let mut visit = Visit::new(origin, marks & CARRIED != 0);
            visit.is_renewed = marks & RENEWED != 0;
            visit.is_destroyed = marks & DESTROYED != 0;
            if marks & CHANGED != 0 {
                visit.patches.extend(Patch::between(b"{}".into(), br#"{"a":1}"#.into(), b"{}", false).unwrap());
            }
            assert_eq!(visit.decide(), deed, "{name}");
        }
    }
}
