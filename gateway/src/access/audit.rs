//! The audit of runs: what an admin sees or does of somebody else's run is written first.

use std::{sync::Arc, time::Duration};

use gateway_core::access::{Claims, Role};
use schemas::{
    codes::Code,
    ids::{RunId, TenantId},
    record::{AUDIT_TOPIC, AuditRecord},
};
use tokio::time::timeout;

use crate::{backends::log::Log, clock::now, random};

/// How long the log may take to acknowledge. Past it nothing is shown. JavaScript clients wait five
/// seconds for a reply.
const WITHIN: Duration = Duration::from_secs(3);

/// The audited action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The channel of a run was opened.
    Open,
    Read,
    Findings,
    Export,
    Cancel,
    Retry,
    /// Runs were listed; the entry names no run.
    List,
}

impl Action {
    /// The action's name in the record.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Open => "run.open",
            Action::Read => "run.read",
            Action::Findings => "run.findings",
            Action::Export => "run.export",
            Action::Cancel => "run.cancel",
            Action::Retry => "run.retry",
            Action::List => "runs.list",
        }
    }
}

/// Writes audit entries. Clones write to the same log.
#[derive(Clone)]
pub struct Audit {
    log: Arc<dyn Log>,
}

impl Audit {
    pub fn new(log: Arc<dyn Log>) -> Self {
        Self { log }
    }

    /// Whether an entry is needed when the bearer sees this run, or a list of runs (`None`).
    pub fn concerns(claims: &Claims, run: Option<&RunId>) -> bool {
        matches!(claims.role, Role::Admin | Role::SuperAdmin)
            && run.is_none_or(|run| !claims.owns(run))
    }

    /// Writes an entry if one is needed. The action may be shown or done only after this returns
    /// `Ok`.
    ///
    /// # Errors
    /// `try_again` when the log did not acknowledge it in time.
    pub async fn seen(
        &self,
        claims: &Claims,
        action: Action,
        run: Option<&RunId>,
    ) -> Result<(), Code> {
        if !Self::concerns(claims, run) {
            return Ok(());
        }
        let record = AuditRecord {
            at: now(),
            subject: claims.subject.to_string(),
            role: claims.role.as_str().to_owned(),
            action: action.as_str().to_owned(),
            run: run.cloned(),
            other_tenant: None,
            reason: None,
        };
        self.write(&claims.tenant, &record).await
    }

    /// Writes that a super admin crosses from its tenant (`home`) into another one (`there`), to
    /// the audits of both. The token may be given only after this returns `Ok`.
    ///
    /// # Errors
    /// `try_again` when the log did not acknowledge it in time.
    pub async fn crossed(&self, home: &Claims, there: &Claims, reason: &str) -> Result<(), Code> {
        for (tenant, other) in [(&there.tenant, &home.tenant), (&home.tenant, &there.tenant)] {
            let record = AuditRecord {
                at: now(),
                subject: home.subject.to_string(),
                role: home.role.as_str().to_owned(),
                action: "tenant.cross".to_owned(),
                run: None,
                other_tenant: Some(other.clone()),
                reason: Some(reason.to_owned()),
            };
            self.write(tenant, &record).await?;
        }
        Ok(())
    }

    async fn write(&self, tenant: &TenantId, record: &AuditRecord) -> Result<(), Code> {
        let record = record.to_wire(tenant, random::bits()?);
        match timeout(WITHIN, self.log.append(AUDIT_TOPIC, record)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "an audit entry was not acknowledged"
                );
                Err(Code::TryAgain)
            }
            Err(_) => {
                tracing::warn!("the log took too long to acknowledge an audit entry");
                Err(Code::TryAgain)
            }
        }
    }
}
