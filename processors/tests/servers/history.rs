//! The tables of history, figures and webhooks: who may read them, and when old rows go.

use processors::{
    fixtures::Clinic,
    servers::postgres::{PostgresLedger, Role},
};
use schemas::ids::TenantId;
use tokio_postgres::Client;

use crate::setup::{Database, fresh};

/// The tables that gateways read, with a row of the tenant `$1` in each.
const READ: [(&str, &str); 4] = [
    (
        "stay",
        "INSERT INTO clinicwire.stay VALUES ($1, 'riverside', 'riverside.' || $1, 1, 'A-001', \
         'riverside.general', 'waiting', 7, NULL, NULL, NULL)",
    ),
    (
        "figure",
        "INSERT INTO clinicwire.figure \
         VALUES ($1, 'riverside', '2026-11-29', 9, '', '', 'issued', 0, 1, 0)",
    ),
    (
        "webhook",
        "INSERT INTO clinicwire.webhook VALUES ($1, 'w_1', 'https://hooks.example/', '[]', '[]', \
         'active', 1, 1)",
    ),
    (
        "webhook_delivery",
        "INSERT INTO clinicwire.webhook_delivery (tenant, webhook, seq, event, kind, at, state) \
         VALUES ($1, 'w_1', 1, 'e_1', 'ticket.called', 7, 'pending')",
    ),
];

/// The tables that only processors read.
const HIDDEN: [(&str, &str); 2] = [
    (
        "webhook_event",
        "INSERT INTO clinicwire.webhook_event (tenant, event, kind, at, body) \
         VALUES ($1, 'e_1', 'ticket.called', 7, '{}')",
    ),
    (
        "webhook_task",
        "INSERT INTO clinicwire.webhook_task (tenant, webhook, what) VALUES ($1, 'w_1', 'dead')",
    ),
];

async fn tenants_of(client: &Client, table: &str) -> Vec<String> {
    let select = format!("SELECT DISTINCT tenant FROM clinicwire.{table} ORDER BY tenant");
    client.query(&select, &[]).await.expect(table).iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn gateway_reads_history_and_webhooks_of_one_tenant() {
    let database = Database::migrated().await;
    let processor = database.role(Role::Processor).await;
    let mut tenants = [fresh(), fresh()];
    tenants.sort();
    for tenant in &tenants {
        for (_, insert) in READ.iter().chain(&HIDDEN) {
            processor.execute(*insert, &[tenant]).await.unwrap();
        }
    }
    let gateway = database.role(Role::Gateway).await;
    for (table, _) in READ {
        assert_eq!(tenants_of(&processor, table).await, tenants, "{table}: a processor sees all");
        for named in &tenants {
            gateway
                .execute("SELECT set_config('clinicwire.tenant', $1, false)", &[named])
                .await
                .unwrap();
            assert_eq!(tenants_of(&gateway, table).await, std::slice::from_ref(named), "{table}");
        }
        gateway.batch_execute("RESET clinicwire.tenant").await.unwrap();
        assert!(tenants_of(&gateway, table).await.is_empty(), "{table}: no tenant was named");
        for refused in [
            format!("DELETE FROM clinicwire.{table}"),
            format!("UPDATE clinicwire.{table} SET tenant = 'mine'"),
            format!("INSERT INTO clinicwire.{table} SELECT * FROM clinicwire.{table}"),
        ] {
            assert!(gateway.batch_execute(&refused).await.is_err(), "{refused}");
        }
    }
    for (table, _) in HIDDEN {
        let select = format!("SELECT count(*) FROM clinicwire.{table}");
        assert!(gateway.batch_execute(&select).await.is_err(), "{table}");
    }
}

/// The moments of the stays that are left of each tenant.
async fn stays(processor: &Client) -> Vec<(String, i64)> {
    let select = "SELECT tenant, since FROM clinicwire.stay ORDER BY tenant, since";
    let rows = processor.query(select, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

async fn sweep_all(ledger: &PostgresLedger, day: &str, own: &[(TenantId, i64)]) {
    while ledger.sweep_own_stays(own).await.unwrap() {}
    while ledger.sweep_figures(day).await.unwrap() {}
}

#[tokio::test]
async fn old_history_goes_by_the_time_of_its_tenant() {
    let database = Database::migrated().await;
    let (ledger, processor) = (database.ledger(2), database.role(Role::Processor).await);
    let names = ["briefly", "by-default", "moderately"];
    let tenants = names.map(|name| TenantId::new(name).unwrap());
    for tenant in &tenants {
        // Old rows are found by their location, which must exist and have a timer.
        let mut clinic = Clinic::with_tenant(&ledger, tenant).await;
        clinic.open(&ledger, 1).await;
        let insert = "INSERT INTO clinicwire.stay SELECT $1, $2, 'old.' || n, 1, 'A-001', '', \
                      'waiting', n * 100, NULL, NULL, NULL FROM generate_series(1, 5) n";
        processor
            .execute("DELETE FROM clinicwire.stay WHERE tenant = $1", &[&tenant.as_str()])
            .await
            .unwrap();
        let location = clinic.aggregate.id();
        processor.execute(insert, &[&tenant.as_str(), &location]).await.unwrap();
        let days = "INSERT INTO clinicwire.figure SELECT $1, $2, day, 9, '', '', 'issued', 0, 1, 0 \
                    FROM unnest(ARRAY['2020-01-01', '2020-01-02']) day";
        processor.execute(days, &[&tenant.as_str(), &location]).await.unwrap();
    }
    let own = [(tenants[0].clone(), 450), (tenants[2].clone(), 150)];
    sweep_all(&ledger, "2020-01-02", &own).await;
    let left =
        |name: &str, from| (from..=5).map(|n| (name.to_owned(), n * 100)).collect::<Vec<_>>();
    let expected = [left("briefly", 5), left("by-default", 1), left("moderately", 2)].concat();
    assert_eq!(stays(&processor).await, expected);
    let days = "SELECT DISTINCT day FROM clinicwire.figure WHERE day < '2021' ORDER BY day";
    let days: Vec<String> =
        processor.query(days, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(days, ["2020-01-02"]);
}
