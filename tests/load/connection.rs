//! A connection that stays open, and one request after the other on it.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// What went wrong, in a few words.
pub(crate) type Failed = String;

/// A browser's connection to the gateway, opened when it is first needed.
pub(crate) struct Connection {
    port: u16,
    stream: Option<TcpStream>,
}

/// What was answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) set_cookies: Vec<String>,
    pub(crate) body: String,
}

impl Connection {
    pub(crate) fn new(port: u16) -> Self {
        Self { port, stream: None }
    }

    /// Asks for `line` (a method and a path) with this cookie and body.
    pub(crate) async fn ask(&mut self, line: &str, cookie: Option<&str>, body: &str) -> Result<Answer, Failed> {
        let (port, length) = (self.port, body.len());
        let cookie = cookie.map(|cookie| format!("Cookie: {cookie}\r\n")).unwrap_or_default();
        let request = format!(
            "{line} HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: application/json\r\n{cookie}Content-Length: {length}\r\n\r\n{body}"
        );
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => connect(port).await.map_err(|error| format!("no connection: {error}"))?,
        };
        stream.write_all(request.as_bytes()).await.map_err(|error| format!("not sent: {error}"))?;
        let answer = hear(&mut stream).await?;
        self.stream = Some(stream);
        Ok(answer)
    }
}

async fn connect(port: u16) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// One answer, of the length that it gives.
async fn hear(stream: &mut TcpStream) -> Result<Answer, Failed> {
    let mut bytes = Vec::with_capacity(4096);
    loop {
        if stream.read_buf(&mut bytes).await.map_err(|error| format!("no answer: {error}"))? == 0 {
            return Err(format!("closed after {} bytes", bytes.len()));
        }
        let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&bytes[..head]).map_err(|_| "a head that is no text")?;
        let header = |name: &'static str| {
            let lines = text.lines().filter_map(|line| line.split_once(": "));
            lines.filter(move |(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        };
        let length: usize = header("content-length").next().and_then(|text| text.parse().ok()).ok_or("no length")?;
        let whole = head + 4 + length;
        if bytes.len() < whole {
            continue;
        }
        if bytes.len() > whole {
            return Err("more than one answer".to_owned());
        }
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
        let set_cookies = header("set-cookie").map(str::to_owned).collect();
        let body = String::from_utf8(bytes[head + 4..].to_vec()).map_err(|_| "a body that is no text")?;
        return Ok(Answer { status, set_cookies, body });
    }
}
