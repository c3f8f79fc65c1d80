//! The client of `lambda-session`, with its default settings but for the size of the pool.

use std::time::{Duration, Instant, SystemTime};

use lambda_session::memcached::{Added, Client, Deleted, NodeId, Replaced, Settings, Ttl, Value};

use crate::{
    Failed,
    contender::{Contender, Tokio},
    memcached::Memcached,
    work::{Deed, Job, Lane, TTL_SECS, VALUE_BYTES},
};

pub struct Ours {
    tokio: Tokio,
    node: NodeId,
    ttl: Ttl,
    clients: Vec<Client>,
}

impl Ours {
    pub fn connect(server: &Memcached, lanes: usize) -> Result<Self, Failed> {
        let tokio = Tokio::new()?;
        let client = Client::new(Settings::new(&server.address().to_string())?.pool_size(lanes))?;
        let node = tokio.wait(client.choose_node(b"any", &[], Instant::now() + Duration::from_secs(5)))?;
        let ttl = Ttl::after(Duration::from_secs(TTL_SECS.into()), SystemTime::now()).ok_or("no time to live")?;
        Ok(Self { tokio, node, ttl, clients: vec![client; lanes] })
    }
}

impl Contender for Ours {
    fn name(&self) -> &'static str {
        "ours"
    }

    fn turn(&mut self, deed: Deed, lanes: &[Lane]) -> Result<Duration, Failed> {
        let (node, ttl) = (self.node, self.ttl);
        self.tokio.run(&mut self.clients, lanes, move |client, lane| async move {
            // As a request has one for all that it asks of its store.
            let deadline = Instant::now() + Duration::from_secs(5);
            for job in lane.iter() {
                perform(&client, node, ttl, deed, job, deadline).await?;
            }
            Ok(client)
        })
    }
}

async fn perform(client: &Client, node: NodeId, ttl: Ttl, deed: Deed, job: &Job, until: Instant) -> Result<(), Failed> {
    let (key, value) = (&job.key, VALUE.as_slice());
    let right = match deed {
        Deed::Get => whole(client.get(node, key, until).await?),
        Deed::GetAndTouch => whole(client.get_and_touch(node, key, ttl, until).await?),
        Deed::Replace => client.replace(node, key, job.cas, value, ttl, until).await? == Replaced::Stored,
        Deed::Delete => client.delete(node, key, None, until).await? == Deleted::Done,
        Deed::Add => client.add(node, key, value, ttl, until).await? == Added::Stored,
    };
    if right { Ok(()) } else { Err("a wrong answer".into()) }
}

fn whole(found: Option<Value>) -> bool {
    found.is_some_and(|found| found.bytes.len() == VALUE_BYTES)
}

static VALUE: [u8; VALUE_BYTES] = [b'x'; VALUE_BYTES];
