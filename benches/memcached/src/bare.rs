//! (ii) A bare tokio exchange of the same bytes: written, and read until the whole answer is there. No deadline, no
//! parsing, no pool, nothing made of the answer.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    Failed,
    contender::{Contender, Tokio},
    memcached::Memcached,
    work::{Deed, Lane},
};

pub struct Bare {
    tokio: Tokio,
    connections: Vec<Connection>,
}

/// A connection, and where its answers go.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Bare {
    pub fn connect(server: &Memcached, lanes: usize) -> Result<Self, Failed> {
        let tokio = Tokio::new()?;
        let connections = tokio.wait(async {
            let mut connections = Vec::new();
            for _ in 0..lanes {
                connections.push(Connection::new(TcpStream::connect(server.address()).await?)?);
            }
            Ok::<_, Failed>(connections)
        })?;
        Ok(Self { tokio, connections })
    }
}

impl Contender for Bare {
    fn name(&self) -> &'static str {
        "(ii) bare tokio"
    }

    fn turn(&mut self, deed: Deed, lanes: &[Lane]) -> Result<Duration, Failed> {
        self.tokio.run(&mut self.connections, lanes, move |mut connection, lane| async move {
            for job in lane.iter() {
                connection.exchange(deed, &job.request).await?;
            }
            Ok(connection)
        })
    }
}

impl Connection {
    pub fn new(stream: TcpStream) -> Result<Self, Failed> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 4096] })
    }

    /// Writes the request, and reads until the whole answer is there.
    pub async fn exchange(&mut self, deed: Deed, request: &[u8]) -> Result<(), Failed> {
        self.stream.write_all(request).await?;
        let mut filled = 0;
        loop {
            let read = self.stream.read(self.buffer.get_mut(filled..).unwrap_or_default()).await?;
            filled += read;
            let answer = self.buffer.get(..filled).unwrap_or_default();
            if read == 0 || !answer.starts_with(deed.beginning()) {
                return Err("a wrong answer".into());
            }
            if filled >= deed.least_answer() && answer.ends_with(b"\r\n") {
                return Ok(());
            }
        }
    }
}
