//! The settings as text: `.env` files, secrets, durations.

use std::fmt::Write as _;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use lambda_session::keyring::Secret;
use lambda_session::store::{CookieStore, Store};
use lambda_session::{ErrorKind, Record, Token, config, dotenv};

use super::{at_once, call, now, ring};

/// SS2, and the promises of `.env`: a file is its assignments or the number of its first bad line; a secret is taken or
/// refused by a rule that does not repeat it.
pub(crate) fn dotenv(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    a_secret_is_taken_or_refused_by_rule(text);
    if let Some(length) = config::parse_duration(text) {
        assert_eq!(config::parse_duration(&format!("{}s", length.as_secs())), Some(length));
    }

    let parsed = dotenv::parse(text);
    assert_eq!(dotenv::parse(&format!("\u{feff}{text}")), parsed, "a BOM");
    assert_eq!(dotenv::parse(&text.replace('\n', "\r\n")), parsed, "line ends of Windows");
    // Behind a blank line, where a BOM is none.
    let lines = text.trim_start_matches('\u{feff}').lines().map(|line| dotenv::parse(&format!("\n{line}")));
    let lines: Vec<_> = lines.collect();
    match &parsed {
        Err(number) => assert_eq!(lines.iter().position(Result::is_err), Some(number - 1)),
        Ok(variables) => {
            assert_eq!(lines.into_iter().collect::<Result<Vec<_>, _>>().map(|lines| lines.concat()), parsed);
            let mut written = String::new();
            for (name, value) in variables {
                let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
                assert!(!name.is_empty() && name.chars().all(legal) && !name.starts_with(|c: char| c.is_ascii_digit()));
                assert!(!value.contains('\0'), "no environment holds a NUL");
                writeln!(written, "export {name} = \"{}\" # written", escaped(value)).unwrap();
            }
            assert_eq!(dotenv::parse(&written), parsed, "{written}");
            settings_are_read_or_refused(variables);
        }
    }
}

/// Everything that [`Secret::parse`] ever says.
const RULES: [&str; 5] = [
    "the secret is a placeholder: put a fresh one in its place",
    "the secret is too short: 43 characters of base64url or 64 hex digits are the least",
    "the secret has an odd number of hex digits: one was lost or added",
    "the secret is neither hex nor unpadded base64url (A-Z a-z 0-9 - _, unused bits zero)",
    "the secret is repetitive: it must come from a random generator",
];

fn a_secret_is_taken_or_refused_by_rule(text: &str) {
    let secret = match Secret::parse(text) {
        Ok(secret) => secret,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(RULES.contains(&format!("{error:?}").as_str()), "{error:?}");
            return;
        }
    };
    let bare = text.trim_start_matches('\u{feff}').trim();
    let is_hex = bare.bytes().all(|byte| byte.is_ascii_hexdigit());
    let bytes: Vec<u8> = if is_hex {
        (0..bare.len()).step_by(2).map(|at| u8::from_str_radix(&bare[at..at + 2], 16).unwrap()).collect()
    } else {
        URL_SAFE_NO_PAD.decode(bare).unwrap()
    };
    assert!(bytes.len() >= 32);
    assert_eq!(format!("{secret:?}"), format!("Secret({} bytes)", bytes.len()));
    assert_eq!(seal(secret), seal(Secret::from_bytes(bytes.clone()).unwrap()), "what it decodes to is the key");
    assert_eq!(seal(Secret::parse(&format!("\u{feff} {bare}\r\n")).unwrap()), seal(Secret::from_bytes(bytes).unwrap()));
}

fn seal(secret: Secret) -> Token {
    let record = Record::new(b"{}".to_vec(), now()).unwrap();
    at_once(CookieStore::signed(ring([secret])).create(&record, &call())).unwrap()
}

fn settings_are_read_or_refused(variables: &[(String, String)]) {
    let value = |wanted: &str| variables.iter().rev().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
    match config::Settings::read(&value) {
        Ok(settings) => assert!(settings.scope().len() <= 256),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Config);
            let said = format!("{error:?}");
            assert!(said.starts_with("SESSION_"), "it names the variable: {said}");
            assert!(!said.contains(|c: char| c.is_control()), "it is one line: {said:?}");
            assert!(said.len() < 1000, "it cuts foreign text: {said}");
        }
    }
    if let Err(error) = config::keyring(&value) {
        let said = format!("{error:?}");
        let is_rule = |rule: &str| {
            ["SECRET_KEY_BASE", "SECRET_KEY_BASE_OLD"].iter().any(|name| said.starts_with(&format!("{name}: {rule}; ")))
        };
        assert!(said.starts_with("SECRET_KEY_BASE is not set") || RULES.iter().any(|rule| is_rule(rule)), "{said}");
    }
}

fn escaped(value: &str) -> String {
    let mut text = String::new();
    for c in value.chars() {
        match c {
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '"' | '\\' | '$' => text.extend(['\\', c]),
            c => text.push(c),
        }
    }
    text
}
