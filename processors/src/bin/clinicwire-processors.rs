//! The stream processors on Kafka, PostgreSQL and Redis.

use std::{
    io::Write,
    net::SocketAddr,
    path::Path,
    process::ExitCode,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::Context;
use clap::Parser;
use processors::{
    audit::{self, ChainReport, SinkSettings},
    runner::{self, RunnerBackends},
    servers::{
        access, bridge,
        config::{
            AuditCommand, BridgeArgs, CheckArgs, NO_WORKERS, PrepareArgs, ProcessorsCli,
            ProcessorsCommand, RunArgs, ServiceCommand, VerifyArgs, WorkArgs,
        },
        kafka::{self, KafkaProcessorLog},
        metrics::{Health, router},
        migrations,
        postgres::{
            Consumer, PostgresAudit, PostgresLedger, PostgresWork, check_roles, set_retention,
        },
        redis::RedisViews,
    },
    worker,
};
use schemas::record::{AUDIT_TOPIC, CARE_TOPIC, RUNS_TOPIC};
use servers::{
    args::PostgresArgs,
    config_check,
    file_store::{self, Probe},
    kafka::prepare_topics,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::{Notify, watch},
    task::JoinHandle,
};

servers::guard_kafka_metadata!();

/// How long a batch under way may take after the signal to stop, and leaving the group after that.
/// A batch that is cut off is rolled back by PostgreSQL and repeated by the next owner.
const LAST_BATCH: Duration = Duration::from_secs(15);
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often expired views are deleted.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// How long failed requests to the file store are repeated. A worker releases a run after a
/// failure, so that a longer retry would gain little.
const FILE_STORE_RETRY: Duration = Duration::from_secs(4);

/// The exit code of `audit verify` when a chain is broken. 2 is a wrong setting.
const BROKEN_CHAIN: u8 = 3;
/// The exit code of `audit verify --tenant` when nothing of the tenant is stored.
const UNKNOWN_TENANT: u8 = 4;

const POSTGRES_REFUSED: &str = "postgres cannot be used: check --postgres or CLINICWIRE_POSTGRES";
const KAFKA_REFUSED: &str = "kafka's client refuses the settings";

fn main() -> anyhow::Result<ExitCode> {
    let checked = config_check::answer(std::env::args_os(), |cli: &ProcessorsCli, faults| {
        cli.logging.validate(faults);
        if let ProcessorsCommand::CheckConfig { command, .. } = &cli.command {
            command.validate(faults);
        }
    });
    if let Some(are_valid) = checked
        && !(are_valid && config_check::asks_to_connect(std::env::args_os()))
    {
        return Ok(config_check::exit_code(are_valid));
    }
    let cli = ProcessorsCli::parse();
    cli.logging.start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        match cli.command {
            ProcessorsCommand::Service(command) => serve_command(command).await,
            ProcessorsCommand::CheckConfig { command, .. } => {
                let report = access::check_access(&command).await;
                write!(std::io::stdout(), "{report}")?;
                Ok(config_check::exit_code(report.is_good()))
            }
        }
    });
    // A thread of a client library that does not end must not keep the process alive.
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}

async fn serve_command(command: ServiceCommand) -> anyhow::Result<ExitCode> {
    let done = match command {
        ServiceCommand::Prepare(settings) => prepare(&settings).await,
        ServiceCommand::Run(settings) => run(settings).await,
        ServiceCommand::Work(settings) => work(settings).await,
        ServiceCommand::Bridge(settings) => run_bridge(settings).await,
        ServiceCommand::Audit(AuditCommand::Verify(settings)) => return verify(settings).await,
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// Verifies the stored audit, and prints a line for each tenant.
async fn verify(settings: VerifyArgs) -> anyhow::Result<ExitCode> {
    migrations::check(&settings.postgres.postgres).await.context(POSTGRES_REFUSED)?;
    // Nothing is claimed or committed under this name.
    let consumer = Consumer { name: String::new(), topic: AUDIT_TOPIC.to_owned() };
    let store = PostgresAudit::new(&settings.pool(), consumer).context(POSTGRES_REFUSED)?;
    let (mut is_broken, mut is_unknown) = (false, false);
    let mut report = |report: ChainReport| {
        is_broken |= report.broken.is_some();
        is_unknown |= !report.is_known;
        // Whoever read the output may be gone, as behind `| head`. The exit code still counts.
        let _ = writeln!(std::io::stdout(), "{}", report_line(&report));
    };
    match settings.tenant {
        Some(tenant) => report(audit::verify_tenant(&store, tenant).await?),
        None => audit::verify_tenants(&store, report).await?,
    }
    Ok(match (is_broken, is_unknown) {
        (true, _) => ExitCode::from(BROKEN_CHAIN),
        (false, true) => ExitCode::from(UNKNOWN_TENANT),
        (false, false) => ExitCode::SUCCESS,
    })
}

fn report_line(report: &ChainReport) -> String {
    let ChainReport { tenant, first, head, rows, is_known, broken } = report;
    if !is_known {
        return format!("{tenant}: unknown, nothing of this tenant is stored");
    }
    let mut line = format!("{tenant}: {rows} entries");
    if let (Some(first), Some(head)) = (first, head) {
        line += &format!(" ({first} to {}), last hash {}", head.number, head.hash);
    }
    line + &match broken {
        None => ": sound".to_owned(),
        Some((day, Some(number), why)) => format!(": BROKEN at entry {number} of {day}: {why}"),
        Some((day, None, why)) => format!(": BROKEN on {day}: {why}"),
    }
}

async fn prepare(settings: &PrepareArgs) -> anyhow::Result<()> {
    let applied = migrations::apply(&settings.postgres.postgres)
        .await
        .context("the database could not be prepared: check --postgres or CLINICWIRE_POSTGRES")?;
    set_retention(&settings.postgres.postgres, settings.audit_days)
        .await
        .context("the retention of the audit could not be set")?;
    tracing::info!(applied, newest = migrations::newest(), "the database is ready");
    let created = prepare_topics(&settings.cluster(), &settings.new_topics()).await?;
    tracing::info!(?created, "the topics are ready");
    Ok(())
}

/// Changes once, when a signal asks the process to stop.
fn stop_signal() -> anyhow::Result<watch::Receiver<()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let (stopping, stopped) = watch::channel(());
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        tracing::info!("stopping");
        let _ = stopping.send(());
    });
    Ok(stopped)
}

/// Waits until the process is asked to stop.
async fn stop(mut stopped: watch::Receiver<()>) {
    // An error means that the sender is gone, which it is after the signal.
    drop(stopped.changed().await);
}

/// Serves metrics and health. Returns the address.
async fn serve(
    listen: SocketAddr,
    health: &Arc<Health>,
) -> anyhow::Result<(SocketAddr, JoinHandle<()>)> {
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("nothing can listen on {listen}: check --listen"))?;
    let address = listener.local_addr()?;
    let serving = axum::serve(listener, router(Arc::clone(health))).into_future();
    Ok((address, tokio::spawn(async { drop(serving.await) })))
}

/// Reports that the process has started its work.
async fn report_ready(
    health: &Health,
    address: SocketAddr,
    file: Option<&Path>,
) -> anyhow::Result<()> {
    health.ready.store(true, Relaxed);
    if let Some(path) = file {
        write_ready_file(path, &format!("{{\"metrics\":\"http://{address}\"}}\n")).await?;
    }
    Ok(())
}

async fn run(settings: RunArgs) -> anyhow::Result<()> {
    let stopped = stop_signal()?;
    let (views, care, runs) = connect(&settings).await?;
    let (audit_log, audit_store) = connect_audit(&settings).await?;
    let health = Arc::new(Health::default());
    let logs = [&care.log, &runs.log, &audit_log];
    health.watch(logs.into_iter().flat_map(|log| log.clients()));
    let work_signal = Arc::new(Notify::new());
    let checking = start_worker(
        &settings.checks,
        &settings.postgres,
        &health,
        runs.log.clone(),
        &work_signal,
        &stopped,
    )
    .await?;
    let (address, served) = serve(settings.listen, &health).await?;
    let swept = tokio::spawn(sweep(Arc::clone(&care.ledger)));

    let running = [&care, &runs].map(|topic_backends| {
        let backends = RunnerBackends {
            log: Arc::clone(&topic_backends.log) as _,
            ledger: Arc::clone(&topic_backends.ledger) as _,
            views: Arc::clone(&views) as _,
        };
        let runner_settings = runner::RunnerSettings {
            batch: settings.batch as usize,
            cached_tickets: settings.cached_tickets,
            key_lifetime: Duration::from_secs(settings.key_hours * 3600),
            parked_limit: settings.parked_limit,
            counters: Arc::clone(&health.counters),
            work_signal: (topic_backends.topic == RUNS_TOPIC).then(|| Arc::clone(&work_signal)),
            ..runner::RunnerSettings::new(topic_backends.topic)
        };
        tokio::spawn(runner::run(backends, runner_settings, stop(stopped.clone())))
    });
    let sink = SinkSettings { counters: Arc::clone(&health.audit), ..SinkSettings::default() };
    let (log, store) = (Arc::clone(&audit_log) as _, audit_store as _);
    let storing = tokio::spawn(audit::run(log, store, sink, stop(stopped.clone())));
    tracing::info!(%address, group = settings.group, "processing; metrics and health are served");
    report_ready(&health, address, settings.ready_file.as_deref()).await?;
    let [care_running, runs_running] = running;
    let all = async {
        tokio::try_join!(
            runner_result(care_running),
            runner_result(runs_running),
            runner_result(storing),
            worker_result(checking)
        )
    };
    let done = tokio::select! {
        done = all => done.map(drop),
        () = async {
            stop(stopped).await;
            tokio::time::sleep(LAST_BATCH).await;
        } => {
            tracing::warn!("the last batch did not end in time and is cut off");
            Ok(())
        }
    };

    health.ready.store(false, Relaxed);
    tokio::join!(
        care.log.wait_until_left(LEAVE_TIMEOUT),
        runs.log.wait_until_left(LEAVE_TIMEOUT),
        audit_log.wait_until_left(LEAVE_TIMEOUT)
    );
    views.close().await;
    swept.abort();
    served.abort();
    done.context("processing ended; the log above says why")
}

/// The result of a runner that has ended.
async fn runner_result(runner: JoinHandle<Result<(), runner::RunnerError>>) -> anyhow::Result<()> {
    Ok(runner.await??)
}

/// Starts a worker for claims files, unless the settings have none.
async fn start_worker(
    settings: &CheckArgs,
    postgres: &PostgresArgs,
    health: &Health,
    log: Arc<KafkaProcessorLog>,
    work_signal: &Arc<Notify>,
    stopped: &watch::Receiver<()>,
) -> anyhow::Result<Option<JoinHandle<()>>> {
    if settings.run_workers == 0 {
        return Ok(None);
    }
    let files = file_store::open(&settings.store.files, FILE_STORE_RETRY, Probe::Read)
        .await
        .context("the file store cannot be used: check --files or CLINICWIRE_FILES")?;
    let work = PostgresWork::new(&settings.pool(postgres))
        .context("postgres cannot be used: check --postgres or CLINICWIRE_POSTGRES")?;
    let backends = worker::WorkerBackends {
        work: Arc::new(work),
        log,
        files,
        work_signal: Arc::clone(work_signal),
    };
    let worker =
        worker::run(backends, settings.worker(Arc::clone(&health.checks))?, stop(stopped.clone()));
    Ok(Some(tokio::spawn(worker)))
}

/// The result of a worker that has ended, if there was one.
async fn worker_result(worker: Option<JoinHandle<()>>) -> anyhow::Result<()> {
    match worker {
        Some(worker) => Ok(worker.await?),
        None => Ok(()),
    }
}

/// Checks claims files only.
async fn work(settings: WorkArgs) -> anyhow::Result<()> {
    let stopped = stop_signal()?;
    anyhow::ensure!(settings.checks.run_workers > 0, "{NO_WORKERS}");
    migrations::check(&settings.postgres.postgres)
        .await
        .context("postgres cannot be used: check --postgres or CLINICWIRE_POSTGRES")?;
    let connection = settings.checks.pool(&settings.postgres).connection;
    check_roles(&connection, settings.postgres.login_policy()).await?;
    let cluster = settings.cluster();
    kafka::check(&cluster, RUNS_TOPIC).await?;
    let log = KafkaProcessorLog::new_writer(cluster).context(KAFKA_REFUSED)?;
    let health = Arc::new(Health::default());
    health.watch(log.clients());
    let (address, served) = serve(settings.listen, &health).await?;
    // No runner of this process signals work: the worker polls.
    let nobody = Arc::new(Notify::new());
    let checking = start_worker(
        &settings.checks,
        &settings.postgres,
        &health,
        Arc::new(log),
        &nobody,
        &stopped,
    )
    .await?;
    let at_once = settings.checks.run_workers;
    tracing::info!(%address, at_once, "checking claims files; metrics and health are served");
    report_ready(&health, address, settings.ready_file.as_deref()).await?;
    let done = tokio::select! {
        done = worker_result(checking) => done,
        () = async {
            stop(stopped).await;
            tokio::time::sleep(LAST_BATCH).await;
        } => {
            tracing::warn!("the last runs were not released in time; their leases expire");
            Ok(())
        }
    };
    health.ready.store(false, Relaxed);
    served.abort();
    done.context("checking ended; the log above says why")
}

/// Passes on the records of a source's topic.
async fn run_bridge(settings: BridgeArgs) -> anyhow::Result<()> {
    let stopped = stop_signal()?;
    let cluster = settings.cluster();
    kafka::check(&cluster, CARE_TOPIC).await?;
    let log = KafkaProcessorLog::new_writer(cluster.clone()).context(KAFKA_REFUSED)?;
    let health = Arc::new(Health::default());
    let (address, served) = serve(settings.listen, &health).await?;
    let (counters, status) = (Arc::clone(&health.bridge), Arc::new(bridge::reader_status()));
    health.watch(log.clients().into_iter().chain([Arc::clone(&status)]));
    let (group, bridge, log) = (settings.group(), settings.bridge(), Arc::new(log));
    let passing = bridge::run(cluster, group, bridge, log, counters, status, stop(stopped.clone()));
    let (topic, source) = (&settings.source_topic, &settings.source);
    tracing::info!(%address, topic, %source, "passing records on; metrics and health are served");
    report_ready(&health, address, settings.ready_file.as_deref()).await?;
    let done = tokio::select! {
        done = passing => done,
        () = async {
            stop(stopped).await;
            tokio::time::sleep(LAST_BATCH).await;
        } => {
            tracing::warn!("the last records were not acknowledged in time and will be read again");
            Ok(())
        }
    };
    health.ready.store(false, Relaxed);
    served.abort();
    done.context("passing records on ended")
}

/// The backends of one topic's runner, besides the view store that all share.
struct TopicBackends {
    topic: &'static str,
    log: Arc<KafkaProcessorLog>,
    ledger: Arc<PostgresLedger>,
}

/// Connects to all servers and checks that they can be used.
async fn connect(
    settings: &RunArgs,
) -> anyhow::Result<(Arc<RedisViews>, TopicBackends, TopicBackends)> {
    let postgres = POSTGRES_REFUSED;
    migrations::check(&settings.postgres.postgres).await.context(postgres)?;
    check_roles(&settings.pool().connection, settings.postgres.login_policy())
        .await
        .context(postgres)?;
    let views = RedisViews::connect(&settings.redis.redis)
        .await
        .context("redis cannot be used: check --redis or CLINICWIRE_REDIS")?;
    let topic_backends = async |topic| {
        let ledger =
            PostgresLedger::new(&settings.pool(), settings.consumer(topic)).context(postgres)?;
        ledger.check().await.context(
            "postgres does not let this login process records: grant it the role \
             clinicwire_processor (see migrations/README.md)",
        )?;
        let cluster = settings.cluster();
        let partition_count = kafka::check(&cluster, topic).await?;
        let log = KafkaProcessorLog::new(cluster, settings.reader(topic), partition_count)
            .context(KAFKA_REFUSED)?;
        tracing::info!(topic, partition_count, "kafka, postgres and redis can be used");
        anyhow::Ok(TopicBackends { topic, log: Arc::new(log), ledger: Arc::new(ledger) })
    };
    Ok((Arc::new(views), topic_backends(CARE_TOPIC).await?, topic_backends(RUNS_TOPIC).await?))
}

/// Connects the sink of the audit.
async fn connect_audit(
    settings: &RunArgs,
) -> anyhow::Result<(Arc<KafkaProcessorLog>, Arc<PostgresAudit>)> {
    let store = PostgresAudit::new(&settings.audit_pool(), settings.consumer(AUDIT_TOPIC))
        .context(POSTGRES_REFUSED)?;
    let cluster = settings.cluster();
    let partition_count = kafka::check(&cluster, AUDIT_TOPIC).await?;
    let log = KafkaProcessorLog::new(cluster, settings.reader(AUDIT_TOPIC), partition_count)
        .context(KAFKA_REFUSED)?;
    Ok((Arc::new(log), Arc::new(store)))
}

/// Deletes expired views of the whole database: any processor may do it.
async fn sweep(ledger: Arc<PostgresLedger>) {
    let mut often = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        often.tick().await;
        loop {
            match ledger.sweep().await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "expired views were not deleted"
                    );
                    break;
                }
            }
        }
    }
}

/// Writes another file and renames it, so that a reader never finds a partial file.
async fn write_ready_file(path: &Path, text: &str) -> anyhow::Result<()> {
    let unfinished = path.with_extension("unfinished");
    tokio::fs::write(&unfinished, text).await?;
    tokio::fs::rename(&unfinished, path).await?;
    Ok(())
}
