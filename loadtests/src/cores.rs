//! Threads on chosen cores, so that a client does not take the CPU of what it measures.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The first two cores that this process may use.
#[must_use]
pub fn first_two() -> Option<(usize, usize)> {
    let allowed = sched_getaffinity(None).ok()?;
    let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
    Some((cores.next()?, cores.next()?))
}

/// Keeps this thread, and the threads and processes that it starts, on one core.
pub fn pin(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    // The core is one that this process may use. When this fails, the figure is noisier.
    let _ = sched_setaffinity(None, &set);
}
