//! `lambda-session inspect`.

use std::time::Duration;

use crate::support::{Place, Ran, SECRET, Sealed, Variables};

const OTHER_SECRET: &str = "1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100";

fn inspect(text: &str, variables: Variables<'_>, arguments: &[&str]) -> Ran {
    let mut all = vec![("SECRET_KEY_BASE", SECRET)];
    all.extend(variables);
    let command: Vec<&str> = ["inspect"].iter().chain(arguments).copied().collect();
    Place::new().run_with(text, &all, &command)
}

fn field(ran: &Ran, label: &str) -> String {
    let line = ran.out.lines().find_map(|line| line.strip_prefix(label));
    line.unwrap_or_else(|| panic!("no {label}: {ran:?}")).trim().to_owned()
}

/// CL3: format, key id and which secret, age, both ends, size by key, and the verdict; the payload stays unseen.
#[test]
fn a_good_cookie_is_explained() {
    let sealed = Sealed::default();
    for (token, format, variables) in [
        (sealed.encrypted(), "encrypted", &[] as Variables<'_>),
        (sealed.signed(), "signed", &[("SESSION_PROTECTION", "signed")]),
    ] {
        let ran = inspect(&token, variables, &[]);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""));
        assert_eq!(field(&ran, "cookie "), "__Host-session");
        assert_eq!(field(&ran, "format"), format);
        assert_eq!(field(&ran, "key id"), "a277, of the secret that seals today");
        assert!(field(&ran, "created").contains(", 10 min"), "{ran:?}");
        assert!(field(&ran, "issued").contains(", 1 min"), "{ran:?}");
        assert!(field(&ran, "idle end").starts_with("in 2"), "{ran:?}");
        assert!(field(&ran, "absolute end").starts_with("in 11 h "), "{ran:?}");
        assert_eq!(field(&ran, "size"), format!("{} of 4096 bytes, name and value", 14 + token.len()));
        assert!(ran.out.lines().any(|line| line.ends_with(" bytes  cart")), "{ran:?}");
        assert_eq!(field(&ran, "verdict"), "good");
        assert!(!ran.out.contains("alice") && !ran.out.contains(&token), "{ran:?}");
    }
}

/// CL3: the payload only with `--reveal`.
#[test]
fn the_payload_is_shown_on_request() {
    let ran = inspect(&Sealed::default().encrypted(), &[], &["--reveal"]);
    let payload = "payload\n  {\n    \"user\": \"alice\",\n    \"cart\": [\n      \"a\",\n      \"b\"\n    ]\n  }\n";
    assert!(ran.out.ends_with(payload), "{}", ran.out);
}

/// CL3: which rule failed.
#[test]
fn a_refused_cookie_is_told_with_its_rule() {
    let minutes = |count: u64| Duration::from_secs(60 * count);
    let good = Sealed::default();
    let seal = "its seal does not match: it was changed, or sealed by another secret, for another cookie name or scope";
    let changed = good.encrypted().replacen("AaJ3", "AaJ3A", 1);
    let idle = Sealed { created: minutes(40), issued: minutes(31), ..Sealed::default() };
    let old = Sealed { created: minutes(12 * 60 + 1), issued: minutes(1), ..Sealed::default() };
    let rows: Vec<(&str, String, Variables<'_>, &str)> = vec![
        ("words", "hello world".into(), &[], "it is no token: 1 to 4096 characters of A-Z a-z 0-9 - _"),
        ("another version", "CaJ3AAAA".into(), &[], "its first byte names no format of this version"),
        ("cut off", "AaJ3AAAA".into(), &[], "it is too short for its format"),
        ("changed", changed, &[], seal),
        ("another name", Sealed { name: "session", ..Sealed::default() }.encrypted(), &[], seal),
        ("another scope", Sealed { scope: "shop", ..Sealed::default() }.encrypted(), &[], seal),
        (
            "another secret",
            Sealed { secret: OTHER_SECRET, ..Sealed::default() }.encrypted(),
            &[],
            "none of these secrets has its key id",
        ),
        ("idle", idle.encrypted(), &[], "it was idle for longer than the idle lifetime"),
        ("old", old.encrypted(), &[], "it is older than the absolute lifetime"),
        (
            "signed, not encrypted",
            good.signed(),
            &[],
            "with SESSION_PROTECTION=encrypted only a token in the format `encrypted` is read",
        ),
        (
            "encrypted, not signed",
            good.encrypted(),
            &[("SESSION_PROTECTION", "signed")],
            "with SESSION_PROTECTION=signed only a token in the format `signed` is read",
        ),
        (
            "a removal",
            "Set-Cookie: __Host-session=; Path=/; Max-Age=0".into(),
            &[],
            "it is empty, as in the line that removes a cookie",
        ),
    ];
    for (name, text, variables, rule) in rows {
        let ran = inspect(&text, variables, &[]);
        assert_eq!((ran.code, field(&ran, "verdict")), (1, format!("refused: {rule}")), "{name}");
    }
}

/// With a server-side store the cookie only names the session, and nothing else is read.
#[test]
fn a_reference_is_good_where_the_store_keeps_the_data() {
    let sealed = Sealed::default();
    let stores = if cfg!(feature = "memcached") { &["memory", "memcached"][..] } else { &["memory"] };
    for store in stores {
        let ran = inspect(&sealed.reference(), &[("SESSION_STORE", store)], &[]);
        assert_eq!((ran.code, field(&ran, "format").as_str()), (0, "reference"), "{store}: {ran:?}");
        assert_eq!(field(&ran, "data"), "kept by the function; the cookie only names it");
        let ran = inspect(&sealed.encrypted(), &[("SESSION_STORE", store)], &[]);
        let rule = format!("refused: with SESSION_STORE={store} only a token in the format `reference` is read");
        assert_eq!((ran.code, field(&ran, "verdict")), (1, rule));
    }
}

#[test]
fn the_functions_own_settings_are_read() {
    let rows: Vec<(&str, Sealed<'_>, Variables<'_>)> = vec![
        ("the name", Sealed { name: "sid", ..Sealed::default() }, &[("SESSION_NAME", "sid")]),
        ("the scope", Sealed { scope: "shop", ..Sealed::default() }, &[("SESSION_SCOPE", "shop")]),
        ("the idle time", Sealed { issued: Duration::from_secs(0), ..Sealed::default() }, &[("SESSION_IDLE", "30s")]),
        ("the default name", Sealed { name: "session", ..Sealed::default() }, &[("SESSION_SECURE", "off")]),
    ];
    for (name, sealed, variables) in rows {
        let ran = inspect(&sealed.encrypted(), variables, &[]);
        assert_eq!(ran.code, 0, "{name}: {ran:?}");
    }
}

#[test]
fn an_old_secret_is_told_from_todays() {
    let ran = inspect(
        &Sealed::default().encrypted(),
        &[("SECRET_KEY_BASE", OTHER_SECRET), ("SECRET_KEY_BASE_OLD", SECRET)],
        &[],
    );
    assert_eq!((ran.code, field(&ran, "key id").as_str()), (0, "a277, of old secret 1 of 1"));
}

#[test]
fn our_cookie_is_found_in_a_line() {
    let token = Sealed::default().encrypted();
    for text in [
        format!("Cookie: theme=dark; __Host-session={token}; __Host-sessions=x\r\n"),
        format!("theme=dark; __Host-session={token}"),
        format!("set-cookie: __Host-session={token}; Path=/; Secure; HttpOnly; SameSite=Lax"),
        format!("HTTP/2 200\nset-cookie: theme=dark\nset-cookie: __Host-session={token}; Path=/\n\n{{}}\n"),
    ] {
        assert_eq!(inspect(&text, &[], &[]).code, 0, "{text}");
    }
    let ran = inspect("Cookie: theme=dark; lang=de", &[], &[]);
    let error = "lambda-session: there is no cookie called __Host-session there, only theme, lang; SESSION_NAME says which one is ours\n";
    assert_eq!((ran.code, ran.err.as_str()), (2, error));
}

#[test]
fn two_good_cookies_contradict_each_other() {
    let (one, two) = (Sealed::default().encrypted(), Sealed::default().encrypted());
    let ran = inspect(&format!("Cookie: __Host-session={one}; __Host-session={two}"), &[], &[]);
    assert_eq!(ran.code, 1);
    assert_eq!(field(&ran, "verdict"), "refused: 2 different cookies of this name are good, so none is believed");
    let ran = inspect(&format!("Cookie: __Host-session={one}; __Host-session=AaJ3AAAA"), &[], &[]);
    assert_eq!(ran.code, 0, "one that is good and one that is not: {ran:?}");
}

/// CL4: without a secret the end is 3, and what can be said is said.
#[test]
fn without_a_secret_format_and_size_are_told() {
    let token = Sealed::default().encrypted();
    let ran = Place::new().run_with(&token, &[], &["inspect", "--reveal"]);
    assert_eq!((ran.code, field(&ran, "format").as_str(), field(&ran, "key id").as_str()), (3, "encrypted", "a277"));
    assert!(field(&ran, "size").ends_with("of 4096 bytes, name and value"));
    assert!(ran.err.contains("SECRET_KEY_BASE is not set") && ran.err.contains("lambda-session secret"), "{ran:?}");
    assert!(!ran.out.contains("alice"));
}

/// CL3: no control and no bidirectional character of a cookie or a payload reaches the terminal.
#[test]
fn a_cookie_cannot_play_with_the_terminal() {
    let payload = "{\"k\u{202e}ey\":\"\u{2066}v\u{200b}\u{9b}31m\",\"esc\":\"\\u001b[31m\"}";
    let token = Sealed { payload, ..Sealed::default() }.encrypted();
    let texts = [token, "\u{1b}]0;title\u{7}\u{202e}".into(), "Cookie: a\u{1b}[31m=1; \u{202e}b=2".into()];
    for text in texts {
        let ran = inspect(&text, &[], &["--reveal"]);
        let is_treacherous = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{2066}\u{200b}".contains(c);
        assert!(!ran.out.chars().chain(ran.err.chars()).any(is_treacherous), "{ran:?}");
    }
}

#[test]
fn too_much_input_is_refused() {
    let ran = inspect(&"x".repeat(64 * 1024 + 1), &[], &[]);
    assert_eq!((ran.code, ran.err.as_str()), (2, "lambda-session: standard input has more than 65536 bytes\n"));
}
