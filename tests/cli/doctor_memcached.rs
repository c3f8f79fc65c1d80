//! `lambda-session doctor` and memcached: the real one, plain and with TLS, and everything that can be wrong with it.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::cache::{Memcached, Say, Script, say};
use crate::certificates::Authority;
use crate::support::{Place, Ran, SECRET};

/// What a doctor says about these servers, with these settings besides.
fn doctor(servers: &str, settings: &[(&str, &str)]) -> Ran {
    let mut variables =
        vec![("SECRET_KEY_BASE", SECRET), ("SESSION_STORE", "memcached"), ("MEMCACHE_SERVERS", servers)];
    // So that a busy machine spoils nothing: a node has its second.
    variables.push(("MEMCACHE_TIMEOUT", "1s"));
    variables.extend(settings);
    Place::new().run_with("", &variables, &["doctor"])
}

/// The rows from that of the list of nodes on, with `#` for every number of milliseconds.
fn nodes(ran: &Ran) -> String {
    let from = ran.out.find("nodes  ").unwrap_or_else(|| panic!("{ran:?}"));
    let mut parts = ran.out[from..].split(" ms");
    let mut text = String::new();
    let mut part = parts.next().unwrap();
    for next in parts {
        text.push_str(part.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.'));
        text.push_str("# ms");
        part = next;
    }
    text + part
}

fn engine(server: &Memcached) -> String {
    server.tell("version\r\n").trim().trim_start_matches("VERSION ").to_owned()
}

#[test]
fn a_good_node_is_told_row_by_row() {
    let server = Memcached::start(&[]);
    let ran = doctor(&server.name(), &[]);
    let (name, version) = (server.name(), engine(&server));
    let expected = format!(
        "\
nodes         good     1 node, from MEMCACHE_SERVERS

node {name}
  resolved    good     127.0.0.1
  connected   good     without TLS, in # ms
  engine      good     {version}
  round trip  good     # ms, the median of 5 reads
  write       good     a throw-away value was written, read and deleted
  largest     good     262144 bytes, all that MEMCACHE_MAX_VALUE allows, were taken

verdict       good
"
    );
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    assert_eq!(nodes(&ran), expected);
    assert!(
        ran.out.contains("store         good     memcached: a logout ends a session for every copy of its cookie\n")
    );
    assert!(
        ran.out.contains("conflict      good     merge: two requests at once on one session both count, key by key\n")
    );
    let left = server.tell("lru_crawler metadump all\r\n");
    assert_eq!(left, "END\r\n", "nothing of it is left");
}

#[test]
fn with_tls_the_certificate_is_checked_as_a_function_does() {
    let authority = Authority::new();
    let pem = authority.pem();
    let on = [("MEMCACHE_TLS", "on"), ("MEMCACHE_TLS_CA", pem.to_str().unwrap())];
    let good = authority.server("DNS:localhost,IP:127.0.0.1", 1);
    let name = format!("localhost:{}", good.port);
    let ran = doctor(&name, &on);
    assert_eq!(ran.code, 0, "{}", ran.out);
    assert!(nodes(&ran).contains("  connected   good     with TLS, in # ms\n"), "{}", ran.out);

    let other = authority.server("DNS:other.example", 1);
    let expired = authority.server("DNS:localhost", -1);
    let plain = Memcached::start(&[]);
    for (case, port, settings, finding, way_out) in [
        (
            "another name",
            other.port,
            &on[..],
            "TLS failed: invalid peer certificate: certificate not valid for name \"localhost\"",
            "name the server in MEMCACHE_SERVERS as its certificate does",
        ),
        (
            "expired",
            expired.port,
            &on[..],
            "TLS failed: invalid peer certificate: Expired",
            "renew its certificate, or set this machine's clock",
        ),
        (
            "an authority that nobody knows",
            good.port,
            &on[..1],
            "TLS failed: invalid peer certificate: UnknownIssuer",
            "MEMCACHE_TLS_CA must hold the authority that signed its certificate",
        ),
        ("a plain server", plain.port, &on[..], "", "does it speak TLS? MEMCACHE_TLS=off if it does not"),
    ] {
        let ran = doctor(&format!("localhost:{port}"), settings);
        let row = ran.out.lines().find(|line| line.starts_with("  connected   bad      ")).unwrap_or_default();
        assert!(ran.code == 1 && row.contains(finding), "{case}: {}", ran.out);
        assert!(ran.out.contains(&format!("\n              -> {way_out}\n")), "{case}: {}", ran.out);
    }

    let ran = doctor(&name, &[]);
    assert_eq!(ran.code, 1, "plain to a server with TLS");
    assert!(ran.out.contains("  connected   good     it takes connections\n  engine      bad      "), "{}", ran.out);
    assert!(
        ran.out.contains("-> it hangs, or speaks TLS while MEMCACHE_TLS is off, or is no memcached"),
        "{}",
        ran.out
    );
}

/// A node that hangs takes a second at most, and a bad one hides nothing of a good one.
#[test]
fn every_node_is_asked_at_once_and_none_for_longer_than_a_second() {
    let (good, hung) = (Memcached::start(&[]), Memcached::start(&[]));
    hung.signal("-STOP");
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let old = Script::start(|_, words| match words {
        ["version"] => say("VERSION 1.4.34\r\n"),
        _ => say("ERROR\r\n"),
    });
    let servers = format!("{},{},{nobody},nowhere.invalid,{}", good.name(), hung.name(), old.name());
    let began = Instant::now();
    let ran = doctor(&servers, &[("SESSION_IDLE", "soon")]);
    let took = began.elapsed();
    hung.signal("-CONT");
    assert!(took < Duration::from_secs(2), "{took:?}");
    let expected = format!(
        "\
nodes         good     5 nodes, from MEMCACHE_SERVERS

node {good}
  resolved    good     127.0.0.1
  connected   good     without TLS, in # ms
  engine      good     {version}
  round trip  good     # ms, the median of 5 reads
  write       good     a throw-away value was written, read and deleted
  largest     good     262144 bytes, all that MEMCACHE_MAX_VALUE allows, were taken

node {hung}
  resolved    good     127.0.0.1
  connected   good     it takes connections
  engine      bad      the greeting took more than # ms
              -> it hangs, or speaks TLS while MEMCACHE_TLS is off, or is no memcached: restart it, or correct the setting

node {nobody}
  resolved    good     127.0.0.1
  connected   bad      it gives no connection: Connection refused (os error 111)
              -> nothing listens there: is memcached running, and is the port right?

node nowhere.invalid:11211
  resolved    bad      its name has no address: ",
        good = good.name(),
        version = engine(&good),
        hung = hung.name(),
    );
    let text = nodes(&ran);
    assert_eq!(text.get(..expected.len()), Some(expected.as_str()), "{text}");
    let rest = format!(
        "
              -> check the name in MEMCACHE_SERVERS; ElastiCache's names are known where its VPC's DNS is asked

node {}
  resolved    good     127.0.0.1
  connected   good     it takes connections
  engine      bad      its engine 1.4.34 is older than 1.6.12
              -> give it memcached 1.6.12 or later, or name another server in MEMCACHE_SERVERS

verdict       bad: 5 of 22 checks
",
        old.name()
    );
    assert!(text.ends_with(&rest), "{text}");
    assert!(ran.code == 1 && ran.out.contains("lifetime      bad      SESSION_IDLE is \"soon\""), "{}", ran.out);
}

/// From outside of a VPC, and past a security group, nothing answers at all.
#[test]
fn a_node_that_nothing_reaches_is_told_with_the_way_in() {
    let full = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    full.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    full.listen(0).unwrap();
    let address = full.local_addr().unwrap().as_socket().unwrap();
    // Whoever comes when the queue is full gets no answer, as from a firewall.
    let queue: Vec<_> = (0..8).map(|_| TcpStream::connect_timeout(&address, Duration::from_millis(20))).collect();
    assert!(queue.last().unwrap().is_err());
    let ran = doctor(&address.to_string(), &[]);
    let way_out = "nothing answers there: ask from inside the VPC, and let its security group take this port from you";
    assert!(ran.code == 1 && ran.out.contains("  connected   bad      "), "{}", ran.out);
    assert!(ran.out.contains(&format!("\n              -> {way_out}\n")), "{}", ran.out);
}

#[test]
fn a_node_without_a_connection_left_is_told_from_one_that_hangs() {
    let node = Script::start(|_, _| Say::Last(b"ERROR Too many open connections\r\n".to_vec()));
    let row = "  engine      bad      it answers \"ERROR Too many open connections\"
              -> it has none left: give it more (`-c`), or its functions less (MEMCACHE_POOL_SIZE, reserved concurrency)
";
    let ran = doctor(&node.name(), &[]);
    assert!(ran.code == 1 && ran.out.contains(row), "{}", ran.out);
}

/// A node that answers reads and loses writes, or refuses them.
#[test]
fn a_node_that_does_not_keep_what_it_takes_is_found_out() {
    for (case, reply, finding, way_out) in [
        (
            "it forgets",
            "HD",
            "what was written did not come back",
            "is there room in it, and is it one memcached? what it says to `stats` tells",
        ),
        (
            "it is full",
            "SERVER_ERROR out of memory storing object",
            "the cache refused a write: \"SERVER_ERROR out of memory storing object\"",
            "it has no room: give the cluster more memory",
        ),
        (
            "it refuses",
            "SERVER_ERROR read only",
            "the cache refused a write: \"SERVER_ERROR read only\"",
            "its own log says why",
        ),
    ] {
        let node = Script::start(move |_, words| {
            let opaque = words.iter().rev().find(|word| word.starts_with('O')).copied().unwrap_or_default();
            match words[0] {
                "version" => say("VERSION 1.6.22\r\n"),
                "mg" => say(format!("EN {opaque}\r\n")),
                "ms" if reply == "HD" => say(format!("HD {opaque}\r\n")),
                "ms" => say(format!("{reply}\r\n")),
                "md" => say(format!("NF {opaque}\r\n")),
                _ => Say::Nothing,
            }
        });
        let ran = doctor(&node.name(), &[]);
        let rows = format!("  write       bad      {finding}\n              -> {way_out}\n");
        assert!(ran.code == 1 && ran.out.contains(&rows), "{case}: {}", ran.out);
    }
}

/// An engine that takes less than the settings promise would drop a session that grows over its limit.
#[test]
fn a_node_that_takes_less_than_the_largest_session_is_found_out() {
    let node = Memcached::start(&["-I", "128k", "-o", "slab_chunk_max=65536"]);
    let row = "  largest     bad      the cache refused a write: \"SERVER_ERROR object too large for cache\"
              -> a session of this size would be lost there: give MEMCACHE_MAX_VALUE less than its largest item (`-I`, on \
               ElastiCache max_item_size)
";
    let ran = doctor(&node.name(), &[]);
    assert!(ran.code == 1 && ran.out.contains(row), "{}", ran.out);
    let ran = doctor(&node.name(), &[("MEMCACHE_MAX_VALUE", "100000")]);
    let row = "  largest     good     100000 bytes, all that MEMCACHE_MAX_VALUE allows, were taken\n";
    assert!(ran.code == 0 && ran.out.contains(row), "{}", ran.out);
}

/// The nodes that a configuration endpoint lists, one of which only the list has an address for.
#[test]
fn the_list_of_nodes_is_discovered() {
    let (one, two) = (Memcached::start(&[]), Memcached::start(&[]));
    let payload = format!("7\nlocalhost|127.0.0.1|{} two.invalid|127.0.0.1|{}\n", one.port, two.port);
    let endpoint = Script::start(move |_, words| match words {
        ["version"] => say("VERSION 1.6.22\r\n"),
        ["config", ..] => say(format!("CONFIG cluster 0 {}\r\n{payload}\r\nEND\r\n", payload.len())),
        _ => say("ERROR\r\n"),
    });
    let place = Place::new();
    place.write("hosts", "127.0.0.1 localhost shop.abc.cfg.example\n");
    if !place.program("unshare").args(["-r", "-m", "true"]).status().is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("CI").is_none(), "nothing is skipped where CI is set");
        eprintln!("skipped: this machine lets nobody make a mount namespace, and so no name of an endpoint");
        return;
    }
    let servers = format!("shop.abc.cfg.example:{}", endpoint.port);
    let mut command = place.program("unshare");
    command.args(["-r", "-m", "sh", "-c", "mount --bind hosts /etc/hosts && exec \"$0\" doctor"]);
    command.arg(env!("CARGO_BIN_EXE_lambda-session")).env("SECRET_KEY_BASE", SECRET);
    command.env("SESSION_STORE", "memcached").env("MEMCACHE_SERVERS", &servers).env("MEMCACHE_TIMEOUT", "1s");
    let ran = Ran::of(command.output().unwrap());
    let rows = |resolved: &str| {
        format!(
            "  resolved    {resolved}
  connected   good     without TLS, in # ms
  engine      good     {}
  round trip  good     # ms, the median of 5 reads
  write       good     a throw-away value was written, read and deleted
  largest     good     262144 bytes, all that MEMCACHE_MAX_VALUE allows, were taken
",
            engine(&one)
        )
    };
    let expected = format!(
        "nodes         good     2 nodes, listed by {servers}

node localhost:{}
{}
node two.invalid:{}
{}
verdict       good, with 1 warning
",
        one.port,
        rows("good     127.0.0.1"),
        two.port,
        rows("warning  its name has no address here; that of the list of nodes serves"),
    );
    assert_eq!((ran.code, nodes(&ran)), (0, expected));
}

#[test]
fn an_endpoint_that_cannot_be_asked_is_told_with_the_way_out() {
    let ran = doctor("shop.abc.cfg.nowhere.invalid:11211", &[]);
    let row = "nodes         bad      cannot ask configuration endpoint shop.abc.cfg.nowhere.invalid:11211: its name has no \
               address: ";
    assert!(ran.code == 1 && ran.out.contains(row), "{}", ran.out);
    assert!(ran.out.contains("\n              -> check the name in MEMCACHE_SERVERS"), "{}", ran.out);
}
