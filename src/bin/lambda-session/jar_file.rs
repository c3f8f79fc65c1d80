//! A jar that outlives the command: JSON in a file only its owner may read.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::jar::Jar;

/// The file of `--jar`.
#[derive(Debug)]
pub(crate) struct JarFile {
    path: PathBuf,
}

impl JarFile {
    /// Reads the jar in the file at `path`; an empty one if there is no such file. Proves that the file can be written.
    pub(crate) fn open(path: &Path) -> Result<(Self, Jar), String> {
        let jar = match fs::read(path) {
            Ok(text) => serde_json::from_slice(&text)
                .map_err(|error| format!("{} is no cookie jar of this command: {error}", path.display()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Jar::default(),
            Err(error) => return Err(format!("cannot read the cookie jar {}: {error}", path.display())),
        };
        let file = Self { path: path.to_owned() };
        file.save(&jar)?;
        Ok((file, jar))
    }

    /// Puts `jar` in the file's place, at once and whole, with mode 0600.
    pub(crate) fn save(&self, jar: &Jar) -> Result<(), String> {
        // A link is followed, so that it is the file behind it that changes.
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let new = path.with_file_name(name);
        let written = write_private(&new, jar).and_then(|()| fs::rename(&new, &path));
        written.map_err(|error| {
            let _ = fs::remove_file(&new);
            format!("cannot write the cookie jar {}: {error}", self.path.display())
        })
    }
}

fn write_private(path: &Path, jar: &Jar) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(jar)?;
    text.push(b'\n');
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&text)
}
