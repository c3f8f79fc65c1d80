//! The keys of a ring as a table, or for programs.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::duration::span;
use crate::keys::ring::{Key, Ring, State, written};
use crate::output::{Failure, Out, Style};

/// Prints the ids, states and times of the keys, the newest line first.
pub(crate) fn print(ring: &Ring, now: SystemTime, out: &mut Out) -> Result<(), Failure> {
    let head = format!("{:<5} {:<9} {:<21} {}", "key", "state", "seals from", "age");
    out.line(out.paint(Style::Dim, head))?;
    for (place, key) in ring.keys().enumerate() {
        let state = ring.state(place, now);
        let style = match state {
            State::Accepted => Style::Note,
            State::Sealing => Style::Good,
            State::Retired => Style::Dim,
        };
        // Painted when it is as wide as its column: escapes have no width.
        let state = out.paint(style, format!("{:<9}", name(state)));
        out.line(format!("{:<5} {state} {:<21} {}", key.id, from(key), age(key, now)))?;
    }
    Ok(())
}

/// The same as JSON.
pub(crate) fn json(ring: &Ring, parameter: &str, version: i64, now: SystemTime) -> Value {
    let key = |(place, key): (usize, &Key)| {
        let age = now.duration_since(key.not_before).ok().filter(|_| !is_bare(key));
        json!({
            "id": key.id,
            "state": name(ring.state(place, now)),
            "seals_from": written(key.not_before),
            "age_seconds": age.map(|age| age.as_secs()),
        })
    };
    let keys: Vec<Value> = ring.keys().enumerate().map(key).collect();
    json!({"parameter": parameter, "version": version, "keys": keys})
}

fn name(state: State) -> &'static str {
    match state {
        State::Accepted => "accepted",
        State::Sealing => "sealing",
        State::Retired => "retired",
    }
}

fn from(key: &Key) -> String {
    if is_bare(key) { "always".into() } else { written(key.not_before) }
}

fn age(key: &Key, now: SystemTime) -> String {
    match now.duration_since(key.not_before) {
        _ if is_bare(key) => "unknown".into(),
        Ok(age) => span(age),
        Err(ahead) => format!("in {}", span(ahead.duration())),
    }
}

/// A secret that came without a time.
fn is_bare(key: &Key) -> bool {
    key.not_before == SystemTime::UNIX_EPOCH
}
