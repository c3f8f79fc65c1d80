//! The variables this command works with: the process's own, then those of `.env` files in the working directory.

use std::env;
use std::ffi::OsString;
use std::path::Path;

use lambda_session::config::{self, Variables};

use crate::output::Failure;

/// Variables by name.
#[derive(Debug)]
pub(crate) struct Environment {
    files: Vec<(String, String)>,
}

impl Environment {
    /// Reads the `.env` files of the working directory.
    pub(crate) fn read() -> Result<Self, Failure> {
        let files = config::dotenv_files(Path::new(".")).map_err(|error| Failure::Environment(format!("{error:?}")))?;
        Ok(Self { files })
    }

    /// Whether `name` has a value that is not blank.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| !value.trim().is_empty())
    }

    /// The region that AWS's tools would take from these variables.
    pub(crate) fn region(&self) -> Option<String> {
        self.value("AWS_REGION").or_else(|| self.value("AWS_DEFAULT_REGION"))
    }

    /// What `program` gets on top of our own environment: the files' variables, and those that Lambda sets.
    pub(crate) fn for_function(&self, program: &Path) -> Vec<(OsString, OsString)> {
        let root = program.parent().unwrap_or(Path::new("/"));
        let handler = program.file_stem().unwrap_or(program.as_os_str());
        let region = OsString::from(self.region().unwrap_or_else(|| "us-east-1".to_owned()));
        let lambda: [(&str, OsString); 11] = [
            ("AWS_LAMBDA_FUNCTION_NAME", "function".into()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".into()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128".into()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/function".into()),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "local".into()),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".into()),
            ("AWS_REGION", region.clone()),
            ("AWS_DEFAULT_REGION", region),
            ("LAMBDA_TASK_ROOT", root.into()),
            ("LAMBDA_RUNTIME_DIR", root.into()),
            ("_HANDLER", handler.into()),
        ];
        // What looks like Lambda to the function is this machine all the same, where a memcached may run beside it.
        let is_memcached = |store: String| store.trim().eq_ignore_ascii_case("memcached");
        let is_beside = self.value("SESSION_STORE").is_some_and(is_memcached) && !self.has("MEMCACHE_SERVERS");
        let beside = is_beside.then(|| ("MEMCACHE_SERVERS", "localhost:11211".into()));
        let lambda = lambda.into_iter().chain(beside).map(|(name, value)| (OsString::from(name), value));
        let files = self.files.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        // The later of two wins in the child: a file may set what Lambda would, the process environment anything.
        let unset = lambda.chain(files).filter(|(name, _)| env::var_os(name).is_none());
        // But for the clock: Lambda reserves that variable, and the time zone of who develops is not the one it will run in.
        unset.chain([("TZ".into(), ":UTC".into())]).collect()
    }
}

impl Variables for Environment {
    fn value(&self, name: &str) -> Option<String> {
        match env::var_os(name) {
            // What is no UTF-8 is no value of ours, and must not fall back to a file's.
            Some(value) => Some(value.into_string().unwrap_or_else(|_| "\u{fffd}".to_owned())),
            None => self.files.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()),
        }
    }
}
