//! The work that is due, as a ledger puts it and queries read what came of it. Whoever takes a run takes any that waits: the
//! suite needs a ledger of its own.

mod desk;
mod ends;
mod leases;
mod turns;

use gateway::backends::queries::Queries;
use processors::{ledger::Ledger, work::Work};

use desk::Desk;

/// What stands behind the backend, and beside it.
#[derive(Clone, Copy)]
pub struct Sides<'a> {
    pub work: &'a dyn Work,
    /// Puts runs among the work, as a runner does.
    pub ledger: &'a dyn Ledger,
    pub queries: &'a dyn Queries,
}

/// # Panics
/// When the work breaks a promise.
pub async fn suite(sides: Sides<'_>) {
    let mut desk = Desk::open(sides).await;
    sides.work.keep_days().await.expect("room is made for findings");
    sides.work.keep_days().await.expect("again is harmless");
    turns::suite(&mut desk).await;
    leases::suite(&mut desk).await;
    ends::suite(&mut desk).await;
}
