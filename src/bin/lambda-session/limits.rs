//! What Lambda and its gateways take, each with its source.

use std::time::Duration;

/// What Lambda takes as an event: 6 MiB (Lambda quotas, synchronous invocation).
pub(crate) const EVENT_LIMIT_BYTES: usize = 6 * 1024 * 1024;

/// What Lambda takes as an answer: 6 MiB and 100 bytes (its own error message names this number).
pub(crate) const ANSWER_LIMIT_BYTES: usize = 6_291_556;

/// What an Application Load Balancer sends and takes: 1 MiB (Lambda functions as targets, limits).
pub(crate) const ALB_LIMIT_BYTES: usize = 1024 * 1024;

/// What Lambda gives a function for its start (runtime environment lifecycle, init phase).
pub(crate) const START_LIMIT: Duration = Duration::from_secs(10);
