//! Development tokens, one for each role, signed with the development key of a clinic.

use gateway::{
    access::auth::{DevelopmentKey, development_token},
    clock::now,
};
use gateway_core::access::{Claims, Origin, Role};
use schemas::{
    Millis,
    ids::{AppointmentId, DoctorId, LocationId, QueueId, TenantId, TicketId},
};
use serde::Serialize;

use crate::demo::plan;

/// Tokens are valid for a day: a demo started in the morning still opens in the evening.
const VALID_MS: Millis = 24 * 60 * 60 * 1000;

/// One token for each role, and one for a single appointment.
#[derive(Clone, Serialize)]
pub struct Tokens {
    pub patient: String,
    /// A patient's token for one appointment and its ticket.
    pub appointment: String,
    pub display: String,
    pub reception: String,
    pub doctor: String,
    pub admin: String,
    pub source: String,
    pub viewer: String,
    pub editor: String,
}

impl Tokens {
    /// The names of the tokens: the fields of this type.
    pub const NAMES: [&str; 9] = [
        "patient",
        "appointment",
        "display",
        "reception",
        "doctor",
        "admin",
        "source",
        "viewer",
        "editor",
    ];
}

/// The entities of one location that a clinic's tokens give access to.
pub struct TokenScope<'a> {
    pub location: &'a LocationId,
    /// The doctor's queues.
    pub queues: &'a [QueueId],
    /// The doctor that the doctor's token is for.
    pub doctor: Option<&'a DoctorId>,
    /// The patient's tickets.
    pub tickets: &'a [TicketId],
    pub appointment: Option<&'a AppointmentId>,
}

impl<'a> TokenScope<'a> {
    /// A location without queues, tickets, doctor or appointment.
    pub fn location(location: &'a LocationId) -> Self {
        Self { location, queues: &[], doctor: None, tickets: &[], appointment: None }
    }
}

/// Signs tokens of one tenant with a development key.
pub struct Signer {
    key: DevelopmentKey,
    tenant: TenantId,
}

impl Signer {
    pub fn new(key: DevelopmentKey, tenant: TenantId) -> Self {
        Self { key, tenant }
    }

    /// Signs a token for each role.
    pub fn tokens(&self, scope: &TokenScope<'_>) -> Tokens {
        let here = || vec![scope.location.clone()];
        let sign = |role| self.sign(role, |_| {});
        let at_location = |role| self.sign(role, |claims| claims.locations = here());
        Tokens {
            patient: self.sign(Role::Patient, |claims| claims.tickets = scope.tickets.to_vec()),
            appointment: self.sign(Role::Patient, |claims| {
                claims.appointments = scope.appointment.into_iter().cloned().collect();
            }),
            display: at_location(Role::Display),
            reception: at_location(Role::Reception),
            doctor: self.sign(Role::Doctor, |claims| {
                (claims.locations, claims.queues) = (here(), scope.queues.to_vec());
                claims.doctor = scope.doctor.cloned();
            }),
            admin: sign(Role::Admin),
            source: self.sign(Role::Source, |claims| claims.subject = plan::SOURCE.into()),
            viewer: sign(Role::Viewer),
            editor: sign(Role::Editor),
        }
    }

    /// Signs a token of this role, whose claims `open` completes.
    pub fn sign(&self, role: Role, open: impl FnOnce(&mut Claims)) -> String {
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
            origin: Origin::default(),
        };
        open(&mut claims);
        development_token(&self.key, &claims, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_json_fields() {
        let signer = Signer::new(DevelopmentKey::new([7; 32]), plan::tenant());
        let tokens = signer.tokens(&TokenScope::location(&plan::location()));
        let json = serde_json::to_value(tokens).unwrap();
        let fields = json.as_object().unwrap();
        assert_eq!(fields.len(), Tokens::NAMES.len());
        for name in Tokens::NAMES {
            assert!(fields.contains_key(name), "{name}");
        }
    }
}
