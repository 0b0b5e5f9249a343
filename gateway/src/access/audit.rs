//! What an admin sees or does of somebody else's is written down first.

use std::{sync::Arc, time::Duration};

use gateway_core::access::{Claims, Role};
use schemas::{
    codes::Code,
    ids::RunId,
    record::{AUDIT_TOPIC, AuditRecord},
};
use tokio::time::timeout;

use crate::{backends::log::Log, clock::now, random};

/// How long the log may take to acknowledge. Past it nothing is shown: JavaScript clients give a reply five seconds.
const WITHIN: Duration = Duration::from_secs(3);

/// What was seen or done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The channel of a run was opened.
    Open,
    Read,
    Findings,
    Export,
    Cancel,
    Retry,
    /// Runs were listed; no run is named.
    List,
}

impl Action {
    /// The word in the record.
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

/// Writes what is to be audited. A clone writes to the same log.
#[derive(Clone)]
pub struct Audit {
    log: Arc<dyn Log>,
}

impl Audit {
    pub fn new(log: Arc<dyn Log>) -> Self {
        Self { log }
    }

    /// Whether it must be written down that the bearer sees this run, or a list of runs when it names none.
    pub fn concerns(claims: &Claims, run: Option<&RunId>) -> bool {
        claims.role == Role::Admin && run.is_none_or(|run| !claims.owns(run))
    }

    /// Writes it down, if it must be: whatever it is may be shown or done once this returns `Ok`, and not before.
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
        };
        let record = record.to_wire(&claims.tenant, random::bits()?);
        match timeout(WITHIN, self.log.append(AUDIT_TOPIC, record)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the audit was not acknowledged"
                );
                Err(Code::TryAgain)
            }
            Err(_) => {
                tracing::warn!("the log took too long to acknowledge the audit");
                Err(Code::TryAgain)
            }
        }
    }
}
