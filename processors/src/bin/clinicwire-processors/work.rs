//! `work`: checks claims files, and nothing else. `run` starts the same worker beside its runners.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::Context;
use processors::{
    servers::{
        config::{CheckArgs, NO_WORKERS, WorkArgs},
        kafka::{self, KafkaProcessorLog},
        metrics::Health,
        migrations,
        postgres::{PostgresWork, check_roles},
        tenants,
    },
    tenants::Tenants,
    worker,
};
use schemas::record::RUNS_TOPIC;
use servers::{
    args::PostgresArgs,
    file_store::{self, Probe},
};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};

use crate::{
    KAFKA_REFUSED, POSTGRES_REFUSED,
    process::{finish, report_ready, serve, stop, stop_signal},
};

/// How long failed requests to the file store are repeated. A worker releases a run after a
/// failure, so that a longer retry would gain little.
const FILE_STORE_RETRY: Duration = Duration::from_secs(4);

/// Starts a worker for claims files, unless the settings have none.
pub async fn start_worker(
    settings: &CheckArgs,
    postgres: &PostgresArgs,
    health: &Health,
    log: Arc<KafkaProcessorLog>,
    work_signal: &Arc<Notify>,
    (tenants, stopped): (&Arc<Tenants>, &watch::Receiver<()>),
) -> anyhow::Result<Option<JoinHandle<()>>> {
    if settings.run_workers == 0 {
        return Ok(None);
    }
    let files = file_store::open(&settings.store.files, FILE_STORE_RETRY, Probe::Read)
        .await
        .context("the file store cannot be used: check --files or CLINICWIRE_FILES")?;
    let work = PostgresWork::new(&settings.pool(postgres)).context(POSTGRES_REFUSED)?;
    let backends = worker::WorkerBackends {
        work: Arc::new(work),
        log,
        files,
        work_signal: Arc::clone(work_signal),
    };
    let worker_settings = worker::WorkerSettings {
        tenants: Arc::clone(tenants),
        ..settings.worker(Arc::clone(&health.checks))?
    };
    let worker = worker::run(backends, worker_settings, stop(stopped.clone()));
    Ok(Some(tokio::spawn(worker)))
}

/// The result of a worker that has ended, if there was one.
pub async fn worker_result(worker: Option<JoinHandle<()>>) -> anyhow::Result<()> {
    match worker {
        Some(worker) => Ok(worker.await?),
        None => Ok(()),
    }
}

/// Checks claims files only.
pub async fn work(settings: WorkArgs) -> anyhow::Result<()> {
    let stopped = stop_signal()?;
    anyhow::ensure!(settings.checks.run_workers > 0, "{NO_WORKERS}");
    migrations::check(&settings.postgres.postgres).await.context(POSTGRES_REFUSED)?;
    let connection = settings.checks.pool(&settings.postgres).connection;
    check_roles(&connection, settings.postgres.login_policy()).await?;
    let cluster = settings.cluster();
    kafka::check(&cluster, RUNS_TOPIC).await?;
    let (tenants, access) = tenants::follow(cluster.clone());
    let log = KafkaProcessorLog::new_writer(cluster).context(KAFKA_REFUSED)?;
    let health = Arc::new(Health::default());
    health.watch(log.clients().into_iter().chain([access]));
    let (address, served) = serve(settings.listen, &health).await?;
    // No runner of this process signals work: the worker polls.
    let nobody = Arc::new(Notify::new());
    let checking = start_worker(
        &settings.checks,
        &settings.postgres,
        &health,
        Arc::new(log),
        &nobody,
        (&tenants, &stopped),
    )
    .await?;
    let at_once = settings.checks.run_workers;
    tracing::info!(%address, at_once, "checking claims files; metrics and health are served");
    report_ready(&health, address, settings.ready_file.as_deref()).await?;
    let done = finish(
        worker_result(checking),
        stopped,
        "the last runs were not released in time; their leases expire",
    )
    .await;
    health.ready.store(false, Relaxed);
    served.abort();
    done.context("checking ended; the log above says why")
}
