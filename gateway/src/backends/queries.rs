//! The backend to the authority: a closed list of reads.

use schemas::{
    Millis,
    command::CommandOutcome,
    finding::Finding,
    ids::{Aggregate, CommandId, RuleId, RunId, TenantId},
    rule::Severity,
    run::{RunHead, RunState},
    view::View,
};

use crate::{BoxFuture, backends::snapshots::NotRead};

/// A run as lists show it.
#[derive(Clone)]
pub struct ListedRun {
    pub run: RunId,
    pub head: RunHead,
}

/// Which runs of a tenant, newest first.
#[derive(Clone, Default)]
pub struct RunsAsked {
    pub state: Option<RunState>,
    /// Only runs whose id bears this owner's tag.
    pub owner: Option<u64>,
    /// Only those listed behind this one.
    pub after: Option<(Millis, RunId)>,
    pub limit: u32,
}

/// Which findings of a run's last attempt, in the order they are listed in.
#[derive(Clone, Default)]
pub struct FindingsAsked {
    /// Empty: all.
    pub severities: Vec<Severity>,
    pub rule: Option<RuleId>,
    /// Only those listed behind this place.
    pub after: Option<FindingPlace>,
    pub limit: u32,
}

/// Where a finding stands in its run's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FindingPlace {
    pub place: i64,
    pub n: i32,
}

/// Findings with their places, in the order they are listed in.
pub type FindingsPage = Vec<(FindingPlace, Finding)>;

pub trait Queries: Send + Sync + 'static {
    /// A view as the authority holds it: asked when the store of views lost it or is behind.
    fn view<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        view: &'a str,
    ) -> BoxFuture<'a, Result<Option<View>, NotRead>>;

    /// The outcome of a command this service wrote.
    fn outcome<'a>(
        &'a self,
        tenant: &'a TenantId,
        command: &'a CommandId,
    ) -> BoxFuture<'a, Result<Option<CommandOutcome>, NotRead>>;

    /// Runs that are kept, newest first.
    fn runs<'a>(
        &'a self,
        tenant: &'a TenantId,
        asked: &'a RunsAsked,
    ) -> BoxFuture<'a, Result<Vec<ListedRun>, NotRead>>;

    /// Findings of a run that completed; `None` when there is no such run (any more).
    fn findings<'a>(
        &'a self,
        tenant: &'a TenantId,
        run: &'a RunId,
        asked: &'a FindingsAsked,
    ) -> BoxFuture<'a, Result<Option<FindingsPage>, NotRead>>;
}
