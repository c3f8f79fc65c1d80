//! What is done in a turn, and what has to be there before.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    sync::Arc,
};

use lambda_session::memcached::Key;

use crate::{Failed, memcached::Memcached};

/// How large values are.
pub const VALUE_BYTES: usize = 1024;
/// How long they live.
pub const TTL_SECS: u32 = 600;
/// How many jobs a turn on one connection has, and each connection where there are many.
const JOBS_ALONE: usize = 100;
const JOBS_EACH: usize = 16;

/// What is asked of a memcached.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    Get,
    GetAndTouch,
    Replace,
    Delete,
    Add,
}

/// One deed on one key.
pub struct Job {
    pub key: Key,
    /// The CAS number of what is there.
    pub cas: u64,
    /// The command, as bytes.
    pub request: Vec<u8>,
}

/// What one connection does in a turn.
pub type Lane = Arc<[Job]>;

/// Sets the stage for a turn: what is to be read, replaced or deleted is there, what is to be added is not.
pub struct Stage {
    stream: BufReader<TcpStream>,
    opaque: u64,
}

impl Deed {
    pub const ALL: [Self; 5] = [Self::Get, Self::GetAndTouch, Self::Replace, Self::Delete, Self::Add];

    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::GetAndTouch => "read-and-touch",
            Self::Replace => "CAS",
            Self::Delete => "delete",
            Self::Add => "add",
        }
    }

    /// With what an answer begins.
    pub fn beginning(self) -> &'static [u8] {
        match self {
            Self::Get | Self::GetAndTouch => b"VA ",
            Self::Replace | Self::Delete | Self::Add => b"HD ",
        }
    }

    /// An answer is whole if it is as long as this and ends with a line end.
    pub fn least_answer(self) -> usize {
        match self {
            Self::Get | Self::GetAndTouch => VALUE_BYTES + 2,
            Self::Replace | Self::Delete | Self::Add => 2,
        }
    }
}

impl Stage {
    pub fn new(server: &Memcached) -> Result<Self, Failed> {
        let stream = TcpStream::connect(server.address())?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), opaque: 0x0123_4567 })
    }

    /// The work of a turn, after everything is as it has to be.
    pub fn set(&mut self, deed: Deed, lanes: usize) -> Result<Vec<Lane>, Failed> {
        let each = if lanes == 1 { JOBS_ALONE } else { JOBS_EACH };
        let keys: Vec<String> = (0..lanes * each).map(|number| format!("s1:{number:032}")).collect();
        // In chunks, so that neither side waits for the other with full buffers.
        let mut cas = Vec::with_capacity(keys.len());
        for keys in keys.chunks(CHUNK) {
            let value = [b'x'; VALUE_BYTES];
            let mut bytes = Vec::new();
            for key in keys {
                match deed {
                    Deed::Add => write!(bytes, "md {key}\r\n")?,
                    _ => {
                        write!(bytes, "ms {key} {VALUE_BYTES} T{TTL_SECS} c\r\n")?;
                        bytes.extend_from_slice(&value);
                        bytes.extend_from_slice(b"\r\n");
                    }
                }
            }
            self.stream.get_mut().write_all(&bytes)?;
            for _ in keys {
                let mut line = String::new();
                self.stream.read_line(&mut line)?;
                cas.push(line.trim_end().strip_prefix("HD c").and_then(|digits| digits.parse().ok()).unwrap_or(0));
            }
        }
        let mut jobs = keys.iter().zip(cas).map(|(key, cas)| self.job(deed, key, cas));
        let lanes = (0..lanes).map(|_| jobs.by_ref().take(each).collect::<Result<Vec<_>, _>>());
        lanes.map(|lane| Ok(lane?.into())).collect()
    }

    fn job(&mut self, deed: Deed, key: &str, cas: u64) -> Result<Job, Failed> {
        self.opaque = self.opaque.wrapping_add(1);
        let (opaque, mut request) = (self.opaque, Vec::new());
        match deed {
            Deed::Get => write!(request, "mg {key} v c O{opaque:08x}\r\n")?,
            Deed::GetAndTouch => write!(request, "mg {key} T{TTL_SECS} v c O{opaque:08x}\r\n")?,
            Deed::Delete => write!(request, "md {key} O{opaque:08x}\r\n")?,
            Deed::Add => write!(request, "ms {key} {VALUE_BYTES} T{TTL_SECS} ME O{opaque:08x}\r\n")?,
            Deed::Replace => write!(request, "ms {key} {VALUE_BYTES} T{TTL_SECS} C{cas} O{opaque:08x}\r\n")?,
        }
        if matches!(deed, Deed::Add | Deed::Replace) {
            request.extend_from_slice(&[b'x'; VALUE_BYTES]);
            request.extend_from_slice(b"\r\n");
        }
        Ok(Job { key: Key::new(key).ok_or("no legal key")?, cas, request })
    }
}

/// How many commands go out before their answers are read.
const CHUNK: usize = 64;
