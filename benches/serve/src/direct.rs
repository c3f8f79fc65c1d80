//! The function without a gateway: an event handed to its poll, its answer read.

use std::io::{self, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::contender::{Contender, SECRET, cookie_in};
use crate::http::Inbox;

/// One function, and the connection that it polls on.
pub struct Direct {
    child: Child,
    inbox: Inbox,
    cookie: String,
    count: usize,
}

impl Direct {
    pub fn start(bootstrap: &str) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let mut command = Command::new(bootstrap);
        command
            .env("AWS_LAMBDA_RUNTIME_API", listener.local_addr()?.to_string())
            .env("SECRET_KEY_BASE", SECRET)
            .env("AWS_LAMBDA_FUNCTION_NAME", "function")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .stdout(Stdio::null());
        let child = command.spawn()?;
        let (stream, _) = listener.accept()?;
        let mut direct = Self { child, inbox: Inbox::new(stream)?, cookie: String::new(), count: 0 };
        direct.read("/invocation/next")?;
        Ok(direct)
    }

    fn read(&mut self, path: &str) -> io::Result<Vec<u8>> {
        let message = self.inbox.read()?.ok_or_else(|| io::Error::other("the function has ended"))?;
        let line = message.head.lines().next().unwrap_or_default();
        if line.contains(path) { Ok(message.body) } else { Err(io::Error::other(format!("unexpected: {line}"))) }
    }
}

impl Contender for Direct {
    fn name(&self) -> &'static str {
        "direct"
    }

    /// From just before the event is written to the answer read.
    fn visit(&mut self) -> io::Result<Duration> {
        self.count += 1;
        let id = format!("8476a536-e9f4-11e8-9739-{:012x}", self.count);
        let cookies = if self.cookie.is_empty() { String::new() } else { format!(r#""cookies":["{}"],"#, self.cookie) };
        let event = format!(
            r#"{{"version":"2.0","routeKey":"$default","rawPath":"/posts","rawQueryString":"",{cookies}"headers":{{"content-length":"16","content-type":"application/json","host":"localhost:3000","user-agent":"bench","x-amzn-trace-id":"Root=1-6b032da0-0a1b2c3d4e5f60718293a4b5","x-forwarded-for":"127.0.0.1","x-forwarded-port":"443","x-forwarded-proto":"https"}},"requestContext":{{"accountId":"123456789012","apiId":"local00000","domainName":"localhost","domainPrefix":"localhost","http":{{"method":"POST","path":"/posts","protocol":"HTTP/1.1","sourceIp":"127.0.0.1","userAgent":"bench"}},"requestId":"ATfbVgLhDoEEPqA=","routeKey":"$default","stage":"$default","time":"22/Nov/2026:18:00:00 +0000","timeEpoch":1795370400902}},"body":"{{\"color\":\"blue\"}}","isBase64Encoded":false}}"#
        );
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nlambda-runtime-aws-request-id: {id}\r\n\
             lambda-runtime-deadline-ms: 4102444800000\r\nlambda-runtime-invoked-function-arn: arn:aws:lambda:us-east-1:123456789012:function:function\r\n\
             content-length: {}\r\n\r\n",
            event.len()
        );
        let begin = Instant::now();
        self.inbox.stream.write_all(format!("{head}{event}").as_bytes())?;
        let answer = self.read(&format!("/{id}/response"))?;
        let took = begin.elapsed();
        self.inbox.stream.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")?;
        self.cookie = cookie_in(&String::from_utf8_lossy(&answer))?;
        self.read("/invocation/next")?;
        Ok(took)
    }
}

impl Drop for Direct {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
