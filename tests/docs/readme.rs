//! README's first screen: what it is, a sample, two commands. That the sample compiles is for the documentation tests, since README is
//! the crate's own documentation; that the commands run is for `.ci/run`.

use crate::page::{Page, root};

/// The most lines that a reader sees without scrolling.
const SCREEN: usize = 40;
/// The most lines of the sample.
const SAMPLE: usize = 12;

#[test]
fn the_first_screen_has_a_short_sample_and_two_commands() {
    let page = Page::read("README.md");
    let screen = Page { text: page.text.lines().take(SCREEN).map(|line| format!("{line}\n")).collect(), ..page };
    assert!(screen.text.starts_with("# lambda-session\n\nSessions for Rust web applications on AWS Lambda."));
    let sample = screen.block_lines("rust").into_iter().filter(|line| !line.trim().is_empty()).count();
    assert!((1..=SAMPLE).contains(&sample), "{sample} lines");
    let commands: Vec<_> =
        screen.block_lines("sh").iter().map(|line| line.split('#').next().unwrap_or_default().trim()).collect();
    assert_eq!(commands, ["make invoke", "make test"]);
    // `text` would not be compiled.
    assert!(screen.text.contains("```rust,no_run\n") && screen.text.matches("```").count() == 4);
}

#[test]
fn ci_begins_with_the_two_commands() {
    let script = std::fs::read_to_string(root().join(".ci/run")).unwrap();
    let steps: Vec<_> = script.lines().filter_map(|line| line.strip_prefix("step ")).collect();
    assert_eq!(steps.get(..2), Some(&["make invoke", "make test"][..]));
}
