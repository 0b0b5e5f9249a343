//! Kills the processor in the middle of a run, and starts it again.

use std::{fs, fs::File, path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context, Result};
use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{process::Command, time::sleep};

use crate::report::say;

/// The settings of an outage.
#[derive(Args, Clone)]
pub struct OutageArgs {
    /// Kill the processor with SIGKILL after this many calls.
    #[arg(long, requires_all = ["processor_pid", "restart_cmd"])]
    kill_after: Option<usize>,
    /// Process to kill.
    #[arg(long)]
    processor_pid: Option<u32>,
    /// Shell command that starts it again. The process outlives the swarm.
    #[arg(long)]
    restart_cmd: Option<String>,
    /// File for the output of the restarted process.
    #[arg(long, default_value = "/dev/null")]
    restart_log: PathBuf,
}

/// A requested outage.
#[derive(Clone)]
pub struct Outage {
    pub after: usize,
    pid: u32,
    command: String,
    log: PathBuf,
}

impl OutageArgs {
    /// The outage, if one was requested.
    #[must_use]
    pub fn outage(self) -> Option<Outage> {
        let (after, pid, command) = (self.kill_after?, self.processor_pid?, self.restart_cmd?);
        Some(Outage { after, pid, command, log: self.restart_log })
    }
}

impl Outage {
    /// Kills the process, waits for its end, and starts the command. Returns the pid of the shell,
    /// or of the program when the command begins with `exec`.
    ///
    /// # Errors
    /// When the process does not exist, or the command cannot be started.
    pub async fn strike(&self) -> Result<u32> {
        let pid = i32::try_from(self.pid)
            .ok()
            .and_then(Pid::from_raw)
            .context("a processor pid is positive")?;
        say(&format!("killing process {} …", self.pid));
        kill_process(pid, Signal::KILL).context("kill the processor")?;
        while is_running(self.pid) {
            sleep(Duration::from_millis(2)).await;
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .context("open the restart log")?;
        let child = Command::new("sh")
            .args(["-c", &self.command])
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("share the restart log")?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .context("start the processor again")?;
        let pid = child.id().unwrap_or_default();
        say(&format!("started again as process {pid}"));
        Ok(pid)
    }
}

/// Whether the process exists and is not a zombie.
fn is_running(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}
