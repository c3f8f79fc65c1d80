//! One core for everything: on a virtual machine a wake-up that crosses cores costs more than what is measured here.

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

/// Moves this thread, and so every later thread and child, to the last core; which that is.
pub fn pin() -> nix::Result<usize> {
    let all = sched_getaffinity(Pid::from_raw(0))?;
    // The first core is where a machine's interrupts and chores gather.
    let last = (0..CpuSet::count()).rev().find(|core| all.is_set(*core).unwrap_or(false)).ok_or(nix::Error::EINVAL)?;
    let mut one = CpuSet::new();
    one.set(last)?;
    sched_setaffinity(Pid::from_raw(0), &one)?;
    Ok(last)
}
