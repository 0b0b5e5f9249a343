//! The stream processors on Kafka, Postgres and Redis.

use std::{
    io::IsTerminal,
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::Context;
use clap::Parser;
use processors::{
    runner::{self, Seams},
    servers::{
        config::{Cli, Command, LogFormat, Logging, Prepare, Run},
        kafka::{self, KafkaLog},
        metrics::{Health, router},
        migrations,
        postgres::PostgresLedger,
        redis::RedisViews,
    },
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
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
        }
    });
    // A client library's thread that does not end must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}

fn log_to_stderr(logging: &Logging) -> anyhow::Result<()> {
    let filter =
        EnvFilter::try_new(&logging.log).context("--log is not a level or a list of modules and levels")?;
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

async fn run(settings: Run) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let (stopping, mut stopped) = watch::channel(());
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        tracing::info!("stopping");
        let _ = stopping.send(());
    };
    let (log, ledger, views) = connect(&settings).await?;
    let health = Arc::new(Health::default());
    let listener = TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("nothing can listen on {}: check --listen", settings.listen))?;
    let address = listener.local_addr()?;
    let served = tokio::spawn(axum::serve(listener, router(Arc::clone(&health))).into_future());
    let swept = tokio::spawn(sweep(Arc::clone(&ledger)));

    let runner_settings = runner::Settings {
        batch: settings.batch as usize,
        cached_tickets: settings.cached_tickets,
        counters: Arc::clone(&health.counters),
    };
    health.ready.store(true, Relaxed);
    tracing::info!(%address, group = settings.group, "processing; metrics and health are served");
    if let Some(path) = &settings.ready_file {
        write_ready_file(path, &format!("{{\"metrics\":\"http://{address}\"}}\n")).await?;
    }
    let seams = Seams { log: Arc::clone(&log) as _, ledger, views: Arc::clone(&views) as _ };
    let done = tokio::select! {
        done = runner::run(seams, runner_settings, stop) => done,
        () = async {
            // An error says that the runner ended, which the other branch reports.
            let _ = stopped.changed().await;
            tokio::time::sleep(LAST_BATCH).await;
        } => {
            tracing::warn!("the last batch did not end in time and is cut off");
            Ok(())
        }
    };

    health.ready.store(false, Relaxed);
    log.left(LEAVING).await;
    views.close().await;
    swept.abort();
    served.abort();
    done.context("processing ended; what came before says why")
}

/// Reaches all three servers, and finds out whether they are as they must be.
async fn connect(settings: &Run) -> anyhow::Result<(Arc<KafkaLog>, Arc<PostgresLedger>, Arc<RedisViews>)> {
    let postgres = "postgres cannot be used: check --postgres or CLINICWIRE_POSTGRES";
    migrations::check(&settings.postgres.postgres).await.context(postgres)?;
    let ledger = PostgresLedger::new(&settings.pool(), settings.consumer()).context(postgres)?;
    ledger.check().await.context(
        "postgres does not let this login process: grant it the role clinicwire_processor (see migrations/README.md)",
    )?;
    let views = RedisViews::connect(&settings.redis)
        .await
        .context("redis cannot be used: check --redis or CLINICWIRE_REDIS")?;
    let kafka = settings.kafka();
    let partitions = kafka::check(&kafka).await?;
    let log = KafkaLog::new(kafka, partitions).context("the settings of kafka make no producer")?;
    tracing::info!(partitions, "kafka, postgres and redis are as they must be");
    Ok((Arc::new(log), Arc::new(ledger), Arc::new(views)))
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
