//! The secrets of a `.env` file, as Jets and this crate read it.

use std::path::Path;

use lambda_session::dotenv;
use lambda_session::keyring::Secret;
use zeroize::Zeroizing;

use crate::output::Failure;

/// What `SECRET_KEY_BASE` and `SECRET_KEY_BASE_OLD` say in a file.
pub(crate) struct Imported {
    pub(crate) current: Zeroizing<String>,
    old: Zeroizing<String>,
}

impl Imported {
    /// The older secrets, the newest first.
    pub(crate) fn old(&self) -> Vec<&str> {
        self.old.split(',').map(str::trim).filter(|secret| !secret.is_empty()).collect()
    }

    pub(crate) fn read(file: &Path) -> Result<Self, Failure> {
        let usage = |text: String| Failure::Usage(format!("{}: {text}", file.display()));
        let text = std::fs::read_to_string(file).map_err(|error| usage(error.to_string()))?;
        Self::parse(&Zeroizing::new(text)).map_err(usage)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let pairs = dotenv::parse(text).map_err(|line| format!("line {line} is no assignment: write NAME=value"))?;
        let (mut current, mut old) = (Zeroizing::default(), Zeroizing::default());
        // The last assignment of a name stands, as a shell would have it.
        for (name, value) in pairs {
            let value = Zeroizing::new(value);
            match name.as_str() {
                "SECRET_KEY_BASE" => current = value,
                "SECRET_KEY_BASE_OLD" => old = value,
                _ => {}
            }
        }
        let imported = Self { current, old };
        let mut secrets = imported.old();
        secrets.push(imported.current.trim());
        if imported.current.trim().is_empty() {
            return Err("there is no SECRET_KEY_BASE in it".into());
        }
        if secrets.iter().any(|secret| secret.starts_with("ssm:")) {
            return Err("its secret is a parameter in SSM already: give that one to --parameter".into());
        }
        let check =
            |name: &str, secret: &str| Secret::parse(secret).map(drop).map_err(|error| format!("{name}: {error}"));
        check("SECRET_KEY_BASE", &imported.current)?;
        imported.old().into_iter().try_for_each(|secret| check("SECRET_KEY_BASE_OLD", secret))?;
        Ok(imported)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Found<'a> = Result<(&'a str, &'a [&'a str]), &'a str>;

    #[test]
    fn the_secrets_of_a_file_are_found() {
        let [a, b, c] = ["00ff", "11ee", "22dd"]
            .map(|end| format!("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d{end}"));
        let rows: [(&str, String, Found<'_>); 8] = [
            ("one", format!("PORT=1\nSECRET_KEY_BASE={a}\n"), Ok((&a, &[]))),
            ("with old ones", format!("SECRET_KEY_BASE_OLD='{b}, {c},'\nSECRET_KEY_BASE=\"{a}\""), Ok((&a, &[&b, &c]))),
            ("the last stands", format!("SECRET_KEY_BASE={a}\nSECRET_KEY_BASE={b}"), Ok((&b, &[]))),
            (
                "weak",
                "SECRET_KEY_BASE=hunter2".into(),
                Err(
                    "SECRET_KEY_BASE: the secret is too short: 43 characters of base64url or 64 hex digits are the least",
                ),
            ),
            (
                "weak, old",
                format!("SECRET_KEY_BASE={a}\nSECRET_KEY_BASE_OLD=hunter2"),
                Err(
                    "SECRET_KEY_BASE_OLD: the secret is too short: 43 characters of base64url or 64 hex digits are the least",
                ),
            ),
            ("none", "SECRET_KEY_BASE=\n".into(), Err("there is no SECRET_KEY_BASE in it")),
            ("no file of ours", "{}".into(), Err("line 1 is no assignment: write NAME=value")),
            (
                "in SSM",
                "SECRET_KEY_BASE=ssm:/shop/prod/secret".into(),
                Err("its secret is a parameter in SSM already: give that one to --parameter"),
            ),
        ];
        for (name, text, expected) in rows {
            let imported = Imported::parse(&text);
            let found = imported.as_ref().map(|imported| (imported.current.as_str(), imported.old()));
            assert_eq!(found.as_ref().map_err(|error| error.as_str()).map(|(c, o)| (*c, &o[..])), expected, "{name}");
        }
    }
}
