//! What each command makes of a ring, and what that does to people's sessions: decided here, without a clock, a wire or
//! a terminal.

use std::time::{Duration, SystemTime};

use lambda_session::Error;

use crate::duration::span;
use crate::keys::ring::{Ring, State, whole_second, written};

/// After so long every environment has asked for the ring again: 300 s and a fifth (DESIGN.md).
pub(crate) const KNOWN_AFTER: Duration = Duration::from_secs(360);
/// Two such intervals, and 60 s by which clocks may differ: a key seals no sooner after it was written.
pub(crate) const SAFE_AFTER: Duration = Duration::from_secs(780);
/// When a new key seals, if nobody says otherwise.
pub(crate) const DEFAULT_LEAD: Duration = Duration::from_secs(900);

/// How a line begins that says whom a command hurts.
pub(crate) const HURTS: &str = "this hurts: ";

/// What a command must know besides the ring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) now: SystemTime,
    /// When the parameter was written last: since then environments can have known its keys.
    pub(crate) written: SystemTime,
    /// What the parameter holds at most.
    pub(crate) limit_bytes: usize,
}

/// What is to be written, and what it does.
#[derive(Debug)]
pub(crate) enum Plan {
    Write { ring: Ring, effects: Vec<String> },
    Nothing(String),
}

/// Why a command is not carried out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It asks for what would harm.
    Usage(String),
    /// The ring does not allow it.
    Ring(String),
}

/// Whether a key waits until every environment knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Haste {
    Safe,
    Now,
}

/// A first ring.
pub(crate) fn init(facts: Facts, fresh: &str) -> Result<Plan, Refusal> {
    let ring = Ring::of([(whole_second(facts.now), fresh)])?;
    let id = id(&ring, 0);
    let effects = vec![
        format!("key {id} is the first, and seals from now on"),
        "sessions that other secrets sealed do not open: `keys import` takes them along".into(),
    ];
    write(facts, ring, effects)
}

/// A ring of the secrets that a function had in its environment: the first seals, all open.
pub(crate) fn import(facts: Facts, current: &str, old: &[&str]) -> Result<Plan, Refusal> {
    // The old ones have always been there; they are retired from now on.
    let old_ones = old.iter().map(|secret| (SystemTime::UNIX_EPOCH, *secret));
    let ring = Ring::of(std::iter::once((whole_second(facts.now), current)).chain(old_ones))?;
    let mut effects = vec![format!("key {} is SECRET_KEY_BASE, and seals", id(&ring, 0))];
    effects.extend(ring.keys().skip(1).map(|key| format!("key {} is of SECRET_KEY_BASE_OLD, and opens", key.id)));
    effects.push(
        "nobody is logged out: functions that read the parameter open what functions with the .env sealed".into(),
    );
    write(facts, ring, effects)
}

/// A fresh key that seals from then on.
pub(crate) fn rotate(
    ring: &Ring,
    facts: Facts,
    lead: Option<Duration>,
    haste: Haste,
    fresh: &str,
) -> Result<Plan, Refusal> {
    let lead = lead.unwrap_or(if haste == Haste::Now { Duration::ZERO } else { DEFAULT_LEAD });
    if lead < SAFE_AFTER && haste == Haste::Safe {
        return Err(Refusal::Usage(format!(
            "--in {} is too soon: environments learn of a new key within {}, clocks differ by 1 min; give 13m or more, or \
             --now as well and read whom it hurts",
            span(lead),
            span(KNOWN_AFTER),
        )));
    }
    let time = later(facts.now, lead);
    let ring = &settled(ring, facts.now)?;
    let new = ring.with(time, fresh)?;
    let fresh = id(&new, 0);
    let before = id(ring, ring.sealing_place(facts.now));
    let mut effects = vec![format!("key {fresh} is new, and seals from {}", moment(time, facts.now))];
    if lead < SAFE_AFTER {
        effects.push(hurt(&fresh));
    } else {
        effects.push(format!(
            "nobody is logged out: every environment knows {fresh} by then, and what {before} sealed stays good and is \
             sealed by {fresh} on its next visit"
        ));
    }
    write(facts, new, effects)
}

/// The key that is next to seal does so as soon as every environment knows it.
pub(crate) fn promote(ring: &Ring, facts: Facts, haste: Haste) -> Result<Plan, Refusal> {
    let now = facts.now;
    let ring = &settled(ring, now)?;
    let waiting = (0..ring.keys().count()).filter(|place| ring.state(*place, now) == State::Accepted);
    let Some(place) = waiting.min_by_key(|place| not_before(ring, *place)) else {
        return Err(Refusal::Ring("no key waits to seal: `lambda-session keys rotate` adds one".into()));
    };
    let safe = later(facts.written, SAFE_AFTER).max(whole_second(now));
    let time = match haste {
        Haste::Safe => safe,
        Haste::Now => whole_second(now),
    };
    let time = time.max(after(ring, place, now));
    let planned = not_before(ring, place);
    let id = id(ring, place);
    if time >= planned {
        return Ok(Plan::Nothing(format!(
            "key {id} seals from {} already: sooner would be less than {} after the last write, {}",
            moment(planned, now),
            span(SAFE_AFTER),
            moment(facts.written, now)
        )));
    }
    let mut effects =
        vec![format!("key {id} seals from {}, and not from {} only", moment(time, now), written(planned))];
    if time < safe {
        effects.push(hurt(&id));
    } else {
        effects.push(format!("nobody is logged out: every environment knows {id} by then"));
    }
    write(facts, ring.with_time(place, time)?, effects)
}

/// The key that sealed before seals again.
pub(crate) fn rollback(ring: &Ring, facts: Facts) -> Result<Plan, Refusal> {
    let now = facts.now;
    let retired = (0..ring.keys().count()).rev().filter(|place| ring.state(*place, now) == State::Retired);
    // Of two alike the last that `max_by_key` meets, which is the upper line, since that one would seal.
    let Some(place) = retired.max_by_key(|place| not_before(ring, *place)) else {
        return Err(Refusal::Ring(
            "no key sealed before the one that seals now: there is nothing to go back to".into(),
        ));
    };
    // It was written by the last write or before, and by its own time or, where that was hurried, just then.
    let known = later(facts.written.min(not_before(ring, place)), SAFE_AFTER);
    let time = known.max(whole_second(now)).max(after(ring, place, now));
    let (again, current) = (id(ring, place), id(ring, ring.sealing_place(now)));
    let effects = vec![
        format!("key {again} seals again from {}; key {current} seals no more, and stays accepted", moment(time, now)),
        format!("nobody is logged out: what {current} sealed stays good, and is sealed by {again} on its next visit"),
    ];
    write(facts, ring.with_time(place, time)?, effects)
}

/// Keys that have been retired for longer than sessions live leave the ring.
pub(crate) fn prune(ring: &Ring, facts: Facts, older_than: Duration, lives: Duration) -> Result<Plan, Refusal> {
    let now = facts.now;
    // Until an environment has fetched the ring that retires a key it may still seal with it.
    let least = older_than.saturating_add(SAFE_AFTER);
    let has_passed = |since: SystemTime| now.duration_since(since).is_ok_and(|age| age >= least);
    let places: Vec<usize> =
        (0..ring.keys().count()).filter(|place| ring.retired_since(*place, now).is_some_and(has_passed)).collect();
    if places.is_empty() {
        return Ok(Plan::Nothing(format!("no key has been retired for {} or longer: nothing to prune", span(least))));
    }
    let since = |place: usize| ring.retired_since(place, now).map(|time| moment(time, now)).unwrap_or_default();
    let mut effects: Vec<_> = places
        .iter()
        .map(|place| format!("key {}, retired since {}, leaves the ring", id(ring, *place), since(*place)))
        .collect();
    effects.push(if older_than < lives {
        format!(
            "{HURTS}sessions live up to {} (SESSION_ABSOLUTE); those that these keys sealed and that were not \
             visited since are over",
            span(lives)
        )
    } else {
        format!("nobody is logged out: no session that lives {} or less is sealed by them any more", span(older_than))
    });
    write(facts, ring.without(&places)?, effects)
}

/// The keys of this id leave the ring at once, and what they sealed is over.
pub(crate) fn revoke(ring: &Ring, facts: Facts, key_id: &str, fresh: &str) -> Result<Plan, Refusal> {
    let now = facts.now;
    let wanted = key_id.to_ascii_lowercase();
    if wanted.len() != 4 || !wanted.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Refusal::Usage("a key id has four hex digits, as `lambda-session keys list` shows them".into()));
    }
    let places: Vec<usize> =
        ring.keys().enumerate().filter(|(_, key)| key.id == wanted).map(|(place, _)| place).collect();
    if places.is_empty() {
        let ids: Vec<_> = ring.keys().map(|key| key.id.as_str()).collect();
        return Err(Refusal::Ring(format!("there is no key {wanted} in the ring, only {}", ids.join(", "))));
    }
    let states: Vec<State> = places.iter().map(|place| ring.state(*place, now)).collect();
    let mut effects = vec![format!("key {wanted} leaves the ring")];
    effects.push(if states.contains(&State::Sealing) {
        format!(
            "every session that it sealed is over, within {} wherever SSM answers: these people log in again",
            span(KNOWN_AFTER)
        )
    } else if states.contains(&State::Retired) {
        format!(
            "sessions that were not visited since it retired are over, within {} wherever SSM answers",
            span(KNOWN_AFTER)
        )
    } else {
        "nobody is logged out: it has not sealed yet".into()
    });
    if places.len() == ring.keys().count() {
        let new = Ring::of([(whole_second(now), fresh)])?;
        effects.push(format!("key {} is new, since a ring is never empty", id(&new, 0)));
        effects.push(hurt(&id(&new, 0)));
        return write(facts, new, effects);
    }
    let left = ring.without(&places)?;
    let successor = left.sealing_place(now);
    if states.contains(&State::Sealing) && not_before(&left, successor) > now {
        effects.push(hurt(&id(&left, successor)));
    }
    write(facts, settled(&left, now)?, effects)
}

fn write(facts: Facts, ring: Ring, mut effects: Vec<String>) -> Result<Plan, Refusal> {
    let size = ring.text().len();
    if size > facts.limit_bytes {
        return Err(Refusal::Ring(format!(
            "the ring would have {size} bytes, and the parameter holds {}: `lambda-session keys prune` drops keys that \
             nobody needs",
            facts.limit_bytes
        )));
    }
    let seals = ring.outlook(facts.now).into_iter().map(|(time, place)| {
        let when = if time == facts.now { "now".into() } else { format!("from {}", moment(time, facts.now)) };
        format!("{} {when}", id(&ring, place))
    });
    let seals = format!("what seals: {}", seals.collect::<Vec<_>>().join(", "));
    effects.push(seals);
    Ok(Plan::Write { ring, effects })
}

fn hurt(id: &str) -> String {
    format!(
        "{HURTS}for up to {} there are environments that do not know {id} yet; each asks for the ring when it meets \
         an unknown key, once a minute, and in between takes a session that {id} sealed for none: that person may have to \
         log in again",
        span(KNOWN_AFTER)
    )
}

/// The same ring where some key's time has come. Where none has, the earliest seals, and a key that is added with an
/// earlier time would take its place at once, in environments that know it, and before the others do.
fn settled(ring: &Ring, now: SystemTime) -> Result<Ring, Refusal> {
    let sealing = ring.sealing_place(now);
    let time = not_before(ring, sealing).min(whole_second(now));
    Ok(ring.with_time(sealing, time)?)
}

/// The first second at which the key at this place seals before the one that seals now: of two alike the upper line does.
fn after(ring: &Ring, place: usize, now: SystemTime) -> SystemTime {
    let sealing = ring.sealing_place(now);
    later(not_before(ring, sealing), Duration::from_secs(u64::from(place > sealing)))
}

fn not_before(ring: &Ring, place: usize) -> SystemTime {
    ring.keys().nth(place).map_or(SystemTime::UNIX_EPOCH, |key| key.not_before)
}

fn id(ring: &Ring, place: usize) -> String {
    ring.keys().nth(place).map(|key| key.id.clone()).unwrap_or_default()
}

fn later(time: SystemTime, by: Duration) -> SystemTime {
    whole_second(time.checked_add(by).unwrap_or(time))
}

/// `time`, and how far that is from `now`.
fn moment(time: SystemTime, now: SystemTime) -> String {
    let text = written(whole_second(time));
    match time.duration_since(now) {
        Ok(Duration::ZERO) => format!("{text} (now)"),
        Ok(ahead) => format!("{text} (in {})", span(ahead)),
        Err(behind) => format!("{text} ({} ago)", span(behind.duration())),
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Ring(error.to_string())
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
