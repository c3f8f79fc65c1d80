//! A memcached of our own, on a free port of loopback.

use std::{
    ffi::OsStr,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use crate::Failed;

/// A running memcached with one worker thread.
pub struct Memcached {
    address: SocketAddr,
    child: Child,
}

impl Memcached {
    /// Starts one, with these arguments more.
    pub fn start(arguments: &[impl AsRef<OsStr>]) -> Result<Self, Failed> {
        // Between choosing a port and using it somebody else may take it.
        for _ in 0..10 {
            let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
            if let Some(child) = spawn(address, arguments)? {
                return Ok(Self { address, child });
            }
        }
        Err("memcached does not start".into())
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it says it is.
    pub fn version(&self) -> Result<String, Failed> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.write_all(b"version\r\n")?;
        let mut answer = [0; 64];
        let length = stream.read(&mut answer)?;
        let answer = String::from_utf8_lossy(answer.get(..length).unwrap_or_default()).to_lowercase();
        Ok(answer.trim().replacen("version", "memcached", 1))
    }
}

impl Drop for Memcached {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(address: SocketAddr, arguments: &[impl AsRef<OsStr>]) -> Result<Option<Child>, Failed> {
    let mut child = Command::new("memcached")
        .args(["-u", "nobody", "-l", "127.0.0.1", "-U", "0", "-t", "1", "-p", &address.port().to_string()])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("memcached does not start: {error}"))?;
    for _ in 0..200 {
        if TcpStream::connect(address).is_ok() {
            return Ok(Some(child));
        }
        if child.try_wait()?.is_some() {
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
    Ok(None)
}
