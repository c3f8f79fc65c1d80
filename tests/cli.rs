//! The command `lambda-session`, run as people run it.
#![cfg(all(feature = "cli", unix))]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

#[cfg(feature = "memcached")]
#[path = "memcached/support/mod.rs"]
#[allow(dead_code, unused_imports)]
mod cache;
#[cfg(feature = "memcached")]
#[path = "cli/certificates.rs"]
mod certificates;
#[path = "cli/doctor.rs"]
mod doctor;
#[path = "cli/failures.rs"]
mod failures;
#[path = "cli/inspect.rs"]
mod inspect;
#[path = "cli/invoke.rs"]
mod invoke;
#[cfg(all(feature = "memcached", feature = "axum"))]
#[path = "cli/invoke_memcached.rs"]
mod invoke_memcached;
#[path = "cli/jar.rs"]
mod jar;
#[cfg(feature = "ssm")]
#[path = "cli/keys.rs"]
mod keys;
#[path = "cli/manners.rs"]
mod manners;
#[path = "cli/runtime_api.rs"]
mod runtime_api;
#[path = "cli/secret.rs"]
mod secret;
#[path = "cli/serve.rs"]
mod serve;
#[path = "cli/serve_guard.rs"]
mod serve_guard;
#[path = "cli/serve_page.rs"]
mod serve_page;
#[path = "cli/serve_watch.rs"]
mod serve_watch;
#[path = "cli/serving.rs"]
mod serving;
#[cfg(feature = "ssm")]
#[path = "cli/ssm.rs"]
mod ssm;
#[path = "cli/support.rs"]
mod support;
