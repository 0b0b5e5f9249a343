//! `bridge`: passes on the records of a source's topic.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use anyhow::Context;
use processors::servers::{
    bridge::{self, BridgeParts},
    config::BridgeArgs,
    kafka::{self, KafkaProcessorLog},
    metrics::Health,
    tenants,
};
use schemas::record::CARE_TOPIC;

use crate::{
    KAFKA_REFUSED,
    process::{finish, report_ready, serve, stop, stop_signal},
};

/// Passes on the records of a source's topic.
pub async fn run_bridge(settings: BridgeArgs) -> anyhow::Result<()> {
    let stopped = stop_signal()?;
    let cluster = settings.cluster();
    kafka::check(&cluster, CARE_TOPIC).await?;
    let log = KafkaProcessorLog::new_writer(cluster.clone()).context(KAFKA_REFUSED)?;
    let health = Arc::new(Health::default());
    let (address, served) = serve(settings.listen, &health).await?;
    let (tenants, access) = tenants::follow(cluster.clone());
    let (counters, status) = (Arc::clone(&health.bridge), Arc::new(bridge::reader_status()));
    health.watch(log.clients().into_iter().chain([Arc::clone(&status), access]));
    let (group, bridge, log) = (settings.group(), settings.bridge(), Arc::new(log));
    let parts = BridgeParts { bridge, log, counters, status, tenants };
    let passing = bridge::run(cluster, group, parts, stop(stopped.clone()));
    let (topic, source) = (&settings.source_topic, &settings.source);
    tracing::info!(%address, topic, %source, "passing records on; metrics and health are served");
    report_ready(&health, address, settings.ready_file.as_deref()).await?;
    let done = finish(
        passing,
        stopped,
        "the last records were not acknowledged in time and will be read again",
    )
    .await;
    health.ready.store(false, Relaxed);
    served.abort();
    done.context("passing records on ended")
}
