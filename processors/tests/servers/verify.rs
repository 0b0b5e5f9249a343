//! `verify` beside live traffic, and what it finds; a database restored from an older copy.

use std::collections::BTreeMap;

use processors::{
    fixtures::{issue, opening},
    log::Log,
    servers::{postgres::Role, redis::RedisViews},
    views::ViewStore,
};
use rdkafka::{Offset, TopicPartitionList, admin::AdminOptions};
use schemas::{
    ids::{Aggregate, LocationId, TenantId},
    record::{CARE_TOPIC, WireRecord},
};
use testing::{
    patience::{patiently, until},
    records::command_record,
};
use tokio_postgres::Client;

use crate::{
    binary::{Installation, get, output, views},
    setup::{admin, administrator, fresh, server},
};

/// Runs `verify` with these words. Returns the exit code and the output.
async fn verify(installation: &Installation, words: &[&str]) -> (Option<i32>, String) {
    let mut program = installation.program("verify");
    program.args(words);
    let output = output(program).await;
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

async fn versions(client: &Client) -> i64 {
    let sql = "SELECT coalesce(max(version), 0) FROM clinicwire.aggregate";
    client.query_one(sql, &[]).await.unwrap().get(0)
}

async fn until_version(client: &Client, version: i64) {
    until("the records are applied", async || versions(client).await >= version).await;
}

fn location() -> Aggregate {
    let tenant = TenantId::new(fresh()).unwrap();
    Aggregate::location(&tenant, &LocationId::new("riverside").unwrap())
}

fn opened(aggregate: &Aggregate) -> Vec<(&'static str, WireRecord)> {
    let record = |(number, command)| {
        (CARE_TOPIC, command_record(aggregate, &format!("open-{number}"), command).to_wire())
    };
    (0..).zip(opening()).map(record).collect()
}

fn issued(
    aggregate: &Aggregate,
    numbers: std::ops::Range<u128>,
) -> Vec<(&'static str, WireRecord)> {
    let record = |number| command_record(aggregate, &format!("issue-{number}"), issue(number));
    numbers.map(|number| (CARE_TOPIC, record(number).to_wire())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn verification_finds_what_was_changed_and_nothing_beside_traffic() {
    let installation = Installation::new().await;
    let (ok, told) = installation.output("prepare").await;
    assert!(ok, "{told}");
    let (process, _) = installation.run().await;
    let client = installation.database.role(Role::Processor).await;
    let (aggregate, log) = (location(), installation.topics.writer());
    log.append(&opened(&aggregate)).await.unwrap();
    let first = i64::try_from(opening().len()).unwrap();
    until_version(&client, first).await;
    let all = issued(&aggregate, 0..400);
    let writing = async {
        for records in all.chunks(20) {
            log.append(records).await.unwrap();
        }
    };
    let (_, beside) = tokio::join!(writing, verify(&installation, &[]));
    assert_eq!(beside.0, Some(0), "{}", beside.1);
    until_version(&client, first + 400).await;
    let told = installation.verified().await;
    assert!(told.contains(&format!("{aggregate}  epoch ")), "{told}");

    for (change, found) in [
        ("UPDATE clinicwire.ticket SET body = replace(body::text, 'A-00', 'B-00')::json", "ticket"),
        ("DELETE FROM clinicwire.view_entry WHERE view LIKE 'queue:%' AND key LIKE '%0'", "view "),
        (
            "UPDATE clinicwire.aggregate \
             SET header = replace(header::text, '\"name\":\"', '\"name\":\"x')::json",
            "aggregate",
        ),
    ] {
        client.execute(change, &[]).await.unwrap();
        let (code, told) = verify(&installation, &[]).await;
        assert_eq!(code, Some(1), "{told}");
        assert!(told.lines().any(|line| line.trim_start().starts_with(found)), "{found}: {told}");
        let json = verify(&installation, &["--json"]).await.1;
        let lines: Vec<serde_json::Value> =
            json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(lines[0]["differences"].as_array().is_some_and(|found| !found.is_empty()));
        assert!(lines[1]["differences"].as_u64().is_some_and(|count| count > 0));
    }
    let (code, told) = verify(&installation, &["--tenant=nobody"]).await;
    assert_eq!((code, told.starts_with("0 aggregates")), (Some(0), true), "{told}");

    // A rebuild beside traffic makes all of it good, and decides nothing again.
    let lost = epoch(&client).await;
    let (code, told) = rebuild(&installation, &aggregate, &["--dry-run"]).await;
    assert_eq!((code, told.contains("rebuilt")), (Some(0), false), "{told}");
    assert_eq!(epoch(&client).await, lost, "a dry run changes nothing");
    let later = issued(&aggregate, 400..430);
    let writing = log.append(&later);
    let (written, rebuilt) = tokio::join!(writing, rebuild(&installation, &aggregate, &[]));
    written.unwrap();
    assert_eq!(
        (rebuilt.0, rebuilt.1.contains("\nrebuilt: epoch ")),
        (Some(0), true),
        "{rebuilt:?}"
    );
    until_version(&client, first + 430).await;
    assert!(epoch(&client).await > lost);
    installation.verified().await;
    let sql = "SELECT count(*) FROM clinicwire.journal WHERE kind = 'applied'";
    assert_eq!(client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), first + 430);
    assert!(process.stop().await, "SIGTERM is no failure");
}

/// In the evening no record arrives. Clients that hold wrong views must not wait for the morning.
#[tokio::test(flavor = "multi_thread")]
async fn rebuild_of_an_idle_location_is_published() {
    let installation = Installation::new().await;
    let (ok, told) = installation.output("prepare").await;
    assert!(ok, "{told}");
    let (process, _) = installation.run().await;
    let client = installation.database.role(Role::Processor).await;
    let (aggregate, log) = (location(), installation.topics.writer());
    log.append(&opened(&aggregate)).await.unwrap();
    until_version(&client, i64::try_from(opening().len()).unwrap()).await;
    let (code, told) = rebuild(&installation, &aggregate, &[]).await;
    assert_eq!(code, Some(0), "{told}");
    let sql = "SELECT count(*) FROM clinicwire.outbox";
    until("the new epoch is published", async || {
        client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 0
    })
    .await;
    assert!(process.stop().await, "SIGTERM is no failure");
}

/// Runs `rebuild` for a location. Returns the exit code and the output.
async fn rebuild(
    installation: &Installation,
    aggregate: &Aggregate,
    words: &[&str],
) -> (Option<i32>, String) {
    let (tenant, location) = aggregate.as_str().split_once('/').unwrap();
    let mut program = installation.program("rebuild");
    program.args(["--tenant", tenant, "--location", location]).args(words);
    let output = output(program).await;
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

/// Kafka and Redis are ahead of the database then.
#[tokio::test(flavor = "multi_thread")]
async fn restored_database_begins_a_new_epoch() {
    restore(Published::Remembered).await;
}

/// The topic of views has forgotten everything, as after a restore that takes hours.
#[tokio::test(flavor = "multi_thread")]
async fn restored_database_is_found_by_redis_alone() {
    restore(Published::Forgotten).await;
}

/// Whether the topic of views still has the lost steps when the processors start again.
#[derive(PartialEq)]
enum Published {
    Remembered,
    Forgotten,
}

async fn restore(published: Published) {
    let mut installation = Installation::new().await;
    let (ok, told) = installation.output("prepare").await;
    assert!(ok, "{told}");
    let (aggregate, log) = (location(), installation.topics.writer());
    log.append(&opened(&aggregate)).await.unwrap();
    log.append(&issued(&aggregate, 0..50)).await.unwrap();
    let copied = i64::try_from(opening().len()).unwrap() + 50;
    let (process, _) = installation.run().await;
    let client = installation.database.role(Role::Processor).await;
    until_version(&client, copied).await;
    assert!(process.stop().await, "SIGTERM is no failure");
    drop(client);
    let copy = copy_of(&installation.database.url).await;

    log.append(&issued(&aggregate, 50..80)).await.unwrap();
    let (process, _) = installation.run().await;
    let client = installation.database.role(Role::Processor).await;
    until_version(&client, copied + 30).await;
    let lost = epoch(&client).await;
    if published == Published::Forgotten {
        until_head(&installation, copied + 30).await;
    }
    assert!(process.stop().await, "SIGTERM is no failure");
    drop(client);
    if published == Published::Forgotten {
        forget_views(&installation.topics.names.views).await;
    }

    // The copy takes the place of the database. Nobody empties Redis.
    let newer = std::mem::replace(&mut installation.database.url, copy.clone());
    let (process, address) = installation.run().await;
    let client = installation.database.role(Role::Processor).await;
    until_version(&client, copied + 30).await;
    let begun = epoch(&client).await;
    assert!(begun > lost, "{begun} after {lost}");
    let metrics = get(&address, "/metrics").await;
    assert!(metrics.contains("clinicwire_processor_epoch_renewals_total 1"), "{metrics}");
    installation.verified().await;
    let topic = installation.topics.names.views.clone();
    // Commands of the lost time are answered twice in the topic.
    let answers = match published {
        Published::Remembered => 110 + opening().len(),
        Published::Forgotten => 30,
    };
    let records = tokio::task::spawn_blocking(move || views(&topic, answers));
    let records = patiently("everything is published", records).await.unwrap();
    check_positions(&records);

    // Nothing happens at the next start.
    assert!(process.stop().await, "SIGTERM is no failure");
    let (process, _) = installation.run().await;
    log.append(&issued(&aggregate, 80..81)).await.unwrap();
    until_version(&client, copied + 31).await;
    assert_eq!(epoch(&client).await, begun);
    assert!(process.stop().await, "SIGTERM is no failure");
    drop(client);
    installation.database.url = newer;
    drop_database(&copy).await;
}

/// Waits until Redis remembers a head of this version.
async fn until_head(installation: &Installation, version: i64) {
    let topic = &installation.topics.names.views;
    let views = RedisViews::connect(&server("CLINICWIRE_REDIS"), topic).await.unwrap();
    let version = u64::try_from(version).unwrap();
    until("the head is noted", async || {
        let heads = views.heads().await.unwrap();
        heads.iter().any(|(_, position)| position.version == version)
    })
    .await;
}

/// Deletes all records of the topic of views, as its retention does.
async fn forget_views(topic: &str) {
    let mut ends = TopicPartitionList::new();
    for partition in 0..3 {
        ends.add_partition_offset(topic, partition, Offset::End).unwrap();
    }
    admin().delete_records(&ends, &AdminOptions::new()).await.unwrap();
}

/// No position has two contents, and positions of the topic only grow.
fn check_positions(records: &[(String, schemas::record::ViewsRecord)]) {
    let mut contents = BTreeMap::new();
    let mut last = None;
    for (_, record) in records.iter().filter(|(_, record)| !record.reload) {
        let text = serde_json::to_string(&record.deltas).unwrap();
        let before = contents.insert(record.position, text.clone());
        assert!(before.is_none_or(|before| before == text), "two contents");
        assert!(last.is_none_or(|last| last <= record.position), "a position goes back");
        last = Some(record.position);
    }
    assert!(records.iter().any(|(_, record)| record.reload), "the new epoch is announced");
}

async fn epoch(client: &Client) -> i64 {
    let sql = "SELECT max(epoch) FROM clinicwire.aggregate";
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// Copies a database to which nobody is connected. Returns the URL of the copy.
async fn copy_of(url: &str) -> String {
    let (address, name) = url.rsplit_once('/').unwrap();
    let copy = format!("{name}_copy");
    let client = administrator().await;
    let sql = format!("CREATE DATABASE {copy} TEMPLATE {name}");
    until("the last session ends", async || client.batch_execute(&sql).await.is_ok()).await;
    format!("{address}/{copy}")
}

async fn drop_database(url: &str) {
    let (_, name) = url.rsplit_once('/').unwrap();
    let sql = format!("DROP DATABASE {name} WITH (FORCE)");
    administrator().await.batch_execute(&sql).await.unwrap();
}
