//! The thread of the attackers, apart from that of the neighbour.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::{
    process::setpriority_process,
    time::{ClockId, clock_gettime},
};
use tokio::runtime::Runtime;

use super::{Attack, Siege};

/// The lowest priority.
const NICE: i32 = 19;

/// Running attackers, on a thread of their own.
pub struct Attackers {
    runtime: Runtime,
    /// The CPU time of the thread. It is known once the thread has ended.
    used: Arc<Mutex<Duration>>,
}

impl Attackers {
    /// Starts an attack with so many connections.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(attack: Attack, siege: &Arc<Siege>, connections: usize) -> Result<Self> {
        let used = Arc::new(Mutex::new(Duration::ZERO));
        let note = used.clone();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .on_thread_start(|| {
                // On Linux this is the priority of the thread, not of the process.
                let _ = setpriority_process(None, NICE);
            })
            .on_thread_stop(move || {
                let time = clock_gettime(ClockId::ThreadCPUTime);
                let time = Duration::new(
                    time.tv_sec.unsigned_abs(),
                    u32::try_from(time.tv_nsec).unwrap_or(0),
                );
                *note.lock().unwrap_or_else(PoisonError::into_inner) += time;
            })
            .build()
            .context("start the thread of the attackers")?;
        for _ in 0..connections {
            runtime.spawn(attack.run(siege.clone()));
        }
        Ok(Self { runtime, used })
    }

    /// Ends the attack. Returns the CPU time that it took of this machine.
    pub fn stop(self) -> Duration {
        // Blocking for an instant is fine: the tasks end where they next wait.
        let Self { runtime, used } = self;
        std::thread::spawn(move || drop(runtime)).join().unwrap_or_default();
        *used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
