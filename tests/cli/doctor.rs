//! `lambda-session doctor`.

use crate::support::{Place, Ran, SECRET, Variables};

const OLD: &str = "1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100";

fn doctor(variables: Variables<'_>, arguments: &[&str]) -> Ran {
    let command: Vec<&str> = ["doctor"].iter().chain(arguments).copied().collect();
    Place::new().run_with("", variables, &command)
}

/// What stands where secrets and settings are as they should be, and sessions are in the cookie.
const GOOD: &str = "\
secrets       good     1 secret: key a277 seals
cookie        good     __Host-session=; HttpOnly; SameSite=Lax; Secure; Path=/
lifetime      good     30 min without a request, 12 h in all
scope         good     none: whoever has the secret and the cookie's name shares the sessions
store         good     cookie: a session cannot be recalled, a copy of the cookie lives to its end
protection    good     encrypted

verdict       good
";

#[test]
fn good_settings_are_told_in_full() {
    let ran = doctor(&[("SECRET_KEY_BASE", SECRET)], &[]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, GOOD, ""));
    let place = Place::new();
    place.write(".env", format!("SECRET_KEY_BASE={SECRET}\n"));
    assert_eq!(place.run(&["doctor"]).out, GOOD, "from a file");
}

/// Each row that is not as in [`GOOD`], as it is printed.
#[test]
fn every_setting_is_judged_with_the_way_out() {
    let rows: Vec<(&str, Variables<'_>, i32, &[&str])> = vec![
        (
            "no secret",
            &[("SECRET_KEY_BASE", "")],
            1,
            &["secrets       bad      SECRET_KEY_BASE is not set, and no session is safe without a secret: \
               `lambda-session secret --env >> .env` makes one; or let SESSION_KEYS_PARAMETER name one in SSM"],
        ),
        (
            "a placeholder",
            &[("SECRET_KEY_BASE", "change-me")],
            1,
            &[
                "secrets       bad      SECRET_KEY_BASE: the secret is a placeholder: put a fresh one in its place; replace it by what `lambda-session secret` prints",
            ],
        ),
        (
            "an old secret",
            &[("SECRET_KEY_BASE_OLD", OLD)],
            0,
            &["secrets       good     2 secrets: key a277 seals, 7c85 opens too"],
        ),
        (
            "a bad old secret",
            &[("SECRET_KEY_BASE_OLD", "changeme")],
            1,
            &["secrets       bad      SECRET_KEY_BASE_OLD: "],
        ),
        (
            "no Secure",
            &[("SESSION_SECURE", "off"), ("SESSION_EXPIRE_AFTER", "1d")],
            0,
            &[
                "cookie        good     session=; HttpOnly; SameSite=Lax; Path=/; Max-Age=86400",
                "cookie        warning  SESSION_SECURE=off: anyone on the network path can read and set the session \
                 cookie; for http:// on your own machine only",
                "lifetime      good     1 d without a request, 1 d in all",
                "verdict       good, with 1 warning",
            ],
        ),
        (
            "a name that contradicts",
            &[("SESSION_NAME", "__Host-x"), ("SESSION_DOMAIN", "example.com")],
            1,
            &["cookie        bad      SESSION_NAME, SESSION_DOMAIN: cookie __Host-x cannot have a domain: drop the \
               domain, or call it __Secure-x"],
        ),
        (
            "a lifetime that is none",
            &[("SESSION_IDLE", "soon")],
            1,
            &[
                "lifetime      bad      SESSION_IDLE is \"soon\": give 1s to 400d, as 90s, 30m, 12h, 30d or a number of \
               seconds",
            ],
        ),
        (
            "an idle end that never comes",
            &[("SESSION_IDLE", "13h")],
            0,
            &["lifetime      warning  SESSION_IDLE is longer than SESSION_ABSOLUTE, which ends every session first"],
        ),
        ("a scope", &[("SESSION_SCOPE", "shop-prod")], 0, &["scope         good     \"shop-prod\""]),
        (
            "a bad scope",
            &[("SESSION_SCOPE", " x")],
            1,
            &["scope         bad      SESSION_SCOPE is \" x\": take out blanks around it and control characters"],
        ),
        (
            "signed",
            &[("SESSION_PROTECTION", "signed")],
            0,
            &["protection    good     signed: whoever has the cookie can read the session"],
        ),
        (
            "in memory",
            &[("SESSION_STORE", "memory"), ("SESSION_CONFLICT", "fail")],
            0,
            &[
                "store         good     memory: for tests and local development, gone with the process",
                "conflict      good     fail: of two requests at once on one session the second is answered 409",
            ],
        ),
        (
            "what the store does not heed",
            &[("SESSION_CONFLICT", "fail")],
            0,
            &[
                "store         warning  SESSION_CONFLICT is set, and SESSION_STORE is cookie: nobody sees two requests at \
               once, the last answer wins",
            ],
        ),
        (
            "what a server-side store does not heed",
            &[("SESSION_STORE", "memory"), ("SESSION_PROTECTION", "signed")],
            0,
            &[
                "store         warning  SESSION_PROTECTION is set, and SESSION_STORE is not cookie: the cookie only names \
                 the session",
                "verdict       good, with 1 warning",
            ],
        ),
        (
            "an unknown store",
            &[("SESSION_STORE", "redis")],
            1,
            &["store         bad      SESSION_STORE is \"redis\": give cookie or memcached or memory"],
        ),
        (
            "a trace id that is neither handed on nor not",
            &[("SESSION_TRACE_ENV", "yes")],
            1,
            &["metrics       bad      SESSION_TRACE_ENV is \"yes\": give on or off"],
        ),
        (
            "everything at once",
            &[
                ("SECRET_KEY_BASE", "x"),
                ("SESSION_PATH", "x"),
                ("SESSION_ABSOLUTE", "x"),
                ("SESSION_SCOPE", "x "),
                ("SESSION_STORE", "x"),
                ("SESSION_PROTECTION", "x"),
                ("SESSION_CONFLICT", "x"),
                ("SESSION_METRICS", "x"),
            ],
            1,
            &[
                "secrets       bad      ",
                "cookie        bad      ",
                "lifetime      bad      ",
                "scope         bad      ",
                "store         bad      ",
                "protection    bad      SESSION_PROTECTION is \"x\": give encrypted or signed",
                "conflict      bad      SESSION_CONFLICT is \"x\": give merge or fail or overwrite",
                "metrics       bad      SESSION_METRICS is \"x\": give none or emf",
                "verdict       bad: 8 of 8 checks",
            ],
        ),
    ];
    for (name, variables, code, lines) in rows {
        let mut all = vec![("SECRET_KEY_BASE", SECRET)];
        all.extend(variables);
        let ran = doctor(&all, &[]);
        assert_eq!((ran.code, ran.err.as_str()), (code, ""), "{name}: {ran:?}");
        for line in lines {
            assert!(ran.out.lines().any(|printed| printed.starts_with(line)), "{name}: {line}\n{}", ran.out);
        }
        assert!(!ran.out.contains(SECRET) && !ran.out.contains(OLD) && !ran.out.contains("change-me"), "{name}");
    }
}

/// For programs: one object per check, and the same exit code.
#[test]
fn json_has_one_line_per_check() {
    let ran = doctor(&[("SECRET_KEY_BASE", SECRET), ("SESSION_IDLE", "soon")], &["--json"]);
    let lines = ran.json();
    let names: Vec<_> = lines.iter().map(|line| (line["check"].as_str(), line["verdict"].as_str())).collect();
    let expected = [
        ("secrets", "good"),
        ("cookie", "good"),
        ("lifetime", "bad"),
        ("scope", "good"),
        ("store", "good"),
        ("protection", "good"),
    ];
    assert_eq!(names, expected.map(|(name, verdict)| (Some(name), Some(verdict))));
    let secrets = serde_json::json!({
        "node": null, "check": "secrets", "verdict": "good", "finding": "1 secret: key a277 seals", "way_out": null,
    });
    assert_eq!((ran.code, &lines[0]), (1, &secrets));
}

/// Secrets in SSM are asked for where a function would: once, and what is wrong there hides nothing else.
#[cfg(feature = "ssm")]
#[test]
fn secrets_in_ssm_are_read_once() {
    use crate::ssm::Ssm;

    let line = |from: &str, secret: &str| format!("v1 {from} {secret}\n");
    let ring = line("2020-01-01T00:00:00Z", OLD) + &line("2021-01-01T00:00:00Z", SECRET);
    let asked = |ssm: &Ssm| {
        let variables = ssm.variables();
        let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        doctor(&variables, &[])
    };
    let ssm = Ssm::holding(ring, 60);
    let ran = asked(&ssm);
    assert_eq!(
        (ran.code, ran.out.lines().next()),
        (0, Some("secrets       good     2 secrets: key a277 seals, 7c85 opens too"))
    );
    assert_eq!(ssm.take("GetParameter").len(), 1);
    for (case, ssm, finding) in [
        ("no such parameter", Ssm::empty(), "cannot read the secrets from the SSM parameter /shop/prod/session/keys: "),
        (
            "no ring in it",
            Ssm::holding("hunter2", 60),
            "the SSM parameter /shop/prod/session/keys holds no ring: line 1: ",
        ),
    ] {
        let ran = asked(&ssm);
        let row = format!("secrets       bad      {finding}");
        assert!(ran.code == 1 && ran.out.contains(&row) && !ran.out.contains("hunter2"), "{case}: {}", ran.out);
        assert!(ran.out.contains("cookie        good     "), "{case}: {}", ran.out);
    }
}

/// A file that cannot be read leaves nothing to judge.
#[test]
fn a_broken_file_of_variables_is_told_by_name_and_line() {
    let place = Place::new();
    place.write(".env", "# ours\nSECRET_KEY_BASE\n");
    let ran = place.run(&["doctor"]);
    assert_eq!((ran.code, ran.out.as_str()), (3, ""));
    assert_eq!(ran.err, "lambda-session: .env, line 2, is no assignment: write NAME=value\n");
}

#[cfg(not(feature = "memcached"))]
#[test]
fn without_memcached_it_says_how_to_get_it() {
    let ran = doctor(&[("SECRET_KEY_BASE", SECRET), ("SESSION_STORE", "memcached")], &[]);
    let rows = "\
store         bad      memcached, and this program was built without it
              -> `cargo install lambda-session --features cli,memcached` builds one with it
";
    assert!(ran.code == 1 && ran.out.contains(rows), "{ran:?}");
}

#[cfg(feature = "memcached")]
#[path = "doctor_memcached.rs"]
mod memcached;
