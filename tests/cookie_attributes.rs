//! The cookie on the wire: how it is set, removed and read (security.md, CA1 to CA14).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects
)]

mod support;

use std::time::Duration;

use http::{Request, header};
use lambda_session::cookie::{Candidates, CookieOptionsBuilder};
use lambda_session::store::{CookieStore, MemoryStore, Store};
use lambda_session::{CookieOptions, ErrorKind, Lifetime, SameSite};
use proptest::prelude::*;
use support::*;
use tower::ServiceExt;

const DAY: u64 = 86_400;

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn app_with(options: CookieOptions) -> App {
    scripted(layer(MemoryStore::with_keyring(keyring(&[0]))).cookie(options))
}

/// One combination of what can be set.
#[derive(Clone, Copy, Debug)]
struct Row {
    name: Option<&'static str>,
    domain: Option<&'static str>,
    path: &'static str,
    secure: bool,
    same_site: SameSite,
    partitioned: bool,
}

impl Row {
    fn all() -> Vec<Self> {
        let names = [
            None,
            Some("s"),
            Some("__Secure-s"),
            Some("__Host-s"),
            Some("__Http-s"),
            Some("__Host-Http-s"),
            Some("__hOST-s"),
            Some("__SECURE-s"),
        ];
        let mut rows = Vec::new();
        for name in names {
            for domain in [None, Some("example.com")] {
                for path in ["/", "/app"] {
                    for secure in [true, false] {
                        for same_site in [SameSite::Lax, SameSite::Strict, SameSite::None] {
                            for partitioned in [false, true] {
                                rows.push(Self { name, domain, path, secure, same_site, partitioned });
                            }
                        }
                    }
                }
            }
        }
        rows
    }

    fn builder(&self) -> CookieOptionsBuilder {
        let mut builder = CookieOptions::builder().path(self.path).same_site(self.same_site);
        if let Some(name) = self.name {
            builder = builder.name(name);
        }
        if let Some(domain) = self.domain {
            builder = builder.domain(domain);
        }
        if !self.secure {
            builder = builder.insecure_for_local_development();
        }
        if self.partitioned {
            builder = builder.partitioned();
        }
        builder
    }

    /// The name that goes out; the rules of RFC 6265bis, sections 4.1.3 and 5.6, and of CHIPS.
    fn accepted(&self) -> Option<&'static str> {
        let name = self.name.unwrap_or(match (self.secure, self.domain, self.path) {
            (false, ..) => "session",
            (true, None, "/") => "__Host-session",
            _ => "__Secure-session",
        });
        let prefix = name.to_ascii_lowercase();
        let host = prefix.starts_with("__host-") && (self.domain.is_some() || self.path != "/");
        let insecure =
            !self.secure && (prefix.starts_with("__") || self.partitioned || self.same_site == SameSite::None);
        (!host && !insecure).then_some(name)
    }

    /// The attributes as they stand on the line, but for Max-Age and Expires.
    fn attributes(&self) -> String {
        let mut line = format!("; HttpOnly; SameSite={}", self.same_site);
        if self.partitioned {
            line += "; Partitioned";
        }
        if self.secure {
            line += "; Secure";
        }
        line += &format!("; Path={}", self.path);
        if let Some(domain) = self.domain {
            line += &format!("; Domain={domain}");
        }
        line
    }
}

/// CA1, CA4, CA14: every combination of prefix and attributes is either refused when it is built, or goes out exactly
/// as it was asked for; and the line that removes it repeats everything.
#[tokio::test]
async fn every_combination_is_refused_or_goes_out_whole() {
    let (mut good, mut bad) = (0, 0);
    for row in Row::all() {
        let (built, accepted) = (row.builder().build(), row.accepted());
        let (Ok(options), Some(name)) = (&built, accepted) else {
            let error = built.expect_err(&format!("{row:?}"));
            assert_eq!((error.kind(), accepted), (ErrorKind::Config, None), "{row:?}");
            bad += 1;
            continue;
        };
        assert_eq!(options.name(), name, "{row:?}");
        let app = app_with(options.clone());
        let set = send(&app, "/set-a=1", &[]).await;
        let token = set.token().unwrap();
        assert_eq!(set.set_cookies(), [format!("{name}={token}{}", row.attributes())], "{row:?}");
        let removed = send(&app, "/destroy", &[format!("{name}={token}").as_bytes()]).await;
        let over = "; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
        assert_eq!(removed.set_cookies(), [format!("{name}={}{over}", row.attributes())], "{row:?}");
        good += 1;
    }
    assert_eq!((good, bad), (154, 230));
}

/// CA1: what nobody set is as strict as a browser allows.
#[tokio::test]
async fn the_default_cookie_is_the_strict_one() {
    let answer = send(&app(CookieStore::signed(keyring(&[0]))), "/set-a=1", &[]).await;
    let token = answer.token().unwrap();
    assert_eq!(answer.set_cookies(), [format!("__Host-session={token}; HttpOnly; SameSite=Lax; Secure; Path=/")]);
}

/// CA1, CA3, CA13, CA14: each refusal says what to change.
#[test]
fn a_refusal_says_what_to_change() {
    let builder = CookieOptions::builder;
    for (options, message) in [
        (
            builder().name("__Host-s").domain("a.de"),
            "cookie __Host-s cannot have a domain: drop the domain, or call it __Secure-s",
        ),
        (
            builder().name("__Host-s").path("/a"),
            "cookie __Host-s cannot have a path other than /: drop the path, or call it __Secure-s",
        ),
        (
            builder().name("__Host-s").insecure_for_local_development(),
            "cookie __Host-s must be Secure: drop the insecure setting, or call it s",
        ),
        (
            builder().name("__Secure-s").insecure_for_local_development(),
            "cookie __Secure-s must be Secure: drop the insecure setting, or call it s",
        ),
        (
            builder().same_site(SameSite::None).insecure_for_local_development(),
            "SameSite=None needs Secure: browsers drop the cookie otherwise; drop SameSite=None, or the insecure setting",
        ),
        (
            builder().partitioned().insecure_for_local_development(),
            "Partitioned needs Secure: browsers drop the cookie otherwise; drop Partitioned, or the insecure setting",
        ),
        (builder().name(""), "\"\" is no cookie name: use 1 to 256 letters, digits and !#$%&'*+-.^_`|~"),
        (builder().name("a b"), "\"a b\" is no cookie name: use 1 to 256 letters, digits and !#$%&'*+-.^_`|~"),
        (builder().name("a\r\nb"), "\"a\\r\\nb\" is no cookie name: use 1 to 256 letters, digits and !#$%&'*+-.^_`|~"),
        (builder().name("é"), "\"é\" is no cookie name: use 1 to 256 letters, digits and !#$%&'*+-.^_`|~"),
        (
            builder().domain("https://a.de"),
            "\"https://a.de\" is no domain for a cookie: give a host name such as example.com, without scheme, port or path",
        ),
        (
            builder().path("a"),
            "\"a\" is no path for a cookie: begin with /, use visible ASCII without a semicolon, up to 1024 bytes",
        ),
        (
            builder().path("/;x"),
            "\"/;x\" is no path for a cookie: begin with /, use visible ASCII without a semicolon, up to 1024 bytes",
        ),
        (
            builder().expire_after(Duration::from_secs(400 * DAY + 1)),
            "a cookie lives at most 400 days (34560000 s), not 34560001 s",
        ),
        (
            builder().expire_after(Duration::MAX),
            "a cookie lives at most 400 days (34560000 s), not 18446744073709551615 s",
        ),
        (
            builder().expire_after(Duration::ZERO),
            "a cookie lives at least 1 s: leave expire_after unset for one that ends with the browser",
        ),
    ] {
        assert_eq!(options.build().unwrap_err().to_string(), message);
    }
}

/// CA2: attribute values of 1,024 bytes and names of 256 are the longest.
#[test]
fn names_and_attributes_are_bounded() {
    let builder = CookieOptions::builder;
    let label = "a".repeat(63);
    let domain = |last: usize| format!("{label}.{label}.{label}.{}", "a".repeat(last));
    for (name, options, good) in [
        ("a path of 1,024", builder().path(format!("/{}", "a".repeat(1023))), true),
        ("a path of 1,025", builder().path(format!("/{}", "a".repeat(1024))), false),
        ("a domain of 253", builder().domain(domain(61)), true),
        ("a domain of 254", builder().domain(domain(62)), false),
        ("a name of 256", builder().name("n".repeat(256)), true),
        ("a name of 257", builder().name("n".repeat(257)), false),
    ] {
        assert_eq!(options.build().is_ok(), good, "{name}");
    }
}

/// CA2, F19: name and value have 4,096 bytes together; over that the application answers 500, sends no cookie, and the
/// browser's old cookie stays good.
#[tokio::test]
async fn name_and_value_have_4096_bytes() {
    // `/big-N` holds {"big":"xxx…"}: N + 10 bytes of payload, 28 more of token, then base64.
    let token_size = |big: usize| ((big + 10 + 28) * 4).div_ceil(3);
    for (size, fits) in [(4_095, true), (4_096, true), (4_097, false), (4_098, false)] {
        let big = 3_000;
        let name = "n".repeat(size - token_size(big));
        let options = CookieOptions::builder().name(&name).build().unwrap();
        let app = scripted(layer(CookieStore::signed(keyring(&[0]))).cookie(options));
        let mut browser = Browser::new(app);
        browser.visit("/set-a=1").await;
        // The first session's key goes, so that the size is the one computed above.
        let answer = browser.visit(&format!("/remove-a/big-{big}")).await;
        if fits {
            assert_eq!((answer.status, name.len() + answer.token().unwrap().len()), (200, size));
        } else {
            assert_eq!(answer, refusal(500), "{size}");
            assert_eq!(browser.visit("/read").await.body, r#"{"a":"1"}"#, "{size}: the old cookie is still good");
        }
    }
}

/// CA2, F19: the error names the bytes, the limit and the largest keys, and no value.
#[test]
fn a_session_that_is_too_large_names_its_largest_keys() {
    let long = "k".repeat(100);
    let payload = format!(
        r#"{{"a":1,"basket":"{}","history":"{}","{long}":"{}"}}"#,
        "secret".repeat(300),
        "secret".repeat(200),
        "s".repeat(100),
    );
    let store = CookieStore::signed(keyring(&[0]));
    let error = ready(store.create(&record(&payload), &call())).unwrap_err();
    let size = NAME.len() + ((payload.len() + 28) * 4).div_ceil(3);
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(
        format!("{error:?}"),
        format!(
            "session of {size} bytes does not fit a cookie of 4096 bytes (name and value); \
             largest keys: \"basket\" 1808 bytes, \"history\" 1209 bytes, \"{}…\" 202 bytes",
            "k".repeat(64)
        )
    );
}

/// CA3: Max-Age is the smaller of what was set and what is left of the absolute lifetime, from 1 s to 400 days.
#[tokio::test]
async fn max_age_never_outlives_the_session() {
    let days = |days: u64| Duration::from_secs(days * DAY);
    let seconds = Duration::from_secs;
    for (name, expire_after, absolute, spent, max_age) in [
        ("unset", None, days(1), 0, None),
        ("shorter than the session", Some(days(1)), days(30), 0, Some(DAY)),
        ("longer than the session", Some(days(30)), days(1), 0, Some(DAY)),
        ("what is left", Some(days(1)), days(1), 3_600, Some(DAY - 3_600)),
        ("the last second", Some(days(1)), seconds(3_600), 3_599, Some(1)),
        ("400 days", Some(days(400)), days(400), 0, Some(34_560_000)),
        ("a fraction is cut", Some(Duration::from_millis(1_999)), days(1), 0, Some(1)),
    ] {
        set_clock(START);
        let mut options = CookieOptions::builder();
        if let Some(length) = expire_after {
            options = options.expire_after(length);
        }
        let lifetime = Lifetime::new(absolute, absolute).unwrap();
        let app =
            scripted(layer(CookieStore::signed(keyring(&[0]))).cookie(options.build().unwrap()).lifetime(lifetime));
        let first = send(&app, "/set-a=1", &[]).await;
        let token = first.token().unwrap();
        advance(spent);
        let answer = send(&app, "/set-b=1", &[cookie(&token).as_bytes()]).await;
        let token = answer.token().unwrap();
        let end = max_age.map(|age| format!("; Max-Age={age}")).unwrap_or_default();
        let expected = format!("{NAME}={token}; HttpOnly; SameSite=Lax; Secure; Path=/{end}");
        assert_eq!(answer.set_cookies(), [expected], "{name}");
    }
}

/// CA5: whatever the handler set itself, one line of our name goes out at most, and ours where we set one. Its other
/// cookies all leave.
#[tokio::test]
async fn never_two_lines_of_our_name() {
    let app = app(MemoryStore::with_keyring(keyring(&[0])));
    let known = send(&app, "/set-a=1", &[]).await.token().unwrap();
    for (deed, ours) in [
        ("/untouched", false),
        ("/read", false),
        ("/set-b=2", true),
        ("/renew", true),
        ("/destroy", true),
        ("/set-b=3/status-500", false),
        ("/status-500", false),
    ] {
        for own in 0..3 {
            let lines = format!("/cookie-a=1{}/cookie-b=2", format!("/cookie-{NAME}=theirs{own}").repeat(own));
            let known = match deed {
                "/set-b=2" | "/renew" | "/destroy" => send(&app, "/set-a=1", &[]).await.token().unwrap(),
                _ => known.clone(),
            };
            let answer = send(&app, &format!("{lines}{deed}"), &[cookie(&known).as_bytes()]).await;
            let lines = answer.set_cookies();
            let (named, others): (Vec<&str>, Vec<&str>) =
                lines.iter().copied().partition(|line| line.starts_with(NAME));
            assert_eq!(others, ["a=1", "b=2"], "{deed}, {own} of its own");
            assert_eq!(named.len(), usize::from(ours || own > 0), "{deed}, {own} of its own");
            if ours {
                assert!(!lines[0].contains("theirs") && lines[0].starts_with(NAME), "{deed}: ours comes first");
            }
        }
    }
}

/// CA5: names are compared as browsers compare them, and a neighbour's is not ours.
#[tokio::test]
async fn a_neighbour_s_set_cookie_is_left_alone() {
    let app = app(MemoryStore::with_keyring(keyring(&[0])));
    let answer =
        send(&app, "/cookie-__Host-session2=a/cookie-__host-session=b/cookie-x__Host-session=c/set-a=1", &[]).await;
    let lines = answer.set_cookies();
    assert_eq!(lines[1..], ["__Host-session2=a", "__host-session=b", "x__Host-session=c"]);
}

/// CA6: a thousand reads in a minute set nothing.
#[tokio::test]
async fn a_thousand_reads_in_a_minute_set_nothing() {
    for (name, store) in Any::all(&[0]) {
        set_clock(START);
        let store = CountingStore::new(store);
        let mut browser = Browser::new(app(store.clone()));
        browser.visit("/set-a=1").await;
        store.calls();
        for visit in 0..1_000 {
            set_clock(START + visit * 60 / 1_000);
            assert_eq!(browser.visit("/read").await.sets(), Sets::Nothing, "{name}, visit {visit}");
        }
        assert_eq!(store.calls(), Calls { loads: 1_000, ..Calls::default() }, "{name}");
    }
}

/// CA6: a session that is only read is written again past a tenth of its idle time, once, and so never idles out while
/// it is used.
#[tokio::test]
async fn a_session_is_rewritten_past_a_tenth_of_its_idle_time() {
    for (name, store) in Any::all(&[0]) {
        set_clock(START);
        let mut browser = Browser::new(app(store));
        browser.visit("/set-a=1").await;
        let at = |after: u64| set_clock(START + after);
        for (after, sets) in [
            (180, Sets::Nothing),
            (181, Sets::Cookie),
            (182, Sets::Nothing),
            (181 + 180, Sets::Nothing),
            (181 + 181, Sets::Cookie),
            (181 + 181 + 1_799, Sets::Cookie),
            (181 + 181 + 1_799 + 1_799, Sets::Cookie),
        ] {
            at(after);
            let answer = browser.visit("/read").await;
            assert_eq!((answer.body.as_str(), answer.sets()), (r#"{"a":"1"}"#, sets), "{name}, after {after} s");
        }
        advance(1_800);
        assert_eq!(browser.visit("/read").await.body, "{}", "{name}: idle");
    }
}

/// CA6: `Vary: Cookie` where the session was read, added to the handler's; `Cache-Control: no-store` where a cookie is
/// set, in the place of the handler's unless that is as strict.
#[tokio::test]
async fn caches_are_told() {
    let app = app(MemoryStore::with_keyring(keyring(&[0])));
    let known = send(&app, "/set-a=1", &[]).await.token().unwrap();
    for (deeds, vary, cache) in [
        ("/untouched", vec![], vec![]),
        ("/untouched/header-cache-control=max-age=60", vec![], vec!["max-age=60"]),
        ("/read", vec!["Cookie"], vec![]),
        ("/read/header-cache-control=max-age=60", vec!["Cookie"], vec!["max-age=60"]),
        ("/read/header-vary=Accept", vec!["Accept", "Cookie"], vec![]),
        ("/read/header-vary=Accept, cookie", vec!["Accept, cookie"], vec![]),
        ("/read/header-vary=*", vec!["*"], vec![]),
        ("/read/header-vary=Cookies", vec!["Cookies", "Cookie"], vec![]),
        ("/read/status-404", vec!["Cookie"], vec![]),
        ("/read/status-500", vec!["Cookie"], vec![]),
        ("/set-a=2", vec!["Cookie"], vec!["no-store"]),
        ("/set-a=3/header-cache-control=public, max-age=60", vec!["Cookie"], vec!["no-store"]),
        ("/set-a=4/header-cache-control=public/header-cache-control=max-age=60", vec!["Cookie"], vec!["no-store"]),
        ("/set-a=5/header-cache-control=private, max-age=60", vec!["Cookie"], vec!["private, max-age=60"]),
        ("/set-a=6/header-cache-control=No-Store", vec!["Cookie"], vec!["No-Store"]),
        ("/set-a=7/header-cache-control=max-age=60, no-store", vec!["Cookie"], vec!["max-age=60, no-store"]),
        ("/set-a=8/header-cache-control=no-cache", vec!["Cookie"], vec!["no-store"]),
        ("/set-a=9/status-500", vec!["Cookie"], vec![]),
        ("/destroy", vec!["Cookie"], vec!["no-store"]),
    ] {
        let uri = deeds.replace(' ', "");
        let answer = send(&app, &uri, &[cookie(&known).as_bytes()]).await;
        let unspaced = |lines: Vec<&str>| lines.iter().map(|line| line.replace(' ', "")).collect::<Vec<_>>();
        assert_eq!(unspaced(answer.header("vary")), unspaced(vary), "{deeds}");
        assert_eq!(unspaced(answer.header("cache-control")), unspaced(cache), "{deeds}");
    }
}

/// The reader again, in the words of RFC 6265bis and security.md CA7, without a thought for speed.
fn reference(lines: &[Vec<u8>], name: &str) -> (Vec<String>, bool) {
    let (mut tokens, mut carried) = (Vec::<String>::new(), false);
    for pair in lines.iter().flat_map(|line| line.split(|byte| *byte == b';')) {
        let Some(equals) = pair.iter().position(|byte| *byte == b'=') else { continue };
        let blank = |text: &[u8]| String::from_utf8_lossy(text).trim_matches([' ', '\t']).as_bytes().to_vec();
        if blank(&pair[..equals]) != name.as_bytes() {
            continue;
        }
        carried = true;
        let value = String::from_utf8(blank(&pair[equals + 1..])).unwrap();
        let legal = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if legal && (1..=4096).contains(&value.len()) && !tokens.contains(&value) && tokens.len() < 4 {
            tokens.push(value);
        }
    }
    (tokens, carried)
}

fn read(lines: &[&[u8]], name: &str) -> (Vec<String>, bool) {
    let found = Candidates::of(&cookie_headers(lines), name);
    (found.tokens.iter().map(|token| token.as_str().to_owned()).collect(), found.carried)
}

proptest! {
    #![proptest_config(cases(2_000))]

    /// CA7: the reader agrees with the reference on whatever comes.
    #[test]
    fn the_reader_agrees_with_the_reference(lines in prop::collection::vec(line(), 0..4)) {
        let borrowed: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        prop_assert_eq!(read(&borrowed, "__Host-s"), reference(&lines, "__Host-s"));
    }
}

/// Cookie lines full of what could be mistaken for ours; every byte that a header value may have.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "__Host-s", "__Host-s=", "=", ";", "; ", " ", "\t", "AA", "BB", "CC", "DD", "EE", "a=b", "\"", "__%48ost-s",
            "__host-s", "$Version=1", ",", "\u{a0}", "\u{85}", "\u{2003}", "=AA", "x__Host-s", "__Host-s2",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec((b' '..=255).prop_filter("legal in a header", |byte| *byte != 0x7f), 0..6),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// CA7: byte for byte: what other readers forgive is not our cookie.
#[test]
fn a_name_is_ours_if_its_bytes_are_ours() {
    for (line, tokens, carried) in [
        ("__Host-s=AA", vec!["AA"], true),
        ("a=1;__Host-s=AA;b=2", vec!["AA"], true),
        (" \t__Host-s \t= \tAA\t ; b", vec!["AA"], true),
        ("__Host-s=AA==", vec![], true),
        ("__Host-s==AA", vec![], true),
        ("__Host-s=\"AA\"", vec![], true),
        ("__Host-s=A A", vec![], true),
        ("__Host-s=", vec![], true),
        ("__Host-s", vec![], false),
        ("=__Host-s=AA", vec![], false),
        ("__%48ost-s=AA", vec![], false),
        ("__host-s=AA", vec![], false),
        ("__HOST-S=AA", vec![], false),
        ("\"__Host-s\"=AA", vec![], false),
        ("x=1, __Host-s=AA", vec![], false),
        ("__Host-s2=AA", vec![], false),
        ("_Host-s=AA", vec![], false),
        ("\u{a0}__Host-s=AA", vec![], false),
        ("\u{2003}__Host-s=AA", vec![], false),
        ("\u{85}__Host-s=AA", vec![], false),
        ("__Host-s=%41%41", vec![], true),
        ("$Version=1; __Host-s=AA; $Path=/", vec!["AA"], true),
    ] {
        let tokens: Vec<String> = tokens.into_iter().map(Into::into).collect();
        assert_eq!(read(&[line.as_bytes()], "__Host-s"), (tokens, carried), "{line:?}");
    }
}

/// CA8: several `Cookie` lines, and HTTP/2's crumbs, are one.
#[tokio::test]
async fn our_cookie_is_found_on_any_line() {
    let app = app(MemoryStore::with_keyring(keyring(&[0])));
    let ours = cookie(&send(&app, "/set-a=1", &[]).await.token().unwrap());
    for lines in [
        vec![ours.as_str()],
        vec![ours.as_str(), "b=2"],
        vec!["a=1", ours.as_str()],
        vec!["a=1", "b=2", ours.as_str(), "c=3"],
    ] {
        let bytes: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
        assert_eq!(send(&app, "/read", &bytes).await.body, r#"{"a":"1"}"#, "{lines:?}");
    }
}

/// CA9: of several cookies of our name the one that is authentic counts; two different ones count as none, whichever
/// came first.
#[tokio::test]
async fn duplicates_are_never_resolved_by_their_order() {
    for (name, store) in Any::all(&[0]) {
        set_clock(START);
        let app = app(store);
        let (one, two) = (
            send(&app, "/set-a=one", &[]).await.token().unwrap(),
            send(&app, "/set-a=two", &[]).await.token().unwrap(),
        );
        set_clock(START - 7_200);
        let over = send(&app, "/set-a=over", &[]).await.token().unwrap();
        set_clock(START);
        let (one, two, over) = (one.as_str(), two.as_str(), over.as_str());
        let (alice, nobody) = (r#"{"a":"one"}"#, "{}");
        for (what, values, body) in [
            ("one", vec![one], alice),
            ("twice the same", vec![one, one], alice),
            ("with junk before", vec!["AAAA", "BBBB", "CCCC", one], alice),
            ("with junk behind", vec![one, "AAAA", "BBBB", "CCCC", "DDDD"], alice),
            ("with what is no token", vec!["=", "\"\"", "", "%", "ü", " ", one], alice),
            ("beyond the fourth", vec!["AAAA", "BBBB", "CCCC", "DDDD", one], nobody),
            ("with one that is over", vec![over, one], alice),
            ("with one that is over, behind", vec![one, over], alice),
            ("two", vec![one, two], nobody),
            ("two, the other way", vec![two, one], nobody),
            ("two and the first again", vec![one, two, one], nobody),
            ("two with junk between", vec![one, "AAAA", "BBBB", two], nobody),
        ] {
            let line: Vec<String> = values.iter().map(|value| cookie(value)).collect();
            let answer = send(&app, "/read", &[line.join("; ").as_bytes()]).await;
            assert_eq!((answer.body.as_str(), answer.sets()), (body, Sets::Nothing), "{name}: {what}");
        }
    }
}

/// CA3: the clock's fractions cost no second of Max-Age.
#[tokio::test]
async fn max_age_is_whole_also_between_two_seconds() {
    fn clock() -> std::time::SystemTime {
        std::time::SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_369_800_900)
    }
    let day = Duration::from_secs(86_400);
    let options = CookieOptions::builder().expire_after(day).build().unwrap();
    let layer = layer::<lambda_session::Values>(MemoryStore::new().unwrap())
        .clock(clock)
        .cookie(options)
        .lifetime(Lifetime::new(day, day).unwrap());
    let answer = send(&scripted(layer), "/set-a=1", &[]).await;
    let line = answer.headers.iter().find(|(name, _)| name == "set-cookie").map(|(_, line)| line.clone()).unwrap();
    assert!(line.ends_with("; Max-Age=86400"), "{line}");
}

/// CA9: with two authentic cookies a warning is logged, once a minute; a write begins afresh, a logout ends both.
#[tokio::test]
async fn two_authentic_cookies_are_warned_about_and_both_end_with_a_logout() {
    let memory = MemoryStore::with_keyring(keyring(&[0]));
    let app = app(memory.clone());
    let tokens =
        [send(&app, "/set-a=one", &[]).await.token().unwrap(), send(&app, "/set-a=two", &[]).await.token().unwrap()];
    let both = format!("{}; {}", cookie(&tokens[0]), cookie(&tokens[1]));
    let (log, guard) = Log::capture();
    for _ in 0..3 {
        send(&app, "/read", &[both.as_bytes()]).await;
    }
    advance(60);
    send(&app, "/read", &[both.as_bytes()]).await;
    drop(guard);
    let warnings = log.lines_with("WARN");
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].ends_with(
        "a request carried two different sessions in cookies named __Host-session: it counts as having none; another \
         host or path of this domain sets the same name, or the domain or path was changed and the name was not"
    ));

    let fresh = send(&app, "/set-b=1", &[both.as_bytes()]).await;
    assert_eq!((fresh.body.as_str(), fresh.sets(), memory.len()), (r#"{"b":"1"}"#, Sets::Cookie, 3));
    assert_eq!(send(&app, "/destroy", &[both.as_bytes()]).await.sets(), Sets::Removal);
    assert_eq!(memory.len(), 1);
    for token in tokens {
        assert_eq!(send(&app, "/read", &[cookie(&token).as_bytes()]).await.body, "{}");
    }
}

/// CA10: a neighbour's cookie, however strange, does not disturb ours.
#[tokio::test]
async fn foreign_cookies_cannot_disturb_ours() {
    for (name, store) in Any::all(&[0]) {
        let app = app(store);
        let ours = cookie(&send(&app, "/set-a=1", &[]).await.token().unwrap());
        let huge = format!("huge={}", "x".repeat(1_000_000));
        let many = (0..3_000).map(|i| format!("c{i}={i}")).collect::<Vec<_>>().join("; ");
        let all_bytes: Vec<u8> = (b' '..=255).filter(|byte| *byte != 0x7f && *byte != b';').collect();
        for (what, foreign) in [
            ("non-ASCII", "ключ=значение".as_bytes()),
            ("Latin-1", b"n\xe4me=w\xe9rt"),
            ("no UTF-8", b"\xff\xfe=\x80"),
            ("every byte", &all_bytes),
            ("no equals sign", b"lonely"),
            ("nothing", b""),
            ("semicolons", b";;;;"),
            ("an open quote", b"q=\"open"),
            ("a comma", b"a=b, c=d"),
            ("a megabyte", huge.as_bytes()),
            ("3,000 cookies", many.as_bytes()),
        ] {
            for line in [[foreign, b"; ", ours.as_bytes()].concat(), [ours.as_bytes(), b"; ", foreign].concat()] {
                assert_eq!(send(&app, "/read", &[&line]).await.body, r#"{"a":"1"}"#, "{name}: {what}");
            }
        }
    }
}

/// CA11: a cookie of our name above the size of any token is refused on its length: no store is asked.
#[tokio::test]
async fn what_cannot_be_a_token_costs_no_store_call() {
    let store = CountingStore::new(MemoryStore::with_keyring(keyring(&[0])));
    let app = app(store.clone());
    for value in ["A".repeat(1_000_000), "A".repeat(4_097), "A A".into(), "é".into(), String::new()] {
        assert_eq!(send(&app, "/read", &[cookie(&value).as_bytes()]).await.body, "{}");
    }
    assert_eq!(store.calls(), Calls::default());
}

/// CA12: a session comes from a cookie or not at all.
#[tokio::test]
async fn a_session_is_accepted_from_cookies_only() {
    for (name, store) in Any::all(&[0]) {
        let app = app(store);
        let token = send(&app, "/set-a=1", &[]).await.token().unwrap();
        let mut request = Request::builder()
            .uri(format!("/read?{NAME}={token}&session={token}"))
            .header("authorization", format!("Bearer {token}"))
            .header("x-session", &token)
            .header("cookie2", cookie(&token))
            .header("set-cookie", cookie(&token))
            .header("x-cookie", cookie(&token))
            .body(cookie(&token))
            .unwrap();
        let answer = Answer::of(app.clone().oneshot(request.clone()).await.unwrap());
        assert_eq!((answer.body.as_str(), answer.sets()), ("{}", Sets::Nothing), "{name}");
        request.headers_mut().insert(header::COOKIE, cookie(&token).parse().unwrap());
        assert_eq!(Answer::of(app.oneshot(request).await.unwrap()).body, r#"{"a":"1"}"#, "{name}");
    }
}

proptest! {
    #![proptest_config(cases(500))]

    /// CA13: any strings as name, domain and path are refused, or go out as a line that reads back as what was set.
    #[test]
    fn whatever_is_configured_is_refused_or_reads_back(
        name in text("[A-Za-z0-9_!#$-]{1,12}"), domain in prop::option::of(text("\\.?[a-z0-9-]{1,6}(\\.[a-z]{1,4}){0,2}")),
        path in prop::option::of(text("/[ -~]{0,12}")), age in prop::option::of(any::<u64>()),
    ) {
        let mut builder = CookieOptions::builder().name(&name);
        if let Some(domain) = &domain {
            builder = builder.domain(domain);
        }
        if let Some(path) = &path {
            builder = builder.path(path);
        }
        if let Some(age) = age {
            builder = builder.expire_after(Duration::from_secs(age));
        }
        let Ok(options) = builder.build() else { return Ok(()) };
        let answer = ready(send(&app_with(options), "/set-a=1", &[]));
        let line = answer.set_cookies()[0];
        let token = answer.token().unwrap();
        prop_assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        let parts: Vec<&str> = line.split("; ").collect();
        let mut expected = vec![format!("{name}={token}"), "HttpOnly".into(), "SameSite=Lax".into(), "Secure".into()];
        expected.push(format!("Path={}", path.as_deref().unwrap_or("/")));
        expected.extend(domain.map(|domain| format!("Domain={}", domain.strip_prefix('.').unwrap_or(&domain))));
        expected.extend(age.map(|age| format!("Max-Age={}", age.min(12 * 3_600))));
        prop_assert_eq!(parts, expected);
    }
}

/// Mostly what could pass, sometimes anything.
fn text(likely: &'static str) -> impl Strategy<Value = String> {
    prop_oneof![4 => likely.prop_map(|text| text), 1 => "\\PC{0,12}", 1 => any::<String>()]
}
