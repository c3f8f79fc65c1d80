//! What SSM's trouble means: whether it may pass, and what the operator can do.

use std::{error::Error as StdError, time::Duration};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ssm::error::{ProvideErrorMetadata, SdkError};

use crate::secrets::parameter::ParameterName;
use crate::{Error, ErrorKind};

/// How much of a service's own message is repeated; AWS's name the role and the action in some 300 characters.
const MESSAGE_LIMIT: usize = 400;

/// Codes that mean trouble which stays until somebody acts, with the way out. From the errors of GetParameter and
/// GetParameters in SSM's API reference, and from "common error types" there. Every other code with a 4xx status stays
/// too, for AWS uses 4xx for what a repetition does not mend; [`PASSING`] are the exceptions.
const STAYING: [(&str, Remedy); 18] = [
    ("AccessDenied", Remedy::Permission),
    ("AccessDeniedException", Remedy::Permission),
    ("NotAuthorized", Remedy::Permission),
    ("OptInRequired", Remedy::Permission),
    ("ParameterNotFound", Remedy::Parameter),
    ("ParameterVersionNotFound", Remedy::Version),
    ("InvalidKeyId", Remedy::Key),
    ("ExpiredToken", Remedy::Credentials),
    ("ExpiredTokenException", Remedy::Credentials),
    ("IncompleteSignature", Remedy::Credentials),
    ("IncompleteSignatureException", Remedy::Credentials),
    ("InvalidClientTokenId", Remedy::Credentials),
    ("InvalidSignatureException", Remedy::Credentials),
    ("MissingAuthenticationToken", Remedy::Credentials),
    ("MissingAuthenticationTokenException", Remedy::Credentials),
    ("SignatureDoesNotMatch", Remedy::Credentials),
    ("UnrecognizedClientException", Remedy::Credentials),
    ("ValidationException", Remedy::Parameter),
];

/// Codes with a 4xx status that may pass all the same, besides throttling under any name: too many calls, slow ones, and a
/// clock that is set right again.
const PASSING: [&str; 13] = [
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestAbortedException",
    "RequestExpired",
    "RequestLimitExceeded",
    "RequestTimeTooSkewed",
    "RequestTimeout",
    "RequestTimeoutException",
    "SlowDown",
    "TooManyRequestsException",
    "TransactionInProgressException",
];

/// How a message begins by which SSM says that our clock is wrong, under the same code as a wrong key.
const WRONG_CLOCK: [&str; 2] = ["Signature expired", "Signature not yet current"];

/// What mends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remedy {
    Credentials,
    Key,
    Parameter,
    Permission,
    Version,
    Unknown,
}

/// What becomes of an error by its code, status and message: `None` when it may pass.
fn remedy(code: Option<&str>, status: u16, message: &str) -> Option<Remedy> {
    // Without a code it was not SSM that spoke, or not clearly.
    let code = code?;
    let is_ours = (400..500).contains(&status) && status != 408 && status != 429;
    let is_clock = WRONG_CLOCK.iter().any(|start| message.starts_with(start));
    if !is_ours || is_clock || code.contains("Throttl") || PASSING.contains(&code) {
        return None;
    }
    Some(STAYING.iter().find(|(known, _)| *known == code).map_or(Remedy::Unknown, |(_, remedy)| *remedy))
}

impl Remedy {
    fn text(self, action: &str) -> String {
        match self {
            Self::Credentials => "; give the function valid AWS credentials".into(),
            Self::Key => "; enable the KMS key that encrypts it, or put it anew under another".into(),
            Self::Parameter => "; correct the name, or make it with `lambda-session keys init`".into(),
            Self::Permission => format!("; allow the function's role {action} on it and kms:Decrypt on its key"),
            Self::Version => "; correct the version or the label behind the colon".into(),
            Self::Unknown => String::new(),
        }
    }
}

/// The error of a call of the action to read these parameters.
pub(super) fn of<E>(names: &[ParameterName], action: &str, error: &SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let what = match error {
        SdkError::ServiceError(answer) => {
            let (meta, status) = (answer.err().meta(), answer.raw().status().as_u16());
            let message = meta.message().unwrap_or_default();
            return match (meta.code(), remedy(meta.code(), status, message)) {
                (Some(code), Some(remedy)) => {
                    let way_out = remedy.text(action);
                    staying(names, &format!("SSM answers {}{way_out}", shown(code))).with_source(shown(message))
                }
                (Some(code), None) => {
                    passing(names, &format!("SSM answers {status} {}", shown(code))).with_source(shown(message))
                }
                (None, _) => passing(names, &format!("SSM's answer of status {status} is not understood")),
            };
        }
        // Its text may repeat what was received.
        SdkError::ResponseError(_) => return passing(names, "SSM's answer is not understood or not whole"),
        SdkError::TimeoutError(_) => return passing(names, "SSM gives no answer in time"),
        SdkError::DispatchFailure(_) => "SSM cannot be reached",
        _ => "the call of SSM cannot be made",
    };
    let causes = causes(error);
    match cause(error) {
        Some(CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_)) => staying(
            names,
            "there are no AWS credentials; give the function a role, or set them up as for every AWS tool",
        ),
        Some(_) => passing(names, "no AWS credentials could be had"),
        None => passing(names, what),
    }
    .with_source(causes)
}

/// The names that SSM calls invalid: not there, or not to be read under that version or label.
pub(super) fn invalid(names: &[ParameterName], invalid: &[String]) -> Error {
    let invalid: Vec<String> = invalid.iter().map(|name| shown(name)).collect();
    staying(names, &format!("SSM has no parameter {}{}", invalid.join(", "), Remedy::Parameter.text("")))
}

/// Only a SecureString is encrypted where it is kept (security.md, SS3).
pub(super) fn wrong_type(name: &ParameterName, found: &str) -> Error {
    let found = shown(found);
    Error::new(
        ErrorKind::Config,
        format!(
            "the SSM parameter {name} is a {found}, which SSM keeps unencrypted: put it anew as a SecureString, with fresh secrets"
        ),
    )
}

pub(super) fn misunderstood(names: &[ParameterName], why: &str) -> Error {
    passing(names, &format!("SSM's answer is not understood: {why}"))
}

pub(super) fn late(names: &[ParameterName], after: Duration) -> Error {
    let after = after.as_millis();
    passing(names, &format!("no answer in {after} ms; in a VPC, SSM needs an interface endpoint or a NAT gateway"))
}

pub(super) fn no_region(names: &[ParameterName]) -> Error {
    staying(names, "there is no AWS region; set AWS_REGION")
}

fn staying(names: &[ParameterName], why: &str) -> Error {
    Error::new(ErrorKind::Config, message(names, why))
}

fn passing(names: &[ParameterName], why: &str) -> Error {
    Error::new(ErrorKind::Unavailable, message(names, why))
}

fn message(names: &[ParameterName], why: &str) -> String {
    let list: Vec<&str> = names.iter().map(ParameterName::as_str).collect();
    let noun = if list.len() == 1 { "parameter" } else { "parameters" };
    format!("cannot read the secrets from the SSM {noun} {}: {why}", list.join(", "))
}

/// What a service wrote: one line of plain characters, cut.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_bidi(c) { ' ' } else { c }).take(MESSAGE_LIMIT).collect()
}

/// What would show the text behind it in another order.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// All that stands behind an error of the connection or the credentials, on one line.
fn causes(error: &(dyn StdError + 'static)) -> String {
    let texts: Vec<String> =
        std::iter::successors(error.source(), |error| (*error).source()).map(ToString::to_string).collect();
    shown(&texts.join(": "))
}

fn cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a CredentialsError> {
    std::iter::successors(error.source(), |error| (*error).source()).find_map(|error| error.downcast_ref())
}
