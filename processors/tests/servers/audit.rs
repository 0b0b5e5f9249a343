//! The audit on real servers: privileges, days, and the binary that stores and verifies.

use processors::{
    audit::{AuditBatch, AuditStore, Break, DAY_MS, Day, TenantEntries, verify_tenant},
    log::{Log, PartitionId},
    servers::postgres::{
        ConnectionSettings, Consumer, PoolSettings, PostgresAudit, Role, set_audit_retention,
    },
};
use schemas::{
    Millis,
    audit::{AuditEntry, AuditRecord},
    ids::TenantId,
    record::AUDIT_TOPIC,
};

use crate::{
    binary::{Installation, get, output},
    setup::{Database, fresh},
};
use testing::patience::until;

fn now() -> Millis {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Millis::try_from(now.as_millis()).unwrap()
}

fn record(subjects: &[&str]) -> AuditRecord {
    let ticket = "ticket:riverside.00000000000000000000000000000001";
    let entry = |subject: &&str| AuditEntry {
        at: now(),
        role: "doctor".into(),
        ..testing::records::audit_entry(subject, "channel.open", &[ticket])
    };
    AuditRecord { entries: subjects.iter().map(entry).collect() }
}

fn store(database: &Database) -> PostgresAudit {
    let connection = ConnectionSettings { url: database.url.clone(), role: Some(Role::Processor) };
    let consumer = Consumer { name: "test".into(), topic: "audit".into() };
    PostgresAudit::new(&PoolSettings { connection, size: 2 }, consumer).expect("a pool")
}

/// Stores an entry of each subject, as old as its number of days.
async fn fill(store: &PostgresAudit, tenant: &TenantId, subjects: &[(&str, i64)]) {
    let claim = store.claim(PartitionId(0)).await.unwrap();
    let names: Vec<&str> = subjects.iter().map(|(subject, _)| *subject).collect();
    let (_, entries) = AuditRecord::from_wire(&record(&names).to_wire(tenant, 1)).unwrap();
    let at = subjects.iter().map(|(_, days)| now() - days * DAY_MS);
    let entries = at.zip(entries).collect();
    let tenants = vec![TenantEntries { tenant: tenant.clone(), entries }];
    let batch = AuditBatch { claim, to: claim.next_offset.next(), tenants, parked: vec![] };
    store.commit(&batch).await.unwrap();
}

fn tenant() -> TenantId {
    TenantId::new(fresh()).unwrap()
}

#[tokio::test]
async fn no_role_changes_or_removes_an_entry() {
    let database = Database::migrated().await;
    let (store, tenant) = (store(&database), tenant());
    fill(&store, &tenant, &[("ann", 0)]).await;
    let processor = database.role(Role::Processor).await;
    let gateway = database.role(Role::Gateway).await;
    let day = processor.query_one("SELECT 'audit_' || to_char(now(), 'YYYYMMDD')", &[]).await;
    let day: String = day.unwrap().get(0);
    for (client, refused) in [
        (&processor, "UPDATE clinicwire.audit SET subject = 'x'".to_owned()),
        (&processor, "DELETE FROM clinicwire.audit".to_owned()),
        (&processor, "TRUNCATE clinicwire.audit".to_owned()),
        (&processor, "UPDATE clinicwire.audit_anchor SET before = 0".to_owned()),
        (&processor, "DELETE FROM clinicwire.audit_anchor".to_owned()),
        (&processor, "DELETE FROM clinicwire.audit_head".to_owned()),
        (&processor, "DELETE FROM clinicwire.audit_person".to_owned()),
        (&processor, "UPDATE clinicwire.audit_retention SET days = 1".to_owned()),
        (&processor, format!("DROP TABLE clinicwire.{day}")),
        (&processor, format!("DELETE FROM clinicwire.{day}")),
        (&gateway, format!("SELECT 1 FROM clinicwire.{day}")),
        (&gateway, "SELECT 1 FROM clinicwire.audit_head".to_owned()),
        (&gateway, "SELECT clinicwire.audit_add_day(20000)".to_owned()),
        (&gateway, "INSERT INTO clinicwire.audit_person VALUES ('x', 'x', 0, 0)".to_owned()),
    ] {
        let error = client.batch_execute(&refused).await.expect_err(&refused);
        let code = error.code().map(|code| code.code().to_owned());
        assert_eq!(code.as_deref(), Some("42501"), "{refused}: {error}");
    }
}

#[tokio::test]
async fn gateway_role_reads_the_audit_of_the_named_tenant() {
    let database = Database::migrated().await;
    let (store, tenants) = (store(&database), [tenant(), tenant()]);
    for tenant in &tenants {
        fill(&store, tenant, &[("ann", 0), ("bob", 0)]).await;
    }
    let mut gateway = database.role(Role::Gateway).await;
    for table in ["audit", "audit_person"] {
        let rows = format!("SELECT tenant FROM clinicwire.{table}");
        assert!(gateway.query(&rows, &[]).await.unwrap().is_empty(), "no tenant is named");
        let reading = gateway.transaction().await.unwrap();
        let name = "SELECT set_config('clinicwire.tenant', $1, true)";
        reading.execute(name, &[&tenants[0].as_str()]).await.unwrap();
        let seen = reading.query(&rows, &[]).await.unwrap();
        assert_eq!(seen.len(), 2, "{table}");
        assert!(seen.iter().all(|row| row.get::<_, &str>(0) == tenants[0].as_str()), "{table}");
    }
}

/// The owner of the database can change rows; verification finds it.
#[tokio::test]
async fn change_by_database_owner_is_detected() {
    let database = Database::migrated().await;
    let (store, tenant) = (store(&database), tenant());
    fill(&store, &tenant, &[("ann", 1), ("bob", 1), ("cid", 0), ("dan", 0)]).await;
    let owner = database.owner().await;
    let found = async || {
        let report = verify_tenant(&store, tenant.clone()).await.unwrap();
        report.broken.map(|(.., why)| why)
    };
    assert_eq!(found().await, None);
    let with_role = async |sql: &str| {
        let open = "ALTER TABLE clinicwire.audit NO FORCE ROW LEVEL SECURITY";
        let close = "ALTER TABLE clinicwire.audit FORCE ROW LEVEL SECURITY";
        owner.batch_execute(&format!("BEGIN; {open}; {sql}; {close}; COMMIT")).await.unwrap();
    };
    let replace = |one: &str, other: &str| {
        format!("UPDATE clinicwire.audit SET body = replace(body, '{one}', '{other}')")
    };
    with_role(&replace("ann", "eve")).await;
    assert_eq!(found().await, Some(Break::Hash));
    with_role(&replace("eve", "ann")).await;
    assert_eq!(found().await, None);
    with_role("UPDATE clinicwire.audit SET subject = 'eve' WHERE subject = 'cid'").await;
    assert_eq!(found().await, Some(Break::Columns));
    with_role("UPDATE clinicwire.audit SET subject = 'cid' WHERE subject = 'eve'").await;
    assert!(store.has_sound_end(&tenant).await.unwrap());
    // An anchor of a day without entries, and one that comes after the last entry.
    for (day, before) in [(-400, 1), (-2, 1), (1, 2), (3, 4), (40, 900)] {
        let forge = format!(
            "INSERT INTO clinicwire.audit_anchor \
             SELECT tenant, extract(epoch FROM now())::bigint / 86400 + {day}, {before}, hash \
             FROM clinicwire.audit_head"
        );
        owner.batch_execute(&forge).await.unwrap();
        assert!(matches!(found().await, Some(Break::Anchor | Break::MissingDay)), "{day} {before}");
        let remove = format!(
            "DELETE FROM clinicwire.audit_anchor \
             WHERE day = extract(epoch FROM now())::bigint / 86400 + {day}"
        );
        owner.batch_execute(&remove).await.unwrap();
        assert_eq!(found().await, None);
    }
    with_role("DELETE FROM clinicwire.audit WHERE subject = 'dan'").await;
    assert_eq!(found().await, Some(Break::Head));
    assert!(!store.has_sound_end(&tenant).await.unwrap());
    let forget = "DELETE FROM clinicwire.audit_head; DELETE FROM clinicwire.audit_anchor";
    owner.batch_execute(forget).await.unwrap();
    let listed = store.tenants(None, 10).await.unwrap();
    assert!(listed.contains(&tenant), "rows without a head and anchors are a chain too");
    assert_eq!(found().await, Some(Break::Anchor));
}

#[tokio::test]
async fn retention_drops_whole_days_and_the_chain_stays_sound() {
    let database = Database::migrated().await;
    let (store, tenant) = (store(&database), tenant());
    fill(&store, &tenant, &[("ann", 40), ("bob", 39), ("cid", 3), ("dan", 0)]).await;
    let today = Day::of(now());
    assert_eq!(store.maintain(today).await.unwrap(), 0, "six years are kept");
    set_audit_retention(&database.url, 30).await.unwrap();
    assert_eq!(store.maintain(today).await.unwrap(), 2);
    let days = store.days().await.unwrap();
    assert_eq!(days.first(), Some(&Day(today.0 - 3)));
    assert_eq!(days.last(), Some(&Day(today.0 + 7)), "days ahead are ready");
    let report = verify_tenant(&store, tenant.clone()).await.unwrap();
    assert_eq!((report.rows, report.broken), (2, None));
    fill(&store, &tenant, &[("eve", 0)]).await;
    let report = verify_tenant(&store, tenant.clone()).await.unwrap();
    assert_eq!((report.rows, report.broken), (3, None));
}

#[tokio::test]
async fn entries_in_kafka_are_stored_and_verified_by_the_binary() {
    let installation = Installation::new().await;
    let (ok, told) = installation.output("prepare").await;
    assert!(ok, "{told}");
    let (process, metrics) = installation.run().await;
    let (log, tenant) = (installation.topics.writer(), tenant());
    for subjects in [&["ann", "bob"][..], &["cid"]] {
        let record = record(subjects).to_wire(&tenant, 1);
        log.append(&[(AUDIT_TOPIC, record)]).await.expect("kafka acknowledges");
    }
    let stored = "clinicwire_audit_entries_stored_total 3";
    until("the entries are stored", async || get(&metrics, "/metrics").await.contains(stored))
        .await;
    assert!(process.stop().await);
    let verify = async || {
        let mut program = installation.program("audit");
        program.arg("verify");
        let output = output(program).await;
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let mut unknown = installation.program("audit");
    unknown.args(["verify", "--tenant", "nosuch"]);
    let unknown = output(unknown).await;
    assert_eq!(unknown.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&unknown.stdout).starts_with("nosuch: unknown"));
    let mut unread = installation.program("audit");
    // A pipe that nobody reads.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = unread.arg("verify").stdout(writer).status().unwrap();
    assert_eq!(status.code(), Some(0));
    let (code, text) = verify().await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with(&format!("{tenant}: 3 entries (1 to 3), last hash ")), "{text}");
    let owner = installation.database.owner().await;
    let change = "ALTER TABLE clinicwire.audit NO FORCE ROW LEVEL SECURITY; \
        UPDATE clinicwire.audit SET body = replace(body, 'bob', 'eve')";
    owner.batch_execute(change).await.unwrap();
    let (code, text) = verify().await;
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("BROKEN at entry 2 of "), "{text}");
}
