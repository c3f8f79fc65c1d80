//! Carrying out what a visit has decided: at most two questions to the store in the good case.

use std::borrow::Cow;
use std::sync::Arc;

use http::HeaderValue;
use tracing::debug;

use crate::cookie::absolute_left;
use crate::layer::Conflict;
use crate::service::within;
use crate::slot::{Deed, Origin, Slot, Visit};
use crate::store::{Call, Loaded, Retired, Update};
use crate::{Error, ErrorKind, Record, Token};

/// How often one commit meets somebody who was faster before it gives up: each time somebody else got on, so this many
/// means more writers at once than one session has.
const CONFLICT_LIMIT: usize = 16;

/// What the answer carries of a commit.
pub(crate) enum Stamp {
    Nothing,
    Set(HeaderValue),
}

/// Carries out what this visit has decided.
pub(crate) async fn commit(slot: Arc<Slot>, visit: Box<Visit>) -> Result<Stamp, Error> {
    let call = slot.call();
    match (visit.decide(), &visit.origin) {
        (Deed::Forget, origin) => forget(&slot, &call, origin).await,
        (Deed::Create, _) => create(&slot, &call, visit.payload()?).await,
        (Deed::Renew, Origin::Live { token, .. }) => renew(&slot, &call, token, visit.payload()?).await,
        (Deed::Update | Deed::Refresh, Origin::Live { token, loaded, .. }) => {
            update(&slot, &call, &visit, token, loaded).await
        }
        _ => Ok(Stamp::Nothing),
    }
}

async fn forget(slot: &Slot, call: &Call, origin: &Origin) -> Result<Stamp, Error> {
    let tokens = match origin {
        Origin::Live { token, .. } => std::slice::from_ref(token),
        Origin::Absent { ambiguous } => ambiguous.as_slice(),
        Origin::Retired => &[],
    };
    for token in tokens {
        within(call, slot.settings.store.delete(token, call)).await?;
        debug!(session = token.fingerprint(), "session destroyed");
    }
    Ok(Stamp::Set(slot.settings.lines.removal()))
}

async fn create(slot: &Slot, call: &Call, payload: Cow<'_, [u8]>) -> Result<Stamp, Error> {
    let record = Record::new(payload.into_owned(), call.now())?;
    let token = within(call, slot.settings.store.create(&record, call)).await?;
    debug!(session = token.fingerprint(), "session created");
    set(slot, call, &token, &record)
}

/// The new record comes first: should the store fail in between, the old session is still there.
async fn renew(slot: &Slot, call: &Call, old: &Token, payload: Cow<'_, [u8]>) -> Result<Stamp, Error> {
    let store = &slot.settings.store;
    let record = Record::new(payload.into_owned(), call.now())?;
    let token = within(call, store.create(&record, call)).await?;
    match within(call, store.retire(old, call)).await? {
        Retired::Done => {
            debug!(session = token.fingerprint(), before = old.fingerprint(), "session renewed");
            set(slot, call, &token, &record)
        }
        Retired::Gone => {
            // Somebody logged out, or renewed it first: their answer stands, and this new session must not outlive it.
            within(call, store.delete(&token, call)).await?;
            debug!(session = old.fingerprint(), "session not renewed: it is gone");
            Ok(Stamp::Nothing)
        }
    }
}

async fn update(slot: &Slot, call: &Call, visit: &Visit, token: &Token, loaded: &Loaded) -> Result<Stamp, Error> {
    let settings = &slot.settings;
    let mut record = loaded.record.next(visit.payload()?.into_owned(), call.now())?;
    let mut seen = loaded.version;
    for _ in 0..CONFLICT_LIMIT {
        let theirs = match within(call, settings.store.update(token, seen, &record, call)).await? {
            Update::Done(token) => return set(slot, call, &token, &record),
            Update::Gone => {
                debug!(session = token.fingerprint(), "session not saved: it is gone");
                return Ok(Stamp::Nothing);
            }
            Update::Conflict(theirs) => theirs,
        };
        if visit.patches.is_empty() {
            // Only to prolong it, which whoever was faster has done.
            return Ok(Stamp::Nothing);
        }
        let merged = match settings.conflict {
            Conflict::Merge => visit.patched(theirs.record.payload())?.into_owned(),
            Conflict::Overwrite => visit.payload()?.into_owned(),
            Conflict::Fail => return Err(conflict("another request changed the session first")),
        };
        record = theirs.record.next(merged, call.now())?;
        seen = theirs.version;
    }
    Err(conflict("too many requests change this session at once"))
}

fn conflict(message: &'static str) -> Error {
    Error::new(ErrorKind::Conflict, message)
}

fn set(slot: &Slot, call: &Call, token: &Token, record: &Record) -> Result<Stamp, Error> {
    let left = absolute_left(&slot.settings.lifetime, record.created(), call.now());
    slot.settings.lines.set(token, left).map(Stamp::Set)
}
