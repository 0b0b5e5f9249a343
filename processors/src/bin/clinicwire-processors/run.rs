//! `run`: the runners of both topics, the sink of the audit, and a worker beside them.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::Context;
use processors::{
    audit::{self, SinkSettings},
    runner::{self, RunnerBackends, RunnerSettings},
    servers::{
        archive::Archive,
        config::RunArgs,
        kafka::{self, KafkaProcessorLog},
        maintenance::Maintenance,
        metrics::Health,
        migrations, parked,
        postgres::{
            PostgresAudit, PostgresJournal, PostgresLedger, PostgresRetention, check_roles,
        },
        redis::RedisViews,
        tenants,
    },
    tenants::Tenants,
};
use schemas::record::{AUDIT_TOPIC, CARE_TOPIC, RUNS_TOPIC};
use servers::file_store::{self, Probe};
use tokio::{sync::Notify, task::JoinHandle};

use crate::{
    KAFKA_REFUSED, POSTGRES_REFUSED,
    alerts::{sender_result, start_sender, start_webhooks},
    process::{finish, report_ready, serve, stop, stop_signal},
    work::{start_worker, worker_result},
};

/// How long leaving the consumer group may take after the last batch.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often parked facts of resumed tenants are looked for.
const RELEASE_EVERY: Duration = Duration::from_secs(60);

/// Processes records until the process is asked to stop.
pub async fn run(settings: Arc<RunArgs>) -> anyhow::Result<()> {
    let stopped = stop_signal()?;
    let (views, care, runs) = connect(&settings).await?;
    let (audit_log, audit_store) = connect_audit(&settings).await?;
    let (tenants, access) = tenants::follow(settings.cluster());
    let health = Arc::new(Health::default());
    let traces = settings.traces.start("clinicwire-processors", &settings.listen.to_string())?;
    health.count_spans(&traces.tracer);
    watch_pools(&health, &care, &runs, &audit_store);
    let logs = [&care.log, &runs.log, &audit_log];
    health.watch(logs.into_iter().flat_map(|log| log.clients()).chain([access]));
    let work_signal = Arc::new(Notify::new());
    let checking = start_worker(
        &settings.checks,
        &settings.postgres,
        &health,
        runs.log.clone(),
        &work_signal,
        (&tenants, &stopped),
    )
    .await?;
    let alert_signal = Arc::new(Notify::new());
    let shared = (&*health, &tenants, &stopped);
    let alerting = start_sender(&settings, care.log.clone(), &alert_signal, shared)?;
    let webhook_signal = Arc::new(Notify::new());
    let hooks = start_webhooks(&settings, runs.log.clone(), &webhook_signal, shared)?;
    let (address, served) = serve(settings.listen, &health).await?;
    let maintenance = maintenance(&settings, &care.ledger, &audit_store, &health, &tenants).await?;
    let maintained = tokio::spawn(maintenance.run());
    let released = tokio::spawn(release(settings.clone(), care.log.clone(), tenants.clone()));

    let start = |topic_backends: &TopicBackends, signal: &Arc<Notify>| {
        let signals = [signal, &webhook_signal];
        let backends = topic_backends.runner_backends(&views);
        let tenants = Arc::clone(&tenants);
        let topic = topic_backends.topic;
        let topic_settings = RunnerSettings {
            tracer: traces.tracer.clone(),
            ..runner_settings(&settings, topic, &health, signals, tenants)
        };
        tokio::spawn(runner::run(backends, topic_settings, stop(stopped.clone())))
    };
    let (care_running, runs_running) = (start(&care, &alert_signal), start(&runs, &work_signal));
    let sink = SinkSettings { counters: Arc::clone(&health.audit), ..SinkSettings::default() };
    let (log, store) = (Arc::clone(&audit_log) as _, audit_store as _);
    let storing = tokio::spawn(audit::run(log, store, sink, stop(stopped.clone())));
    tracing::info!(%address, group = settings.group, "processing; metrics and health are served");
    tokio::select! {
        () = tenants.wait_until_read() => {}
        () = stop(stopped.clone()) => {}
    }
    report_ready(&health, address, settings.ready_file.as_deref()).await?;
    let all = async {
        let done = tokio::try_join!(
            runner_result(care_running),
            runner_result(runs_running),
            runner_result(storing),
            worker_result(checking),
            sender_result(alerting),
            sender_result(hooks)
        );
        done.map(drop)
    };
    let done = finish(all, stopped, "the last batch did not end in time and is cut off").await;

    health.ready.store(false, Relaxed);
    tokio::join!(
        care.log.wait_until_left(LEAVE_TIMEOUT),
        runs.log.wait_until_left(LEAVE_TIMEOUT),
        audit_log.wait_until_left(LEAVE_TIMEOUT)
    );
    views.close().await;
    traces.finish().await;
    maintained.abort();
    released.abort();
    served.abort();
    done.context("processing ended; the log above says why")
}

/// Exports the connections of the pools.
fn watch_pools(
    health: &Health,
    care: &TopicBackends,
    runs: &TopicBackends,
    audit: &Arc<PostgresAudit>,
) {
    let (care, runs, audit) =
        (Arc::clone(&care.ledger), Arc::clone(&runs.ledger), Arc::clone(audit));
    health.watch_pool("care", move || care.connections());
    health.watch_pool("runs", move || runs.connections());
    health.watch_pool("audit", move || audit.connections());
}

/// The settings of one topic's runner.
fn runner_settings(
    settings: &RunArgs,
    topic: &'static str,
    health: &Health,
    signals: [&Arc<Notify>; 2],
    tenants: Arc<Tenants>,
) -> RunnerSettings {
    RunnerSettings {
        batch: settings.batch as usize,
        cached_tickets: settings.cached_tickets,
        key_lifetime: Duration::from_secs(settings.key_hours * 3600),
        parked_limit: settings.parked_limit,
        counters: Arc::clone(&health.counters),
        work_signals: signals.map(Arc::clone).to_vec(),
        tenants,
        ..RunnerSettings::new(topic)
    }
}

/// The result of a runner that has ended.
async fn runner_result(runner: JoinHandle<Result<(), runner::RunnerError>>) -> anyhow::Result<()> {
    Ok(runner.await??)
}

/// The backends of one topic's runner, besides the view store that all share.
struct TopicBackends {
    topic: &'static str,
    log: Arc<KafkaProcessorLog>,
    ledger: Arc<PostgresLedger>,
}

impl TopicBackends {
    fn runner_backends(&self, views: &Arc<RedisViews>) -> RunnerBackends {
        RunnerBackends {
            log: Arc::clone(&self.log) as _,
            ledger: Arc::clone(&self.ledger) as _,
            views: Arc::clone(views) as _,
        }
    }
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
    let views = RedisViews::connect(&settings.redis.redis, &settings.cluster().topics.views)
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

/// How long failed requests to the archive are repeated. Each look at partitions tries again.
const ARCHIVE_RETRY: Duration = Duration::from_secs(30);

/// The maintenance of the database.
async fn maintenance(
    settings: &RunArgs,
    ledger: &Arc<PostgresLedger>,
    audit: &Arc<PostgresAudit>,
    health: &Health,
    tenants: &Arc<Tenants>,
) -> anyhow::Result<Maintenance> {
    let retention = PostgresRetention::new(&settings.maintenance_pool());
    Ok(Maintenance {
        ledger: Arc::clone(ledger),
        audit: Arc::clone(audit),
        retention: retention.context(POSTGRES_REFUSED)?,
        archive: archive(settings, health).await?,
        tenants: Arc::clone(tenants),
        counters: Arc::clone(&health.maintenance),
        audit_counters: Arc::clone(&health.audit),
    })
}

/// The archive of the journal, if the settings have one.
async fn archive(settings: &RunArgs, health: &Health) -> anyhow::Result<Option<Archive>> {
    let Some(url) = &settings.archive else { return Ok(None) };
    let store = file_store::open(url, ARCHIVE_RETRY, Probe::WriteAndRead)
        .await
        .context("the archive cannot be used: check --archive or CLINICWIRE_ARCHIVE")?;
    let journal = PostgresJournal::new(&settings.archive_pool()).context(POSTGRES_REFUSED)?;
    Ok(Some(Archive::new(store, journal, Arc::clone(&health.archive))))
}

/// Appends parked facts of resumed tenants again, whenever the tenants change and once a minute:
/// another processor may park one for a moment after the tenant was resumed.
async fn release(settings: Arc<RunArgs>, log: Arc<KafkaProcessorLog>, tenants: Arc<Tenants>) {
    let (connection, cluster) = (settings.pool().connection, settings.cluster());
    tenants.wait_until_read().await;
    loop {
        let known = tenants.now();
        match parked::release_resumed(&connection, &cluster, &log, &known).await {
            Ok(0) => {}
            Ok(count) => {
                tracing::info!(count, "parked facts of resumed tenants were appended again");
                continue;
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "parked facts of resumed tenants were not appended");
            }
        }
        let _ = tokio::time::timeout(RELEASE_EVERY, tenants.changed(&known)).await;
    }
}
