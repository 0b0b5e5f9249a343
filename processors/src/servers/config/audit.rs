//! The commands of the stored audit, and their settings.

use clap::{Args, Subcommand};
use schemas::ids::TenantId;
use servers::args::PostgresArgs;

use super::processor_connection;
use crate::servers::postgres::PoolSettings;

/// The commands of the stored audit.
#[derive(Subcommand)]
pub enum AuditCommand {
    /// Hash every stored entry again and report the first that was changed, removed or inserted
    ///
    /// Prints a line for each tenant: the entries checked, the number and the hash of the last one,
    /// and where the chain is broken. Keep its output elsewhere: the owner of the database can
    /// write a whole chain anew, and then the entry with a number that you kept has another hash.
    /// The exit code is 0 when all chains hold, 3 when one is broken, 4 when nothing of the tenant
    /// is stored, and 1 when the database does not answer.
    Verify(VerifyArgs),
}

/// Settings of `audit verify`.
#[derive(Args)]
pub struct VerifyArgs {
    /// How to reach PostgreSQL.
    #[command(flatten)]
    pub postgres: PostgresArgs,
    /// Only this tenant
    #[arg(long)]
    pub tenant: Option<TenantId>,
}

impl VerifyArgs {
    /// The connections of the verification, which reads one page at a time.
    pub fn pool(&self) -> PoolSettings {
        PoolSettings { connection: processor_connection(&self.postgres), size: 1 }
    }
}
