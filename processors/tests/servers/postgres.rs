//! PostgreSQL: row-level security, ownership of partitions, and transactions that are cut off.

use std::task::Poll;

use processors::{
    fixtures::{Clinic, PARTITION_COUNT, issue, ticket},
    ledger::{Batch, Ledger, LedgerError, PartitionClaim},
    log::LogOffset,
    servers::{
        migrations::{self, MigrationError},
        postgres::{PostgresLedger, Role},
    },
};
use schemas::{command::Command, ids::TenantId, view::Position};
use testing::patience::patiently;
use tokio_postgres::Client;

use crate::setup::{Database, fresh};

async fn count(client: &Client, table: &str) -> i64 {
    client
        .query_one(&format!("SELECT count(*) FROM clinicwire.{table}"), &[])
        .await
        .expect("a count")
        .get(0)
}

#[tokio::test]
async fn migrations_apply_once_and_side_by_side() {
    let database = Database::empty().await;
    assert!(matches!(
        migrations::check(&database.url).await,
        Err(MigrationError::Behind { found: None, needed }) if needed == migrations::newest()
    ));
    let (one, other) =
        tokio::join!(migrations::apply(&database.url), migrations::apply(&database.url));
    let newest = usize::try_from(migrations::newest()).unwrap();
    assert_eq!(one.unwrap() + other.unwrap(), newest, "each is applied by one of the two");
    migrations::check(&database.url).await.expect("nothing is missing");
}

#[tokio::test]
async fn gateway_role_sees_only_named_tenant() {
    let database = Database::migrated().await;
    let ledger = database.ledger(2);
    let tenants = [TenantId::new(fresh()).unwrap(), TenantId::new(fresh()).unwrap()];
    let mut clinics = Vec::new();
    for tenant in &tenants {
        let mut clinic = Clinic::with_tenant(&ledger, tenant).await;
        clinic.open(&ledger, 1).await;
        clinics.push(clinic);
    }

    let mut gateway = database.role(Role::Gateway).await;
    for table in ["view", "view_entry", "outcome"] {
        assert_eq!(count(&gateway, table).await, 0, "{table}: no tenant was named");
        for tenant in &tenants {
            let reading = gateway.transaction().await.unwrap();
            reading
                .execute("SELECT set_config('clinicwire.tenant', $1, true)", &[&tenant.as_str()])
                .await
                .unwrap();
            let seen = reading
                .query(&format!("SELECT tenant FROM clinicwire.{table}"), &[])
                .await
                .unwrap();
            assert!(!seen.is_empty(), "{table}: its own rows");
            assert!(seen.iter().all(|row| row.get::<_, &str>(0) == tenant.as_str()), "{table}");
            reading.commit().await.unwrap();
            assert_eq!(
                count(&gateway, table).await,
                0,
                "{table}: the name ends with its transaction"
            );
        }
    }
    for refused in [
        "INSERT INTO clinicwire.outcome VALUES ('x', 'x', 'x', 0, '{}')",
        "UPDATE clinicwire.view SET version = 0",
        "SELECT count(*) FROM clinicwire.journal",
        "SELECT count(*) FROM clinicwire.ticket",
        "SELECT count(*) FROM clinicwire.outbox",
    ] {
        assert!(gateway.batch_execute(refused).await.is_err(), "{refused}");
    }
}

#[tokio::test]
async fn table_owner_is_bound_by_policies() {
    let database = Database::migrated().await;
    // The owner of everything, in neither group: a mistaken production login.
    let owner = database.owner().await;
    let name = fresh().replace('-', "_");
    owner
        .batch_execute(&format!(
            "CREATE ROLE {name} NOLOGIN; GRANT {name} TO CURRENT_USER; GRANT CREATE, USAGE ON \
                 SCHEMA clinicwire TO {name};
             ALTER TABLE clinicwire.aggregate OWNER TO {name};
             INSERT INTO clinicwire.aggregate
                 VALUES ('a', 'riverside', 1, 0, 1, '{{}}', 'care', 0);"
        ))
        .await
        .expect("the migrating login is a processor, too");
    assert_eq!(count(&owner, "aggregate").await, 1);
    owner.batch_execute(&format!("SET ROLE {name}")).await.unwrap();
    assert_eq!(count(&owner, "aggregate").await, 0);
    owner
        .batch_execute(&format!(
            "RESET ROLE; REASSIGN OWNED BY {name} TO CURRENT_USER; DROP OWNED BY {name}; DROP ROLE \
                 {name}"
        ))
        .await
        .unwrap();
}

#[tokio::test]
async fn tenant_tables_force_row_level_security() {
    let database = Database::migrated().await;
    let owner = database.owner().await;
    let names = async |condition: &str| {
        let tables = format!(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = 'clinicwire' AND c.relkind IN ('r', 'p') AND {condition} ORDER BY 1"
        );
        let rows = owner.query(&tables, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect::<Vec<String>>()
    };
    let open = "NOT c.relispartition AND NOT (c.relrowsecurity AND c.relforcerowsecurity)";
    let nobodys = [
        "audit_retention",
        "checkpoint",
        "epoch",
        "journal_archive",
        "migration",
        "partition",
        "partitioned",
        "retention",
    ];
    assert_eq!(names(open).await, nobodys, "these tables hold no tenant's data");
    // A partition has no policies of its own, so only its writers may name it.
    let seen = "c.relispartition AND has_table_privilege('clinicwire_gateway', c.oid, 'SELECT')";
    assert_eq!(names(seen).await, [""; 0]);
    let findings = "c.relispartition AND c.relname LIKE 'finding%'";
    assert_eq!(names(findings).await.len(), 2, "today's findings, and tomorrow's");
    let open = "c.relispartition AND c.relname NOT LIKE 'finding%' AND (NOT c.relrowsecurity \
         OR has_table_privilege('clinicwire_processor', c.oid, 'SELECT'))";
    assert_eq!(names(open).await, [""; 0], "rows are reached by their parent alone");
}

#[tokio::test]
async fn history_is_never_rewritten() {
    let database = Database::migrated().await;
    let ledger = database.ledger(2);
    Clinic::new(&ledger).await.open(&ledger, 1).await;
    let processor = database.role(Role::Processor).await;
    assert_eq!(count(&processor, "journal").await, 5);
    for refused in [
        "UPDATE clinicwire.journal SET at = 0",
        "DELETE FROM clinicwire.journal",
        "TRUNCATE clinicwire.journal",
        "SELECT clinicwire.adopt_default_partition('journal')",
        "SELECT clinicwire.add_partition_at('journal', now()::timestamp)",
        "UPDATE clinicwire.retention SET days = 1",
    ] {
        assert!(processor.batch_execute(refused).await.is_err(), "{refused}");
    }
}

#[tokio::test]
async fn killed_owner_is_fenced_by_successor() {
    let database = Database::migrated().await;
    let (old, new) = (database.ledger(2), database.ledger(2));
    let mut clinic = Clinic::new(&old).await;
    let claim = clinic.open(&old, 3).await;
    let batch = clinic.batch(claim, vec![issue(4), issue(5)]);
    let claim = new.claim(clinic.partition()).await.unwrap();
    assert_eq!(claim.next_offset, batch.claim.next_offset);
    assert!(matches!(old.commit(&batch).await, Err(LedgerError::Fenced)), "the zombie's batch");
    let batch = Batch { claim, ..batch };
    new.commit(&batch).await.expect("the successor applies the same records");
    assert!(matches!(new.commit(&batch).await, Err(LedgerError::Fenced)), "and once only");
    let loaded = new.restore(&clinic.aggregate).await.unwrap().unwrap();
    assert_eq!((loaded.position, loaded.tickets.len()), (clinic.location().position(), 5));
    assert_eq!(count(&database.role(Role::Processor).await, "journal").await, 9);
}

#[tokio::test]
async fn checkpoint_orders_racing_owners() {
    let database = Database::migrated().await;
    let (old, new) = (database.ledger(4), database.ledger(4));
    let mut clinic = Clinic::new(&old).await;
    let mut claim = clinic.open(&old, 0).await;
    for number in 1..=20 {
        let batch = clinic.batch(claim, vec![issue(number)]);
        let (late, taken) = tokio::join!(old.commit(&batch), new.claim(clinic.partition()));
        let taken = taken.expect("the ledger claims");
        match late {
            Ok(()) => assert_eq!(
                taken.next_offset,
                new.checkpoint(clinic.partition()).await.unwrap().next_offset
            ),
            Err(LedgerError::Fenced) => {
                assert_eq!(taken.next_offset, batch.claim.next_offset);
                new.commit(&Batch { claim: taken, ..batch.clone() })
                    .await
                    .expect("the new owner commits");
            }
            Err(other) => panic!("{other}"),
        }
        claim = new.checkpoint(clinic.partition()).await.unwrap();
        assert_eq!(claim.next_offset, batch.to, "applied by one of the two");
    }
    assert_eq!(new.restore(&clinic.aggregate).await.unwrap().unwrap().tickets.len(), 20);
}

/// Polls a commit this many times and drops it: a runner's timeout at every possible point.
async fn cut_off(ledger: &PostgresLedger, batch: &Batch, polls: usize) -> bool {
    let mut commit = ledger.commit(batch);
    let mut left = polls;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        match commit.as_mut().poll(context) {
            Poll::Ready(done) => {
                done.expect("the ledger commits");
                Poll::Ready(true)
            }
            // Every arrival wakes the task, so that each poll sees the commit further on.
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[tokio::test]
async fn commit_cut_off_is_all_or_nothing() {
    let database = Database::migrated().await;
    // One connection, so that the next statement meets whatever a cut leaves behind.
    let ledger = database.ledger(1);
    let mut clinic = Clinic::new(&ledger).await;
    let mut claim = clinic.open(&ledger, 0).await;
    let (mut polls, mut number) = (1, 0);
    loop {
        number += 1;
        let batch = clinic.batch(claim, vec![issue(number)]);
        let finished = patiently("a commit that is cut off", cut_off(&ledger, &batch, polls)).await;
        let found = ledger
            .checkpoint(clinic.partition())
            .await
            .expect("the next statement finds a clean connection");
        assert_eq!(found.owner_epoch, claim.owner_epoch);
        if found.next_offset == claim.next_offset {
            assert!(!finished);
            // The server may hold the cut transaction's locks for a moment; the commit waits for
            // them.
            ledger
                .commit(&batch)
                .await
                .expect("a batch that did not happen can be committed again");
        } else {
            assert_eq!(found.next_offset, batch.to);
        }
        claim = PartitionClaim { next_offset: batch.to, ..claim };
        if finished {
            break;
        }
        polls += 1;
    }
    assert!(polls > 1, "the commit was cut off: {polls}");
    let loaded = ledger.restore(&clinic.aggregate).await.unwrap().unwrap();
    assert_eq!(
        (loaded.position, loaded.tickets.len()),
        (clinic.location().position(), usize::try_from(number).unwrap())
    );
    let idle = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state \
         LIKE 'idle in%'";
    let open: i64 = database.owner().await.query_one(idle, &[]).await.unwrap().get(0);
    assert_eq!(open, 0);
}

#[tokio::test]
async fn killed_connection_costs_one_answer() {
    let database = Database::migrated().await;
    let ledger = database.ledger(1);
    let mut clinic = Clinic::new(&ledger).await;
    let claim = clinic.open(&ledger, 0).await;
    // An owner may not end the worker of an automatic vacuum.
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()
                AND backend_type = 'client backend'";
    database.owner().await.execute(kill, &[]).await.unwrap();
    let batch = clinic.batch(claim, vec![issue(1)]);
    // The pool may notice first; then no answer is lost.
    if let Err(error) = ledger.commit(&batch).await {
        assert!(matches!(error, LedgerError::Unavailable(_)), "{error}");
        assert_eq!(ledger.checkpoint(clinic.partition()).await.unwrap(), claim);
        ledger.commit(&batch).await.expect("a new connection");
    }
    assert_eq!(ledger.restore(&clinic.aggregate).await.unwrap().unwrap().tickets.len(), 1);
}

#[tokio::test]
async fn epochs_asked_for_at_once_are_all_different() {
    let database = Database::migrated().await;
    let ledger = database.ledger(8);
    let epochs = futures_util::future::join_all((0..50).map(|_| ledger.next_epoch())).await;
    let mut epochs: Vec<u64> =
        epochs.into_iter().map(|epoch| epoch.expect("the ledger answers")).collect();
    epochs.sort_unstable();
    epochs.dedup();
    assert_eq!(epochs.len(), 50);
}

#[tokio::test]
async fn expired_views_are_deleted() {
    let database = Database::migrated().await;
    let ledger = database.ledger(2);
    let mut clinic = Clinic::new(&ledger).await;
    let claim = clinic.open(&ledger, 3).await;
    let leaves = (1..=2).map(|number| Command::LeaveTicket { ticket: ticket(number) }).collect();
    let batch = clinic.batch(claim, leaves);
    ledger.commit(&batch).await.unwrap();
    let kept = (clinic.aggregate.clone(), format!("ticket:{}", ticket(1).as_str()));
    let (_, keep) = ledger.view(&kept).await.unwrap().expect("an ended ticket's view is kept");
    assert!(!ledger.sweep().await.unwrap());
    assert!(ledger.view(&kept).await.unwrap().is_some(), "not before its time");

    let processor = database.role(Role::Processor).await;
    let before = (count(&processor, "view").await, count(&processor, "view_entry").await);
    let later = format!(
        "UPDATE clinicwire.view SET keep_until = keep_until - interval '{} s'",
        keep.unwrap() + 1
    );
    processor.batch_execute(&later).await.unwrap();
    ledger.mark_dirty(std::slice::from_ref(&kept)).await.unwrap();
    assert!(ledger.view(&kept).await.unwrap().is_none(), "an expired view counts as deleted");
    ledger.mark_repaired(&kept, Position::default()).await.unwrap();
    assert!(
        ledger.dirty(clinic.partition(), PARTITION_COUNT, 10).await.unwrap().is_empty(),
        "and needs no repair"
    );
    assert!(!ledger.sweep().await.unwrap());
    let after = (count(&processor, "view").await, count(&processor, "view_entry").await);
    assert_eq!((before.0 - after.0, before.1 - after.1), (2, 2));

    // A ticket that returns to the line afterwards starts a view again.
    let claim = PartitionClaim { next_offset: batch.to, ..claim };
    ledger
        .commit(&clinic.batch(claim, vec![Command::RevertTicket { ticket: ticket(1) }]))
        .await
        .unwrap();
    assert!(ledger.view(&kept).await.unwrap().is_some());
}

#[tokio::test]
async fn database_error_quotes_no_row() {
    let database = Database::migrated().await;
    let ledger = database.ledger(1);
    let mut clinic = Clinic::new(&ledger).await;
    let claim = clinic.open(&ledger, 0).await;
    let mut batch = clinic.batch(claim, vec![issue(1)]);
    let again = batch.tickets[0].clone();
    batch.tickets.push(again);
    let Err(LedgerError::Unavailable(error)) = ledger.commit(&batch).await else {
        panic!("one ticket twice in a statement is refused");
    };
    let mut texts = vec![error.to_string()];
    let mut source = error.source();
    while let Some(error) = source {
        texts.push(error.to_string());
        source = error.source();
    }
    let told = texts.join(" ");
    assert!(told.contains("21000"), "the code names the cause: {told}");
    assert!(!told.contains("riverside") && !told.contains("A-001"), "{told}");
    // A duplicate key: PostgreSQL's message would quote the row.
    batch.tickets.pop();
    batch.journal[0].offset = LogOffset::START;
    let Err(LedgerError::Refused(error)) = ledger.commit(&batch).await else {
        panic!("offset 0 was journalled")
    };
    assert_eq!(error.to_string(), "postgres refused a statement: 23505 journal_pkey");
}
