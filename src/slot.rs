//! One request's place for its session, and the decision what becomes of it.
//!
//! A [`Slot`] goes into the request's extensions. A session takes the [`Visit`] out of it and gives it back when it is
//! dropped; when the handler has answered, the slot is closed and [`decide`] says what to do.

use std::{
    borrow::Cow,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use tracing::Span;

use crate::layer::Settings;
use crate::lifetime::Age;
use crate::merge::Patch;
use crate::metrics::{Count, Tally};
use crate::store::{Call, Loaded};
use crate::{Error, ErrorKind, Token};

/// The most time that a store can be given for one request: as long as an invocation lasts (Lambda quotas: 900 s).
const LONGEST: Duration = Duration::from_secs(900);

/// One request's place for its session.
pub(crate) struct Slot {
    pub(crate) settings: Arc<Settings>,
    now: SystemTime,
    /// When an answer of the store is too late for this invocation.
    end: Option<Instant>,
    /// What the store has taken of its time in this request so far, in nanoseconds.
    spent: AtomicU64,
    /// The part of it that calls on open connections have taken.
    warm: OnceLock<Arc<AtomicU64>>,
    /// What is counted of this request, if anything is.
    tally: Option<Arc<Tally>>,
    /// In which everything of this request is logged.
    pub(crate) span: Span,
    /// Whether the span has the session's hash.
    is_known: AtomicBool,
    state: Mutex<State>,
}

enum State {
    /// Nobody has asked.
    Unasked,
    /// Somebody is asking.
    Opening,
    /// A session is out.
    Held,
    /// The session is back, with what became of it.
    Back(Box<Visit>),
    /// The store gave no answer, and why; it is not asked twice in one request.
    Unavailable(Arc<str>),
    /// A handler panicked while it held the session: nothing of it is saved, whoever catches the panic.
    Lost,
    /// The handler has answered.
    Closed,
}

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

/// How the slot stood when the handler had answered.
pub(crate) enum Closing {
    /// Nobody asked for the session.
    Untouched,
    /// The store gave no answer to who asked, and why.
    Unavailable(Arc<str>),
    /// A handler panicked while it held the session.
    Lost,
    /// A session is still out.
    Escaped,
    /// What one or more handlers have done to it.
    Visited(Box<Visit>),
}

impl Slot {
    /// A slot for the request with this id, if it has one; `span` is that of its log lines.
    pub(crate) fn new(
        settings: Arc<Settings>,
        now: SystemTime,
        end: Option<Instant>,
        request_id: Option<&str>,
        span: Span,
    ) -> Self {
        let tally = settings.metrics.as_ref().map(|_| Arc::new(Tally::new(request_id.unwrap_or_default())));
        Self {
            settings,
            now,
            end,
            spent: AtomicU64::new(0),
            warm: OnceLock::new(),
            tally,
            span,
            is_known: AtomicBool::new(false),
            state: Mutex::new(State::Unasked),
        }
    }

    /// Where to count, if anybody wants to know.
    pub(crate) fn tally(&self) -> Option<&Arc<Tally>> {
        self.tally.as_ref()
    }

    pub(crate) fn count(&self, count: Count) {
        if let Some(tally) = &self.tally {
            tally.count(count);
        }
    }

    /// Hands on what was counted.
    pub(crate) fn tell(&self) {
        if let (Some(metrics), Some(tally)) = (&self.settings.metrics, &self.tally) {
            metrics.write(tally, self.now);
        }
    }

    /// It is known now whose session this request is about: log lines and counts tell it by a hash of its token.
    pub(crate) fn know(&self, token: &Token) {
        if (self.tally.is_none() && self.span.is_disabled()) || self.is_known.swap(true, Ordering::Relaxed) {
            return;
        }
        let hash = token.fingerprint();
        self.span.record("session.id_hash", hash.as_str());
        if let Some(tally) = &self.tally {
            tally.session(&hash);
        }
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.now
    }

    /// The call that the questions to the store carry which begin now: they share what is left of the store's time. The
    /// handler's own time is not theirs.
    pub(crate) fn call(&self) -> Call {
        self.call_at(self.now)
    }

    /// The call for what is saved once the handler has answered. It is dated anew, for the handler may have taken minutes: a
    /// session lives from when it is saved, a renewed id is remembered from when it is renewed. Never before the request,
    /// whatever the clock did meanwhile.
    pub(crate) fn call_to_commit(&self) -> Call {
        self.call_at((self.settings.clock)().max(self.now))
    }

    fn call_at(&self, time: SystemTime) -> Call {
        let settings = &self.settings;
        let spent = Duration::from_nanos(self.spent.load(Ordering::Relaxed));
        let now = Instant::now();
        let longest = settings.store_timeout.min(LONGEST);
        let deadline = now.checked_add(longest.saturating_sub(spent)).unwrap_or(now);
        let deadline = self.end.map_or(deadline, |end| end.min(deadline));
        Call::new(time, deadline, settings.lifetime, settings.name.clone(), settings.scope.clone())
            .sharing(self.warm.get_or_init(Arc::default).clone())
    }

    /// Counts what the store has taken since `start` against its time.
    pub(crate) fn spend(&self, start: Instant) {
        let nanoseconds = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.spent.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// Takes the visit for a session. `Ok(None)`: nobody has asked before, so the store must be asked, and
    /// [`Slot::opened`] or [`Slot::abandoned`] told how that went.
    pub(crate) fn take(&self) -> Result<Option<Box<Visit>>, Error> {
        let mut state = self.state();
        match mem::replace(&mut *state, State::Held) {
            State::Back(visit) => Ok(Some(visit)),
            State::Unasked => {
                *state = State::Opening;
                Ok(None)
            }
            held @ (State::Held | State::Opening) => {
                *state = held;
                Err(Error::new(
                    ErrorKind::InUse,
                    "the session is already held in this request: drop it before asking again, or pass it on",
                ))
            }
            State::Unavailable(cause) => {
                let error = unavailable(&cause);
                *state = State::Unavailable(cause);
                Err(error)
            }
            State::Lost => {
                *state = State::Lost;
                Err(lost())
            }
            State::Closed => {
                *state = State::Closed;
                Err(answered())
            }
        }
    }

    /// The store has answered: the visit goes to a session, unless the handler has finished meanwhile.
    pub(crate) fn opened(&self) -> Result<(), Error> {
        let mut state = self.state();
        match *state {
            State::Opening => {
                *state = State::Held;
                Ok(())
            }
            _ => Err(answered()),
        }
    }

    /// Whoever was asking went away; somebody else may ask, unless the store gave no answer.
    pub(crate) fn abandoned(&self, unavailable: Option<&Error>) {
        let mut state = self.state();
        if matches!(*state, State::Opening) {
            *state = unavailable.map_or(State::Unasked, |cause| State::Unavailable(format!("{cause:?}").into()));
        }
    }

    /// A session gives its visit back. After the handler has answered nothing is taken any more.
    pub(crate) fn give_back(&self, visit: Box<Visit>) {
        let mut state = self.state();
        if matches!(*state, State::Held) {
            *state = State::Back(visit);
        }
    }

    /// A session is dropped by a panic.
    pub(crate) fn lose(&self) {
        let mut state = self.state();
        if matches!(*state, State::Held) {
            *state = State::Lost;
        }
    }

    /// The handler has answered: no session is given out or taken back any more.
    pub(crate) fn close(&self) -> Closing {
        match mem::replace(&mut *self.state(), State::Closed) {
            State::Unasked | State::Opening | State::Closed => Closing::Untouched,
            State::Unavailable(cause) => Closing::Unavailable(cause),
            State::Held => Closing::Escaped,
            State::Lost => Closing::Lost,
            State::Back(visit) => Closing::Visited(visit),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

pub(crate) fn unavailable(cause: &str) -> Error {
    Error::new(ErrorKind::Unavailable, "the session store gave no answer earlier in this request").with_source(cause)
}

pub(crate) fn lost() -> Error {
    Error::new(ErrorKind::Escaped, "a handler panicked while it held the session: nothing of it is saved")
}

pub(crate) fn escaped() -> Error {
    Error::new(
        ErrorKind::Escaped,
        "a session outlived the handler it was given to: drop it before answering, what it holds is not saved",
    )
}

fn answered() -> Error {
    Error::new(
        ErrorKind::Escaped,
        "the handler has answered: ask for the session before, its cookie leaves with the head of the answer",
    )
}

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
