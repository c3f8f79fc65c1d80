//! Whatever a page points to is there.

use std::{fs, path::Path};

use crate::page::{Page, root};

#[test]
fn every_link_leads_somewhere() {
    let mut wrong = Vec::new();
    for page in Page::all() {
        let folder = Path::new(&page.path).parent().unwrap().to_owned();
        for line in page.prose() {
            for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                if link.starts_with("https://") {
                    continue;
                }
                let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
                let target = if path.is_empty() { root().join(&page.path) } else { root().join(&folder).join(path) };
                let has_anchor = |anchor: &str| {
                    let text = fs::read_to_string(&target).unwrap_or_default();
                    Page { path: path.to_owned(), text }.headings().contains(anchor)
                };
                if !target.exists() || !anchor.is_none_or(has_anchor) {
                    wrong.push(format!("{}: {link}", page.path));
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// `tests/x.rs` `promise` and `src/x.rs` `promise`, also several behind one file; and files named alone.
#[test]
fn every_test_and_every_file_that_is_named_is_there() {
    let (mut wrong, mut tests) = (Vec::new(), 0);
    for page in Page::all().iter().filter(|page| page.path != "CHANGELOG.md") {
        for line in page.prose() {
            let mut file = None;
            for code in line.split('`').skip(1).step_by(2) {
                let is_path = ["src/", "tests/", "e2e/", "examples/", "events/", "benches/", "docs/", "fuzz/"]
                    .iter()
                    .any(|folder| code.starts_with(folder));
                // The newcomer's own file.
                let is_ours = page.path != "docs/getting-started.md" || code != "src/main.rs";
                if is_path && is_ours && !code.contains([' ', '*']) {
                    if !root().join(code).exists() {
                        wrong.push(format!("{}: no {code}", page.path));
                    }
                    file = Some(code).filter(|code| code.ends_with(".rs"));
                } else if let Some(file) = file.filter(|_| is_promise(code)) {
                    tests += 1;
                    if !fs::read_to_string(root().join(file)).unwrap_or_default().contains(&format!("fn {code}(")) {
                        wrong.push(format!("{}: no {code} in {file}", page.path));
                    }
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(tests > 40, "{tests}");
}

/// A test's name is a sentence; other code words beside a file's name are not.
fn is_promise(code: &str) -> bool {
    code.matches('_').count() >= 2 && code.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}
