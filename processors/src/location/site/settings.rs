//! The limits of a location's settings, and the calculation of its service days.

use std::sync::LazyLock;

use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, Time},
    tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase},
};
use schemas::{Millis, codes::Code};

pub use schemas::bounds::{
    MAX_CHECK_IN_POINTS, MAX_DISPLAYS, MAX_DOCTORS, MAX_LANGUAGES, MAX_MESSAGES, MAX_QUEUES,
    MAX_STATIONS, MAX_TICKETS, QUEUE_TICKETS, SERVICE_S,
};
pub(crate) use schemas::bounds::{check_languages, check_prefix, check_text};

/// The bundled database instead of the machine's own: every processor must compute the same days.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

pub(crate) fn check_zone(name: &str) -> Result<(), Code> {
    ZONES.get(name).map(drop).map_err(|_| Code::InvalidValue)
}

/// The time zone with this name. Names are checked before they are stored, and the database only
/// grows. Before the location is configured, the zone is UTC.
pub(crate) fn zone_or_utc(name: &str) -> TimeZone {
    ZONES.get(name).unwrap_or(TimeZone::UTC)
}

/// Limits an append time to the range of the calendar: Kafka uses -1 for "none".
pub(crate) fn plausible(at: Millis) -> Millis {
    at.clamp(0, Timestamp::MAX.as_millisecond())
}

/// The service day at `at` as `YYYY-MM-DD`, a text that sorts by date. The day starts `start_min`
/// minutes after local midnight of its date. When a clock change skips that time, the day starts at
/// the first moment after it.
pub(crate) fn service_day(zone: &TimeZone, start_min: u16, at: Millis) -> String {
    let now = Timestamp::from_millisecond(at).unwrap_or(Timestamp::MAX);
    let date = zone.to_datetime(now).date();
    let begun = start_of(zone, start_min, date) <= at;
    if begun { date } else { date.yesterday().unwrap_or(date) }.to_string()
}

/// The service day at `at`, and the hour that the location's clocks show then.
pub(crate) fn service_hour(zone: &TimeZone, start_min: u16, at: Millis) -> (String, u8) {
    let now = Timestamp::from_millisecond(at).unwrap_or(Timestamp::MAX);
    let hour = u8::try_from(zone.to_datetime(now).hour()).unwrap_or_default();
    (service_day(zone, start_min, at), hour)
}

/// The moment when the service day starts.
pub(crate) fn day_start(zone: &TimeZone, start_min: u16, day: &str) -> Millis {
    day.parse::<Date>().map_or(0, |date| start_of(zone, start_min, date))
}

/// The moment when the service day ends and the next one starts.
pub(crate) fn day_end(zone: &TimeZone, start_min: u16, day: &str) -> Millis {
    let next = day.parse::<Date>().and_then(Date::tomorrow);
    next.map_or(Millis::MAX, |next| start_of(zone, start_min, next))
}

/// The first moment at which clocks show this minute of the date, or a later one if they skip it.
/// A minute that clocks show twice starts the day at its first time.
fn start_of(zone: &TimeZone, start_min: u16, date: Date) -> Millis {
    let minute = Time::midnight().saturating_add(SignedDuration::from_mins(i64::from(start_min)));
    let start = zone.to_ambiguous_timestamp(date.to_datetime(minute));
    let first = match start.offset() {
        // Read with the offset after the gap, a skipped time is a moment before the change.
        AmbiguousOffset::Gap { .. } => start.earlier().map(|before| {
            zone.following(before).next().map_or(before, |change| change.timestamp())
        }),
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => start.earlier(),
    };
    first.unwrap_or(Timestamp::MAX).as_millisecond()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    const MINUTE: Millis = 60_000;

    /// The first minute, from two days before the date on, at which clocks show the start or more.
    fn first_minute(zone: &TimeZone, start_min: u16, date: Date) -> Millis {
        let start =
            date.to_datetime(Time::midnight()) + SignedDuration::from_mins(i64::from(start_min));
        let shown = |at: Millis| zone.to_datetime(Timestamp::from_millisecond(at).unwrap());
        let noon = zone.to_timestamp((date - jiff::Span::new().days(2)).at(12, 0, 0, 0)).unwrap();
        let mut minutes = (0..).map(|n| noon.as_millisecond() + n * MINUTE);
        minutes.find(|at| shown(*at) >= start).unwrap()
    }

    /// Both changes of a year, in zones that change at night, at midnight and by half an hour.
    #[test]
    fn day_starts_at_first_minute_that_clocks_show() {
        for (zone, dates) in [
            ("America/Montreal", [date(2026, 3, 8), date(2026, 11, 1)]),
            ("Europe/Paris", [date(2026, 3, 29), date(2026, 10, 25)]),
            ("America/Havana", [date(2026, 3, 8), date(2026, 11, 1)]),
            ("Africa/Cairo", [date(2026, 4, 24), date(2026, 10, 30)]),
            ("Australia/Lord_Howe", [date(2026, 4, 5), date(2026, 10, 4)]),
            ("Pacific/Apia", [date(2011, 12, 30), date(2011, 12, 31)]),
        ] {
            let named = zone_or_utc(zone);
            for date in dates {
                for start_min in (0..12 * 60).step_by(15) {
                    let start = start_of(&named, start_min, date);
                    let context = format!("{zone}, {date}, minute {start_min}");
                    assert_eq!(start, first_minute(&named, start_min, date), "{context}");
                    let next = start_of(&named, start_min, date.tomorrow().unwrap());
                    assert!(start <= next, "{context}: days follow each other");
                }
            }
        }
    }
}
