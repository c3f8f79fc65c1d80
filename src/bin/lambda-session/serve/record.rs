//! Events and answers as files that `invoke` plays again.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::function::{Fault, StartError};
use crate::output::tell;
use crate::runtime_api::Posted;

/// A directory that takes every exchange. Its files hold cookies and bodies, so only their owner may read them.
#[derive(Debug)]
pub(super) struct Recorder {
    directory: PathBuf,
    last: AtomicU64,
}

/// The name of one exchange: `0001-POST-login`.
#[derive(Debug)]
pub(super) struct Name(String);

impl Recorder {
    /// Opens `directory`, which is made if it is not there; numbers go on where those in it end.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        if fs::metadata(directory)?.permissions().mode() & OTHERS_WRITE != 0 {
            let shown = directory.display();
            tell(format!(
                "lambda-session: others may write into {shown}, and `invoke` would play it: chmod go-w {shown}"
            ));
        }
        let mut last = 0;
        for entry in fs::read_dir(directory)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.split('-').next()).and_then(|number| number.parse().ok());
            last = last.max(number.unwrap_or(0));
        }
        Ok(Self { directory: directory.to_owned(), last: AtomicU64::new(last) })
    }

    /// Writes the event of a request, and says what the exchange is called. Another `serve` may record here as well: a name
    /// that it took is its own.
    pub(super) fn event(&self, method: &str, path: &str, event: &[u8]) -> io::Result<Name> {
        let mut tries = 1..=MOST_TRIES;
        loop {
            let number = self.last.fetch_add(1, Ordering::Relaxed).saturating_add(1);
            let name = Name(format!("{number:04}{}{}", slug(method), slug(path)));
            match self.write(&name, "event", event) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries.next().is_some() => {}
                written => return written.map(|()| name),
            }
        }
    }

    /// Writes what the function made of it.
    pub(super) fn answer(&self, name: &Name, result: &Result<Posted, Fault>) -> io::Result<()> {
        let text = match result {
            Ok(Posted::Whole(bytes)) => return self.write(name, "answer", bytes),
            Ok(Posted::Streamed(bytes)) => json!({"streamed": STANDARD.encode(bytes)}).to_string(),
            Ok(Posted::TooLarge(limit, size)) => {
                failed("TooLarge", &format!("{size} bytes, over the limit of {limit}"))
            }
            Ok(Posted::Broken(error)) | Err(Fault::Reported(error)) => failed(&error.kind, &error.message),
            Err(fault @ Fault::Ended(_)) => failed("Runtime.ExitError", &fault.to_string()),
            Err(fault @ Fault::TimedOut(_)) => failed("Sandbox.Timedout", &fault.to_string()),
        };
        self.write(name, "answer", text.as_bytes())
    }

    /// Writes why no function took the event.
    pub(super) fn not_started(&self, name: &Name, error: &StartError) -> io::Result<()> {
        let (kind, message) = match error {
            StartError::Reported(failed) => (&*failed.kind, failed.message.clone()),
            _ => ("Runtime.InitError", error.to_string()),
        };
        self.write(name, "answer", failed(kind, &message).as_bytes())
    }

    fn write(&self, name: &Name, what: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.directory.join(format!("{}.{what}.json", name.0));
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(bytes)
    }
}

/// A failure as Lambda reports one.
fn failed(kind: &str, message: &str) -> String {
    json!({"errorType": kind, "errorMessage": message}).to_string()
}

/// A method or a path as a part of a file's name.
fn slug(path: &str) -> String {
    let plain: String = path.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).collect();
    let parts: Vec<_> = plain.split('-').filter(|part| !part.is_empty()).collect();
    let joined: String = parts.iter().flat_map(|part| ["-", part]).collect();
    joined.chars().take(SLUG_CHARACTERS).collect()
}

const SLUG_CHARACTERS: usize = 48;

/// How many names may be taken before something else must be wrong.
const MOST_TRIES: u32 = 1_000;

/// Write permission for group and others.
const OTHERS_WRITE: u32 = 0o022;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_name_and_never_leads_elsewhere() {
        let rows = [
            ("/login", "-login"),
            ("/", ""),
            ("/a/b%20c", "-a-b-20c"),
            ("/../../etc/passwd", "-etc-passwd"),
            ("/\u{202e}x", "-x"),
        ];
        for (path, expected) in rows {
            assert_eq!(slug(path), expected, "{path}");
        }
        assert_eq!(slug(&"/x".repeat(100)).len(), SLUG_CHARACTERS);
    }

    #[test]
    fn two_that_record_in_one_directory_lose_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let recorders = [(); 2].map(|()| Recorder::open(directory.path()).unwrap());
        let method = "M-SEARCH".repeat(40);
        let names: Vec<_> = (0_u8..6)
            .map(|index| {
                let recorder = recorders.get(usize::from(index % 2)).unwrap();
                recorder.event(&method, "/a", &[index]).unwrap().0
            })
            .collect();
        for (index, name) in names.iter().enumerate() {
            let event = fs::read(directory.path().join(format!("{name}.event.json"))).unwrap();
            assert_eq!(event, [u8::try_from(index).unwrap()], "{name}");
        }
        assert!(names.iter().all(|name| name.len() <= 4 + 2 * SLUG_CHARACTERS), "{names:?}");
    }
}
