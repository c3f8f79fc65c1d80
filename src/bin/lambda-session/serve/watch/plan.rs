//! What is watched, and what is done about it.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::output::Failure;
use crate::serve::watch::build::Build;
use crate::serve::watch::cargo;
use crate::serve::watch::tree::{Identity, Look};

/// What is watched, and how the function is built of it.
#[derive(Debug)]
pub(in crate::serve) struct Plan {
    /// The directory with the sources.
    pub(super) root: PathBuf,
    pub(super) sources: Sources,
    /// `None`: nothing is built, the sources are the function.
    pub(super) build: Option<Build>,
    pub(super) program: PathBuf,
    /// Where `--record` writes: no source.
    pub(super) record: Option<PathBuf>,
    /// Where this command writes, which would be a reason to build after each build.
    pub(super) outputs: Vec<Identity>,
    /// Everything as it was before the settings were read and the program was started.
    pub(super) first: Look,
    has_warned: AtomicBool,
}

/// Which files are sources.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sources {
    /// All but what is hidden, or known to be made by tools.
    All,
    /// Rust's, cargo's, and those that this file of cargo's lists.
    Cargo { dependencies: PathBuf },
}

impl Plan {
    /// Looks around and plans for `program`: built by `command` if there is one, else by cargo if it lies in cargo's target directory, else by nobody.
    pub(in crate::serve) fn of(program: &Path, command: Option<&str>, record: Option<&Path>) -> Result<Self, Failure> {
        let here = || {
            env::current_dir().map_err(|error| Failure::Environment(format!("there is no working directory: {error}")))
        };
        let (root, sources, build) = match command {
            Some(command) => (here()?, Sources::All, Some(Build::Shell(command.to_owned()))),
            None => match cargo::package(program)? {
                Some(package) => {
                    let dependencies = program.with_extension("d");
                    (package.root, Sources::Cargo { dependencies }, Some(Build::Cargo(package.arguments)))
                }
                None => (program.parent().unwrap_or(Path::new("/")).to_owned(), Sources::All, None),
            },
        };
        let record = record.and_then(|record| std::path::absolute(record).ok());
        let (program, outputs) = (program.to_owned(), Identity::of_outputs());
        let (first, has_warned) = (Look::default(), AtomicBool::new(false));
        let mut plan = Self { root, sources, build, program, record, outputs, first, has_warned };
        plan.first = Look::at(&plan, &plan.extras());
        Ok(plan)
    }

    /// Whether the function is there as it stands.
    pub(in crate::serve) fn builds_nothing(&self) -> bool {
        self.build.is_none()
    }

    /// Files beside the usual kinds that the last build has read: templates, migrations.
    pub(super) fn extras(&self) -> Vec<PathBuf> {
        match &self.sources {
            Sources::All => Vec::new(),
            Sources::Cargo { dependencies } => {
                cargo::dependencies(&std::fs::read_to_string(dependencies).unwrap_or_default())
            }
        }
    }

    /// Whether nobody was warned yet.
    pub(super) fn warns_once(&self) -> bool {
        !self.has_warned.swap(true, Ordering::Relaxed)
    }
}
