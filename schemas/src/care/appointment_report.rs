//! The report that another system sends about an appointment, over HTTP or in its own topic.

use serde::{Deserialize, Serialize};

use crate::{
    appointment::{AppointmentFact, AppointmentStatus, Doctor},
    codes::Code,
    command::Command,
    ids::{AppointmentId, LocationId, QueueId, SourceId, SourceKey},
};

/// The code and the personal facts by which a patient checks in without staff. Gateways keep keyed
/// digests of them.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct CheckInKeys {
    /// The code that the source itself has given to the patient, 6 to 16 letters and digits.
    /// Absent: the answer has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The year of birth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub birth_year: Option<String>,
    /// The date of birth, `YYYY-MM-DD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub birth_date: Option<String>,
    /// The last four digits of the telephone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone_end: Option<String>,
    /// The source's key of the patient, by which several appointments on one day belong together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
}

/// All that a source knows about an appointment, as JSON over HTTP or in the source's own topic.
/// Times are texts of RFC 3339.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct AppointmentReport {
    /// Where the appointment takes place.
    pub location: LocationId,
    /// The source's key of the appointment.
    pub key: SourceKey,
    /// The source's own version of the appointment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// When the source last changed the appointment. Used when there is no version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        any(test, feature = "json-schema"),
        schemars(with = "Option<String>", extend("format" = "date-time"))
    )]
    pub updated_at: Option<jiff::Timestamp>,
    /// The status.
    pub status: AppointmentStatus,
    /// The start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        any(test, feature = "json-schema"),
        schemars(with = "Option<String>", extend("format" = "date-time"))
    )]
    pub start: Option<jiff::Timestamp>,
    /// The end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        any(test, feature = "json-schema"),
        schemars(with = "Option<String>", extend("format" = "date-time"))
    )]
    pub end: Option<jiff::Timestamp>,
    /// The doctor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doctor: Option<Doctor>,
    /// The queue that the appointment's ticket is issued in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueId>,
    /// The name that staff use for the appointment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Why the appointment was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How the patient may check in alone. Read by gateways alone: it is in no record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_in: Option<CheckInKeys>,
    /// The previous location, when the appointment moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_from: Option<LocationId>,
}

impl AppointmentReport {
    /// The location that must apply the report first, and the command for it. `bits` become the
    /// random part of the appointment's id if the location does not know the appointment yet.
    ///
    /// # Errors
    /// `invalid_value` when the report has neither a version nor a time of change from 1970 on.
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
            revision_is_time: self.version.is_none(),
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
    fn moved_report_goes_to_the_previous_location_first() {
        let base = serde_json::json!({
            "location": "north", "key": "4711", "status": "booked",
            "updated_at": "2026-11-27T08:00:00Z",
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
    fn report_without_version_or_time_is_refused() {
        let report =
            report(serde_json::json!({"location": "north", "key": "4711", "status": "proposed"}))
                .unwrap();
        let source = SourceId::new("his").unwrap();
        assert!(report.into_command(source, 7).err() == Some(Code::InvalidValue));
    }
}
