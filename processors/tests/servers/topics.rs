//! Topics that are truncated or created again, and how an operator accepts them.

use std::time::Duration;

use processors::{
    fixtures::{issue, opening},
    log::Log,
    servers::postgres::Role,
};
use rdkafka::admin::AdminOptions;
use schemas::{
    ids::{Aggregate, LocationId, TenantId},
    record::{CARE_TOPIC, WireRecord},
};
use servers::kafka::prepare_topics;
use testing::{patience::until, records::command_record};
use tokio_postgres::Client;

use crate::{
    binary::{Installation, get, output},
    setup::{admin, fresh, new_topics},
};

/// Runs `topic` with these words. Returns the exit code and the output.
async fn topic(installation: &Installation, words: &[&str]) -> (Option<i32>, String) {
    let mut program = installation.program("topic");
    program.args(words);
    let output = output(program).await;
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

async fn applied(client: &Client) -> i64 {
    let sql = "SELECT count(*) FROM clinicwire.journal WHERE kind = 'applied'";
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// Deletes the topic of locations, and creates it again.
async fn create_again(installation: &Installation) {
    let options = AdminOptions::new().request_timeout(Some(Duration::from_secs(10)));
    let name = installation.topics.names.care.as_str();
    admin().delete_topics(&[name], &options).await.unwrap();
    // Kafka deletes a topic a moment after its answer.
    let (cluster, new) = (installation.topics.cluster(), new_topics(3));
    until("the topic is created again", async || {
        !prepare_topics(&cluster, &new).await.unwrap_or_default().is_empty()
    })
    .await;
}

fn records(
    aggregate: &Aggregate,
    numbers: std::ops::Range<u128>,
) -> Vec<(&'static str, WireRecord)> {
    let record = |number| command_record(aggregate, &format!("issue-{number}"), issue(number));
    numbers.map(|number| (CARE_TOPIC, record(number).to_wire())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn topic_created_again_stops_until_accepted() {
    let installation = Installation::new().await;
    let (ok, told) = installation.output("prepare").await;
    assert!(ok, "{told}");
    let client = installation.database.role(Role::Processor).await;
    let tenant = TenantId::new(fresh()).unwrap();
    let aggregate = Aggregate::location(&tenant, &LocationId::new("riverside").unwrap());
    let opened: Vec<_> = (0..)
        .zip(opening())
        .map(|(number, command)| {
            let record = command_record(&aggregate, &format!("open-{number}"), command);
            (CARE_TOPIC, record.to_wire())
        })
        .collect();
    let first = i64::try_from(opened.len()).unwrap() + 5;
    let log = installation.topics.writer();
    log.append(&opened).await.unwrap();
    log.append(&records(&aggregate, 0..5)).await.unwrap();
    let (process, address) = installation.run().await;
    until("all are applied", async || applied(&client).await == first).await;
    let (code, sound) = topic(&installation, &["check"]).await;
    assert_eq!(code, Some(0), "{sound}");

    create_again(&installation).await;
    let log = installation.topics.writer();
    // The new log soon has as many records as the old one had.
    log.append(&records(&aggregate, 100..120)).await.unwrap();
    let ready = async || get(&address, "/health/ready").await;
    until("the partition stops", async || ready().await.contains("stopped: the topic")).await;
    let metrics = get(&address, "/metrics").await;
    let held = |line: &str| {
        line.starts_with("clinicwire_processor_topic_replaced") && line.ends_with(" 1")
    };
    assert_eq!(metrics.lines().filter(|line| held(line)).count(), 1, "{metrics}");
    assert_eq!(applied(&client).await, first, "nothing of another log is applied");

    let (code, found) = topic(&installation, &["check"]).await;
    assert_eq!(code, Some(3), "{found}");
    let stopped: Vec<&str> = found.lines().filter(|line| line.contains("STOPPED")).collect();
    assert_eq!(stopped.len(), 1, "{found}");
    let place = stopped[0].split(' ').next().unwrap();
    let (code, accepted) = topic(&installation, &["accept", place]).await;
    assert_eq!(accepted, format!("accepted {place}: goes on at its offset 0\n"));
    assert_eq!(code, Some(0));
    until("the new log is applied", async || applied(&client).await == first + 20).await;
    until("it is ready", async || ready().await.starts_with("HTTP/1.1 200")).await;
    let versions = "SELECT count(*), max(version) FROM clinicwire.journal WHERE tenant = $1";
    let row = client.query_one(versions, &[&tenant.as_str()]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), row.get::<_, i64>(1), "versions go on without a gap");

    // A restart continues in the accepted log.
    assert!(process.stop().await, "SIGTERM is no failure");
    log.append(&records(&aggregate, 200..205)).await.unwrap();
    let (process, _) = installation.run().await;
    until("it goes on", async || applied(&client).await == first + 25).await;
    installation.verified().await;
    let (code, told) = topic(&installation, &["accept", place]).await;
    assert_eq!((code, told.contains("nothing to accept")), (Some(3), true), "{told}");
    assert!(process.stop().await, "SIGTERM is no failure");
}
