//! Runs seeds: each on a thread and a runtime of its own, as many at once as there are cores.

use std::{
    ops::Range,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
};

use tokio::task::LocalSet;
use tracing_subscriber::fmt;

use crate::world;

/// One finished run.
pub struct Finished {
    pub digest: u64,
    pub faults: Vec<String>,
    pub trace: String,
    pub commands: usize,
}

/// Runs one seed.
pub fn run(seed: u64) -> Finished {
    let running = thread::Builder::new().name(format!("seed-{seed}")).spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime without I/O");
        let local = LocalSet::new();
        local.block_on(&runtime, async move {
            let mut guard = None;
            let report = world::run(seed, |trace| {
                let subscriber =
                    fmt().with_ansi(false).without_time().with_writer(trace.log_writer()).finish();
                guard = Some(tracing::subscriber::set_default(subscriber));
            })
            .await;
            drop(guard);
            let trace = report.trace.text();
            Finished {
                digest: report.digest,
                faults: report.faults,
                trace,
                commands: report.commands,
            }
        })
    });
    let ended = running.expect("a thread").join();
    ended.unwrap_or_else(|_| Finished {
        digest: 0,
        faults: vec!["the run panicked: its message is above".to_owned()],
        trace: String::new(),
        commands: 0,
    })
}

/// Runs many seeds, until the first that fails if `stop` says so. Returns a description of each
/// that failed.
pub fn many(seeds: Range<u64>, stop: bool, finished: impl Fn(&Finished) + Sync) -> Vec<String> {
    let (next, failed) = (AtomicU64::new(seeds.start), Mutex::new(Vec::new()));
    let cores = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, SeqCst);
                    if seed >= seeds.end || stop && !failed.lock().unwrap().is_empty() {
                        return;
                    }
                    let run = run(seed);
                    finished(&run);
                    if !run.faults.is_empty() {
                        failed.lock().unwrap().push(describe(seed, &run));
                    }
                }
            });
        }
    });
    failed.into_inner().unwrap()
}

fn describe(seed: u64, run: &Finished) -> String {
    let first: Vec<&str> = run.faults.iter().take(3).map(|fault| shorten(fault)).collect();
    format!(
        "seed {seed}: {} faults; the trace: make simulate SEED={seed}\n  {}",
        run.faults.len(),
        first.join("\n  ")
    )
}

fn shorten(text: &str) -> &str {
    text.char_indices().nth(400).map_or(text, |(end, _)| &text[..end])
}
