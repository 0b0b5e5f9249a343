//! Settings of webhooks, and of their key.

use std::{path::PathBuf, sync::Arc};

use clap::Args;
use ipnet::IpNet;
use servers::args::WebhookKeyArgs;

use crate::{
    clock::wall_clock,
    tenants::Tenants,
    webhooks::{WebhookCounters, WebhookSenderSettings},
};

/// Settings of webhooks.
#[derive(Args)]
pub struct WebhookArgs {
    /// The key of their secrets.
    #[command(flatten)]
    pub key: WebhookKeyArgs,
    /// Network such as `10.1.0.0/16` that receivers of webhooks may be in, beside the public
    /// internet. May be repeated
    #[arg(
        long = "webhook-network",
        env = "CLINICWIRE_WEBHOOK_NETWORK",
        value_name = "NETWORK",
        value_delimiter = ','
    )]
    pub webhook_networks: Vec<IpNet>,
}

/// Settings of `webhook-key`.
#[derive(Args)]
pub struct WebhookKeyFileArgs {
    /// File to create for the key
    #[arg(long, env = "CLINICWIRE_WEBHOOK_KEY_FILE", value_name = "FILE")]
    pub webhook_key_file: PathBuf,
}

impl WebhookArgs {
    /// The settings of the sender, if webhooks are sent.
    ///
    /// # Errors
    /// When the key cannot be read.
    pub fn sender(
        &self,
        counters: Arc<WebhookCounters>,
        tenants: Arc<Tenants>,
    ) -> anyhow::Result<Option<WebhookSenderSettings>> {
        let networks = self.webhook_networks.clone();
        let clock = wall_clock();
        let settings = |key| WebhookSenderSettings { key, networks, counters, clock, tenants };
        Ok(self.key.key()?.map(settings))
    }
}
