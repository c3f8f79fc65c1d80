//! What became of one event, told to a person.

use crate::answer::Body;
use crate::change::Change;
use crate::duration::spoken;
use crate::jar::Verdict;
use crate::outcome::{Answered, CookieSet, FaultKind, Outcome};
use crate::output::{Failure, Out, Style, harmless, one_line};
use crate::pretty::pretty;

/// Prints `outcome`.
pub(crate) fn print(outcome: &Outcome<'_>, out: &mut Out) -> Result<(), Failure> {
    if outcome.number > 1 {
        out.line("")?;
    }
    let what = outcome.event.request().unwrap_or_else(|| "event".to_owned());
    let head = format!("{}. {}", outcome.number, one_line(&what));
    let tail = format!("  {}, {}", outcome.event.kind.name(), one_line(&outcome.event.source));
    out.line(format!("{}{}", out.paint(Style::Bold, head), out.paint(Style::Dim, tail)))?;
    let names: Vec<_> = outcome.sent.iter().map(|pair| one_line(&pair.name)).collect();
    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    out.line(format!("   cookies sent: {names}"))?;
    match &outcome.result {
        Ok(answered) => print_answer(outcome, answered, out)?,
        Err(fault) => {
            let took = match (outcome.took, fault.kind) {
                (Some(took), FaultKind::FunctionError | FaultKind::Crash) => format!(" after {}", spoken(took)),
                _ => String::new(),
            };
            let line = format!("   no answer: {}{took}", one_line(&fault.message));
            out.line(out.paint(Style::Bad, line))?;
        }
    }
    for note in &outcome.notes {
        out.line(out.paint(Style::Note, format!("   note: {}", one_line(note))))?;
    }
    out.flush()
}

fn print_answer(outcome: &Outcome<'_>, answered: &Answered, out: &mut Out) -> Result<(), Failure> {
    let answer = &answered.answer;
    let reason = http::StatusCode::from_u16(answer.status).ok().and_then(|status| status.canonical_reason());
    let status = format!("{} {}", answer.status, reason.unwrap_or_default());
    let style = if answer.status < 400 { Style::Good } else { Style::Bad };
    let took = outcome.took.map(spoken).unwrap_or_default();
    let started = outcome.started.map(|span| format!(", after a start of {}", spoken(span))).unwrap_or_default();
    out.line(format!("   {} in {took}{started}", out.paint(style, status.trim_end())))?;
    for (name, value) in &answer.headers {
        out.line(format!("   {}: {}", out.paint(Style::Dim, one_line(name)), one_line(value)))?;
    }
    for cookie in &answered.cookies {
        print_cookie(cookie, out)?;
    }
    if let Some(change) = &answered.session {
        print_session(change, out)?;
    }
    match &answer.body {
        Body::Text(text) if text.is_empty() => out.line(out.paint(Style::Dim, "   no body")),
        Body::Text(text) => print_text(pretty(text).as_deref().unwrap_or(text), out),
        Body::Bytes(bytes) => out.line(format!("   body: {} bytes, sent as base64", bytes.len())),
    }
}

fn print_cookie(cookie: &CookieSet, out: &mut Out) -> Result<(), Failure> {
    let name = out.paint(Style::Dim, "set-cookie");
    let attributes = one_line(&cookie.attributes);
    out.line(format!("   {name}: {}={}{attributes}", one_line(&cookie.name), one_line(&cookie.shown_value())))?;
    match cookie.verdict {
        Verdict::Kept => Ok(()),
        Verdict::Removed => out.line(out.paint(Style::Dim, "     removes it from the browser")),
        Verdict::Refused(reason) => {
            out.line(out.paint(Style::Bad, format!("     a browser ignores this cookie: {reason}")))
        }
    }
}

fn print_session(change: &Change, out: &mut Out) -> Result<(), Failure> {
    let refusal = change.refusal().map(|reason| format!(" ({})", one_line(reason))).unwrap_or_default();
    out.line(format!("   session: {}{refusal}", change.word()))?;
    let difference = change.difference();
    for (key, value) in &difference.added {
        let line = format!("     + {}: {}", one_line(key), one_line(&value.to_string()));
        out.line(out.paint(Style::Good, line))?;
    }
    for (key, from, to) in &difference.changed {
        let line = format!("{}: {} -> {}", one_line(key), one_line(&from.to_string()), one_line(&to.to_string()));
        out.line(out.paint(Style::Note, format!("     ~ {line}")))?;
    }
    for (key, value) in &difference.removed {
        let line = format!("     - {}: {}", one_line(key), one_line(&value.to_string()));
        out.line(out.paint(Style::Bad, line))?;
    }
    for (key, value) in &difference.same {
        out.line(format!("       {}: {}", one_line(key), one_line(&value.to_string())))?;
    }
    Ok(())
}

fn print_text(text: &str, out: &mut Out) -> Result<(), Failure> {
    let shown: String = text.chars().take(SHOWN_CHARACTERS).collect();
    for line in harmless(&shown).lines() {
        out.line(format!("   {line}"))?;
    }
    match text.len().saturating_sub(shown.len()) {
        0 => Ok(()),
        more => out.line(out.paint(Style::Dim, format!("   … {more} bytes more; --json shows all"))),
    }
}

/// A screen or two of a body.
const SHOWN_CHARACTERS: usize = 4000;
