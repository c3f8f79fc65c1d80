//! In place of sessions in memcached, where this command was built without it: then no setting leads there.

use std::time::{Duration, SystemTime};

use lambda_session::config::Settings;
use lambda_session::{Error, Record};

use crate::environment::Environment;

/// Nothing.
#[derive(Debug, Default)]
pub(crate) struct Kept(());

impl Kept {
    pub(crate) fn of(_: &Settings, _: &Environment) -> Result<Self, Error> {
        Ok(Self(()))
    }

    pub(crate) fn is_somewhere(&self) -> bool {
        false
    }

    pub(crate) async fn look(
        &self,
        _: &str,
        _: &Settings,
        _: SystemTime,
        _: Duration,
    ) -> Result<Option<Record>, String> {
        Err("this command was built without the feature memcached".to_owned())
    }
}
