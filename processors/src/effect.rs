//! What became of one record, whichever aggregate it moved.

use schemas::{
    Millis,
    codes::Code,
    command::{CommandResult, Verdict},
    event::Event,
    ids::{AppointmentId, TicketId},
    record::{CommandRecord, ViewDelta},
    view::Position,
};

/// What became of one record.
pub struct RecordEffect {
    /// The position after the record; unchanged when it was refused.
    pub position: Position,
    /// The aggregate's clock at this record.
    pub at: Millis,
    pub verdict: Verdict,
    /// What happened, timers that were due before the record included: a refused command may have some too.
    pub events: Vec<Event>,
    pub deltas: Vec<ViewDelta>,
    /// Tickets whose row changed.
    pub touched: Vec<TicketId>,
    /// Appointments whose row changed.
    pub appointments: Vec<AppointmentId>,
    /// A command for another aggregate, to be appended to the log once this one is committed.
    pub follow_up: Option<CommandRecord>,
}

impl RecordEffect {
    /// Nothing happened, for this reason.
    pub fn refused(position: Position, at: Millis, code: Code) -> Self {
        Self {
            position,
            at,
            verdict: Verdict::Refused { code },
            events: Vec::new(),
            deltas: Vec::new(),
            touched: Vec::new(),
            appointments: Vec::new(),
            follow_up: None,
        }
    }

    /// These events happened, and nothing follows from them elsewhere.
    pub fn applied(position: Position, at: Millis, events: Vec<Event>, delta: ViewDelta) -> Self {
        let Position { epoch, version } = position;
        Self {
            position,
            at,
            verdict: Verdict::Applied { epoch, version, result: CommandResult::default() },
            events,
            deltas: vec![delta],
            touched: Vec::new(),
            appointments: Vec::new(),
            follow_up: None,
        }
    }
}
