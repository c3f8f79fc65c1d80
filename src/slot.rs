//! One request's place for its session.
//!
//! A [`Slot`] goes into the request's extensions. A session takes the [`Visit`] out of it and gives it back when it is
//! dropped; when the handler has answered, the slot is closed and [`Visit::decide`] says what to do.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use tracing::Span;

use crate::layer::Settings;
use crate::metrics::{Count, Tally};
use crate::store::Call;
use crate::visit::Visit;
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
