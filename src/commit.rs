//! Carrying out what a visit has decided: at most two questions to the store in the good case.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use http::HeaderValue;
use tracing::debug;

use crate::ask::ask;
use crate::layer::Conflict;
use crate::metrics::Count;
use crate::slot::Slot;
use crate::store::{Call, Loaded, Retired, Update};
use crate::visit::{Deed, Origin, Visit};
use crate::{Error, ErrorKind, Record, Token};

/// What the answer carries of a commit.
pub(crate) enum Stamp {
    Nothing,
    Set(HeaderValue),
}

/// Carries out what this visit has decided.
pub(crate) async fn commit(slot: Arc<Slot>, visit: Box<Visit>) -> Result<Stamp, Error> {
    let call = slot.call_to_commit();
    match (visit.decide(), &visit.origin) {
        (Deed::Forget, _) => forget(&slot, &call, &visit).await,
        (Deed::Create, _) => create(&slot, &call, visit.payload()?).await,
        (Deed::Renew, Origin::Live { token, loaded, .. }) => renew(&slot, &call, &visit, token, loaded).await,
        (deed @ (Deed::Update | Deed::Refresh), Origin::Live { token, loaded, .. }) => {
            update(&slot, &call, &visit, deed, token, loaded).await
        }
        _ => Ok(Stamp::Nothing),
    }
}

async fn forget(slot: &Slot, call: &Call, visit: &Visit) -> Result<Stamp, Error> {
    let own = match &visit.origin {
        Origin::Live { token, loaded, .. } => Some((token, Some(loaded.version))),
        // Whoever still holds a renewed id must not be able to end the session that took its place.
        Origin::Absent | Origin::Retired => None,
    };
    let mut is_any = false;
    for (token, seen) in own.into_iter().chain(visit.others.iter().map(|token| (token, None))) {
        ask(slot, call, "delete", slot.settings.store.delete(token, seen, call)).await?;
        debug!(session = token.fingerprint(), "session destroyed");
        is_any = true;
    }
    if is_any {
        slot.count(Count::Destroyed);
    }
    Ok(Stamp::Set(slot.settings.lines.removal()))
}

async fn create(slot: &Slot, call: &Call, payload: Cow<'_, [u8]>) -> Result<Stamp, Error> {
    let record = Record::new(payload.into_owned(), call.now())?;
    let token = ask(slot, call, "create", slot.settings.store.create(&record, call)).await?;
    slot.know(&token);
    slot.count(Count::Created);
    debug!(session = token.fingerprint(), "session created");
    set(slot, call, &token, &record)
}

/// The new record comes first: should the store fail in between, the old session is still there.
async fn renew(slot: &Slot, call: &Call, visit: &Visit, old: &Token, loaded: &Loaded) -> Result<Stamp, Error> {
    let store = &slot.settings.store;
    let (mut payload, mut seen) = (visit.payload()?.into_owned(), loaded.version);
    loop {
        let record = Record::new(payload, call.now())?;
        let token = ask(slot, call, "create", store.create(&record, call)).await?;
        let theirs = match ask(slot, call, "retire", store.retire(old, seen, &token, call)).await? {
            Retired::Done => {
                slot.count(Count::Renewed);
                note_old_key(slot, loaded);
                debug!(session = token.fingerprint(), before = old.fingerprint(), "session renewed");
                return set(slot, call, &token, &record);
            }
            Retired::Conflict(theirs) => {
                slot.count(Count::Conflicts);
                Some(theirs)
            }
            Retired::Gone => None,
        };
        // What was made of an older version must not stay behind.
        ask(slot, call, "delete", store.delete(&token, None, call)).await?;
        let Some(theirs) = theirs else {
            // Somebody logged out, or renewed it first: their answer stands, and no new session outlives it.
            debug!(session = old.fingerprint(), "session not renewed: it is gone");
            return Ok(Stamp::Nothing);
        };
        payload = settled(slot, visit, &theirs)?;
        seen = theirs.version;
        once_more(call).await?;
    }
}

async fn update(
    slot: &Slot,
    call: &Call,
    visit: &Visit,
    deed: Deed,
    token: &Token,
    loaded: &Loaded,
) -> Result<Stamp, Error> {
    let mut record = loaded.record.next(visit.payload()?.into_owned(), call.now())?;
    let mut seen = loaded.version;
    loop {
        let theirs = match ask(slot, call, "update", slot.settings.store.update(token, seen, &record, call)).await? {
            Update::Done(token) => {
                note_old_key(slot, loaded);
                return set(slot, call, &token, &record);
            }
            Update::Gone => {
                debug!(session = token.fingerprint(), "session not saved: it is gone");
                return Ok(Stamp::Nothing);
            }
            Update::Conflict(theirs) => {
                slot.count(Count::Conflicts);
                theirs
            }
        };
        if deed == Deed::Refresh {
            // Only to prolong it, which whoever was faster has done.
            return Ok(Stamp::Nothing);
        }
        record = theirs.record.next(settled(slot, visit, &theirs)?, call.now())?;
        seen = theirs.version;
        once_more(call).await?;
    }
}

/// What is stored after somebody else was faster, by the layer's policy.
fn settled(slot: &Slot, visit: &Visit, theirs: &Loaded) -> Result<Vec<u8>, Error> {
    match slot.settings.conflict {
        Conflict::Merge => visit.patched(theirs.record.payload()).map(Cow::into_owned),
        Conflict::Overwrite => visit.payload().map(Cow::into_owned),
        Conflict::Fail => Err(conflict("another request changed the session first")),
    }
}

/// Whether there is time to try again after somebody else was faster: each time somebody got on, so only time ends it.
async fn once_more(call: &Call) -> Result<(), Error> {
    if Instant::now() >= call.deadline() {
        return Err(conflict("other requests changed the session first, one after the other until the time was over"));
    }
    // A store that answers at once must not keep the runtime to itself meanwhile.
    tokio::task::yield_now().await;
    Ok(())
}

/// Counts a session that an old key had sealed, and that is sealed anew.
fn note_old_key(slot: &Slot, loaded: &Loaded) {
    if let Some(tally) = slot.tally().filter(|_| loaded.stale_key) {
        tally.resealed();
    }
}

fn conflict(message: &'static str) -> Error {
    Error::new(ErrorKind::Conflict, message)
}

fn set(slot: &Slot, call: &Call, token: &Token, record: &Record) -> Result<Stamp, Error> {
    let left = slot.settings.lifetime.absolute_left(record, call.now());
    slot.settings.lines.set(token, left).map(Stamp::Set)
}
