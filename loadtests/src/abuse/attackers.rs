//! The thread of the attackers, apart from that of the neighbour.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::{
    process::setpriority_process,
    time::{ClockId, clock_gettime},
};
use tokio::{sync::oneshot, task::LocalSet};

use super::{Attack, Siege};
use crate::cores;

/// The lowest priority.
const NICE: i32 = 19;

/// Running attackers, on a thread of their own.
pub struct Attackers {
    stop: oneshot::Sender<()>,
    /// Returns the CPU time of the thread.
    thread: JoinHandle<Duration>,
}

impl Attackers {
    /// Starts an attack with so many connections, on this core if one is given.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(
        attack: Attack,
        siege: &Arc<Siege>,
        connections: usize,
        core: Option<usize>,
    ) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("start the thread of the attackers")?;
        let (stop, stopped) = oneshot::channel();
        let siege = siege.clone();
        let thread = thread::spawn(move || {
            core.into_iter().for_each(cores::pin);
            // On Linux this is the priority of the thread, not of the process.
            let _ = setpriority_process(None, NICE);
            let tasks = LocalSet::new();
            for _ in 0..connections {
                tasks.spawn_local(attack.run(siege.clone()));
            }
            // An error means that the owner of the attack is gone.
            let _ = tasks.block_on(&runtime, stopped);
            let time = clock_gettime(ClockId::ThreadCPUTime);
            Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
        });
        Ok(Self { stop, thread })
    }

    /// Ends the attack. Returns the CPU time that it took of this machine.
    pub fn stop(self) -> Duration {
        // An error says that the thread has ended by a panic, which is reported by then.
        let _ = self.stop.send(());
        // Blocking for an instant is fine: the tasks end where they next wait.
        self.thread.join().unwrap_or_default()
    }
}
