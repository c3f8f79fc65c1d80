//! `lambda-session keys` in a program that was built without SSM: it says how to get it.

use crate::output::{Failure, Out};

/// Whatever stands behind `keys`.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _words: Vec<String>,
}

pub(crate) fn run(_: &Arguments, _: &mut Out) -> Result<(), Failure> {
    Err(Failure::Usage(
        "this program was built without SSM; `cargo install lambda-session --features cli,ssm` builds it with".into(),
    ))
}

/// Shown below the help.
pub(crate) const EXAMPLES: &str = "\
This program was built without SSM; with it:
  cargo install lambda-session --features cli,ssm";
