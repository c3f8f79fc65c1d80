//! The words of `lambda-session keys`.

use std::path::PathBuf;
use std::time::Duration;

use lambda_session::config::parse_duration;

/// The arguments of `keys`.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    /// Show which keys there are, which one seals, and since when; of NAME:4 those of version 4
    List(List),

    /// Make the parameter, with a first key
    Init(Writing),

    /// Add a key that seals when every environment knows it
    Rotate(Rotate),

    /// Let the key that waits seal as soon as every environment knows it
    Promote(Promote),

    /// Let the key that sealed before seal again
    Rollback(Writing),

    /// Drop keys that have been retired for longer than sessions live
    Prune(Prune),

    /// Drop a key now, and end every session that it sealed
    Revoke(Revoke),

    /// Make the parameter, with the secrets of a .env file
    Import(Import),
}

/// Where the ring is.
#[derive(clap::Args, Debug)]
pub(crate) struct Place {
    /// The parameter, such as /shop/prod/session/keys; SESSION_KEYS_PARAMETER by default
    #[arg(long, value_name = "NAME")]
    pub(crate) parameter: Option<String>,
}

/// What every command takes that writes.
#[derive(clap::Args, Debug)]
pub(crate) struct Writing {
    #[command(flatten)]
    pub(crate) place: Place,

    /// Say what would happen, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// The KMS key to encrypt with, if not the one that the parameter has (or the account's, for a new one)
    #[arg(long, value_name = "ID")]
    pub(crate) kms_key: Option<String>,
}

#[derive(clap::Args, Debug)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) place: Place,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(clap::Args, Debug)]
pub(crate) struct Rotate {
    #[command(flatten)]
    pub(crate) writing: Writing,

    /// When it seals: 13m or later, 15m by default
    #[arg(long = "in", value_name = "TIME", value_parser = time)]
    pub(crate) lead: Option<Duration>,

    /// Let it seal sooner than every environment knows it, at once by default
    #[arg(long)]
    pub(crate) now: bool,
}

#[derive(clap::Args, Debug)]
pub(crate) struct Promote {
    #[command(flatten)]
    pub(crate) writing: Writing,

    /// At once, whether or not every environment knows it
    #[arg(long)]
    pub(crate) now: bool,
}

#[derive(clap::Args, Debug)]
pub(crate) struct Prune {
    #[command(flatten)]
    pub(crate) writing: Writing,

    /// For how long a key must have been retired; SESSION_ABSOLUTE by default, else 12h
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) older_than: Option<Duration>,
}

#[derive(clap::Args, Debug)]
pub(crate) struct Revoke {
    /// The key's id: four hex digits, as `keys list` shows them
    pub(crate) kid: String,

    #[command(flatten)]
    pub(crate) writing: Writing,

    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(clap::Args, Debug)]
pub(crate) struct Import {
    /// A file with SECRET_KEY_BASE and maybe SECRET_KEY_BASE_OLD
    #[arg(default_value = ".env")]
    pub(crate) file: PathBuf,

    #[command(flatten)]
    pub(crate) writing: Writing,
}

impl Command {
    /// Where its ring is.
    pub(crate) fn place(&self) -> &Place {
        match self {
            Self::List(list) => &list.place,
            Self::Init(writing) | Self::Rollback(writing) => &writing.place,
            Self::Rotate(rotate) => &rotate.writing.place,
            Self::Promote(promote) => &promote.writing.place,
            Self::Prune(prune) => &prune.writing.place,
            Self::Revoke(revoke) => &revoke.writing.place,
            Self::Import(import) => &import.writing.place,
        }
    }
}

fn time(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .filter(|time| !time.is_zero() && *time <= LONGEST)
        .ok_or_else(|| "write it as 90s, 15m, 12h or 30d, up to 400d".to_owned())
}

/// As long as the longest session: a key that is to seal later than that is a mistake.
const LONGEST: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// Shown below the help.
pub(crate) const EXAMPLES: &str = "\
Examples:
  export SESSION_KEYS_PARAMETER=/shop/prod/session/keys
  lambda-session keys init                     the first key, in a new SecureString
  lambda-session keys list                     ids, times and states; never a value
  lambda-session keys rotate                   a fresh key, which seals in 15 minutes
  lambda-session keys rotate --dry-run         what that would do
  lambda-session keys prune                    drop what no session needs any more
  lambda-session keys revoke 3f2a              end what this key sealed, now

Each command that writes says first what it does to people's sessions, and writes once.
Region and credentials are taken as every AWS tool takes them (AWS_REGION, AWS_PROFILE, …).
Exit codes: 0 done, 1 refused, or somebody else wrote meanwhile, 2 usage, 3 environment.";
