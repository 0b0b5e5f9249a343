//! The senders of alerts to phones and of webhooks beside the runners, and the commands that make
//! their keys.

use std::{fs::OpenOptions, io::Write, os::unix::fs::OpenOptionsExt, path::Path, sync::Arc};

use anyhow::Context;
use processors::{
    alerts::{self, VapidKey},
    log::Log,
    servers::{
        config::{PushKeyArgs, RunArgs, WebhookKeyFileArgs},
        metrics::Health,
        postgres::{PostgresAlerts, PostgresWebhooks},
    },
    tenants::Tenants,
    webhooks,
};
use schemas::webhook::WebhookKey;
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};

use crate::{POSTGRES_REFUSED, process::stop};

/// Writes a new private key to a file that only its owner can read, and prints the public key.
pub fn make_push_key(settings: &PushKeyArgs) -> anyhow::Result<()> {
    let key = VapidKey::generate();
    write_secret(&settings.push_key_file, &key.private())?;
    writeln!(std::io::stdout(), "CLINICWIRE_PUSH_PUBLIC_KEY={}", key.public())?;
    Ok(())
}

/// Writes a new key of webhooks to a file that only its owner can read.
pub fn make_webhook_key(settings: &WebhookKeyFileArgs) -> anyhow::Result<()> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).context("the system has no random numbers")?;
    write_secret(&settings.webhook_key_file, &WebhookKey::from_bytes(bytes).text())
}

fn write_secret(path: &Path, secret: &str) -> anyhow::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("{} cannot be created", path.display()))?;
    writeln!(file, "{secret}")?;
    Ok(())
}

/// Starts the sender of webhooks, if the settings have its key.
pub fn start_webhooks(
    settings: &RunArgs,
    log: Arc<dyn Log>,
    signal: &Arc<Notify>,
    (health, tenants, stopped): (&Health, &Arc<Tenants>, &watch::Receiver<()>),
) -> anyhow::Result<Option<JoinHandle<anyhow::Result<()>>>> {
    let sender = settings.webhooks.sender(Arc::clone(&health.webhooks), Arc::clone(tenants));
    let Some(sender) = sender.context("the key of webhooks cannot be read")? else {
        return Ok(None);
    };
    let store = PostgresWebhooks::new(&settings.webhook_pool()).context(POSTGRES_REFUSED)?;
    let (store, signal) = (Arc::new(store), Arc::clone(signal));
    let sending = webhooks::run(store, log, sender, signal, stop(stopped.clone()));
    Ok(Some(tokio::spawn(async { sending.await.context("webhooks cannot be sent") })))
}

/// Starts the sender of alerts, if the settings have its key.
pub fn start_sender(
    settings: &RunArgs,
    log: Arc<dyn Log>,
    signal: &Arc<Notify>,
    (health, tenants, stopped): (&Health, &Arc<Tenants>, &watch::Receiver<()>),
) -> anyhow::Result<Option<JoinHandle<anyhow::Result<()>>>> {
    let sender = settings.alerts.sender(Arc::clone(&health.alerts), Arc::clone(tenants));
    let Some(sender) = sender.context("the key of the alerts cannot be read")? else {
        return Ok(None);
    };
    let store = PostgresAlerts::new(&settings.alert_pool()).context(POSTGRES_REFUSED)?;
    let (store, signal) = (Arc::new(store), Arc::clone(signal));
    let sending = alerts::run(store, log, sender, signal, stop(stopped.clone()));
    Ok(Some(tokio::spawn(async { sending.await.context("alerts cannot be sent") })))
}

/// The result of a sender that has ended, if there was one.
pub async fn sender_result(sender: Option<JoinHandle<anyhow::Result<()>>>) -> anyhow::Result<()> {
    match sender {
        Some(sender) => sender.await?,
        None => Ok(()),
    }
}
