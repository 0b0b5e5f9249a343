//! The report that another system sends about an appointment, over HTTP or in its own topic.

use serde::{Deserialize, Serialize};

use crate::{
    appointment::{AppointmentFact, AppointmentStatus, Doctor, SourceKey},
    codes::Code,
    command::Command,
    ids::{AppointmentId, LocationId, QueueId, SourceId},
};

/// What a source tells, as JSON over HTTP or in its own topic; times are texts of RFC 3339.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct AppointmentReport {
    /// Where the appointment takes place.
    pub location: LocationId,
    pub key: SourceKey,
    /// The source's own version of the appointment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// When the source last changed it; counts where there is no version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(any(test, feature = "json-schema"), schemars(with = "Option<String>"))]
    pub updated_at: Option<jiff::Timestamp>,
    pub status: AppointmentStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(any(test, feature = "json-schema"), schemars(with = "Option<String>"))]
    pub start: Option<jiff::Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(any(test, feature = "json-schema"), schemars(with = "Option<String>"))]
    pub end: Option<jiff::Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doctor: Option<Doctor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The location it was at until now, when that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_from: Option<LocationId>,
}

impl AppointmentReport {
    /// The location that must hear it first, and the command it is told by. `bits` are the random part of the
    /// appointment's id, should the location not know it yet.
    ///
    /// # Errors
    /// `invalid_value` without a version or a time of change, or with a time of change before 1970.
    pub fn into_command(self, source: SourceId, bits: u128) -> Result<(LocationId, Command), Code> {
        let changed = self.updated_at.and_then(|at| u64::try_from(at.as_millisecond()).ok());
        let revision = self.version.or(changed).ok_or(Code::InvalidValue)?;
        let from = self.moved_from.filter(|from| *from != self.location);
        let (first, moved_to) = match from {
            Some(from) => (from, Some(self.location)),
            None => (self.location, None),
        };
        let fact = AppointmentFact {
            source,
            key: self.key,
            revision,
            status: self.status,
            start: self.start.map(jiff::Timestamp::as_millisecond),
            end: self.end.map(jiff::Timestamp::as_millisecond),
            doctor: self.doctor,
            queue: self.queue,
            label: self.label,
            reason: self.reason,
            moved_to,
        };
        let appointment = AppointmentId::from_random(&first, bits);
        Ok((first, Command::ReportAppointment { appointment, fact }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(json: serde_json::Value) -> Result<AppointmentReport, serde_json::Error> {
        serde_json::from_value(json)
    }

    #[test]
    fn a_report_is_told_first_where_the_appointment_was() {
        let base = serde_json::json!({
            "location": "north", "key": "4711", "updated_at": "2026-11-27T08:00:00Z", "status": "booked",
            "start": "2026-11-27T09:00:00-05:00", "end": "2026-11-27T09:20:00-05:00",
        });
        let source = SourceId::new("his").unwrap();
        let (first, command) =
            report(base.clone()).unwrap().into_command(source.clone(), 7).unwrap();
        let Command::ReportAppointment { appointment, fact } = command else {
            panic!("another command")
        };
        assert_eq!((first.as_str(), fact.moved_to.as_ref()), ("north", None));
        assert!(appointment.belongs_to(&first));
        assert_eq!(fact.start, Some(1_795_788_000_000));
        assert_eq!(fact.revision, 1_795_766_400_000);

        let mut moved = base;
        moved["moved_from"] = "south".into();
        let (first, command) = report(moved).unwrap().into_command(source, 7).unwrap();
        let Command::ReportAppointment { appointment, fact } = command else {
            panic!("another command")
        };
        assert_eq!((first.as_str(), fact.moved_to.unwrap().as_str()), ("south", "north"));
        assert!(appointment.belongs_to(&first));
    }

    #[test]
    fn a_report_says_how_new_it_is() {
        let report =
            report(serde_json::json!({"location": "north", "key": "4711", "status": "proposed"}))
                .unwrap();
        let source = SourceId::new("his").unwrap();
        assert!(report.into_command(source, 7).err() == Some(Code::InvalidValue));
    }
}
