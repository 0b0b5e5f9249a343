//! The archive of the journal: partitions leave the database only after it has them, and a history
//! is the snapshot and the journal since.

use std::{io::Read, sync::Arc};

use flate2::read::GzDecoder;
use futures_util::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory, path::Path};
use processors::{
    fixtures::{Clinic, issue, leave, ticket},
    ledger::Ledger,
    servers::{
        archive::{Archive, ArchiveError},
        postgres::{PostgresJournal, PostgresRetention, RetentionDays, set_row_retention},
    },
};
use schemas::{Millis, command::Command, view::Position};

use crate::setup::Database;

const DAY: Millis = 24 * 60 * 60 * 1000;

fn archive(database: &Database, store: &Arc<InMemory>) -> Archive {
    let journal = PostgresJournal::new(&database.pool(2)).expect("a pool");
    Archive::new(Arc::clone(store) as _, journal, Arc::default())
}

/// Makes the first partition of the journal one that ended 500 days ago.
async fn age(database: &Database) {
    let until = jiff::Timestamp::now().as_millisecond() - 500 * DAY;
    let age = "UPDATE clinicwire.partition SET until = $1 WHERE child = 'journal_before'";
    database.owner().await.execute(age, &[&until]).await.unwrap();
    // The rows of the fixture are dated 1970, so that they are before that.
    let days =
        RetentionDays { journal: 400, history: 400, parked: 400, tickets: 35, appointments: 100 };
    set_row_retention(&database.url, &days).await.unwrap();
}

async fn text_of(store: &InMemory, path: &Path) -> String {
    let object = store.get(path).await.unwrap().bytes().await.unwrap();
    let mut text = String::new();
    GzDecoder::new(&object[..]).read_to_string(&mut text).unwrap();
    text
}

#[tokio::test]
async fn history_is_the_snapshot_and_the_journal_since() {
    let database = Database::migrated().await;
    let (ledger, store) = (database.ledger(1), Arc::new(InMemory::new()));
    let archive = archive(&database, &store);
    let mut clinic = Clinic::new(&ledger).await;
    let mut claim = clinic.open(&ledger, 3).await;
    let batch = clinic.batch(claim, vec![leave(1)]);
    ledger.commit(&batch).await.unwrap();
    claim.next_offset = batch.to;
    let before = clinic.location().position();

    // Without an archive, everything is in the journal.
    assert!(!archive.archive_next().await.unwrap(), "nothing is due");
    let mut steps = Vec::new();
    let none = archive.history(&clinic.aggregate, |step| steps.push(step.position)).await.unwrap();
    assert!(none.is_none());
    assert_eq!(steps.last(), Some(&before));
    assert_eq!(steps.len(), 8, "four to open, three tickets, and one left");

    age(&database).await;
    assert!(archive.archive_next().await.unwrap(), "the partition is due");
    assert!(!archive.archive_next().await.unwrap(), "once");
    let objects: Vec<_> = store.list(None).try_collect().await.unwrap();
    assert_eq!(objects.len(), 2, "one of rows, and one of the snapshot");
    let rows = text_of(&store, &Path::from("journal/journal_before/000001.jsonl.gz")).await;
    assert_eq!(rows.lines().count(), 8);
    let first: serde_json::Value = serde_json::from_str(rows.lines().next().unwrap()).unwrap();
    assert_eq!(first["offset"], 0);
    assert_eq!(first["kind"], "applied");

    // The partition leaves the database, and a later command comes.
    let retention = PostgresRetention::new(&database.pool(1)).unwrap();
    assert_eq!(retention.drop_partitions("journal").await.unwrap(), 1);
    let mut batch = clinic.batch(claim, vec![issue(4)]);
    for row in &mut batch.journal {
        row.decided_at = jiff::Timestamp::now().as_millisecond() + DAY;
    }
    ledger.commit(&batch).await.unwrap();
    claim.next_offset = batch.to;
    let mut steps = Vec::new();
    let snapshot = archive.history(&clinic.aggregate, |step| steps.push(step)).await.unwrap();
    let snapshot = snapshot.expect("a snapshot was taken");
    assert_eq!(snapshot.position, before);
    let after: Vec<Position> = steps.iter().map(|step| step.position).collect();
    assert_eq!(after, [clinic.location().position()], "only what came since");
    assert_eq!(steps[0].events.len(), 1);

    // The end of a ticket from before the snapshot is undone with what the snapshot has.
    let ended: Vec<_> = snapshot.tickets.iter().filter(|ticket| !ticket.is_live()).collect();
    assert_eq!(ended.len(), 1);
    assert!(ended[0].undo.is_some(), "it holds what its undo takes back");
    let undo = clinic.batch(claim, vec![Command::RevertTicket { ticket: ticket(1) }]);
    ledger.commit(&undo).await.unwrap();
}

#[tokio::test]
async fn damaged_snapshot_is_refused() {
    let database = Database::migrated().await;
    let (ledger, store) = (database.ledger(1), Arc::new(InMemory::new()));
    let archive = archive(&database, &store);
    let mut clinic = Clinic::new(&ledger).await;
    clinic.open(&ledger, 1).await;
    age(&database).await;
    assert!(archive.archive_next().await.unwrap());
    let objects: Vec<_> = store.list(Some(&Path::from("snapshots"))).try_collect().await.unwrap();
    store.put(&objects[0].location, "other bytes".into()).await.unwrap();
    let read = archive.snapshot(&clinic.aggregate).await;
    assert!(matches!(read, Err(ArchiveError::Damaged(_))));
}
