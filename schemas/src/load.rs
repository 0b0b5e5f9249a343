//! How busy a location is: the entries of the view `load:<location>`, and what a dashboard makes of them as time passes.
//!
//! The view has the entries `load` ([`LoadHead`]), one `queue:<id>` ([`LoadQueue`]) per queue, one `station:<id>`
//! ([`LoadStation`]) per station, and one `quarter:<start>` ([`LoadQuarter`]) per quarter hour of the service day in which
//! something happened or is due. Moments are sent, not durations: a wait grows and an hour passes without a message.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Millis,
    ids::QueueId,
    ticket::{Priority, QueueState},
};

/// Key of the location's own entry in its load.
pub const LOAD_KEY: &str = "load";
/// Length of a step of the day's curve.
pub const QUARTER_MS: Millis = 15 * 60 * 1000;
/// Length of a step of the last hour.
pub const MINUTE_MS: Millis = 60 * 1000;
/// What "the last hour" is.
pub const HOUR_MS: Millis = 60 * MINUTE_MS;

/// The location as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct LoadHead {
    pub name: String,
    /// IANA name: the curve is drawn in the location's time.
    pub time_zone: String,
    /// The service day, `YYYY-MM-DD`.
    pub day: String,
    pub waiting: u32,
    /// Since when the one waits who has waited longest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<Millis>,
    /// Half of those who wait have waited since before that moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub median: Option<Millis>,
    /// Minutes in which somebody was called or served, oldest first; those over an hour old no longer count.
    pub hour: Vec<LoadMinute>,
    pub appointments: AppointmentCounts,
    pub facts: FactCounts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bands: Option<LoadBands>,
}

/// What happened within one minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct LoadMinute {
    pub at: Millis,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub called: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub served: u32,
}

/// The service day's appointments. `late` are among `due`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct AppointmentCounts {
    /// Booked, and nobody has come yet.
    pub due: u32,
    /// Due, and past their start.
    pub late: u32,
    /// The patient is there: arrived or checked in.
    pub arrived: u32,
    pub fulfilled: u32,
    pub no_show: u32,
    pub cancelled: u32,
}

/// What became of the facts that sources told on this service day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct FactCounts {
    pub applied: u32,
    /// Known already.
    pub repeated: u32,
    /// Older than what is known.
    pub stale: u32,
    /// Not believed as to the status, which the desk knows better.
    pub overruled: u32,
}

/// From when on numbers are high (first) and very high (second).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct LoadBands {
    /// People who wait in one queue.
    pub waiting: [u32; 2],
    /// Seconds the longest wait lasts.
    pub wait_s: [u32; 2],
}

impl LoadBands {
    pub fn are_plausible(&self) -> bool {
        let rises = |[high, very_high]: [u32; 2]| 0 < high && high < very_high;
        rises(self.waiting) && rises(self.wait_s)
    }

    /// 0: usual, 1: high, 2: very high.
    pub fn band_for_waiting(&self, waiting: u32) -> u8 {
        self.waiting.iter().filter(|from| **from <= waiting).count() as u8
    }
}

/// One queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct LoadQueue {
    pub name: String,
    pub state: QueueState,
    pub waiting: u32,
    /// Those who wait by their priority; nobody: left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub priorities: BTreeMap<Priority, u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<Millis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub median: Option<Millis>,
    /// The band of `waiting`: 0 to 2.
    pub band: u8,
}

/// Whether a station can take somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum StationState {
    Idle,
    Busy,
    Closed,
}

/// One station.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct LoadStation {
    pub name: String,
    pub state: StationState,
    /// Labels of the tickets called to it or served there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<String>,
    /// The queue it called from last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueId>,
}

/// A quarter hour of the service day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct LoadQuarter {
    /// Tickets issued.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub arrived: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub called: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub served: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub no_show: u32,
    /// Appointments that start in it and were not called off.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub booked: u32,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// The key of the quarter hour in which `at` lies.
pub fn quarter_key(at: Millis) -> String {
    format!("quarter:{}", at.div_euclid(QUARTER_MS) * QUARTER_MS)
}

/// Called and served within the hour before `now`, to the minute.
pub fn last_hour(hour: &[LoadMinute], now: Millis) -> (u32, u32) {
    let recent = hour.iter().filter(|minute| minute.at > now - HOUR_MS);
    recent.fold((0, 0), |(called, served), minute| (called + minute.called, served + minute.served))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_passes_without_a_message() {
        let minute = |at, called, served| LoadMinute { at: at * MINUTE_MS, called, served };
        let hour = [minute(0, 2, 1), minute(30, 1, 0), minute(59, 0, 4)];
        for (now, expected) in [(59, (3, 5)), (60, (1, 4)), (90, (0, 4)), (119, (0, 0))] {
            assert_eq!(last_hour(&hour, now * MINUTE_MS), expected, "at minute {now}");
        }
    }

    #[test]
    fn a_band_begins_at_its_number() {
        let bands = LoadBands { waiting: [5, 10], wait_s: [600, 1200] };
        assert!(bands.are_plausible());
        assert!(!LoadBands { waiting: [5, 5], ..bands.clone() }.are_plausible());
        for (waiting, band) in [(0, 0), (4, 0), (5, 1), (9, 1), (10, 2), (500, 2)] {
            assert_eq!(bands.band_for_waiting(waiting), band, "{waiting}");
        }
    }

    #[test]
    fn a_moment_lies_in_the_quarter_that_began_before_it() {
        assert_eq!(quarter_key(QUARTER_MS - 1), "quarter:0");
        assert_eq!(quarter_key(QUARTER_MS), "quarter:900000");
    }
}
