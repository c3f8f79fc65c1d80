//! What a request costs in a cluster of one node and in one of sixty.

use std::time::{Duration, Instant, SystemTime};

use lambda_session::memcached::{Client, Key, NodeId, Settings, Ttl};
use tokio::net::TcpStream;

use crate::{
    Failed,
    bare::Connection,
    contender::Tokio,
    hands::Hands,
    memcached::Memcached,
    sheet::quantile,
    work::{Deed, TTL_SECS, VALUE_BYTES},
};

/// How many nodes ElastiCache has in a cluster at most.
const NODES: usize = 60;
/// How many requests a turn has.
const REQUESTS: usize = 120;

/// Microseconds a request, medians.
pub struct Nodes {
    /// Of ours: a list of one; a list of sixty, all requests to one of them; spread over all of them.
    pub ours: [f64; 3],
    /// Of a bare tokio exchange: with one; spread over all sixty.
    pub bare: [f64; 2],
    /// What the list's length alone costs: the median of the rounds' ratios.
    pub list: f64,
    /// What sixty cost us, of what they cost the bare exchange: likewise.
    pub spread: f64,
}

/// Times new sessions' choice of a node, and reads.
pub fn time(rounds: usize) -> Result<Nodes, Failed> {
    // Small, and without the threads that tidy up: sixty of them would take their share of the one core.
    let arguments = ["-m", "8", "-o", "no_lru_maintainer,no_lru_crawler"];
    let servers = (0..NODES).map(|_| Memcached::start(&arguments)).collect::<Result<Vec<_>, _>>()?;
    let names: Vec<String> = servers.iter().map(|server| server.address().to_string()).collect();
    let alone = Reader::new(&names, 1)?;
    let many = Reader::new(&names, NODES)?;
    let mut bare = Bare::connect(&servers, &alone.key)?;
    let mut times = [const { Vec::new() }; 5];
    for round in 0..=rounds {
        for turn in 0..times.len() {
            let place = (turn + round) % times.len();
            let time = match place {
                0 => alone.turn(1)?,
                1 => many.turn(1)?,
                2 => many.turn(NODES)?,
                3 => bare.turn(1)?,
                _ => bare.turn(NODES)?,
            };
            // The first round connects and warms up.
            if let (1.., Some(times)) = (round, times.get_mut(place)) {
                times.push(time.as_secs_f64() * 1e6 / REQUESTS as f64);
            }
        }
    }
    let [alone, listed, spread, bare_alone, bare_spread] = &times;
    let median = |times: &Vec<f64>| quantile(times.clone(), 0.5);
    let over = |one: &[f64], other: &[f64]| one.iter().zip(other).map(|(one, other)| one / other).collect::<Vec<_>>();
    let of_bare = over(&over(spread, alone), &over(bare_spread, bare_alone));
    Ok(Nodes {
        ours: [median(alone), median(listed), median(spread)],
        bare: [median(bare_alone), median(bare_spread)],
        list: median(&over(listed, alone)),
        spread: median(&of_bare),
    })
}

/// Our client of the first so many nodes, with one session on each.
struct Reader {
    tokio: Tokio,
    client: Client,
    hands: Hands,
    nodes: Vec<NodeId>,
    key: Key,
    ttl: Ttl,
}

impl Reader {
    fn new(names: &[String], count: usize) -> Result<Self, Failed> {
        let names = names.get(..count).ok_or("too few nodes")?;
        let hands = Hands::default();
        let client = Client::new(Settings::new(&names.join(","))?.clock(hands.clock()))?;
        let nodes: Vec<NodeId> = names.iter().map(|name| NodeId::of(name)).collect();
        let key = Key::new(format!("s1:{:032}", 7)).ok_or("no legal key")?;
        let ttl = Ttl::after(Duration::from_secs(TTL_SECS.into()), SystemTime::now()).ok_or("no time to live")?;
        let tokio = Tokio::new()?;
        tokio.wait(async {
            for &node in &nodes {
                client.add(node, &key, &[b'x'; VALUE_BYTES], ttl, deadline()).await?;
            }
            Ok::<_, Failed>(())
        })?;
        Ok(Self { tokio, client, hands, nodes, key, ttl })
    }

    /// Reads, from so many nodes in turn; a node is also chosen, as for a session that begins. Requests are 2 ms apart by
    /// the client's clock, so that it looks at every connection before it uses it, however many there are.
    fn turn(&self, nodes: usize) -> Result<Duration, Failed> {
        self.tokio.wait(async {
            let began = Instant::now();
            for (number, &node) in (0..REQUESTS).zip(self.nodes.iter().take(nodes).cycle()) {
                self.hands.forward(Duration::from_millis(2));
                let until = deadline();
                self.client.choose_node(&number.to_be_bytes(), &[], until).await?;
                let found = self.client.get_and_touch(node, &self.key, self.ttl, until).await?;
                if found.is_none_or(|value| value.bytes.len() != VALUE_BYTES) {
                    return Err("a wrong answer".into());
                }
            }
            Ok(began.elapsed())
        })
    }
}

/// A bare connection to each.
struct Bare {
    tokio: Tokio,
    connections: Vec<Connection>,
    request: Vec<u8>,
}

impl Bare {
    fn connect(servers: &[Memcached], key: &Key) -> Result<Self, Failed> {
        let tokio = Tokio::new()?;
        let connections = tokio.wait(async {
            let mut connections = Vec::new();
            for server in servers {
                connections.push(Connection::new(TcpStream::connect(server.address()).await?)?);
            }
            Ok::<_, Failed>(connections)
        })?;
        let request = format!("mg {} T{TTL_SECS} v c O01234567\r\n", key.as_str()).into_bytes();
        Ok(Self { tokio, connections, request })
    }

    fn turn(&mut self, nodes: usize) -> Result<Duration, Failed> {
        let began = Instant::now();
        self.tokio.wait(async {
            let nodes = nodes.min(self.connections.len());
            for number in 0..REQUESTS {
                let connection = self.connections.get_mut(number % nodes).ok_or("no connection")?;
                connection.exchange(Deed::GetAndTouch, &self.request).await?;
            }
            Ok(began.elapsed())
        })
    }
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(5)
}
