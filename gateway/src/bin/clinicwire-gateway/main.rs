//! A gateway node on Kafka, Redis and PostgreSQL.

mod config;

use std::{io::Write, path::Path, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use clap::Parser;
use gateway::{
    access::auth::development_token,
    clock,
    node::{self, Backends, RunningNode},
    readiness::Readiness,
    servers::{
        access,
        kafka::{self, KafkaGatewayLog},
        postgres::PostgresQueries,
        redis::{self, RedisKeys, RedisSnapshots},
    },
};
use servers::{
    config_check,
    file_store::{self, Probe},
    systemd,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{GatewayCli, GatewayCommand, PseudonymArgs, RunArgs, TokenArgs};

servers::guard_kafka_metadata!();

#[global_allocator]
static ALLOCATOR: servers::Allocator = servers::Allocator;

/// How often the demo's file is read.
const DEMO_INTERVAL: Duration = Duration::from_secs(1);
/// How often readiness is looked at, until the node is ready.
const READY_INTERVAL: Duration = Duration::from_millis(100);
/// Threads for intake and for fetching views. Sockets have their own.
const WORKERS: usize = 2;
/// How long failed requests to the file store are repeated: a person waits for the upload.
const FILE_STORE_RETRY: Duration = Duration::from_secs(10);

fn main() -> anyhow::Result<ExitCode> {
    let checked = config_check::answer(std::env::args_os(), |cli: &GatewayCli, faults| {
        cli.logging.validate(faults);
        if let GatewayCommand::CheckConfig(settings) = &cli.command {
            settings.run.validate(faults);
        }
    });
    if let Some(are_valid) = checked
        && !(are_valid && config_check::asks_to_connect(std::env::args_os()))
    {
        return Ok(config_check::exit_code(are_valid));
    }
    let cli = GatewayCli::parse();
    cli.logging.start()?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    let done = match cli.command {
        GatewayCommand::Run(settings) => runtime.block_on(run(&settings)),
        GatewayCommand::CheckConfig(settings) => {
            return runtime.block_on(check_access(&settings.run));
        }
        GatewayCommand::Token(token) => print_token(token),
        GatewayCommand::Pseudonym(person) => print_pseudonym(&person),
    };
    // A thread of a client library that does not end must not keep the process alive.
    runtime.shutdown_timeout(Duration::from_secs(1));
    done.map(|()| ExitCode::SUCCESS)
}

fn print_token(token: TokenArgs) -> anyhow::Result<()> {
    let key = token.key()?;
    let now = clock::now();
    let text = development_token(&key, &token.claims(now), now);
    writeln!(std::io::stdout(), "{text}").context("the token could not be printed")
}

fn print_pseudonym(person: &PseudonymArgs) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{}", person.pseudonym()?).context("nothing could be printed")
}

/// Tries what the settings allow at the servers.
async fn check_access(settings: &RunArgs) -> anyhow::Result<ExitCode> {
    let (redis, postgres) = (&settings.redis.redis, &settings.postgres);
    let policy = postgres.login_policy();
    let report = access::check_access(&settings.cluster(), redis, &postgres.postgres, policy).await;
    write!(std::io::stdout(), "{report}").context("the report could not be printed")?;
    Ok(config_check::exit_code(report.is_good()))
}

async fn run(settings: &RunArgs) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let hangup = signal(SignalKind::hangup())?;
    node::raise_descriptors();
    let traces = settings.traces.start("clinicwire-gateway", &settings.listen.to_string())?;
    let node_settings = node::Settings { tracer: traces.tracer.clone(), ..settings.node()? };
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
        () = reload_certificate(&running, hangup) => {}
        () = report_ready(&running) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    systemd::notify(systemd::STOPPING);
    let (delay_s, drain_s) = (settings.drain_delay, settings.drain);
    tracing::info!(delay_s, drain_s, "stopping; a second signal ends at once");
    tokio::select! {
        () = running.shut_down() => traces.finish().await,
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Tells systemd when the node is ready.
async fn report_ready(running: &RunningNode) {
    let mut every = tokio::time::interval(READY_INTERVAL);
    while !running.is_ready() {
        every.tick().await;
    }
    systemd::notify(systemd::READY);
    std::future::pending().await
}

/// Reads the certificate again at each SIGHUP, while the node runs.
async fn reload_certificate(running: &RunningNode, mut hangup: Signal) {
    while hangup.recv().await.is_some() {
        running.reload_certificate();
    }
    std::future::pending().await
}

/// Publishes the file of a demo clinic, and each later version of it, while the node runs.
async fn show_demo(running: &RunningNode, file: Option<&Path>) {
    let Some(file) = file else { return std::future::pending().await };
    let mut every = tokio::time::interval(DEMO_INTERVAL);
    let mut shown = Vec::new();
    loop {
        every.tick().await;
        // The demo creates the file by a rename, so that it is always complete.
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

/// Connects to all servers and checks that they can be used.
async fn connect(settings: &RunArgs) -> anyhow::Result<Backends> {
    let cluster = settings.cluster();
    kafka::check(&cluster).await?;
    let readiness = Readiness::default();
    let log = KafkaGatewayLog::new(cluster, readiness.clone())
        .context("kafka's client refuses the settings")?;
    let redis = redis::connect(&settings.redis.redis)
        .await
        .context("redis cannot be used: check --redis or CLINICWIRE_REDIS")?;
    let postgres = "postgres cannot be used: check --postgres or CLINICWIRE_POSTGRES, and that its \
        login has the role clinicwire_gateway (see migrations/README.md)";
    let url = &settings.postgres.postgres;
    let policy = settings.postgres.login_policy();
    let queries = PostgresQueries::new(url, settings.postgres_connections.into(), policy);
    let queries = queries.context(postgres)?;
    match queries.check().await {
        Ok(()) => {}
        // Redis may answer meanwhile. The first read checks the database again.
        Err(error) if error.is_temporary() => tracing::warn!(
            error = &error as &dyn std::error::Error,
            "postgres does not answer; the node starts without it"
        ),
        Err(error) => return Err(error).context(postgres),
    }
    let url = &settings.claims_files.store.files;
    let files = file_store::open(url, FILE_STORE_RETRY, Probe::WriteAndRead)
        .await
        .context("the file store cannot be used: check --files or CLINICWIRE_FILES")?;
    tracing::info!("the settings of all servers can be used");
    Ok(Backends {
        log: Arc::new(log),
        snapshots: Arc::new(RedisSnapshots::new(redis.clone())),
        queries: Arc::new(queries),
        short_keys: Arc::new(RedisKeys::new(redis)),
        files,
        readiness,
    })
}
