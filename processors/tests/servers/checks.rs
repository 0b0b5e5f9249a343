//! Checks of claims files by the binary: by `run` itself, and by `work` beside it.

use std::fmt::Write;

use processors::{log::Log, servers::kafka::KafkaProcessorLog, servers::postgres::Role};
use schemas::{
    attempt::AttemptNumber,
    command::Command,
    ids::{Aggregate, CommandId, FileId, RunId, TenantId},
    record::{CommandRecord, RUNS_TOPIC},
    run::{RunFile, RunHead, RunState},
};

use crate::{
    binary::{Installation, get},
    setup::fresh,
};
use testing::patience::{eventually, until};

/// An export of `rows` rows; every tenth cannot be read.
fn export(rows: usize) -> String {
    let mut text = String::from(
        "#;Facture;Date de Service;Début;Fin;Lieu de pratique;Code;Unités;Élément de contexte;\
         Montant Preliminaire;Montant payé;Doctor Info;Patient\r\n",
    );
    for row in 1..=rows {
        let day = if row % 10 == 0 { "soon" } else { "2025-03-04" };
        let line = "09:00;09:10;51234;9999;1;;10,00;0,00;1234567-00001 | Test, Test - \
             Test;TEST12345678 - TEST, TEST";
        write!(text, "{row};123456789;{day};{line}\r\n").unwrap();
    }
    text
}

struct Desk {
    installation: Installation,
    log: std::sync::Arc<KafkaProcessorLog>,
    tenant: TenantId,
    runs: u128,
}

impl Desk {
    async fn open() -> Self {
        let installation = Installation::new().await;
        let (ok, told) = installation.output("prepare").await;
        assert!(ok, "{told}");
        let log = installation.topics.writer();
        Self { installation, log, tenant: TenantId::new(fresh()).unwrap(), runs: 0 }
    }

    /// Stores a file as gateways do, and requests its run.
    async fn ask(&mut self, rows: usize) -> RunId {
        self.ask_of(&self.tenant.clone(), rows).await
    }

    async fn ask_of(&mut self, tenant: &TenantId, rows: usize) -> RunId {
        self.runs += 1;
        let (run, file) = (RunId::from_parts(7, self.runs), FileId::from_random(self.runs));
        let text = export(rows);
        let path = self.installation.files.join(file.path(tenant));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
        let file = RunFile {
            file,
            name: "mars.csv".into(),
            bytes: text.len() as u64,
            sha256: "0".repeat(64),
        };
        let record = CommandRecord {
            aggregate: Aggregate::run(tenant, &run),
            id: CommandId::new(format!("ask-{}", self.runs)).unwrap(),
            source: "test".into(),
            fingerprint: None,
            valid_until: None,
            actor: None,
            command: Command::RequestRun { file, list_passes: false, keep_s: 600 },
        };
        self.log.append(&[(RUNS_TOPIC, record.to_wire())]).await.expect("kafka acknowledges");
        run
    }

    /// Waits until the run is listed as over.
    async fn over(&self, client: &tokio_postgres::Client, run: &RunId) -> RunHead {
        let listed = "SELECT head::text FROM clinicwire.run WHERE tenant = $1 AND run = $2 AND \
             keep_until IS NOT NULL";
        eventually("the run is over", async || {
            let keys = [self.tenant.as_str(), run.as_str()];
            let row = client.query_opt(listed, &[&keys[0], &keys[1]]).await.unwrap()?;
            Some(serde_json::from_str(row.get(0)).expect("a head"))
        })
        .await
    }

    /// Requests a run and checks that it completes with every finding stored.
    async fn completes(&mut self, rows: usize) {
        let client = self.installation.database.role(Role::Processor).await;
        let run = self.ask(rows).await;
        let head = self.over(&client, &run).await;
        assert_eq!((head.state, head.attempt), (RunState::Completed, AttemptNumber(1)));
        let summary = head.summary.expect("a completed run has one");
        assert_eq!((summary.rows, summary.rows_unreadable), (rows as u64, rows as u64 / 10));
        let count = "SELECT count(*) FROM clinicwire.finding WHERE tenant = $1 AND run = $2 AND \
             attempt = 1";
        let row = client.query_one(count, &[&self.tenant.as_str(), &run.as_str()]).await.unwrap();
        assert_eq!(row.get::<_, i64>(0), rows as i64 / 10);
        let left = client.query_one("SELECT count(*) FROM clinicwire.run_work", &[]).await.unwrap();
        assert_eq!(left.get::<_, i64>(0), 0, "nothing is left to do");
        let file = self.installation.files.join(FileId::from_random(self.runs).path(&self.tenant));
        until("the file is removed", async || !file.exists()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn run_checks_files() {
    let mut desk = Desk::open().await;
    let (process, address) = desk.installation.start("run", 2).await;
    for rows in [10, 10_000] {
        desk.completes(rows).await;
    }
    let metrics = get(&address, "/metrics").await;
    for line in [
        "clinicwire_worker_taken_total 2",
        "clinicwire_worker_rows_total 10010",
        "clinicwire_worker_attempts_total{ended=\"completed\"} 2",
        "clinicwire_worker_running 0",
        "clinicwire_worker_rule_seconds_total{rule=\"office-fee\"}",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    assert!(process.stop().await, "SIGTERM is no failure");
}

#[tokio::test(flavor = "multi_thread")]
async fn work_checks_files_without_run_workers() {
    let mut desk = Desk::open().await;
    let (run, _) = desk.installation.start("run", 0).await;
    let (work, address) = desk.installation.start("work", 1).await;
    assert!(get(&address, "/health/ready").await.starts_with("HTTP/1.1 200"));
    desk.completes(1_000).await;
    assert!(get(&address, "/metrics").await.contains("clinicwire_worker_taken_total 1"));
    assert!(work.stop().await && run.stop().await, "SIGTERM is no failure");
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_share_runs_and_check_each_once() {
    const TENANTS: usize = 5;
    const RUNS: usize = 40;
    let mut desk = Desk::open().await;
    let client = desk.installation.database.role(Role::Processor).await;
    let (run, first) = desk.installation.start("run", 2).await;
    let (work, second) = desk.installation.start("work", 2).await;
    let tenants: Vec<TenantId> = (0..TENANTS).map(|_| TenantId::new(fresh()).unwrap()).collect();
    for number in 0..RUNS {
        desk.ask_of(&tenants[number % TENANTS], 2_000).await;
    }
    let over = "SELECT count(*) FILTER (WHERE keep_until IS NOT NULL), \
            count(*) FILTER (WHERE state = 'completed' AND attempt = 1) FROM clinicwire.run";
    until("all are over", async || {
        client.query_one(over, &[]).await.unwrap().get::<_, i64>(0) >= RUNS as i64
    })
    .await;
    assert_eq!(client.query_one(over, &[]).await.unwrap().get::<_, i64>(1), RUNS as i64);
    let each = "SELECT count(*), count(DISTINCT n) FROM clinicwire.finding GROUP BY tenant, run";
    let found = client.query(each, &[]).await.unwrap();
    assert_eq!(found.len(), RUNS);
    assert!(found.iter().all(|row| (row.get::<_, i64>(0), row.get::<_, i64>(1)) == (200, 200)));
    for address in [&first, &second] {
        let metrics = get(address, "/metrics").await;
        assert!(
            !metrics.contains("clinicwire_worker_taken_total 0"),
            "both had a share: {metrics}"
        );
    }
    assert!(work.stop().await && run.stop().await, "SIGTERM is no failure");
}
