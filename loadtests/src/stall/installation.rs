//! The programs of a stall: gateways and processors as child processes on the servers that the
//! environment names.

use std::{
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use testing::http::{ApiClient, ApiRequest};
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep},
};

use super::StallArgs;
use crate::report::say;

/// The words of the nodes' development key.
pub const WORDS: &str = "words of a stalled installation";
/// How long the programs may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// A node that does not answer health or metrics by then counts as not ready.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

pub struct Installation {
    /// Addresses of the gateways.
    pub gateways: Vec<String>,
    /// Addresses of the processors' metrics and health.
    pub processors: Vec<String>,
    programs: Vec<Child>,
    script: PathBuf,
    servers: String,
    directory: PathBuf,
    keep: bool,
    api: ApiClient,
}

impl Installation {
    /// Prepares the servers and starts the programs. Waits until all are ready.
    ///
    /// # Errors
    /// When a program cannot be started or does not get ready.
    pub async fn start(args: &StallArgs) -> Result<Self> {
        let programs = match &args.programs {
            Some(programs) => programs.clone(),
            None => std::env::current_exe()?.parent().context("find the programs")?.to_owned(),
        };
        let servers = std::env::var("CLINICWIRE_SERVERS")
            .context("CLINICWIRE_SERVERS is not set: use `deploy/dev/servers run -- …`")?;
        let temporary = std::env::temp_dir().join(format!("stall-{}", std::process::id()));
        let directory = args.logs.clone().unwrap_or(temporary);
        fs::create_dir_all(directory.join("files"))?;
        let mut installation = Self {
            gateways: Vec::new(),
            processors: Vec::new(),
            programs: Vec::new(),
            script: args.servers.clone(),
            servers,
            directory,
            keep: args.logs.is_some(),
            api: ApiClient::new(ANSWER_TIMEOUT),
        };
        let prepared =
            installation.command(&programs, "clinicwire-processors", "prepare")?.status().await?;
        ensure!(prepared.success(), "prepare failed; the log is in {:?}", installation.directory);
        for _ in 0..args.processors {
            let address = free_address()?;
            let mut command =
                installation.command(&programs, "clinicwire-processors", "run-processor")?;
            command.env("CLINICWIRE_METRICS_LISTEN", &address).env("CLINICWIRE_RUN_WORKERS", "0");
            installation.programs.push(command.spawn()?);
            installation.processors.push(format!("http://{address}"));
        }
        for _ in 0..args.gateways {
            let address = free_address()?;
            let mut command =
                installation.command(&programs, "clinicwire-gateway", "run-gateway")?;
            command.env("CLINICWIRE_LISTEN", &address).env("CLINICWIRE_SHARDS", "1");
            command.env("CLINICWIRE_POSTGRES_CONNECTIONS", "2");
            installation.programs.push(command.spawn()?);
            installation.gateways.push(format!("http://{address}"));
        }
        installation.wait_until_ready().await?;
        Ok(installation)
    }

    /// A program of ours whose log goes into the directory. `purpose` begins with the subcommand.
    fn command(&self, programs: &Path, name: &str, purpose: &str) -> Result<Command> {
        let (subcommand, _) = purpose.split_once('-').unwrap_or((purpose, ""));
        let number = self.programs.len();
        let log = File::create(self.directory.join(format!("{purpose}-{number}.log")))?;
        let mut command = Command::new(programs.join(name));
        command
            .arg(subcommand)
            .env("CLINICWIRE_INSECURE_DEVELOPMENT_KEY", WORDS)
            .env("CLINICWIRE_INSECURE_POSTGRES_LOGIN", "true")
            .env("CLINICWIRE_FILES", format!("file://{}", self.directory.join("files").display()))
            .env("CLINICWIRE_DRAIN", "0")
            // The measured commands come from one address and few subjects.
            .env("CLINICWIRE_LIMIT", "all=off")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true);
        Ok(command)
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let give_up = Instant::now() + START_TIMEOUT;
        for node in self.gateways.iter().chain(&self.processors) {
            while !self.is_ready(node).await {
                ensure!(Instant::now() < give_up, "{node} is not ready: {:?}", self.directory);
                for program in &mut self.programs {
                    let ended = program.try_wait()?;
                    ensure!(ended.is_none(), "a program ended: {:?}", self.directory);
                }
                sleep(Duration::from_millis(100)).await;
            }
        }
        Ok(())
    }

    pub async fn is_ready(&self, node: &str) -> bool {
        is_ready(&self.api, node).await
    }

    /// Sends a signal to all processes of Kafka.
    ///
    /// # Errors
    /// When the script fails.
    pub async fn signal_kafka(&self, signal: &str) -> Result<()> {
        let mut command = Command::new(&self.script);
        command.args(["kill", &self.servers, "kafka", signal]).stdin(Stdio::null());
        ensure!(command.status().await.context("run the script")?.success(), "signal kafka");
        Ok(())
    }

    /// The clients of Kafka that gateways and processors have replaced so far.
    pub async fn replaced(&self) -> (f64, f64) {
        let mut sums = [0.0, 0.0];
        for (sum, nodes) in sums.iter_mut().zip([&self.gateways, &self.processors]) {
            for node in nodes {
                let answer = self.api.send(node, ApiRequest::get("/metrics")).await;
                let text = answer.map(|answer| answer.text).unwrap_or_default();
                let lines = text
                    .lines()
                    .filter(|line| line.starts_with("clinicwire_kafka_clients_replaced_total"));
                *sum += lines
                    .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
                    .sum::<f64>();
            }
        }
        (sums[0], sums[1])
    }

    /// Stops the programs, and deletes their logs unless they were asked for.
    pub async fn stop(mut self) {
        for program in &mut self.programs {
            if program.kill().await.is_err() {
                say("a program could not be stopped");
            }
        }
        if !self.keep {
            drop(fs::remove_dir_all(&self.directory));
        }
    }
}

pub async fn is_ready(api: &ApiClient, node: &str) -> bool {
    let answer = api.send(node, ApiRequest::get("/health/ready")).await;
    answer.is_ok_and(|answer| answer.status == 200)
}

/// An address that is free at the moment.
fn free_address() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}
