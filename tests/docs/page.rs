//! The pages of the documentation, and the files that they speak of.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// A page, by its path in the repository.
pub(crate) struct Page {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Page {
    pub(crate) fn read(path: &str) -> Self {
        Self { path: path.to_owned(), text: fs::read_to_string(root().join(path)).expect(path) }
    }

    pub(crate) fn all() -> Vec<Self> {
        let mut paths: Vec<_> = files(&root().join("docs")).into_iter().filter(|path| path.ends_with(".md")).collect();
        paths.extend(["README.md", "DESIGN.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(str::to_owned));
        paths.iter().map(|path| Self::read(path)).collect()
    }

    /// The text between backquotes on one line, without blocks.
    pub(crate) fn codes(&self) -> Vec<&str> {
        self.prose().into_iter().flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
    }

    /// The lines outside of blocks.
    pub(crate) fn prose(&self) -> Vec<&str> {
        let mut is_block = false;
        let lines = self.text.lines().filter(move |line| {
            let is_fence = line.trim_start().starts_with("```");
            is_block ^= is_fence;
            !is_block && !is_fence
        });
        lines.collect()
    }

    /// The lines of the blocks in this language.
    pub(crate) fn block_lines(&self, language: &str) -> Vec<&str> {
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

    /// The blocks in this language, each with the text before it.
    pub(crate) fn blocks(&self, language: &str) -> Vec<(&str, &str)> {
        let starts = self.text.match_indices("```");
        let blocks = starts.step_by(2).filter_map(|(start, _)| {
            let (before, rest) = self.text.split_at(start);
            let (info, rest) = rest.strip_prefix("```")?.split_once('\n')?;
            let is_wanted = info.split(',').next() == Some(language);
            rest.split("```").next().filter(|_| is_wanted).map(|block| (before, block))
        });
        blocks.collect()
    }

    /// The rows of the one table whose head begins so, a text for each cell.
    pub(crate) fn table(&self, head: &str) -> Vec<Vec<String>> {
        let [table] = self.tables(head).try_into().expect(head);
        table
    }

    /// The same of all such tables.
    pub(crate) fn tables(&self, head: &str) -> Vec<Vec<Vec<String>>> {
        let lines: Vec<_> = self.text.lines().collect();
        let heads = lines.iter().enumerate().filter(|(_, line)| line.starts_with(head));
        heads
            .map(|(at, _)| lines.iter().skip(at + 2).take_while(|line| line.starts_with('|')).map(cells).collect())
            .collect()
    }

    pub(crate) fn headings(&self) -> BTreeSet<String> {
        let headings = self.prose().into_iter().filter_map(|line| line.strip_prefix('#'));
        headings.map(|heading| anchor(heading.trim_start_matches('#').trim())).collect()
    }
}

fn cells(row: &&str) -> Vec<String> {
    let row = row.replace("\\|", "¦");
    row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// The texts between backquotes.
pub(crate) fn codes(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// As GitHub makes an anchor of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase().chars().filter(|&c| c.is_alphanumeric() || "-_ ".contains(c)).collect::<String>();
    kept.replace(' ', "-")
}

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below, by its path in the repository.
pub(crate) fn files(directory: &Path) -> Vec<String> {
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
pub(crate) fn code_of(directory: &str) -> String {
    let paths =
        files(&root().join(directory)).into_iter().filter(|path| path.ends_with(".rs") && !path.contains("tests"));
    let texts = paths.map(|path| fs::read_to_string(root().join(path)).unwrap());
    texts.map(|text| text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned()).collect()
}
