//! What is owed, what was measured, and the table of both.

use std::{fmt::Display, time::Duration};

/// One fault: what was done, and its figures.
pub(crate) struct Fault {
    fault: &'static str,
    done: String,
    figures: Vec<Figure>,
}

struct Figure {
    owed: String,
    measured: String,
    holds: bool,
}

/// How the table is printed.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Layout {
    /// For a terminal.
    Table,
    /// As the page in the repository.
    Page,
}

impl Fault {
    pub(crate) fn new(fault: &'static str, done: impl Into<String>) -> Self {
        Self { fault, done: done.into(), figures: Vec::new() }
    }

    /// A time that may not be exceeded.
    pub(crate) fn at_most(self, what: &str, limit: Duration, measured: Duration) -> Self {
        let owed = format!("{what} ≤ {}", text(limit));
        self.figure(owed, text(measured), measured <= limit)
    }

    /// A number that may not be exceeded.
    pub(crate) fn no_more(self, what: &str, limit: usize, measured: usize) -> Self {
        let owed = if limit == 0 { format!("0 {what}") } else { format!("{what} ≤ {limit}") };
        self.figure(owed, measured.to_string(), measured <= limit)
    }

    /// So many of so many.
    pub(crate) fn all(self, what: &str, owed: usize, measured: usize) -> Self {
        self.figure(format!("{owed} {what}"), measured.to_string(), measured == owed)
    }

    /// A number that shows that something was done at all.
    pub(crate) fn at_least(self, what: &str, limit: usize, measured: usize) -> Self {
        self.figure(format!("{what} ≥ {limit}"), measured.to_string(), measured >= limit)
    }

    pub(crate) fn figure(mut self, owed: impl Display, measured: impl Display, holds: bool) -> Self {
        self.figures.push(Figure { owed: owed.to_string(), measured: measured.to_string(), holds });
        self
    }

    pub(crate) fn holds(&self) -> bool {
        self.figures.iter().all(|figure| figure.holds)
    }
}

fn text(time: Duration) -> String {
    match time.as_micros() {
        micros @ 0..1_000 => format!("{micros} µs"),
        micros @ 1_000..10_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        micros @ 10_000..2_000_000 => format!("{} ms", micros / 1_000),
        micros => format!("{}.{} s", micros / 1_000_000, micros % 1_000_000 / 100_000),
    }
}

pub(crate) fn print(layout: Layout, faults: &[(&str, Fault)], took: Duration) {
    let rows: Vec<[String; 6]> = faults
        .iter()
        .flat_map(|(id, fault)| {
            fault.figures.iter().enumerate().map(|(place, figure)| {
                let once = |text: &str| if place == 0 { text.to_owned() } else { String::new() };
                let verdict = if figure.holds { "PASS" } else { "FAIL" };
                [
                    once(id),
                    once(fault.fault),
                    once(&fault.done),
                    figure.owed.clone(),
                    figure.measured.clone(),
                    verdict.to_owned(),
                ]
            })
        })
        .collect();
    match layout {
        Layout::Table => print_table(&rows),
        Layout::Page => print_page(&rows),
    }
    let failed = rows.iter().filter(|row| row[5] == "FAIL").count();
    println!("\n{} figures, {failed} not held, in {} s.", rows.len(), took.as_secs());
}

const HEADS: [&str; 6] = ["F", "fault", "what was done", "owed", "measured", "verdict"];

fn print_table(rows: &[[String; 6]]) {
    for row in rows {
        if !row[0].is_empty() {
            println!("\n{}: {}\n    {}", row[0], row[1], row[2]);
        }
        println!("    {}  {:<58} {}", row[5], row[3], row[4]);
    }
}

fn print_page(rows: &[[String; 6]]) {
    println!(
        "# Faults of the session store\n\n\
         `make faults FAULTS=--markdown >docs/faults.md` writes this page. Each fault is done to a whole application (requests \
         in, answers out), built as released, whose sessions are in a real memcached, some behind a proxy on loopback that does \
         the harm. What is owed are the numbers of our security notes and, where issue 3 has its own, those. A \
         request that cannot have its session is answered 503 with `Retry-After`, and its cookie is let be. Times are those of \
         a busy virtual machine with two cores.\n"
    );
    println!("| {} |\n|{}", HEADS.join(" | "), " --- |".repeat(HEADS.len()));
    for row in rows {
        println!("| {} |", row.join(" | "));
    }
}
