//! A gateway node on Kafka, Redis and Postgres.

mod config;

use std::{
    io::{IsTerminal, Write},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use clap::Parser;
use gateway::{
    access::auth::development_token,
    clock,
    node::{self, Backends, RunningNode},
    servers::{
        files,
        kafka::{self, KafkaLog},
        postgres::PostgresQueries,
        redis::{self, RedisKeys, RedisSnapshots},
    },
};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::config::{Cli, Command, LogFormat, Logging, Run, Token};

/// How often the file of a demo is looked at.
const DEMO_EVERY: Duration = Duration::from_secs(1);
/// Threads for intake and for loading views. Sockets have their own.
const WORKERS: usize = 2;

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    log_to_stderr(&cli.logging)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    let done = match cli.command {
        Command::Run(settings) => runtime.block_on(run(&settings)),
        Command::CheckConfig(settings) => runtime.block_on(check(&settings)),
        Command::Token(token) => print_token(token),
    };
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

fn print_token(token: Token) -> anyhow::Result<()> {
    let key = token.key()?;
    let now = clock::now();
    let text = development_token(&key, &token.claims(now), now);
    writeln!(std::io::stdout(), "{text}").context("the token could not be printed")
}

async fn check(settings: &Run) -> anyhow::Result<()> {
    settings.node()?;
    connect(settings).await?;
    tracing::info!("the settings are good");
    Ok(())
}

async fn run(settings: &Run) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    raise_descriptors();
    let node_settings = settings.node()?;
    let backends = tokio::select! {
        backends = connect(settings) => backends?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    let running =
        node::start(node_settings, backends).context("the node cannot serve: check --listen")?;
    tracing::info!(address = %running.address(), "serving");
    tokio::select! {
        () = show_demo(&running, settings.demo_file.as_deref()) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!(seconds = settings.drain, "closing connections; a second signal ends at once");
    tokio::select! {
        () = running.shut_down() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Shows what a demo clinic wrote, and what it writes later, for as long as the node runs.
async fn show_demo(running: &RunningNode, file: Option<&Path>) {
    let Some(file) = file else { return std::future::pending().await };
    let mut every = tokio::time::interval(DEMO_EVERY);
    let mut shown = Vec::new();
    loop {
        every.tick().await;
        // The file appears whole, by a rename, once the demo lives.
        let Ok(text) = tokio::fs::read(file).await else { continue };
        if text != shown {
            match serde_json::from_slice(&text) {
                Ok(demo) => running.show_demo(demo),
                Err(_) => tracing::warn!(file = %file.display(), "the demo's file is not JSON"),
            }
            shown = text;
        }
    }
}

/// Reaches all three servers and the store of files, and finds out whether they are as they must be.
async fn connect(settings: &Run) -> anyhow::Result<Backends> {
    let kafka_settings = settings.kafka();
    kafka::check(&kafka_settings).await?;
    let log = KafkaLog::new(kafka_settings).context("the settings of kafka make no producer")?;
    let redis = redis::connect(&settings.redis)
        .await
        .context("redis cannot be used: check --redis or CLINICWIRE_REDIS")?;
    let postgres = "postgres cannot be used: check --postgres or CLINICWIRE_POSTGRES, and that its login has the role \
        clinicwire_gateway (see migrations/README.md)";
    let queries = PostgresQueries::new(&settings.postgres, settings.postgres_connections.into())
        .context(postgres)?;
    queries.check().await.context(postgres)?;
    let files = files::open(&settings.checks.files)
        .await
        .context("the store of files cannot be used: check --files or CLINICWIRE_FILES")?;
    tracing::info!("kafka, redis, postgres and the store of files are as they must be");
    Ok(Backends {
        log: Arc::new(log),
        snapshots: Arc::new(RedisSnapshots::new(redis.clone())),
        queries: Arc::new(queries),
        short_keys: Arc::new(RedisKeys::new(redis)),
        files,
    })
}

/// Every socket is a descriptor: takes as many as the system lets this process have.
fn raise_descriptors() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(descriptors) => tracing::info!(descriptors, "sockets and files this process may hold"),
        Err(error) => tracing::warn!(%error, "the limit of descriptors could not be raised"),
    }
}
