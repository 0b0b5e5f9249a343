//! The flags of `token`, which signs a token for development.

use anyhow::Context;
use clap::{Args, ValueEnum};
use gateway::access::auth::DevelopmentKey;
use gateway_core::access::{Claims, Origin, Role};
use schemas::{
    Millis,
    ids::{LocationId, QueueId, TenantId, TicketId},
};

use super::DevelopmentArgs;

/// The bearer of the token, and the key that signs it.
#[derive(Args)]
pub struct TokenArgs {
    #[command(flatten)]
    pub development: DevelopmentArgs,
    /// Role of the bearer
    #[arg(long)]
    pub role: RoleName,
    /// Tenant of the bearer
    #[arg(long, default_value = "demo")]
    pub tenant: TenantId,
    /// Name of the bearer in the journal
    #[arg(long, default_value = "development")]
    pub subject: String,
    /// Location of the bearer; may be repeated
    #[arg(long = "location")]
    pub locations: Vec<LocationId>,
    /// Queue that the bearer is assigned to; may be repeated
    #[arg(long = "queue")]
    pub queues: Vec<QueueId>,
    /// Ticket that the bearer holds; may be repeated
    #[arg(long = "ticket")]
    pub tickets: Vec<TicketId>,
    /// Seconds until the token expires
    #[arg(long, default_value_t = 8 * 60 * 60)]
    pub ttl: u32,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum RoleName {
    Patient,
    Display,
    Reception,
    Doctor,
    Admin,
    Viewer,
    Editor,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Role {
        match name {
            RoleName::Patient => Role::Patient,
            RoleName::Display => Role::Display,
            RoleName::Reception => Role::Reception,
            RoleName::Doctor => Role::Doctor,
            RoleName::Admin => Role::Admin,
            RoleName::Viewer => Role::Viewer,
            RoleName::Editor => Role::Editor,
        }
    }
}

impl TokenArgs {
    /// # Errors
    /// When no development key is given.
    pub fn key(&self) -> anyhow::Result<DevelopmentKey> {
        self.development.key().context(
            "tokens are only signed with a development key: give the node's \
             --insecure-development-key. For patients, tokens come from your own issuer",
        )
    }

    pub fn claims(self, now: Millis) -> Claims {
        Claims {
            tenant: self.tenant,
            subject: self.subject.into(),
            role: self.role.into(),
            locations: self.locations,
            queues: self.queues,
            tickets: self.tickets,
            appointments: Vec::new(),
            doctor: None,
            expires: now + Millis::from(self.ttl) * 1000,
            origin: Origin::default(),
        }
    }
}
