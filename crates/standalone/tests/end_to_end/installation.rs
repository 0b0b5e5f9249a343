//! The real thing: the programs of this workspace on the Kafka, Redis and Postgres that the environment names,
//! with topics and a database of its own, so that runs do not meet.

use std::{
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use testing::claims_files::tables::reference_tables;

use crate::{
    scenarios::eventually,
    world::{PATIENCE, World},
};

const SECRET: &str = "words of an installation in a test";
const PARTITIONS: u32 = 6;

pub struct Installation {
    directory: PathBuf,
    environment: Vec<(&'static str, String)>,
    pub processors: Program,
    pub gateways: Vec<Program>,
    pub world: World,
}

/// One of our programs, killed when it is dropped.
pub struct Program {
    child: Child,
    log: PathBuf,
}

/// A server that the environment must name: nothing is skipped.
fn server(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: `make test` starts the servers, or `deploy/dev/servers run -- cargo test`")
    })
}

/// A program of this workspace, built beside this test.
pub fn program(name: &str) -> Command {
    let test = std::env::current_exe().expect("a test is a file");
    let path =
        test.parent().and_then(Path::parent).expect("target/<profile>/deps/<test>").join(name);
    assert!(
        path.exists(),
        "{} is missing: `cargo build --workspace --bins` builds it",
        path.display()
    );
    Command::new(path)
}

/// A port nobody uses at the moment.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap().port()
}

impl Installation {
    /// Prepares topics and database, and starts one processor and two gateway nodes.
    pub async fn start() -> Self {
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
            ("CLINICWIRE_FILES", format!("file://{}", files.display())),
            ("CLINICWIRE_CODES", path("codes.csv")),
            ("CLINICWIRE_ESTABLISHMENTS", path("establishments.csv")),
            ("CLINICWIRE_GROUP", format!("processors-{run}")),
            ("CLINICWIRE_INSTANCE", "the-only-one".to_owned()),
            ("CLINICWIRE_PARTITIONS", PARTITIONS.to_string()),
            ("CLINICWIRE_METRICS_LISTEN", "127.0.0.1:0".to_owned()),
            ("CLINICWIRE_INSECURE_DEVELOPMENT_KEY", SECRET.to_owned()),
            ("CLINICWIRE_DRAIN", "1".to_owned()),
            // What is logged is read at the end for what would name a patient: the more, the better.
            ("CLINICWIRE_LOG", "debug".to_owned()),
        ];
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
        let processors =
            Program::start("clinicwire-processors", &["run"], &environment, &directory);
        let (mut gateways, mut nodes) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            let listen = format!("127.0.0.1:{}", free_port());
            gateways.push(Program::start(
                "clinicwire-gateway",
                &["run", "--listen", &listen],
                &environment,
                &directory,
            ));
            nodes.push(format!("http://{listen}"));
        }
        let mut installation =
            Self { directory, environment, processors, gateways, world: World::new(nodes, SECRET) };
        installation.ready().await;
        installation
    }

    async fn ready(&mut self) {
        let deadline = std::time::Instant::now() + PATIENCE;
        for (node, gateway) in self.world.nodes.iter().zip(&mut self.gateways) {
            loop {
                let answer =
                    self.world.api.try_call(node, crate::api::Call::get("/health/ready")).await;
                if answer.is_some_and(|answer| answer.status == 200) {
                    break;
                }
                let lives = gateway.child.try_wait().unwrap().is_none()
                    && std::time::Instant::now() < deadline;
                assert!(lives, "a gateway does not serve: {}", gateway.log_text());
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }

    /// Where the uploaded files of the clerks' tenants lie.
    pub fn files(&self) -> PathBuf {
        self.directory.join("files")
    }

    /// `kill -9`, as a machine that loses power.
    pub fn kill_processors(&mut self) {
        self.processors.child.kill().unwrap();
        self.processors.child.wait().unwrap();
    }

    pub fn start_processors(&mut self) {
        self.processors =
            Program::start("clinicwire-processors", &["run"], &self.environment, &self.directory);
    }

    pub fn setting(&self, name: &str) -> &str {
        let found = self.environment.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str()).expect("a setting of the installation")
    }

    /// What the installation's database answers to one question.
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

    /// Stops everything in order; what was logged names no patient.
    pub async fn stop(mut self) {
        for gateway in &mut self.gateways {
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

/// Tickets' ids end in 32 hex digits after a dot; tokens begin as all JSON in base64 does; the patient's cell of a claims
/// file begins with four letters and eight digits, the doctor's with a number of its own form.
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

impl Program {
    fn start(
        name: &str,
        arguments: &[&str],
        environment: &[(&'static str, String)],
        directory: &Path,
    ) -> Self {
        let log = directory.join(format!("{name}-{:06x}.log", fastrand::u32(..1 << 24)));
        let child = program(name)
            .args(arguments)
            .envs(environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Self { child, log }
    }

    /// SIGTERM, and an end in order.
    pub async fn terminate(&mut self) {
        self.signal("-TERM");
        let status = self.ended().await;
        assert!(status.success(), "{status}: {}", self.log_text());
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        // One that ended before is found out by its status.
        let _ = Command::new("kill").args([signal, &pid]).status().unwrap();
    }

    pub async fn ended(&mut self) -> ExitStatus {
        let child = std::sync::Mutex::new(&mut self.child);
        eventually("the program ends", || async { child.lock().unwrap().try_wait().unwrap() }).await
    }

    pub fn log_text(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log_text();
            let from = log.len().saturating_sub(3000);
            eprintln!("--- {}\n{}", self.log.display(), log.get(from..).unwrap_or(&log));
        }
    }
}
