//! The audit entry of one request while it is answered.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use gateway_core::access::Claims;
use schemas::{codes::Code, ids::TenantId};

use crate::{access::audit::AuditedAction, context::NodeContext};

/// Extension of a request: its action and, once it is verified, its caller. Clones share them.
#[derive(Clone)]
pub(in crate::http) struct AuditedRequest(Arc<RequestAudit>);

/// The facts about a request from which its audit entry is made.
#[derive(Default)]
struct RequestAudit {
    action: Mutex<AuditedAction>,
    caller: OnceLock<Claims>,
    /// The result of writing the entry of a command that was given.
    written: OnceLock<Result<(), Code>>,
}

impl AuditedRequest {
    pub(in crate::http) fn new(action: AuditedAction) -> Self {
        Self(Arc::new(RequestAudit { action: Mutex::new(action), ..RequestAudit::default() }))
    }

    pub(in crate::http) fn action(&self) -> MutexGuard<'_, AuditedAction> {
        self.0.action.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds ids that the request concerns and its path does not name, to all entries that follow.
    /// Returns whether one of them is new.
    pub(in crate::http) fn name(&self, ids: impl IntoIterator<Item = String>) -> bool {
        let what = &mut self.action().what;
        let before = what.len();
        for id in ids {
            if !what.contains(&id) {
                what.push(id);
            }
        }
        what.len() > before
    }

    /// Adds the reason of a crossing, and its tenant if it is another one.
    pub(in crate::http) fn set_crossing(
        &self,
        reason: Option<&str>,
        other_tenant: Option<&TenantId>,
    ) {
        let mut action = self.action();
        action.reason = reason.map(str::to_owned);
        action.other_tenant = other_tenant.cloned();
    }

    /// Adds the reason why staff override a rule of the clinic.
    pub(in crate::http) fn set_reason(&self, reason: &str) {
        self.action().reason = Some(reason.to_owned());
    }

    pub(in crate::http) fn set_caller(&self, claims: &Claims) {
        // The extractor runs once for each request.
        let _ = self.0.caller.set(claims.clone());
    }

    /// The verified caller.
    pub(in crate::http) fn caller(&self) -> Option<&Claims> {
        self.0.caller.get()
    }

    /// The result of writing the entry of a command, if one was written.
    pub(in crate::http) fn written(&self) -> Option<Result<(), Code>> {
        self.0.written.get().copied()
    }

    /// Writes the entry of a command. Its outcome may be shown only after this returns `Ok`.
    ///
    /// # Errors
    /// The codes of [`Audit::write`](crate::access::audit::Audit::write).
    pub(in crate::http) async fn write(&self, node: &NodeContext) -> Result<(), Code> {
        let Some(claims) = self.0.caller.get() else { return Ok(()) };
        let action = self.action().clone();
        let written = node.audit.write(claims, action).await;
        let _ = self.0.written.set(written);
        written
    }

    /// Writes the second entry of a command whose outcome names these ids, unless its first entry
    /// names them.
    ///
    /// # Errors
    /// The errors of [`AuditedRequest::write`].
    pub(in crate::http) async fn write_outcome(
        &self,
        node: &NodeContext,
        ids: impl IntoIterator<Item = String>,
    ) -> Result<(), Code> {
        match (self.name(ids), self.0.caller.get()) {
            (true, Some(claims)) => {
                let action = self.action().clone();
                node.audit.write(claims, action).await
            }
            _ => Ok(()),
        }
    }
}
