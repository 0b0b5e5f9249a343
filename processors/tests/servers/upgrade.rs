//! Migrations of databases with rows: from each version to the newest.
//!
//! `upgrade/vN.tsv` has rows of the tables of migration N, as programs before migration V8 wrote
//! them: the name of the table, a tab, and the row as JSON.

use std::collections::BTreeMap;

use processors::{
    audit::verify_tenant,
    ledger::{Ledger, OwnerEpoch},
    log::PartitionId,
    servers::{
        migrations,
        postgres::{Consumer, PostgresAudit, PostgresLedger, PostgresParked, Role},
    },
};
use schemas::{
    ids::{Aggregate, TenantId},
    record::{AUDIT_TOPIC, CARE_TOPIC},
};
use testing::patience::until;
use tokio_postgres::Client;

use crate::setup::Database;

const ROWS: [(i32, &str); 6] = [
    (2, include_str!("upgrade/v2.tsv")),
    (3, include_str!("upgrade/v3.tsv")),
    (4, include_str!("upgrade/v4.tsv")),
    (5, include_str!("upgrade/v5.tsv")),
    (6, include_str!("upgrade/v6.tsv")),
    (7, include_str!("upgrade/v7.tsv")),
];

/// Tables, and how many rows each has.
type Counts = BTreeMap<String, i64>;

/// Adds the rows that a database of this version can have.
async fn seed(client: &Client, version: i32) -> Counts {
    let mut counts = Counts::new();
    for line in
        ROWS.iter().filter(|(since, _)| *since <= version).flat_map(|(_, rows)| rows.lines())
    {
        let (table, row) = line.split_once('\t').expect("a table and a row");
        if table == "audit" {
            let day = "SELECT clinicwire.audit_add_day( \
                 (($1::text::json ->> 'logged_at')::bigint / 86400000)::int)";
            client.execute(day, &[&row]).await.expect("the day is added");
        }
        let columns = "SELECT string_agg(quote_ident(name), ', ') \
             FROM json_object_keys($1::text::json) AS keys (name)";
        let columns: String = client.query_one(columns, &[&row]).await.expect("columns").get(0);
        let insert = format!(
            "INSERT INTO clinicwire.{table} ({columns}) OVERRIDING SYSTEM VALUE \
             SELECT {columns} FROM json_populate_record(NULL::clinicwire.{table}, $1::text::json)"
        );
        client.execute(&insert, &[&row]).await.unwrap_or_else(|error| panic!("{table}: {error}"));
        *counts.entry(table.to_owned()).or_default() += 1;
    }
    counts
}

async fn count<'a>(client: &Client, tables: impl Iterator<Item = &'a String>) -> Counts {
    let mut counts = Counts::new();
    for table in tables {
        let count = format!("SELECT count(*) FROM clinicwire.{table}");
        let rows = client.query_one(&count, &[]).await.expect("a count").get(0);
        counts.insert(table.clone(), rows);
    }
    counts
}

/// Reads the ledger as the newest program does.
async fn read_ledger(database: &Database) {
    let consumer = Consumer { name: "upgrade".into(), topic: CARE_TOPIC.into() };
    let ledger = PostgresLedger::new(&database.pool(1), consumer).unwrap();
    let aggregate = Aggregate::parse("t-76b2a8857c5a4b84/riverside").unwrap();
    let location = ledger.restore(&aggregate).await.unwrap().expect("the location is there");
    assert_eq!(location.tickets.len(), 2, "those that have not ended");
    let view = (aggregate, "board:riverside.main".to_owned());
    ledger.view(&view).await.expect("views are read");
    let claim = ledger.claim(PartitionId(257_401)).await.unwrap();
    assert_eq!(claim.owner_epoch, OwnerEpoch(1), "a new consumer begins");
}

/// Reads the rows of the tables that became partitions.
async fn read_partitions(database: &Database, counts: &Counts) {
    let parked = PostgresParked::connect(&database.pool(1).connection).await.unwrap();
    let (listed, all) = parked.list(None, 10).await.unwrap();
    assert_eq!((listed.len(), all), (2, 2));
    let processor = database.role(Role::Processor).await;
    let versions = "SELECT version FROM clinicwire.journal \
         WHERE tenant = 't-76b2a8857c5a4b84' AND version IS NOT NULL ORDER BY epoch, version";
    let versions = processor.query(versions, &[]).await.unwrap();
    let versions: Vec<i64> = versions.iter().map(|row| row.get(0)).collect();
    assert_eq!(versions, (1..=versions.len() as i64).collect::<Vec<_>>());
    assert!(versions.len() > 4, "{versions:?}");
    if counts.contains_key("stay") {
        let ended = "INSERT INTO clinicwire.stay SELECT * FROM clinicwire.stay \
             ON CONFLICT (tenant, ticket, number, since) DO UPDATE SET until = 7";
        let ended = processor.execute(ended, &[]).await.expect("a stay ends");
        assert_eq!(i64::try_from(ended).unwrap(), counts["stay"]);
    }
}

#[tokio::test]
async fn every_version_with_rows_becomes_the_newest() {
    for version in 1..migrations::newest() {
        let database = Database::empty().await;
        migrations::apply_up_to(&database.url, version).await.expect("the old version applies");
        let before = seed(&database.role(Role::Processor).await, version).await;

        let applied = migrations::apply(&database.url).await.expect("the migrations apply");
        assert_eq!(i32::try_from(applied).unwrap(), migrations::newest() - version);

        let processor = database.role(Role::Processor).await;
        assert_eq!(count(&processor, before.keys()).await, before, "from version {version}");
        if version >= 2 {
            read_ledger(&database).await;
            read_partitions(&database, &before).await;
        }
        if version >= 4 {
            let consumer = Consumer { name: "upgrade".into(), topic: AUDIT_TOPIC.into() };
            let audit = PostgresAudit::new(&database.pool(1), consumer).unwrap();
            let tenant = TenantId::new("t-728b713ef5fe7c75").unwrap();
            let report = verify_tenant(&audit, tenant).await.unwrap();
            assert_eq!((report.rows, report.broken), (2, None), "the chain is sound");
        }
    }
}

#[tokio::test]
async fn commit_under_way_is_no_deadlock_for_a_migration() {
    let database = Database::empty().await;
    migrations::apply_up_to(&database.url, 7).await.expect("the old version applies");
    // The owner may lock every table.
    let processor = database.owner().await;
    let begin = "BEGIN; UPDATE clinicwire.checkpoint SET next_offset = next_offset; \
         LOCK TABLE clinicwire.ticket IN ROW EXCLUSIVE MODE";
    processor.batch_execute(begin).await.unwrap();

    let owner = database.owner().await;
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let commit = async {
        until("the migration waits for the commit", async || {
            owner.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) > 0
        })
        .await;
        let rest = "LOCK TABLE clinicwire.journal IN ROW EXCLUSIVE MODE; COMMIT";
        processor.batch_execute(rest).await.expect("the commit goes on");
    };
    let (applied, ()) = tokio::join!(migrations::apply(&database.url), commit);
    assert_eq!(applied.expect("no deadlock"), usize::try_from(migrations::newest() - 7).unwrap());
}
