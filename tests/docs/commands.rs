//! The commands that a page gives.

use std::fs;

use crate::page::{Page, codes, root};

/// Every command that the documentation gives, and what runs it. A command that nobody runs is not in the table, and fails.
#[test]
fn every_command_is_run_by_a_test() {
    // The page, or any; how the command begins; what runs it, and words of that file which show it.
    let runs: &[(&str, &str, &str, &str)] = &[
        ("docs/getting-started.md", "", "e2e/getting-started.sh", "walk.py docs/getting-started.md"),
        ("docs/deploying-with-sam.md", "", "e2e/deploying.sh", "walk.py docs/deploying-with-sam.md"),
        ("docs/rotating-secrets.md", "", "tests/cli/keys.rs", "/docs/rotating-secrets.md"),
        ("CONTRIBUTING.md", "cargo build --all-features --bins", "e2e/invoke.sh", "make --no-print-directory"),
        ("CONTRIBUTING.md", "BOOTSTRAP=", "e2e/cloud.sh", "${BOOTSTRAP:-target/release/bootstrap}"),
        ("README.md", "make test", ".ci/run", "step make test"),
        ("README.md", "", "e2e/readme.sh", "walk.py README.md"),
    ];
    let mut wrong = Vec::new();
    for page in Page::all() {
        for line in
            page.block_lines("sh").into_iter().filter(|line| !line.trim_start().starts_with('#') && !line.is_empty())
        {
            let found =
                runs.iter().find(|(path, start, ..)| *path == page.path && line.trim_start().starts_with(start));
            match found {
                None => wrong.push(format!("{}: nothing runs: {line}", page.path)),
                Some((_, _, runner, words)) => {
                    if !fs::read_to_string(root().join(runner)).unwrap_or_default().contains(words) {
                        wrong.push(format!("{}: {runner} has no {words:?}", page.path));
                    }
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// Blocks that are marked `console` are not run, and the page says so and why.
#[test]
fn every_command_that_is_not_run_is_said_to_be() {
    let mut wrong = Vec::new();
    for page in Page::all() {
        let said: Vec<_> = page.prose().into_iter().filter(|line| line.contains("not run by a test")).collect();
        for line in page.block_lines("console") {
            if !said.iter().flat_map(|said| codes(said)).any(|code| line.contains(&code)) {
                wrong.push(format!("{}: {line}", page.path));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_command_of_make_that_is_named_is_there() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let mut wrong = Vec::new();
    for page in Page::all().iter().filter(|page| page.path != "CHANGELOG.md") {
        for target in page.codes().into_iter().filter_map(|code| code.strip_prefix("make ")) {
            let target = target.split(' ').next().unwrap_or_default();
            if !makefile.lines().any(|line| line.starts_with(&format!("{target}:"))) {
                wrong.push(format!("{}: make {target}", page.path));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}
