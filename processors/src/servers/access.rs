//! `check-config --connect`: tries what the processors may do at their servers.

use servers::{
    access_check::{Access, AccessReport},
    kafka::{
        Need, TopicNeed, check_group_access, check_login, check_topic_access, check_topic_creation,
    },
    postgres::{
        self, LoginPolicy, PostgresError,
        access::{TableRight, check_bound, tables, try_create, try_prepare, try_table},
    },
    redis::access::{HEADS_KEY, NamedCommand, SHORT_KEY, VIEW_KEY, check_commands},
};

use super::{
    config::{
        AuditCommand, BridgeArgs, CompareArgs, ParkedCommand, PrepareArgs, RebuildArgs, RunArgs,
        ServiceCommand, TopicCommand, VerifyArgs, WorkArgs,
    },
    postgres::{ConnectionSettings, login},
    redis,
};

/// The tables that are only appended to.
const APPENDED: [&str; 4] = ["audit", "audit_anchor", "audit_person", "journal"];

/// The tables that `audit verify` reads.
const VERIFIED: [&str; 3] = ["audit", "audit_anchor", "audit_head"];

/// The tables that `verify` reads.
const COMPARED: [&str; 6] = ["aggregate", "appointment", "journal", "ticket", "view", "view_entry"];

/// Tries every right that the command needs and must not have.
pub async fn check_access(command: &ServiceCommand) -> AccessReport {
    let mut report = AccessReport::default();
    match command {
        ServiceCommand::Run(run) => check_run(&mut report, run).await,
        ServiceCommand::Work(work) => check_work(&mut report, work).await,
        ServiceCommand::Bridge(bridge) => check_bridge(&mut report, bridge).await,
        ServiceCommand::Prepare(prepare) => check_prepare(&mut report, prepare).await,
        ServiceCommand::Audit(AuditCommand::Verify(verify)) => {
            check_verify(&mut report, verify).await;
        }
        ServiceCommand::Parked(parked) => check_parked(&mut report, parked).await,
        ServiceCommand::Rebuild(rebuild) => check_rebuild(&mut report, rebuild).await,
        ServiceCommand::Verify(verify) => check_compare(&mut report, verify).await,
        ServiceCommand::Topic(topic) => check_topic(&mut report, topic).await,
        // The commands that make keys use no server.
        ServiceCommand::PushKey(_) | ServiceCommand::WebhookKey(_) => {}
    }
    report
}

/// Tries whether `prepare` may create what the others use.
async fn check_prepare(report: &mut AccessReport, prepare: &PrepareArgs) {
    let cluster = prepare.cluster();
    if check_login(report, &cluster).await {
        check_topic_creation(report, &cluster, &cluster.topics.care).await;
    }
    let url = prepare.postgres.postgres.clone();
    postgres::access::check_database(report, async |report| {
        let client = login(&ConnectionSettings { url, role: None }).await?;
        report.needs("postgres: create the schema and its tables", try_prepare(&client).await);
        Ok(())
    })
    .await;
}

async fn check_verify(report: &mut AccessReport, verify: &VerifyArgs) {
    check_rights(report, &verify.pool().connection, &VERIFIED, &[TableRight::Select]).await;
}

async fn check_parked(report: &mut AccessReport, parked: &ParkedCommand) {
    if let ParkedCommand::Release(release) = parked {
        let cluster = release.cluster();
        let topics = [&cluster.topics.care, &cluster.topics.runs];
        if check_login(report, &cluster).await {
            let needs = topics.map(|topic| need(topic, Need::Indifferent, Need::Needed));
            check_topic_access(report, &cluster, &needs).await;
        }
    }
    let rights = match parked {
        ParkedCommand::List(_) | ParkedCommand::Show(_) => &[TableRight::Select][..],
        ParkedCommand::Release(_) | ParkedCommand::Drop(_) => {
            &[TableRight::Select, TableRight::Delete]
        }
    };
    check_rights(report, &parked.connection(), &["parked"], rights).await;
}

async fn check_rebuild(report: &mut AccessReport, rebuild: &RebuildArgs) {
    let connection = rebuild.connection();
    check_rights(report, &connection, &["journal"], &[TableRight::Select]).await;
    let written = ["aggregate", "appointment", "checkpoint", "ticket", "view", "view_entry"];
    let rights = [TableRight::Select, TableRight::Insert, TableRight::Update, TableRight::Delete];
    check_rights(report, &connection, &written, &rights).await;
    check_rights(report, &connection, &["outbox"], &[TableRight::Insert]).await;
}

async fn check_compare(report: &mut AccessReport, verify: &CompareArgs) {
    let needed: &[NamedCommand<'_>] = &[
        ("read views", &["HGETALL", VIEW_KEY]),
        ("read lines", &["ZRANGE", VIEW_KEY, "0", "-1"]),
        ("read the identity of the server", &["INFO", "replication"]),
        ("run scripts", &["EVAL", "return 1", "0"]),
    ];
    check_commands(report, redis::connect(&verify.redis.redis), needed, &[]).await;
    check_rights(report, &verify.connection(), &COMPARED, &[TableRight::Select]).await;
}

async fn check_topic(report: &mut AccessReport, topic: &TopicCommand) {
    let (settings, cluster) = (topic.settings(), topic.settings().cluster());
    let topics = [&cluster.topics.care, &cluster.topics.runs];
    if check_login(report, &cluster).await {
        let needs = topics.map(|topic| need(topic, Need::Needed, Need::Indifferent));
        check_topic_access(report, &cluster, &needs).await;
    }
    let connection = settings.connection();
    check_rights(report, &connection, &["journal"], &[TableRight::Select]).await;
    let rights = match topic {
        TopicCommand::Check(_) => &[TableRight::Select][..],
        TopicCommand::Accept(_) => &[TableRight::Select, TableRight::Update],
    };
    check_rights(report, &connection, &["checkpoint"], rights).await;
}

/// Tries rights that a command needs on some of our tables.
async fn check_rights(
    report: &mut AccessReport,
    connection: &ConnectionSettings,
    names: &[&str],
    rights: &[TableRight],
) {
    postgres::access::check_database(report, async |report| {
        let client = login(connection).await?;
        let tables = tables(&client).await?;
        for table in tables.iter().filter(|table| names.contains(&table.name.as_str())) {
            for &right in rights {
                let found = try_table(&client, table, right).await;
                report.needs(format!("postgres: {} on {}", right.name(), table.name), found);
            }
        }
        if tables.is_empty() {
            let unprepared = "the database has no tables: run `clinicwire-processors prepare`";
            report.needs("postgres: read tables", Access::Unknown(unprepared.to_owned()));
        }
        Ok(())
    })
    .await;
}

fn need(topic: &str, read: Need, write: Need) -> TopicNeed<'_> {
    TopicNeed { topic, read, write }
}

async fn check_run(report: &mut AccessReport, run: &RunArgs) {
    let cluster = run.cluster();
    let topics = &cluster.topics;
    let needs = [
        need(&topics.care, Need::Needed, Need::Needed),
        need(&topics.runs, Need::Needed, Need::Needed),
        need(&topics.views, Need::Needed, Need::Needed),
        need(&topics.audit, Need::Needed, Need::Forbidden),
        need(&topics.events, Need::Indifferent, Need::Needed),
        need(&topics.access, Need::Needed, Need::Needed),
    ];
    if check_login(report, &cluster).await {
        check_topic_access(report, &cluster, &needs).await;
        check_group_access(report, &cluster, &run.group, &topics.care).await;
    }
    check_redis(report, &run.redis.redis).await;
    check_database(report, &run.pool().connection, run.postgres.login_policy()).await;
}

async fn check_work(report: &mut AccessReport, work: &WorkArgs) {
    let cluster = work.cluster();
    let topics = &cluster.topics;
    let needs = [
        need(&topics.care, Need::Indifferent, Need::Forbidden),
        need(&topics.runs, Need::Indifferent, Need::Needed),
        need(&topics.views, Need::Indifferent, Need::Forbidden),
        need(&topics.audit, Need::Forbidden, Need::Forbidden),
        need(&topics.events, Need::Forbidden, Need::Forbidden),
        need(&topics.access, Need::Needed, Need::Forbidden),
    ];
    if check_login(report, &cluster).await {
        check_topic_access(report, &cluster, &needs).await;
    }
    let connection = work.checks.pool(&work.postgres).connection;
    check_database(report, &connection, work.postgres.login_policy()).await;
}

async fn check_bridge(report: &mut AccessReport, bridge: &BridgeArgs) {
    let cluster = bridge.cluster();
    let topics = &cluster.topics;
    let needs = [
        need(&bridge.source_topic, Need::Needed, Need::Forbidden),
        need(&topics.care, Need::Forbidden, Need::Needed),
        need(&topics.runs, Need::Forbidden, Need::Forbidden),
        need(&topics.views, Need::Forbidden, Need::Forbidden),
        need(&topics.audit, Need::Forbidden, Need::Forbidden),
        need(&topics.events, Need::Forbidden, Need::Forbidden),
        need(&topics.access, Need::Needed, Need::Forbidden),
    ];
    if check_login(report, &cluster).await {
        check_topic_access(report, &cluster, &needs).await;
        check_group_access(report, &cluster, &bridge.group(), &bridge.source_topic).await;
    }
}

async fn check_redis(report: &mut AccessReport, url: &str) {
    let needed: &[NamedCommand<'_>] = &[
        ("write views", &["HDEL", VIEW_KEY, "nothing"]),
        ("note the heads of partitions", &["HDEL", HEADS_KEY, "nothing"]),
        ("read the identity of the server", &["INFO", "replication"]),
        ("run scripts", &["EVAL", "return 1", "0"]),
    ];
    let forbidden: &[NamedCommand<'_>] = &[
        ("take short-lived keys", &["GETDEL", SHORT_KEY]),
        ("delete everything", &["FLUSHALL", "NEITHER-SYNC-NOR-ASYNC"]),
        ("read settings", &["CONFIG", "GET", "nothing"]),
    ];
    check_commands(report, redis::connect(url), needed, forbidden).await;
}

async fn check_database(
    report: &mut AccessReport,
    connection: &ConnectionSettings,
    policy: LoginPolicy,
) {
    postgres::access::check_database(report, async |report| {
        check_postgres(report, connection, policy).await
    })
    .await;
}

async fn check_postgres(
    report: &mut AccessReport,
    connection: &ConnectionSettings,
    policy: LoginPolicy,
) -> Result<(), PostgresError> {
    let client = login(connection).await?;
    check_bound(report, &client, policy).await?;
    let tables = tables(&client).await?;
    for table in tables.iter().filter(|table| APPENDED.contains(&table.name.as_str())) {
        for right in TableRight::ALL {
            let (what, found) = (
                format!("postgres: {} on {}", right.name(), table.name),
                try_table(&client, table, right).await,
            );
            match right {
                TableRight::Select | TableRight::Insert => report.needs(what, found),
                TableRight::Update | TableRight::Delete => report.must_not(what, found),
            }
        }
    }
    report.must_not("postgres: create tables", try_create(&client).await);
    Ok(())
}
