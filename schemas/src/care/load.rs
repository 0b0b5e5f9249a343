//! The load of a location, how busy it is: the entries of the view `load:<location>`, and what a
//! dashboard derives from them as time passes.
//!
//! The view has the entries `load` ([`LoadHead`]), one `queue:<id>` ([`LoadQueue`]) per queue, one
//! `station:<id>` ([`LoadStation`]) per station, one `doctor:<id>` ([`LoadDoctor`]) per doctor with
//! a schedule, and one `quarter:<start>` ([`LoadQuarter`]) per quarter hour of the service day in
//! which something happened or is due. Entries have moments in place of durations, so waits grow
//! and hours pass without a message.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Millis,
    ids::QueueId,
    ticket::{Priority, QueueState},
};

/// The key of the location's own entry in its load.
pub const LOAD_KEY: &str = "load";
/// Length of one step of the day's curve.
pub const QUARTER_MS: Millis = 15 * 60 * 1000;
/// Length of one step of the last hour.
pub const MINUTE_MS: Millis = 60 * 1000;
/// Length of "the last hour".
pub const HOUR_MS: Millis = 60 * MINUTE_MS;

/// The location as a whole: the entry `load`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct LoadHead {
    /// The name of the location.
    pub name: String,
    /// The IANA name of the time zone. The curve shows the location's time.
    pub time_zone: String,
    /// The service day, `YYYY-MM-DD`.
    pub day: String,
    /// How many people wait.
    pub waiting: u32,
    /// Since when the person with the longest wait has waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<Millis>,
    /// The median: half of the people who wait have waited since before this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub median: Option<Millis>,
    /// The minutes in which somebody was called or served, oldest first. Minutes older than an hour
    /// no longer count.
    pub hour: Vec<LoadMinute>,
    /// The appointments of the service day.
    pub appointments: AppointmentCounts,
    /// The facts about appointments that sources sent on this service day.
    pub facts: FactCounts,
    /// From when on numbers are high. Absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bands: Option<LoadBands>,
}

/// The calls and services of one minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct LoadMinute {
    /// The start of the minute.
    pub at: Millis,
    /// Tickets that were called.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub called: u32,
    /// Tickets whose service was completed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub served: u32,
}

/// The appointments of the service day. Those that are `late` are also `due`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct AppointmentCounts {
    /// Booked, and nobody has checked in yet.
    pub due: u32,
    /// Due and past their start.
    pub late: u32,
    /// The patient has arrived or checked in.
    pub arrived: u32,
    /// The service is over.
    pub fulfilled: u32,
    /// The patient never came.
    pub no_show: u32,
    /// The appointment was cancelled.
    pub cancelled: u32,
}

/// The results of the facts that sources sent on this service day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct FactCounts {
    /// Something changed.
    pub applied: u32,
    /// Known already.
    pub repeated: u32,
    /// Older than what is known.
    pub stale: u32,
    /// Applied except for the status, which the front desk overrides.
    pub overruled: u32,
}

/// The thresholds from which numbers are high (first) and very high (second).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct LoadBands {
    /// People waiting in one queue.
    pub waiting: [u32; 2],
    /// Seconds of the longest wait.
    pub wait_s: [u32; 2],
}

impl LoadBands {
    /// Whether each pair of thresholds is above zero and rises.
    pub fn are_plausible(&self) -> bool {
        let rises = |[high, very_high]: [u32; 2]| 0 < high && high < very_high;
        rises(self.waiting) && rises(self.wait_s)
    }

    /// The band of a queue in which `waiting` people wait: 0 for usual, 1 for high, 2 for very
    /// high.
    pub fn band_for_waiting(&self, waiting: u32) -> u8 {
        self.waiting.iter().filter(|from| **from <= waiting).count() as u8
    }
}

/// One queue: an entry `queue:<id>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct LoadQueue {
    /// The name of the queue.
    pub name: String,
    /// Whether tickets are issued and called.
    pub state: QueueState,
    /// How many people wait.
    pub waiting: u32,
    /// How many people wait by priority. A priority without anybody is left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub priorities: BTreeMap<Priority, u32>,
    /// Since when the person with the longest wait has waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<Millis>,
    /// The median: half of the people who wait have waited since before this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub median: Option<Millis>,
    /// The band of `waiting`, 0 to 2.
    pub band: u8,
    /// The place in the clinic's own order of the queues, from 0. Absent: behind them, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<u32>,
}

/// Whether a station can take a patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum StationState {
    /// Open, and nobody is there.
    Idle,
    /// Open, and a patient is called there or being served.
    Busy,
    /// Closed.
    Closed,
}

/// One station: an entry `station:<id>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct LoadStation {
    /// The name of the station.
    pub name: String,
    /// Whether the station can take a patient.
    pub state: StationState,
    /// Labels of the tickets that are called to the station or served there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<String>,
    /// The queue that the station last called from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueId>,
}

/// A doctor with a schedule: an entry `doctor:<id>`. `GET /v1/schedules/{location}/{doctor}` lists
/// the appointments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct LoadDoctor {
    /// The name of the doctor.
    pub name: String,
    /// Minutes that the doctor is late, in steps of five.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub delay_min: u32,
}

/// A quarter hour of the service day: an entry `quarter:<start>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct LoadQuarter {
    /// Tickets that were issued.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub arrived: u32,
    /// Tickets that were called.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub called: u32,
    /// Tickets whose service was completed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub served: u32,
    /// Tickets and appointments that became no-shows.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub no_show: u32,
    /// Appointments that start in the quarter hour and were not cancelled.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub booked: u32,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// The key of the quarter hour that contains `at`.
pub fn quarter_key(at: Millis) -> String {
    format!("quarter:{}", at.div_euclid(QUARTER_MS) * QUARTER_MS)
}

/// How many tickets were called and how many served within the hour before `now`, to the minute.
pub fn last_hour(hour: &[LoadMinute], now: Millis) -> (u32, u32) {
    let recent = hour.iter().filter(|minute| minute.at > now - HOUR_MS);
    recent.fold((0, 0), |(called, served), minute| (called + minute.called, served + minute.served))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_hour_shrinks_as_time_passes() {
        let minute = |at, called, served| LoadMinute { at: at * MINUTE_MS, called, served };
        let hour = [minute(0, 2, 1), minute(30, 1, 0), minute(59, 0, 4)];
        for (now, expected) in [(59, (3, 5)), (60, (1, 4)), (90, (0, 4)), (119, (0, 0))] {
            assert_eq!(last_hour(&hour, now * MINUTE_MS), expected, "at minute {now}");
        }
    }

    #[test]
    fn band_starts_at_its_threshold() {
        let bands = LoadBands { waiting: [5, 10], wait_s: [600, 1200] };
        assert!(bands.are_plausible());
        for pair in [[5, 5], [9, 5], [0, 5], [0, 0]] {
            assert!(!LoadBands { waiting: pair, ..bands.clone() }.are_plausible(), "{pair:?}");
            assert!(!LoadBands { wait_s: pair, ..bands.clone() }.are_plausible(), "{pair:?}");
        }
        for (waiting, band) in [(0, 0), (4, 0), (5, 1), (9, 1), (10, 2), (500, 2)] {
            assert_eq!(bands.band_for_waiting(waiting), band, "{waiting}");
        }
    }

    #[test]
    fn quarter_hour_leaves_out_what_is_zero() {
        let text = r#"{"called":2}"#;
        let quarter: LoadQuarter = serde_json::from_str(text).unwrap();
        assert_eq!((quarter.called, quarter.served), (2, 0));
        assert_eq!(serde_json::to_string(&quarter).unwrap(), text);
    }

    #[test]
    fn quarter_key_is_the_start_of_the_quarter() {
        assert_eq!(quarter_key(QUARTER_MS - 1), "quarter:0");
        assert_eq!(quarter_key(QUARTER_MS), "quarter:900000");
    }
}
