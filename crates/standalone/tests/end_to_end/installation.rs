//! An installation on real servers: the programs of this workspace on the Kafka, Redis and
//! PostgreSQL that the environment names. Topics and database are new for each installation, so
//! runs are independent.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
};

use testing::{
    claims_files::tables::reference_tables,
    patience::{PATIENCE, eventually},
    process::{RunningProgram, program},
};

use crate::world::World;

const SECRET: &str = "words of an installation in a test";
const PARTITIONS: u32 = 6;

/// Settings of the programs, as environment variables.
type Environment = Vec<(&'static str, String)>;

pub struct Installation {
    directory: PathBuf,
    environment: Environment,
    pub processors: RunningProgram,
    pub gateways: Vec<RunningProgram>,
    pub world: World,
}

/// The address of a server. Without it the test fails: nothing is skipped.
fn server(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set: use `make test`, or `deploy/dev/servers run -- cargo test`, \
             which start the servers"
        )
    })
}

/// A port that is free at the moment.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap().port()
}

impl Installation {
    /// Prepares topics and database, and starts one processor and two gateway nodes.
    pub async fn start() -> Self {
        Self::start_with(Vec::new()).await
    }

    /// An installation whose programs get further settings.
    pub async fn start_with(more: Environment) -> Self {
        let run = format!("{:012x}", fastrand::u64(..1 << 48));
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("installation-{run}"));
        let files = directory.join("files");
        fs::create_dir_all(&files).unwrap();
        let path = |name: &str| directory.join(name).display().to_string();
        let [codes, establishments] = reference_tables();
        fs::write(directory.join("codes.csv"), codes).unwrap();
        fs::write(directory.join("establishments.csv"), establishments).unwrap();
        let environment = vec![
            ("CLINICWIRE_KAFKA", server("CLINICWIRE_KAFKA")),
            ("CLINICWIRE_REDIS", server("CLINICWIRE_REDIS")),
            ("CLINICWIRE_POSTGRES", create_database(&server("CLINICWIRE_POSTGRES"), &run).await),
            ("CLINICWIRE_CARE_TOPIC", format!("clinicwire.care.v1.{run}")),
            ("CLINICWIRE_RUNS_TOPIC", format!("clinicwire.runs.v1.{run}")),
            ("CLINICWIRE_VIEWS_TOPIC", format!("clinicwire.views.v1.{run}")),
            ("CLINICWIRE_AUDIT_TOPIC", format!("clinicwire.audit.v1.{run}")),
            ("CLINICWIRE_EVENTS_TOPIC", format!("clinicwire.events.v1.{run}")),
            ("CLINICWIRE_ACCESS_TOPIC", format!("clinicwire.access.v1.{run}")),
            ("CLINICWIRE_FILES", format!("file://{}", files.display())),
            ("CLINICWIRE_CODES", path("codes.csv")),
            ("CLINICWIRE_ESTABLISHMENTS", path("establishments.csv")),
            ("CLINICWIRE_GROUP", format!("processors-{run}")),
            ("CLINICWIRE_INSTANCE", "the-only-one".to_owned()),
            ("CLINICWIRE_PARTITIONS", PARTITIONS.to_string()),
            ("CLINICWIRE_METRICS_LISTEN", "127.0.0.1:0".to_owned()),
            ("CLINICWIRE_INSECURE_DEVELOPMENT_KEY", SECRET.to_owned()),
            // The login of the tests owns every database.
            ("CLINICWIRE_INSECURE_POSTGRES_LOGIN", "true".to_owned()),
            ("CLINICWIRE_DRAIN_DELAY", "0".to_owned()),
            // Scenarios poll faster than any client.
            ("CLINICWIRE_LIMIT", "all=off".to_owned()),
            ("CLINICWIRE_DRAIN", "1".to_owned()),
            // At the end the logs are searched for patient data, so they are verbose.
            ("CLINICWIRE_LOG", "debug".to_owned()),
        ]
        .into_iter()
        .chain(more)
        .collect::<Environment>();
        let prepared = program("clinicwire-processors")
            .arg("prepare")
            .envs(environment.clone())
            .output()
            .unwrap();
        assert!(
            prepared.status.success(),
            "prepare: {}",
            String::from_utf8_lossy(&prepared.stderr)
        );
        let processors = start("clinicwire-processors", &["run"], &environment, &directory);
        let (mut gateways, mut nodes) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            let listen = format!("127.0.0.1:{}", free_port());
            gateways.push(start(
                "clinicwire-gateway",
                &["run", "--listen", &listen],
                &environment,
                &directory,
            ));
            nodes.push(format!("http://{listen}"));
        }
        let installation =
            Self { directory, environment, processors, gateways, world: World::new(nodes, SECRET) };
        installation.ready().await;
        installation
    }

    async fn ready(&self) {
        let deadline = std::time::Instant::now() + PATIENCE;
        for (node, gateway) in self.world.nodes.iter().zip(&self.gateways) {
            loop {
                let answer = self
                    .world
                    .api
                    .try_call(node, testing::http::ApiRequest::get("/health/ready"))
                    .await;
                if answer.is_some_and(|answer| answer.status == 200) {
                    break;
                }
                let lives = gateway.is_running() && std::time::Instant::now() < deadline;
                assert!(lives, "a gateway does not serve: {}", gateway.log_text());
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }

    /// The directory of uploaded files.
    pub fn files(&self) -> PathBuf {
        self.directory.join("files")
    }

    /// Starts another gateway with further flags, and waits until it is ready.
    pub async fn start_gateway(&self, flags: &[&str]) -> (String, RunningProgram) {
        let listen = format!("127.0.0.1:{}", free_port());
        let flags = [&["run", "--listen", listen.as_str()], flags].concat();
        let gateway = start("clinicwire-gateway", &flags, &self.environment, &self.directory);
        let node = format!("http://{listen}");
        eventually("the node is ready", async || {
            let ready = testing::http::ApiRequest::get("/health/ready");
            let answer = self.world.api.try_call(&node, ready).await;
            answer.filter(|answer| answer.status == 200).map(drop)
        })
        .await;
        (node, gateway)
    }

    /// Kills the processors as a power loss does.
    pub fn kill_processors(&mut self) {
        self.processors.kill();
    }

    pub fn start_processors(&mut self) {
        self.processors =
            start("clinicwire-processors", &["run"], &self.environment, &self.directory);
    }

    pub fn setting(&self, name: &str) -> &str {
        let found = self.environment.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str()).expect("a setting of the installation")
    }

    /// Runs a query on the installation's database, and returns the first column.
    pub async fn query(&self, sql: &str) -> Vec<String> {
        let (client, connection) =
            tokio_postgres::connect(self.setting("CLINICWIRE_POSTGRES"), tokio_postgres::NoTls)
                .await
                .unwrap();
        let connection = tokio::spawn(connection);
        client.batch_execute("SET ROLE clinicwire_processor").await.unwrap();
        let rows = client.query(sql, &[]).await.unwrap();
        drop(client);
        connection.await.unwrap().unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Stops everything in order, and checks that no log names a patient.
    pub async fn stop(self) {
        for gateway in &self.gateways {
            gateway.terminate().await;
        }
        self.processors.terminate().await;
        for entry in fs::read_dir(&self.directory).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|kind| kind == "log") {
                assert_names_nobody(&fs::read_to_string(path).unwrap());
            }
        }
        drop_database(&server("CLINICWIRE_POSTGRES"), self.setting("CLINICWIRE_POSTGRES")).await;
        fs::remove_dir_all(&self.directory).unwrap();
    }
}

/// Fails when a log names a person. Ids of tickets end in a dot and 32 hex digits, tokens begin as
/// all JSON in base64 does, and the cells of patients and doctors in claims files begin with their
/// own patterns.
fn assert_names_nobody(log: &str) {
    for line in log.lines() {
        let is_id = |text: &str| {
            text.len() >= 32 && text.bytes().take(32).all(|byte| byte.is_ascii_hexdigit())
        };
        let names_ticket = line.split('.').skip(1).any(is_id);
        let is_patient = |text: &[u8]| {
            text[..4].iter().all(u8::is_ascii_uppercase) && text[4..].iter().all(u8::is_ascii_digit)
        };
        let is_doctor = |text: &[u8]| {
            text[7] == b'-'
                && text.iter().enumerate().all(|(at, byte)| at == 7 || byte.is_ascii_digit())
        };
        let in_claims = line.as_bytes().windows(12).any(is_patient)
            || line.as_bytes().windows(13).any(is_doctor)
            || line.contains("mars.csv");
        assert!(
            !names_ticket && !line.contains("eyJ") && !in_claims,
            "a log names somebody: {line}"
        );
    }
}

async fn create_database(server: &str, run: &str) -> String {
    let name = format!("clinicwire_{run}");
    administer(server, &format!("CREATE DATABASE {name}")).await;
    let (address, _) = server.rsplit_once('/').expect("an address names a database");
    format!("{address}/{name}")
}

async fn drop_database(server: &str, database: &str) {
    let (_, name) = database.rsplit_once('/').expect("an address names a database");
    administer(server, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
}

async fn administer(server: &str, sql: &str) {
    let (client, connection) =
        tokio_postgres::connect(server, tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute(sql).await.unwrap();
    drop(client);
    connection.await.unwrap().unwrap();
}

/// Starts a program that logs into a file of the installation.
fn start(
    name: &str,
    arguments: &[&str],
    environment: &Environment,
    directory: &Path,
) -> RunningProgram {
    let log = directory.join(format!("{name}-{:06x}.log", fastrand::u32(..1 << 24)));
    let mut command = program(name);
    command.args(arguments).envs(environment.iter().cloned());
    RunningProgram::start_with_log(&mut command, log).unwrap()
}
