//! What a reused environment says besides its commands: connections, TLS handshakes, questions for the list of nodes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use lambda_session::memcached::{Client, Discovery, Event, Key, NodeId, Observe, Replaced, Settings, Ttl};

use crate::{
    Failed,
    certificates::Certificates,
    contender::Tokio,
    endpoint::{Bytes, Endpoint},
    hands::Hands,
    memcached::Memcached,
    work::{TTL_SECS, VALUE_BYTES},
};

/// What 1,000 requests cost besides their commands, in the order in which they came.
pub struct Reuse {
    pub title: &'static str,
    pub connections: usize,
    pub full: usize,
    pub resumed: usize,
    pub bytes: usize,
}

/// How many requests are counted at a time.
pub const REQUESTS: usize = 1000;

/// TLS: the first 1,000 requests of an environment, 1,000 more, and 1,000 after it was frozen for longer than networks
/// remember connections.
pub fn tls() -> Result<Vec<Reuse>, Failed> {
    let certificates = Certificates::make()?;
    let server = Memcached::start(&certificates.arguments())?;
    let (hands, counts) = (Hands::default(), Arc::new(Counts::default()));
    let name = format!("localhost:{}", server.address().port());
    let settings = Settings::new(&name)?.tls(true).tls_ca(certificates.authority()?);
    let client = Client::new(settings.clock(hands.clock()).observer(counts.clone()))?;
    let session = Session::begin(client, NodeId::of(&name))?;
    let mut rows = Vec::new();
    for title in ["the first", "1,000 more", "after 10 minutes' freeze"] {
        if rows.len() == 2 {
            hands.forward(Duration::from_secs(600));
        }
        session.requests(|| ())?;
        let [connections, full, resumed] = counts.take();
        rows.push(Reuse { title, connections, full, resumed, bytes: 0 });
    }
    Ok(rows)
}

/// Discovery: a list of 60 nodes, at 100 requests a second and at one.
pub fn discovery() -> Result<Vec<Reuse>, Failed> {
    let server = Memcached::start(crate::NOTHING_MORE)?;
    let mut rows = Vec::new();
    for (title, gap) in [("100 requests/s", Duration::from_millis(10)), ("1 request/s", Duration::from_secs(1))] {
        let bytes = Arc::new(Bytes::default());
        let endpoint = Endpoint::start(server.address(), 60, bytes.clone())?;
        let (hands, counts) = (Hands::default(), Arc::new(Counts::default()));
        let name = endpoint.address().to_string();
        let settings = Settings::new(&name)?.discovery(Discovery::On).clock(hands.clock()).observer(counts.clone());
        let session = Session::begin(Client::new(settings)?, NodeId::of(&name))?;
        let _ = (counts.take(), bytes.take());
        session.requests(|| hands.forward(gap))?;
        let [connections, full, resumed] = counts.take();
        rows.push(Reuse { title, connections, full, resumed, bytes: bytes.take() });
    }
    Ok(rows)
}

/// One session that is read and written on every request.
struct Session {
    tokio: Tokio,
    client: Client,
    node: NodeId,
    key: Key,
    ttl: Ttl,
}

impl Session {
    fn begin(client: Client, node: NodeId) -> Result<Self, Failed> {
        let ttl = Ttl::after(Duration::from_secs(TTL_SECS.into()), SystemTime::now()).ok_or("no time to live")?;
        let key = Key::new("s:session").ok_or("no legal key")?;
        let tokio = Tokio::new()?;
        tokio.wait(client.add(node, &key, &[0; VALUE_BYTES], ttl, deadline()))?;
        Ok(Self { tokio, client, node, key, ttl })
    }

    fn requests(&self, mut between: impl FnMut()) -> Result<(), Failed> {
        self.tokio.wait(async {
            for _ in 0..REQUESTS {
                let found = self.client.get_and_touch(self.node, &self.key, self.ttl, deadline()).await?;
                let found = found.ok_or("a miss")?;
                let value = [0; VALUE_BYTES];
                let done = self.client.replace(self.node, &self.key, found.cas, &value, self.ttl, deadline()).await?;
                if done != Replaced::Stored {
                    return Err("a wrong answer".into());
                }
                between();
            }
            Ok(())
        })
    }
}

/// Counts connections, full handshakes and resumed ones.
#[derive(Default)]
struct Counts([AtomicUsize; 3]);

impl Counts {
    fn take(&self) -> [usize; 3] {
        self.0.each_ref().map(|count| count.swap(0, Ordering::Relaxed))
    }
}

impl Observe for Counts {
    fn on(&self, event: &Event<'_>) {
        let Event::Dialled { resumed, .. } = event else { return };
        let [connections, full, again] = &self.0;
        connections.fetch_add(1, Ordering::Relaxed);
        match resumed {
            Some(true) => again.fetch_add(1, Ordering::Relaxed),
            Some(false) => full.fetch_add(1, Ordering::Relaxed),
            None => 0,
        };
    }
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(5)
}
