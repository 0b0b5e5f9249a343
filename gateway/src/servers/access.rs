//! `check-config --connect`: tries what a gateway may do at its servers.

use servers::{
    access_check::AccessReport,
    kafka::{KafkaCluster, Need, TopicNeed, check_login, check_topic_access},
    postgres::{
        LoginPolicy, PostgresError,
        access::{
            TableRight, check_bound, check_database, check_no_table, tables, try_create,
            try_see_without_tenant, try_table,
        },
    },
    redis::access::{NamedCommand, SHORT_KEY, VIEW_KEY, check_commands},
};

use super::{postgres, redis};

/// The tables of the processors, among them the journal with its whole history.
const HIDDEN: [&str; 6] =
    ["journal", "checkpoint", "outbox", "parked", "webhook_event", "webhook_task"];

/// Tries every right that a gateway needs, and every right that it must not have.
pub async fn check_access(
    cluster: &KafkaCluster,
    redis_url: &str,
    postgres_url: &str,
    policy: LoginPolicy,
) -> AccessReport {
    let mut report = AccessReport::default();
    let topics = &cluster.topics;
    let need = |topic, read, write| TopicNeed { topic, read, write };
    let needs = [
        need(topics.care.as_str(), Need::Forbidden, Need::Needed),
        need(&topics.runs, Need::Forbidden, Need::Needed),
        need(&topics.views, Need::Needed, Need::Forbidden),
        need(&topics.audit, Need::Forbidden, Need::Needed),
        need(&topics.events, Need::Forbidden, Need::Forbidden),
        need(&topics.access, Need::Needed, Need::Needed),
    ];
    if check_login(&mut report, cluster).await {
        check_topic_access(&mut report, cluster, &needs).await;
    }
    check_redis(&mut report, redis_url).await;
    check_database(&mut report, async |report| check_postgres(report, postgres_url, policy).await)
        .await;
    report
}

async fn check_redis(report: &mut AccessReport, url: &str) {
    let needed: &[NamedCommand<'_>] = &[
        ("read views", &["HGETALL", VIEW_KEY]),
        ("read tickets", &["HMGET", VIEW_KEY, "nothing"]),
        ("read places in lines", &["ZRANK", VIEW_KEY, "nothing"]),
        ("read the identity of the server", &["INFO", "replication"]),
        ("run scripts", &["EVAL", "return 1", "0"]),
        ("write short-lived keys", &["SET", SHORT_KEY, "tried", "PX", "1"]),
        ("take short-lived keys", &["GETDEL", SHORT_KEY]),
    ];
    let forbidden: &[NamedCommand<'_>] = &[
        ("write views", &["HDEL", VIEW_KEY, "nothing"]),
        ("delete everything", &["FLUSHALL", "NEITHER-SYNC-NOR-ASYNC"]),
        ("list keys", &["KEYS", SHORT_KEY]),
        ("read settings", &["CONFIG", "GET", "nothing"]),
    ];
    check_commands(report, redis::connect(url), needed, forbidden).await;
}

async fn check_postgres(
    report: &mut AccessReport,
    url: &str,
    policy: LoginPolicy,
) -> Result<(), PostgresError> {
    let client = servers::postgres::connect(&postgres::session(), url).await?;
    check_bound(report, &client, policy).await?;
    let tables = tables(&client).await?;
    for table in &tables {
        let name = table.name.as_str();
        if postgres::TABLES.contains(&name) {
            let found = try_table(&client, table, TableRight::Select).await;
            report.needs(format!("postgres: SELECT on {name}"), found);
        } else if HIDDEN.contains(&name) {
            let found = try_table(&client, table, TableRight::Select).await;
            report.must_not(format!("postgres: SELECT on {name}"), found);
        }
    }
    for right in [TableRight::Insert, TableRight::Update, TableRight::Delete] {
        check_no_table(report, &client, &tables, right).await;
    }
    let found = try_see_without_tenant(&client, "clinicwire.view").await;
    report.must_not("postgres: see rows without naming a tenant", found);
    report.must_not("postgres: create tables", try_create(&client).await);
    Ok(())
}
