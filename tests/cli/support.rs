//! A place to run the command in, events to give it, and tokens to show it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tempfile::TempDir;

/// The secret of architecture.md's vectors.
pub(crate) const SECRET: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// Variables of an environment, by name.
pub(crate) type Variables<'a> = &'a [(&'a str, &'a str)];

/// The function in another language.
pub(crate) fn python() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/bootstrap.py")
}

/// A working directory of its own, with nothing of ours in the environment.
pub(crate) struct Place {
    directory: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Writes an event; its path in this directory is `name`.
    pub(crate) fn event(&self, name: &str, event: &Value) -> String {
        self.write(name, event.to_string());
        name.to_owned()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// `program`, in this directory.
    pub(crate) fn program(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if ["SECRET_", "SESSION_", "MEMCACHE_", "AWS_", "LAMBDA_"].iter().any(|start| name.starts_with(start)) {
                command.env_remove(&*name);
            }
        }
        command.env_remove("NO_COLOR").env_remove("MODE").current_dir(self.directory.path()).stdin(Stdio::null());
        command
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.program(env!("CARGO_BIN_EXE_lambda-session"));
        command.args(arguments);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }

    /// Runs the command with `text` on its standard input.
    pub(crate) fn run_with(&self, text: &str, variables: Variables<'_>, arguments: &[&str]) -> Ran {
        let mut command = self.command(arguments);
        command.envs(variables.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that does not read may be gone already.
        let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
        Ran::of(child.wait_with_output().unwrap())
    }

    /// Runs events, each written as it stands, through the function in Python.
    pub(crate) fn invoke(&self, options: &[&str], events: &[Value]) -> Ran {
        let names: Vec<_> =
            events.iter().enumerate().map(|(index, event)| self.event(&format!("{index}.json"), event)).collect();
        let python = python();
        let mut arguments = vec!["invoke", "--bootstrap", python.to_str().unwrap()];
        arguments.extend(options);
        arguments.extend(names.iter().map(String::as_str));
        self.run(&arguments)
    }
}

/// What became of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The lines of `--json`.
    pub(crate) fn json(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{self:?}"))).collect()
    }
}

/// An HTTP API event for `path`.
pub(crate) fn http_api(path: &str, body: &str) -> Value {
    json!({
        "version": "2.0", "rawPath": path, "headers": {"host": "shop.example"}, "body": body, "isBase64Encoded": false,
        "requestContext": {"domainName": "shop.example", "http": {"method": "POST", "path": path}},
    })
}

pub(crate) fn get(path: &str) -> Value {
    http_api(path, "")
}

pub(crate) fn function_url(path: &str, body: &str) -> Value {
    let mut event = http_api(path, body);
    event["requestContext"]["domainName"] = json!("x.lambda-url.eu-west-1.on.aws");
    event
}

pub(crate) fn rest(path: &str, body: &str) -> Value {
    json!({
        "resource": "/{proxy+}", "httpMethod": "POST", "path": path, "body": body,
        "headers": {"Host": "shop.example"}, "multiValueHeaders": {"Host": ["shop.example"]},
        "requestContext": {"path": path, "stage": "prod"},
    })
}

pub(crate) fn alb(path: &str, body: &str) -> Value {
    json!({
        "httpMethod": "POST", "path": path, "body": body,
        "headers": {"host": "shop.example", "x-forwarded-proto": "https"},
        "requestContext": {"elb": {"targetGroupArn": "arn"}},
    })
}

pub(crate) fn alb_multi(path: &str, body: &str) -> Value {
    json!({
        "httpMethod": "POST", "path": path, "body": body,
        "multiValueHeaders": {"host": ["shop.example"], "x-forwarded-proto": ["https"]},
        "requestContext": {"elb": {"targetGroupArn": "arn"}},
    })
}

/// A session cookie as a function makes it.
pub(crate) struct Sealed<'a> {
    pub(crate) payload: &'a str,
    pub(crate) secret: &'a str,
    pub(crate) name: &'a str,
    pub(crate) scope: &'a str,
    /// How long ago the session began, and was last written.
    pub(crate) created: Duration,
    pub(crate) issued: Duration,
}

impl Default for Sealed<'_> {
    fn default() -> Self {
        Self {
            payload: r#"{"user":"alice","cart":["a","b"]}"#,
            secret: SECRET,
            name: "__Host-session",
            scope: "",
            created: Duration::from_secs(600),
            issued: Duration::from_secs(60),
        }
    }
}

impl Sealed<'_> {
    pub(crate) fn encrypted(&self) -> String {
        self.token(lambda_session::store::CookieStore::encrypted)
    }

    pub(crate) fn signed(&self) -> String {
        self.token(lambda_session::store::CookieStore::signed)
    }

    /// What names a session that a server-side store keeps.
    pub(crate) fn reference(&self) -> String {
        self.token(lambda_session::store::MemoryStore::with_keyring)
    }

    fn token<S: lambda_session::store::Store>(&self, store: impl Fn(lambda_session::keyring::Keyring) -> S) -> String {
        use lambda_session::keyring::{Keyring, Secret};
        let keyring = Keyring::new([Secret::parse(self.secret).unwrap()]).unwrap();
        let now = SystemTime::now();
        let payload = self.payload.as_bytes().to_vec();
        let record = lambda_session::Record::new(payload.clone(), now - self.created).unwrap();
        let record = record.next(payload, now - self.issued).unwrap();
        let call = call(self.name, self.scope, now);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let token = runtime.block_on(store(keyring).create(&record, &call)).unwrap();
        token.as_str().to_owned()
    }
}

fn call(name: &str, scope: &str, now: SystemTime) -> lambda_session::store::Call {
    let deadline = std::time::Instant::now() + Duration::from_secs(1);
    lambda_session::store::Call::new(now, deadline, lambda_session::Lifetime::default(), name, scope)
}
