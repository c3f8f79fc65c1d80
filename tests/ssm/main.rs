//! Secrets from SSM over the AWS SDK, against a listener that makes SSM's faults (security.md, SS1 to SS6, SS12; faults F9
//! to F12).
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects
)]

#[cfg(feature = "cli")]
#[path = "../support/authority.rs"]
mod authority;
mod fault;
#[cfg(all(feature = "cli", feature = "axum"))]
mod function;
#[path = "../support/ssm.rs"]
mod listener;
mod outage;
mod read;
mod start;
mod support;
#[cfg(feature = "cli")]
mod tls;
