//! CPU and memory of the server's processes, from `/proc`.

use std::{fs, time::Duration};

/// One reading of one process.
#[derive(Clone, Copy)]
pub struct Usage {
    /// User and system time since the start, including exited threads, in ticks of 10 ms.
    pub cpu: Duration,
    pub rss_kib: u64,
}

/// The watched processes with their first readings.
pub struct WatchedProcesses(Vec<(u32, String, Option<Usage>)>);

/// The CPU and memory that one process used during a measurement.
pub struct ProcessUsage {
    pub pid: u32,
    pub name: String,
    pub cpu_ms: f64,
    pub rss_kib: u64,
    pub rss_grew_kib: i64,
}

impl Usage {
    /// `None` when the process does not exist.
    #[must_use]
    pub fn read(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may have spaces. The times are the 12th and 13th fields after it.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks: u64 =
            fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        let per_second = rustix::param::clock_ticks_per_second();
        let cpu = Duration::from_secs_f64(ticks as f64 / per_second as f64);
        Some(Self { cpu, rss_kib: rss_kib(pid)? })
    }
}

fn rss_kib(pid: u32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    if let Some(line) = rollup.lines().find_map(|line| line.strip_prefix("Rss:")) {
        return line.trim().strip_suffix("kB")?.trim().parse().ok();
    }
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64 / 1024)
}

impl WatchedProcesses {
    /// Takes the first reading.
    #[must_use]
    pub fn start(pids: &[u32]) -> Self {
        let read = |pid: &u32| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm"))
                .unwrap_or_else(|_| "gone".to_owned());
            (*pid, name.trim().to_owned(), Usage::read(*pid))
        };
        Self(pids.iter().map(read).collect())
    }

    /// The usage of each process since the first reading. Ended processes are left out.
    #[must_use]
    pub fn used(&self) -> Vec<ProcessUsage> {
        let since = |(pid, name, before): &(u32, String, Option<Usage>)| {
            let (before, after) = ((*before)?, Usage::read(*pid)?);
            let cpu_ms = after.cpu.saturating_sub(before.cpu).as_secs_f64() * 1e3;
            let rss_grew_kib = after.rss_kib.cast_signed() - before.rss_kib.cast_signed();
            Some(ProcessUsage {
                pid: *pid,
                name: name.clone(),
                cpu_ms,
                rss_kib: after.rss_kib,
                rss_grew_kib,
            })
        };
        self.0.iter().filter_map(since).collect()
    }
}

/// The CPU time of this process. A swarm that is always busy measures itself.
#[must_use]
pub fn own_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
