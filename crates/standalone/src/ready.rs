//! The ready file: where a clinic serves and how to enter it, for scripts and tests.

use std::{io, path::Path};

use schemas::ids::{
    AppointmentId, DoctorId, LocationId, QueueId, ScheduleId, StationId, TenantId, TicketId,
};
use serde::Serialize;

use crate::{
    demo::{clinic::Clinic, plan},
    tokens::{Opens, Signer, Tokens},
};

/// Tickets that the patient's token opens and the ready file lists: enough for every page and script, and the
/// token stays below 4 KiB.
const MOST_TICKETS: usize = 24;
/// Appointments it lists: a few of those that are due next.
const MOST_APPOINTMENTS: usize = 6;

/// What a caller needs to begin.
#[derive(Clone, Serialize)]
pub struct Ready {
    pub url: String,
    pub nodes: Vec<String>,
    pub tenant: TenantId,
    pub tokens: Tokens,
    pub location: LocationId,
    pub queues: Vec<QueueId>,
    pub stations: Vec<StationId>,
    pub tickets: Vec<TicketId>,
    /// Who the doctor's token is for, and their schedule.
    pub doctor: Option<DoctorId>,
    pub schedule: Option<ScheduleId>,
    /// Of today; the first is the one that the token for an appointment opens.
    pub appointments: Vec<AppointmentId>,
}

impl Ready {
    /// The demo's location at `nodes` (at least one), with tokens for it; `clinic` as it stands now, or none when
    /// there is no demo.
    pub fn new(nodes: Vec<String>, signer: &Signer, clinic: Option<&Clinic>) -> Self {
        let location = plan::location();
        let mut tickets = clinic.map(Clinic::tickets).unwrap_or_default();
        tickets.truncate(MOST_TICKETS);
        let mut appointments = clinic.map(Clinic::appointments).unwrap_or_default();
        appointments.truncate(MOST_APPOINTMENTS);
        let (queues, stations, schedule) = match clinic {
            Some(_) => {
                let schedule = plan::schedules(&location).into_iter().next();
                (plan::queues(&location), plan::stations(&location), schedule)
            }
            None => Default::default(),
        };
        let doctor = schedule.as_ref().map(ScheduleId::doctor);
        let tokens = signer.tokens(&Opens {
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

    /// Writes the file whole or not at all: whoever waits for it never reads a half.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut draft = path.as_os_str().to_owned();
        draft.push(format!(".{}", std::process::id()));
        let json = serde_json::to_vec_pretty(self)?;
        write_private(Path::new(&draft), &json)?;
        std::fs::rename(&draft, path)
    }

    /// The waiting room's board.
    pub fn board_link(&self) -> String {
        format!("{}/board#token={}&location={}", self.url, self.tokens.display, self.location)
    }

    /// How busy the location is.
    pub fn dashboard_link(&self) -> String {
        format!("{}/dashboard#token={}&location={}", self.url, self.tokens.doctor, self.location)
    }

    /// A doctor's day, if there is a doctor.
    pub fn schedule_link(&self) -> Option<String> {
        let schedule = self.schedule.as_ref()?;
        Some(format!("{}/schedule#token={}&schedule={schedule}", self.url, self.tokens.doctor))
    }

    /// The page of an appointment that is soon due, if there is one.
    pub fn appointment_link(&self) -> Option<String> {
        let appointment = self.appointments.first()?;
        let token = &self.tokens.appointment;
        Some(format!("{}/appointment#token={token}&appointment={appointment}", self.url))
    }

    /// The page on which claims files are checked.
    pub fn runs_link(&self) -> String {
        format!("{}/runs#token={}", self.url, self.tokens.editor)
    }

    /// The page of the first ticket, if there is one.
    pub fn patient_link(&self) -> Option<String> {
        let ticket = self.tickets.first()?;
        Some(format!("{}/patient#token={}&ticket={ticket}", self.url, self.tokens.patient))
    }
}

/// The tokens in it open a clinic: nobody else on the machine may read them.
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
