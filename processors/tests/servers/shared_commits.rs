//! Batches of different partitions that share a transaction of PostgreSQL.

use std::sync::Arc;

use futures_util::future::join_all;
use processors::{
    fixtures::{Clinic, issue},
    ledger::{Batch, Ledger, PartitionClaim},
    servers::postgres::{PostgresLedger, Role},
};

use crate::setup::Database;
use testing::patience::patiently;

/// Opens clinics, and makes a batch of each.
async fn batches(ledger: &PostgresLedger, count: usize) -> Vec<(Clinic, Batch)> {
    let mut batches = Vec::new();
    for _ in 0..count {
        let mut clinic = Clinic::new(ledger).await;
        let claim = clinic.open(ledger, 0).await;
        let batch = clinic.batch(claim, vec![issue(1)]);
        batches.push((clinic, batch));
    }
    batches
}

/// The number of transactions that last moved these partitions.
async fn transactions(database: &Database, batches: &[(Clinic, Batch)]) -> i64 {
    let partitions: Vec<i32> =
        batches.iter().map(|(_, batch)| i32::try_from(batch.claim.partition.0).unwrap()).collect();
    let count = "SELECT count(DISTINCT xmin::text) FROM clinicwire.checkpoint \
         WHERE partition = ANY ($1)";
    let processor = database.role(Role::Processor).await;
    processor.query_one(count, &[&partitions]).await.unwrap().get(0)
}

#[tokio::test]
async fn batches_that_wait_share_one_transaction() {
    let database = Database::migrated().await;
    let ledger = database.ledger(8);
    let batches = batches(&ledger, 6).await;
    assert_eq!(transactions(&database, &batches).await, 6);
    let commits = batches.iter().map(|(_, batch)| {
        let batch = Arc::new(batch.clone());
        ledger.commit_with_others(batch)
    });
    for committed in patiently("the commits", join_all(commits)).await {
        committed.expect("the ledger commits");
    }
    // The first does not wait, and nobody starts another one before all the others wait.
    assert_eq!(transactions(&database, &batches).await, 2);
}

#[tokio::test]
async fn locked_partition_delays_no_other() {
    let database = Database::migrated().await;
    let ledger = Arc::new(database.ledger(8));
    let mut batches = batches(&ledger, 4).await;
    let locked = i32::try_from(batches[2].1.claim.partition.0).unwrap();
    let mut holder = database.role(Role::Processor).await;
    let lock = holder.transaction().await.unwrap();
    let sql = "SELECT 1 FROM clinicwire.checkpoint WHERE partition = $1 FOR UPDATE";
    lock.execute(sql, &[&locked]).await.unwrap();

    let (_, held) = batches.remove(2);
    let held = Arc::new(held);
    let patient = Arc::clone(&ledger);
    // The server ends a statement that waits for seconds. The owner then tries again.
    let held = tokio::spawn(async move {
        while patient.commit_with_others(Arc::clone(&held)).await.is_err() {}
    });
    for round in 0..3 {
        let commits =
            batches.iter().map(|(_, batch)| ledger.commit_with_others(Arc::new(batch.clone())));
        for committed in patiently("the commits of others", join_all(commits)).await {
            committed.unwrap_or_else(|error| panic!("round {round}: {error:?}"));
        }
        for (clinic, batch) in &mut batches {
            let claim = PartitionClaim { next_offset: batch.to, ..batch.claim };
            *batch = clinic.batch(claim, vec![issue(10 + round)]);
        }
    }
    assert!(!held.is_finished(), "its row is still locked");
    lock.rollback().await.unwrap();
    patiently("the commit of the released partition", held).await.unwrap();
}
