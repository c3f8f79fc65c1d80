//! (iii) async-memcached: a connection each. It knows no deadline, so it is timed as it is and as a handler needs it, in
//! tokio's `timeout`.

use std::time::Duration;

use async_memcached::{AsciiProtocol, Client, MetaProtocol};
use tokio::time::timeout;

use crate::{
    Failed,
    contender::{Contender, Tokio},
    memcached::Memcached,
    work::{Deed, Job, Lane, TTL_SECS, VALUE_BYTES},
};

pub struct AsyncMemcached {
    tokio: Tokio,
    limit: Option<Duration>,
    clients: Vec<Client>,
}

impl AsyncMemcached {
    pub fn connect(server: &Memcached, lanes: usize, limit: Option<Duration>) -> Result<Self, Failed> {
        let tokio = Tokio::new()?;
        let clients = tokio.wait(async {
            let mut clients = Vec::new();
            for _ in 0..lanes {
                clients.push(Client::new(format!("tcp://{}", server.address())).await?);
            }
            Ok::<_, Failed>(clients)
        })?;
        Ok(Self { tokio, limit, clients })
    }
}

impl Contender for AsyncMemcached {
    fn name(&self) -> &'static str {
        if self.limit.is_some() { "(iii) with a time-out" } else { "(iii) async-memcached" }
    }

    fn turn(&mut self, deed: Deed, lanes: &[Lane]) -> Result<Duration, Failed> {
        let limit = self.limit;
        self.tokio.run(&mut self.clients, lanes, move |mut client, lane| async move {
            for job in lane.iter() {
                match limit {
                    None => perform(&mut client, deed, job).await?,
                    Some(limit) => timeout(limit, perform(&mut client, deed, job)).await??,
                }
            }
            Ok(client)
        })
    }
}

async fn perform(client: &mut Client, deed: Deed, job: &Job) -> Result<(), Failed> {
    let (key, value) = (job.key.as_str(), VALUE.as_slice());
    match deed {
        Deed::Get => whole(client.meta_get(key, false, None, Some(&["v", "c"])).await?),
        Deed::GetAndTouch => whole(client.meta_get(key, false, None, Some(&["v", "c", TOUCH])).await?),
        Deed::Replace => {
            let cas = format!("C{}", job.cas);
            client.meta_set(key, value, false, None, Some(&[TOUCH, &cas])).await?;
            Ok(())
        }
        Deed::Delete => Ok(client.delete(key).await?),
        Deed::Add => Ok(client.add(key, value, Some(i64::from(TTL_SECS)), None).await?),
    }
}

fn whole(found: Option<async_memcached::MetaValue>) -> Result<(), Failed> {
    let found = found.ok_or("a miss")?;
    let whole = found.data.is_some_and(|data| data.len() == VALUE_BYTES) && found.cas.is_some();
    if whole { Ok(()) } else { Err("a wrong answer".into()) }
}

static VALUE: [u8; VALUE_BYTES] = [b'x'; VALUE_BYTES];
const TOUCH: &str = "T600";
const _: () = assert!(TTL_SECS == 600);
