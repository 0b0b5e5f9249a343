//! Values of claims checks: runs, their files and the commands that request them.

use schemas::{
    command::Command,
    ids::{Aggregate, FileId, RuleId, RunId, TenantId},
    record::CommandRecord,
    run::RunFile,
};

use super::command_record;

/// Seconds that a run of [`request`] is kept after its end: one day.
pub const KEEP_S: u32 = 86_400;

/// The run with this number, requested by the owner with the tag 7.
#[must_use]
pub fn run(number: u128) -> RunId {
    RunId::from_parts(7, number)
}

#[must_use]
pub fn aggregate(tenant: &TenantId, number: u128) -> Aggregate {
    Aggregate::run(tenant, &run(number))
}

#[must_use]
pub fn rule(slug: &str) -> RuleId {
    RuleId::new(slug).expect("a slug")
}

/// The file with this number, named `mars.csv`. Its digest is 64 zeros.
#[must_use]
pub fn file(number: u128, bytes: u64) -> RunFile {
    let file = FileId::from_random(number);
    RunFile { file, name: "mars.csv".to_owned(), bytes, sha256: "00".repeat(32) }
}

/// Requests a run that lists no passes.
#[must_use]
pub fn request(file: RunFile) -> Command {
    Command::RequestRun { file, list_passes: false, keep_s: KEEP_S }
}

/// The record of a command to the run with this number of `tenant`.
#[must_use]
pub fn record(tenant: &TenantId, number: u128, id: &str, command: Command) -> CommandRecord {
    command_record(&aggregate(tenant, number), id, command)
}
