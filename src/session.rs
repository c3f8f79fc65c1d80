//! What a handler holds: [`Session`].

use std::{
    any::type_name,
    fmt,
    future::Future,
    marker::PhantomData,
    mem,
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Instant,
};

use http::{Extensions, HeaderMap, Request};
use serde::{Serialize, de::DeserializeOwned};
use tracing::{debug, warn};

use crate::ask::ask as ask_store;
use crate::cookie::Candidates;
use crate::lifetime::Age;
use crate::merge::Patch;
use crate::metrics::{Count, Reason};
use crate::slot::Slot;
use crate::store::{Call, Found};
use crate::values::Values;
use crate::visit::{EMPTY, Origin, Visit};
use crate::{Error, ErrorKind};

/// What a session can hold: anything that serde takes to a JSON object and back, and that can begin empty.
pub trait Data: Default + Serialize + DeserializeOwned + Send + 'static {}

impl<T: Default + Serialize + DeserializeOwned + Send + 'static> Data for T {}

/// A request's session: use it as the data that it holds.
///
/// `Session<Cart>` is a `Cart`, `Session` alone is a map of JSON values ([`Values`]). Asking for it awaits the store;
/// using it does not. What changed is found when it is dropped, and saved once the handler has answered.
///
/// ```
/// use http::{Request, Response};
/// use lambda_session::{Error, Session};
///
/// #[derive(Default, serde::Serialize, serde::Deserialize)]
/// struct Cart { items: Vec<u32> }
///
/// async fn add(request: Request<String>) -> Result<Response<String>, Error> {
///     let mut cart: Session<Cart> = Session::of(&request).await?;
///     cart.items.push(7);
///     Ok(Response::new(format!("{} items", cart.items.len())))
/// }
/// ```
///
/// The answer decides whether a session is saved: one below 500 saves it, 400 and 404 too, and so does an `Err` of which axum
/// makes such an answer. After 5xx, a panic or a service that fails nothing is saved, and no cookie is set; the same after 408, which is what a
/// time limit answers that has cut the handler off half way. A session is held
/// by one at a time: a second ask is [`ErrorKind::InUse`], never a deadlock. Data that does not fit `T` is an empty session, replaced only if the handler
/// writes. Keys that `T` does not know are kept.
///
/// Use after logout does not compile:
///
/// ```compile_fail
/// # async fn logout(session: lambda_session::Session) {
/// lambda_session::Session::destroy(session);
/// session.is_empty();
/// # }
/// ```
pub struct Session<T = Values> {
    data: T,
    /// What `data` encoded to right after it was decoded.
    baseline: Vec<u8>,
    is_misfit: bool,
    visit: Option<Box<Visit>>,
    slot: Arc<Slot>,
    encode: fn(&T) -> Result<Vec<u8>, Error>,
    /// Whether this text decodes.
    fits: fn(&[u8]) -> bool,
}

/// The request's slot in its extensions, under the type of the session that it is for.
pub(crate) struct Handle<T> {
    pub(crate) slot: Arc<Slot>,
    pub(crate) of: PhantomData<fn() -> T>,
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        Self { slot: self.slot.clone(), of: PhantomData }
    }
}

impl<T: Data> Session<T> {
    /// The session of this request. The returned future does not borrow the request.
    ///
    /// Costs one `load` of the store at the first ask of a request, nothing at a later one; with a cookie store no
    /// I/O at all.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] if the store gives no answer, [`ErrorKind::InUse`] while a session of this request
    /// is held elsewhere, [`ErrorKind::MissingLayer`] if no [`SessionLayer<T>`](crate::SessionLayer) stands before
    /// the handler, [`ErrorKind::Escaped`] after the handler has answered, [`ErrorKind::Data`] if `T` does not encode
    /// to a JSON object.
    pub fn of<B>(request: &Request<B>) -> impl Future<Output = Result<Self, Error>> + Send + use<T, B> {
        Self::of_parts(request.headers(), request.extensions())
    }

    /// The same for a request that was taken apart: what an extractor of another framework needs.
    ///
    /// # Errors
    ///
    /// As [`Session::of`].
    pub fn of_parts(
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> impl Future<Output = Result<Self, Error>> + Send + use<T> {
        let asked = ask::<T>(headers, extensions);
        async move {
            let (slot, candidates) = asked?;
            let visit = match slot.take()? {
                Some(visit) => visit,
                None => {
                    let visit = Opening { slot: &slot }.run(candidates).await?;
                    slot.opened()?;
                    Box::new(visit)
                }
            };
            Self::begin(slot, visit)
        }
    }

    /// Gives the session a new id when the handler has answered, with the same data and a new beginning: call it at
    /// login and at every change of rights. The old id ends at once, so whoever planted or copied it has nothing.
    ///
    /// The new beginning is that of its absolute lifetime too (`SESSION_ABSOLUTE`): renew where somebody has just proved who they
    /// are, and not merely to be on the safe side, else a session that is used never ends.
    ///
    /// With a cookie store there is no id; the cookie is made anew, and a copy of the old one lives to its end.
    ///
    /// ```
    /// # use lambda_session::{Error, Session};
    /// async fn login(mut session: Session) -> Result<&'static str, Error> {
    ///     Session::renew(&mut session);
    ///     session.insert("user", "alice")?;
    ///     Ok("welcome")
    /// }
    /// ```
    pub fn renew(session: &mut Self) {
        if let Some(visit) = &mut session.visit {
            visit.is_renewed = true;
        }
    }

    /// Logs out: ends the session in the store and in the browser once the handler has answered. It wins over
    /// everything else that happens to the session in this request and, in a server-side store, over all other requests in
    /// flight: what they would save is not saved, and a renewal's new session ends too.
    ///
    /// **With a cookie store a copy of the cookie lives to its end**: nothing can recall it, and of two answers the one
    /// that the browser gets last wins.
    ///
    /// ```
    /// # use lambda_session::Session;
    /// async fn logout(session: Session) -> &'static str {
    ///     Session::destroy(session);
    ///     "goodbye"
    /// }
    /// ```
    pub fn destroy(mut session: Self) {
        if let Some(visit) = &mut session.visit {
            visit.is_destroyed = true;
        }
    }

    fn begin(slot: Arc<Slot>, visit: Box<Visit>) -> Result<Self, Error> {
        // From here on dropping the guard gives the visit back, also on an early return.
        let held = Held { slot: &slot, visit: Some(visit) };
        let payload = held.visit.as_ref().map_or_else(|| Ok(EMPTY.into()), |visit| visit.payload())?;
        let is_empty = *payload == *EMPTY;
        // What stands for nothing begins as the type's default, which may have fields that serde would ask for.
        let decoded = if is_empty { None } else { serde_json::from_slice(&payload).ok() };
        let is_misfit = !is_empty && decoded.is_none();
        if is_misfit && slot.settings.notices.misfit.is_due(slot.now()) {
            warn!(
                "a session's data does not fit {}: it counts as empty and is replaced when the handler writes",
                type_name::<T>()
            );
        }
        let data: T = decoded.unwrap_or_default();
        let baseline = encode(&data)?;
        let visit = held.release();
        let fits = |json: &[u8]| serde_json::from_slice::<T>(json).is_ok();
        Ok(Self { data, baseline, is_misfit, visit, slot, encode, fits })
    }
}

/// What a session encodes to: a JSON object.
fn encode<T: Serialize>(data: &T) -> Result<Vec<u8>, Error> {
    let json = serde_json::to_vec(data)
        .map_err(|error| Error::new(ErrorKind::Data, "cannot encode the session").with_source(error))?;
    if json.first() != Some(&b'{') {
        return Err(Error::new(ErrorKind::Data, "a session encodes to a JSON object: make it a struct or a map"));
    }
    Ok(json)
}

impl<T> Deref for Session<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.data
    }
}

impl<T> DerefMut for Session<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.data
    }
}

/// The type, never the data.
impl<T> fmt::Debug for Session<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session<{}>", type_name::<T>())
    }
}

/// Gives the session back to its request, with what changed.
impl<T> Drop for Session<T> {
    fn drop(&mut self) {
        let Some(mut visit) = self.visit.take() else { return };
        if std::thread::panicking() {
            // The handler's answer is lost, so nothing is saved; encoding now could panic again and abort.
            return self.slot.lose();
        }
        if visit.is_destroyed {
            // Whoever asks again in this request begins with nothing.
            visit.patches.clear();
            visit.failure = None;
            return self.slot.give_back(visit);
        }
        let baseline = mem::take(&mut self.baseline);
        let patch = (self.encode)(&self.data)
            .and_then(|result| Patch::between(baseline, result, &visit.payload()?, self.is_misfit))
            .and_then(|patch| patch.map(|patch| patch.fitting(&visit.payload()?, self.fits)).transpose());
        match patch {
            Ok(patch) => visit.patches.extend(patch),
            Err(error) => visit.failure = Some(error),
        }
        self.slot.give_back(visit);
    }
}

/// Gives a visit back if a session cannot be made of it.
struct Held<'a> {
    slot: &'a Slot,
    visit: Option<Box<Visit>>,
}

impl Held<'_> {
    fn release(mut self) -> Option<Box<Visit>> {
        self.visit.take()
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(visit) = self.visit.take() {
            self.slot.give_back(visit);
        }
    }
}

/// The part of an ask that needs the request: it awaits nothing and takes nothing.
fn ask<T: 'static>(headers: &HeaderMap, extensions: &Extensions) -> Result<(Arc<Slot>, Candidates), Error> {
    let handle = extensions.get::<Handle<T>>().ok_or_else(|| {
        Error::new(
            ErrorKind::MissingLayer,
            format!(
                "no SessionLayer<{0}> stands before this handler: add .layer(SessionLayer::<{0}>…)",
                type_name::<T>()
            ),
        )
    })?;
    let candidates = Candidates::of(headers, &handle.slot.settings.name);
    Ok((handle.slot.clone(), candidates))
}

/// Asks the store what a request's cookies stand for. Dropped half way, it lets somebody else ask.
struct Opening<'a> {
    slot: &'a Slot,
}

impl Opening<'_> {
    async fn run(self, candidates: Candidates) -> Result<Visit, Error> {
        let start = Instant::now();
        if let Some(tally) = self.slot.tally() {
            tally.asked();
        }
        let opened = open(self.slot, candidates).await;
        self.slot.spend(start);
        match opened {
            Ok(visit) => {
                mem::forget(self);
                Ok(visit)
            }
            Err(error) => {
                if error.kind() == ErrorKind::Unavailable {
                    self.slot.abandoned(Some(&error));
                }
                Err(error)
            }
        }
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.slot.abandoned(None);
    }
}

async fn open(slot: &Slot, candidates: Candidates) -> Result<Visit, Error> {
    let (settings, call) = (&slot.settings, slot.call());
    if candidates.carried && candidates.tokens.is_empty() {
        refuse(slot, Reason::Malformed);
    }
    let (mut origin, mut is_ambiguous, mut others) = (None, false, Vec::new());
    for token in candidates.tokens {
        let refused = slot.tally().map_or(0, |tally| tally.refusals());
        match ask_store(slot, &call, "load", settings.store.load(&token, &call)).await? {
            Found::Live(loaded) => match settings.lifetime.age(&loaded.record, call.now()) {
                age @ (Age::Young | Age::Ageing) => {
                    if let Some(Origin::Live { token, .. }) = origin.replace(Origin::Live { token, loaded, age }) {
                        is_ambiguous = true;
                        others.push(token)
                    }
                }
                over => {
                    debug!(session = token.fingerprint(), "session refused: {over:?}");
                    if let Some(reason) = Reason::of(over) {
                        refuse(slot, reason);
                    }
                    // By this clock it is over; by that of another environment it may live.
                    others.push(token);
                }
            },
            Found::Retired => {
                refuse(slot, Reason::Retired);
                origin.get_or_insert(Origin::Retired);
            }
            Found::Nothing => {
                debug!(session = token.fingerprint(), "session refused: it stands for nothing");
                // What the keys refused is counted; else the store has nothing under a token that is good.
                if slot.tally().is_some_and(|tally| tally.refusals() == refused) {
                    refuse(slot, Reason::Gone);
                }
            }
        }
    }
    if is_ambiguous {
        if let Some(Origin::Live { token, .. }) = origin.take() {
            others.push(token);
        }
        refuse(slot, Reason::Ambiguous);
        warn_ambiguous(slot, &call);
    }
    if let Some(Origin::Live { token, .. }) = &origin {
        slot.know(token);
        slot.count(Count::Restored);
    }
    let mut visit = Visit::new(origin.unwrap_or(Origin::Absent), candidates.carried);
    visit.others = others;
    Ok(visit)
}

fn refuse(slot: &Slot, reason: Reason) {
    if let Some(tally) = slot.tally() {
        tally.refuse(reason);
    }
}

fn warn_ambiguous(slot: &Slot, call: &Call) {
    if slot.settings.notices.ambiguous.is_due(call.now()) {
        warn!(
            "a request carried two different sessions in cookies named {}: it counts as having none; another host or \
             path of this domain sets the same name, or the domain or path was changed and the name was not",
            call.cookie()
        );
    }
}
