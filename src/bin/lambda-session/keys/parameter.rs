//! The parameter in SSM: read, described, written once. All that this command says over the wire.

use std::time::{Duration, SystemTime};

use aws_sdk_ssm::Client;
use aws_sdk_ssm::config::Region;
use aws_sdk_ssm::config::retry::RetryConfig;
use aws_sdk_ssm::config::timeout::TimeoutConfig;
use aws_sdk_ssm::error::ProvideErrorMetadata;
use aws_sdk_ssm::types::{ParameterMetadata, ParameterStringFilter, ParameterTier, ParameterType};
use lambda_session::secrets::ssm;
use zeroize::Zeroizing;

use crate::keys::trouble::{self, Deed};
use crate::output::Failure;

/// What a standard and an advanced parameter hold (AWS, Parameter Store quotas).
const STANDARD_BYTES: usize = 4096;
const ADVANCED_BYTES: usize = 8192;
/// A call that takes longer is given up, with all its attempts: what became of it, `keys list` shows.
const CALL_WITHIN: Duration = Duration::from_secs(10);
/// How long to wait before a write that SSM throttled is sent again.
const PAUSES: [Duration; 3] = [Duration::from_millis(200), Duration::from_millis(400), Duration::from_millis(800)];

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
    /// Why how it is kept cannot be seen, where that is so.
    unseen: Option<String>,
}

impl Parameter {
    /// In this region, where one is given, else in that of AWS's own settings.
    pub(crate) async fn open(name: &str, region: Option<String>) -> Result<Self, Failure> {
        let client = ssm::client().await;
        let region = region.map(Region::new).or_else(|| client.config().region().cloned());
        if region.as_ref().is_none_or(|region| region.as_ref().trim().is_empty()) {
            return Err(Failure::Environment("no region is set: set AWS_REGION, or one in AWS's config file".into()));
        }
        let timeouts = TimeoutConfig::builder().operation_timeout(CALL_WITHIN).build();
        let retries = RetryConfig::standard().with_max_attempts(4).with_initial_backoff(PAUSES[0]);
        let config = client.config().to_builder().region(region).retry_config(retries).timeout_config(timeouts).build();
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
            Err(error) => return Err(trouble::of(&self.name, Deed::Read, CALL_WITHIN, &error)),
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
                unseen: None,
            }),
            (found, Some(_)) => {
                let unseen = Some(found.err().unwrap_or_else(|| "SSM shows none".into()));
                Ok(Manner { unseen, ..Manner::first(kms_key) })
            }
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
        let call = call.set_description(manner.description.clone()).set_allowed_pattern(manner.allowed_pattern.clone());
        // A write that is sent twice would look like somebody else's: only one that was refused unread is sent again.
        let once = aws_sdk_ssm::config::Config::builder().retry_config(RetryConfig::disabled());
        let mut pauses = PAUSES.into_iter();
        loop {
            match call.clone().customize().config_override(once.clone()).send().await {
                Ok(answer) => return Ok(Some(answer.version)),
                Err(error) if error.code() == Some("ParameterAlreadyExists") => return Ok(None),
                Err(error) => match pauses.next().filter(|_| error.code().is_some_and(|code| code.contains("Throttl")))
                {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Err(trouble::of(&self.name, Deed::Write, CALL_WITHIN, &error)),
                },
            }
        }
    }
}

impl Manner {
    /// For a parameter that is not there yet.
    pub(crate) fn first(kms_key: Option<&str>) -> Self {
        Self { kms_key: kms_key.map(str::to_owned), ..Self::default() }
    }

    /// What a write does that cannot say how the parameter is kept.
    pub(crate) fn warning(&self) -> Option<String> {
        let why = self.unseen.as_ref()?;
        Some(format!(
            "its tier, description and allowed pattern cannot be seen ({why}), and this write leaves them to SSM: allow \
             ssm:DescribeParameters to keep them"
        ))
    }

    /// How much it holds.
    pub(crate) fn limit_bytes(&self) -> usize {
        if self.tier == Some(ParameterTier::Advanced) { ADVANCED_BYTES } else { STANDARD_BYTES }
    }
}
