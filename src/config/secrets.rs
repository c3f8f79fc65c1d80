//! The variables that say where the secrets are: in themselves, or in SSM.

use zeroize::Zeroizing;

use super::Variables;
use super::reader::Reader;
use crate::Error;
use crate::keyring::{Keyring, Secret};
use crate::secrets::Keys;
use crate::secrets::parameter::{self, ParameterName, Part};

const MAKE_ONE: &str = "`lambda-session secret --env >> .env` makes one";
const REPLACE_IT: &str = "replace it by what `lambda-session secret` prints";
const TAKE_IT_OUT: &str = "copy the old secret whole, or take it out";
/// What a value begins with that names a parameter instead of being a secret, as Jets has it.
const SSM_PREFIX: &str = "ssm:";

/// The keys that `SECRET_KEY_BASE`, `SECRET_KEY_BASE_OLD` and `SESSION_KEYS_PARAMETER` describe.
///
/// Costs one call of SSM if one of them names a parameter, and no I/O otherwise. Trouble with SSM that may pass is no
/// error, see [`Keys::refreshed`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), lambda_session::Error> {
/// use lambda_session::{config, keyring::Secret};
///
/// let secret = Secret::generate()?;
/// let keys = config::keys(&|name: &str| (name == "SECRET_KEY_BASE").then(|| secret.to_string())).await?;
/// assert_eq!(format!("{keys:?}"), "Keys(Keyring(1 key))");
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// [`ErrorKind::Config`](crate::ErrorKind::Config) if there is no secret, or one is refused: the message names the
/// variable or the parameter, and the rule, never the value.
pub async fn keys(variables: &impl Variables) -> Result<Keys, Error> {
    let parts = parts(variables)?;
    if parts.iter().any(|part| matches!(part, Part::Stored(_))) {
        stored(parts, variables).await
    } else {
        given(parts).map(Keys::from)
    }
}

/// The ring of `SECRET_KEY_BASE` and `SECRET_KEY_BASE_OLD`, where they hold the secrets themselves. Costs no I/O.
///
/// # Errors
///
/// As [`keys`]; and where a variable names a parameter of SSM.
pub fn keyring(variables: &impl Variables) -> Result<Keyring, Error> {
    given(parts(variables)?)
}

/// The ring that the variables describe as it stands now, asked for once: for diagnosis, where [`keys`] serves.
///
/// Costs one call of SSM if a variable names a parameter, and no I/O otherwise.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), lambda_session::Error> {
/// use lambda_session::{config, keyring::Secret};
///
/// let secret = Secret::generate()?;
/// let variables = |name: &str| (name == "SECRET_KEY_BASE").then(|| secret.to_string());
/// assert_eq!(config::current_keyring(&variables).await?.len(), 1);
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// As [`keys`]; and [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) for trouble with SSM that may pass,
/// no answer within 10 s among it.
pub async fn current_keyring(variables: &impl Variables) -> Result<Keyring, Error> {
    let parts = parts(variables)?;
    if parts.iter().any(|part| matches!(part, Part::Stored(_))) {
        fetched(parts, variables).await
    } else {
        given(parts)
    }
}

fn given(parts: Vec<Part>) -> Result<Keyring, Error> {
    let secrets = parts.into_iter().map(|part| match part {
        Part::Given(secret) => Ok(secret),
        Part::Stored(name) => Err(Error::config(format!(
            "the secret is in the SSM parameter {name}, which is not asked here: put the secret itself into SECRET_KEY_BASE"
        ))),
    });
    Keyring::new(secrets.collect::<Result<Vec<_>, _>>()?)
}

#[cfg(feature = "ssm")]
async fn stored(parts: Vec<Part>, variables: &impl Variables) -> Result<Keys, Error> {
    use crate::secrets::ssm::SsmSecrets;

    Keys::refreshed(SsmSecrets::of(&client(variables).await, parts)).await
}

#[cfg(feature = "ssm")]
async fn fetched(parts: Vec<Part>, variables: &impl Variables) -> Result<Keyring, Error> {
    use crate::secrets::{Secrets as _, ssm::SsmSecrets};

    let secrets = SsmSecrets::of(&client(variables).await, parts);
    tokio::time::timeout(PATIENCE, secrets.fetch()).await.unwrap_or_else(|_| Err(secrets.late(PATIENCE)))
}

/// How long somebody who asks once waits at the most; whoever asks again and again has shorter limits.
#[cfg(feature = "ssm")]
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// A client for the region that the variables name: it may stand in a `.env` file, which AWS's own tools do not read.
#[cfg(feature = "ssm")]
async fn client(variables: &impl Variables) -> crate::secrets::ssm::Client {
    use aws_sdk_ssm::config::Region;

    let client = crate::secrets::ssm::client().await;
    let read = Reader { variables };
    match read.value("AWS_REGION").or_else(|| read.value("AWS_DEFAULT_REGION")) {
        Some(region) => {
            let config = client.config().to_builder().region(Region::new(region.trim().to_owned()));
            crate::secrets::ssm::Client::from_conf(config.build())
        }
        None => client,
    }
}

#[cfg(not(feature = "ssm"))]
async fn stored(parts: Vec<Part>, _: &impl Variables) -> Result<Keys, Error> {
    Err(without_ssm(&parts))
}

#[cfg(not(feature = "ssm"))]
async fn fetched(parts: Vec<Part>, _: &impl Variables) -> Result<Keyring, Error> {
    Err(without_ssm(&parts))
}

#[cfg(not(feature = "ssm"))]
fn without_ssm(parts: &[Part]) -> Error {
    let name = parts.iter().find_map(|part| match part {
        Part::Stored(name) => Some(name.as_str()),
        Part::Given(_) => None,
    });
    Error::config(format!(
        "the secret is in the SSM parameter {}, and this program was built without SSM: turn on the feature `ssm` of \
         lambda-session",
        name.unwrap_or_default()
    ))
}

/// What the variables say, the part that seals first; at least one.
fn parts(variables: &impl Variables) -> Result<Vec<Part>, Error> {
    let read = Reader { variables };
    let first = read.value("SECRET_KEY_BASE").map(Zeroizing::new);
    let mut parts = match (read.value("SESSION_KEYS_PARAMETER"), first) {
        (Some(_), Some(_)) => {
            return Err(Error::config(
                "SESSION_KEYS_PARAMETER and SECRET_KEY_BASE are both set, and only one can say which secret seals: take \
                 one out",
            ));
        }
        (Some(names), None) => {
            let names = parameter::names(&names).map_err(|error| about("SESSION_KEYS_PARAMETER", &error))?;
            names.into_iter().map(Part::Stored).collect()
        }
        (None, Some(text)) => vec![part("SECRET_KEY_BASE", &text, REPLACE_IT)?],
        (None, None) => {
            return Err(Error::config(format!(
                "SECRET_KEY_BASE is not set, and no session is safe without a secret: {MAKE_ONE}; or let SESSION_KEYS_PARAMETER \
                 name one in SSM"
            )));
        }
    };
    let old = Zeroizing::new(read.value("SECRET_KEY_BASE_OLD").unwrap_or_default());
    for text in old.split(',').filter(|text| !text.trim().is_empty()) {
        parts.push(part("SECRET_KEY_BASE_OLD", text, TAKE_IT_OUT)?);
    }
    let names = parts.iter().filter_map(|part| match part {
        Part::Stored(name) => Some(name),
        Part::Given(_) => None,
    });
    parameter::check(names).map_err(|error| about("SECRET_KEY_BASE_OLD", &error))?;
    Ok(parts)
}

fn part(variable: &str, text: &str, way_out: &str) -> Result<Part, Error> {
    match text.trim().strip_prefix(SSM_PREFIX) {
        Some(name) => ParameterName::parse(name.trim()).map(Part::Stored).map_err(|error| about(variable, &error)),
        None => Secret::parse(text)
            .map(Part::Given)
            .map_err(|error| Error::config(format!("{variable}: {error}; {way_out}"))),
    }
}

fn about(variable: &str, error: &Error) -> Error {
    Error::config(format!("{variable}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    fn read(variables: &[(&str, &str)]) -> Result<Vec<String>, Error> {
        let value = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let parts = parts(&value)?;
        let shown = parts.iter().map(|part| match part {
            Part::Given(secret) => format!("{secret:?}"),
            Part::Stored(name) => name.to_string(),
        });
        Ok(shown.collect())
    }

    #[test]
    fn secrets_are_in_variables_or_in_ssm_the_sealing_one_first() {
        let given = "Secret(32 bytes)";
        for (variables, expected) in [
            (vec![("SECRET_KEY_BASE", SECRET)], vec![given]),
            (vec![("SESSION_KEYS_PARAMETER", " /a ")], vec!["/a"]),
            (vec![("SESSION_KEYS_PARAMETER", "/a/secret, /a/secret-old")], vec!["/a/secret", "/a/secret-old"]),
            (vec![("SECRET_KEY_BASE", "ssm:/a")], vec!["/a"]),
            (vec![("SECRET_KEY_BASE", " ssm: /a:3 ")], vec!["/a:3"]),
            (vec![("SECRET_KEY_BASE", "ssm:/a"), ("SECRET_KEY_BASE_OLD", "ssm:/b")], vec!["/a", "/b"]),
            // From the environment to SSM and back, without logging anyone out.
            (vec![("SECRET_KEY_BASE", "ssm:/a"), ("SECRET_KEY_BASE_OLD", SECRET)], vec!["/a", given]),
            (vec![("SESSION_KEYS_PARAMETER", "/a"), ("SECRET_KEY_BASE_OLD", SECRET)], vec!["/a", given]),
            (vec![("SECRET_KEY_BASE", SECRET), ("SECRET_KEY_BASE_OLD", "ssm:/a,,ssm:/b")], vec![given, "/a", "/b"]),
            (vec![("SESSION_KEYS_PARAMETER", "/a"), ("SECRET_KEY_BASE", " ")], vec!["/a"]),
        ] {
            assert_eq!(read(&variables).unwrap(), expected, "{variables:?}");
        }
    }

    #[test]
    fn settings_that_contradict_or_name_no_parameter_are_refused() {
        for (variables, expected) in [
            (
                vec![("SESSION_KEYS_PARAMETER", "/a"), ("SECRET_KEY_BASE", SECRET)],
                "SESSION_KEYS_PARAMETER and SECRET_KEY_BASE are both set, and only one can say which secret seals: take one \
                 out",
            ),
            (
                vec![("SESSION_KEYS_PARAMETER", "/a b")],
                "SESSION_KEYS_PARAMETER: \"/a b\" is no name of an SSM parameter: letters, digits and . - _ / are allowed, \
                 and one colon before a version or a label",
            ),
            (
                vec![("SESSION_KEYS_PARAMETER", SECRET)],
                "SESSION_KEYS_PARAMETER: this looks like a secret, and not like the name of the SSM parameter that holds one: a \
                 secret itself goes into SECRET_KEY_BASE, without `ssm:`; a parameter of such a name is given by its ARN",
            ),
            (
                vec![("SECRET_KEY_BASE", "ssm:/a"), ("SECRET_KEY_BASE_OLD", &format!("ssm:{SECRET}"))],
                "SECRET_KEY_BASE_OLD: this looks like a secret, and not like the name of the SSM parameter that holds one: a \
                 secret itself goes into SECRET_KEY_BASE, without `ssm:`; a parameter of such a name is given by its ARN",
            ),
            (vec![("SECRET_KEY_BASE", "ssm:")], "SECRET_KEY_BASE: \"\" is no name of an SSM parameter: it is empty"),
            (
                vec![("SECRET_KEY_BASE", "ssm:/a"), ("SECRET_KEY_BASE_OLD", "ssm:/a")],
                "SECRET_KEY_BASE_OLD: the parameter /a is there twice: take one out",
            ),
        ] {
            assert_eq!(read(&variables).unwrap_err().to_string(), expected, "{variables:?}");
        }
    }

    #[test]
    fn a_ring_at_hand_is_none_of_ssm() {
        let error = keyring(&|name: &str| (name == "SESSION_KEYS_PARAMETER").then(|| "/a".to_owned())).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the secret is in the SSM parameter /a, which is not asked here: put the secret itself into SECRET_KEY_BASE"
        );
    }

    #[cfg(not(feature = "ssm"))]
    #[tokio::test]
    async fn without_the_feature_ssm_a_parameter_is_refused() {
        let error = keys(&|name: &str| (name == "SESSION_KEYS_PARAMETER").then(|| "/a".to_owned())).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the secret is in the SSM parameter /a, and this program was built without SSM: turn on the feature `ssm` of \
             lambda-session"
        );
    }
}
