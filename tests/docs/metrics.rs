//! The metrics that pages name, and what they ask of the log, are what `src/metrics/emf.rs` writes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use lambda_session::metrics::{NAMES, REASONS};
use serde_json::Value;

use crate::page::{Page, codes, root};

/// The members of a line besides its metrics, as `src/metrics/emf.rs` writes them.
fn members() -> BTreeSet<String> {
    let code = emf();
    let written = code.lines().filter(|line| line.contains("members"));
    let quoted = written.flat_map(|line| line.split('"').collect::<Vec<_>>().windows(2).map(pair).collect::<Vec<_>>());
    let named = quoted.filter(|(_, after)| after.starts_with(':')).map(|(name, _)| name);
    named.filter(|name| !name.contains('{') && !NAMES.contains(&name.as_str())).collect()
}

fn pair(parts: &[&str]) -> (String, String) {
    (parts[0].to_owned(), parts[1].to_owned())
}

fn emf() -> String {
    let code = fs::read_to_string(root().join("src/metrics/emf.rs")).unwrap();
    code.split("#[cfg(test)]").next().unwrap().to_owned()
}

/// Words of the language of CloudWatch Logs Insights.
const COMMANDS: [&str; 8] = ["filter", "stats", "sort", "by", "or", "and", "like", "as"];
const FUNCTIONS: [&str; 5] = ["ispresent", "sum", "max", "pct", "bin"];

#[test]
fn every_query_asks_for_what_is_in_the_log() {
    let members = members();
    let expected = ["FunctionName", "KeyId", "Reason", "RequestId", "Session"].map(str::to_owned);
    assert_eq!(members, BTreeSet::from(expected), "what emf.rs writes, as this test reads it");
    let (mut wrong, mut asked) = (Vec::new(), BTreeSet::new());
    for page in Page::all() {
        for query in page.block_lines("insights").into_iter().filter(|line| !line.starts_with('#')) {
            for (word, is_called) in words(query) {
                let is_known = match (is_called, word.strip_prefix('@')) {
                    (true, _) => FUNCTIONS.contains(&word.as_str()),
                    // CloudWatch's own.
                    (false, Some(word)) => ["timestamp", "message"].contains(&word),
                    (false, None) if COMMANDS.contains(&word.as_str()) => true,
                    (false, None) => {
                        asked.insert(word.clone());
                        NAMES.contains(&word.as_str()) || members.contains(&word)
                    }
                };
                if !is_known {
                    wrong.push(format!("{}: {word} in {query}", page.path));
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(asked.len() >= 8, "{asked:?}");
}

/// The words of a query outside of texts, patterns and numbers, and whether a bracket follows.
fn words(query: &str) -> Vec<(String, bool)> {
    let mut bare = String::new();
    let mut end = None;
    for c in query.chars() {
        match end {
            Some(mark) if c == mark => end = None,
            Some(_) => {}
            // A pattern follows `like`; elsewhere a slash divides.
            None if c == '"' || (c == '/' && bare.trim_end().ends_with("like")) => end = Some(c),
            None => bare.push(c),
        }
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || "@_".contains(c);
    let starts = bare.char_indices().filter(|&(at, c)| is_word(c) && !bare[..at].ends_with(is_word));
    let found = starts.map(|(at, _)| {
        let word: String = bare[at..].chars().take_while(|&c| is_word(c)).collect();
        let is_called = bare[at + word.len()..].starts_with('(');
        (word, is_called)
    });
    found.filter(|(word, _)| !word.starts_with(|c: char| c.is_ascii_digit())).collect()
}

/// Both ways: what is counted is explained, and what is explained is counted.
#[test]
fn every_metric_and_every_reason_is_explained() {
    let page = Page::read("docs/operating.md");
    let metrics = page.table("| metric | unit |");
    let named: BTreeMap<_, _> =
        metrics.iter().flat_map(|row| codes(&row[0]).into_iter().map(|name| (name, row[1].clone()))).collect();
    let unit = |name: &str| {
        let code = emf();
        let marks =
            ["Bytes", "Milliseconds"].into_iter().find(|unit| code.contains(&format!("\"{name}\", \"{unit}\"")));
        (name.to_owned(), marks.unwrap_or("Count").to_owned())
    };
    assert_eq!(named, NAMES.iter().map(|name| unit(name)).collect());
    let reasons: Vec<_> = page.table("| `Reason` |").iter().flat_map(|row| codes(&row[0])).collect();
    assert_eq!(reasons, REASONS);
}

/// `template.yaml` draws what the page says, graph by graph, and none besides.
#[test]
fn every_graph_of_the_dashboard_is_explained() {
    let template = fs::read_to_string(root().join("template.yaml")).unwrap();
    let body = template.split("DashboardBody: !Sub |\n").nth(1).unwrap().split("\nOutputs:").next().unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    let graphs = body["widgets"].as_array().unwrap().iter().map(|widget| {
        let title = widget["properties"]["title"].as_str().unwrap().to_owned();
        (title, widget["properties"]["metrics"].as_array().unwrap().iter().filter_map(drawn).collect::<Vec<_>>())
    });
    let page = Page::read("docs/operating.md");
    let explained = page.table("| graph |").into_iter().map(|row| (row[0].clone(), codes(&row[1])));
    assert_eq!(explained.collect::<Vec<_>>(), graphs.collect::<Vec<_>>());
}

/// The metric of a graph's line; `None` where it is another statistic of the one before.
fn drawn(line: &Value) -> Option<String> {
    match &line[0]["expression"] {
        Value::String(search) => search.split("MetricName=\"").nth(1)?.split('"').next().map(str::to_owned),
        _ => line[1].as_str().map(str::to_owned),
    }
}
