//! A running `serve` before the example, and how much memory it and its environments take.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

/// A gateway, until it is dropped.
pub(crate) struct Gateway {
    pub(crate) port: u16,
    child: Child,
    _place: TempDir,
}

/// Resident memory in KiB: of the gateway, and of each environment by its process.
pub(crate) struct Memory {
    pub(crate) gateway: u64,
    pub(crate) environments: BTreeMap<u32, u64>,
}

impl Gateway {
    /// Sessions are kept where `SESSION_STORE` says. The log goes nowhere: three lines a request.
    pub(crate) fn start(environments: usize) -> Self {
        let place = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_lambda-session"))
            .args(["serve", "--port", "0", "--environments", &environments.to_string()])
            .args(["--bootstrap", env!("CARGO_BIN_EXE_bootstrap")])
            .current_dir(place.path())
            .env("SECRET_KEY_BASE", SECRET)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut greeting = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut greeting).unwrap();
        let port = greeting.split([':', ' ']).nth(2).and_then(|port| port.parse().ok());
        Self { port: port.expect("serve tells its port"), child, _place: place }
    }

    pub(crate) fn memory(&self) -> Memory {
        let gateway = self.child.id();
        let processes =
            fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let environments = processes.filter(|&process| status(process, "PPid") == Some(gateway.into()));
        let environments = environments.filter_map(|process: u32| Some((process, status(process, "VmRSS")?))).collect();
        Memory { gateway: status(gateway, "VmRSS").expect("serve still runs"), environments }
    }
}

impl Drop for Gateway {
    /// SIGTERM, so that it stops its environments.
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

/// A number that the kernel has about a process; `None` if there is no such process.
fn status(process: u32, name: &str) -> Option<u64> {
    let text = fs::read_to_string(Path::new("/proc").join(process.to_string()).join("status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The secret of architecture.md's vectors.
const SECRET: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
