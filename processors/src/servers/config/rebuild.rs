//! Settings of `rebuild`.

use clap::Args;
use schemas::ids::{Aggregate, LocationId, TenantId};
use servers::{args::PostgresArgs, config_check::Faults};

use super::{processor_connection, verify::ReadArchiveArgs};
use crate::servers::postgres::ConnectionSettings;

/// Settings of `rebuild`.
#[derive(Args)]
pub struct RebuildArgs {
    /// How to reach PostgreSQL.
    #[command(flatten)]
    pub postgres: PostgresArgs,
    /// The archive.
    #[command(flatten)]
    pub archive: ReadArchiveArgs,
    /// The tenant
    #[arg(long)]
    pub tenant: TenantId,
    /// The location of the tenant
    #[arg(long)]
    pub location: LocationId,
    /// The consumer group of the processors
    #[arg(long, env = "CLINICWIRE_GROUP", default_value = "clinicwire-processors")]
    pub group: String,
    /// Only compare, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

impl RebuildArgs {
    /// Adds what is wrong with the settings to `faults`.
    pub fn validate(&self, faults: &mut Faults) {
        self.postgres.validate(faults);
        self.archive.validate(faults);
    }

    /// The connection to PostgreSQL.
    pub fn connection(&self) -> ConnectionSettings {
        processor_connection(&self.postgres)
    }

    /// The location.
    pub fn aggregate(&self) -> Aggregate {
        Aggregate::location(&self.tenant, &self.location)
    }
}
