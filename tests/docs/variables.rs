//! The variables that a page names.

use std::collections::BTreeSet;

use crate::page::{Page, code_of};

#[test]
fn every_variable_that_is_named_is_read_and_every_one_that_is_read_is_named() {
    let is_ours = |word: &str| {
        ["SESSION_", "MEMCACHE_", "SECRET_KEY_BASE"].iter().any(|start| word.starts_with(start))
            && !word.ends_with('_')
            && word.chars().all(|c| c.is_ascii_uppercase() || c == '_')
    };
    let words = |text: &str| -> BTreeSet<String> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        words.filter(|word| is_ours(word)).map(str::to_owned).collect()
    };
    // In code a variable's name is a text of its own.
    let code = code_of("src");
    let read: BTreeSet<_> = code.split('"').filter(|text| is_ours(text)).map(str::to_owned).collect();
    let settings = words(&Page::read("docs/settings.md").text);
    let named: BTreeSet<_> = Page::all().iter().flat_map(|page| words(&page.text)).collect();
    assert_eq!(named.difference(&read).collect::<Vec<_>>(), Vec::<&String>::new(), "named, but nothing reads it");
    assert_eq!(
        read.difference(&settings).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "read, but not in docs/settings.md"
    );
}
