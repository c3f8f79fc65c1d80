//! Every node of a memcached cluster, asked as a function asks it.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use lambda_session::memcached::{Added, Client, Deleted, Failure, Key, NodeReport, Step, Ttl};
use lambda_session::random;
use tokio::net::lookup_host;
use tokio::time::timeout_at;

use crate::doctor::advice;
use crate::doctor::check::{Check, Verdict};
use crate::doctor::table::counted;
use crate::duration::spoken;

/// The list of nodes, then each node, all at once.
pub(crate) async fn examine(client: &Client) -> Vec<Check> {
    let nodes = match client.nodes(in_time()).await {
        Ok(nodes) => nodes,
        Err(failure) => return vec![Check::bad("nodes", format!("{failure:?}"), advice::on(&failure))],
    };
    let count = counted(nodes.len(), "node");
    let mut checks = vec![match client.endpoint() {
        None => Check::good("nodes", format!("{count}, from MEMCACHE_SERVERS")),
        Some(endpoint) if nodes.iter().all(|node| node.name == endpoint) => {
            Check::good("nodes", format!("{endpoint} lists no nodes: it is the only one"))
        }
        Some(endpoint) => Check::good("nodes", format!("{count}, listed by {endpoint}")),
    }];
    checks.extend(unfollowed(client.endpoint(), &nodes));
    let tasks: Vec<_> = nodes.into_iter().map(|node| tokio::spawn(examine_node(client.clone(), node))).collect();
    for task in tasks {
        match task.await {
            Ok(findings) => checks.extend(findings),
            Err(error) => checks.push(Check::bad("nodes", error.to_string(), None)),
        }
    }
    checks
}

/// Nodes of an ElastiCache cluster that were named one by one: what is added to it or taken out is not heard of.
fn unfollowed(endpoint: Option<&str>, nodes: &[NodeReport]) -> Option<Check> {
    let is_managed = |node: &NodeReport| {
        let host = node.name.split(':').next().unwrap_or_default();
        host.ends_with(".cache.amazonaws.com") && !host.contains(".serverless.")
    };
    if endpoint.is_some() || !nodes.iter().any(is_managed) {
        return None;
    }
    let warning = Check::warning("nodes", "nodes that are added to the cluster, or taken out of it, are not heard of");
    let way_out = "name its configuration endpoint (.cfg.) in MEMCACHE_SERVERS; sessions stay where they are";
    Some(Check { way_out: Some(way_out.to_owned()), ..warning })
}

/// What can be found out about one node: the first thing that is wrong ends it.
async fn examine_node(client: Client, node: NodeReport) -> Vec<Check> {
    let end = in_time();
    let mut checks = Vec::new();
    if let Err(check) = walk(&client, &node, end, &mut checks).await {
        checks.push(check);
    }
    checks.into_iter().map(|check| check.of(&node.name)).collect()
}

async fn walk(client: &Client, node: &NodeReport, end: Instant, checks: &mut Vec<Check>) -> Result<(), Check> {
    let (addresses, probe) = tokio::join!(resolve(&node.name, end), client.probe(node.id, end));
    match &addresses {
        Some(addresses) => checks.push(Check::good("resolved", addresses)),
        // The list of nodes gave an address too.
        None if probe.is_ok() => {
            checks.push(Check::warning("resolved", "its name has no address here; that of the list of nodes serves"));
        }
        None => {}
    }
    let probe = probe.map_err(|failure| unconnected(&failure, node, checks))?;
    let tls = if probe.tls { "with TLS" } else { "without TLS" };
    checks.push(Check::good("connected", format!("{tls}, in {}", spoken(probe.took))));
    checks.push(Check::good("engine", probe.engine));
    let Some(key) = throw_away_key() else {
        return Err(Check::bad("round trip", "the operating system of this machine gives no random bytes", None));
    };
    let broken = |name| move |failure: Failure| Check::bad(name, bare(&failure, node), advice::on(&failure));
    let took = read(client, node, &key, end).await.map_err(broken("round trip"))?;
    checks.push(Check::good("round trip", format!("{}, the median of {READS} reads", spoken(took))));
    let finding = write(client, node, &key, end).await.map_err(broken("write"))?;
    let is_good = finding.verdict == Verdict::Good;
    checks.push(finding);
    if is_good {
        checks.push(largest(client, node, &key, end).await.map_err(broken("largest"))?);
    }
    Ok(())
}

/// The addresses of a name, each once.
async fn resolve(name: &str, end: Instant) -> Option<String> {
    let found = timeout_at(end.into(), lookup_host(name)).await.ok()?.ok()?;
    let mut addresses: Vec<String> = Vec::new();
    for address in found.map(|address: SocketAddr| address.ip().to_string()) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    (!addresses.is_empty()).then(|| addresses.join(", "))
}

/// Which check a connection failed that was not opened, after those that it passed.
fn unconnected(failure: &Failure, node: &NodeReport, checks: &mut Vec<Check>) -> Check {
    let name = match failure.step() {
        Some(Step::Resolving) => "resolved",
        Some(Step::Greeting) => {
            checks.push(Check::good("connected", "it takes connections"));
            "engine"
        }
        _ => "connected",
    };
    Check::bad(name, bare(failure, node), advice::on(failure))
}

/// The median time of a read on an open connection.
async fn read(client: &Client, node: &NodeReport, key: &Key, end: Instant) -> Result<Duration, Failure> {
    client.get(node.id, key, end).await?;
    let mut times = Vec::new();
    for _ in 0..READS {
        let began = Instant::now();
        client.get(node.id, key, end).await?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok(times.get(READS / 2).copied().unwrap_or_default())
}

/// Writes a value that nobody else knows of, reads it and deletes it.
async fn write(client: &Client, node: &NodeReport, key: &Key, end: Instant) -> Result<Check, Failure> {
    let value = b"lambda-session doctor was here: 60 s";
    let Some(ttl) = Ttl::after(LEFTOVER, SystemTime::now()) else { return Ok(clock_is_off("write")) };
    let added = client.add(node.id, key, value, ttl, end).await?;
    let found = client.get(node.id, key, end).await?;
    let deleted = client.delete(node.id, key, None, end).await?;
    let came_back = found.is_some_and(|found| found.bytes == value);
    if added == Added::Stored && came_back && deleted == Deleted::Done {
        return Ok(Check::good("write", "a throw-away value was written, read and deleted"));
    }
    let way_out = "is there room in it, and is it one memcached? what it says to `stats` tells";
    let finding = "what was written did not come back";
    Ok(Check::bad("write", finding, Some(way_out.to_owned())))
}

/// Writes the largest value that a session may become, and deletes it: where an engine takes less, the session is lost.
async fn largest(client: &Client, node: &NodeReport, key: &Key, end: Instant) -> Result<Check, Failure> {
    let size = client.value_limit();
    let Some(ttl) = Ttl::after(LEFTOVER, SystemTime::now()) else { return Ok(clock_is_off("largest")) };
    client.add(node.id, key, &vec![b'.'; size], ttl, end).await?;
    client.delete(node.id, key, None, end).await?;
    Ok(Check::good("largest", format!("{size} bytes, all that MEMCACHE_MAX_VALUE allows, were taken")))
}

fn clock_is_off(name: &'static str) -> Check {
    Check::bad(name, "this machine's clock is out of range", None)
}

/// The failure and its causes, without the node's name, which stands above.
fn bare(failure: &Failure, node: &NodeReport) -> String {
    let text = format!("{failure:?}");
    let deed = format!("cannot connect to cache node {}: ", node.name);
    text.strip_prefix(&deed).unwrap_or(&text).to_owned()
}

/// A key that nobody else has; `None` where the operating system gives no random bytes.
fn throw_away_key() -> Option<Key> {
    let mut bytes = [0; 8];
    random::system(&mut bytes).ok()?;
    Key::new(format!("lambda-session:doctor:{:016x}", u64::from_be_bytes(bytes)))
}

fn in_time() -> Instant {
    let now = Instant::now();
    now.checked_add(LIMIT).unwrap_or(now)
}

/// How long a node has, and the endpoint before it.
const LIMIT: Duration = Duration::from_secs(1);
/// How many reads the median is of.
const READS: usize = 5;
/// How long a throw-away value lives if its deletion fails.
const LEFTOVER: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use lambda_session::memcached::NodeId;

    use super::*;

    #[test]
    fn nodes_named_one_by_one_are_warned_of_where_a_cluster_would_list_them() {
        let endpoint = "shop.abc.cfg.euw1.cache.amazonaws.com:11211";
        for (endpoint, name, is_warned) in [
            (None, "shop.abc.0001.euw1.cache.amazonaws.com:11211", true),
            (Some(endpoint), "shop.abc.0001.euw1.cache.amazonaws.com:11211", false),
            (None, "shop-abc.serverless.euw1.cache.amazonaws.com:11211", false),
            (None, "localhost:11211", false),
            (None, "[::1]:11211", false),
        ] {
            let node = NodeReport { name: name.into(), id: NodeId::of(name), is_down: false, idle: 0, engine: None };
            assert_eq!(unfollowed(endpoint, &[node]).is_some(), is_warned, "{name}");
        }
    }
}
