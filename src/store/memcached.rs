//! Sessions in ElastiCache for Memcached, behind a signed reference in the cookie.

use std::{fmt, time::Duration};

use crate::cookie::quoted;
use crate::keyring::Keyring;
use crate::memcached::{Added, Client, Deleted, Failure, FailureKind, Key, Limit, NodeId, Replaced, Ttl, Value};
use crate::merge::largest_keys;
use crate::random::{self, RandomSource};
use crate::seal::stored::{self, OVERHEAD_BYTES, Place, Stored};
use crate::seal::{self, Reference};
use crate::secrets::{Keys, Unsealed};
use crate::store::{
    Call, Found, GRACE, Loaded, RETIRED_FOR, Retired, SUCCEEDED_FOR, Store, Update, Version, binding, later,
};
use crate::token::SessionId;
use crate::{Error, ErrorKind, Record, Token};

/// The prefix of storage keys, unless set.
const PREFIX: &str = "s";
/// The longest prefix: with `:` and the hash of an id a key stays below memcached's 250 bytes.
const PREFIX_LIMIT_BYTES: usize = 200;
/// How many nodes a new session is offered to before it counts as unavailable.
const NODES_TRIED: usize = 3;

/// Keeps sessions in memcached, sealed; the cookie holds a signed reference.
///
/// A session that was ended is gone for everybody at once, and what a request does not change is not written. Costs: one
/// round trip for a session that is read (its time to live moves on in the same one), two for one that is read and written,
/// none for one that nobody asks for or whose reference is forged.
///
/// **A session stays on the node where it was made**; the reference names it. A node that is down makes its own sessions
/// unavailable (503), never empty and never another node's: a session that was logged out meanwhile would come back. A node
/// that is gone from the list has lost its sessions. Memcached keeps what it has room for: where it evicts, sessions end early.
///
/// ```no_run
/// use lambda_session::memcached::{Client, Settings};
/// use lambda_session::{SessionLayer, Values, keyring::{Keyring, Secret}, store::MemcachedStore};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new(Settings::new("shop.abc.cfg.euw1.cache.amazonaws.com:11211")?)?;
/// let keyring = Keyring::new([Secret::parse(&Secret::generate()?)?])?;
/// let sessions = SessionLayer::<Values>::new(MemcachedStore::new(client, keyring));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MemcachedStore {
    client: Client,
    keys: Keys,
    prefix: Box<str>,
    random: RandomSource,
}

/// Where one session is kept, and by whom its reference was sealed.
struct Spot {
    id: SessionId,
    node: NodeId,
    key: Key,
    is_stale: bool,
}

impl MemcachedStore {
    /// A store on this client, with these keys.
    pub fn new(client: Client, keys: impl Into<Keys>) -> Self {
        Self { client, keys: keys.into(), prefix: PREFIX.into(), random: random::system }
    }

    /// What storage keys begin with (`s`): applications that share a cluster are told apart by it when somebody looks.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] unless it is 1 to 200 characters of `A-Z a-z 0-9 : _ -`.
    pub fn prefix(mut self, prefix: &str) -> Result<Self, Error> {
        check_prefix(prefix)?;
        self.prefix = prefix.into();
        Ok(self)
    }

    /// Takes ids and nonces from another source: for tests of what happens without random bytes.
    pub fn with_random(mut self, random: RandomSource) -> Self {
        self.random = random;
        self
    }

    /// The same sessions under another ring, as after a rotation.
    pub fn rotated(&self, keys: impl Into<Keys>) -> Self {
        Self { keys: keys.into(), ..self.clone() }
    }

    /// Where the session is that a token names; `None` for one that we did not make. Costs no round trip.
    async fn find(&self, token: &Token, call: &Call) -> Result<Option<(Spot, Keyring)>, Error> {
        let opened = self.keys.open(call, |ring| seal::dereference(ring, binding(call), token)).await?;
        let Some(Unsealed { inner: reference, is_stale, ring }) = opened else { return Ok(None) };
        Ok(Some((self.spot(reference, is_stale, call)?, ring)))
    }

    fn spot(&self, reference: Reference, is_stale: bool, call: &Call) -> Result<Spot, Error> {
        let Reference { id, node } = reference;
        let key = Key::new(format!("{}:{}", self.prefix, id.storage_key(call.scope())))
            .ok_or_else(|| Error::config("the prefix of storage keys is illegal"))?;
        Ok(Spot { id, node: NodeId(node), key, is_stale })
    }

    /// What a server keeps in this spot, if one of our keys sealed it for this spot.
    async fn open(&self, spot: &Spot, value: &[u8], call: &Call) -> Result<Option<(Stored, bool)>, Error> {
        let place = Place { id: &spot.id, key: spot.key.as_str() };
        let opened = self.keys.open_stored(call, |ring| stored::open(ring, place, value)).await?;
        Ok(opened.map(|opened| (opened.inner, opened.is_stale || spot.is_stale)))
    }

    fn seal(&self, ring: &Keyring, spot: &Spot, stored: &Stored, call: &Call) -> Result<Vec<u8>, Error> {
        let (_, key) = ring.sealing(call.now());
        stored::seal(key, Place { id: &spot.id, key: spot.key.as_str() }, stored, self.random)
    }

    /// What somebody else has stored here meanwhile: `None` if the session is no more.
    async fn theirs(&self, spot: &Spot, call: &Call) -> Result<Option<Loaded>, Error> {
        let value = self.client.get(spot.node, &spot.key, limit(call)).await.map_err(failed)?;
        let Some(Value { bytes, cas }) = value else { return Ok(None) };
        Ok(match self.open(spot, &bytes, call).await? {
            Some((Stored::Live(record), stale_key)) => Some(Loaded { record, version: Version(cas), stale_key }),
            Some((Stored::Retired { .. }, _)) | None => None,
        })
    }

    /// What became of a renewal to `next` that was told it came too late: it may be its own first try that was faster.
    async fn retired_otherwise(&self, spot: &Spot, next: Reference, call: &Call) -> Result<Retired, Error> {
        let value = self.client.get(spot.node, &spot.key, limit(call)).await.map_err(failed)?;
        let Some(Value { bytes, cas }) = value else { return Ok(Retired::Gone) };
        Ok(match self.open(spot, &bytes, call).await? {
            Some((Stored::Live(record), stale_key)) => {
                Retired::Conflict(Loaded { record, version: Version(cas), stale_key })
            }
            Some((Stored::Retired { next: successor, .. }, _)) if successor == next => Retired::Done,
            Some((Stored::Retired { .. }, _)) | None => Retired::Gone,
        })
    }

    /// Ends what is in this spot, whatever it is; the reference that took its place, if it was renewed. Somebody else may be
    /// faster again and again: the time that the client has for it ends that.
    async fn forget(&self, spot: &Spot, seen: Option<Version>, call: &Call) -> Result<Option<Reference>, Error> {
        let mut seen = seen;
        loop {
            if let Some(Version(cas)) = seen {
                match self.client.delete(spot.node, &spot.key, Some(cas), limit(call)).await.map_err(failed)? {
                    Deleted::Done | Deleted::NotFound => return Ok(None),
                    Deleted::Conflict => {}
                }
            }
            let value = self.client.get(spot.node, &spot.key, limit(call)).await.map_err(failed)?;
            let Some(Value { bytes, cas }) = value else { return Ok(None) };
            if let Some((Stored::Retired { next, .. }, _)) = self.open(spot, &bytes, call).await? {
                return Ok(Some(next));
            }
            seen = Some(Version(cas));
        }
    }
}

impl Store for MemcachedStore {
    /// As long as one operation of the client may take: 1 s.
    fn timeout(&self) -> Duration {
        self.client.cold_time()
    }

    async fn load(&self, token: &Token, call: &Call) -> Result<Found, Error> {
        let Some((spot, _)) = self.find(token, call).await? else { return Ok(Found::Nothing) };
        // How old the session is in all is known only when it is read: judging that is the service's part.
        // What is there may be a tombstone, whose own time must not become shorter.
        let keep = call.lifetime().idle().max(SUCCEEDED_FOR).saturating_add(GRACE);
        let Some(ttl) = Ttl::after(keep, call.now()) else { return Err(over()) };
        let value = self.client.get_and_touch(spot.node, &spot.key, ttl, limit(call)).await.map_err(failed)?;
        let Some(Value { bytes, cas }) = value else { return Ok(Found::Nothing) };
        Ok(match self.open(&spot, &bytes, call).await? {
            Some((Stored::Live(record), stale_key)) => Found::Live(Loaded { record, version: Version(cas), stale_key }),
            Some((Stored::Retired { at, .. }, _)) if later(at, RETIRED_FOR) > call.now() => Found::Retired,
            Some((Stored::Retired { .. }, _)) | None => Found::Nothing,
        })
    }

    async fn create(&self, record: &Record, call: &Call) -> Result<Token, Error> {
        let ring = self.keys.at(call.now(), call.deadline()).await?;
        let Some(ttl) = ttl(record, call) else { return Err(over()) };
        let stored = Stored::Live(record.clone());
        let mut avoid = Vec::new();
        let mut first = None;
        let mut limit = limit(call);
        for _ in 0..NODES_TRIED {
            // A new id each time: what became of the last one may be unknown.
            let id = SessionId::random(self.random)?;
            let node = match self.client.choose_node(id.as_bytes(), &avoid, call.deadline()).await {
                Ok(node) => node,
                Err(failure) => return Err(first.unwrap_or_else(|| failed(failure))),
            };
            let reference = Reference { id, node: node.0 };
            let spot = self.spot(reference, false, call)?;
            let value = self.seal(&ring, &spot, &stored, call)?;
            match self.client.add(node, &spot.key, &value, ttl, limit.clone()).await {
                Ok(Added::Stored) => {
                    let (_, key) = ring.sealing(call.now());
                    return Ok(seal::refer(key, binding(call), reference));
                }
                // 128 random bits that are there already: never seen, and not ours.
                Ok(Added::Exists) => {}
                Err(failure) if failure.kind() == FailureKind::TooLarge => return Err(too_large(failure, record)),
                Err(failure) => {
                    // Where the node is sound and only an answer was lost, it may be the only one.
                    if failure.kind() != FailureKind::Unknown {
                        avoid.push(node);
                    }
                    first.get_or_insert_with(|| failed(failure));
                }
            }
            // One node's silence must not use up the next one's time.
            limit = call.deadline().into();
        }
        Err(first.unwrap_or_else(|| Error::new(ErrorKind::Unavailable, "no cache node took the new session")))
    }

    async fn update(&self, token: &Token, seen: Version, record: &Record, call: &Call) -> Result<Update, Error> {
        let Some((spot, ring)) = self.find(token, call).await? else { return Ok(Update::Gone) };
        let Some(ttl) = ttl(record, call) else { return Ok(Update::Gone) };
        let value = self.seal(&ring, &spot, &Stored::Live(record.clone()), call)?;
        let replaced = self.client.replace(spot.node, &spot.key, seen.0, &value, ttl, limit(call)).await;
        match replaced.map_err(|failure| too_large(failure, record))? {
            Replaced::Stored => {
                let (_, key) = ring.sealing(call.now());
                Ok(Update::Done(seal::refer(key, binding(call), Reference { id: spot.id, node: spot.node.0 })))
            }
            Replaced::Conflict => Ok(self.theirs(&spot, call).await?.map_or(Update::Gone, Update::Conflict)),
            Replaced::Gone => Ok(Update::Gone),
        }
    }

    async fn retire(&self, token: &Token, seen: Version, next: &Token, call: &Call) -> Result<Retired, Error> {
        let Some((spot, ring)) = self.find(token, call).await? else { return Ok(Retired::Gone) };
        let Some((successor, _)) = self.find(next, call).await? else { return Err(no_successor()) };
        let next = Reference { id: successor.id, node: successor.node.0 };
        let value = self.seal(&ring, &spot, &Stored::Retired { at: call.now(), next }, call)?;
        let Some(ttl) = Ttl::after(SUCCEEDED_FOR.saturating_add(GRACE), call.now()) else { return Err(over()) };
        let replaced = self.client.replace(spot.node, &spot.key, seen.0, &value, ttl, limit(call)).await;
        match replaced.map_err(failed)? {
            Replaced::Stored => Ok(Retired::Done),
            Replaced::Conflict => self.retired_otherwise(&spot, next, call).await,
            Replaced::Gone => Ok(Retired::Gone),
        }
    }

    async fn delete(&self, token: &Token, seen: Option<Version>, call: &Call) -> Result<(), Error> {
        let Some((mut spot, _)) = self.find(token, call).await? else { return Ok(()) };
        let mut seen = seen;
        while let Some(next) = self.forget(&spot, seen.take(), call).await? {
            spot = self.spot(next, false, call)?;
        }
        Ok(())
    }
}

/// The servers, never a key.
impl fmt::Debug for MemcachedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemcachedStore({:?})", self.client)
    }
}

/// Whether storage keys may begin so.
pub(crate) fn check_prefix(prefix: &str) -> Result<(), Error> {
    if prefix.len() <= PREFIX_LIMIT_BYTES && Key::new(prefix).is_some() {
        return Ok(());
    }
    Err(Error::config(format!(
        "{} is no prefix of storage keys: give 1 to {PREFIX_LIMIT_BYTES} characters of A-Z a-z 0-9 : _ -",
        quoted(prefix)
    )))
}

/// The call's end, and what the request's calls on open connections may take together.
fn limit(call: &Call) -> Limit {
    Limit::shared(call.deadline(), call.warm().clone())
}

/// How long a server keeps a record: what is left of the session, and a minute for clocks that differ.
fn ttl(record: &Record, call: &Call) -> Option<Ttl> {
    Ttl::after(call.lifetime().left(record, call.now()).saturating_add(GRACE), call.now())
}

fn over() -> Error {
    Error::new(ErrorKind::Unavailable, "the session is over before it is stored")
}

fn no_successor() -> Error {
    Error::new(ErrorKind::Unavailable, "the session's new reference does not open: its secret is gone")
}

fn failed(failure: Failure) -> Error {
    let (kind, message) = match failure.kind() {
        FailureKind::TooLarge => (ErrorKind::TooLarge, "the session is too large for the cache"),
        FailureKind::Lost => {
            (ErrorKind::Unavailable, "the cache dropped the session, for it had no room for its change")
        }
        FailureKind::Settings => (ErrorKind::Config, "the cache is not set up"),
        FailureKind::Full => (ErrorKind::Unavailable, "the cache has no room for a new session"),
        FailureKind::Unavailable | FailureKind::Unknown | FailureKind::Refused => {
            (ErrorKind::Unavailable, "the session store is unavailable")
        }
    };
    Error::new(kind, message).with_source(failure)
}

/// The same, with the session's size and largest keys where its size is what is wrong.
fn too_large(failure: Failure, record: &Record) -> Error {
    if failure.kind() != FailureKind::TooLarge {
        return failed(failure);
    }
    let size = record.payload().len().saturating_add(OVERHEAD_BYTES);
    let largest = largest_keys(record.payload());
    Error::new(ErrorKind::TooLarge, format!("session of {size} bytes does not fit the cache; largest keys: {largest}"))
        .with_source(failure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::RESERVE;
    use crate::memcached::Settings;

    /// Every figure of issue 3 in one place: what a client, a store and a layer do unless they are told otherwise. That each is
    /// obeyed is the business of other tests.
    #[test]
    fn the_figures_are_those_that_were_agreed_on() {
        let settings = Settings::new("a").unwrap();
        let (times, breaker) = (settings.times, settings.breaker);
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap();
        for (name, figure, agreed) in [
            ("an exchange on an open connection, ms", millis(times.exchange), 100),
            ("a write on one that may be dead", millis(times.suspect_exchange), 50),
            ("a read on one, before it is hedged", millis(times.hedge), 25),
            ("idle for so long it may be dead", millis(times.suspect), 1_000),
            ("idle for so long it is closed", millis(times.idle), 300_000),
            ("a dial with TLS", millis(times.dial), 500),
            ("an operation, and all of a request, warm", millis(times.warm), 250),
            ("an operation, cold", millis(times.cold), 1_000),
            ("the least to begin with", millis(times.floor), 5),
            ("kept back of an invocation", millis(RESERVE), 100),
            ("the age of a list of nodes", millis(times.list), 60_000),
            ("from one probe to the next", millis(breaker.probe), 1_000),
            ("a tombstone answers as retired", millis(RETIRED_FOR), 10_000),
            ("a tombstone names its successor", millis(SUCCEEDED_FOR), 900_000),
            ("a record outlives its session", millis(GRACE), 60_000),
            ("time-outs until a node is down", breaker.time_outs.into(), 1),
            ("refusals until a node is down", breaker.refusals.into(), 2),
            ("connections to a node", settings.pool_size as u64, 10),
            ("the largest value, bytes", settings.value_limit as u64, 262_144),
            ("nodes that a new session is offered to", NODES_TRIED as u64, 3),
        ] {
            assert_eq!(figure, agreed, "{name}");
        }
        let store =
            MemcachedStore::new(Client::new(settings).unwrap(), crate::keyring::Keyring::parse(SECRET).unwrap());
        assert_eq!((store.timeout(), &*store.prefix), (Duration::from_secs(1), "s"));
    }

    const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
}
