//! (iii) memcache: its client for tokio and meta commands (`exp`), whose blocking one does not fit an asynchronous
//! handler. It has a pool, a limit of time and a deadline, as ours has.

use std::time::Duration;

use memcache::exp::{AsyncMetaClient, Meta, MetaClientBuilder, Ttl};

use crate::{
    Failed,
    contender::{Contender, Tokio},
    memcached::Memcached,
    work::{Deed, Job, Lane, TTL_SECS, VALUE_BYTES},
};

pub struct Memcache {
    tokio: Tokio,
    clients: Vec<AsyncMetaClient>,
}

impl Memcache {
    pub fn connect(server: &Memcached, lanes: usize) -> Result<Self, Failed> {
        let tokio = Tokio::new()?;
        let builder = MetaClientBuilder::new().max_idle(lanes).max_connections(Some(lanes));
        let client = tokio.wait(builder.connect_async(server.address().to_string()))?;
        Ok(Self { tokio, clients: vec![client; lanes] })
    }
}

impl Contender for Memcache {
    fn name(&self) -> &'static str {
        "(iii) memcache"
    }

    fn turn(&mut self, deed: Deed, lanes: &[Lane]) -> Result<Duration, Failed> {
        self.tokio.run(&mut self.clients, lanes, move |client, lane| async move {
            for job in lane.iter() {
                perform(&client, deed, job).await?;
            }
            Ok(client)
        })
    }
}

async fn perform(client: &AsyncMetaClient, deed: Deed, job: &Job) -> Result<(), Failed> {
    let (key, value, ttl) = (job.key.as_str(), VALUE.as_slice(), Ttl::secs(TTL_SECS));
    let meta = Meta::NONE.cas();
    let right = match deed {
        Deed::Get => whole(&client.get(key).meta(meta).send().await?),
        Deed::GetAndTouch => whole(&client.get(key).meta(meta).touch(ttl).send().await?),
        Deed::Replace => client.set(key, value).ttl(ttl).compare_cas(job.cas).send().await?.applied(),
        Deed::Delete => client.delete(key).send().await?.applied(),
        Deed::Add => client.set(key, value).ttl(ttl).add().send().await?.applied(),
    };
    if right { Ok(()) } else { Err("a wrong answer".into()) }
}

fn whole(found: &memcache::exp::GetResult) -> bool {
    found.value.as_ref().is_some_and(|value| value.len() == VALUE_BYTES) && found.item.cas.is_some()
}

static VALUE: [u8; VALUE_BYTES] = [b'x'; VALUE_BYTES];
