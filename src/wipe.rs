//! The stack behind us: ciphers and hashes wipe what they hold when dropped, not the places they were moved from.

use std::hint::black_box;

/// How much of the stack is wiped. Deriving a key goes some 6 KiB deep in a release build, 30 KiB in a debug one; a thread of
/// tokio's has 2 MiB.
const DEPTH_BYTES: usize = 64 * 1024;

/// Does something with keys, then wipes what it left on the stack.
pub(crate) fn then_wiped<T>(deed: impl FnOnce() -> T) -> T {
    let done = apart(deed);
    wipe_stack();
    done
}

/// Overwrites the stack below the caller's frame.
#[inline(never)]
pub(crate) fn wipe_stack() {
    let mut waste = [0_u8; DEPTH_BYTES];
    black_box(&mut waste);
}

/// In a frame of its own, which is gone when the stack is wiped.
#[inline(never)]
fn apart<T>(deed: impl FnOnce() -> T) -> T {
    deed()
}
