//! The checks as a table, for people.

use crate::doctor::check::{Check, Verdict};
use crate::output::{Failure, Out, Style, one_line};

/// Prints the checks, those of a node below its name, and what they come to.
pub(crate) fn print(checks: &[Check], out: &mut Out) -> Result<(), Failure> {
    let mut node = None;
    for check in checks {
        if check.node != node {
            node.clone_from(&check.node);
            let heading = format!("node {}", one_line(node.as_deref().unwrap_or_default()));
            out.line(format!("\n{}", out.paint(Style::Bold, heading)))?;
        }
        print_check(check, out)?;
    }
    let count = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
    let summary = match (count(Verdict::Bad), count(Verdict::Warning)) {
        (0, 0) => out.paint(Style::Good, "good"),
        (0, warnings) => out.paint(Style::Note, format!("good, with {}", counted(warnings, "warning"))),
        (bad, _) => out.paint(Style::Bad, format!("bad: {bad} of {}", counted(checks.len(), "check"))),
    };
    out.line(format!("\n{}{summary}", out.paint(Style::Dim, label("verdict"))))?;
    out.flush()
}

fn print_check(check: &Check, out: &mut Out) -> Result<(), Failure> {
    let indent = if check.node.is_some() { "  " } else { "" };
    let name = out.paint(Style::Dim, label(&format!("{indent}{}", check.name)));
    let style = match check.verdict {
        Verdict::Good => Style::Good,
        Verdict::Warning => Style::Note,
        Verdict::Bad => Style::Bad,
    };
    let verdict = out.paint(style, format!("{:<VERDICT_WIDTH$}", check.verdict.word()));
    out.line(format!("{name}{verdict}{}", one_line(&check.finding)))?;
    match &check.way_out {
        Some(way_out) => out.line(format!("{}-> {}", label("").as_str(), one_line(way_out))),
        None => Ok(()),
    }
}

fn label(text: &str) -> String {
    format!("{text:<LABEL_WIDTH$}")
}

/// `1 check`, `2 checks`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// The longest name, `round trip`, with its indent and two blanks.
const LABEL_WIDTH: usize = 14;
/// The longest verdict and two blanks.
const VERDICT_WIDTH: usize = 9;
