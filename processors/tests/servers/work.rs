//! The work queue on PostgreSQL: concurrent workers, transactions that are cut off, days and roles.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use processors::{
    servers::postgres::{ConnectionSettings, PoolSettings, PostgresWork, Role},
    work::{AttemptOutput, Job, Work, WorkError, WorkItem},
};
use schemas::{
    attempt::AttemptNumber,
    command::Command,
    finding::{Finding, FindingOutcome},
    ids::{RuleId, RunId},
    rule::Severity,
};
use serde_json::json;
use testing::patience::patiently;
use tokio::{sync::mpsc, task::JoinSet};

use super::setup::Database;

const LONG: Duration = Duration::from_secs(600);

fn work(database: &Database, size: usize) -> PostgresWork {
    let connection = ConnectionSettings { url: database.url.clone(), role: Some(Role::Processor) };
    PostgresWork::new(&PoolSettings { connection, size }).expect("a pool")
}

fn run(number: u128) -> RunId {
    RunId::from_parts(7, number)
}

/// Enqueues runs of these tenants in this order.
async fn ask(client: &tokio_postgres::Client, tenants: &[String]) {
    for (tenant, number) in tenants.iter().zip(1..) {
        let file = format!("f_{number:032x}");
        let file = json!({"file": file, "name": "a.csv", "bytes": 1, "sha256": ""});
        let request = json!({"file": file, "list_passes": false}).to_string();
        let insert = "INSERT INTO clinicwire.run_work (tenant, run, attempt, request) VALUES ($1, \
             $2, 1, $3::text::json)";
        client.execute(insert, &[&tenant, &run(number).as_str(), &request]).await.expect("a row");
    }
}

async fn take(work: &PostgresWork, lease: Duration) -> Option<Job> {
    match work.take("worker", lease, &BTreeSet::new()).await.expect("the work answers")? {
        WorkItem::Attempt(job) => Some(job),
        WorkItem::UnreportedEnd(..) => panic!("no run ended"),
    }
}

fn finding(row: u64) -> Finding {
    let rule = RuleId::new("some-rule").unwrap();
    let (severity, outcome) = (Severity::Error, FindingOutcome::NotAllowed);
    Finding { row, rule, severity, outcome, params: Default::default(), cents: 0 }
}

fn stopped(attempt: u32) -> Box<Command> {
    Box::new(Command::StopRun { attempt: AttemptNumber(attempt) })
}

async fn count(client: &tokio_postgres::Client, table: &str) -> i64 {
    client
        .query_one(&format!("SELECT count(*) FROM clinicwire.{table}"), &[])
        .await
        .expect("a count")
        .get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn many_workers_take_each_run_once() {
    let database = Database::migrated().await;
    let client = database.role(Role::Processor).await;
    // Ten runs of one tenant, then ten of the next, and so on.
    let tenants: Vec<String> = (0..60).map(|number| format!("tenant-{}", number / 10)).collect();
    ask(&client, &tenants).await;
    let work = Arc::new(work(&database, 6));
    let mut takers = JoinSet::new();
    for _ in 0..6 {
        let work = Arc::clone(&work);
        takers.spawn(async move {
            let mut taken = Vec::new();
            while let Some(job) = take(&work, LONG).await {
                taken.push(job);
            }
            taken
        });
    }
    let taken: Vec<Job> =
        patiently("all are taken", takers.join_all()).await.into_iter().flatten().collect();
    assert_eq!(taken.len(), 60);
    assert_eq!(taken.iter().map(|job| &job.run).collect::<HashSet<_>>().len(), 60);

    // Taking one at a time shows the turns: each round has one run of each tenant.
    client
        .batch_execute("UPDATE clinicwire.run_work SET worker = NULL, lease_until = NULL")
        .await
        .unwrap();
    for _ in 0..10 {
        let mut round = HashSet::new();
        for _ in 0..6 {
            round.insert(take(&work, LONG).await.expect("there is a run").tenant);
        }
        assert_eq!(round.len(), 6, "each tenant once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn worker_cut_off_while_storing_leaves_nothing() {
    let database = Database::migrated().await;
    let client = database.role(Role::Processor).await;
    ask(&client, &["one".to_owned()]).await;
    let work = Arc::new(work(&database, 4));
    let job = take(&work, LONG).await.expect("there is a run");
    let (parts, received) = mpsc::channel(1);
    let storing = tokio::spawn({
        let (work, job) = (Arc::clone(&work), job.clone());
        async move { work.end(&job, received).await }
    });
    // Far more than the client's buffers hold.
    for block in 0..40 {
        let findings = (1..=1_000).map(|row| finding(block * 1_000 + row)).collect();
        parts.send(AttemptOutput::Findings(findings)).await.expect("it is stored");
    }
    assert!(
        !work.extend_lease(&job, LONG).await.expect("the lease holds"),
        "a copy does not delay the extension of the lease"
    );
    storing.abort();
    assert!(storing.await.expect_err("it was cut off").is_cancelled());

    client
        .batch_execute("UPDATE clinicwire.run_work SET lease_until = clock_timestamp()")
        .await
        .unwrap();
    let next = take(&work, LONG).await.expect("it is taken over");
    assert_eq!((next.attempt.0, next.tries), (2, 2));
    let (parts, received) = mpsc::channel(2);
    parts.send(AttemptOutput::Findings(vec![finding(1)])).await.unwrap();
    parts.send(AttemptOutput::End(stopped(2))).await.unwrap();
    patiently("it ends", work.end(&next, received)).await.expect("the lease holds");
    assert_eq!(count(&client, "finding").await, 1, "only what came with an end");
}

#[tokio::test(flavor = "multi_thread")]
async fn worker_losing_lease_while_storing_leaves_nothing() {
    let database = Database::migrated().await;
    let client = database.role(Role::Processor).await;
    ask(&client, &["one".to_owned()]).await;
    let work = work(&database, 4);
    let old = take(&work, LONG).await.expect("there is a run");
    let (parts, received) = mpsc::channel(1);
    let feed = async {
        parts.send(AttemptOutput::Findings((1..=5_000).map(finding).collect())).await.unwrap();
        client
            .batch_execute("UPDATE clinicwire.run_work SET lease_until = clock_timestamp()")
            .await
            .unwrap();
        take(&work, LONG).await.expect("it is taken over");
        parts.send(AttemptOutput::End(stopped(1))).await.unwrap();
    };
    let (ended, ()) = tokio::join!(work.end(&old, received), feed);
    assert!(matches!(ended, Err(WorkError::Lost)));
    assert_eq!(count(&client, "finding").await, 0);
}

#[tokio::test]
async fn day_of_findings_is_dropped_without_runs() {
    let database = Database::migrated().await;
    let (owner, client) = (database.owner().await, database.role(Role::Processor).await);
    for (name, from, to) in [
        ("20240228", "2024-02-28", "2024-02-29"),
        ("20240229", "2024-02-29", "2024-03-01"),
        ("20240301", "2024-03-01", "2024-03-02"),
    ] {
        let make = format!(
            "CREATE TABLE clinicwire.finding_{name} PARTITION OF clinicwire.finding FOR VALUES \
                 FROM ('{from}') TO ('{to}')"
        );
        owner.batch_execute(&make).await.unwrap();
    }
    // 2024-03-01 00:20 UTC: its transaction may have begun on the day before.
    let ended = 1_709_252_400_000_i64;
    let insert = "INSERT INTO clinicwire.run (tenant, run, state, requested_at, ended_at, attempt, \
         head, keep_until) \
         VALUES ('one', 'r', 'completed', 1, $1, 1, '{}', now() + interval '1 day')";
    client.execute(insert, &[&ended]).await.unwrap();
    let days = async || {
        let list = "SELECT relname::text FROM pg_class WHERE relname LIKE 'finding\\_2%' AND \
             relkind = 'r' ORDER BY 1";
        let rows = client.query(list, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect::<Vec<String>>()
    };
    let work = work(&database, 1);
    work.prepare_days().await.expect("the work answers");
    assert_eq!(days().await[..2], ["finding_20240229", "finding_20240301"]);
    client
        .batch_execute("UPDATE clinicwire.run SET keep_until = now() - interval '1 second'")
        .await
        .unwrap();
    assert!(!work.sweep().await.expect("the work answers"));
    assert_eq!(count(&client, "run").await, 0);
    work.prepare_days().await.expect("the work answers");
    let today = "SELECT 'finding_' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')";
    let today: String = client.query_one(today, &[]).await.unwrap().get(0);
    let kept = days().await;
    assert!(kept[0] <= today && kept.iter().all(|day| day.as_str() > "finding_2025"), "{kept:?}");
}

#[tokio::test]
async fn gateway_reads_no_partition_or_foreign_findings() {
    let database = Database::migrated().await;
    let client = database.role(Role::Processor).await;
    ask(&client, &["one".to_owned()]).await;
    let work = work(&database, 2);
    let job = take(&work, LONG).await.expect("there is a run");
    let (parts, received) = mpsc::channel(2);
    parts.send(AttemptOutput::Findings(vec![finding(1)])).await.unwrap();
    parts.send(AttemptOutput::End(stopped(1))).await.unwrap();
    work.end(&job, received).await.expect("it ends");
    let gateway = database.role(Role::Gateway).await;
    for (tenant, seen) in [("one", 1), ("other", 0), ("", 0)] {
        gateway
            .execute("SELECT set_config('clinicwire.tenant', $1, false)", &[&tenant])
            .await
            .unwrap();
        assert_eq!(count(&gateway, "finding").await, seen, "{tenant}");
    }
    let day: String = client
        .query_one("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')", &[])
        .await
        .unwrap()
        .get(0);
    let refused = gateway.query(&format!("SELECT 1 FROM clinicwire.finding_{day}"), &[]).await;
    let code = refused
        .expect_err("the gateway role has no such right")
        .code()
        .map(|code| code.code().to_owned());
    assert_eq!(code.as_deref(), Some("42501"), "insufficient privilege");
    let work_rows = gateway.query("SELECT 1 FROM clinicwire.run_work", &[]).await;
    assert!(work_rows.is_err(), "a gateway cannot read the work queue");
}
