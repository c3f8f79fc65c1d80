//! HTTP/1.1 as far as this bench speaks it: messages of a known length, one after the other on a connection.

use std::io::{self, Read};
use std::net::TcpStream;

/// A message's first line and headers, and its body.
pub struct Message {
    pub head: String,
    pub body: Vec<u8>,
}

/// A connection, and what it has sent and nobody has read yet.
pub struct Inbox {
    pub stream: TcpStream,
    bytes: Vec<u8>,
}

impl Inbox {
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, bytes: Vec::new() })
    }

    /// Reads one message, whole; `None` at the connection's end.
    pub fn read(&mut self) -> io::Result<Option<Message>> {
        let mut chunk = [0; 32 * 1024];
        loop {
            if let Some((message, used)) = parse(&self.bytes)? {
                self.bytes.drain(..used);
                return Ok(Some(message));
            }
            match self.stream.read(&mut chunk)? {
                0 => return Ok(None),
                count => self.bytes.extend(chunk.iter().take(count)),
            }
        }
    }
}

impl Message {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

fn parse(bytes: &[u8]) -> io::Result<Option<(Message, usize)>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned();
    let message = Message { head, body: Vec::new() };
    let length = message.header("content-length").unwrap_or("0").parse().map_err(io::Error::other)?;
    let start = end + 4;
    let whole = start.checked_add(length).ok_or_else(|| io::Error::other("a length that is none"))?;
    Ok(bytes.get(start..whole).map(|body| (Message { body: body.to_vec(), ..message }, whole)))
}
