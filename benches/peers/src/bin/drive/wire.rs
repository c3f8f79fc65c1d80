//! HTTP/1.1 as a server reads it: requests of a known length, one after the other on a connection.

use std::io::{self, Read};

/// One request.
pub struct Message {
    pub path: String,
    pub body: Vec<u8>,
}

/// What a connection has sent and nobody has read yet.
#[derive(Default)]
pub struct Inbox {
    bytes: Vec<u8>,
}

impl Inbox {
    /// Reads one request, whole; `None` at the connection's end.
    pub fn read(&mut self, stream: &mut impl Read) -> io::Result<Option<Message>> {
        let mut chunk = [0; 32 * 1024];
        loop {
            if let Some((message, used)) = parse(&self.bytes)? {
                self.bytes.drain(..used);
                return Ok(Some(message));
            }
            match stream.read(&mut chunk)? {
                0 => return Ok(None),
                count => self.bytes.extend(chunk.iter().take(count)),
            }
        }
    }
}

fn parse(bytes: &[u8]) -> io::Result<Option<(Message, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = request.parse(bytes).map_err(io::Error::other)? else { return Ok(None) };
    let mut length = 0;
    for header in request.headers.iter() {
        if header.name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(io::Error::other("a streamed answer, which this driver does not read"));
        }
        if header.name.eq_ignore_ascii_case("content-length") {
            let text = std::str::from_utf8(header.value).map_err(io::Error::other)?;
            length = text.trim().parse().map_err(io::Error::other)?;
        }
    }
    let end = head + length;
    Ok(bytes.get(head..end).map(|body| {
        let path = request.path.unwrap_or_default().to_owned();
        (Message { path, body: body.to_vec() }, end)
    }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_only_when_it_is_whole() {
        let bytes = b"POST /response HTTP/1.1\r\nContent-Length: 2\r\n\r\nokGET /next HTTP/1.1\r\n\r\n";
        for length in 0..47 {
            assert!(parse(&bytes[..length]).unwrap().is_none(), "{length} bytes");
        }
        let (message, used) = parse(bytes).unwrap().unwrap();
        assert_eq!((message.path.as_str(), message.body.as_slice(), used), ("/response", &b"ok"[..], 48));
        let (message, _) = parse(&bytes[used..]).unwrap().unwrap();
        assert_eq!((message.path.as_str(), message.body.as_slice()), ("/next", &b""[..]));
    }

    #[test]
    fn a_streamed_answer_is_refused() {
        assert!(parse(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }
}
