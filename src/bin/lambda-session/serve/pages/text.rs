//! The page for a terminal: a line a fact, and no value.

use crate::output::one_line;
use crate::serve::pages::view::{Sight, Touch, View, Visit};

/// `view` as lines of text.
pub(super) fn text(view: &View) -> String {
    let cookie = view.cookie.as_deref().unwrap_or("not shown: no secret is at hand");
    let mut lines = vec![format!("session cookie: {}", one_line(cookie))];
    lines.extend(view.news.map(str::to_owned));
    for sight in &view.sights {
        tell_sight(sight, &mut lines);
    }
    for visit in &view.visits {
        tell_visit(visit, &mut lines);
    }
    lines.push(String::new());
    lines.join("\n")
}

fn tell_sight(sight: &Sight, lines: &mut Vec<String>) {
    let told = |label: &str, text: &str| format!("  {label:<14}{}", one_line(text));
    lines.extend(sight.facts.iter().skip(1).map(|(label, text)| told(label, text)));
    lines.push(told("verdict", &sight.refusal.as_ref().map_or("good".to_owned(), |rule| format!("refused: {rule}"))));
    lines.extend(sight.unseen.as_ref().map(|reason| told("data", reason)));
    lines.extend(sight.fields.iter().map(|field| format!("  {:>5} bytes  {}", field.size_bytes, one_line(&field.key))));
}

fn tell_visit(visit: &Visit, lines: &mut Vec<String>) {
    let Visit { id, ago, request, status, took, word, refusal, touches } = visit;
    let refusal = refusal.as_ref().map(|rule| format!(": {}", one_line(rule))).unwrap_or_default();
    let touched: Vec<_> = touches.iter().map(|Touch { sign, key, .. }| format!("{sign}{}", one_line(key))).collect();
    let touched = if touched.is_empty() { String::new() } else { format!(": {}", touched.join(" ")) };
    let request = one_line(request);
    lines.push(format!("{ago} ago: {request}: {status} in {took}, session {word} (request {id}){touched}{refusal}"));
}
