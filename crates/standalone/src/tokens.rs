//! Development tokens: one per role, for a clinic that runs on a development key.

use gateway::{
    access::auth::{DevelopmentKey, development_token},
    clock::now,
};
use gateway_core::access::{Claims, Role};
use schemas::{
    Millis,
    ids::{AppointmentId, DoctorId, LocationId, QueueId, TenantId, TicketId},
};
use serde::Serialize;

use crate::demo::plan;

/// A working day and the evening after it: whoever starts the demo in the morning is not thrown out.
const VALID_MS: Millis = 24 * 60 * 60 * 1000;

/// One token per role, and one for a single appointment.
#[derive(Clone, Serialize)]
pub struct Tokens {
    pub patient: String,
    /// A patient's, for one appointment and its ticket.
    pub appointment: String,
    pub display: String,
    pub reception: String,
    pub doctor: String,
    pub admin: String,
    pub source: String,
    pub viewer: String,
    pub editor: String,
}

/// What a clinic's tokens open: all of it at one location.
pub struct Opens<'a> {
    pub location: &'a LocationId,
    /// The doctor's queues.
    pub queues: &'a [QueueId],
    /// Whose schedule is the doctor's own.
    pub doctor: Option<&'a DoctorId>,
    /// The patient's tickets.
    pub tickets: &'a [TicketId],
    pub appointment: Option<&'a AppointmentId>,
}

impl<'a> Opens<'a> {
    /// A location of which nothing more is known.
    pub fn location(location: &'a LocationId) -> Self {
        Self { location, queues: &[], doctor: None, tickets: &[], appointment: None }
    }
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

    /// A token of each role.
    pub fn tokens(&self, opens: &Opens<'_>) -> Tokens {
        let here = || vec![opens.location.clone()];
        let sign = |role| self.sign(role, |_| {});
        let at_location = |role| self.sign(role, |claims| claims.locations = here());
        Tokens {
            patient: self.sign(Role::Patient, |claims| claims.tickets = opens.tickets.to_vec()),
            appointment: self.sign(Role::Patient, |claims| {
                claims.appointments = opens.appointment.into_iter().cloned().collect();
            }),
            display: at_location(Role::Display),
            reception: at_location(Role::Reception),
            doctor: self.sign(Role::Doctor, |claims| {
                (claims.locations, claims.queues) = (here(), opens.queues.to_vec());
                claims.doctor = opens.doctor.cloned();
            }),
            admin: at_location(Role::Admin),
            source: self.sign(Role::Source, |claims| claims.subject = plan::SOURCE.into()),
            viewer: sign(Role::Viewer),
            editor: sign(Role::Editor),
        }
    }

    fn sign(&self, role: Role, open: impl FnOnce(&mut Claims)) -> String {
        let now = now();
        let mut claims = Claims {
            tenant: self.tenant.clone(),
            subject: format!("demo-{}", role.as_str()).into(),
            role,
            locations: Vec::new(),
            queues: Vec::new(),
            tickets: Vec::new(),
            appointments: Vec::new(),
            doctor: None,
            expires: now + VALID_MS,
        };
        open(&mut claims);
        development_token(&self.key, &claims, now)
    }
}
