//! The Rust in a page is compiled: README's by the documentation tests, for it is the crate's own documentation.

use std::fs;

use crate::page::{Page, files, root};

#[test]
fn every_sample_is_compiled() {
    let examples: String =
        files(&root().join("examples")).iter().map(|path| fs::read_to_string(root().join(path)).unwrap()).collect();
    let compiled = Page::read("README.md").text + &examples;
    let (mut wrong, mut samples) = (Vec::new(), 0);
    for page in Page::all().iter().filter(|page| page.path.starts_with("docs/")) {
        for (before, block) in page.blocks("rust") {
            samples += 1;
            // `e2e/walk.py` writes it, and cargo builds it.
            let is_walked = before.trim_end().ends_with("<!-- file: src/main.rs -->");
            if !is_walked && !compiled.contains(block) {
                wrong.push(format!("{}: nothing compiles: {block}", page.path));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(samples >= 4, "{samples}");
}
