//! A look at the sources: which files are there, and when each was written last.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::output::one_line;
use crate::serve::watch::plan::{Plan, Sources};

/// Everything that is watched, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    sources: BTreeMap<PathBuf, Stamp>,
    /// What is not built, but makes another function all the same.
    settings: BTreeMap<PathBuf, Stamp>,
    program: Option<(PathBuf, Stamp)>,
    is_cut: bool,
}

/// By what a file that was written again is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    size_bytes: u64,
    identity: Identity,
}

/// One file of this machine, whatever its name: its device, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity(u64, u64);

impl Identity {
    /// The files that this command itself writes to, if its output was sent to some.
    pub(super) fn of_outputs() -> Vec<Self> {
        let files = ["/dev/stdout", "/dev/stderr"].iter().filter_map(|path| Stamp::of(Path::new(path)));
        files.map(|stamp| stamp.identity).collect()
    }
}

/// What is different; in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Nothing,
    Sources(String),
    Beside(String),
}

impl Look {
    /// Looks at all that `plan` watches, and at the files `extras`.
    pub(super) fn at(plan: &Plan, extras: &[PathBuf]) -> Self {
        let mut look = Self::default();
        let seen = |path: PathBuf| Stamp::of(&path).map(|stamp| (path, stamp));
        look.walk(plan);
        look.sources.extend(extras.iter().cloned().filter_map(seen));
        look.settings = [".env", ".env.local"].into_iter().map(PathBuf::from).filter_map(seen).collect();
        look.program = seen(plan.program.clone());
        look
    }

    /// Whether there was more than is looked at.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// What has changed since `before`.
    pub(super) fn since(&self, before: &Self) -> Change {
        if let Some(what) = difference(&before.sources, &self.sources) {
            return Change::Sources(what);
        }
        if let Some(what) = difference(&before.settings, &self.settings) {
            return Change::Beside(what);
        }
        match &self.program {
            Some((path, _)) if self.program != before.program => Change::Beside(name(path)),
            // One that is gone is about to come back: whoever builds it takes the old one away first.
            _ => Change::Nothing,
        }
    }

    fn walk(&mut self, plan: &Plan) {
        let (mut directories, mut entries) = (vec![plan.root.clone()], 0_usize);
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
                entries = entries.saturating_add(1);
                if entries > MOST_ENTRIES {
                    self.is_cut = true;
                    return;
                }
                let (path, name) = (entry.path(), entry.file_name());
                // A link to a directory is not followed: it may lead around in a circle.
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    if is_source_directory(&path, &name) && plan.record.as_deref() != Some(&path) {
                        directories.push(path);
                    }
                } else if is_source(&path, &name, &plan.sources) && path != plan.program {
                    let stamp = Stamp::of(&path).filter(|stamp| !plan.outputs.contains(&stamp.identity));
                    self.sources.extend(stamp.map(|stamp| (path, stamp)));
                }
            }
        }
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let file = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        Some(Self {
            modified: file.modified().ok(),
            size_bytes: file.len(),
            identity: Identity(file.dev(), file.ino()),
        })
    }
}

fn difference(before: &BTreeMap<PathBuf, Stamp>, after: &BTreeMap<PathBuf, Stamp>) -> Option<String> {
    let written = after.iter().filter(|(path, stamp)| before.get(*path) != Some(stamp));
    let removed = before.iter().filter(|(path, _)| !after.contains_key(*path));
    let mut different = written.chain(removed).map(|(path, _)| path);
    let first = name(different.next()?);
    Some(match different.count() {
        0 => first,
        1 => format!("{first} and one other file"),
        more => format!("{first} and {more} other files"),
    })
}

fn name(path: &Path) -> String {
    one_line(&path.file_name().unwrap_or(path.as_os_str()).to_string_lossy())
}

fn is_source_directory(path: &Path, name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    // What tools make is marked (Cache Directory Tagging Specification), or known by its name.
    !name.starts_with('.') && !TOOLS.contains(&&*name) && !path.join("CACHEDIR.TAG").exists()
}

fn is_source(path: &Path, name: &OsStr, sources: &Sources) -> bool {
    let name = name.to_string_lossy();
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    // What is hidden is somebody else's, and `#` and `~` are an editor's.
    let is_a_persons = !name.starts_with(['.', '#']) && !name.ends_with('~');
    is_a_persons
        && match sources {
            Sources::Cargo { .. } => extension == "rs" || name == "Cargo.toml" || name == "Cargo.lock",
            Sources::All => !["log", "pyc"].contains(&extension),
        }
}

const TOOLS: [&str; 3] = ["target", "node_modules", "__pycache__"];

/// More than a package has sources; a person waits for a look.
pub(super) const MOST_ENTRIES: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(root: &Path, sources: Sources) -> Plan {
        let mut plan = Plan::of(&root.join("bin/bootstrap"), Some("make"), Some(&root.join("visits"))).unwrap();
        (plan.root, plan.sources) = (root.to_owned(), sources);
        plan
    }

    fn write(root: &Path, name: &str, text: &str) {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn sources_are_told_from_what_tools_make_of_them() {
        let names = [
            "a.rs",
            "src/deep/b.rs",
            "Cargo.toml",
            "Cargo.lock",
            "page.html",
            ".hidden.rs",
            ".git/c.rs",
            "target/d.rs",
            "node_modules/e.rs",
            "x/__pycache__/f.rs",
            "built/CACHEDIR.TAG",
            "built/g.rs",
            "visits/h.rs",
            "i.rs~",
            "#j.rs",
            "k.log",
            "l.pyc",
            "bin/bootstrap",
        ];
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        names.iter().for_each(|name| write(root, name, ""));
        std::os::unix::fs::symlink(root, root.join("circle")).unwrap();
        let cargo = Sources::Cargo { dependencies: PathBuf::new() };
        let rows: [(Sources, &[&str]); 2] = [
            (Sources::All, &["Cargo.lock", "Cargo.toml", "a.rs", "page.html", "src/deep/b.rs"]),
            (cargo, &["Cargo.lock", "Cargo.toml", "a.rs", "src/deep/b.rs"]),
        ];
        for (sources, expected) in rows {
            let look = Look::at(&plan(root, sources), &[]);
            let seen: Vec<_> =
                look.sources.keys().map(|path| path.strip_prefix(root).unwrap().to_str().unwrap()).collect();
            assert_eq!(seen, expected);
        }
        let extra = root.join("page.html");
        let look = Look::at(&plan(root, Sources::Cargo { dependencies: PathBuf::new() }), std::slice::from_ref(&extra));
        assert!(look.sources.contains_key(&extra), "what cargo lists is a source");
    }

    #[test]
    fn a_change_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        write(root, "a.rs", "1");
        write(root, "b.rs", "1");
        write(root, "bin/bootstrap", "1");
        let plan = plan(root, Sources::All);
        let first = Look::at(&plan, &[]);
        assert_eq!(Look::at(&plan, &[]).since(&first), Change::Nothing);
        write(root, "bin/bootstrap", "other");
        assert_eq!(Look::at(&plan, &[]).since(&first), Change::Beside("bootstrap".to_owned()));
        fs::remove_file(root.join("bin/bootstrap")).unwrap();
        assert_eq!(Look::at(&plan, &[]).since(&first), Change::Nothing, "it is about to come back");
        write(root, "a.rs", "other");
        assert_eq!(Look::at(&plan, &[]).since(&first), Change::Sources("a.rs".to_owned()));
        fs::remove_file(root.join("b.rs")).unwrap();
        assert_eq!(Look::at(&plan, &[]).since(&first), Change::Sources("a.rs and one other file".to_owned()));
        write(root, "c.rs", "1");
        assert_eq!(Look::at(&plan, &[]).since(&first), Change::Sources("a.rs and 2 other files".to_owned()));
    }

    #[test]
    fn a_look_ends() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for number in 0..=MOST_ENTRIES {
            fs::write(root.join(number.to_string()), "").unwrap();
        }
        let look = Look::at(&plan(root, Sources::All), &[]);
        assert!(look.is_cut() && look.sources.len() == MOST_ENTRIES);
    }
}
