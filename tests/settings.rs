//! Settings by environment: every variable, every wrong value with its exact line, what they mean together, where they
//! come from (issue 2, "Settings by environment"; security.md, SS2, SS12).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects
)]

mod support;

use std::{fs, path::Path, time::Duration};

use lambda_session::config::{Protection, Settings, StoreKind, dotenv_files, keyring, parse_duration};
use lambda_session::{CookieOptions, Error, ErrorKind, Lifetime, Values};
use support::{App, send, set_clock};

const DAY: u64 = 86_400;
const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
const OTHER: &str = "Dw4NDAsKCQgHBgUEAwIBAB8eHRwbGhkYFxYVFBMSERA";
const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// Reads settings from these variables alone.
fn read(variables: &[(&str, &str)]) -> Result<Settings, Error> {
    Settings::read(&lookup(variables))
}

fn lookup(variables: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
    let variables: Vec<(String, String)> =
        variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    move |name: &str| variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
}

/// An application as these variables describe it; it writes on every visit.
fn app(variables: &[(&str, &str)]) -> App {
    let ring = keyring(&lookup(&[("SECRET_KEY_BASE", SECRET)])).unwrap();
    support::scripted(read(variables).unwrap().layer::<Values>(ring).unwrap().clock(support::clock))
}

/// The `Set-Cookie` line that these variables lead to, without the token.
async fn line(variables: &[(&str, &str)]) -> String {
    let answer = send(&app(variables), "/set-a=1", &[]).await;
    let token = answer.token().unwrap();
    answer.set_cookies()[0].replacen(&token, "…", 1)
}

/// Everything unset: the defaults of the issue.
#[tokio::test]
async fn nothing_set_is_safe() {
    let settings = read(&[]).unwrap();
    assert_eq!((settings.store(), settings.protection()), (StoreKind::Cookie, Protection::Encrypted));
    assert_eq!((settings.lifetime(), settings.scope()), (Lifetime::default(), ""));
    assert_eq!((settings.cookie(), settings.warnings()), (&CookieOptions::default(), &[] as &[String]));
    assert_eq!(line(&[]).await, "__Host-session=…; HttpOnly; SameSite=Lax; Secure; Path=/");
}

/// An empty or blank variable counts as unset.
#[tokio::test]
async fn an_empty_variable_counts_as_unset() {
    let names = [
        "SESSION_STORE",
        "SESSION_PROTECTION",
        "SESSION_NAME",
        "SESSION_DOMAIN",
        "SESSION_PATH",
        "SESSION_EXPIRE_AFTER",
        "SESSION_IDLE",
        "SESSION_ABSOLUTE",
        "SESSION_SAME_SITE",
        "SESSION_SECURE",
        "SESSION_PARTITIONED",
        "SESSION_SCOPE",
        "SESSION_CONFLICT",
        "SESSION_METRICS",
        "SESSION_TRACE_ENV",
        "MEMCACHE_SERVERS",
    ];
    for blank in ["", " ", "\t\n"] {
        let variables = names.map(|name| (name, blank));
        assert_eq!(line(&variables).await, line(&[]).await, "{blank:?}");
        assert_eq!(read(&variables).unwrap().warnings(), &[] as &[String]);
    }
}

/// Every good value, by what goes out.
#[tokio::test]
async fn every_variable_does_what_it_says() {
    let rest = "HttpOnly; SameSite=Lax; Secure; Path=/";
    for (variables, expected) in [
        (vec![("SESSION_NAME", "__Host-shop")], format!("__Host-shop=…; {rest}")),
        (vec![("SESSION_NAME", "shop")], format!("shop=…; {rest}")),
        (vec![("SESSION_NAME", "__Host-Http-shop")], format!("__Host-Http-shop=…; {rest}")),
        (vec![("SESSION_DOMAIN", "example.com")], format!("__Secure-session=…; {rest}; Domain=example.com")),
        (vec![("SESSION_DOMAIN", ".example.com")], format!("__Secure-session=…; {rest}; Domain=example.com")),
        (vec![("SESSION_DOMAIN", "example.com"), ("SESSION_NAME", "s")], format!("s=…; {rest}; Domain=example.com")),
        (vec![("SESSION_PATH", "/app")], format!("__Secure-session=…; {rest}app")),
        (vec![("SESSION_PATH", "/")], format!("__Host-session=…; {rest}")),
        (vec![("SESSION_SAME_SITE", "strict")], format!("__Host-session=…; {}", rest.replace("Lax", "Strict"))),
        (vec![("SESSION_SAME_SITE", "None")], format!("__Host-session=…; {}", rest.replace("Lax", "None"))),
        (vec![("SESSION_SAME_SITE", " LAX ")], format!("__Host-session=…; {rest}")),
        (vec![("SESSION_SECURE", "on")], format!("__Host-session=…; {rest}")),
        (vec![("SESSION_SECURE", "off")], format!("session=…; {}", rest.replace("Secure; ", ""))),
        (
            vec![("SESSION_SECURE", "off"), ("SESSION_PATH", "/app"), ("SESSION_DOMAIN", "example.test")],
            format!("session=…; {}app; Domain=example.test", rest.replace("Secure; ", "")),
        ),
        (
            vec![("SESSION_PARTITIONED", "on")],
            format!("__Host-session=…; {}", rest.replace("Secure", "Partitioned; Secure")),
        ),
        (vec![("SESSION_PARTITIONED", "off")], format!("__Host-session=…; {rest}")),
        (vec![("SESSION_EXPIRE_AFTER", "90s")], format!("__Host-session=…; {rest}; Max-Age=90")),
        (vec![("SESSION_EXPIRE_AFTER", "90")], format!("__Host-session=…; {rest}; Max-Age=90")),
        (vec![("SESSION_EXPIRE_AFTER", "15m")], format!("__Host-session=…; {rest}; Max-Age=900")),
        (vec![("SESSION_EXPIRE_AFTER", "12h")], format!("__Host-session=…; {rest}; Max-Age=43200")),
        (vec![("SESSION_EXPIRE_AFTER", "400d")], format!("__Host-session=…; {rest}; Max-Age=34560000")),
        (
            vec![("SESSION_EXPIRE_AFTER", "30d"), ("SESSION_ABSOLUTE", "1d")],
            format!("__Host-session=…; {rest}; Max-Age=86400"),
        ),
    ] {
        assert_eq!(line(&variables).await, expected, "{variables:?}");
    }
    for (variables, store, protection) in [
        (vec![("SESSION_STORE", "cookie")], StoreKind::Cookie, Protection::Encrypted),
        (vec![("SESSION_STORE", "Memory")], StoreKind::Memory, Protection::Encrypted),
        (vec![("SESSION_PROTECTION", "signed")], StoreKind::Cookie, Protection::Signed),
        (vec![("SESSION_PROTECTION", "ENCRYPTED")], StoreKind::Cookie, Protection::Encrypted),
    ] {
        let settings = read(&variables).unwrap();
        assert_eq!((settings.store(), settings.protection()), (store, protection), "{variables:?}");
        let token = send(&app(&variables), "/set-a=1", &[]).await.token().unwrap();
        let first = match (store, protection) {
            (StoreKind::Memory, _) => "AqJ3",
            (_, Protection::Signed) => "A6J3",
            _ => "AaJ3",
        };
        assert!(token.starts_with(first), "{variables:?}: {token}");
    }
}

/// Name, scope and secrets are what functions behind one domain share a session by; another scope does not open it.
#[tokio::test]
async fn a_scope_sets_applications_apart() {
    let token = send(&app(&[("SESSION_SCOPE", "shop-prod")]), "/set-a=1", &[]).await.token().unwrap();
    let line = support::cookie(&token);
    for (scope, body) in [("shop-prod", r#"{"a":"1"}"#), ("shop-test", "{}"), ("", "{}"), ("Shop-prod", "{}")] {
        let read = send(&app(&[("SESSION_SCOPE", scope)]), "/read", &[line.as_bytes()]).await;
        assert_eq!(read.body, body, "{scope:?}");
    }
}

/// How the durations stand to each other; SL1: both ends are finite, 400 days at most.
#[test]
fn durations_together() {
    let (minute, hour) = (60, 3_600);
    for (variables, idle, absolute) in [
        (vec![], 30 * minute, 12 * hour),
        (vec![("SESSION_IDLE", "10m")], 10 * minute, 12 * hour),
        (vec![("SESSION_ABSOLUTE", "8h")], 30 * minute, 8 * hour),
        (vec![("SESSION_EXPIRE_AFTER", "1h")], hour, 12 * hour),
        (vec![("SESSION_EXPIRE_AFTER", "30d")], 30 * DAY, 30 * DAY),
        (vec![("SESSION_EXPIRE_AFTER", "400d")], 400 * DAY, 400 * DAY),
        (vec![("SESSION_EXPIRE_AFTER", "30d"), ("SESSION_IDLE", "30d")], 30 * DAY, 30 * DAY),
        (vec![("SESSION_EXPIRE_AFTER", "1h"), ("SESSION_ABSOLUTE", "2h")], hour, 2 * hour),
        (vec![("SESSION_EXPIRE_AFTER", "30d"), ("SESSION_ABSOLUTE", "1d")], 30 * DAY, DAY),
        (vec![("SESSION_IDLE", "1s"), ("SESSION_ABSOLUTE", "1")], 1, 1),
    ] {
        let lifetime = read(&variables).unwrap().lifetime();
        assert_eq!((lifetime.idle().as_secs(), lifetime.absolute().as_secs()), (idle, absolute), "{variables:?}");
    }
}

/// CA14: what is allowed but unlikely to be meant is one warning each.
#[test]
fn what_is_unlikely_to_be_meant_is_warned_about() {
    let insecure = "SESSION_SECURE=off: anyone on the network path can read and set the session cookie; for http:// on your \
                    own machine only";
    let shorter = "SESSION_IDLE is shorter than SESSION_EXPIRE_AFTER: browsers keep a cookie whose session is over";
    let longer = "SESSION_IDLE is longer than SESSION_ABSOLUTE, which ends every session first";
    let unread = "SESSION_PROTECTION is set, and SESSION_STORE is not cookie: the cookie only names the session";
    let unseen =
        "SESSION_CONFLICT is set, and SESSION_STORE is cookie: nobody sees two requests at once, the last answer wins";
    for (variables, warnings) in [
        (vec![("SESSION_SECURE", "off")], vec![insecure]),
        (vec![("SESSION_IDLE", "10m"), ("SESSION_EXPIRE_AFTER", "30d")], vec![shorter]),
        (vec![("SESSION_IDLE", "30d"), ("SESSION_EXPIRE_AFTER", "30d")], vec![]),
        (vec![("SESSION_IDLE", "13h")], vec![longer]),
        (vec![("SESSION_IDLE", "2h"), ("SESSION_ABSOLUTE", "1h")], vec![longer]),
        (vec![("SESSION_STORE", "memory")], vec![]),
        (vec![("SESSION_PROTECTION", "signed")], vec![]),
        (vec![("SESSION_PROTECTION", "encrypted"), ("SESSION_STORE", "memory")], vec![unread]),
        (vec![("SESSION_CONFLICT", "fail"), ("SESSION_STORE", "memory")], vec![]),
        (vec![("SESSION_CONFLICT", "fail")], vec![unseen]),
    ] {
        assert_eq!(read(&variables).unwrap().warnings(), warnings, "{variables:?}");
    }
}

/// Every wrong value is one line that names the variable, what it may be, and what to do.
#[test]
fn every_wrong_value_is_one_clear_line() {
    let duration = "give 1s to 400d, as 90s, 30m, 12h, 30d or a number of seconds";
    let name = "is no cookie name: use 1 to 256 letters, digits and !#$%&'*+-.^_`|~";
    let domain = "is no domain for a cookie: give a host name such as example.com, without scheme, port or path";
    let path = "is no path for a cookie: begin with /, use visible ASCII without a semicolon, up to 1024 bytes";
    let long = "x".repeat(300);
    let rows: Vec<(Vec<(&str, &str)>, String)> = vec![
        (vec![("SESSION_STORE", "redis")], r#"SESSION_STORE is "redis": give cookie or memcached or memory"#.into()),
        (vec![("SESSION_STORE", "mem\ncached")], r#"SESSION_STORE is "mem\ncached": give cookie or memcached or memory"#.into()),
        (vec![("SESSION_PROTECTION", "none")], r#"SESSION_PROTECTION is "none": give encrypted or signed"#.into()),
        (vec![("SESSION_SAME_SITE", "loose")], r#"SESSION_SAME_SITE is "loose": give lax or strict or none"#.into()),
        (vec![("SESSION_SECURE", "false")], r#"SESSION_SECURE is "false": give on or off"#.into()),
        (vec![("SESSION_PARTITIONED", "yes")], r#"SESSION_PARTITIONED is "yes": give on or off"#.into()),
        (vec![("SESSION_TRACE_ENV", "1")], r#"SESSION_TRACE_ENV is "1": give on or off"#.into()),
        (vec![("SESSION_IDLE", "soon")], format!(r#"SESSION_IDLE is "soon": {duration}"#)),
        (vec![("SESSION_IDLE", "0")], format!(r#"SESSION_IDLE is "0": {duration}"#)),
        (vec![("SESSION_IDLE", "-1s")], format!(r#"SESSION_IDLE is "-1s": {duration}"#)),
        (vec![("SESSION_ABSOLUTE", "401d")], format!(r#"SESSION_ABSOLUTE is "401d": {duration}"#)),
        (vec![("SESSION_ABSOLUTE", "12 h")], format!(r#"SESSION_ABSOLUTE is "12 h": {duration}"#)),
        (vec![("SESSION_EXPIRE_AFTER", "1w")], format!(r#"SESSION_EXPIRE_AFTER is "1w": {duration}"#)),
        (
            vec![("SESSION_EXPIRE_AFTER", "99999999999999999999d")],
            format!(r#"SESSION_EXPIRE_AFTER is "99999999999999999999d": {duration}"#),
        ),
        (
            vec![("SESSION_EXPIRE_AFTER", "18446744073709551615d")],
            format!(r#"SESSION_EXPIRE_AFTER is "18446744073709551615d": {duration}"#),
        ),
        (vec![("SESSION_NAME", "my session")], format!(r#"SESSION_NAME: "my session" {name}"#)),
        (vec![("SESSION_NAME", "a;b")], format!(r#"SESSION_NAME: "a;b" {name}"#)),
        (vec![("SESSION_NAME", &long)], format!(r#"SESSION_NAME: "{}…" {name}"#, "x".repeat(64))),
        (vec![("SESSION_DOMAIN", "https://a.de")], format!(r#"SESSION_DOMAIN: "https://a.de" {domain}"#)),
        (vec![("SESSION_DOMAIN", "a.de:443")], format!(r#"SESSION_DOMAIN: "a.de:443" {domain}"#)),
        (vec![("SESSION_DOMAIN", "a..de")], format!(r#"SESSION_DOMAIN: "a..de" {domain}"#)),
        (vec![("SESSION_PATH", "app")], format!(r#"SESSION_PATH: "app" {path}"#)),
        (vec![("SESSION_PATH", "/a;b")], format!(r#"SESSION_PATH: "/a;b" {path}"#)),
        (vec![("SESSION_SCOPE", &long)], "SESSION_SCOPE has 300 bytes: give 256 or fewer".into()),
        (
            vec![("SESSION_NAME", "__Host-shop"), ("SESSION_DOMAIN", "a.de")],
            "SESSION_NAME, SESSION_DOMAIN: cookie __Host-shop cannot have a domain: drop the domain, or call it \
             __Secure-shop"
                .into(),
        ),
        (
            vec![("SESSION_NAME", "__Host-shop"), ("SESSION_PATH", "/a")],
            "SESSION_NAME, SESSION_PATH: cookie __Host-shop cannot have a path other than /: drop the path, or call it \
             __Secure-shop"
                .into(),
        ),
        (
            vec![("SESSION_NAME", "__Secure-shop"), ("SESSION_SECURE", "off")],
            "SESSION_NAME, SESSION_SECURE: cookie __Secure-shop must be Secure: drop the insecure setting, or call it shop"
                .into(),
        ),
        (
            vec![("SESSION_SAME_SITE", "none"), ("SESSION_SECURE", "off")],
            "SESSION_SAME_SITE, SESSION_SECURE: SameSite=None needs Secure: browsers drop the cookie otherwise; drop \
             SameSite=None, or the insecure setting"
                .into(),
        ),
        (
            vec![("SESSION_PARTITIONED", "on"), ("SESSION_SECURE", "off")],
            "SESSION_PARTITIONED, SESSION_SECURE: Partitioned needs Secure: browsers drop the cookie otherwise; drop \
             Partitioned, or the insecure setting"
                .into(),
        ),
    ];
    for (variables, message) in rows {
        let error = read(&variables).expect_err(&format!("{variables:?}"));
        assert_eq!((error.kind(), format!("{error:?}")), (ErrorKind::Config, message), "{variables:?}");
        assert!(!error.to_string().contains('\n'));
    }
}

#[test]
fn durations_read_as_people_write_them() {
    for (text, seconds) in [
        ("0", Some(0)),
        ("90", Some(90)),
        ("90s", Some(90)),
        ("30m", Some(1_800)),
        ("12h", Some(43_200)),
        ("30d", Some(30 * DAY)),
        ("007m", Some(420)),
        ("18446744073709551615", Some(u64::MAX)),
        ("", None),
        ("s", None),
        ("1.5h", None),
        ("+1", None),
        ("-1", None),
        ("1 h", None),
        ("1H", None),
        ("1h30m", None),
        ("é", None),
        ("1é", None),
        ("18446744073709551616", None),
        ("18446744073709551615m", None),
    ] {
        assert_eq!(parse_duration(text), seconds.map(Duration::from_secs), "{text:?}");
    }
}

/// SS2: without a good secret there is no ring; the line names the variable and the rule and never the value.
#[test]
fn a_secret_is_taken_or_refused_by_rule() {
    let make = "`lambda-session secret --env >> .env` makes one";
    let short = "the secret is too short: 43 characters of base64url or 64 hex digits are the least";
    let alphabet = "the secret is neither hex nor unpadded base64url (A-Z a-z 0-9 - _, unused bits zero)";
    let repetitive = "the secret is repetitive: it must come from a random generator";
    // What is advised never appends a second secret beside the refused one.
    let refused = |variable: &str, rule: &str| {
        let way_out = match variable {
            "SECRET_KEY_BASE" => "replace it by what `lambda-session secret` prints",
            _ => "copy the old secret whole, or take it out",
        };
        Err(format!("{variable}: {rule}; {way_out}"))
    };
    let unset = Err(format!(
        "SECRET_KEY_BASE is not set, and no session is safe without a secret: {make}; or let \
                             SESSION_KEYS_PARAMETER name one in SSM"
    ));
    let padded = format!("{SECRET}=");
    let placeholder = format!("change-me{SECRET}");
    let odd = format!("{HEX}0");
    let both = format!("{OTHER},{HEX}");
    let spaced = format!(" {OTHER} ,\n{HEX}, ");
    let second_bad = format!("{OTHER},hunter2");
    let bom = format!("\u{feff}{SECRET}\r\n");
    let upper = HEX.to_uppercase();
    for (name, first, old, expected) in [
        ("one", Some(SECRET), None, Ok(1)),
        ("hex", Some(HEX), None, Ok(1)),
        ("hex in capitals", Some(&upper), None, Ok(1)),
        ("a BOM and a line end", Some(&bom), None, Ok(1)),
        ("an old one", Some(SECRET), Some(OTHER), Ok(2)),
        ("two old ones", Some(SECRET), Some(&both), Ok(3)),
        ("old ones with spaces", Some(SECRET), Some(&spaced), Ok(3)),
        ("no old ones", Some(SECRET), Some(" , "), Ok(1)),
        ("none", None, None, unset.clone()),
        ("blank", Some(" \n"), None, unset.clone()),
        ("only an old one", None, Some(OTHER), unset),
        ("short", Some("hunter2"), None, refused("SECRET_KEY_BASE", short)),
        ("short hex", Some(&HEX[2..]), None, refused("SECRET_KEY_BASE", short)),
        (
            "odd hex",
            Some(&odd),
            None,
            refused("SECRET_KEY_BASE", "the secret has an odd number of hex digits: one was lost or added"),
        ),
        ("padded", Some(&padded), None, refused("SECRET_KEY_BASE", alphabet)),
        ("two in one", Some(&both), None, refused("SECRET_KEY_BASE", alphabet)),
        (
            "a placeholder",
            Some(&placeholder),
            None,
            refused("SECRET_KEY_BASE", "the secret is a placeholder: put a fresh one in its place"),
        ),
        (
            "repetitive",
            Some("Ab3_Ab3_Ab3_Ab3_Ab3_Ab3_Ab3_Ab3_Ab3_Ab3_Ab3_"),
            None,
            refused("SECRET_KEY_BASE", repetitive),
        ),
        ("zeros", Some(&"0".repeat(64)), None, refused("SECRET_KEY_BASE", repetitive)),
        ("a bad old one", Some(SECRET), Some("hunter2"), refused("SECRET_KEY_BASE_OLD", short)),
        ("a bad second old one", Some(SECRET), Some(&second_bad), refused("SECRET_KEY_BASE_OLD", short)),
    ] {
        let mut variables = Vec::new();
        variables.extend(first.map(|value| ("SECRET_KEY_BASE", value)));
        variables.extend(old.map(|value| ("SECRET_KEY_BASE_OLD", value)));
        let ring = keyring(&lookup(&variables));
        let found = ring.as_ref().map(lambda_session::keyring::Keyring::len).map_err(|error| format!("{error:?}"));
        assert_eq!(found, expected, "{name}");
        if let Err(error) = &ring {
            let shown = format!("{error} {error:?}");
            for (_, value) in variables.iter().filter(|(_, value)| value.trim().len() > 3) {
                assert!(!shown.contains(value.trim()), "{name}: {shown}");
            }
            assert!(!shown.contains("hunter2"), "{name}: {shown}");
        }
    }
}

/// The first secret seals, all open; both spellings of one secret are one.
#[tokio::test]
async fn the_first_secret_seals_and_all_open() {
    set_clock(support::START);
    let app = |first: &str, old: &str| {
        let ring = keyring(&lookup(&[("SECRET_KEY_BASE", first), ("SECRET_KEY_BASE_OLD", old)])).unwrap();
        support::scripted(read(&[]).unwrap().layer::<Values>(ring).unwrap().clock(support::clock))
    };
    let token = send(&app(SECRET, ""), "/set-a=1", &[]).await.token().unwrap();
    let line = support::cookie(&token);
    for (first, old, sets, body) in [
        (SECRET, OTHER, false, r#"{"a":"1"}"#),
        (HEX, "", false, r#"{"a":"1"}"#),
        (OTHER, SECRET, true, r#"{"a":"1"}"#),
        (OTHER, HEX, true, r#"{"a":"1"}"#),
        (OTHER, "", false, "{}"),
    ] {
        let answer = send(&app(first, old), "/read", &[line.as_bytes()]).await;
        assert_eq!((answer.token().is_some(), answer.body.as_str()), (sets, body), "{first}, {old}");
    }
}

/// `Settings` prints no secret: it has none.
#[test]
fn debug_of_settings_and_layer_shows_no_secret() {
    let ring = keyring(&lookup(&[("SECRET_KEY_BASE", SECRET)])).unwrap();
    let settings = read(&[("SESSION_SCOPE", "shop")]).unwrap();
    let shown = format!("{settings:?} {:?}", settings.clone().layer::<Values>(ring).unwrap());
    assert!(!shown.contains(SECRET) && !shown.contains("[0, 1, 2"), "{shown}");
}

// ---- Files

fn write(directory: &Path, name: &str, text: &str) {
    fs::write(directory.join(name), text).unwrap();
}

/// `.env.local` over `.env`, the last line of a name within a file; a missing file is none.
#[test]
fn env_local_wins_over_env() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(dotenv_files(directory.path()).unwrap(), []);
    write(directory.path(), ".env", "A=file\nB=file\nB=again\nC='quoted # text'\n# D=no\nexport E=\"e\\n\"\n");
    write(directory.path(), ".env.local", "\u{feff}A=local\r\n");
    let variables = dotenv_files(directory.path()).unwrap();
    let value = |name: &str| variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    assert_eq!(
        ["A", "B", "C", "D", "E"].map(value),
        [Some("local"), Some("again"), Some("quoted # text"), None, Some("e\n")]
    );
    assert_eq!(variables.len(), 4, "each name once");
}

/// A line that is no assignment is named by file and number, never repeated: it may be half of a secret.
#[test]
fn a_broken_file_is_named_without_its_text() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), ".env", &format!("A=1\n\n{SECRET}\n"));
    let error = dotenv_files(directory.path()).unwrap_err();
    assert_eq!(format!("{error:?}"), ".env, line 3, is no assignment: write NAME=value");
    fs::write(directory.path().join(".env.local"), b"A=\xff").unwrap();
    let error = dotenv_files(directory.path()).unwrap_err();
    assert_eq!(error.to_string(), "cannot read .env.local");
    fs::remove_file(directory.path().join(".env.local")).unwrap();
    fs::create_dir(directory.path().join(".env.local")).unwrap();
    assert_eq!(dotenv_files(directory.path()).unwrap_err().to_string(), "cannot read .env.local");
}

/// The example application, started: it needs the feature `axum`.
#[cfg(feature = "axum")]
mod started {
    use std::process::Command;

    use super::*;

    /// What the example function says when it is started in a directory with these files and variables.
    fn start(files: &[(&str, &str)], variables: &[(&str, &str)]) -> (Option<i32>, String) {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            write(directory.path(), name, text);
        }
        let output = Command::new(env!("CARGO_BIN_EXE_bootstrap"))
            .current_dir(directory.path())
            .env_clear()
            .env("RUST_LOG", "trace")
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    }

    /// Without any secret the function refuses to start, and says which command makes one.
    #[test]
    fn without_a_secret_the_function_does_not_start() {
        let (code, said) = start(&[], &[]);
        assert_eq!(code, Some(1));
        assert_eq!(
            said,
            "Error: SECRET_KEY_BASE is not set, and no session is safe without a secret: `lambda-session secret --env >> \
         .env` makes one; or let SESSION_KEYS_PARAMETER name one in SSM\n"
        );
    }

    /// Outside of Lambda `.env` files are read and the process wins over them; on Lambda they are not read at all.
    #[test]
    fn the_process_wins_over_files_and_lambda_reads_none() {
        let good = format!("SECRET_KEY_BASE={SECRET}\n");
        let no_lambda = "AWS_LAMBDA_RUNTIME_API is not set";
        let bad_store = r#"SESSION_STORE is "redis""#;
        let bad_local = r#"SESSION_STORE is "local""#;
        let on_lambda = ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9");
        let with_bad_store = format!("{good}SESSION_STORE=redis\n");
        for (name, files, variables, says) in [
            ("a file", vec![(".env", good.as_str())], vec![], no_lambda),
            ("a wrong file", vec![(".env", with_bad_store.as_str())], vec![], bad_store),
            (
                "local over file",
                vec![(".env", &with_bad_store), (".env.local", "SESSION_STORE=local\n")],
                vec![],
                bad_local,
            ),
            (
                "a good local over a wrong file",
                vec![(".env", &with_bad_store), (".env.local", "SESSION_STORE=cookie\n")],
                vec![],
                no_lambda,
            ),
            ("the process over files", vec![(".env", &with_bad_store)], vec![("SESSION_STORE", "cookie")], no_lambda),
            ("the wrong process over files", vec![(".env", &good)], vec![("SESSION_STORE", "redis")], bad_store),
            ("a broken file", vec![(".env", "nonsense")], vec![], ".env, line 1, is no assignment: write NAME=value"),
            ("on Lambda", vec![(".env", &good)], vec![on_lambda], "SECRET_KEY_BASE is not set"),
            ("a broken file on Lambda", vec![(".env", "nonsense")], vec![on_lambda], "SECRET_KEY_BASE is not set"),
        ] {
            let (code, said) = start(&files, &variables);
            assert_eq!(code, Some(1), "{name}: {said}");
            assert!(said.contains(says), "{name}: {said}");
            assert!(!said.contains("panicked") && !said.contains(SECRET), "{name}: {said}");
        }
    }

    /// SS12: a refused secret is in nothing that the function says, and warnings are said at start.
    #[test]
    fn a_refused_secret_is_never_said() {
        for secret in ["hunter2hunter2", &format!("{SECRET}="), &format!("changeme{SECRET}")] {
            for (variable, base) in
                [("SECRET_KEY_BASE", None), ("SECRET_KEY_BASE_OLD", Some(("SECRET_KEY_BASE", OTHER)))]
            {
                let variables: Vec<_> = base.into_iter().chain([(variable, secret)]).collect();
                let (code, said) = start(&[], &variables);
                assert_eq!(code, Some(1), "{said}");
                assert!(said.starts_with(&format!("Error: {variable}: the secret ")), "{said}");
                assert!(!said.contains(secret) && !said.contains("hunter2") && !said.contains(SECRET), "{said}");
            }
        }
        let (_, said) = start(&[], &[("SECRET_KEY_BASE", SECRET), ("SESSION_SECURE", "off")]);
        assert!(said.contains("WARN") && said.contains("SESSION_SECURE=off: anyone on the network path"), "{said}");
        assert!(!said.contains(SECRET), "{said}");
    }

    /// A value that is no UTF-8 is refused like any other wrong value; it never falls back to a file's.
    #[cfg(unix)]
    #[test]
    fn a_value_that_is_no_text_is_refused() {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
        for (name, says) in [
            ("SECRET_KEY_BASE", "SECRET_KEY_BASE: the secret is too short"),
            ("SESSION_STORE", "SESSION_STORE is \"\u{fffd}\""),
            ("SESSION_NAME", "SESSION_NAME: \"\u{fffd}\" is no cookie name"),
            ("SESSION_IDLE", "SESSION_IDLE is \"\u{fffd}\""),
            ("SESSION_SCOPE", "SESSION_SCOPE is no UTF-8: give plain text such as shop-prod"),
        ] {
            let directory = tempfile::tempdir().unwrap();
            write(directory.path(), ".env", &format!("SECRET_KEY_BASE={SECRET}\nSESSION_STORE=cookie\n"));
            let output = Command::new(env!("CARGO_BIN_EXE_bootstrap"))
                .current_dir(directory.path())
                .env_clear()
                .env(name, OsStr::from_bytes(b"\xff\xfe"))
                .output()
                .unwrap();
            let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert!(said.contains(says), "{name}: {said}");
        }
    }
}

/// A scope that differs in what nobody sees would share no session, silently.
#[test]
fn an_invisible_difference_of_scopes_is_refused() {
    for scope in ["shop ", " shop", "shop\r", "sh\top"] {
        let error = Settings::read(&lookup(&[("SESSION_SCOPE", scope)])).unwrap_err();
        let expected = format!("SESSION_SCOPE is {scope:?}: take out blanks around it and control characters");
        assert_eq!(error.to_string(), expected);
    }
}

/// Sessions in one environment's memory are unlikely to be meant on Lambda.
#[test]
fn memory_on_lambda_is_warned_about() {
    let settings =
        Settings::read(&lookup(&[("SESSION_STORE", "memory"), ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")])).unwrap();
    assert_eq!(
        settings.warnings(),
        [
            "SESSION_STORE=memory: every environment has sessions of its own and loses them when it is recycled; for tests \
          and local development only"
        ]
    );
    assert_eq!(Settings::read(&lookup(&[("SESSION_STORE", "memory")])).unwrap().warnings(), [""; 0]);
}

/// What the operator asked for and the program has not got is said at start, with the way out.
#[cfg(not(feature = "memcached"))]
#[test]
fn a_store_that_was_not_built_in_is_named() {
    assert_eq!(
        read(&[("SESSION_STORE", "memcached")]).unwrap_err().to_string(),
        "SESSION_STORE is \"memcached\", and this program was built without it: add the feature `memcached` to \
         lambda-session in Cargo.toml"
    );
}
