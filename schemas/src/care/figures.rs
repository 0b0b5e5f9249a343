//! The figures of a location: counts and sums of times by service day, hour, queue and doctor. They
//! are kept by increments, so sums of rows give the figures of any longer time, percentiles
//! included.

use serde::{Deserialize, Serialize};

use crate::{
    Millis,
    ids::{DoctorId, QueueId},
};

/// How a ticket was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CheckInMethod {
    /// Staff issued the ticket.
    Desk,
    /// The patient scanned a poster.
    Poster,
    /// The patient used a kiosk.
    Kiosk,
    /// The ticket continues one of another location.
    Transfer,
    /// A program issued the ticket.
    Program,
}

impl CheckInMethod {
    /// Every method. Stored figures count by this order, so a new one is added at the end.
    pub const ALL: [Self; 5] =
        [Self::Desk, Self::Poster, Self::Kiosk, Self::Transfer, Self::Program];

    /// The method as JSON spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Desk => "desk",
            Self::Poster => "poster",
            Self::Kiosk => "kiosk",
            Self::Transfer => "transfer",
            Self::Program => "program",
        }
    }
}

/// How a ticket ended, as figures count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TicketEnd {
    /// The service was completed.
    Completed,
    /// The patient was called and did not come.
    NoShow,
    /// The patient left the line.
    Left,
    /// The clinic or the patient cancelled the ticket.
    Cancelled,
    /// The ticket was forgotten, or its service day ended.
    Expired,
    /// The ticket continues at another location.
    Transferred,
}

impl TicketEnd {
    /// Every end. Stored figures count by this order, so a new one is added at the end.
    pub const ALL: [Self; 6] = [
        Self::Completed,
        Self::NoShow,
        Self::Left,
        Self::Cancelled,
        Self::Expired,
        Self::Transferred,
    ];

    /// The name in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::NoShow => "no_show",
            Self::Left => "left",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Transferred => "transferred",
        }
    }

    /// Whether the patient gave up before the service: left, or did not come when called.
    pub fn is_abandoned(self) -> bool {
        matches!(self, Self::Left | Self::NoShow)
    }
}

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Tickets issued, by [`CheckInMethod`].
    Arrived,
    /// Tickets that came from another queue of the location. One bucket.
    Joined,
    /// First calls in a queue, by bucket of the wait before. The sum is of the waits.
    Waited,
    /// Services, by bucket of their length. The sum is of the lengths.
    Served,
    /// Tickets that ended, by [`TicketEnd`].
    Ended,
    /// Appointments that took place, by bucket of their lead time.
    Kept,
    /// Appointments to which nobody came, by bucket of their lead time.
    Missed,
}

impl Measure {
    /// Every measure.
    pub const ALL: [Self; 7] = [
        Self::Arrived,
        Self::Joined,
        Self::Waited,
        Self::Served,
        Self::Ended,
        Self::Kept,
        Self::Missed,
    ];

    /// The name in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Arrived => "arrived",
            Self::Joined => "joined",
            Self::Waited => "waited",
            Self::Served => "served",
            Self::Ended => "ended",
            Self::Kept => "kept",
            Self::Missed => "missed",
        }
    }

    /// The measure of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|measure| measure.as_str() == name)
    }
}

/// Upper bounds of the buckets of waits and services, in minutes. One more bucket has all longer
/// times. The steps are at most a quarter of the time from ten minutes on, which is what people can
/// tell apart. Stored figures count by these bounds, so they never change.
pub const MINUTES: [u32; 24] =
    [1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 18, 22, 26, 30, 35, 40, 50, 60, 75, 90, 120, 180, 240, 480];

/// Upper bounds of the buckets of lead times, in days: less than a day, a week, two weeks, a month,
/// a quarter. One more bucket has all longer times. Stored figures count by them.
pub const LEAD_DAYS: [u32; 5] = [1, 8, 15, 31, 91];

const MINUTE_MS: Millis = 60_000;
const DAY_MS: Millis = 24 * 60 * MINUTE_MS;

/// The bucket of a wait or a service.
pub fn time_bucket(took: Millis) -> u8 {
    bucket(&MINUTES, MINUTE_MS, took)
}

/// The bucket of the time between booking and start of an appointment.
pub fn lead_bucket(lead: Millis) -> u8 {
    bucket(&LEAD_DAYS, DAY_MS, lead)
}

fn bucket(bounds: &[u32], unit: Millis, value: Millis) -> u8 {
    let below = bounds.iter().take_while(|bound| Millis::from(**bound) * unit <= value).count();
    u8::try_from(below).unwrap_or(u8::MAX)
}

/// The time below which a share of the counted times lies, in seconds: interpolated inside of its
/// bucket, so exact to the width of the bucket. A time in the last bucket counts as its lower
/// bound. `None` without times.
pub fn percentile_s(counts: &[i64], share: f64) -> Option<u32> {
    let total: i64 = counts.iter().sum();
    if total <= 0 {
        return None;
    }
    let wanted = share * total as f64;
    let mut below = 0_i64;
    for (index, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        if (below + count) as f64 >= wanted {
            let lower = index.checked_sub(1).map_or(0, |last| MINUTES[last.min(MINUTES.len() - 1)]);
            let upper = MINUTES.get(index).copied().unwrap_or(lower);
            let part = ((wanted - below as f64) / *count as f64).clamp(0.0, 1.0);
            return Some((60.0 * (f64::from(lower) + f64::from(upper - lower) * part)) as u32);
        }
        below += count;
    }
    None
}

/// What is counted, and for which hour, queue and doctor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FigureKey {
    /// The service day of the location, `YYYY-MM-DD`.
    pub day: String,
    /// The hour of the location's clocks, from 0 to 23: when the ticket joined its queue, or when
    /// the appointment was to start.
    pub hour: u8,
    /// The queue. Absent for an appointment without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueId>,
    /// The doctor. Absent for a ticket without an appointment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doctor: Option<DoctorId>,
    /// What is counted.
    pub measure: Measure,
    /// The bucket of the measure.
    pub bucket: u8,
}

/// A count, and the sum of the counted times. An undo counts backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Tally {
    /// The number of counted things.
    pub count: i64,
    /// The sum of their times in milliseconds. 0 for a measure without times.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub total_ms: Millis,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(value: &Millis) -> bool {
    *value == 0
}

impl Tally {
    /// Adds another tally.
    pub fn add(&mut self, other: Self) {
        self.count += other.count;
        self.total_ms += other.total_ms;
    }

    /// The tally that takes this one back.
    #[must_use]
    pub fn negated(self) -> Self {
        Self { count: -self.count, total_ms: -self.total_ms }
    }

    /// Whether nothing is counted.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// A row of the figures, or a change of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figure {
    /// What is counted.
    #[serde(flatten)]
    pub key: FigureKey,
    /// The count.
    #[serde(flatten)]
    pub tally: Tally,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_begin_at_their_bounds() {
        for (took, bucket) in
            [(-5, 0), (0, 0), (59_999, 0), (MINUTE_MS, 1), (480 * MINUTE_MS, 24), (i64::MAX, 24)]
        {
            assert_eq!(time_bucket(took), bucket, "{took}");
        }
        assert_eq!([0, 1, 7, 8, 90, 91].map(|days| lead_bucket(days * DAY_MS)), [0, 1, 1, 2, 4, 5]);
    }

    #[test]
    fn percentiles_of_sums_lie_in_their_buckets() {
        let mut counts = [0_i64; MINUTES.len() + 1];
        assert_eq!(percentile_s(&counts, 0.5), None);
        for minutes in 0..100_i64 {
            counts[usize::from(time_bucket(minutes * MINUTE_MS))] += 1;
        }
        for (share, minutes) in [(0.5, 50), (0.9, 90), (0.95, 95)] {
            let found = percentile_s(&counts, share).unwrap() / 60;
            // The last bucket is half an hour wide and a third of it is in use.
            assert!(found.abs_diff(minutes) <= 10, "{share}: {found}");
        }
        let mut longest = [0_i64; MINUTES.len() + 1];
        longest[MINUTES.len()] = 3;
        assert_eq!(percentile_s(&longest, 0.5), Some(480 * 60));
        // Counts of a newer program, with more buckets.
        let more = [0, 1].repeat(MINUTES.len());
        assert_eq!(percentile_s(&more, 1.0), Some(480 * 60));
    }

    #[test]
    fn names_match_their_json() {
        for method in CheckInMethod::ALL {
            assert_eq!(serde_json::to_value(method).unwrap(), method.as_str());
        }
        for measure in Measure::ALL {
            assert_eq!(serde_json::to_value(measure).unwrap(), measure.as_str());
            assert_eq!(Measure::parse(measure.as_str()), Some(measure));
        }
        assert_eq!(Measure::parse("eaten"), None);
    }

    #[test]
    fn ends_have_names_and_two_are_abandoned() {
        let names = ["completed", "no_show", "left", "cancelled", "expired", "transferred"];
        assert_eq!(TicketEnd::ALL.map(TicketEnd::as_str), names);
        let abandoned = [TicketEnd::NoShow, TicketEnd::Left];
        assert!(TicketEnd::ALL.into_iter().filter(|end| end.is_abandoned()).eq(abandoned));
    }

    #[test]
    fn percentile_is_interpolated_within_its_bucket() {
        // Two services of 4 to 5 minutes and two of 10 to 12.
        let mut counts = [0_i64; MINUTES.len() + 1];
        counts[4] = 2;
        counts[8] = 2;
        for (share, seconds) in [(0.0, 240), (0.25, 270), (0.5, 300), (0.75, 660), (1.0, 720)] {
            assert_eq!(percentile_s(&counts, share), Some(seconds), "{share}");
        }
    }

    #[test]
    fn tally_is_taken_back_by_its_negation() {
        let two = Tally { count: 2, total_ms: 300 };
        let mut sum = Tally { count: 1, total_ms: 40 };
        sum.add(two);
        assert_eq!(sum, Tally { count: 3, total_ms: 340 });
        sum.add(two.negated());
        assert_eq!(sum, Tally { count: 1, total_ms: 40 });
        assert!(!sum.is_empty() && Tally::default().is_empty());
        // Undone, and not at the same speed.
        assert!(!Tally { count: 0, total_ms: 5 }.is_empty());
        let json = |total_ms| serde_json::to_string(&Tally { count: 1, total_ms }).unwrap();
        assert_eq!(json(0), r#"{"count":1}"#);
        assert_eq!(json(40), r#"{"count":1,"total_ms":40}"#);
    }
}
