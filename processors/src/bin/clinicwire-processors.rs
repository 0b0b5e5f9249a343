//! The stream processors on Kafka, Postgres and Redis.

use std::{
    io::IsTerminal,
    net::SocketAddr,
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::Context;
use clap::Parser;
use processors::{
    runner::{self, RunnerBackends},
    servers::{
        bridge,
        config::{Bridge, Checks, Cli, Command, LogFormat, Logging, Postgres, Prepare, Run, Work},
        files,
        kafka::{self, KafkaLog},
        metrics::{Health, router},
        migrations,
        postgres::{PostgresLedger, PostgresWork},
        redis::RedisViews,
    },
    worker,
};
use schemas::record::{CARE_TOPIC, RUNS_TOPIC};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::{Notify, watch},
    task::JoinHandle,
};
use tracing_subscriber::EnvFilter;

/// How long a batch under way may take after the signal to stop, and leaving the group after that. Whatever is cut off is
/// undone by Postgres and done by the next owner.
const LAST_BATCH: Duration = Duration::from_secs(15);
const LEAVING: Duration = Duration::from_secs(5);
/// How often views past their time are deleted.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    log_to_stderr(&cli.logging)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        match cli.command {
            Command::Prepare(settings) => prepare(&settings).await,
            Command::Run(settings) => run(settings).await,
            Command::Work(settings) => work(settings).await,
            Command::Bridge(settings) => pass_on(settings).await,
        }
    });
    // A client library's thread that does not end must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}

fn log_to_stderr(logging: &Logging) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&logging.log)
        .context("--log is not a level or a list of modules and levels")?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match logging.log_format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}

async fn prepare(settings: &Prepare) -> anyhow::Result<()> {
    let applied = migrations::apply(&settings.postgres.postgres)
        .await
        .context("the database could not be prepared: check --postgres or CLINICWIRE_POSTGRES")?;
    tracing::info!(applied, newest = migrations::newest(), "the database is ready");
    let made = kafka::prepare(&settings.kafka(), &settings.new_topics()).await?;
    tracing::info!(?made, "the topics are ready");
    Ok(())
}

/// Ticks once, when the process is asked to stop.
fn asked_to_stop() -> anyhow::Result<watch::Receiver<()>> {
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

/// Waits for that.
async fn stop(mut stopped: watch::Receiver<()>) {
    // An error says that it ticked before, and nobody is left to tick.
    drop(stopped.changed().await);
}

/// Serves metrics and health, and says where.
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

/// From now on work is done.
async fn ready(health: &Health, address: SocketAddr, file: Option<&Path>) -> anyhow::Result<()> {
    health.ready.store(true, Relaxed);
    if let Some(path) = file {
        write_ready_file(path, &format!("{{\"metrics\":\"http://{address}\"}}\n")).await?;
    }
    Ok(())
}

async fn run(settings: Run) -> anyhow::Result<()> {
    let stopped = asked_to_stop()?;
    let (views, care, runs) = connect(&settings).await?;
    let health = Arc::new(Health::default());
    let work_signal = Arc::new(Notify::new());
    let checking = check(
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

    let running = [&care, &runs].map(|half| {
        let backends = RunnerBackends {
            log: Arc::clone(&half.log) as _,
            ledger: Arc::clone(&half.ledger) as _,
            views: Arc::clone(&views) as _,
        };
        let runner_settings = runner::RunnerSettings {
            batch: settings.batch as usize,
            cached_tickets: settings.cached_tickets,
            counters: Arc::clone(&health.counters),
            work_signal: (half.topic == RUNS_TOPIC).then(|| Arc::clone(&work_signal)),
            ..runner::RunnerSettings::new(half.topic)
        };
        tokio::spawn(runner::run(backends, runner_settings, stop(stopped.clone())))
    });
    tracing::info!(%address, group = settings.group, "processing; metrics and health are served");
    ready(&health, address, settings.ready_file.as_deref()).await?;
    let [care_running, runs_running] = running;
    let done = tokio::select! {
        done = async { tokio::try_join!(ended(care_running), ended(runs_running), checked(checking)) } => done.map(drop),
        () = async {
            stop(stopped).await;
            tokio::time::sleep(LAST_BATCH).await;
        } => {
            tracing::warn!("the last batch did not end in time and is cut off");
            Ok(())
        }
    };

    health.ready.store(false, Relaxed);
    tokio::join!(care.log.left(LEAVING), runs.log.left(LEAVING));
    views.close().await;
    swept.abort();
    served.abort();
    done.context("processing ended; what came before says why")
}

/// A runner that ended, in whichever way.
async fn ended(runner: JoinHandle<Result<(), runner::RunnerError>>) -> anyhow::Result<()> {
    Ok(runner.await??)
}

/// Begins to check claims files, as many at once as the settings say.
async fn check(
    settings: &Checks,
    postgres: &Postgres,
    health: &Health,
    log: Arc<KafkaLog>,
    work_signal: &Arc<Notify>,
    stopped: &watch::Receiver<()>,
) -> anyhow::Result<Option<JoinHandle<()>>> {
    if settings.run_workers == 0 {
        return Ok(None);
    }
    let files = files::open(&settings.files)
        .await
        .context("the store of files cannot be used: check --files or CLINICWIRE_FILES")?;
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

/// A worker that ended, if there was one.
async fn checked(worker: Option<JoinHandle<()>>) -> anyhow::Result<()> {
    match worker {
        Some(worker) => Ok(worker.await?),
        None => Ok(()),
    }
}

/// Checks claims files, and does nothing else.
async fn work(settings: Work) -> anyhow::Result<()> {
    let stopped = asked_to_stop()?;
    anyhow::ensure!(settings.checks.run_workers > 0, "there is nothing to do with --run-workers 0");
    migrations::check(&settings.postgres.postgres)
        .await
        .context("postgres cannot be used: check --postgres or CLINICWIRE_POSTGRES")?;
    let kafka = settings.kafka();
    let partitions = kafka::check(&kafka).await?;
    let log = KafkaLog::new(kafka, partitions).context("the settings of kafka make no producer")?;
    let health = Arc::new(Health::default());
    let (address, served) = serve(settings.listen, &health).await?;
    let nobody = Arc::new(Notify::new()); // no runner of this process wakes it: it looks by itself
    let checking =
        check(&settings.checks, &settings.postgres, &health, Arc::new(log), &nobody, &stopped)
            .await?;
    tracing::info!(%address, at_once = settings.checks.run_workers, "checking claims files; metrics and health are served");
    ready(&health, address, settings.ready_file.as_deref()).await?;
    let done = tokio::select! {
        done = checked(checking) => done,
        () = async {
            stop(stopped).await;
            tokio::time::sleep(LAST_BATCH).await;
        } => {
            tracing::warn!("the last runs were not given back in time; their leases run out");
            Ok(())
        }
    };
    health.ready.store(false, Relaxed);
    served.abort();
    done.context("checking ended; what came before says why")
}

/// Passes on what a source tells in its own topic.
async fn pass_on(settings: Bridge) -> anyhow::Result<()> {
    let stopped = asked_to_stop()?;
    let kafka = settings.kafka();
    let partitions = kafka::check(&kafka).await?;
    let log = KafkaLog::new(kafka.clone(), partitions)
        .context("the settings of kafka make no producer")?;
    let health = Arc::new(Health::default());
    let (address, served) = serve(settings.listen, &health).await?;
    let counters = Arc::clone(&health.bridge);
    let passing =
        bridge::run(kafka, settings.bridge(), Arc::new(log), counters, stop(stopped.clone()));
    tracing::info!(%address, topic = settings.source_topic, source = %settings.source, "passing records on; metrics and health are served");
    ready(&health, address, settings.ready_file.as_deref()).await?;
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

/// What one topic's runner stands on, beside the views all share.
struct Half {
    topic: &'static str,
    log: Arc<KafkaLog>,
    ledger: Arc<PostgresLedger>,
}

/// Reaches all three servers, and finds out whether they are as they must be.
async fn connect(settings: &Run) -> anyhow::Result<(Arc<RedisViews>, Half, Half)> {
    let postgres = "postgres cannot be used: check --postgres or CLINICWIRE_POSTGRES";
    migrations::check(&settings.postgres.postgres).await.context(postgres)?;
    let views = RedisViews::connect(&settings.redis)
        .await
        .context("redis cannot be used: check --redis or CLINICWIRE_REDIS")?;
    let half = async |topic| {
        let ledger =
            PostgresLedger::new(&settings.pool(), settings.consumer(topic)).context(postgres)?;
        ledger.check().await.context(
            "postgres does not let this login process: grant it the role clinicwire_processor (see migrations/README.md)",
        )?;
        let kafka = settings.kafka(topic);
        let partitions = kafka::check(&kafka).await?;
        let log =
            KafkaLog::new(kafka, partitions).context("the settings of kafka make no producer")?;
        tracing::info!(topic, partitions, "kafka, postgres and redis are as they must be");
        anyhow::Ok(Half { topic, log: Arc::new(log), ledger: Arc::new(ledger) })
    };
    Ok((Arc::new(views), half(CARE_TOPIC).await?, half(RUNS_TOPIC).await?))
}

/// Deletes views past their time, all over the database: any processor may.
async fn sweep(ledger: Arc<PostgresLedger>) {
    let mut often = tokio::time::interval(SWEEP_EVERY);
    loop {
        often.tick().await;
        loop {
            match ledger.sweep().await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "views past their time were not deleted"
                    );
                    break;
                }
            }
        }
    }
}

/// Written beside and renamed: whoever waits for the file finds it whole.
async fn write_ready_file(path: &Path, text: &str) -> anyhow::Result<()> {
    let unfinished = path.with_extension("unfinished");
    tokio::fs::write(&unfinished, text).await?;
    tokio::fs::rename(&unfinished, path).await?;
    Ok(())
}
