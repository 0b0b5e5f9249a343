//! Development tokens: one per role, for a clinic that runs on a development key.

use gateway::{
    auth::{DevelopmentKey, development_token},
    clock::now,
};
use gateway_core::access::{Claims, Role};
use schemas::{
    Millis,
    ids::{LocationId, QueueId, TenantId, TicketId},
};
use serde::Serialize;

/// A working day and the evening after it: whoever starts the demo in the morning is not thrown out.
const VALID_MS: Millis = 24 * 60 * 60 * 1000;

/// One token per role.
#[derive(Clone, Serialize)]
pub struct Tokens {
    pub patient: String,
    pub display: String,
    pub reception: String,
    pub doctor: String,
    pub admin: String,
    pub viewer: String,
    pub editor: String,
}

/// Signs tokens of one tenant.
pub struct Signer {
    key: DevelopmentKey,
    tenant: TenantId,
}

impl Signer {
    pub fn new(key: DevelopmentKey, tenant: TenantId) -> Self {
        Self { key, tenant }
    }

    /// A token of each role for `location`; the patient's opens `tickets`, the doctor's `queues`.
    pub fn tokens(&self, location: &LocationId, queues: &[QueueId], tickets: &[TicketId]) -> Tokens {
        let here = vec![location.clone()];
        Tokens {
            patient: self.sign(Role::Patient, Vec::new(), Vec::new(), tickets.to_vec()),
            display: self.sign(Role::Display, here.clone(), Vec::new(), Vec::new()),
            reception: self.sign(Role::Reception, here.clone(), Vec::new(), Vec::new()),
            doctor: self.sign(Role::Doctor, here.clone(), queues.to_vec(), Vec::new()),
            admin: self.sign(Role::Admin, here, Vec::new(), Vec::new()),
            viewer: self.sign(Role::Viewer, Vec::new(), Vec::new(), Vec::new()),
            editor: self.sign(Role::Editor, Vec::new(), Vec::new(), Vec::new()),
        }
    }

    fn sign(
        &self,
        role: Role,
        locations: Vec<LocationId>,
        queues: Vec<QueueId>,
        tickets: Vec<TicketId>,
    ) -> String {
        let now = now();
        let claims = Claims {
            tenant: self.tenant.clone(),
            subject: format!("demo-{}", role.as_str()).into(),
            role,
            locations,
            queues,
            tickets,
            appointments: Vec::new(),
            doctor: None,
            expires: now + VALID_MS,
        };
        development_token(&self.key, &claims, now)
    }
}
