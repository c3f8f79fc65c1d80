//! The names of SSM parameters, checked before anything goes over the wire, and what a ring is made of.

use std::fmt;

use crate::Error;
use crate::cookie::quoted;
use crate::keyring::Secret;

/// The longest name, selector and ARN included (GetParameter's API reference).
const NAME_LIMIT_BYTES: usize = 2048;
/// The shortest text of a secret: 32 bytes as base64url (src/keyring.rs).
const SECRET_CHARACTERS: usize = 43;
/// How many parameters one call reads (GetParameters' API reference).
const PARAMETERS_LIMIT: usize = 10;

/// What a ring is made of: the first part seals, all open.
#[derive(Debug)]
pub(crate) enum Part {
    /// A secret that was given as such.
    Given(Secret),
    /// What a parameter holds.
    Stored(ParameterName),
}

/// A name such as `/shop/prod/session/keys`, an ARN, or either of them with `:version` or `:label`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ParameterName(String);

impl ParameterName {
    /// The name that this text spells.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) names the rule of SSM that it breaks.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let refused =
            |rule: &str| Err(Error::config(format!("{} is no name of an SSM parameter: {rule}", quoted(text))));
        if text.is_empty() {
            return refused("it is empty");
        }
        if holds_a_secret(text) {
            // Refused by another rule it would be quoted, and read by whoever reads the log.
            return Err(Error::config(
                "this looks like a secret, and not like the name of the SSM parameter that holds one: a secret itself goes into \
                 SECRET_KEY_BASE, without `ssm:`; a parameter of such a name is given by its ARN",
            ));
        }
        if text.len() > NAME_LIMIT_BYTES {
            return refused("it has more than 2048 characters");
        }
        let (path, selector) = match text.strip_prefix("arn:") {
            // arn:partition:ssm:region:account:parameter/path, and perhaps a selector.
            Some(rest) => {
                let mut fields = rest.splitn(5, ':');
                let service = fields.nth(1);
                match (service, fields.nth(2)) {
                    (Some("ssm"), Some(resource)) if resource.starts_with("parameter/") => split(resource),
                    _ => return refused("an ARN reads arn:aws:ssm:REGION:ACCOUNT:parameter/NAME"),
                }
            }
            None => split(text),
        };
        if !path.bytes().all(|byte| is_plain(byte) || byte == b'/') {
            return refused("letters, digits and . - _ / are allowed, and one colon before a version or a label");
        }
        if path.ends_with('/') || path.contains("//") {
            return refused("a part of the path is empty");
        }
        if selector.is_some_and(|selector| selector.is_empty() || !selector.bytes().all(is_plain)) {
            return refused("a version or a label comes behind the colon");
        }
        Ok(Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether SSM means this one by such a name, ARN and selector: an answer names a parameter without its selector.
    #[cfg(feature = "ssm")]
    pub(crate) fn is(&self, name: &str, arn: &str, selector: &str) -> bool {
        let asked = self.as_str();
        asked == name || asked == arn || [name, arn].iter().any(|base| asked.strip_prefix(base) == Some(selector))
    }
}

/// Names in the settings' form: `/a/secret,/a/secret-old`, the one that seals first.
///
/// # Errors
///
/// As [`ParameterName::parse`] and [`check`].
pub(crate) fn names(text: &str) -> Result<Vec<ParameterName>, Error> {
    let names: Vec<ParameterName> =
        text.split(',').map(|name| ParameterName::parse(name.trim())).collect::<Result<_, _>>()?;
    check(&names)?;
    Ok(names)
}

/// Whether one call can read all of these.
///
/// # Errors
///
/// [`ErrorKind::Config`](crate::ErrorKind::Config) for a repeated name, and for more than one call reads.
pub(crate) fn check<'a>(names: impl IntoIterator<Item = &'a ParameterName>) -> Result<(), Error> {
    let mut seen: Vec<&ParameterName> = Vec::new();
    for name in names {
        if seen.contains(&name) {
            return Err(Error::config(format!("the parameter {name} is there twice: take one out")));
        }
        seen.push(name);
    }
    if seen.len() > PARAMETERS_LIMIT {
        let count = seen.len();
        return Err(Error::config(format!(
            "{count} parameters are more than one call reads: give {PARAMETERS_LIMIT} or fewer"
        )));
    }
    Ok(())
}

impl fmt::Display for ParameterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ParameterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Whether a word of this text is none of a name and may be a secret: as long as 32 bytes in base64 (43 characters), of its
/// characters alone, and without what names have: a `/` in front, or all letters in one case where they are no hex digits.
fn holds_a_secret(text: &str) -> bool {
    let is_secret = |word: &str| {
        let has = |is: fn(&u8) -> bool| word.as_bytes().iter().any(is);
        let is_path = word.starts_with('/') && !word.contains(['+', '=']);
        let is_hex = word.bytes().all(|byte| byte.is_ascii_hexdigit());
        word.len() >= SECRET_CHARACTERS
            && !is_path
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte))
            && (is_hex || has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase))
    };
    !text.starts_with("arn:") && text.split(|end: char| end.is_whitespace() || end == ':').any(is_secret)
}

fn split(text: &str) -> (&str, Option<&str>) {
    text.split_once(':').map_or((text, None), |(path, selector)| (path, Some(selector)))
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_ssm_would_refuse_is_refused_before_the_wire() {
        let characters = "letters, digits and . - _ / are allowed, and one colon before a version or a label";
        let arn = "an ARN reads arn:aws:ssm:REGION:ACCOUNT:parameter/NAME";
        for (text, rule) in [
            ("", "it is empty"),
            ("/a b", characters),
            ("/ä", characters),
            ("/a\r\nX-Header: 1", characters),
            ("/a/", "a part of the path is empty"),
            ("//a", "a part of the path is empty"),
            ("/a:", "a version or a label comes behind the colon"),
            ("/a:b:c", "a version or a label comes behind the colon"),
            ("ssm:/a", "a version or a label comes behind the colon"),
            ("arn:aws:s3:::bucket", arn),
            ("arn:aws:ssm:eu-west-1:123456789012:document/a", arn),
        ] {
            let expected = format!("{text:?} is no name of an SSM parameter: {rule}");
            assert_eq!(ParameterName::parse(text).unwrap_err().to_string(), expected);
        }
        let long = format!("/{}", "a".repeat(2048));
        assert!(ParameterName::parse(&long).unwrap_err().to_string().ends_with("it has more than 2048 characters"));
        for text in [
            "/shop/prod/session/keys",
            "keys",
            "/a:3",
            "/a:previous",
            "arn:aws:ssm:eu-west-1:123456789012:parameter/a/b",
            "arn:aws-cn:ssm:cn-north-1:123456789012:parameter/a:2",
        ] {
            assert_eq!(ParameterName::parse(text).unwrap().as_str(), text);
        }
    }

    /// SS1: somebody mistook the two settings: what they gave is not repeated, whatever form it has.
    #[test]
    fn a_secret_is_no_name_and_is_not_repeated() {
        let base64url = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
        let hex = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
        let rule = "this looks like a secret, and not like the name of the SSM parameter that holds one: a secret itself goes \
                    into SECRET_KEY_BASE, without `ssm:`; a parameter of such a name is given by its ARN";
        for text in [
            base64url.to_owned(),
            hex.to_owned(),
            hex.to_uppercase(),
            format!("{base64url}="),
            format!("+{base64url}"),
            format!("/{base64url}="),
            format!("AA/{base64url}"),
            format!("{base64url}:3"),
            format!("v1 2026-11-22T18:00:00Z {base64url}"),
            hex.repeat(2),
        ] {
            let error = ParameterName::parse(&text).unwrap_err();
            assert_eq!(format!("{error:?}"), rule, "{text}");
        }
        for text in [
            "shop-production-session-keys-in-eu-west-1-v2-of-2026",
            "/Shop/Production/Session-Keys-In-Eu-West-1-V2-Of-2026",
            "/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
            "Shop.Production.Session.Keys.In.Eu.West.1.V2.Of.2026",
            "arn:aws:ssm:eu-west-1:123456789012:parameter/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        ] {
            assert_eq!(ParameterName::parse(text).unwrap().as_str(), text);
        }
        // Every secret that we make is told, not only that one.
        for _ in 0..10_000 {
            assert!(ParameterName::parse(&Secret::generate().unwrap()).is_err());
        }
    }

    #[test]
    fn a_list_of_names_has_each_once_and_ten_at_most() {
        let list = |count: usize| (0..count).map(|i| format!("/{i}")).collect::<Vec<_>>().join(", ");
        assert_eq!(names(&list(10)).unwrap().len(), 10);
        for (text, expected) in [
            (list(11), "11 parameters are more than one call reads: give 10 or fewer"),
            ("/a,/b,/a".into(), "the parameter /a is there twice: take one out"),
            ("/a,".into(), "\"\" is no name of an SSM parameter: it is empty"),
        ] {
            assert_eq!(names(&text).unwrap_err().to_string(), expected);
        }
    }

    #[cfg(feature = "ssm")]
    #[test]
    fn an_answer_is_known_by_name_arn_and_selector() {
        let arn = "arn:aws:ssm:eu-west-1:123456789012:parameter/a";
        for (asked, selector, is) in [
            ("/a", "", true),
            (arn, "", true),
            ("/a:3", ":3", true),
            ("/a:3", ":4", false),
            ("/a:3", "", false),
            (&format!("{arn}:new"), ":new", true),
            ("/ab", "", false),
        ] {
            assert_eq!(ParameterName::parse(asked).unwrap().is("/a", arn, selector), is, "{asked}");
        }
    }
}
