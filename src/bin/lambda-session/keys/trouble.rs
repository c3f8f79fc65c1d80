//! What SSM's trouble means to whoever runs a command: one line, with the way out.

use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ssm::error::{ProvideErrorMetadata, SdkError};

use crate::output::{Failure, one_line};

/// What was tried, and what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Read,
    Write,
}

/// Codes of GetParameter and PutParameter and of "common error types" (SSM's API reference) that somebody can mend.
const WAYS_OUT: [(&str, &str); 14] = [
    ("ExpiredToken", LOG_IN),
    ("ExpiredTokenException", LOG_IN),
    ("InvalidClientTokenId", LOG_IN),
    ("InvalidSignatureException", LOG_IN),
    ("MissingAuthenticationToken", LOG_IN),
    ("SignatureDoesNotMatch", LOG_IN),
    ("UnrecognizedClientException", LOG_IN),
    ("InvalidKeyId", "enable the KMS key that encrypts it, or name another one with --kms-key"),
    ("ParameterPatternMismatchException", "the parameter's allowed pattern must let a ring pass, or be taken away"),
    ("ParameterVersionNotFound", "SSM keeps the last 100 versions"),
    ("ParameterMaxVersionLimitExceeded", "take the label from its oldest version"),
    ("RequestExpired", SET_CLOCK),
    ("RequestTimeTooSkewed", SET_CLOCK),
    ("TooManyUpdates", "somebody else writes it right now: run this again"),
];

const LOG_IN: &str = "the credentials are wrong or have expired: log in again, and see AWS_PROFILE";
const SET_CLOCK: &str = "this machine's clock is wrong: set it";
/// How a message begins by which SSM says that our clock is wrong, under the same code as a wrong key.
const WRONG_CLOCK: [&str; 2] = ["Signature expired", "Signature not yet current"];

/// One line that names the deed, the parameter and the way out. Of what the service says only the code: its messages
/// repeat values that it refuses.
pub(super) fn of<E>(name: &str, deed: Deed, within: Duration, error: &SdkError<E>) -> Failure
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let verb = deed.verb();
    let text = match (error, error.code()) {
        (_, Some("AccessDeniedException")) => {
            let actions = deed.actions();
            format!("may not {verb} parameter {name}: the role needs {actions} on it and on its KMS key")
        }
        (_, Some(code)) => {
            let way_out = way_out(code, error.message().unwrap_or_default());
            let way_out = way_out.map(|way_out| format!("; {way_out}")).unwrap_or_default();
            format!("cannot {verb} parameter {name}: SSM answers {}{way_out}", one_line(code))
        }
        (SdkError::TimeoutError(_), _) => {
            format!("cannot {verb} parameter {name}: no answer within {} s", within.as_secs())
        }
        (SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_), _) => match credentials(error) {
            Some(CredentialsError::CredentialsNotLoaded(_)) => {
                format!("cannot {verb} parameter {name}: there are no AWS credentials; log in, and see AWS_PROFILE")
            }
            Some(_) => format!("cannot {verb} parameter {name}: {}; log in again", one_line(&chain(error))),
            None => format!("cannot {verb} parameter {name}: {}", one_line(&chain(error))),
        },
        _ => format!("cannot {verb} parameter {name}: the answer is not one of SSM's"),
    };
    let may_be_done = deed == Deed::Write && is_open(error);
    let look = if may_be_done { "; it may have been written: `lambda-session keys list` shows it" } else { "" };
    Failure::Environment(format!("{text}{look}"))
}

/// Whether the service may have carried out what it gave no good answer to.
fn is_open<E>(error: &SdkError<E>) -> bool
where
    E: std::error::Error + 'static,
{
    match error {
        SdkError::ConstructionFailure(_) => false,
        SdkError::DispatchFailure(_) => credentials(error).is_none(),
        SdkError::ServiceError(answer) => answer.raw().status().is_server_error(),
        _ => true,
    }
}

fn way_out(code: &str, message: &str) -> Option<&'static str> {
    if WRONG_CLOCK.iter().any(|start| message.starts_with(start)) {
        return Some(SET_CLOCK);
    }
    WAYS_OUT.iter().find(|(known, _)| *known == code).map(|(_, way_out)| *way_out)
}

impl Deed {
    fn verb(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    fn actions(self) -> &'static str {
        match self {
            Self::Read => "ssm:GetParameter and kms:Decrypt",
            Self::Write => "ssm:PutParameter, kms:Encrypt and kms:GenerateDataKey",
        }
    }
}

fn credentials<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a CredentialsError> {
    std::iter::successors(error.source(), |error| error.source()).find_map(|error| error.downcast_ref())
}

/// An error and its causes, without those that say nothing new.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    let mut causes: Vec<_> = causes.collect();
    causes.dedup();
    causes.join(": ")
}
