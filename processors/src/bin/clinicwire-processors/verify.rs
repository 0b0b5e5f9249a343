//! `audit verify`: checks the chains of the stored audit.

use std::{io::Write, process::ExitCode};

use anyhow::Context;
use processors::{
    audit::{self, ChainReport},
    servers::{
        config::VerifyArgs,
        migrations,
        postgres::{Consumer, PostgresAudit},
    },
};
use schemas::record::AUDIT_TOPIC;

use crate::POSTGRES_REFUSED;

/// The exit code of `audit verify` when a chain is broken. 2 is a wrong setting.
const BROKEN_CHAIN: u8 = 3;
/// The exit code of `audit verify --tenant` when nothing of the tenant is stored.
const UNKNOWN_TENANT: u8 = 4;

/// Verifies the stored audit, and prints a line for each tenant.
pub async fn verify(settings: VerifyArgs) -> anyhow::Result<ExitCode> {
    migrations::check(&settings.postgres.postgres).await.context(POSTGRES_REFUSED)?;
    // Nothing is claimed or committed under this name.
    let consumer = Consumer { name: String::new(), topic: AUDIT_TOPIC.to_owned() };
    let store = PostgresAudit::new(&settings.pool(), consumer).context(POSTGRES_REFUSED)?;
    let (mut is_broken, mut is_unknown) = (false, false);
    let mut report = |report: ChainReport| {
        is_broken |= report.broken.is_some();
        is_unknown |= !report.is_known;
        // The reader of the output may be gone, as behind `| head`. The exit code still counts.
        let _ = writeln!(std::io::stdout(), "{}", report_line(&report));
    };
    match settings.tenant {
        Some(tenant) => report(audit::verify_tenant(&store, tenant).await?),
        None => audit::verify_tenants(&store, report).await?,
    }
    Ok(match (is_broken, is_unknown) {
        (true, _) => ExitCode::from(BROKEN_CHAIN),
        (false, true) => ExitCode::from(UNKNOWN_TENANT),
        (false, false) => ExitCode::SUCCESS,
    })
}

fn report_line(report: &ChainReport) -> String {
    let ChainReport { tenant, first, head, rows, is_known, broken } = report;
    if !is_known {
        return format!("{tenant}: unknown, nothing of this tenant is stored");
    }
    let mut line = format!("{tenant}: {rows} entries");
    if let (Some(first), Some(head)) = (first, head) {
        line += &format!(" ({first} to {}), last hash {}", head.number, head.hash);
    }
    line + &match broken {
        None => ": sound".to_owned(),
        Some((day, Some(number), why)) => format!(": BROKEN at entry {number} of {day}: {why}"),
        Some((day, None, why)) => format!(": BROKEN on {day}: {why}"),
    }
}
