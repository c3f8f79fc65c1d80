//! Which program the function is.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::output::Failure;

/// The program to start: the one asked for, the `bootstrap` in the directory asked for, or the one beside this program.
pub(crate) fn program(asked: Option<&Path>) -> Result<PathBuf, Failure> {
    let found = match asked {
        Some(path) if path.is_dir() => Ok(path.join("bootstrap")),
        Some(path) => Ok(path.to_owned()),
        None => env::current_exe().map(|program| program.with_file_name(OsStr::new("bootstrap"))),
    };
    // Absolute, so that it is never looked up in PATH.
    let program = found.and_then(std::path::absolute);
    let program =
        program.map_err(|error| Failure::Environment(format!("cannot tell where the function is: {error}")))?;
    if asked.is_none() && !program.exists() {
        let path = program.display();
        let message =
            format!("there is no {path}: build it (cargo build --bin bootstrap), or name yours with --bootstrap");
        return Err(Failure::Environment(message));
    }
    Ok(program)
}
