//! What there is to say of one session cookie, line by line, for the terminal and for the page.

use std::time::{Duration, SystemTime};

use lambda_session::inspect::Inspection;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::duration::span;
use crate::output::one_line;
use crate::sessions::Sessions;

/// What `inspection` found in the cookie's `value`, each with its label; its data is not among it.
pub(crate) fn facts(
    value: &str,
    inspection: &Inspection,
    sessions: &Sessions,
    now: SystemTime,
) -> Vec<(&'static str, String)> {
    let name = sessions.name();
    let secret = match inspection.secret {
        Some(0) => ", of the secret that seals today".to_owned(),
        Some(place) => format!(", of old secret {place} of {}", sessions.secrets().saturating_sub(1)),
        None => String::new(),
    };
    let key_id = match (&inspection.key_id, inspection.format) {
        (Some(id), Some(_)) => format!("{id}{secret}"),
        _ => "none".to_owned(),
    };
    let format = inspection.format.unwrap_or("none that is known").to_owned();
    let mut facts = vec![("cookie", one_line(name)), ("format", format), ("key id", key_id)];
    if let Some(record) = &inspection.record {
        facts.push(("created", moment(record.created(), now)));
        facts.push(("issued", moment(record.issued(), now)));
    }
    for (label, left) in [("idle end", inspection.idle_left), ("absolute end", inspection.absolute_left)] {
        match left {
            Some(Duration::ZERO) => facts.push((label, "over".to_owned())),
            Some(left) => facts.push((label, format!("in {}", span(left)))),
            None => {}
        }
    }
    let size = name.len().saturating_add(value.len());
    facts.push(("size", format!("{size} of 4096 bytes, name and value")));
    facts
}

fn moment(time: SystemTime, now: SystemTime) -> String {
    let text = OffsetDateTime::from(time).format(&Rfc3339).unwrap_or_default();
    match (now.duration_since(time), time.duration_since(now)) {
        (Ok(age), _) => format!("{text}, {} ago", span(age)),
        (_, Ok(ahead)) => format!("{text}, {} ahead of the clock", span(ahead)),
        _ => text,
    }
}
