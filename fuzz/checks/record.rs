//! The record: its frame, and what a request makes of whatever payload is in it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use http::{Request, StatusCode, header};
use lambda_http::Body;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use lambda_session::store::{Call, Found, Loaded, Retired, Store, Update, Version};
use lambda_session::{Error, ErrorKind, Lifetime, Record, SessionLayer, Token};

use super::{answer, now};

/// Flags, created, issued.
const FRAME_HEAD_BYTES: usize = 9;
/// How deep a session's JSON may nest.
const DEPTH_LIMIT: usize = 64;
const RAW: &[u8] = b"$serde_json";

/// CC12: a frame is a record or it is not, and a record is exactly its frame; whatever payload a record has, a request
/// that opens, changes and merges it is answered.
pub(crate) fn record(data: &[u8]) {
    let (head, payload) = data.split_at_checked(FRAME_HEAD_BYTES).unwrap_or((data, &[]));
    // serde_json reads an object with this one key as the JSON in its text: it nests deeper than it is written.
    let is_plain = !payload.windows(RAW.len()).any(|text| text == RAW);
    let json = serde_json::from_slice::<Value>(payload).ok().filter(|json| is_plain && json.is_object());
    let is_whole = payload.starts_with(b"{") && payload.ends_with(b"}");
    match Record::from_frame(data) {
        Some(record) => {
            assert_eq!(record.to_frame(), data);
            assert_eq!(record.payload(), payload);
            assert!(is_whole && head[0] == 0);
            assert!(json.as_ref().is_none_or(|json| depth(json) <= DEPTH_LIMIT));
            a_record_tells_its_size_and_times_only(&record);
            lifetimes_stay_within_bounds(&record);
        }
        None => {
            let is_record = head.len() == FRAME_HEAD_BYTES && head[0] == 0 && is_whole;
            assert!(!(is_record && json.as_ref().is_some_and(|json| depth(json) <= DEPTH_LIMIT)));
        }
    }

    let (ours, theirs) = payload.split_at(payload.iter().position(|&byte| byte == b'\n').unwrap_or(payload.len()));
    let fresh = |payload: &[u8]| match Record::new(payload.to_vec(), now()) {
        Ok(record) => {
            assert_eq!(Record::from_frame(&record.to_frame()).as_ref(), Some(&record));
            Some(record)
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Data, "{error}");
            None
        }
    };
    if let Some(ours) = fresh(ours) {
        let theirs = theirs.strip_prefix(b"\n").and_then(fresh);
        any_payload_is_served(ours, theirs);
    }
}

fn depth(json: &Value) -> usize {
    match json {
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        Value::Object(values) => 1 + values.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn a_record_tells_its_size_and_times_only(record: &Record) {
    let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let (size, created, issued) = (record.payload().len(), seconds(record.created()), seconds(record.issued()));
    assert_eq!(format!("{record:?}"), format!("Record({size} bytes, created {created}, issued {issued})"));
    let next = record.next(record.payload().to_vec(), now()).expect("its payload is one already");
    assert_eq!(next.created(), record.created());
    assert!(next.issued() >= next.created());
}

fn lifetimes_stay_within_bounds(record: &Record) {
    let lifetime = Lifetime::default();
    for now in [now(), record.created(), record.issued(), SystemTime::UNIX_EPOCH] {
        let (idle, absolute) = (lifetime.idle_left(record, now), lifetime.absolute_left(record, now));
        assert!(idle <= lifetime.idle() && absolute <= lifetime.absolute());
        assert_eq!(lifetime.left(record, now), idle.min(absolute));
    }
}

/// A store of one record, which somebody else changes before us.
struct Contested {
    ours: Record,
    theirs: Mutex<Option<Record>>,
    kept: Arc<Mutex<Option<Record>>>,
}

impl Store for Contested {
    async fn load(&self, _: &Token, _: &Call) -> Result<Found, Error> {
        Ok(Found::Live(live(self.ours.clone())))
    }

    async fn create(&self, _: &Record, _: &Call) -> Result<Token, Error> {
        panic!("the session is there already")
    }

    async fn update(&self, token: &Token, _: Version, record: &Record, _: &Call) -> Result<Update, Error> {
        if let Some(theirs) = self.theirs.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Ok(Update::Conflict(live(theirs)));
        }
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(record.clone());
        Ok(Update::Done(token.clone()))
    }

    async fn retire(&self, _: &Token, _: Version, _: &Token, _: &Call) -> Result<Retired, Error> {
        Ok(Retired::Done)
    }

    async fn delete(&self, _: &Token, _: Option<Version>, _: &Call) -> Result<(), Error> {
        Ok(())
    }
}

fn live(record: Record) -> Loaded {
    Loaded { record, version: Version(1), stale_key: false }
}

/// SL10: a session that another request changes meanwhile keeps both changes; one that is no JSON is empty.
fn any_payload_is_served(ours: Record, theirs: Option<Record>) {
    let before = serde_json::from_slice::<Map<String, Value>>(ours.payload()).ok();
    let meanwhile = theirs.as_ref().map(fields);
    let stored = fields(&ours);
    let kept = Arc::default();
    let store = Contested { ours, theirs: Mutex::new(theirs), kept: Arc::clone(&kept) };
    let request = Request::builder().header(header::COOKIE, "__Host-s=AAEC").body(Body::Empty).unwrap();
    let status = answer(SessionLayer::new(store), request).status();
    let kept = kept.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(before) = before else {
        let kept = kept.expect("what does not fit is replaced");
        assert_eq!((status, kept.payload()), (StatusCode::OK, br#"{"visited":true}"#.as_slice()));
        return;
    };
    if before.get("visited") == Some(&Value::Bool(true)) {
        assert_eq!((status, kept), (StatusCode::OK, None), "nothing has changed");
        return;
    }
    let Some(theirs) = meanwhile.unwrap_or(stored) else {
        assert_eq!((status, kept), (StatusCode::INTERNAL_SERVER_ERROR, None), "theirs is no JSON");
        return;
    };
    let kept = fields(&kept.expect("a change is kept")).expect("what is kept is a JSON object");
    assert_eq!(status, StatusCode::OK);
    assert_eq!(kept.get("visited").map(|value| value.get()), Some("true"));
    // What somebody else has taken out meanwhile is not put back.
    let texts = |fields: BTreeMap<String, Box<RawValue>>| -> BTreeMap<String, String> {
        let others = fields.into_iter().filter(|(key, _)| key != "visited");
        others.map(|(key, value)| (key, value.get().to_owned())).collect()
    };
    assert_eq!(texts(kept), texts(theirs));
}

fn fields(record: &Record) -> Option<BTreeMap<String, Box<RawValue>>> {
    serde_json::from_slice(record.payload()).ok()
}
