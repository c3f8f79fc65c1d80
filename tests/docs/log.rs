//! What pages quote of the log and of `serve`'s own page.

use crate::page::{Page, code_of, codes};

/// The table of log lines in docs/operating.md quotes them as the code has them.
#[test]
fn every_line_of_the_log_that_is_named_is_written() {
    let page = Page::read("docs/operating.md");
    let table = page.text.split("\n## ").find(|part| part.starts_with("Lines in the log")).unwrap();
    let code = code_of("src");
    let code = code.split("\\\n").map(str::trim_start).collect::<String>().replace("{}", "503");
    let quoted: Vec<_> = table.lines().filter(|line| line.starts_with("| `")).collect();
    assert!(quoted.len() >= 12, "{}", quoted.len());
    let mut wrong = Vec::new();
    for line in quoted {
        let cell = line.trim_start_matches("| ").split(" | ").next().unwrap();
        for part in cell.split('`').skip(1).step_by(2) {
            let part = part.replace("500:", "503:").replace("409:", "503:");
            if !code.contains(&part) {
                wrong.push(part);
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_word_of_the_session_page_that_is_quoted_is_there() {
    let table = Page::read("docs/getting-started.md").table("| sessions are kept in |");
    let quoted: Vec<_> = table.iter().flat_map(|row| codes(&row[1..].join(" "))).collect();
    let code = code_of("src/bin");
    let missing: Vec<_> = quoted.iter().filter(|words| !code.contains(words.as_str())).collect();
    assert_eq!(missing, Vec::<&String>::new());
    assert!(quoted.len() >= 5, "{quoted:?}");
}
