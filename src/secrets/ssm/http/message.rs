//! HTTP/1.1 (RFC 9112) as far as AWS's services speak it: one request, one answer, no I/O.

use std::{io, ops::Range};

use httparse::{EMPTY_HEADER, Status};
use zeroize::Zeroizing;

/// More header lines than that are no answer of a service.
const HEADERS_LIMIT: usize = 100;

/// How an answer begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    /// Where the body begins.
    end: usize,
    framing: Framing,
}

/// What says where a body ends (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
    Close,
}

/// A request that asks for no other on this connection, all its bytes; wiped when dropped, for it may write a secret.
pub(super) fn request(
    method: &str,
    target: &str,
    host: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Zeroizing<Vec<u8>> {
    let length = body.len().to_string();
    let has = |name: &str| headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    // A request without a body may do without its length (RFC 9110, section 8.6), but for a POST or PUT.
    let needs_length = !has("content-length") && (!body.is_empty() || matches!(method, "POST" | "PUT"));
    let ours = [
        ("host", host, !has("host")),
        ("content-length", length.as_str(), needs_length),
        ("connection", "close", true),
    ];
    let ours = ours.into_iter().filter(|(.., is_needed)| *is_needed).map(|(name, value, _)| (name, value));
    let theirs = headers.iter().copied().filter(|(name, _)| !name.eq_ignore_ascii_case("connection"));
    let mut parts = vec![method, " ", target, " HTTP/1.1\r\n"];
    theirs.chain(ours).for_each(|(name, value)| parts.extend([name, ": ", value, "\r\n"]));
    parts.push("\r\n");
    let mut parts: Vec<&[u8]> = parts.into_iter().map(str::as_bytes).collect();
    parts.push(body);
    Zeroizing::new(parts.concat())
}

/// The head of the answer to a request of this method, once it is there; interim ones (1xx) are passed over.
pub(super) fn head(received: &[u8], method: &str) -> io::Result<Option<Head>> {
    let mut end = 0_usize;
    loop {
        let mut headers = [EMPTY_HEADER; HEADERS_LIMIT];
        let mut parsed = httparse::Response::new(&mut headers);
        let rest = received.get(end..).unwrap_or_default();
        let Status::Complete(length) = parsed.parse(rest).map_err(|_| malformed("it is no HTTP/1.1"))? else {
            return Ok(None);
        };
        end = end.saturating_add(length);
        match parsed.code.unwrap_or_default() {
            101 => return Err(malformed("it changes the protocol")),
            100..200 => {}
            status => {
                let framing = framing(status, parsed.headers, method)?;
                let headers = parsed.headers.iter().filter_map(|header| {
                    Some((header.name.to_ascii_lowercase(), std::str::from_utf8(header.value).ok()?.to_owned()))
                });
                return Ok(Some(Head { status, headers: headers.collect(), end, framing }));
            }
        }
    }
}

impl Head {
    /// Where the body's pieces lie in what was received, head and all, once they are all there.
    pub(super) fn body(&self, received: &[u8], is_over: bool) -> io::Result<Option<Vec<Range<usize>>>> {
        match self.framing {
            Framing::Length(length) => {
                let end = self.end.saturating_add(length);
                Ok((received.len() >= end).then(|| one(self.end..end)))
            }
            Framing::Close => Ok(is_over.then(|| one(self.end..received.len()))),
            Framing::Chunked => chunks(received, self.end),
        }
    }
}

fn one(piece: Range<usize>) -> Vec<Range<usize>> {
    std::iter::once(piece).collect()
}

fn framing(status: u16, headers: &[httparse::Header<'_>], method: &str) -> io::Result<Framing> {
    if method == "HEAD" || status == 204 || status == 304 {
        return Ok(Framing::Length(0));
    }
    let values = |name: &'static str| {
        let named = headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
        named.map(|header| header.value.trim_ascii())
    };
    let mut lengths = values("content-length");
    match (values("transfer-encoding").next(), lengths.next()) {
        // Two that may disagree: who reads it otherwise than we do has another answer.
        (Some(_), Some(_)) => Err(malformed("it has a length and a transfer encoding")),
        (Some(coding), None) if values("transfer-encoding").count() == 1 && coding.eq_ignore_ascii_case(b"chunked") => {
            Ok(Framing::Chunked)
        }
        (Some(_), None) => Err(malformed("its transfer encoding is not chunked")),
        (None, Some(length)) if lengths.all(|other| other == length) => number(length).map(Framing::Length),
        (None, Some(_)) => Err(malformed("it has two lengths")),
        (None, None) => Ok(Framing::Close),
    }
}

fn number(digits: &[u8]) -> io::Result<usize> {
    let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    text.and_then(|text| text.parse().ok()).ok_or_else(|| malformed("its length is no number"))
}

/// Where the chunks' data lies (RFC 9112, section 7.1), if the last one and the trailer are there.
fn chunks(received: &[u8], start: usize) -> io::Result<Option<Vec<Range<usize>>>> {
    let wrong = || malformed("it is not chunked as it says");
    let (mut at, mut found) = (start, Vec::new());
    loop {
        let rest = received.get(at..).unwrap_or_default();
        // httparse takes no digit at all for a nought.
        if rest.first().is_some_and(|byte| !byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let Status::Complete((length, size)) = httparse::parse_chunk_size(rest).map_err(|_| wrong())? else {
            return Ok(None);
        };
        let begin = at.saturating_add(length);
        if size == 0 {
            let mut headers = [EMPTY_HEADER; HEADERS_LIMIT];
            let trailer = received.get(begin..).unwrap_or_default();
            let is_whole = httparse::parse_headers(trailer, &mut headers).map_err(|_| wrong())?.is_complete();
            return Ok(is_whole.then_some(found));
        }
        let end = begin.saturating_add(usize::try_from(size).map_err(|_| wrong())?);
        at = end.saturating_add(2);
        match received.get(end..at) {
            None => return Ok(None),
            Some(b"\r\n") => found.push(begin..end),
            Some(_) => return Err(wrong()),
        }
    }
}

fn malformed(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the answer is not understood: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an answer to a `GET` says, however it is cut into pieces: status and body, `None` while it is not whole.
    fn read(answer: &[u8], is_over: bool) -> Result<Option<(u16, String)>, String> {
        let text = |error: io::Error| error.to_string();
        let Some(head) = head(answer, "GET").map_err(text)? else { return Ok(None) };
        let Some(pieces) = head.body(answer, is_over).map_err(text)? else { return Ok(None) };
        let body: Vec<u8> = pieces.into_iter().flat_map(|piece| answer[piece].to_vec()).collect();
        Ok(Some((head.status, String::from_utf8(body).unwrap())))
    }

    #[test]
    fn a_request_is_written_with_what_it_lacks() {
        let written = |method, headers: &[(&str, &str)], body: &[u8]| {
            let bytes = request(method, "/a?b=c", "ssm.eu-west-1.amazonaws.com", headers, body);
            String::from_utf8(bytes.to_vec()).unwrap()
        };
        assert_eq!(
            written("POST", &[("x-amz-target", "AmazonSSM.GetParameter"), ("content-length", "2")], b"{}"),
            "POST /a?b=c HTTP/1.1\r\nx-amz-target: AmazonSSM.GetParameter\r\ncontent-length: 2\r\n\
             host: ssm.eu-west-1.amazonaws.com\r\nconnection: close\r\n\r\n{}"
        );
        assert_eq!(
            written("GET", &[("Host", "a"), ("Connection", "keep-alive")], b""),
            "GET /a?b=c HTTP/1.1\r\nHost: a\r\nconnection: close\r\n\r\n"
        );
        assert_eq!(
            written("PUT", &[], b""),
            "PUT /a?b=c HTTP/1.1\r\nhost: ssm.eu-west-1.amazonaws.com\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
    }

    #[test]
    fn an_answer_is_read_once_it_is_whole() {
        for (answer, status, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, "{}"),
            ("HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\n{}", 400, "{}"),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na", 200, "a"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
                200,
                "abc0123456789",
            ),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx-trailer: b\r\n\r\n", 200, "a"),
            ("HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
            ("HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", 304, ""),
        ] {
            let bytes = answer.as_bytes();
            for length in 0..bytes.len() {
                assert_eq!(read(&bytes[..length], false), Ok(None), "{:?}", &answer[..length]);
            }
            assert_eq!(read(bytes, false), Ok(Some((status, body.into()))), "{answer:?}");
        }
        let unbounded = b"HTTP/1.0 200 OK\r\n\r\nabc";
        assert_eq!(read(unbounded, false), Ok(None));
        assert_eq!(read(unbounded, true), Ok(Some((200, "abc".into()))));
        let to_head = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n";
        assert_eq!(head(to_head, "HEAD").unwrap().unwrap().body(to_head, false).unwrap(), Some(one(38..38)));
    }

    #[test]
    fn an_answer_that_could_be_read_in_two_ways_is_refused() {
        for (answer, why) in [
            ("SSH-2.0-OpenSSH\r\n\r\n", "it is no HTTP/1.1"),
            ("HTTP/2 200\r\n\r\n", "it is no HTTP/1.1"),
            ("HTTP/1.1 101 Switching\r\n\r\n", "it changes the protocol"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", "it has two lengths"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 1, 1\r\n\r\na", "its length is no number"),
            ("HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\na", "its length is no number"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\na", "its length is no number"),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\na",
                "it has a length and a transfer encoding",
            ),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n", "its transfer encoding is not chunked"),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n", "it is not chunked as it says"),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\r\n\r\n", "it is not chunked as it says"),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n;x\r\n\r\n", "it is not chunked as it says"),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n\r\n\r\n", "it is not chunked as it says"),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc", "it is not chunked as it says"),
        ] {
            assert_eq!(
                read(answer.as_bytes(), false),
                Err(format!("the answer is not understood: {why}")),
                "{answer:?}"
            );
        }
        // A size that no memory has: nothing of it is set aside.
        assert_eq!(read(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n", false), Ok(None));
    }
}
