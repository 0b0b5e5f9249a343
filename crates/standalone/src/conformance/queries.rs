//! Conformance of the queries: a gateway reads what a ledger wrote.

use gateway::backends::queries::Queries;
use processors::{
    fixtures::{Clinic, issue, opening},
    ledger::Ledger,
};
use schemas::{
    codes::Code,
    command::Verdict,
    ids::{CommandId, TenantId},
};

use super::ledger::{same_view, view_of};

pub async fn view_equals_ledger(ledger: &dyn Ledger, queries: &dyn Queries) {
    let mut clinic = Clinic::new(ledger).await;
    let claim = ledger.claim(clinic.partition()).await.expect("the ledger claims");
    let mut commands = opening();
    commands.extend([issue(1), issue(2)]);
    let batch = clinic.batch(claim, commands);
    ledger.commit(&batch).await.expect("the ledger commits");
    assert!(!batch.views.is_empty());
    for step in &batch.views {
        let read =
            queries.view(&clinic.aggregate, &step.step.view).await.expect("the view is read");
        same_view(&read.expect("the view is there"), &view_of(step));
    }
    let other = Clinic::new(ledger).await;
    let foreign = queries
        .view(&other.aggregate, &batch.views[0].step.view)
        .await
        .expect("the answer is read");
    assert!(foreign.is_none(), "a view belongs to its tenant");
    let unknown = queries
        .view(&clinic.aggregate, "queue:riverside.unknown")
        .await
        .expect("the answer is read");
    assert!(unknown.is_none());
}

pub async fn outcome_is_found_by_tenant_and_command(ledger: &dyn Ledger, queries: &dyn Queries) {
    let mut clinic = Clinic::new(ledger).await;
    let claim = ledger.claim(clinic.partition()).await.expect("the ledger claims");
    let mut commands = opening();
    commands.extend([issue(1), issue(1)]);
    let batch = clinic.batch(claim, commands);
    ledger.commit(&batch).await.expect("the ledger commits");
    let outcome = async |tenant: &TenantId, command: &CommandId| {
        queries.outcome(tenant, command).await.expect("the outcome is read")
    };
    let tenant = clinic.aggregate.tenant();
    for row in &batch.outcomes {
        assert!(outcome(&tenant, &row.outcome.command).await == Some(row.outcome.clone()));
    }
    let last = &batch.outcomes.last().expect("every command has an outcome").outcome;
    assert!(last.verdict == Verdict::Refused { code: Code::TicketExists });
    let stranger = Clinic::new(ledger).await.aggregate.tenant();
    assert!(outcome(&stranger, &last.command).await.is_none(), "an outcome belongs to its tenant");
    assert!(outcome(&tenant, &CommandId::new("never-sent").expect("a command id")).await.is_none());
}

/// Calls `$run!` with the names of the promises of the queries.
#[macro_export]
macro_rules! query_promises {
    ($run:ident) => {
        $run! {
            view_equals_ledger,
            outcome_is_found_by_tenant_and_command,
        }
    };
}
