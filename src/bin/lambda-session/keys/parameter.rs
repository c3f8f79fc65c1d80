//! The parameter in SSM: read, described, written once. All that this command says over the wire.

use std::time::{Duration, SystemTime};

use aws_sdk_ssm::Client;
use aws_sdk_ssm::config::retry::RetryConfig;
use aws_sdk_ssm::config::timeout::TimeoutConfig;
use aws_sdk_ssm::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ssm::types::{ParameterMetadata, ParameterStringFilter, ParameterTier, ParameterType};
use lambda_session::secrets::ssm;
use zeroize::Zeroizing;

use crate::output::{Failure, one_line};

/// What a standard and an advanced parameter hold (AWS, Parameter Store quotas).
const STANDARD_BYTES: usize = 4096;
const ADVANCED_BYTES: usize = 8192;
/// A call that takes longer is given up: what became of it, `keys list` shows.
const CALL_WITHIN: Duration = Duration::from_secs(10);

/// One parameter, by name.
pub(crate) struct Parameter {
    client: Client,
    name: String,
}

/// One version of it.
pub(crate) struct Stored {
    pub(crate) text: Zeroizing<String>,
    pub(crate) version: i64,
    pub(crate) written: SystemTime,
}

/// How it is kept: a PutParameter that does not say so again falls back to the account's defaults.
#[derive(Debug, Default)]
pub(crate) struct Manner {
    kms_key: Option<String>,
    tier: Option<ParameterTier>,
    description: Option<String>,
    allowed_pattern: Option<String>,
}

impl Parameter {
    pub(crate) async fn open(name: &str) -> Result<Self, Failure> {
        let client = ssm::client().await;
        if client.config().region().is_none_or(|region| region.as_ref().trim().is_empty()) {
            return Err(Failure::Environment("no region is set: set AWS_REGION, or one in AWS's config file".into()));
        }
        // A write that is sent twice would look like somebody else's.
        let timeouts = TimeoutConfig::builder().operation_timeout(CALL_WITHIN).build();
        let config =
            client.config().to_builder().retry_config(RetryConfig::disabled()).timeout_config(timeouts).build();
        Ok(Self { client: Client::from_conf(config), name: name.to_owned() })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What it holds now; `None` if there is no such parameter.
    pub(crate) async fn read(&self) -> Result<Option<Stored>, Failure> {
        self.read_selected(self.name.clone()).await
    }

    /// What an earlier version held, as far as SSM remembers and tells.
    pub(crate) async fn read_version(&self, version: i64) -> Option<Stored> {
        self.read_selected(format!("{}:{version}", self.name)).await.ok().flatten()
    }

    async fn read_selected(&self, selector: String) -> Result<Option<Stored>, Failure> {
        let answer = self.client.get_parameter().name(selector).with_decryption(true).send().await;
        let parameter = match answer {
            Ok(answer) => answer.parameter,
            Err(error) if error.code() == Some("ParameterNotFound") => return Ok(None),
            Err(error) => return Err(self.trouble("read", "ssm:GetParameter and kms:Decrypt", &error)),
        };
        let Some(parameter) = parameter else { return Ok(None) };
        if parameter.r#type() != Some(&ParameterType::SecureString) {
            return Err(Failure::Environment(format!(
                "parameter {} is no SecureString, so whoever may list it can read it: choose another name and let \
                 `lambda-session keys init` make it",
                self.name
            )));
        }
        let written = parameter.last_modified_date.and_then(|time| SystemTime::try_from(time).ok());
        Ok(Some(Stored {
            version: parameter.version,
            // Without a date nobody knows how long environments have had to learn of it: take the latest.
            written: written.unwrap_or_else(SystemTime::now),
            text: Zeroizing::new(parameter.value.unwrap_or_default()),
        }))
    }

    /// How it is kept now, with this KMS key instead if there is one.
    pub(crate) async fn describe(&self, kms_key: Option<&str>) -> Result<Manner, Failure> {
        let found = self.metadata().await;
        match (found, kms_key) {
            (Ok(Some(found)), _) => Ok(Manner {
                kms_key: kms_key.map(str::to_owned).or(found.key_id),
                tier: found.tier,
                description: found.description,
                allowed_pattern: found.allowed_pattern,
            }),
            (_, Some(_)) => Ok(Manner::first(kms_key)),
            (found, None) => {
                let why = found.err().map(|code| format!(" ({code})")).unwrap_or_default();
                Err(Failure::Environment(format!(
                    "cannot see which KMS key encrypts {}{why}, and a write without it would fall back to the account's \
                     own: allow ssm:DescribeParameters, or give --kms-key",
                    self.name
                )))
            }
        }
    }

    async fn metadata(&self) -> Result<Option<ParameterMetadata>, String> {
        let filter = ParameterStringFilter::builder().key("Name").option("Equals").values(&self.name).build();
        let filter = filter.map_err(|error| error.to_string())?;
        // A page may be empty and still not be the last.
        let mut pages = self.client.describe_parameters().parameter_filters(filter).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| error.code().unwrap_or("no answer").to_owned())?;
            if let Some(found) = page.parameters.unwrap_or_default().into_iter().next() {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Makes the parameter, and gives its version; `None` if there is one already.
    pub(crate) async fn create(&self, text: &str, manner: &Manner) -> Result<Option<i64>, Failure> {
        self.put(text, manner, false).await
    }

    /// Writes its next version, and gives that one's number.
    pub(crate) async fn overwrite(&self, text: &str, manner: &Manner) -> Result<Option<i64>, Failure> {
        self.put(text, manner, true).await
    }

    async fn put(&self, text: &str, manner: &Manner, overwrite: bool) -> Result<Option<i64>, Failure> {
        let call = self.client.put_parameter().name(&self.name).r#type(ParameterType::SecureString).value(text);
        let call = call.overwrite(overwrite).set_key_id(manner.kms_key.clone()).set_tier(manner.tier.clone());
        let call = call.set_description(manner.description.clone());
        match call.set_allowed_pattern(manner.allowed_pattern.clone()).send().await {
            Ok(answer) => Ok(Some(answer.version)),
            Err(error) if error.code() == Some("ParameterAlreadyExists") => Ok(None),
            Err(error) => Err(self.trouble("write", "ssm:PutParameter, kms:Encrypt and kms:GenerateDataKey", &error)),
        }
    }

    /// One line that names the deed, the parameter and the way out. Of what the service says only the code: its messages
    /// repeat values that it refuses.
    fn trouble<E, R>(&self, deed: &str, actions: &str, error: &SdkError<E, R>) -> Failure
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug + 'static,
    {
        let name = &self.name;
        let text = match (error, error.code()) {
            (_, Some("AccessDeniedException")) => {
                format!("may not {deed} parameter {name}: the role needs {actions} on it and on its KMS key")
            }
            (_, Some(code)) => format!("cannot {deed} parameter {name}: SSM answers {}", one_line(code)),
            (SdkError::TimeoutError(_), _) => format!(
                "cannot {deed} parameter {name}: no answer within {} s; `lambda-session keys list` shows what is there",
                CALL_WITHIN.as_secs()
            ),
            (SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_), _) => {
                format!("cannot {deed} parameter {name}: {}", one_line(&chain(error)))
            }
            _ => format!("cannot {deed} parameter {name}: the answer is not one of SSM's"),
        };
        Failure::Environment(text)
    }
}

impl Manner {
    /// For a parameter that is not there yet.
    pub(crate) fn first(kms_key: Option<&str>) -> Self {
        Self { kms_key: kms_key.map(str::to_owned), ..Self::default() }
    }

    /// How much it holds.
    pub(crate) fn limit_bytes(&self) -> usize {
        if self.tier == Some(ParameterTier::Advanced) { ADVANCED_BYTES } else { STANDARD_BYTES }
    }
}

/// An error and its causes, without those that say nothing new.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    let mut causes: Vec<_> = causes.collect();
    causes.dedup();
    causes.join(": ")
}
