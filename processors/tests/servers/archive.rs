//! The archive of the journal: partitions leave the database only after it has them, and a location
//! is then compared with its snapshot and the journal since.

use std::{io::Read, sync::Arc};

use flate2::read::GzDecoder;
use futures_util::TryStreamExt;
use object_store::{
    ObjectStore, ObjectStoreExt, local::LocalFileSystem, memory::InMemory, path::Path,
};
use processors::{
    fixtures::{Clinic, call_next, issue, leave, ticket},
    ledger::Ledger,
    servers::{
        archive::{Archive, ArchiveError},
        postgres::{PostgresJournal, PostgresRetention, PostgresVerifier, Role},
    },
    verify::{Compared, Difference, How},
};
use schemas::{Millis, command::Command};

use crate::{
    binary::{Installation, output},
    setup::Database,
};

const DAY: Millis = 24 * 60 * 60 * 1000;

fn archive(database: &Database, store: &Arc<impl ObjectStore>) -> Archive {
    let journal = PostgresJournal::new(&database.pool(2)).expect("a pool");
    Archive::new(Arc::clone(store) as _, journal, Arc::default())
}

/// Makes the first partition of the journal one that ended 500 days ago.
async fn age(database: &Database) {
    let until = jiff::Timestamp::now().as_millisecond() - 500 * DAY;
    let age = "UPDATE clinicwire.partition SET until = $1 WHERE child = 'journal_before'";
    // The rows of the fixture are dated 1970, so that they are before that.
    database.owner().await.execute(age, &[&until]).await.unwrap();
}

async fn text_of(store: &InMemory, path: &Path) -> String {
    let object = store.get(path).await.unwrap().bytes().await.unwrap();
    let mut text = String::new();
    GzDecoder::new(&object[..]).read_to_string(&mut text).unwrap();
    text
}

#[tokio::test]
async fn archive_gets_every_row_and_a_snapshot_once() {
    let database = Database::migrated().await;
    let (ledger, store) = (database.ledger(1), Arc::new(InMemory::new()));
    let archive = archive(&database, &store);
    let mut clinic = Clinic::new(&ledger).await;
    let claim = clinic.open(&ledger, 3).await;
    let batch = clinic.batch(claim, vec![leave(1)]);
    ledger.commit(&batch).await.unwrap();
    assert!(!archive.archive_next().await.unwrap(), "nothing is due");
    assert!(archive.snapshot(&clinic.aggregate).await.unwrap().is_none());

    age(&database).await;
    assert!(archive.archive_next().await.unwrap(), "the partition is due");
    assert!(!archive.archive_next().await.unwrap(), "once");
    let objects: Vec<_> = store.list(None).try_collect().await.unwrap();
    assert_eq!(objects.len(), 2, "one of rows, and one of the snapshot");
    let rows = text_of(&store, &Path::from("journal/journal_before/000001.jsonl.gz")).await;
    assert_eq!(rows.lines().count(), 8, "four to open, three tickets, and one left");
    let first: serde_json::Value = serde_json::from_str(rows.lines().next().unwrap()).unwrap();
    assert_eq!(first["offset"], 0);
    assert_eq!(first["kind"], "applied");

    let snapshot = archive.snapshot(&clinic.aggregate).await.unwrap().expect("it was taken");
    assert_eq!(snapshot.stored.position, clinic.location().position());
    let tickets = snapshot.stored.tickets;
    let ended: Vec<_> = tickets.iter().filter(|ticket| !ticket.is_live()).collect();
    assert_eq!((tickets.len(), ended.len()), (3, 1), "ended ones too");
    assert!(ended[0].undo.is_some(), "it holds what its undo takes back");
    assert!(snapshot.views.contains_key("queue:riverside.general"));
}

/// The first day of the journal has left the database. The rest continues its snapshot.
#[tokio::test]
async fn location_is_compared_and_rebuilt_from_its_snapshot() {
    let database = Database::migrated().await;
    let (ledger, store) = (database.ledger(1), Arc::new(InMemory::new()));
    let archive = archive(&database, &store);
    let mut clinic = Clinic::new(&ledger).await;
    let mut claim = clinic.open(&ledger, 3).await;
    let batch = clinic.batch(claim, vec![leave(1)]);
    ledger.commit(&batch).await.unwrap();
    claim.next_offset = batch.to;
    age(&database).await;
    assert!(archive.archive_next().await.unwrap());
    let retention = PostgresRetention::new(&database.pool(1)).unwrap();
    let mut verifier = PostgresVerifier::connect(&database.pool(1).connection).await.unwrap();
    assert!(!verifier.begins_in_archive(&clinic.aggregate).await.unwrap());
    assert_eq!(retention.drop_partitions("journal").await.unwrap(), 1);
    assert!(verifier.begins_in_archive(&clinic.aggregate).await.unwrap());

    // A ticket, the undo of one from before the snapshot, and a call.
    let undo = Command::RevertTicket { ticket: ticket(1) };
    let mut batch = clinic.batch(claim, vec![issue(4), undo, call_next()]);
    for row in &mut batch.journal {
        row.decided_at = jiff::Timestamp::now().as_millisecond() + DAY;
    }
    ledger.commit(&batch).await.unwrap();
    let differences = async |verifier: &mut PostgresVerifier| {
        let snapshot = archive.snapshot(&clinic.aggregate).await.unwrap();
        let compared =
            verifier.compare(&clinic.aggregate, snapshot, |_| {}).await.unwrap().unwrap();
        assert_eq!((compared.versions, compared.tickets), (3, 4), "only what came since");
        compared.differences
    };
    assert_eq!(differences(&mut verifier).await, []);

    let client = database.role(Role::Processor).await;
    let damage = "UPDATE clinicwire.ticket SET body = replace(body::text, 'A-00', 'B-00')::json; \
         DELETE FROM clinicwire.view_entry WHERE view LIKE 'queue:%'; \
         UPDATE clinicwire.aggregate \
         SET header = replace(header::text, '\"name\":\"', '\"name\":\"x')::json";
    client.batch_execute(damage).await.unwrap();
    assert_eq!(differences(&mut verifier).await.len(), 6, "four tickets, a view, the header");

    // Without the snapshot there is nothing to begin with, and nothing is destroyed.
    let rebuilt = verifier.rebuild(&clinic.aggregate, None, "test", 0, false).await;
    let rebuilt = rebuilt.unwrap().unwrap();
    assert_eq!(rebuilt.position, None);
    let hole = Difference::new(Compared::Journal, How::Missing, "1");
    assert_eq!(rebuilt.compared.differences, [hole]);
    assert_eq!(differences(&mut verifier).await.len(), 6);

    let snapshot = archive.snapshot(&clinic.aggregate).await.unwrap();
    let rebuilt = verifier.rebuild(&clinic.aggregate, snapshot, "test", 0, false).await;
    let position = rebuilt.unwrap().unwrap().position.expect("it is rebuilt");
    assert_eq!(position.version, clinic.location().position().version);
    assert_eq!(differences(&mut verifier).await, []);
}

/// The programs get the archive by its URL, and refuse to compare half a journal without it.
#[tokio::test(flavor = "multi_thread")]
async fn programs_begin_with_the_named_archive() {
    let installation = Installation::new().await;
    let (ok, told) = installation.output("prepare").await;
    assert!(ok, "{told}");
    let database = &installation.database;
    let ledger = database.ledger(1);
    let mut clinic = Clinic::new(&ledger).await;
    clinic.open(&ledger, 3).await;
    std::fs::create_dir(&installation.files).unwrap();
    let store = Arc::new(LocalFileSystem::new_with_prefix(&installation.files).unwrap());
    age(database).await;
    assert!(archive(database, &store).archive_next().await.unwrap());
    let retention = PostgresRetention::new(&database.pool(1)).unwrap();
    assert_eq!(retention.drop_partitions("journal").await.unwrap(), 1);
    let client = database.role(Role::Processor).await;
    client.execute("DELETE FROM clinicwire.ticket WHERE label = 'A-002'", &[]).await.unwrap();

    let url = format!("--archive=file://{}", installation.files.display());
    let (tenant, location) = clinic.aggregate.as_str().split_once('/').unwrap();
    let location = [format!("--tenant={tenant}"), format!("--location={location}")];
    let run = async |subcommand: &str, words: &[&str]| {
        let mut program = installation.program(subcommand);
        program.args(&location).args(words);
        let output = output(program).await;
        let [told, errors] = [output.stdout, output.stderr].map(|o| String::from_utf8(o).unwrap());
        (output.status.code(), told, errors)
    };
    for (subcommand, expected) in [("verify", 2), ("rebuild", 1)] {
        let (code, told, errors) = run(subcommand, &[]).await;
        assert_eq!(code, Some(expected), "{subcommand}: {told}{errors}");
        assert!(errors.contains("give --archive"), "{errors}");
    }
    let (code, told, errors) = run("verify", &[&url]).await;
    assert_eq!(code, Some(1), "{told}{errors}");
    assert!(told.contains("DIFFERENT: 1 tickets"), "{told}");
    // The fixture works for the group `test`, the programs for another one.
    let (code, told, errors) = run("rebuild", &[&url]).await;
    assert_eq!(code, Some(1), "{told}");
    assert!(errors.contains("check --group"), "{errors}");
    let (code, told, errors) = run("rebuild", &[&url, "--group=test"]).await;
    assert_eq!((code, told.contains("rebuilt: epoch ")), (Some(0), true), "{told}{errors}");
    let (code, told, errors) = run("verify", &[&url]).await;
    assert_eq!(code, Some(0), "{told}{errors}");
}

/// Tickets that ended long ago are deleted, and the journal still has them.
#[tokio::test]
async fn rows_whose_retention_is_over_are_not_missing() {
    let database = Database::migrated().await;
    let ledger = database.ledger(1);
    let mut clinic = Clinic::new(&ledger).await;
    let claim = clinic.open(&ledger, 3).await;
    let batch = clinic.batch(claim, vec![leave(1)]);
    ledger.commit(&batch).await.unwrap();
    let retention = PostgresRetention::new(&database.pool(1)).unwrap();
    // The clinic works in 1970.
    assert_eq!(retention.retire_rows().await.unwrap().0.tickets, 1);
    let mut verifier = PostgresVerifier::connect(&database.pool(1).connection).await.unwrap();
    let compared = async |verifier: &mut PostgresVerifier| {
        let compared = verifier.compare(&clinic.aggregate, None, |_| {}).await.unwrap().unwrap();
        (compared.tickets, compared.differences)
    };
    assert_eq!(compared(&mut verifier).await, (2, vec![]));
    let rebuilt = verifier.rebuild(&clinic.aggregate, None, "test", 0, false).await.unwrap();
    assert!(rebuilt.unwrap().position.is_some());
    assert_eq!(compared(&mut verifier).await, (2, vec![]), "a rebuild does not bring it back");

    let client = database.role(Role::Processor).await;
    let live = "DELETE FROM clinicwire.ticket WHERE ticket = $1";
    client.execute(live, &[&ticket(2).as_str()]).await.unwrap();
    let missing = Difference::new(Compared::Ticket, How::Missing, ticket(2).as_str());
    assert_eq!(compared(&mut verifier).await, (1, vec![missing]));
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
