//! What the documentation says of the repository is so: its links, the tests that it names, the variables, the commands.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod commands;
mod defaults;
mod limits;
mod links;
mod log;
mod metrics;
mod page;
mod readme;
mod samples;
mod sizes;
mod variables;
