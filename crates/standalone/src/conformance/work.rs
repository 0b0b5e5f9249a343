//! Conformance of the work backend: a ledger adds runs, workers take them, queries read the result.
//! A worker takes any waiting run, so each promise needs a ledger of its own.

mod desk;
mod ends;
mod leases;
mod turns;

use gateway::backends::queries::Queries;
use processors::{ledger::Ledger, work::Work};

pub use self::{desk::Desk, ends::*, leases::*, turns::*};

/// The backends under test.
#[derive(Clone, Copy)]
pub struct Sides<'a> {
    pub work: &'a dyn Work,
    /// Adds runs to the work, like a runner.
    pub ledger: &'a dyn Ledger,
    pub queries: &'a dyn Queries,
}

/// Calls `$run!` with the names of the promises of the work backend.
#[macro_export]
macro_rules! work_promises {
    ($run:ident) => {
        $run! {
            nothing_due_means_nothing_taken,
            run_is_taken_once_with_its_request,
            runs_of_a_suspended_tenant_wait,
            tenants_take_turns,
            served_tenant_waits_for_others,
            each_place_is_reported_once,
            known_attempt_stays_with_its_worker,
            lost_lease_becomes_new_attempt,
            prolonged_lease_holds,
            worker_learns_of_cancelling,
            ended_run_is_lost_to_its_worker,
            released_run_is_next_attempt_after_pause,
            blameless_release_uses_no_try,
            findings_are_listed_in_order,
            many_findings_are_kept,
            worker_without_lease_leaves_no_finding,
            findings_without_end_are_dropped,
            unpublished_end_is_handed_on,
            failure_ends_without_findings,
            changed_rules_are_read,
            changed_table_is_read,
            file_is_in_use_until_run_ends,
            expired_run_is_forgotten,
        }
    };
}
