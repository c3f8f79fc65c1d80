//! The command that builds the function, its words on our standard error.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::{fmt, io};

use tokio::process::Command;

use crate::group::Group;
use crate::output::{self, one_line};

/// How the function is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Build {
    /// By a shell.
    Shell(String),
    /// By cargo, with these arguments.
    Cargo(Vec<String>),
}

impl Build {
    /// Builds, in `directory`. Dropped before its end, it takes all that the command has started with it.
    pub(super) async fn run(&self, directory: &Path) -> io::Result<ExitStatus> {
        let mut command = match self {
            Self::Shell(text) => {
                let mut command = Command::new("/bin/sh");
                command.args(["-c", text]);
                command
            }
            Self::Cargo(arguments) => {
                let mut command = Command::new(super::cargo::program());
                command.args(arguments);
                command
            }
        };
        command.current_dir(directory).stdin(Stdio::null()).stdout(io::stderr()).process_group(0);
        // It writes to standard error itself: what was told before comes first.
        output::finish();
        let mut child = command.spawn()?;
        let mut group = Group::of(&child);
        let status = child.wait().await?;
        group.forget();
        Ok(status)
    }
}

impl fmt::Display for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shell(text) => f.write_str(&one_line(text)),
            Self::Cargo(arguments) => write!(f, "cargo {}", one_line(&arguments.join(" "))),
        }
    }
}
