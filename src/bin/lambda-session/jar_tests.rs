//! What a browser keeps and sends, row by row.

use super::*;

const NOW: i64 = 1_795_370_400;

fn origin(url: &str) -> Origin {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    Origin { host: host.into(), path: format!("/{path}"), secure: scheme == "https" || is_loopback(host) }
}

fn take(jar: &mut Jar, line: &str, url: &str) -> Verdict {
    match SetCookie::parse(line, NOW) {
        Ok(cookie) => jar.take(cookie, &origin(url), NOW),
        Err(reason) => Verdict::Refused(reason),
    }
}

fn sent(jar: &Jar, url: &str, now: i64) -> String {
    let pairs: Vec<_> =
        jar.cookies_for(&origin(url), now).iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
    pairs.join("; ")
}

#[test]
fn a_browser_keeps_or_refuses_a_cookie() {
    let shop = "https://shop.example/posts/new";
    let plain = "http://shop.example/";
    let function = "https://abc.lambda-url.eu-west-1.on.aws/";
    let gateway = "https://abc.execute-api.eu-west-1.amazonaws.com/";
    let balancer = "http://shop-1.eu-west-1.elb.amazonaws.com/";
    let refused = Verdict::Refused;
    let host_wants = refused("__Host- wants Path=/ and no Domain");
    let too_long = format!("a={}; Path=/", "v".repeat(4096));
    let fits = format!("a={}; Path=/", "v".repeat(4095));
    let rows = [
        ("plain", "a=1", shop, Verdict::Kept),
        ("host prefix", "__Host-a=1; Path=/; Secure", shop, Verdict::Kept),
        ("host prefix on this machine", "__Host-a=1; Path=/; Secure", "http://localhost/", Verdict::Kept),
        ("host prefix by address", "__Host-a=1; Path=/; Secure", "http://127.0.0.1/", Verdict::Kept),
        ("host prefix without Secure", "__Host-a=1; Path=/", shop, refused("__Host- wants Secure")),
        ("host prefix without Path", "__Host-a=1; Secure", "https://shop.example/", host_wants),
        ("host prefix, other Path", "__Host-a=1; Secure; Path=/x", shop, host_wants),
        ("host prefix with Domain", "__Host-a=1; Secure; Path=/; Domain=shop.example", shop, host_wants),
        ("prefixes ignore case", "__hOST-a=1; Path=/", shop, refused("__Host- wants Secure")),
        ("secure prefix", "__Secure-a=1; Secure", shop, Verdict::Kept),
        ("secure prefix without Secure", "__Secure-a=1", shop, refused("__Secure- wants Secure")),
        ("http prefix", "__Http-a=1; Secure; HttpOnly", shop, Verdict::Kept),
        ("http prefix, scripts may read", "__Http-a=1; Secure", shop, refused("__Http- wants HttpOnly")),
        ("both", "__Host-Http-a=1; Secure; Path=/", shop, refused("__Host-Http- wants HttpOnly")),
        ("nameless in disguise", "=__Host-a", shop, refused("it has no name and its value poses as a prefix")),
        (
            "Secure over http",
            "a=1; Secure",
            plain,
            refused("it is Secure and the request was not (neither https nor this machine)"),
        ),
        ("SameSite=None without Secure", "a=1; SameSite=None", shop, refused("SameSite=None wants Secure")),
        ("Partitioned without Secure", "a=1; Partitioned", shop, refused("Partitioned wants Secure")),
        ("own domain", "a=1; Domain=shop.example", shop, Verdict::Kept),
        ("parent domain", "a=1; Domain=shop.example", "https://www.shop.example/", Verdict::Kept),
        (
            "sibling domain",
            "a=1; Domain=api.shop.example",
            shop,
            refused("its Domain does not cover the host of the request"),
        ),
        ("half a label", "a=1; Domain=op.example", shop, refused("its Domain does not cover the host of the request")),
        ("top level domain", "a=1; Domain=example", shop, refused("its Domain is a public suffix")),
        (
            "all function URLs",
            "a=1; Domain=lambda-url.eu-west-1.on.aws",
            function,
            refused("its Domain is a public suffix"),
        ),
        ("all of AWS", "a=1; Domain=on.aws", function, refused("its Domain is a public suffix")),
        ("all gateways", "a=1; Domain=amazonaws.com", gateway, refused("its Domain is a public suffix")),
        ("one gateway", "a=1; Domain=abc.execute-api.eu-west-1.amazonaws.com", gateway, Verdict::Kept),
        (
            "all balancers",
            "a=1; Domain=eu-west-1.elb.amazonaws.com",
            balancer,
            refused("its Domain is a public suffix"),
        ),
        ("a single label host", "a=1; Domain=localhost", "http://localhost/", Verdict::Kept),
        ("an address as domain", "a=1; Domain=127.0.0.1", "http://127.0.0.1/", Verdict::Kept),
        (
            "half an address",
            "a=1; Domain=0.0.1",
            "http://127.0.0.1/",
            refused("its Domain does not cover the host of the request"),
        ),
        ("too long", too_long.as_str(), shop, refused("its name and value are longer than 4096 bytes")),
        ("just fits", fits.as_str(), shop, Verdict::Kept),
        ("removal", "a=; Max-Age=0", shop, Verdict::Removed),
        ("long past", "a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", shop, Verdict::Removed),
    ];
    for (name, line, url, expected) in rows {
        assert_eq!(take(&mut Jar::default(), line, url), expected, "{name}");
    }
}

#[test]
fn a_browser_sends_what_fits_the_request() {
    let rows = [
        ("same host", "a=1; Path=/", "https://shop.example/", "https://shop.example/x", true),
        ("host only", "a=1; Path=/", "https://shop.example/", "https://www.shop.example/", false),
        (
            "subdomain by Domain",
            "a=1; Path=/; Domain=shop.example",
            "https://shop.example/",
            "https://www.shop.example/",
            true,
        ),
        ("other host", "a=1; Path=/; Domain=shop.example", "https://shop.example/", "https://ashop.example/", false),
        ("default path", "a=1", "https://shop.example/posts/new", "https://shop.example/posts/1", true),
        ("default path, its directory", "a=1", "https://shop.example/posts/new", "https://shop.example/posts", true),
        ("default path, elsewhere", "a=1", "https://shop.example/posts/new", "https://shop.example/", false),
        ("path, exactly", "a=1; Path=/posts", "https://shop.example/", "https://shop.example/posts", true),
        ("path, below", "a=1; Path=/posts", "https://shop.example/", "https://shop.example/posts/1", true),
        ("path, half a name", "a=1; Path=/posts", "https://shop.example/", "https://shop.example/postscript", false),
        ("path with slash", "a=1; Path=/posts/", "https://shop.example/", "https://shop.example/posts", false),
        ("Secure to http", "a=1; Path=/; Secure", "https://shop.example/", "http://shop.example/", false),
        ("Secure to this machine", "a=1; Path=/; Secure", "http://localhost/", "http://localhost/", true),
        ("not Secure to http", "a=1; Path=/", "https://shop.example/", "http://shop.example/", true),
    ];
    for (name, line, set_at, asked, expected) in rows {
        let mut jar = Jar::default();
        assert_eq!(take(&mut jar, line, set_at), Verdict::Kept, "{name}");
        assert_eq!(sent(&jar, asked, NOW), if expected { "a=1" } else { "" }, "{name}");
    }
}

#[test]
fn longer_paths_go_first_then_older_cookies() {
    let mut jar = Jar::default();
    for line in ["a=1; Path=/", "b=2; Path=/x/y", "c=3; Path=/x", "d=4; Path=/"] {
        take(&mut jar, line, "https://shop.example/");
    }
    assert_eq!(sent(&jar, "https://shop.example/x/y/z", NOW), "b=2; c=3; a=1; d=4");
    take(&mut jar, "a=5; Path=/", "https://shop.example/");
    assert_eq!(sent(&jar, "https://shop.example/", NOW), "a=5; d=4", "a new value keeps its age");
}

#[test]
fn a_cookie_ends_at_its_time() {
    let mut jar = Jar::default();
    take(&mut jar, "a=1; Max-Age=60", "https://shop.example/");
    assert_eq!(sent(&jar, "https://shop.example/", NOW + 59), "a=1");
    assert_eq!(sent(&jar, "https://shop.example/", NOW + 60), "");
}

#[test]
fn a_removed_cookie_is_not_sent_and_still_known() {
    let mut jar = Jar::default();
    let shop = origin("https://shop.example/");
    assert!(!jar.knows("a", &shop));
    take(&mut jar, "a=1; Path=/", "https://shop.example/");
    assert_eq!(take(&mut jar, "a=; Path=/; Max-Age=0", "https://shop.example/"), Verdict::Removed);
    assert_eq!(sent(&jar, "https://shop.example/", NOW), "");
    assert!(jar.knows("a", &shop));
    assert!(!jar.knows("a", &origin("https://other.example/")));
}

#[test]
fn a_removal_on_another_path_removes_nothing() {
    let mut jar = Jar::default();
    take(&mut jar, "a=1; Path=/", "https://shop.example/");
    take(&mut jar, "a=; Path=/x; Max-Age=0", "https://shop.example/");
    assert_eq!(sent(&jar, "https://shop.example/x", NOW), "a=1");
}

#[test]
fn a_plain_request_leaves_secure_cookies_alone() {
    let mut jar = Jar::default();
    take(&mut jar, "a=1; Path=/; Secure", "https://shop.example/");
    let refusal = Verdict::Refused("a Secure cookie of this name is there, and this request is not secure");
    assert_eq!(take(&mut jar, "a=2; Path=/", "http://shop.example/"), refusal);
    assert_eq!(take(&mut jar, "a=2; Path=/; Domain=shop.example", "http://www.shop.example/"), refusal);
    assert_eq!(take(&mut jar, "b=2; Path=/", "http://shop.example/"), Verdict::Kept);
    assert_eq!(sent(&jar, "https://shop.example/", NOW), "a=1; b=2");
}

#[test]
fn a_default_path_is_the_directory_of_the_request() {
    let rows = [("/", "/"), ("", "/"), ("posts", "/"), ("/posts", "/"), ("/posts/", "/posts"), ("/a/b/c", "/a/b")];
    for (path, expected) in rows {
        assert_eq!(default_path(path), expected, "{path:?}");
    }
}
