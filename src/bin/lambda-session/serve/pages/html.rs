//! The page for a browser. Values stand in `<details>`, so they show only after a click. No script.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::output::harmless;
use crate::serve::pages::view::{Sight, View, Visit};

/// `view` as a document.
pub(super) fn html(view: &View) -> String {
    let mut page = Page::default();
    page.markup("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">");
    page.markup("<meta name=\"viewport\" content=\"width=device-width\"><title>Session</title>");
    page.markup("<style>").markup(STYLE).markup("</style></head><body><h1>Session</h1>");
    if let Some(news) = view.news {
        page.markup("<p class=\"bad\">").text(news).markup("</p>");
    }
    match &view.cookie {
        None => _ = page.markup("<p>No secret is at hand here, so no session can be shown.</p>"),
        Some(_) if view.sights.is_empty() => {
            page.markup("<p>This browser sends no session cookie");
            page.text(&view.cookie.as_ref().map(|name| format!(" ({name})")).unwrap_or_default()).markup(".</p>");
        }
        Some(_) => view.sights.iter().for_each(|sight| page.sight(sight)),
    }
    page.markup("<h2>The last requests</h2>");
    if view.visits.is_empty() {
        page.markup("<p>None yet.</p>");
    }
    page.markup("<ol>");
    view.visits.iter().for_each(|visit| page.visit(visit));
    page.markup("</ol><p>Values show after a click, and only those of this browser's session. ");
    page.markup("This page is for this machine alone; reload it to see what is new.</p></body></html>\n");
    page.0
}

/// What the page may do: show itself in its own style. In a sandbox it has an origin of its own, so that no script of the
/// application, which comes from the same address, reads what stands in it.
pub(super) fn policy() -> &'static str {
    static POLICY: LazyLock<String> = LazyLock::new(|| {
        let hash = STANDARD.encode(Sha256::digest(STYLE));
        format!(
            "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"
        )
    });
    &POLICY
}

/// HTML that only constants can shape: all else is text.
#[derive(Default)]
struct Page(String);

impl Page {
    fn markup(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        for c in harmless(text).chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c => self.0.push(c),
            }
        }
        self
    }

    fn sight(&mut self, sight: &Sight) {
        match &sight.refusal {
            None => _ = self.markup("<p class=\"good\">Good</p>"),
            Some(rule) => _ = self.markup("<p class=\"bad\">Refused: ").text(rule).markup("</p>"),
        }
        self.markup("<dl>");
        for (label, text) in &sight.facts {
            self.markup("<dt>").text(label).markup("</dt><dd>").text(text).markup("</dd>");
        }
        self.markup("</dl><h2>Data</h2>");
        if let Some(reason) = &sight.unseen {
            self.markup("<p>Not seen here: ").text(reason).markup("</p>");
        } else if sight.fields.is_empty() {
            self.markup("<p>None.</p>");
        }
        for field in &sight.fields {
            self.markup("<details><summary>").key("", &field.key, field.size_bytes).markup("</summary>");
            self.markup("<pre>").text(&field.value).markup("</pre></details>");
        }
    }

    fn visit(&mut self, visit: &Visit) {
        self.markup("<li>").text(&visit.ago).markup(" ago: <code>").text(&visit.request).markup("</code> ");
        self.text(&format!("{} in {}, session {}", visit.status, visit.took, visit.word));
        if let Some(rule) = &visit.refusal {
            self.markup(": ").text(rule);
        }
        for touch in &visit.touches {
            if touch.values.is_empty() {
                self.markup("<div>").key(touch.sign, &touch.key, touch.size_bytes).markup("</div>");
                continue;
            }
            self.markup("<details><summary>").key(touch.sign, &touch.key, touch.size_bytes).markup("</summary>");
            for value in &touch.values {
                self.markup("<pre>").text(value).markup("</pre>");
            }
            self.markup("</details>");
        }
        self.markup("<div>request ").text(&visit.id).markup("</div></li>");
    }

    fn key(&mut self, sign: &str, key: &str, size_bytes: usize) -> &mut Self {
        self.text(sign).markup(" <code>").text(key).markup("</code> ").text(&format!("{size_bytes} bytes"))
    }
}

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:0 1rem}dt{opacity:.7}dd{margin:0}\
pre,code{font:.9rem/1.4 ui-monospace,monospace;overflow-wrap:anywhere}pre{white-space:pre-wrap;margin:.3rem 0 .6rem 1.2rem}\
li{margin-bottom:.6rem}summary{cursor:pointer}.good{color:green}.bad{color:#c22}";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::serve::pages::view::{Field, Touch};

    fn hostile(text: &str) -> View {
        let (key, value, refusal) = (text.to_owned(), text.to_owned(), Some(text.to_owned()));
        let touch = |values| Touch { sign: "~", key: text.to_owned(), size_bytes: 1, values };
        View {
            news: None,
            cookie: Some(text.to_owned()),
            sights: vec![Sight {
                facts: vec![("cookie", text.to_owned())],
                refusal: refusal.clone(),
                unseen: None,
                fields: vec![Field { key, size_bytes: 1, value }],
            }],
            visits: vec![Visit {
                id: text.to_owned(),
                ago: text.to_owned(),
                request: text.to_owned(),
                status: 200,
                took: text.to_owned(),
                word: "changed",
                refusal,
                touches: vec![touch(Vec::new()), touch(vec![text.to_owned(), text.to_owned()])],
            }],
        }
    }

    /// The tags of a document, and its text with the references resolved, as a browser takes them apart.
    fn taken_apart(page: &str) -> (Vec<String>, String) {
        let (mut tags, mut text) = (Vec::new(), String::new());
        let mut rest = page;
        while let Some((before, after)) = rest.split_once('<') {
            text.push_str(before);
            let (tag, after) = after.split_once('>').unwrap();
            tags.push(tag.to_owned());
            rest = after;
        }
        text.push_str(rest);
        let references = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
        (tags, references.iter().fold(text, |text, (reference, c)| text.replace(reference, c)))
    }

    #[test]
    fn nothing_breaks_out_of_its_place() {
        for text in
            ["</details><script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "&lt;b&gt;", "<!--", "\u{202e}'"]
        {
            let page = html(&hostile(text));
            let (tags, told) = taken_apart(&page);
            let (expected, _) = taken_apart(&html(&hostile("plain")));
            assert_eq!(tags, expected, "{text}");
            assert_eq!(told.matches(&harmless(text)).count(), 13, "{text}: {told}");
            assert!(!page.contains('\u{202e}'));
        }
    }

    proptest! {
        #[test]
        fn whatever_a_session_holds_is_text(text in "\\PC*|[<>&\"'a/!-]{0,40}|(?s:.{0,40})") {
            let (tags, told) = taken_apart(&html(&hostile(&text)));
            let (expected, _) = taken_apart(&html(&hostile("plain")));
            prop_assert_eq!(tags, expected);
            prop_assert!(told.contains(&harmless(&text)));
        }
    }
}
