//! Settings of `bridge`.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;
use schemas::ids::{SourceId, TenantId};
use servers::{
    args::{KafkaArgs, validate_topic},
    config_check::Faults,
    kafka::KafkaCluster,
};

use super::CLIENT_ID;
use crate::bridge;

/// Settings of `bridge`.
#[derive(Args)]
pub struct BridgeArgs {
    /// How to reach Kafka, and the names of the topics.
    #[command(flatten)]
    pub kafka: KafkaArgs,
    /// Topic of the source
    #[arg(long, env = "CLINICWIRE_SOURCE_TOPIC", value_name = "TOPIC")]
    pub source_topic: String,
    /// Tenant of the appointments
    #[arg(long, env = "CLINICWIRE_TENANT")]
    pub tenant: TenantId,
    /// Name of the source: small letters, digits and hyphens, and not `clinicwire…`. It may change
    /// the appointments that it reported, and no others
    #[arg(long, env = "CLINICWIRE_SOURCE", value_name = "NAME", value_parser = source_name)]
    pub source: SourceId,
    /// Consumer group that stores the offsets; by default `clinicwire-bridge.<tenant>.<source>`
    #[arg(long, env = "CLINICWIRE_BRIDGE_GROUP")]
    pub group: Option<String>,
    /// Address of /metrics, /health/live and /health/ready
    #[arg(long, env = "CLINICWIRE_METRICS_LISTEN", default_value = "127.0.0.1:9103")]
    pub listen: SocketAddr,
    /// File to create when the bridge has started: one line of JSON with the address of the metrics
    #[arg(long, env = "CLINICWIRE_READY_FILE")]
    pub ready_file: Option<PathBuf>,
}

/// Reads the name of a source, which becomes a part of the source of its records.
fn source_name(text: &str) -> Result<SourceId, &'static str> {
    SourceId::new(text).map_err(|_| {
        "a source has a name of 1 to 40 small letters, digits and hyphens that does not begin with \
         `clinicwire`"
    })
}

impl BridgeArgs {
    pub(super) fn validate(&self, faults: &mut Faults) {
        self.kafka.validate(faults);
        validate_topic("--source-topic", &self.source_topic, faults);
    }

    /// How to connect to Kafka.
    pub fn cluster(&self) -> KafkaCluster {
        self.kafka.cluster(CLIENT_ID)
    }

    /// The consumer group that reads the source's topic.
    pub fn group(&self) -> String {
        let default = || format!("clinicwire-bridge.{}.{}", self.tenant, self.source);
        self.group.clone().unwrap_or_else(default)
    }

    /// The bridge, which stamps its tenant and source on each report.
    pub fn bridge(&self) -> bridge::Bridge {
        bridge::Bridge {
            tenant: self.tenant.clone(),
            source: self.source.clone(),
            topic: self.source_topic.clone(),
        }
    }
}
