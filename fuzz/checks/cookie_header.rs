//! The `Cookie` header: our cookies among all others.

use http::{HeaderMap, HeaderValue, header};

use lambda_session::Token;
use lambda_session::cookie::Candidates;

use super::NAME;

/// CA7, CA9, CA10: the cookies of our name are found byte for byte, whatever stands around them. Each line of the input
/// is a `Cookie` line.
pub(crate) fn cookie_header(data: &[u8]) {
    let lines: Vec<HeaderValue> =
        data.split(|&byte| byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok()).collect();
    for name in [NAME, "s"] {
        let found = Candidates::of(&cookies(lines.iter()), name);
        assert_eq!(found, plain_candidates(&lines, name), "{name}");
        assert!(found.carried || found.tokens.is_empty());
        assert!(found.tokens.len() <= 4);

        let twice = Candidates::of(&cookies(lines.iter().chain(&lines)), name);
        assert_eq!(twice, found, "what is said twice is said once");

        // Foreign cookies cannot disturb ours: the one that comes first is found first.
        let neighbours = lines.iter().map(|line| {
            let line = [name.as_bytes(), b"=AAEC;", line.as_bytes()].concat();
            HeaderValue::from_bytes(&line).expect("a header value behind visible ASCII is one")
        });
        let neighbours: Vec<HeaderValue> = neighbours.collect();
        if !neighbours.is_empty() {
            let found = Candidates::of(&cookies(neighbours.iter()), name);
            assert_eq!(found.tokens.first().map(Token::as_str), Some("AAEC"));
        }
    }
}

fn cookies<'a>(lines: impl Iterator<Item = &'a HeaderValue>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    lines.for_each(|line| {
        headers.append(header::COOKIE, line.clone());
    });
    headers
}

/// RFC 6265bis, said plainly.
fn plain_candidates(lines: &[HeaderValue], name: &str) -> Candidates {
    let blank = |text: &str| text.trim_matches([' ', '\t']).to_owned();
    let mut found = Candidates::default();
    for line in lines {
        // Latin-1, so that every byte is a character.
        let line: String = line.as_bytes().iter().map(|&byte| char::from(byte)).collect();
        for (_, value) in line.split(';').filter_map(|pair| pair.split_once('=')).filter(|pair| blank(pair.0) == name) {
            found.carried = true;
            let value = blank(value);
            let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if (1..=4096).contains(&value.len()) && value.chars().all(legal) {
                let token = Token::parse(value.as_bytes()).expect("the alphabet and length of a token");
                if found.tokens.len() < 4 && !found.tokens.contains(&token) {
                    found.tokens.push(token);
                }
            }
        }
    }
    found
}
