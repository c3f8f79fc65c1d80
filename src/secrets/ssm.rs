//! Secrets in SSM Parameter Store: SecureStrings, read in one call.
//!
//! A parameter holds a ring as [lines](crate::keyring), or one bare secret. Of several parameters the first seals; what
//! the others hold still opens.

mod http;
mod trouble;

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use aws_config::BehaviorVersion;
use aws_sdk_ssm::config::retry::RetryConfig;
use aws_sdk_ssm::config::{SharedHttpClient, StalledStreamProtectionConfig};
use aws_sdk_ssm::types::{Parameter, ParameterType};
use zeroize::Zeroize;

pub use aws_sdk_ssm::Client;

use crate::keyring::{Keyring, Secret};
use crate::secrets::Secrets;
use crate::secrets::parameter::{self, ParameterName, Part};
use crate::secrets::quiet::quiet;
use crate::{Error, ErrorKind};

/// A client for SSM, as every AWS tool is set up: region and credentials by environment, profile or role,
/// `AWS_ENDPOINT_URL_SSM` obeyed, the system's certificates or those of `SSL_CERT_FILE` trusted.
///
/// Its TLS is rustls on ring, and it keeps no connection from one call to the next. Reads the environment and AWS's files; nothing goes over the wire.
///
/// ```no_run
/// # async fn start() -> Result<(), lambda_session::Error> {
/// use lambda_session::secrets::{Keys, ssm::{self, SsmSecrets}};
/// use lambda_session::{SessionLayer, Values, store::CookieStore};
///
/// let secrets = SsmSecrets::new(&ssm::client().await, "/shop/prod/session/keys")?;
/// let sessions = SessionLayer::<Values>::new(CookieStore::encrypted(Keys::refreshed(secrets).await?));
/// # Ok(())
/// # }
/// ```
pub async fn client() -> Client {
    Client::new(&aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(http_client()).load().await)
}

/// The HTTP client of [`client`], for a configuration of your own: nothing of an answer, which holds the secrets, is left in
/// memory once it is read.
///
/// It speaks HTTP/1.1 over TCP and TLS (rustls on ring), trusts the system's certificates or those of `SSL_CERT_FILE`, uses no
/// proxy, and opens a connection for each call: one that was kept may be dead after a freeze, and by monotonic time, which
/// stood still, it looks fresh. An answer has 1 MiB at most. Costs no I/O.
///
/// ```
/// use aws_sdk_ssm::config::{BehaviorVersion, Region};
/// use lambda_session::secrets::ssm::{self, Client};
///
/// let config = aws_sdk_ssm::Config::builder()
///     .behavior_version(BehaviorVersion::latest())
///     .region(Region::new("eu-west-1"))
///     .http_client(ssm::http_client())
///     .build();
/// let client = Client::from_conf(config);
/// assert_eq!(client.config().region().map(Region::as_ref), Some("eu-west-1"));
/// ```
pub fn http_client() -> SharedHttpClient {
    SharedHttpClient::new(http::Http::default())
}

/// The secrets in one or more parameters. Each fetch is one call: `GetParameter` for one name, `GetParameters` for more.
pub struct SsmSecrets {
    client: Client,
    names: Vec<ParameterName>,
    parts: Vec<Part>,
}

impl SsmSecrets {
    /// The secrets in these parameters, with commas between: names, ARNs, or either with `:version` or `:label`; the one
    /// that seals first.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] for a name that SSM would refuse, a repeated one, and more than ten.
    pub fn new(client: &Client, parameters: &str) -> Result<Self, Error> {
        let names = parameter::names(parameters)?;
        Ok(Self::of(client, names.into_iter().map(Part::Stored).collect()))
    }

    /// The secrets of these parts, in their order.
    pub(crate) fn of(client: &Client, parts: Vec<Part>) -> Self {
        // One fetch is one call: how often to ask is the schedule's to say, and how long to wait.
        let config = client
            .config()
            .to_builder()
            .retry_config(RetryConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        let names = parts.iter().filter_map(|part| match part {
            Part::Stored(name) => Some(name.clone()),
            Part::Given(_) => None,
        });
        Self { client: Client::from_conf(config), names: names.collect(), parts }
    }

    async fn read(&self) -> Result<Keyring, Error> {
        if self.client.config().region().is_none_or(|region| region.as_ref().is_empty()) {
            return Err(trouble::no_region(&self.names));
        }
        let answers = match self.names.as_slice() {
            [name] => vec![self.read_one(name).await?],
            names => self.read_several(names).await?,
        };
        let mut keys = Vec::new();
        let mut answers = answers.into_iter();
        for part in &self.parts {
            let is_first = keys.is_empty();
            let part = match part {
                Part::Given(secret) => vec![(SystemTime::UNIX_EPOCH, secret.copy())],
                Part::Stored(name) => match answers.next() {
                    Some(answer) => answer.keys(name)?,
                    None => return Err(trouble::misunderstood(&self.names, "it lacks a parameter")),
                },
            };
            // Whatever times an older parameter has: its keys open, and the first one's seal.
            keys.extend(
                part.into_iter().map(|(from, secret)| (if is_first { from } else { SystemTime::UNIX_EPOCH }, secret)),
            );
        }
        Keyring::dated(keys)
    }

    async fn read_one(&self, name: &ParameterName) -> Result<Held, Error> {
        let call = self.client.get_parameter().name(name.as_str()).with_decryption(true);
        let answer = call.send().await.map_err(|error| trouble::of(&self.names, "ssm:GetParameter", &error))?;
        answer.parameter.map(Held).ok_or_else(|| trouble::misunderstood(&self.names, "it has no parameter"))
    }

    async fn read_several(&self, names: &[ParameterName]) -> Result<Vec<Held>, Error> {
        let asked = names.iter().map(|name| name.as_str().to_owned()).collect();
        let call = self.client.get_parameters().set_names(Some(asked)).with_decryption(true);
        let answer = call.send().await.map_err(|error| trouble::of(&self.names, "ssm:GetParameters", &error))?;
        let mut found: Vec<Held> = answer.parameters.unwrap_or_default().into_iter().map(Held).collect();
        if let Some(invalid) = answer.invalid_parameters.filter(|names| !names.is_empty()) {
            return Err(trouble::invalid(&self.names, &invalid));
        }
        // An answer has them in alphabetical order (GetParameters' API reference), we want them as asked.
        names
            .iter()
            .map(|name| {
                let place = found.iter().position(|held| held.is_named(name));
                place
                    .map(|place| found.swap_remove(place))
                    .ok_or_else(|| trouble::misunderstood(&self.names, "it lacks a parameter"))
            })
            .collect()
    }
}

impl Secrets for SsmSecrets {
    async fn fetch(&self) -> Result<Keyring, Error> {
        quiet(self.read()).await
    }

    fn late(&self, after: Duration) -> Error {
        trouble::late(&self.names, after)
    }
}

impl fmt::Debug for SsmSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SsmSecrets({:?})", self.names)
    }
}

/// A parameter as the SDK has read it: its value is wiped, whatever becomes of it.
struct Held(Parameter);

impl Held {
    fn is_named(&self, name: &ParameterName) -> bool {
        let text = |text: Option<&'_ str>| text.unwrap_or_default().to_owned();
        name.is(&text(self.0.name()), &text(self.0.arn()), &text(self.0.selector()))
    }

    fn keys(&self, name: &ParameterName) -> Result<Vec<(SystemTime, Secret)>, Error> {
        let only = std::slice::from_ref(name);
        match (&self.0.r#type, &self.0.value) {
            (Some(ParameterType::SecureString), Some(value)) => Keyring::secrets(value).map_err(|error| {
                Error::new(ErrorKind::Config, format!("the SSM parameter {name} holds no ring: {error}"))
            }),
            (Some(ParameterType::SecureString), None) => Err(trouble::misunderstood(only, "it has no value")),
            (Some(kind), _) => Err(trouble::wrong_type(name, kind.as_str())),
            (None, _) => Err(trouble::misunderstood(only, "it has no type")),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.value.zeroize();
    }
}
