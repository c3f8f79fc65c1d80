//! Whether there are secrets, and all of them good.

use std::time::{Duration, SystemTime};

use lambda_session::config::{self, Variables};
use lambda_session::keyring::Keyring;
use tokio::time::timeout;

use crate::doctor::check::Check;
use crate::doctor::configuration::told;
use crate::doctor::table::counted;
use crate::environment::Environment;

/// The secrets where the variables say that they are, read once.
pub(crate) async fn examine(environment: &Environment) -> Check {
    match timeout(LIMIT, config::current_keyring(environment)).await {
        Ok(Ok(ring)) => Check::good("secrets", described(&ring, SystemTime::now())),
        Ok(Err(error)) => {
            let is_stored = cfg!(not(feature = "ssm")) && names_parameter(environment);
            let way_out = "`cargo install lambda-session --features cli,memcached,ssm` builds a doctor that reads SSM";
            Check::bad("secrets", told(&error), is_stored.then(|| way_out.to_owned()))
        }
        Err(_) => {
            let way_out = "is there a way from here to SSM: a network, a VPC endpoint, AWS_ENDPOINT_URL_SSM?";
            let finding = format!("SSM gave no answer in {} s", LIMIT.as_secs());
            Check::bad("secrets", finding, Some(way_out.to_owned()))
        }
    }
}

/// The keys by their ids, never a value.
fn described(ring: &Keyring, now: SystemTime) -> String {
    let place = ring.sealing_place(now);
    let (mut sealing, mut opening) = (String::new(), Vec::new());
    for (index, id) in ring.ids().enumerate() {
        if index == place { sealing = id } else { opening.push(id) }
    }
    let others = match opening.len() {
        0 => String::new(),
        1 => format!(", {} opens too", opening.join(", ")),
        _ => format!(", {} open too", opening.join(", ")),
    };
    format!("{}: key {sealing} seals{others}", counted(ring.len(), "secret"))
}

fn names_parameter(environment: &Environment) -> bool {
    let secrets = ["SECRET_KEY_BASE", "SECRET_KEY_BASE_OLD"].map(|name| environment.value(name).unwrap_or_default());
    environment.has("SESSION_KEYS_PARAMETER") || secrets.iter().any(|secret| secret.contains("ssm:"))
}

/// What one attempt has at a function's start.
const LIMIT: Duration = Duration::from_secs(2);
