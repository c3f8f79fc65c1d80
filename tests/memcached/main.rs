//! The memcached client against real servers, and against listeners that do harm.
//!
//! The scenarios are those of memcached.md, section 6; files with an ending are unit tests under `src/memcached/`.
//!
//! | # | where |
//! | --- | --- |
//! | 1 | cancel, sessions |
//! | 2 | cut |
//! | 3 | cut |
//! | 4 | outage, nodes |
//! | 5 | outage |
//! | 6 | fault |
//! | 7 | cut, fault |
//! | 8 | freeze; fault (the runtime is blocked) |
//! | 9 | fault |
//! | 10 | fault, replaced, cluster/tests.rs |
//! | 11 | fault, sessions |
//! | 12 | fault, flood, protocol/reply/tests.rs |
//! | 13 | fault, real |
//! | 14 | real, sessions |
//! | 15 | real, key.rs |
//! | 16 | outage (by what is sent) |
//! | 17 | real, sessions |
//! | 18 | real, sessions |
//! | 19 | real, sessions |
//! | 20 | cut, fault, settle.rs |
//! | 21 | discovery |
//! | 22 | discovery, flood, cluster/tests.rs, protocol/list.rs |
//! | 23 | discovery, replaced, nodes, cluster/tests.rs |
//! | 24 | outage |
//! | 25 | outage, nodes |
//! | 26 | outage, sessions |
//! | 27 | outage |
//! | 28 | outage (500 environments), tls (resumption) |
//! | 29 | tls |
//! | 30 | key.rs |
//! | 31 | real |
//! | 32 | fault (by a listener; Debian's 1.6.18 is real) |
//! | 33 | tls, discovery |
//! | 34 | real, fault |

mod cancel;
mod counted;
mod cut;
mod discovery;
mod fault;
mod flood;
mod freeze;
mod nodes;
mod outage;
mod real;
mod replaced;
mod sessions;
#[path = "../support/mod.rs"]
mod shared;
#[allow(dead_code, reason = "shared with other tests")]
mod support;
mod tls;
#[allow(dead_code, reason = "shared with tests/faults")]
mod visits;
