//! Outward events: what other systems hear of a tenant, as records of `clinicwire.events.v1` and as
//! webhooks. They name tickets, appointments and runs by their ids and contain no other data of
//! patients.
//!
//! A field may be added. A field that changes its meaning makes another version of the whole.

use serde::{Deserialize, Serialize};

use crate::{
    Millis,
    codes::Code,
    ids::{
        Aggregate, AppointmentId, EventId, Fingerprint, LocationId, QueueId, RunId, SourceId,
        SourceKey, StationId, TenantId, TicketId, WebhookId,
    },
    record::WireRecord,
    ticket::TicketState,
    view::Position,
};

/// The version of the payloads.
pub const OUTWARD_VERSION: u32 = 1;

macro_rules! outward {
    ($(
        $(#[$doc:meta])*
        $name:ident = $kind:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? }
    )*) => {
        /// The kind of an outward event in `type`, and its own fields in `data`.
        #[derive(Clone, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
        #[serde(tag = "type", content = "data")]
        pub enum OutwardData {
            $(
                $(#[$doc])*
                #[serde(rename = $kind)]
                $name { $($(#[$field_doc])* $field: $type),* },
            )*
        }

        impl OutwardData {
            /// Every kind of event, as `type` spells it.
            pub const KINDS: &'static [&'static str] = &[$($kind),*];

            /// The kind, as `type` spells it.
            pub fn kind(&self) -> &'static str {
                match self {
                    $(OutwardData::$name { .. } => $kind,)*
                }
            }
        }
    };
}

outward! {
    /// A person joined a line.
    TicketIssued = "ticket.issued" {
        /// The ticket.
        ticket: TicketId,
        /// The queue.
        queue: QueueId,
        /// The appointment that was checked in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        appointment: Option<AppointmentId>,
        /// The ticket at another location that this one continues.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<TicketId>,
    }
    /// Few people are ahead of a person, as many as the timer `alert_places` of the location says.
    TurnNear = "turn.near" {
        /// The ticket.
        ticket: TicketId,
        /// The queue.
        queue: QueueId,
        /// People ahead.
        ahead: u32,
    }
    /// A person was called, or called again.
    TicketCalled = "ticket.called" {
        /// The ticket.
        ticket: TicketId,
        /// The queue.
        queue: QueueId,
        /// The station that calls.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        station: Option<StationId>,
        /// Whether the call is a repetition.
        repeated: bool,
    }
    /// The service of a person began.
    TicketStarted = "ticket.started" {
        /// The ticket.
        ticket: TicketId,
        /// The queue.
        queue: QueueId,
        /// The station.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        station: Option<StationId>,
    }
    /// A ticket moved to another queue of its location.
    TicketMoved = "ticket.moved" {
        /// The ticket.
        ticket: TicketId,
        /// The new queue.
        queue: QueueId,
    }
    /// A step of a ticket was undone. A ticket that had ended may be live again.
    TicketReverted = "ticket.reverted" {
        /// The ticket.
        ticket: TicketId,
        /// The queue.
        queue: QueueId,
        /// The state that the ticket has again.
        state: TicketState,
    }
    /// A ticket ended.
    TicketEnded = "ticket.ended" {
        /// The ticket.
        ticket: TicketId,
        /// The queue.
        queue: QueueId,
        /// How it ended: `completed`, `no_show`, `cancelled`, `left` or `transferred`.
        how: TicketState,
        /// Whether a timer ended it.
        by_timer: bool,
        /// The ticket that continues at another location.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        successor: Option<TicketId>,
        /// The appointment of the ticket.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        appointment: Option<AppointmentId>,
    }
    /// The service of a person ended. `ticket.ended` follows.
    VisitCompleted = "visit.completed" {
        /// The ticket.
        ticket: TicketId,
        /// The queue.
        queue: QueueId,
        /// The appointment of the ticket.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        appointment: Option<AppointmentId>,
        /// Milliseconds from issue to the call.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        waited_ms: Option<Millis>,
        /// Milliseconds from the start of the service to its end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        served_ms: Option<Millis>,
    }
    /// A source booked an appointment.
    AppointmentBooked = "appointment.booked" {
        /// The appointment.
        #[serde(flatten)]
        appointment: AppointmentName,
    }
    /// Time, doctor or queue of an appointment changed.
    AppointmentChanged = "appointment.changed" {
        /// The appointment.
        #[serde(flatten)]
        appointment: AppointmentName,
    }
    /// A source cancelled an appointment.
    AppointmentCancelled = "appointment.cancelled" {
        /// The appointment.
        #[serde(flatten)]
        appointment: AppointmentName,
    }
    /// The start of an appointment passed and nobody had checked in.
    AppointmentLate = "appointment.late" {
        /// The appointment.
        #[serde(flatten)]
        appointment: AppointmentName,
    }
    /// Nobody came: the appointment is a no-show.
    AppointmentMissed = "appointment.missed" {
        /// The appointment.
        #[serde(flatten)]
        appointment: AppointmentName,
    }
    /// An appointment continues at another location.
    AppointmentMoved = "appointment.moved" {
        /// The appointment.
        #[serde(flatten)]
        appointment: AppointmentName,
        /// The appointment at the other location.
        successor: AppointmentId,
    }
    /// The check of a claims file completed.
    RunCompleted = "run.completed" {
        /// The run.
        run: RunId,
        /// Rows of the file.
        rows: u64,
        /// Findings that are stored.
        findings: u64,
    }
    /// The check of a claims file failed.
    RunFailed = "run.failed" {
        /// The run.
        run: RunId,
        /// Why.
        code: Code,
    }
    /// The check of a claims file was cancelled.
    RunCancelled = "run.cancelled" {
        /// The run.
        run: RunId,
    }
    /// An admin asked for a test of a webhook. Only that webhook gets the event.
    WebhookTest = "webhook.test" {
        /// The webhook.
        webhook: WebhookId,
    }
}

/// An appointment, as Clinicwire and as its source name it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct AppointmentName {
    /// The appointment.
    pub appointment: AppointmentId,
    /// The source that reports the appointment.
    pub source: SourceId,
    /// The key of the appointment at its source.
    pub key: SourceKey,
}

/// An outward event. The JSON is the value of its record and the body of a webhook.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct OutwardEvent {
    /// The id, which the same event has in every delivery: receivers find repetitions by it.
    pub id: EventId,
    /// The version of the payload.
    pub version: u32,
    /// The tenant.
    pub tenant: TenantId,
    /// The location. Absent for a run and for a test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<LocationId>,
    /// When it was decided (RFC 3339).
    pub timestamp: String,
    /// The position of the location, or of the run, with the step that the event belongs to. A
    /// receiver that gets events out of order compares positions of one location.
    pub position: Position,
    /// The number of the event in its step, from 0 on.
    pub index: u32,
    /// The kind, and its own fields.
    #[serde(flatten)]
    pub data: OutwardData,
}

impl OutwardEvent {
    /// The event number `index` of the step to `position`. The id is a digest of aggregate,
    /// position and index, so a step that is repeated after a fault gives the same event.
    ///
    /// # Panics
    /// Never: every time of a record is a time of the calendar.
    pub fn new(
        aggregate: &Aggregate,
        position: Position,
        index: u32,
        at: Millis,
        data: OutwardData,
    ) -> Self {
        let Position { epoch, version } = position;
        let digest = Fingerprint::from_parts([
            b"outward event".as_slice(),
            aggregate.as_str().as_bytes(),
            &epoch.to_be_bytes(),
            &version.to_be_bytes(),
            &index.to_be_bytes(),
        ]);
        let timestamp = jiff::Timestamp::from_millisecond(at).unwrap_or_default().to_string();
        Self {
            id: EventId::from_random(digest.bits()),
            version: OUTWARD_VERSION,
            tenant: aggregate.tenant(),
            location: aggregate.location_id(),
            timestamp,
            position,
            index,
            data,
        }
    }

    /// The JSON of the event.
    ///
    /// # Panics
    /// Never: every event has a JSON form.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("an event always has a JSON form")
    }

    /// Writes the record of [`EVENTS_TOPIC`](crate::record::EVENTS_TOPIC) under the key of its
    /// aggregate.
    pub fn to_wire(&self, aggregate: &Aggregate) -> WireRecord {
        let headers = [
            ("ce_specversion", "1.0".to_owned()),
            ("ce_id", self.id.to_string()),
            ("ce_source", "clinicwire-processors".to_owned()),
            ("ce_type", format!("clinicwire.{}.v{OUTWARD_VERSION}", self.data.kind())),
            ("ce_time", self.timestamp.clone()),
            ("content-type", "application/json".to_owned()),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value)).to_vec();
        WireRecord {
            key: aggregate.to_string(),
            headers,
            value: self.to_json().into_bytes().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(version: u64, index: u32) -> OutwardEvent {
        let tenant = TenantId::new("demo").unwrap();
        let location = LocationId::new("riverside").unwrap();
        let ticket = TicketId::from_random(&location, 7);
        let queue = QueueId::new("riverside.general").unwrap();
        let data = OutwardData::TurnNear { ticket, queue, ahead: 2 };
        let position = Position { epoch: 3, version };
        let aggregate = Aggregate::location(&tenant, &location);
        OutwardEvent::new(&aggregate, position, index, 1_700_000_000_000, data)
    }

    #[test]
    fn same_step_has_the_same_id() {
        assert!(event(5, 0) == event(5, 0));
        assert_ne!(event(5, 0).id, event(5, 1).id);
        assert_ne!(event(5, 0).id, event(6, 0).id);
    }

    #[test]
    fn json_round_trips_with_type_and_data() {
        let event = event(5, 1);
        let json: serde_json::Value = serde_json::from_str(&event.to_json()).unwrap();
        assert_eq!(json["type"], "turn.near");
        assert_eq!(json["data"]["ahead"], 2);
        assert_eq!(json["timestamp"], "2023-11-14T22:13:20Z");
        assert_eq!(json["location"], "riverside");
        assert!(serde_json::from_value::<OutwardEvent>(json).unwrap() == event);
    }
}
