//! Conformance of the queries: a gateway reads what a ledger wrote.

use gateway::backends::queries::Queries;
use processors::{
    fixtures::{Clinic, issue, opening},
    ledger::Ledger,
};
use schemas::{codes::Code, command::Verdict, identity::CommandIdentity, ids::CommandId};

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

pub async fn outcome_equals_ledger(ledger: &dyn Ledger, queries: &dyn Queries) {
    let mut clinic = Clinic::new(ledger).await;
    let claim = ledger.claim(clinic.partition()).await.expect("the ledger claims");
    let mut commands = opening();
    commands.extend([issue(1), issue(1)]);
    let batch = clinic.batch(claim, commands);
    ledger.commit(&batch).await.expect("the ledger commits");
    let outcome = async |command: &CommandIdentity| {
        queries.outcome(command).await.expect("the outcome is read")
    };
    for row in &batch.outcomes {
        let found = outcome(&row.identity).await.expect("the outcome is there");
        assert!(found.outcome == row.outcome && found.aggregate == clinic.aggregate);
        assert_eq!(found.fingerprint, row.fingerprint);
    }
    let last = batch.outcomes.last().expect("every command has an outcome");
    assert!(last.outcome.verdict == Verdict::Refused { code: Code::TicketExists });
    let stranger = Clinic::new(ledger).await.aggregate.tenant();
    let command = CommandId::new("never-sent").expect("a command id");
    for other in [
        CommandIdentity { tenant: stranger, ..last.identity.clone() },
        CommandIdentity { source: "clinicwire-bridge/his".to_owned(), ..last.identity.clone() },
        CommandIdentity { subject: "kiosk-2".to_owned(), ..last.identity.clone() },
        CommandIdentity { command, ..last.identity.clone() },
    ] {
        assert!(outcome(&other).await.is_none(), "{other:?}");
    }
}

pub async fn aggregate_is_lagging_until_its_views_are_repaired(
    ledger: &dyn Ledger,
    queries: &dyn Queries,
) {
    let mut clinic = Clinic::new(ledger).await;
    let claim = ledger.claim(clinic.partition()).await.expect("the ledger claims");
    let batch = clinic.batch(claim, opening());
    ledger.commit(&batch).await.expect("the ledger commits");
    let lagging = async |most| queries.lagging(most).await.expect("the ledger answers");
    let is_lagging = async || lagging(1000).await.contains(&clinic.aggregate);
    assert!(!is_lagging().await);
    let names: Vec<_> = batch.views[..2]
        .iter()
        .map(|step| (clinic.aggregate.clone(), step.step.view.clone()))
        .collect();
    ledger.mark_dirty(&names).await.expect("the ledger answers");
    assert!(is_lagging().await);
    assert_eq!(lagging(1).await.len(), 1);
    for (name, left) in names.iter().zip([true, false]) {
        let (view, _) =
            ledger.view(name).await.expect("the ledger answers").expect("the view is there");
        ledger.mark_repaired(name, view.position).await.expect("the ledger answers");
        assert_eq!(is_lagging().await, left);
    }
}

/// Calls `$run!` with the names of the promises of the queries.
#[macro_export]
macro_rules! query_promises {
    ($run:ident) => {
        $run! {
            view_equals_ledger,
            outcome_equals_ledger,
            aggregate_is_lagging_until_its_views_are_repaired,
        }
    };
}
