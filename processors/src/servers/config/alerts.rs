//! Settings of alerts to phones, and of their key.

use std::{path::PathBuf, sync::Arc};

use clap::Args;
use servers::args::PushServiceArgs;

use crate::{
    alerts::{AlertCounters, SenderSettings, VapidKey},
    clock::wall_clock,
    tenants::Tenants,
};

/// Settings of alerts to phones.
#[derive(Args)]
pub struct AlertArgs {
    /// File with the private key of the alerts to phones (VAPID), as `push-key` writes it, the same
    /// on all processors. Without it, no alerts are sent
    #[arg(long, env = "CLINICWIRE_PUSH_KEY_FILE", value_name = "FILE", requires = "push_contact")]
    pub push_key_file: Option<PathBuf>,
    /// Contact that push services get for questions about the alerts: `mailto:…` or `https://…`
    #[arg(long, env = "CLINICWIRE_PUSH_CONTACT", value_name = "URL", requires = "push_key_file")]
    #[arg(value_parser = contact)]
    pub push_contact: Option<String>,
    /// The push services.
    #[command(flatten)]
    pub services: PushServiceArgs,
}

/// Settings of `push-key`.
#[derive(Args)]
pub struct PushKeyArgs {
    /// File to create for the private key
    #[arg(long, env = "CLINICWIRE_PUSH_KEY_FILE", value_name = "FILE")]
    pub push_key_file: PathBuf,
}

/// A contact of RFC 8292, section 2.1.
fn contact(text: &str) -> Result<String, String> {
    let is_contact = text.starts_with("mailto:") || text.starts_with("https://");
    is_contact.then(|| text.to_owned()).ok_or_else(|| "not mailto:… or https://…".to_owned())
}

impl AlertArgs {
    pub(super) fn key(&self) -> anyhow::Result<Option<VapidKey>> {
        let read = |path: &PathBuf| anyhow::Ok(std::fs::read_to_string(path)?.parse()?);
        self.push_key_file.as_ref().map(read).transpose()
    }

    /// The settings of the sender, if alerts are sent.
    ///
    /// # Errors
    /// When the key cannot be read.
    pub fn sender(
        &self,
        counters: Arc<AlertCounters>,
        tenants: Arc<Tenants>,
    ) -> anyhow::Result<Option<SenderSettings>> {
        let Some((key, contact)) = self.key()?.zip(self.push_contact.clone()) else {
            return Ok(None);
        };
        Ok(Some(SenderSettings {
            key,
            contact,
            services: self.services.services(),
            counters,
            clock: wall_clock(),
            tenants,
        }))
    }
}
