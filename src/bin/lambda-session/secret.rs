//! `lambda-session secret`: a fresh secret.

use lambda_session::keyring::Secret;
use zeroize::Zeroizing;

use crate::output::{Failure, Out};

/// Prints a fresh secret and nothing else.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Print it as a line for a `.env` file: SECRET_KEY_BASE=…
    #[arg(long)]
    env: bool,
}

pub(crate) fn run(arguments: &Arguments, out: &mut Out) -> Result<(), Failure> {
    let secret = Secret::generate().map_err(|error| Failure::Environment(format!("{error:?}")))?;
    let variable = if arguments.env { "SECRET_KEY_BASE=" } else { "" };
    let line = Zeroizing::new(format!("{variable}{}\n", secret.as_str()));
    out.bytes(line.as_bytes())
}

/// Shown below the help.
pub(crate) const EXAMPLES: &str = "\
Examples:
  (umask 077; lambda-session secret --env >> .env)    a secret for this directory, for your eyes only
  lambda-session secret | pbcopy                      a secret into the clipboard (macOS)

The secret is 43 characters of base64url: 32 bytes from the operating system's random source.";
