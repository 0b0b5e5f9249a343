//! Settings of `verify`.

use clap::Args;
use schemas::ids::{LocationId, TenantId};
use servers::{
    args::{PostgresArgs, RedisArgs},
    config_check::Faults,
    file_store::FileStoreUrl,
};

use super::processor_connection;
use crate::servers::postgres::{ConnectionSettings, VerifiedScope};

/// How to reach the archive, to read it.
#[derive(Args)]
pub struct ReadArchiveArgs {
    /// Store of the archived journal, as `run` has it. Needed once it has days of the journal that
    /// PostgreSQL no longer has
    #[arg(long, env = "CLINICWIRE_ARCHIVE", value_name = "URL")]
    pub archive: Option<String>,
}

impl ReadArchiveArgs {
    pub(super) fn validate(&self, faults: &mut Faults) {
        if let Some(url) = &self.archive {
            faults.check("--archive", FileStoreUrl::parse(url));
        }
    }
}

/// Settings of `verify`.
#[derive(Args)]
pub struct CompareArgs {
    /// How to reach PostgreSQL.
    #[command(flatten)]
    pub postgres: PostgresArgs,
    /// How to reach Redis.
    #[command(flatten)]
    pub redis: RedisArgs,
    /// The archive.
    #[command(flatten)]
    pub archive: ReadArchiveArgs,
    /// Only this tenant
    #[arg(long)]
    pub tenant: Option<TenantId>,
    /// Only this location of the tenant
    #[arg(long, requires = "tenant")]
    pub location: Option<LocationId>,
    /// Print one line of JSON for each aggregate, and one for the sum
    #[arg(long)]
    pub json: bool,
}

impl CompareArgs {
    /// Adds what is wrong with the settings to `faults`.
    pub fn validate(&self, faults: &mut Faults) {
        self.postgres.validate(faults);
        self.redis.validate(faults);
        self.archive.validate(faults);
    }

    /// The connection to PostgreSQL.
    pub fn connection(&self) -> ConnectionSettings {
        processor_connection(&self.postgres)
    }

    /// Which aggregates are verified.
    pub fn scope(&self) -> VerifiedScope {
        VerifiedScope { tenant: self.tenant.clone(), location: self.location.clone() }
    }
}
