//! The main job on a real memcached: `make invoke STORE=memcached`, and what stands behind it.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::cache::Memcached;
use crate::support::{Place, Ran, SECRET, get, http_api, python};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `e2e/with-memcached.sh`, around a first and a returning visit of the example application.
fn visits(place: &Place, variables: &[(&str, &str)]) -> Ran {
    let mut read = get("/posts");
    read["requestContext"]["http"]["method"] = json!("GET");
    let (write, read) =
        (place.event("w.json", &http_api("/posts", r#"{"color":"blue"}"#)), place.event("r.json", &read));
    let mut command = place.program("bash");
    command.arg(root().join("e2e/with-memcached.sh")).arg(env!("CARGO_BIN_EXE_lambda-session"));
    command.args(["invoke", "--json", "--bootstrap", env!("CARGO_BIN_EXE_bootstrap"), &write, &read]);
    command.env("SECRET_KEY_BASE", SECRET).env("SESSION_STORE", "memcached").envs(variables.iter().copied());
    Ran::of(command.output().unwrap())
}

fn assert_comes_back(ran: &Ran) {
    assert_eq!(ran.code, 0, "{ran:?}");
    let lines = ran.json();
    assert_eq!(lines[1]["body"]["color"], "blue", "{ran:?}");
    let cookie = lines[0]["set_cookies"].to_string();
    assert!(!cookie.contains("blue") && cookie.contains("__Host-session"), "{cookie}");
}

/// Where none runs, one is started, and stopped again.
#[test]
fn a_memcached_is_started_for_the_visits_and_stopped_after_them() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for file in [false, true] {
        let (place, servers) = (Place::new(), format!("localhost:{port}"));
        place.write(".env", format!("A=1\nexport MEMCACHE_SERVERS='{servers}'\n"));
        let variable = [("MEMCACHE_SERVERS", servers.as_str())];
        let ran = visits(&place, if file { &[] } else { &variable });
        assert_comes_back(&ran);
        let line = format!("with-memcached: started a memcached on localhost:{port}; it ends with this command");
        assert!(ran.err.starts_with(&line), "{ran:?}");
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "it is still there");
    }
}

/// One that runs already serves, keeps the session, and stays.
#[test]
fn a_memcached_that_runs_is_used_and_left_alone() {
    let server = Memcached::start(&[]);
    let servers = format!("localhost:{}", server.port);
    let ran = visits(&Place::new(), &[("MEMCACHE_SERVERS", &servers)]);
    assert_comes_back(&ran);
    let line = format!("with-memcached: sessions are kept in the memcached that runs on localhost:{}\n", server.port);
    assert!(ran.err.starts_with(&line), "{ran:?}");
    assert_eq!(server.tell("lru_crawler metadump all\r\n").matches("key=s%3A").count(), 1, "the session is in it");
}

/// Servers that are not on this machine's loopback are nobody's to start.
#[test]
fn servers_elsewhere_are_left_to_their_owner() {
    let server = Memcached::start(&[]);
    let servers = format!("127.0.0.1:{},localhost:{}", server.port, server.port);
    let ran = visits(&Place::new(), &[("MEMCACHE_SERVERS", &servers)]);
    assert_comes_back(&ran);
    assert!(
        ran.err.starts_with(&format!("with-memcached: sessions are kept in {servers} (MEMCACHE_SERVERS)\n")),
        "{ran:?}"
    );
}

/// The store and the feature go with each other, and without STORE everything is as it was.
#[test]
fn make_invoke_takes_the_store() {
    let make = |words: &[&str]| {
        let mut make = Command::new("make");
        make.args(["--no-print-directory", "-n", "-o", ".env", "CARGO=cargo", "EVENTS=e.json"]).args(words);
        let ran = Ran::of(make.current_dir(root()).env_remove("STORE").env_remove("MAKEFLAGS").output().unwrap());
        assert_eq!(ran.code, 0, "{ran:?}");
        let lines = ran.out.lines().filter(|line| line.contains("cargo build") || line.contains("target/debug"));
        lines.map(|line| line.trim().to_owned()).collect::<Vec<_>>()
    };
    let build = "cargo build --locked --quiet --features cli";
    let invoke = "target/debug/lambda-session invoke e.json";
    assert_eq!(make(&["invoke"]), [format!("{build} --bins"), invoke.to_owned()]);
    assert_eq!(
        make(&["invoke", "STORE=memory"]),
        [format!("{build} --bins"), format!("SESSION_STORE=memory  {invoke}")]
    );
    let with = format!("SESSION_STORE=memcached e2e/with-memcached.sh {invoke}");
    assert_eq!(make(&["invoke", "STORE=memcached"]), [format!("{build},memcached --bins"), with]);
    let doctor = "target/debug/lambda-session doctor";
    assert_eq!(
        make(&["doctor", "STORE=memcached"]),
        [format!("{build},memcached --bins"), format!("SESSION_STORE=memcached {doctor}")]
    );
}

/// What looks like Lambda to a function is this machine, where the default of MEMCACHE_SERVERS holds.
#[test]
fn a_function_run_here_finds_the_memcached_of_this_machine() {
    let place = Place::new();
    place.event("e.json", &get("/environment"));
    let servers = |variables: &[(&str, &str)]| {
        let mut command = place.command(&["invoke", "--json", "--bootstrap", python().to_str().unwrap(), "e.json"]);
        let ran = Ran::of(command.envs(variables.iter().copied()).output().unwrap());
        ran.json()[0]["body"]["MEMCACHE_SERVERS"].clone()
    };
    assert_eq!(servers(&[]), json!(null));
    assert_eq!(servers(&[("SESSION_STORE", "memcached")]), "localhost:11211");
    assert_eq!(servers(&[("SESSION_STORE", "memcached"), ("MEMCACHE_SERVERS", "cache:1")]), "cache:1");
    place.write(".env", "SESSION_STORE=memcached\n");
    assert_eq!(servers(&[]), "localhost:11211");
    place.write(".env", "SESSION_STORE=memcached\nMEMCACHE_SERVERS=cache:2\n");
    assert_eq!(servers(&[]), "cache:2");
}
