#![doc = include_str!("../README.md")]
// The library cannot panic (security.md, AR1); its tests may.
#![cfg_attr(
    not(test),
    warn(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::print_stdout,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

#[cfg(any(feature = "memcached", feature = "ssm"))]
mod addresses;
mod ask;
#[cfg(feature = "axum")]
pub mod axum;
mod commit;
pub mod config;
pub mod cookie;
// Not for users: the fuzz target and the corpus test read text, not files.
#[doc(hidden)]
pub mod dotenv;
mod error;
pub mod inspect;
pub mod keyring;
pub mod lambda;
mod layer;
mod lifetime;
#[cfg(feature = "memcached")]
pub mod memcached;
mod merge;
pub mod metrics;
mod notice;
pub mod random;
pub mod record;
mod seal;
pub mod secrets;
mod service;
mod session;
mod slot;
pub mod store;
mod token;
mod values;
mod visit;
mod wipe;

pub use crate::cookie::{CookieOptions, SameSite};
pub use crate::error::{Error, ErrorKind};
pub use crate::lambda::{run, run_streaming};
pub use crate::layer::{Conflict, SessionLayer};
pub use crate::lifetime::Lifetime;
pub use crate::record::Record;
pub use crate::service::{ResponseFuture, SessionService};
pub use crate::session::{Data, Session};
pub use crate::token::Token;
pub use crate::values::Values;
