//! What the documentation says of the repository is so: its links, the tests that it names, the variables, the commands.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// A page, by its path in the repository.
struct Page {
    path: String,
    text: String,
}

impl Page {
    fn read(path: &str) -> Self {
        Self { path: path.to_owned(), text: fs::read_to_string(root().join(path)).expect(path) }
    }

    fn all() -> Vec<Self> {
        let mut paths: Vec<_> = files(&root().join("docs")).into_iter().filter(|path| path.ends_with(".md")).collect();
        paths.extend(["README.md", "DESIGN.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(str::to_owned));
        paths.iter().map(|path| Self::read(path)).collect()
    }

    /// The text between backquotes on one line, without blocks.
    fn codes(&self) -> Vec<&str> {
        self.prose().into_iter().flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
    }

    /// The lines outside of blocks.
    fn prose(&self) -> Vec<&str> {
        let mut is_block = false;
        let lines = self.text.lines().filter(move |line| {
            let is_fence = line.trim_start().starts_with("```");
            is_block ^= is_fence;
            !is_block && !is_fence
        });
        lines.collect()
    }

    /// The lines of the blocks in this language.
    fn block_lines(&self, language: &str) -> Vec<&str> {
        let mut block = None;
        let mut lines = Vec::new();
        for line in self.text.lines() {
            match line.strip_prefix("```") {
                Some(info) if block.is_none() => block = Some(info.split(',').next().unwrap_or_default()),
                Some(_) => block = None,
                None if block == Some(language) => lines.push(line),
                None => {}
            }
        }
        lines
    }

    fn headings(&self) -> BTreeSet<String> {
        let headings = self.prose().into_iter().filter_map(|line| line.strip_prefix('#'));
        headings.map(|heading| anchor(heading.trim_start_matches('#').trim())).collect()
    }
}

/// As GitHub makes an anchor of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase().chars().filter(|&c| c.is_alphanumeric() || "-_ ".contains(c)).collect::<String>();
    kept.replace(' ', "-")
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below, by its path in the repository.
fn files(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path().strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
        }
    }
    found.sort();
    found
}

/// All of it but what is for tests.
fn code_of(directory: &str) -> String {
    let paths =
        files(&root().join(directory)).into_iter().filter(|path| path.ends_with(".rs") && !path.contains("tests"));
    let texts = paths.map(|path| fs::read_to_string(root().join(path)).unwrap());
    texts.map(|text| text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned()).collect()
}

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

/// Every command that the documentation gives, and what runs it. A command that nobody runs is not in the table, and fails. Blocks that
/// are marked `console` are not run: they want a toolchain from elsewhere, a certificate of yours, or AWS itself.
#[test]
fn every_command_is_run_by_a_test() {
    // The page, or any; how the command begins; what runs it, and words of that file which show it.
    let runs: &[(&str, &str, &str, &str)] = &[
        ("docs/getting-started.md", "", "e2e/getting-started.sh", "walk.py docs/getting-started.md"),
        ("docs/deploying-with-sam.md", "", "e2e/deploying.sh", "walk.py docs/deploying-with-sam.md"),
        ("docs/rotating-secrets.md", "", "tests/cli/keys.rs", "/docs/rotating-secrets.md"),
        ("CONTRIBUTING.md", "cargo build --all-features --bins", "e2e/invoke.sh", "make --no-print-directory"),
        ("CONTRIBUTING.md", "BOOTSTRAP=", "e2e/cloud.sh", "${BOOTSTRAP:-target/release/bootstrap}"),
        ("README.md", "make invoke", "e2e/invoke.sh", "make --no-print-directory invoke"),
        ("README.md", "make test", ".ci/run", "make test"),
        ("README.md", "cargo install --locked --path . --features cli", "e2e/getting-started.sh", "CARGO_INSTALL_ROOT"),
        (
            "README.md",
            "(umask 077; lambda-session secret --env",
            "docs/getting-started.md",
            "(umask 077; lambda-session secret --env",
        ),
        ("README.md", "lambda-session invoke", "Makefile", "lambda-session invoke $(EVENTS)"),
        ("README.md", "lambda-session inspect <", "tests/cli/inspect.rs", "[\"inspect\"].iter()"),
        ("README.md", "lambda-session keys init", "tests/cli/keys.rs", "keys(&place, \"init"),
        ("README.md", "lambda-session keys list", "tests/cli/keys.rs", "keys(&place, \"list\")"),
        (
            "README.md",
            "cargo build --features cli --bins && target/debug/lambda-session serve",
            "e2e/serve.sh",
            "lambda-session\" serve --as",
        ),
        ("README.md", "sam deploy", "e2e/deploying.sh", "walk.py docs/deploying-with-sam.md"),
        ("README.md", "lambda-session serve", "docs/getting-started.md", "lambda-session serve"),
        ("README.md", "lambda-session doctor", "tests/cli/doctor.rs", "[\"doctor\"].iter()"),
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
