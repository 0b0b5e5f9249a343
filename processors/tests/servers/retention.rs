//! Partitions by time and the retention of rows: what happens at their bounds, and when nobody
//! looked after them for long.

use std::collections::BTreeSet;

use processors::{
    fixtures::{Clinic, issue, ticket},
    ledger::{Batch, JournalEntry, Ledger, PartitionClaim},
    log::Log,
    servers::postgres::{
        Adoption, PARTITIONED_TABLES, PostgresRetention, RetentionDays, RetiredRows, Role,
        adopt_strays, set_row_retention,
    },
};
use schemas::{
    Millis,
    appointment::{AppointmentFact, AppointmentStatus},
    codes::Code,
    command::Command,
    ids::Aggregate,
    record::CARE_TOPIC,
};
use testing::{
    patience::{eventually, until},
    records::{SampleLocation, command_record},
};
use tokio_postgres::Client;

use crate::{
    binary::Installation,
    setup::{Database, fresh},
};

const DAY: Millis = 24 * 60 * 60 * 1000;

fn retention(database: &Database) -> PostgresRetention {
    PostgresRetention::new(&database.pool(2)).expect("a pool")
}

fn in_days(days: Millis) -> Millis {
    jiff::Timestamp::now().as_millisecond() + days * DAY
}

/// A batch as it is made `days` from now.
fn later(clinic: &mut Clinic, claim: PartitionClaim, number: u128, days: Millis) -> Batch {
    let mut batch = clinic.batch(claim, vec![issue(number)]);
    for row in &mut batch.journal {
        row.decided_at = in_days(days);
    }
    for row in &mut batch.stays {
        row.stay.from = in_days(days);
    }
    batch
}

async fn strays(retention: &PostgresRetention) -> Vec<(String, u64)> {
    let report = retention.report().await.unwrap();
    report.into_iter().map(|table| (table.table, table.strays)).collect()
}

fn no_strays() -> Vec<(String, u64)> {
    PARTITIONED_TABLES.map(|table| (table.to_owned(), 0)).to_vec()
}

/// The partitions that have rows of the table.
async fn homes(database: &Database, table: &str) -> BTreeSet<String> {
    let homes = format!("SELECT DISTINCT tableoid::regclass::text FROM clinicwire.{table}");
    let rows = database.role(Role::Processor).await.query(&homes, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn month_without_maintenance_needs_no_default_partition() {
    let database = Database::migrated().await;
    let (ledger, retention) = (database.ledger(1), retention(&database));
    let mut clinic = Clinic::new(&ledger).await;
    let mut claim = clinic.open(&ledger, 0).await;
    for days in [0, 1, 10, 30] {
        let batch = later(&mut clinic, claim, u128::try_from(days).unwrap() + 1, days);
        ledger.commit(&batch).await.expect("there is a partition");
        claim.next_offset = batch.to;
    }
    assert_eq!(strays(&retention).await, no_strays());
    assert_eq!(homes(&database, "journal").await.len(), 4, "the first, and three later days");
}

/// Removes every partition but the default one, as when nobody looked after them for long.
async fn without_partitions(database: &Database, table: &str) {
    let remove = format!(
        "DO $$ DECLARE gone text; BEGIN
           FOR gone IN DELETE FROM clinicwire.partition WHERE parent = '{table}' RETURNING child
           LOOP EXECUTE format('DROP TABLE clinicwire.%I', gone); END LOOP; END $$"
    );
    database.owner().await.batch_execute(&remove).await.unwrap();
}

#[tokio::test]
async fn commit_past_the_last_partition_is_kept_and_adopted() {
    let database = Database::migrated().await;
    let (ledger, retention) = (database.ledger(1), retention(&database));
    let mut clinic = Clinic::new(&ledger).await;
    let mut claim = clinic.open(&ledger, 0).await;
    for table in ["journal", "stay"] {
        without_partitions(&database, table).await;
    }
    for (number, days) in [(1, -2), (2, 0)] {
        let batch = later(&mut clinic, claim, number, days);
        ledger.commit(&batch).await.expect("the default partition takes it");
        claim.next_offset = batch.to;
    }
    let found = strays(&retention).await;
    assert_eq!(found, [("journal", 2), ("parked", 0), ("stay", 2)].map(|(t, n)| (t.to_owned(), n)));
    // Maintenance that comes late makes the periods after those rows, and leaves them.
    assert_eq!(retention.add_partitions("journal").await.unwrap(), 35, "all but today");

    let adopted = adopt_strays(&database.url).await.unwrap();
    assert_eq!(adopted.len(), 2, "{adopted:?}");
    assert_eq!(strays(&retention).await, no_strays());
    let batch = later(&mut clinic, claim, 3, 0);
    ledger.commit(&batch).await.expect("the adopted partition takes it");
    assert_eq!(strays(&retention).await, no_strays());
    let loaded = ledger.restore(&clinic.aggregate).await.unwrap().unwrap();
    assert_eq!(loaded.position, clinic.location().position());
}

/// A partition up to then would take the rows of all days in between.
#[tokio::test]
async fn rows_of_a_wrong_clock_do_not_become_a_partition() {
    let database = Database::migrated().await;
    let (ledger, retention) = (database.ledger(1), retention(&database));
    let mut clinic = Clinic::new(&ledger).await;
    let claim = clinic.open(&ledger, 0).await;
    ledger.commit(&later(&mut clinic, claim, 1, 365)).await.expect("the default partition");
    let found = strays(&retention).await;
    assert_eq!(adopt_strays(&database.url).await.unwrap(), []);
    assert_eq!(strays(&retention).await, found);
    assert_eq!(found[0], ("journal".to_owned(), 1));
    assert_eq!(retention.add_partitions("journal").await.unwrap(), 0, "none was missing");
}

#[tokio::test]
async fn record_with_a_wrong_time_is_parked_in_the_present() {
    let database = Database::migrated().await;
    let (ledger, retention) = (database.ledger(1), retention(&database));
    let mut clinic = Clinic::new(&ledger).await;
    let claim = clinic.open(&ledger, 0).await;
    let mut batch = clinic.batch(claim, vec![issue(1)]);
    let record = command_record(&clinic.aggregate, "c", issue(1)).to_wire();
    let row = batch.journal.last_mut().unwrap();
    row.at = in_days(365);
    row.entry = JournalEntry::Parked { code: Code::RecordFromFuture, record };
    ledger.commit(&batch).await.unwrap();
    assert_eq!(strays(&retention).await, no_strays());
    let at = "SELECT at FROM clinicwire.parked";
    let at: i64 = database.role(Role::Processor).await.query_one(at, &[]).await.unwrap().get(0);
    assert!((in_days(-1)..in_days(1)).contains(&at), "{at}");
}

/// A copy, a verification or a person reads the journal for an hour.
#[tokio::test]
async fn commits_go_on_while_rows_wait_for_a_reader_to_be_adopted() {
    let database = Database::migrated().await;
    let (ledger, retention) = (database.ledger(1), retention(&database));
    let mut clinic = Clinic::new(&ledger).await;
    let mut claim = clinic.open(&ledger, 0).await;
    let reader = database.owner().await;
    reader.batch_execute("SET idle_in_transaction_session_timeout = 0").await.unwrap();
    let read = "BEGIN; SELECT count(*) FROM clinicwire.journal";
    reader.batch_execute(read).await.unwrap();
    let prepared = adopt_strays(&database.url).await.unwrap();
    assert_eq!(prepared, [], "there is nothing to adopt, and nobody waits");
    reader.batch_execute("COMMIT").await.unwrap();

    without_partitions(&database, "journal").await;
    let batch = clinic.batch(claim, vec![issue(1)]);
    claim.next_offset = batch.to;
    ledger.commit(&batch).await.unwrap();
    reader.batch_execute(read).await.unwrap();
    let adopting = adopt_strays(&database.url);
    let committing = async {
        for number in 2..8 {
            let batch = clinic.batch(claim, vec![issue(number)]);
            claim.next_offset = batch.to;
            ledger.commit(&batch).await.expect("the lock is not waited for");
        }
    };
    let (adopted, ()) = tokio::join!(adopting, committing);
    assert_eq!(adopted.unwrap(), [Adoption::Busy("journal")]);
    reader.batch_execute("COMMIT").await.unwrap();
    let adopted = adopt_strays(&database.url).await.unwrap();
    assert!(matches!(&adopted[..], [Adoption::Adopted(_)]), "{adopted:?}");
    assert_eq!(strays(&retention).await, no_strays());
}

#[tokio::test]
async fn retention_changes_only_where_it_is_given() {
    let database = Database::migrated().await;
    let given = RetentionDays { history: Some(3_650), ..RetentionDays::default() };
    let kept = |days: u32| {
        [("appointment", 100), ("journal", 400), ("parked", 400), ("stay", days), ("ticket", 35)]
            .map(|(table, days)| (table.to_owned(), days))
    };
    assert_eq!(set_row_retention(&database.url, &given).await.unwrap(), kept(3_650));
    let none = RetentionDays::default();
    assert_eq!(set_row_retention(&database.url, &none).await.unwrap(), kept(3_650));
}

#[tokio::test]
async fn racing_processors_add_each_partition_once() {
    let database = Database::migrated().await;
    let (one, other) = (retention(&database), retention(&database));
    without_partitions(&database, "journal").await;
    let (added, as_well) =
        tokio::join!(one.add_partitions("journal"), other.add_partitions("journal"));
    // A lock that is not free in time is an error, and the rest is left to the next call.
    let (added, as_well) = (added.unwrap_or_default(), as_well.unwrap_or_default());
    assert!(added + as_well <= 36, "{added} and {as_well}");
    one.add_partitions("journal").await.unwrap();
    let count = "SELECT count(*) FROM clinicwire.partition WHERE parent = 'journal'";
    let count: i64 = database.owner().await.query_one(count, &[]).await.unwrap().get(0);
    assert_eq!(count, 36, "today and 35 days ahead");
    assert_eq!(one.add_partitions("journal").await.unwrap(), 0);
}

/// Makes the first partition one that ended 500 days ago.
async fn age(owner: &Client, table: &str) {
    let age = "UPDATE clinicwire.partition SET until = $2 WHERE child = $1";
    owner.execute(age, &[&format!("{table}_before"), &in_days(-500)]).await.unwrap();
}

#[tokio::test]
async fn old_partitions_are_dropped_and_the_journal_only_from_the_archive() {
    let database = Database::migrated().await;
    let (owner, retention) = (database.owner().await, retention(&database));
    for table in PARTITIONED_TABLES {
        assert_eq!(retention.drop_partitions(table).await.unwrap(), 0, "{table} is not old");
        age(&owner, table).await;
    }
    set_row_retention(
        &database.url,
        &RetentionDays { history: Some(501), ..RetentionDays::default() },
    )
    .await
    .unwrap();
    let dropped = async |table| retention.drop_partitions(table).await.unwrap();
    assert_eq!(dropped("parked").await, 1);
    assert_eq!(dropped("stay").await, 0, "its retention is not over");
    assert_eq!(dropped("journal").await, 0, "the archive does not have it");
    let archived = "INSERT INTO clinicwire.journal_archive (child, rows, objects, bytes) \
         VALUES ('journal_before', 0, 0, 0)";
    owner.batch_execute(archived).await.unwrap();
    assert_eq!(dropped("journal").await, 0, "snapshots do not include it");
    let covered = "UPDATE clinicwire.journal_archive SET is_covered = true";
    owner.batch_execute(covered).await.unwrap();
    assert_eq!(dropped("journal").await, 1);
    assert_eq!(dropped("journal").await, 0, "once");
}

#[tokio::test]
async fn ended_tickets_and_appointments_are_deleted_after_their_retention() {
    let database = Database::migrated().await;
    let (ledger, retention) = (database.ledger(1), retention(&database));
    let mut clinic = Clinic::new(&ledger).await;
    let claim = clinic.open(&ledger, 3).await;
    let leaves = (1..=2).map(|number| Command::LeaveTicket { ticket: ticket(number) }).collect();
    ledger.commit(&clinic.batch(claim, leaves)).await.unwrap();
    let processor = database.role(Role::Processor).await;
    let set = async |sql: &str, at: Millis| {
        processor.execute(sql, &[&at]).await.unwrap();
    };
    let label = "A-001";
    set("UPDATE clinicwire.ticket SET ended_at = $1 WHERE ended_at IS NOT NULL", in_days(-34))
        .await;
    let first = format!("UPDATE clinicwire.ticket SET ended_at = $1 WHERE label = '{label}'");
    set(&first, in_days(-36)).await;
    for (name, wakes, open, kept, reported) in [
        ("old", Some(-101), false, false, -200),
        ("open", Some(-101), true, false, -200),
        ("kept", Some(-101), false, true, -200),
        ("new", Some(-99), false, false, -200),
        ("undated and old", None, false, false, -101),
        ("undated and new", None, false, false, -99),
    ] {
        let wakes: Option<i64> = wakes.map(in_days);
        let body = format!("{{\"reported_at\":{}}}", in_days(reported));
        let (tenant, location) = clinic.aggregate.as_str().split_once('/').unwrap();
        let add = "INSERT INTO clinicwire.appointment VALUES \
             ($1, $2, $3, 'his', $3, $4, 'x', $5, $6, $7::text::json)";
        processor
            .execute(add, &[&tenant, &location, &name, &wakes, &open, &kept, &body])
            .await
            .unwrap();
    }
    let (retired, is_full) = retention.retire_rows().await.unwrap();
    assert_eq!((retired, is_full), (RetiredRows { tickets: 1, appointments: 2 }, false));
    assert_eq!(retention.retire_rows().await.unwrap().0, RetiredRows::default());
    let left = "SELECT label FROM clinicwire.ticket ORDER BY label";
    let left = processor.query(left, &[]).await.unwrap();
    let left: Vec<&str> = left.iter().map(|row| row.get(0)).collect();
    assert_eq!(left, ["A-002", "A-003"]);
}

/// The key of an appointment tells which location holds it, and tells nothing once that location
/// has deleted it. The runner has the key in memory, and the source may report it once more.
#[tokio::test(flavor = "multi_thread")]
async fn key_of_an_appointment_goes_with_it_and_begins_anew() {
    let installation = Installation::new().await;
    let (ok, told) = installation.output("prepare").await;
    assert!(ok, "{told}");
    let (process, _) = installation.run().await;
    let (clinic, log) = (SampleLocation::new(&fresh(), "riverside"), installation.topics.writer());
    let send = async |commands: Vec<Command>| {
        for command in commands {
            let record = command_record(&clinic.aggregate(), &fresh(), command);
            log.append(&[(CARE_TOPIC, record.to_wire())]).await.unwrap();
        }
    };
    let report = async |number: u128, revision: u64, status: AppointmentStatus, days: Millis| {
        let at = Some(in_days(days));
        let fact = AppointmentFact { start: at, end: at, ..clinic.fact(1, revision, status) };
        send(vec![clinic.report(number, fact)]).await;
    };
    let fact = clinic.fact(1, 1, AppointmentStatus::Booked);
    let key = Aggregate::appointment_key(&clinic.tenant, &fact.source, &fact.key);
    let processor = installation.database.role(Role::Processor).await;
    let position = async || {
        let sql = "SELECT epoch, version FROM clinicwire.aggregate WHERE aggregate = $1";
        let row = processor.query_opt(sql, &[&key.id()]).await.unwrap()?;
        Some((row.get::<_, i64>(0), row.get::<_, i64>(1)))
    };
    let has_ended = async || {
        let sql = "SELECT count(*) FROM clinicwire.appointment WHERE NOT open";
        processor.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 1
    };

    send(clinic.opening()).await;
    report(1, 1, AppointmentStatus::Booked, -101).await;
    let (first, _) = eventually("the key is claimed", position).await;
    let retention = retention(&installation.database);
    report(1, 2, AppointmentStatus::Fulfilled, -101).await;
    until("the appointment has ended", has_ended).await;
    let gone = RetiredRows { tickets: 0, appointments: 1 };
    assert_eq!(retention.retire_rows().await.unwrap().0, gone);
    assert_eq!(position().await, None);
    installation.verified().await;

    // Nobody knows its id any more, so that it gets another.
    report(2, 3, AppointmentStatus::Booked, 1).await;
    let (second, version) = eventually("the key is claimed anew", position).await;
    assert!(second > first, "{second} is a new life");
    assert_eq!(version, 1);
    installation.verified().await;
    assert!(process.stop().await, "SIGTERM is no failure");
}
