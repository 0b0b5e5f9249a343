//! Conformance of the work backend: a ledger adds runs, workers take them, queries read the result.
//! A worker takes any waiting run, so the suite needs a ledger of its own.

mod desk;
mod ends;
mod leases;
mod turns;

use gateway::backends::queries::Queries;
use processors::{ledger::Ledger, work::Work};

use desk::Desk;

/// The backends under test.
#[derive(Clone, Copy)]
pub struct Sides<'a> {
    pub work: &'a dyn Work,
    /// Adds runs to the work, like a runner.
    pub ledger: &'a dyn Ledger,
    pub queries: &'a dyn Queries,
}

/// # Panics
/// When the backend does not conform.
pub async fn suite(sides: Sides<'_>) {
    let mut desk = Desk::open(sides).await;
    sides.work.keep_days().await.expect("room is made for findings");
    sides.work.keep_days().await.expect("again is harmless");
    turns::suite(&mut desk).await;
    leases::suite(&mut desk).await;
    ends::suite(&mut desk).await;
}
