//! Sessions in this process: for tests, and for trying things out.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use crate::keyring::{Keyring, Secret};
use crate::random::{self, RandomSource};
use crate::seal::{self, Reference};
use crate::secrets::{Keys, Unsealed};
use crate::store::{
    Call, Found, GRACE, Loaded, RETIRED_FOR, Retired, SUCCEEDED_FOR, Store, Update, Version, binding, later,
};
use crate::token::{SessionId, StorageKey};
use crate::{Error, Record, Token};

/// Every so many new sessions, those that are over are swept out.
const SWEEP_EVERY: u64 = 256;

/// Keeps sessions in this process's memory, behind a signed reference in the cookie.
///
/// On Lambda every environment has a memory of its own and loses it when it is recycled: use this store for tests and
/// local development. It obeys the same contract as the others: versions, retirement, no revival.
///
/// ```
/// use lambda_session::{SessionLayer, Values, store::MemoryStore};
///
/// let sessions = SessionLayer::<Values>::new(MemoryStore::new()?);
/// # Ok::<(), lambda_session::Error>(())
/// ```
#[derive(Clone)]
pub struct MemoryStore {
    keys: Keys,
    random: RandomSource,
    shelf: Arc<Mutex<Shelf>>,
}

#[derive(Default)]
struct Shelf {
    places: HashMap<StorageKey, Place>,
    versions: u64,
}

enum Place {
    Kept {
        record: Record,
        version: Version,
        until: SystemTime,
    },
    /// Renewed at this time; `next` took its place.
    Retired {
        at: SystemTime,
        next: Option<StorageKey>,
    },
}

impl MemoryStore {
    /// An empty store with a secret of its own: its sessions end with the process anyway.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Random`](crate::ErrorKind::Random) when the operating system gives no random bytes.
    pub fn new() -> Result<Self, Error> {
        Ok(Self::with_keyring(Keyring::new([Secret::parse(&Secret::generate()?)?])?))
    }

    /// An empty store whose references this ring signs.
    pub fn with_keyring(keys: impl Into<Keys>) -> Self {
        Self { keys: keys.into(), random: random::system, shelf: Arc::default() }
    }

    /// Takes ids from another source: for tests of what happens without random bytes.
    pub fn with_random(mut self, random: RandomSource) -> Self {
        self.random = random;
        self
    }

    /// The same sessions under another ring, as after a rotation.
    pub fn rotated(&self, keys: impl Into<Keys>) -> Self {
        Self { keys: keys.into(), ..self.clone() }
    }

    /// How many records are kept, retired ones not counted.
    pub fn len(&self) -> usize {
        self.shelf().places.values().filter(|place| matches!(place, Place::Kept { .. })).count()
    }

    /// Whether no record is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn open(&self, token: &Token, call: &Call) -> Result<Option<(StorageKey, Unsealed<Reference>)>, Error> {
        let opened = self.keys.open(call, |ring| seal::dereference(ring, binding(call), token)).await?;
        Ok(opened.map(|opened| (opened.inner.id.storage_key(call.scope()), opened)))
    }
}

fn refer(ring: &Keyring, id: SessionId, call: &Call) -> Token {
    let (_, key) = ring.sealing(call.now());
    seal::refer(key, binding(call), Reference { id, node: [0; 4] })
}

impl Shelf {
    fn keep(&mut self, key: StorageKey, record: &Record, call: &Call) {
        self.versions = self.versions.wrapping_add(1);
        if self.versions.is_multiple_of(SWEEP_EVERY) {
            self.places.retain(|_, place| place.until() > call.now());
        }
        let until = later(call.now(), call.lifetime().left(record, call.now()).saturating_add(GRACE));
        self.places.insert(key, Place::Kept { record: record.clone(), version: Version(self.versions), until });
    }

    fn at(&self, key: &StorageKey, now: SystemTime) -> Option<&Place> {
        self.places.get(key).filter(|place| place.until() > now)
    }

    /// The same, which is then kept for as long as a request may take that was given it: whose idle end comes while a handler
    /// runs was in time.
    fn touch(&mut self, key: &StorageKey, call: &Call) -> Option<&Place> {
        let place = self.places.get_mut(key).filter(|place| place.until() > call.now())?;
        if let Place::Kept { until, .. } = place {
            *until = later(call.now(), call.lifetime().idle().saturating_add(GRACE)).max(*until);
        }
        Some(place)
    }

    /// Takes out a record; of a retired one that which took its place, and it stays retired.
    fn forget(&mut self, key: StorageKey, now: SystemTime) {
        let mut key = Some(key);
        // A successor is new when it is named, so this ends.
        while let Some(at) = key {
            key = match self.at(&at, now) {
                Some(Place::Retired { next, .. }) => *next,
                Some(Place::Kept { .. }) | None => {
                    self.places.remove(&at);
                    None
                }
            };
        }
    }
}

impl Place {
    fn until(&self) -> SystemTime {
        match self {
            Self::Kept { until, .. } => *until,
            Self::Retired { at, .. } => later(*at, SUCCEEDED_FOR),
        }
    }
}

impl Store for MemoryStore {
    async fn load(&self, token: &Token, call: &Call) -> Result<Found, Error> {
        let Some((key, opened)) = self.open(token, call).await? else { return Ok(Found::Nothing) };
        Ok(match self.shelf().touch(&key, call) {
            Some(Place::Kept { record, version, .. }) => {
                Found::Live(Loaded { record: record.clone(), version: *version, stale_key: opened.is_stale })
            }
            Some(Place::Retired { at, .. }) if later(*at, RETIRED_FOR) > call.now() => Found::Retired,
            Some(Place::Retired { .. }) | None => Found::Nothing,
        })
    }

    async fn create(&self, record: &Record, call: &Call) -> Result<Token, Error> {
        let ring = self.keys.at(call.now(), call.deadline()).await?;
        let id = SessionId::random(self.random)?;
        self.shelf().keep(id.storage_key(call.scope()), record, call);
        Ok(refer(&ring, id, call))
    }

    async fn update(&self, token: &Token, seen: Version, record: &Record, call: &Call) -> Result<Update, Error> {
        let Some((key, opened)) = self.open(token, call).await? else { return Ok(Update::Gone) };
        let mut shelf = self.shelf();
        match shelf.at(&key, call.now()) {
            Some(Place::Kept { version, .. }) if *version == seen => {
                shelf.keep(key, record, call);
                Ok(Update::Done(refer(&opened.ring, opened.inner.id, call)))
            }
            Some(Place::Kept { record, version, .. }) => {
                Ok(Update::Conflict(Loaded { record: record.clone(), version: *version, stale_key: opened.is_stale }))
            }
            Some(Place::Retired { .. }) | None => Ok(Update::Gone),
        }
    }

    async fn retire(&self, token: &Token, seen: Version, next: &Token, call: &Call) -> Result<Retired, Error> {
        let Some((key, opened)) = self.open(token, call).await? else { return Ok(Retired::Gone) };
        let next = self.open(next, call).await?.map(|(key, _)| key);
        let mut shelf = self.shelf();
        match shelf.at(&key, call.now()) {
            Some(Place::Kept { record, version, .. }) if *version != seen => {
                Ok(Retired::Conflict(Loaded { record: record.clone(), version: *version, stale_key: opened.is_stale }))
            }
            Some(Place::Kept { .. }) => {
                shelf.places.insert(key, Place::Retired { at: call.now(), next });
                Ok(Retired::Done)
            }
            Some(Place::Retired { .. }) | None => Ok(Retired::Gone),
        }
    }

    async fn delete(&self, token: &Token, _: Option<Version>, call: &Call) -> Result<(), Error> {
        if let Some((key, _)) = self.open(token, call).await? {
            self.shelf().forget(key, call.now());
        }
        Ok(())
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryStore({} sessions)", self.len())
    }
}
