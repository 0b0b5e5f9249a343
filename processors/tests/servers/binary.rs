//! The binary as operators use it: prepared, checked, started, killed, stopped.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use processors::{
    fixtures::{issue, opening},
    log::Log,
};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};
use schemas::{
    command::Verdict,
    ids::{Aggregate, LocationId, TenantId},
    record::{CARE_TOPIC, ViewsRecord},
};
use testing::{
    patience::{eventually, patiently},
    records::command_record,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::setup::{Database, TestTopics, fresh, server};

pub struct Installation {
    pub database: Database,
    pub topics: TestTopics,
    ready_file: PathBuf,
    /// The directory of uploaded files.
    pub files: PathBuf,
}

impl Installation {
    pub async fn new() -> Self {
        let own = std::env::temp_dir().join(fresh());
        let (ready_file, files) = (own.with_extension("ready"), own.with_extension("files"));
        Self { database: Database::empty().await, topics: TestTopics::named(), ready_file, files }
    }

    pub fn program(&self, subcommand: &str) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_clinicwire-processors"));
        program
            .arg(subcommand)
            .env("CLINICWIRE_POSTGRES", &self.database.url)
            // The login of the tests owns every database.
            .env("CLINICWIRE_INSECURE_POSTGRES_LOGIN", "true")
            .env("CLINICWIRE_CARE_TOPIC", &self.topics.names.care)
            .env("CLINICWIRE_RUNS_TOPIC", &self.topics.names.runs)
            .env("CLINICWIRE_VIEWS_TOPIC", &self.topics.names.views)
            .env("CLINICWIRE_AUDIT_TOPIC", &self.topics.names.audit)
            .env("CLINICWIRE_EVENTS_TOPIC", &self.topics.names.events)
            .env("CLINICWIRE_ACCESS_TOPIC", &self.topics.names.access)
            .env("CLINICWIRE_FILES", format!("file://{}", self.files.display()))
            .env("CLINICWIRE_GROUP", &self.topics.names.care)
            .env("CLINICWIRE_INSTANCE", "one")
            .env("CLINICWIRE_METRICS_LISTEN", "127.0.0.1:0")
            .env("CLINICWIRE_READY_FILE", &self.ready_file)
            .env("CLINICWIRE_PARTITIONS", "3")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        program
    }

    /// Verifies that journal, read models and Redis are equal. Returns what `verify` prints.
    pub async fn verified(&self) -> String {
        let output = output(self.program("verify")).await;
        let told = String::from_utf8(output.stdout).expect("text");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{told}{errors}");
        told
    }

    pub async fn output(&self, subcommand: &str) -> (bool, String) {
        let output = output(self.program(subcommand)).await;
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Starts processing; returns the process and the address of its metrics.
    pub async fn run(&self) -> (Process, String) {
        self.start("run", 2).await
    }

    /// Starts `run` or `work`, checking this many files at once.
    pub async fn start(&self, subcommand: &str, run_workers: u32) -> (Process, String) {
        let _ = std::fs::remove_file(&self.ready_file);
        let mut program = self.program(subcommand);
        program.env("CLINICWIRE_RUN_WORKERS", run_workers.to_string()).stderr(Stdio::inherit());
        let process = Process(program.spawn().expect("the program runs"));
        let ready = async || std::fs::read_to_string(&self.ready_file).ok();
        let text = eventually("it is ready", ready).await;
        let ready: serde_json::Value = serde_json::from_str(&text).expect("the ready file is JSON");
        let address =
            ready["metrics"].as_str().expect("an address").trim_start_matches("http://").to_owned();
        (process, address)
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.ready_file);
        let _ = std::fs::remove_dir_all(&self.files);
    }
}

/// A process that ends with its test.
pub struct Process(Child);

impl Process {
    /// Stops the process by SIGTERM; returns whether it exits with success.
    pub async fn stop(mut self) -> bool {
        let signalled =
            Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().unwrap();
        assert!(signalled.success());
        let ended = tokio::task::spawn_blocking(move || self.0.wait());
        patiently("it stops", ended).await.unwrap().unwrap().success()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub async fn output(mut program: Command) -> Output {
    let ended = tokio::task::spawn_blocking(move || program.output());
    patiently("the program ends", ended).await.expect("no panic").expect("the program runs")
}

pub async fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("the metrics' address");
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Reads the topic of views until `count` commands are answered there.
pub fn views(topic: &str, count: usize) -> Vec<(String, ViewsRecord)> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", server("CLINICWIRE_KAFKA"))
        .set("group.id", fresh())
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..3 {
        list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let mut records = Vec::new();
    let answered = |records: &Vec<(String, ViewsRecord)>| {
        records.iter().filter(|(_, r)| r.outcome.is_some()).count()
    };
    while answered(&records) < count {
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            let message = message.expect("a record");
            let key = String::from_utf8(message.key().unwrap().to_vec()).unwrap();
            records.push((
                key,
                ViewsRecord::from_value(message.payload().unwrap()).expect("a views record"),
            ));
        }
    }
    records
}

#[tokio::test]
async fn help_shows_no_secret() {
    for arguments in [
        &["--help"][..],
        &["run", "--help"],
        &["work", "--help"],
        &["bridge", "--help"],
        &["prepare", "--help"],
        &["check-config", "--help"],
        &["check-config", "run", "--help"],
    ] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_clinicwire-processors"));
        program.args(arguments).env("CLINICWIRE_POSTGRES", "postgres://u:hunter2@h/d");
        let output = output(program).await;
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains("Usage"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[tokio::test]
async fn check_config_reports_all_faults_without_servers() {
    let check = |flags: &'static [&'static str]| async move {
        let mut program = Command::new(env!("CARGO_BIN_EXE_clinicwire-processors"));
        program.args(["check-config", "run"]).args(flags).env_clear();
        let output = output(program).await;
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(check(&[]).await, (Some(0), String::new()));
    let (code, text) = check(&["--kafka=nowhere", "--batch=0", "--postgres=x:hunter2@h"]).await;
    assert_eq!(code, Some(2), "{text}");
    for flag in ["--kafka: ", "--batch: ", "--postgres: "] {
        assert!(text.contains(flag), "{flag} {text}");
    }
    assert!(!text.contains("hunter2"), "{text}");
}

/// A server that does not answer has one line in the report, within seconds.
#[tokio::test]
async fn connect_reports_unreachable_servers_in_time() {
    let postgres = "--postgres=postgres://nobody@127.0.0.1:1/none";
    for (command, servers) in [
        (&["prepare", "--kafka=127.0.0.1:1", postgres][..], &["kafka", "postgres"][..]),
        (&["audit", "verify", postgres], &["postgres"]),
        (
            &["run", "--kafka=127.0.0.1:1", "--redis=redis://127.0.0.1:1", postgres],
            &["kafka", "redis", "postgres"],
        ),
    ] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_clinicwire-processors"));
        program.args(["check-config", "--connect"]).args(command).env_clear();
        let began = std::time::Instant::now();
        let output = output(program).await;
        assert!(began.elapsed() < std::time::Duration::from_secs(45), "{command:?}");
        let (told, shown) =
            (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
        assert_eq!(output.status.code(), Some(2), "{told}{shown}");
        for server in servers {
            assert!(told.contains(&format!("trying {server}")), "{told}");
            assert!(shown.contains(&format!("unknown  {server}: log in: ")), "{shown}");
        }
        assert_eq!(shown.lines().filter(|line| line.starts_with("unknown")).count(), servers.len());
    }
}

#[tokio::test]
async fn unprepared_start_names_prepare() {
    let installation = Installation::new().await;
    let (ok, told) = installation.output("run").await;
    assert!(!ok && told.contains("clinicwire-processors prepare"), "{told}");
    let mut program = installation.program("run");
    program.env("CLINICWIRE_POSTGRES", "postgres://nobody:secret-word@127.0.0.1:1/none");
    let output = output(program).await;
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("CLINICWIRE_POSTGRES"), "{told}");
    assert!(!told.contains("secret-word"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_processor_answers_each_command_once() {
    let installation = Installation::new().await;
    for _ in 0..2 {
        let (ok, told) = installation.output("prepare").await;
        assert!(ok, "{told}");
    }
    let tenant = TenantId::new(fresh()).unwrap();
    let aggregate = Aggregate::location(&tenant, &LocationId::new("riverside").unwrap());
    let log = installation.topics.writer();
    let record =
        |id: &str, command| (CARE_TOPIC, command_record(&aggregate, id, command).to_wire());
    let append = async |from: u128, to: u128| {
        let records: Vec<_> =
            (from..to).map(|number| record(&format!("issue-{number}"), issue(number))).collect();
        log.append(&records).await.expect("kafka acknowledges");
    };
    let opening: Vec<_> = (0..)
        .zip(opening())
        .map(|(number, command)| record(&format!("open-{number}"), command))
        .collect();
    log.append(&opening).await.expect("kafka acknowledges");

    let (first, address) = installation.run().await;
    assert!(get(&address, "/health/ready").await.starts_with("HTTP/1.1 200"));
    append(0, 2_000).await;
    let topic = installation.topics.names.views.clone();
    let some = tokio::task::spawn_blocking(move || views(&topic, 10));
    patiently("the first answers come", some).await.unwrap();
    drop(first); // by SIGKILL

    append(2_000, 2_100).await;
    let (second, address) = installation.run().await;
    let topic = installation.topics.names.views.clone();
    let all = tokio::task::spawn_blocking(move || {
        let mut count = 2_104;
        // Records may be published twice, effects may not: read on until every command was
        // answered.
        loop {
            let records = views(&topic, count);
            let outcomes: BTreeMap<_, _> = outcomes(&records);
            if outcomes.len() == 2_104 {
                return records;
            }
            count += 2_104 - outcomes.len();
        }
    });
    let records = patiently("every command is answered", all).await.unwrap();
    assert!(records.iter().all(|(key, _)| key == aggregate.as_str()));
    let mut versions: Vec<u64> = outcomes(&records).into_values().collect();
    versions.sort_unstable();
    assert!(versions.iter().copied().eq(1..=2_104), "each command has one version of its own");

    let told = installation.verified().await;
    assert!(told.contains("2104 versions, 2100 tickets"), "{told}");
    let metrics = get(&address, "/metrics").await;
    assert!(
        metrics.contains("clinicwire_processor_records_total{became=\"applied\"}"),
        "{metrics}"
    );
    assert!(second.stop().await, "SIGTERM is no failure");
}

/// The version under which each command was applied.
fn outcomes(records: &[(String, ViewsRecord)]) -> BTreeMap<String, u64> {
    let mut versions = BTreeMap::new();
    for outcome in records.iter().filter_map(|(_, record)| record.outcome.as_ref()) {
        let Verdict::Applied { version, .. } = outcome.outcome.verdict else {
            panic!("nothing is refused here")
        };
        let before = versions.insert(outcome.outcome.command.to_string(), version);
        assert!(before.is_none_or(|before| before == version), "one command, one outcome");
    }
    versions
}
