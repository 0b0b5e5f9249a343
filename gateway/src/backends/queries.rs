//! The authority (PostgreSQL), by a closed list of reads.

#[cfg(test)]
pub(crate) mod fake;

use std::ops::Range;

use schemas::{
    Millis,
    audit::{AuditEntry, PersonKey},
    command::CommandOutcome,
    finding::Finding,
    history::Stay,
    identity::CommandIdentity,
    ids::{Aggregate, EventId, Fingerprint, LocationId, RuleId, RunId, TenantId, WebhookId},
    rule::Severity,
    run::{RunHead, RunState},
    view::View,
};
use serde_json::value::RawValue;

use crate::{
    BoxFuture,
    backends::{
        history::{Figures, FiguresQuery, HistoryQuery},
        snapshots::NotRead,
    },
};

/// The outcome of a command as the authority keeps it.
#[derive(Clone, PartialEq)]
pub struct RecordedOutcome {
    /// The aggregate that decided the command.
    pub aggregate: Aggregate,
    /// The content of the command.
    pub fingerprint: Option<Fingerprint>,
    /// The outcome.
    pub outcome: CommandOutcome,
}

impl RecordedOutcome {
    /// Whether the command has this fingerprint. Any fits where one of the two is not known.
    pub fn has_fingerprint(&self, fingerprint: Option<Fingerprint>) -> bool {
        match (self.fingerprint, fingerprint) {
            (Some(held), Some(other)) => held == other,
            _ => true,
        }
    }
}

/// One run of a list.
#[derive(Clone)]
pub struct ListedRun {
    /// The run.
    pub run: RunId,
    /// The entry of the run.
    pub head: RunHead,
}

/// Selects runs of a tenant, newest first.
#[derive(Clone, Default)]
pub struct RunsQuery {
    /// Only runs in this state.
    pub state: Option<RunState>,
    /// Only runs whose id has this owner's tag.
    pub owner: Option<u64>,
    /// Only runs listed after this one.
    pub after: Option<(Millis, RunId)>,
    /// Most rows of the answer.
    pub limit: u32,
}

/// Selects findings of a run's last attempt, in list order.
#[derive(Clone, Default)]
pub struct FindingsQuery {
    /// Only findings of these severities; all when empty.
    pub severities: Vec<Severity>,
    /// Only findings of this rule.
    pub rule: Option<RuleId>,
    /// Only findings listed after this place.
    pub after: Option<FindingPlace>,
    /// Most rows of the answer.
    pub limit: u32,
}

/// The place of a finding in the list of its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FindingPlace {
    /// The order of the finding by severity, amount and row ([`Finding::sort_key`]).
    pub place: i64,
    /// The number of the finding in its run, which tells equal places apart.
    pub n: i32,
}

/// Findings with their places, in list order.
pub type FindingsPage = Vec<(FindingPlace, Finding)>;

/// Selects entries of a tenant's audit, newest first.
#[derive(Clone)]
pub struct AuditQuery {
    /// Only entries that the log appended in this time.
    pub logged: Range<Millis>,
    /// Only entries after this one in the list, which are older.
    pub after: Option<AuditPlace>,
    /// Only entries that name a ticket or an appointment of this person.
    pub person: Option<[PersonKey; 3]>,
    /// Only entries of this subject.
    pub subject: Option<String>,
    /// Only entries of this action.
    pub action: Option<String>,
    /// Most entries of the answer.
    pub limit: u32,
}

impl AuditQuery {
    /// Whether the list has the row, whatever its length.
    pub fn selects(&self, row: &AuditRow) -> bool {
        let AuditRow { place, entry } = row;
        let is_asked =
            |asked: &Option<String>, text: &str| asked.as_deref().is_none_or(|asked| asked == text);
        let names = |keys: &[PersonKey; 3]| {
            entry
                .what
                .iter()
                .filter_map(|name| PersonKey::of_name(name))
                .any(|it| keys.contains(&it))
        };
        self.logged.contains(&place.logged_at)
            && self.after.is_none_or(|after| *place < after)
            && self.person.as_ref().is_none_or(names)
            && is_asked(&self.subject, &entry.subject)
            && is_asked(&self.action, &entry.action)
    }
}

/// The place of an entry in the audit of its tenant. Later entries have greater places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuditPlace {
    /// When the log appended the entry.
    pub logged_at: Millis,
    /// The number of the entry in the chain of its tenant, from 1 on.
    pub number: u64,
}

/// One entry of a list.
#[derive(Clone)]
pub struct AuditRow {
    /// Where the entry stands, so that the next page can start after it.
    pub place: AuditPlace,
    /// The entry as it was written.
    pub entry: AuditEntry,
}

/// The queue of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookQueue {
    /// The webhook.
    pub webhook: WebhookId,
    /// Deliveries that wait, as of the last count, some seconds ago.
    pub pending: u64,
    /// Attempts that failed since the last success.
    pub failures: u32,
}

/// Selects deliveries of a webhook, newest event first.
#[derive(Debug, Clone)]
pub struct DeliveriesQuery {
    /// The webhook.
    pub webhook: WebhookId,
    /// Only deliveries in this state: `pending`, `sent` or `dead`.
    pub state: Option<&'static str>,
    /// Only deliveries after this one in the list, which are older.
    pub after: Option<DeliveryPlace>,
    /// Most rows of the answer.
    pub limit: u32,
}

/// The place of a delivery in the list of its webhook: the number of its event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeliveryPlace(pub i64);

/// One delivery of a list.
#[derive(Clone)]
pub struct ListedDelivery {
    /// The place of the delivery in the list.
    pub place: DeliveryPlace,
    /// The event.
    pub event: EventId,
    /// The kind of the event.
    pub kind: String,
    /// When the event was decided.
    pub at: Millis,
    /// `pending`, `sent` or `dead`.
    pub state: String,
    /// When it is tried next, while it is pending.
    pub next_at: Option<Millis>,
    /// The attempts, as their sender wrote them: an array in JSON.
    pub attempts: Box<RawValue>,
}

/// The authority (PostgreSQL), as a gateway reads it.
pub trait Queries: Send + Sync + 'static {
    /// Reads a view from the authority, when the view store lost it or is behind.
    fn view<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        view: &'a str,
    ) -> BoxFuture<'a, Result<Option<View>, NotRead>>;

    /// The connections by state, for metrics. An authority in memory has none.
    fn connections(&self) -> Option<[(&'static str, usize); 4]> {
        None
    }

    /// Reads of which aggregates the view store may lack steps, because it did not take them: at
    /// most `most`, with repeats. Of all tenants, since the node asks for itself.
    fn lagging(&self, most: u32) -> BoxFuture<'_, Result<Vec<Aggregate>, NotRead>>;

    /// Reads the outcome of a command.
    fn outcome<'a>(
        &'a self,
        command: &'a CommandIdentity,
    ) -> BoxFuture<'a, Result<Option<RecordedOutcome>, NotRead>>;

    /// Lists the kept runs, newest first.
    fn runs<'a>(
        &'a self,
        tenant: &'a TenantId,
        asked: &'a RunsQuery,
    ) -> BoxFuture<'a, Result<Vec<ListedRun>, NotRead>>;

    /// Lists findings of a completed run; `None` when there is no such run (any more).
    fn findings<'a>(
        &'a self,
        tenant: &'a TenantId,
        run: &'a RunId,
        asked: &'a FindingsQuery,
    ) -> BoxFuture<'a, Result<Option<FindingsPage>, NotRead>>;

    /// Whether the authority has a view or a run of the tenant.
    fn has_tenant<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<bool, NotRead>>;

    /// The number of locations of a tenant, or `None` if this one is among them.
    fn other_locations<'a>(
        &'a self,
        tenant: &'a TenantId,
        location: &'a LocationId,
    ) -> BoxFuture<'a, Result<Option<u32>, NotRead>>;

    /// Reads the queues of a tenant's webhooks.
    fn webhook_queues<'a>(
        &'a self,
        tenant: &'a TenantId,
    ) -> BoxFuture<'a, Result<Vec<WebhookQueue>, NotRead>>;

    /// Lists deliveries of a webhook, newest event first.
    fn webhook_deliveries<'a>(
        &'a self,
        tenant: &'a TenantId,
        asked: &'a DeliveriesQuery,
    ) -> BoxFuture<'a, Result<Vec<ListedDelivery>, NotRead>>;

    /// Lists entries of a tenant's audit, newest first.
    fn audit<'a>(
        &'a self,
        tenant: &'a TenantId,
        asked: &'a AuditQuery,
    ) -> BoxFuture<'a, Result<Vec<AuditRow>, NotRead>>;

    /// Lists stays of a tenant's tickets, newest first.
    fn history<'a>(
        &'a self,
        tenant: &'a TenantId,
        asked: &'a HistoryQuery,
    ) -> BoxFuture<'a, Result<Vec<Stay>, NotRead>>;

    /// Reads the figures of a location.
    fn figures<'a>(
        &'a self,
        tenant: &'a TenantId,
        asked: &'a FiguresQuery,
    ) -> BoxFuture<'a, Result<Figures, NotRead>>;
}
