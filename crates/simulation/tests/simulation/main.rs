//! The simulation of the whole: the real gateways and the real processors on backends in memory,
//! with producers, clients and faults, under simulated time. One number is one run. `model.rs` and
//! `check.rs` judge a run by rules of their own.
//!
//! `SEED=42` runs one seed and prints its trace; `SEEDS=10000` runs many (`make simulate`).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod backends;
mod broker;
mod check;
mod client;
mod log;
mod model;
mod nemesis;
mod network;
mod plan;
mod processes;
mod producer;
mod runs;
mod trace;
mod views;
mod world;

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use runs::{many, run};

/// Seeds that every run of the tests has.
const SHORT: u64 = 60;

#[test]
fn every_seed_keeps_the_invariants() {
    let failed = many(0..SHORT, false, |_| {});
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn one_seed_is_one_run() {
    for seed in [1, 7, 23] {
        let (first, second) = (run(seed), run(seed));
        let lines = first.trace.lines().zip(second.trace.lines());
        let differing = lines.clone().find(|(one, other)| one != other);
        assert_eq!(differing, None, "seed {seed} has two traces");
        assert_eq!(first.digest, second.digest);
    }
    assert_ne!(run(1).digest, run(2).digest, "another seed is another run");
}

/// `make simulate`: the seeds from `FROM` on, or the one seed `SEED`.
#[test]
#[ignore = "runs for as long as it is told to"]
fn many_seeds() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    if let Some(seed) = number("SEED") {
        let run = run(seed);
        eprintln!("{}", run.trace);
        assert!(run.faults.is_empty(), "seed {seed}:\n{}", run.faults.join("\n"));
        return;
    }
    let (from, seeds): (u64, u64) = (number("FROM").unwrap_or(0), number("SEEDS").unwrap_or(1_000));
    let (done, commands) = (AtomicU64::new(0), AtomicU64::new(0));
    let stop = std::env::var_os("STOP").is_some();
    let failed = many(from..from + seeds, stop, |run| {
        let commands = commands.fetch_add(run.commands as u64, SeqCst) + run.commands as u64;
        let done = done.fetch_add(1, SeqCst) + 1;
        if done % 100 == 0 || done == seeds {
            eprintln!("{done} of {seeds} seeds, {commands} commands answered");
        }
    });
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
