//! The ready file: where a clinic serves and how to enter it, for scripts and tests.

use std::{io, path::Path};

use schemas::ids::{LocationId, QueueId, StationId, TenantId, TicketId};
use serde::Serialize;

use crate::{
    demo::{clinic::Clinic, plan},
    tokens::{Signer, Tokens},
};

/// Tickets that the patient's token opens and the ready file lists: enough for every page and script, and the
/// token stays below 4 KiB.
const MOST_TICKETS: usize = 24;

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
}

impl Ready {
    /// The demo's location at `nodes` (at least one), with tokens for it; `clinic` as it stands now, or none when
    /// there is no demo.
    pub fn new(nodes: Vec<String>, signer: &Signer, clinic: Option<&Clinic>) -> Self {
        let location = plan::location();
        let mut tickets = clinic.map(Clinic::tickets).unwrap_or_default();
        tickets.truncate(MOST_TICKETS);
        let (queues, stations) = match clinic {
            Some(_) => (plan::queues(&location), plan::stations(&location)),
            None => (Vec::new(), Vec::new()),
        };
        Self {
            url: nodes.first().cloned().unwrap_or_default(),
            nodes,
            tenant: plan::tenant(),
            tokens: signer.tokens(&location, &queues, &tickets),
            location,
            queues,
            stations,
            tickets,
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
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
