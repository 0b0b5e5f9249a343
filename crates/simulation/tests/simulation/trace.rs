//! The trace of one run: what happened, at which simulated time. Two runs of one seed have the same
//! trace.

use std::{
    fmt::{Display, Write as _},
    io,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::time::Instant;

/// Clones add to the same trace.
#[derive(Clone)]
pub struct Trace {
    started: Instant,
    lines: Arc<Mutex<Lines>>,
}

#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    /// The log of the programs, between the lines.
    logged: Vec<String>,
}

impl Trace {
    pub fn start() -> Self {
        Self { started: Instant::now(), lines: Arc::default() }
    }

    pub fn note(&self, who: &str, what: impl Display) {
        let line = format!("{} {who}: {what}", self.now());
        self.lines().lines.push(line);
    }

    fn now(&self) -> String {
        format!("{:>10.3}", self.started.elapsed().as_secs_f64())
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// FNV-1a of all lines.
    pub fn digest(&self) -> u64 {
        let lines = self.lines();
        let bytes = lines.lines.iter().flat_map(|line| line.bytes().chain([b'\n']));
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }

    /// All lines, with those of the logs of the programs in their places.
    pub fn text(&self) -> String {
        let lines = self.lines();
        let mut all: Vec<&String> = lines.lines.iter().chain(&lines.logged).collect();
        // Both begin with the time, and the sort keeps the order of equal times.
        all.sort_by(|one, other| one[..10].cmp(&other[..10]));
        let mut text = String::new();
        all.into_iter().for_each(|line| writeln!(text, "{line}").unwrap());
        text
    }

    /// The lines that the programs logged.
    pub fn logged(&self) -> Vec<String> {
        self.lines().logged.clone()
    }

    /// Takes the log lines of the programs.
    pub fn log_writer(&self) -> impl Fn() -> LogWriter + Send + Sync + use<> {
        let trace = self.clone();
        move || LogWriter(trace.clone())
    }
}

/// Writes log lines into a trace.
pub struct LogWriter(Trace);

impl io::Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = format!("{} log {}", self.0.now(), String::from_utf8_lossy(bytes).trim_end());
        self.0.lines().logged.push(line);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
