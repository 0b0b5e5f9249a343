//! The claims of a verified token.

use std::{fmt, sync::Arc};

use schemas::{
    Millis,
    ids::{AppointmentId, DoctorId, LocationId, QueueId, RunId, TenantId, TicketId},
};
use sha2::{Digest, Sha256};

use super::{Origin, role::Role};

/// The claims of a verified token about its bearer.
#[derive(Clone, PartialEq, Eq)]
pub struct Claims {
    /// The only tenant that the bearer can reach.
    pub tenant: TenantId,
    /// A pseudonym given by the token's issuer. It goes to the journal, never to a log.
    pub subject: Arc<str>,
    /// The role, which decides what the bearer may do.
    pub role: Role,
    /// The locations where staff works or a display hangs. They bind an admin or a source too; one
    /// without a list reaches all of the tenant.
    pub locations: Vec<LocationId>,
    /// The queues of a service, such as pharmacy or laboratory.
    pub queues: Vec<QueueId>,
    /// A patient's tickets.
    pub tickets: Vec<TicketId>,
    /// A patient's appointments. Each also grants the tickets of its visits.
    pub appointments: Vec<AppointmentId>,
    /// The bearer's id in schedules.
    pub doctor: Option<DoctorId>,
    /// When the token expires, and every connection with it ends.
    pub expires: Millis,
    /// Everything that a revocation of the token can name.
    pub origin: Origin,
}

/// Leaves out the subject and every id that a patient holds.
impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("tenant", &self.tenant)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

impl Claims {
    /// The tag in the ids of the runs that this bearer starts: 64 bits of a digest, so that an id
    /// does not reveal the subject. Two given subjects share a tag with a chance of one in 2^64.
    pub fn owner_tag(&self) -> u64 {
        let digest = Sha256::new_with_prefix(self.tenant.as_str())
            .chain_update("/")
            .chain_update(&*self.subject);
        u64::from_be_bytes(*digest.finalize().first_chunk().expect("a digest has 32 bytes"))
    }

    /// Returns whether this bearer started the run.
    pub fn owns(&self, run: &RunId) -> bool {
        run.owner() == self.owner_tag()
    }
}
