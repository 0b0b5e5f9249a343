//! The ready file: the address of a running clinic with tokens and ids, for scripts and tests.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use anyhow::Context;
use schemas::ids::{
    AppointmentId, DoctorId, LocationId, QueueId, ScheduleId, StationId, TenantId, TicketId,
};
use serde::{Deserialize, Serialize};

use crate::{
    demo::{clinic::DemoClinic, plan},
    tokens::{Signer, TokenScope, Tokens},
};

/// Most tickets that the patient's token opens and the file lists. They suffice for every page and
/// script, and keep the token below 4 KiB.
const MOST_TICKETS: usize = 24;
/// Most appointments in the file: a few of those that are due next.
const MOST_APPOINTMENTS: usize = 6;

/// The content of the ready file.
#[derive(Clone, Serialize)]
pub struct ReadyFile {
    pub url: String,
    pub nodes: Vec<String>,
    pub tenant: TenantId,
    pub tokens: Tokens,
    pub location: LocationId,
    pub queues: Vec<QueueId>,
    pub stations: Vec<StationId>,
    pub tickets: Vec<TicketId>,
    /// The doctor that the doctor's token is for.
    pub doctor: Option<DoctorId>,
    /// The schedule of that doctor.
    pub schedule: Option<ScheduleId>,
    /// Appointments of today. The token named `appointment` opens the first one.
    pub appointments: Vec<AppointmentId>,
}

impl ReadyFile {
    /// Describes the demo's location at `nodes` (at least one) with new tokens for it. `clinic` is
    /// the current state of the demo, or none without a demo.
    pub fn new(nodes: Vec<String>, signer: &Signer, clinic: Option<&DemoClinic>) -> Self {
        let location = plan::location();
        let mut tickets = clinic.map(DemoClinic::tickets).unwrap_or_default();
        tickets.truncate(MOST_TICKETS);
        let mut appointments = clinic.map(DemoClinic::appointments).unwrap_or_default();
        appointments.truncate(MOST_APPOINTMENTS);
        let (queues, stations, schedule) = match clinic {
            Some(_) => {
                let schedule = plan::schedules(&location).into_iter().next();
                (plan::queues(&location), plan::stations(&location), schedule)
            }
            None => Default::default(),
        };
        let doctor = schedule.as_ref().map(ScheduleId::doctor);
        let tokens = signer.tokens(&TokenScope {
            location: &location,
            queues: &queues,
            doctor: doctor.as_ref(),
            tickets: &tickets,
            appointment: appointments.first(),
        });
        Self {
            url: nodes.first().cloned().unwrap_or_default(),
            nodes,
            tenant: plan::tenant(),
            tokens,
            location,
            queues,
            stations,
            tickets,
            doctor,
            schedule,
            appointments,
        }
    }

    /// Writes the file complete or not at all, so that a waiting reader never sees half of it.
    ///
    /// # Errors
    /// When the directory or the file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut draft = path.as_os_str().to_owned();
        draft.push(format!(".{}", std::process::id()));
        let json = serde_json::to_vec_pretty(self)?;
        write_private(Path::new(&draft), &json)?;
        std::fs::rename(&draft, path)
    }
}

/// The ready file of a clinic at `port` that was started without `--ready-file`. None when the
/// environment names no directory of this user.
pub fn default_path(port: u16) -> Option<PathBuf> {
    let directory = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = directory("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .or_else(|| directory("HOME").map(|home| Path::new(&home).join(".cache")))?;
    Some(base.join("clinicwire").join(format!("{port}.json")))
}

/// Reads the token named `role` from a ready file.
///
/// # Errors
/// When the file cannot be read or has no such token.
pub fn read_token(path: &Path, role: &str) -> anyhow::Result<String> {
    #[derive(Deserialize)]
    struct TokensOfFile {
        tokens: BTreeMap<String, String>,
    }
    let json = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file: TokensOfFile = serde_json::from_slice(&json)
        .with_context(|| format!("{} is not a ready file", path.display()))?;
    let token = file.tokens.get(role).cloned();
    token.with_context(|| format!("{} has no token named {role}", path.display()))
}

/// Writes a file that only its owner can read: the tokens in it open a clinic.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
