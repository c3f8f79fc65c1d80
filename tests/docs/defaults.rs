//! The defaults and the bounds in docs/settings.md are those of the code, and the short tables say the same.

use std::collections::BTreeMap;
use std::fs;

use lambda_session::config::{Settings, keyring, parse_duration};

use crate::page::{Page, codes, root};

/// What the page says of a variable.
struct Row {
    default: String,
    may_be: String,
}

const HEAD: &str = "| variable | default | what it may be | source of the default |";

fn rows() -> BTreeMap<String, Row> {
    let page = Page::read("docs/settings.md");
    let tables: Vec<_> = page.tables("| variable | default |");
    let heads = page.text.lines().filter(|line| line.starts_with(HEAD)).count();
    assert_eq!((tables.len(), heads), (6, 6), "each table has a column for the source");
    let without = tables.iter().flatten().find(|row| row[3].is_empty());
    assert_eq!(without, None, "a default without a source");
    let rows = tables.into_iter().flatten().map(|row| {
        let [name, default, may_be] = [&row[0], &row[1], &row[2]].map(String::clone);
        (codes(&name).remove(0), Row { default, may_be })
    });
    rows.collect()
}

fn read(variables: &[(&str, &str)]) -> Result<Settings, lambda_session::Error> {
    let value = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    Settings::read(&value)
}

#[test]
fn every_default_is_the_code_s() {
    let rows = rows();
    let default = |name: &str| codes(&rows[name].default);
    let unset = read(&[]).unwrap();
    let lower = |word: String| vec![word.to_lowercase()];
    assert!(keyring(&|_: &str| None).is_err() && rows["SECRET_KEY_BASE"].default.starts_with("none: this or the next"));
    assert_eq!(default("SESSION_STORE"), lower(format!("{:?}", unset.store())));
    assert_eq!(default("SESSION_PROTECTION"), lower(format!("{:?}", unset.protection())));
    assert_eq!(default("SESSION_CONFLICT"), lower(format!("{:?}", unset.conflict())));
    assert!(unset.metrics().is_none() && default("SESSION_METRICS") == ["none"]);
    assert!(unset.scope().is_empty() && rows["SESSION_SCOPE"].default == "empty");

    let seconds = |name: &str, index: usize| parse_duration(&default(name)[index]).unwrap();
    let month = read(&[("SESSION_EXPIRE_AFTER", "30d")]).unwrap().lifetime();
    assert_eq!(default("SESSION_IDLE")[0], "SESSION_EXPIRE_AFTER");
    assert_eq!(default("SESSION_ABSOLUTE")[1], "SESSION_EXPIRE_AFTER");
    assert_eq!((month.idle(), month.absolute()), (parse_duration("30d").unwrap(), parse_duration("30d").unwrap()));
    let lifetime = unset.lifetime();
    assert_eq!((lifetime.idle(), lifetime.absolute()), (seconds("SESSION_IDLE", 1), seconds("SESSION_ABSOLUTE", 0)));

    let on_or_off = |name: &str, attribute: &str| match default(name)[0].as_str() {
        "on" => format!("; {attribute}"),
        _ => String::new(),
    };
    let lax = &default("SESSION_SAME_SITE")[0];
    let wanted = format!(
        "{}=; HttpOnly; SameSite={}{}{}{}; Path={}",
        default("SESSION_NAME")[0],
        lax[..1].to_uppercase(),
        &lax[1..],
        on_or_off("SESSION_SECURE", "Secure"),
        on_or_off("SESSION_PARTITIONED", "Partitioned"),
        default("SESSION_PATH")[0],
    );
    assert_eq!(unset.cookie().to_string(), wanted, "no Domain, no Max-Age");
    let name = |variable, value| read(&[(variable, value)]).unwrap().cookie().name().to_owned();
    let names = [name("SESSION_DOMAIN", "a.example"), name("SESSION_PATH", "/a"), name("SESSION_SECURE", "off")];
    let [_, _, secure, _, bare] = default("SESSION_NAME").try_into().unwrap();
    assert_eq!(names, [&secure, &secure, &bare].map(String::clone));
    for name in ["SESSION_DOMAIN", "SESSION_EXPIRE_AFTER", "SESSION_KEYS_PARAMETER", "SECRET_KEY_BASE_OLD"] {
        assert!(rows[name].default.starts_with("none"), "{name}");
    }
}

#[test]
fn every_default_of_the_client_is_the_code_s() {
    let rows = rows();
    let code = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let (client, config) = (code("src/memcached/settings.rs"), code("src/config/memcache.rs"));
    let default = |name: &str| codes(&rows[name].default).remove(0);
    let number = default("MEMCACHE_MAX_VALUE").parse::<u32>().unwrap();
    let wanted = [
        (&config, format!("const LOCAL: &str = \"{}\";", default("MEMCACHE_SERVERS"))),
        (&client, format!("warm: Duration::from_millis({}),", default("MEMCACHE_TIMEOUT").trim_end_matches("ms"))),
        (&client, format!("pool_size: {},", default("MEMCACHE_POOL_SIZE"))),
        (&client, format!("value_limit: {} * 1024,", number / 1024)),
        (&code("src/store/memcached.rs"), format!("const PREFIX: &str = \"{}\";", default("MEMCACHE_PREFIX"))),
        (&client, "self.tls.unwrap_or_else(|| self.servers.iter().any(Address::is_serverless))".to_owned()),
        (&client, "tls_ca: None,".to_owned()),
    ];
    let missing: Vec<_> = wanted.iter().filter(|(code, words)| !code.contains(words)).map(|(_, words)| words).collect();
    assert_eq!((missing, number % 1024), (vec![], 0));
    assert_eq!(codes(&rows["MEMCACHE_TLS"].default), ["on", ".serverless.", "off"]);
    // The times that follow from it.
    let page = Page::read("docs/settings.md");
    for (row, field) in page.table("| time | how it follows |").iter().zip([
        "warm",
        "exchange",
        "suspect_exchange",
        "hedge",
        "dial",
        "cold",
    ]) {
        let time = match row[2].split_once(' ') {
            Some((number, "ms")) => format!("{field}: Duration::from_millis({number}),"),
            Some((number, "s")) => format!("{field}: Duration::from_secs({number}),"),
            _ => panic!("{row:?}"),
        };
        assert!(client.contains(&time), "{time}");
    }
}

/// What is refused says what it may be: the page says the same.
#[test]
fn every_bound_is_the_code_s() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for (name, row) in rows() {
        let store = if name.starts_with("MEMCACHE_") && cfg!(feature = "memcached") { "memcached" } else { "cookie" };
        let Err(error) = read(&[(&name, "?"), ("SESSION_STORE", store)]) else { continue };
        let text = error.to_string();
        let Some((_, bounds)) = text.split_once(": give ") else { continue };
        let bounds = bounds.split(", as ").next().unwrap();
        let plain = row.may_be.replace(['`', ','], "");
        let is_said = match bounds.split_once(" to ") {
            Some(_) => plain.contains(bounds.split(" characters").next().unwrap()),
            // Advice, not a choice.
            None if bounds.contains(',') => continue,
            None => bounds.split(" or ").all(|word| codes(&row.may_be).iter().any(|code| code == word)),
        };
        seen += 1;
        if !is_said {
            wrong.push(format!("{name}: {bounds}, and the page says {}", row.may_be));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(seen >= 10, "{seen}");
}

/// README's tables and those of the rustdoc have the same variables, and no default that the page does not have.
#[test]
fn the_short_tables_say_the_same() {
    let rows = rows();
    let config = fs::read_to_string(root().join("src/config.rs")).unwrap().replace("//! ", "").replace("//!\n", "\n");
    let config = Page { path: "src/config.rs".to_owned(), text: config };
    for page in [Page::read("README.md"), config] {
        let short = page.tables("| variable | what it is | default |").into_iter().flatten();
        let short: BTreeMap<_, _> = short.map(|row| (codes(&row[0]).remove(0), row[2].clone())).collect();
        assert_eq!(short.keys().collect::<Vec<_>>(), rows.keys().collect::<Vec<_>>(), "{}", page.path);
        for (name, default) in short {
            let (said, known) = (codes(&default), codes(&rows[&name].default));
            let first = |text: &str| text.split([':', ' ', ',']).next().unwrap().to_owned();
            let is_known = said.iter().all(|code| known.contains(code));
            assert!(
                is_known && (!said.is_empty() || first(&default) == first(&rows[&name].default)),
                "{name}: {default}"
            );
        }
    }
}
