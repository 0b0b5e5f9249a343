//! Settings of `work`, and of the worker that `run` and `work` share.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use servers::{
    args::{FileStoreArgs, KafkaArgs, PostgresArgs, TableArgs},
    config_check::Faults,
    kafka::KafkaCluster,
};

use super::{CLIENT_ID, processor_connection};
use crate::{servers::postgres::PoolSettings, worker};

/// Settings of `work`.
#[derive(Args)]
pub struct WorkArgs {
    /// How to reach Kafka, and the names of the topics.
    #[command(flatten)]
    pub kafka: KafkaArgs,
    /// How to reach PostgreSQL.
    #[command(flatten)]
    pub postgres: PostgresArgs,
    /// Address of /metrics, /health/live and /health/ready
    #[arg(long, env = "CLINICWIRE_METRICS_LISTEN", default_value = "127.0.0.1:9102")]
    pub listen: SocketAddr,
    /// File to create when work has started: one line of JSON with the address of the metrics
    #[arg(long, env = "CLINICWIRE_READY_FILE")]
    pub ready_file: Option<PathBuf>,
    /// The worker that checks claims files.
    #[command(flatten)]
    pub checks: CheckArgs,
}

/// Settings of a worker that checks claims files.
#[derive(Args)]
pub struct CheckArgs {
    /// Claims files that are checked at once; with 0, `run` leaves them to other processes
    #[arg(long, env = "CLINICWIRE_RUN_WORKERS", default_value_t = 2)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=64))]
    pub run_workers: u32,
    /// The store of uploaded files.
    #[command(flatten)]
    pub store: FileStoreArgs,
    /// Hours that an uploaded file is kept when no run needs it: none was requested, or it was
    /// cancelled before its check
    #[arg(long, env = "CLINICWIRE_FILE_HOURS", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=87_600))]
    pub file_hours: u64,
    /// The reference tables of the checks.
    #[command(flatten)]
    pub tables: TableArgs,
}

/// Why `work` does not start without a worker.
pub const NO_WORKERS: &str = "there is nothing to do with --run-workers 0";

impl WorkArgs {
    pub(super) fn validate(&self, faults: &mut Faults) {
        self.kafka.validate(faults);
        self.postgres.validate(faults);
        if self.checks.run_workers == 0 {
            faults.add("--run-workers", NO_WORKERS);
        }
        self.checks.validate(faults);
    }

    /// How to connect to Kafka.
    pub fn cluster(&self) -> KafkaCluster {
        self.kafka.cluster(CLIENT_ID)
    }
}

impl CheckArgs {
    /// Finds the faults of the file store and the tables.
    pub fn validate(&self, faults: &mut Faults) {
        self.store.validate(faults);
        self.tables.validate(faults);
    }

    /// The worker's connections: one for each run, whose findings are stored in a transaction of
    /// their own, and three for everything else.
    pub fn pool(&self, postgres: &PostgresArgs) -> PoolSettings {
        PoolSettings {
            connection: processor_connection(postgres),
            size: self.run_workers as usize + 3,
        }
    }

    /// The worker's settings, with the reference tables read from their files.
    ///
    /// # Errors
    /// When a table cannot be read.
    pub fn worker(
        &self,
        counters: Arc<worker::WorkerCounters>,
    ) -> anyhow::Result<worker::WorkerSettings> {
        // Two processes get the same name once in 2^64 times.
        let name = format!("worker-{:016x}", fastrand::u64(..));
        Ok(worker::WorkerSettings {
            at_once: self.run_workers as usize,
            keep_files: Duration::from_secs(self.file_hours * 3600),
            counters,
            ..worker::WorkerSettings::new(name, Arc::new(self.tables.tables()?))
        })
    }
}
