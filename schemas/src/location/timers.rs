//! The timers of a location, which end tickets, appointments and service days.

use serde::{Deserialize, Serialize};

/// The timers of a location. Each has a default that suits most clinics, so a location names only
/// what differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Timers {
    /// Seconds that an absent patient has to come back before the ticket becomes a no-show. 900 by
    /// default.
    #[cfg_attr(any(test, feature = "json-schema"), schemars(range(min = 10, max = WEEK_S)))]
    pub absent_grace_s: u32,
    /// Seconds without a change after which a ticket ends: a patient in service counts as served,
    /// any other patient as gone. 28,800 (8 hours) by default.
    #[cfg_attr(any(test, feature = "json-schema"), schemars(range(min = 10, max = WEEK_S)))]
    pub stale_s: u32,
    /// Seconds before the start of an appointment from which its patient can check in. 1,800 (30
    /// minutes) by default.
    #[cfg_attr(any(test, feature = "json-schema"), schemars(range(max = WEEK_S)))]
    pub check_in_early_s: u32,
    /// Seconds from the start of an appointment until check-in ends, and until an appointment that
    /// nobody checked in becomes a no-show. 7,200 (2 hours) by default.
    #[cfg_attr(any(test, feature = "json-schema"), schemars(range(min = 10, max = WEEK_S)))]
    pub no_show_s: u32,
    /// Seconds after its start in which a patient who checks in late still keeps the turn of the
    /// appointment, where a location calls by appointment. 900 by default, at most a day.
    #[cfg_attr(any(test, feature = "json-schema"), schemars(range(max = DAY_S)))]
    pub call_grace_s: u32,
    /// Seconds that a move to another location may go unanswered until the person is back in line.
    /// 60 by default: longer than a restart of a processor takes.
    #[cfg_attr(any(test, feature = "json-schema"), schemars(range(min = 10, max = WEEK_S)))]
    pub handover_s: u32,
    /// Minutes from local midnight to the start of a service day. 0 by default.
    #[cfg_attr(any(test, feature = "json-schema"), schemars(range(max = MAX_DAY_START)))]
    pub day_start_min: u16,
    /// Whether tickets end with their service day. True by default; false where people wait through
    /// the night.
    pub day_ends_tickets: bool,
    /// How many people a waiting patient may let go first at once (`ticket.yield`). 3 by default,
    /// at most 20; 0 where patients may not move back.
    #[cfg_attr(any(test, feature = "json-schema"), schemars(range(max = MAX_YIELD_PLACES)))]
    pub yield_places: u32,
    /// How often one ticket may do so. 2 by default.
    pub yield_times: u32,
    /// Most people ahead of a waiting patient whose turn counts as near: then the alert is sent. 2
    /// by default, at most 20.
    #[cfg_attr(any(test, feature = "json-schema"), schemars(range(max = MAX_ALERT_PLACES)))]
    pub alert_places: u32,
}

const DAY_S: u32 = 24 * 60 * 60;
const WEEK_S: u32 = 7 * DAY_S;
/// The latest start of a service day, in minutes from midnight: before noon.
const MAX_DAY_START: u16 = 12 * 60 - 1;
/// Most people that one patient may let go first at once: each of their tickets changes in the same
/// step.
const MAX_YIELD_PLACES: u32 = 20;
/// Most people ahead of a patient whose turn is near: each step looks at as many of a line.
const MAX_ALERT_PLACES: u32 = 20;

impl Default for Timers {
    fn default() -> Self {
        Self {
            absent_grace_s: 15 * 60,
            stale_s: 8 * 60 * 60,
            check_in_early_s: 30 * 60,
            no_show_s: 2 * 60 * 60,
            call_grace_s: 15 * 60,
            handover_s: 60,
            day_start_min: 0,
            day_ends_tickets: true,
            yield_places: 3,
            yield_times: 2,
            alert_places: 2,
        }
    }
}

impl Timers {
    /// Whether every value is plausible: seconds from ten to a week (check-in may also begin only
    /// at the start of an appointment), a grace of at most a day, a day that starts before
    /// noon, and at most 20 people to let go first and ahead of an alert.
    pub fn are_plausible(&self) -> bool {
        [self.absent_grace_s, self.stale_s, self.no_show_s, self.handover_s]
            .iter()
            .all(|seconds| (10..=WEEK_S).contains(seconds))
            && self.call_grace_s <= DAY_S
            && self.check_in_early_s <= WEEK_S
            && self.day_start_min <= MAX_DAY_START
            && self.yield_places <= MAX_YIELD_PLACES
            && self.alert_places <= MAX_ALERT_PLACES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_has_its_bounds() {
        type Field = fn(&mut Timers) -> &mut u32;
        let plausible = |change: &dyn Fn(&mut Timers)| {
            let mut timers = Timers::default();
            change(&mut timers);
            timers.are_plausible()
        };
        assert!(plausible(&|_| {}));
        let seconds: [(Field, u32, u32); 6] = [
            (|timers| &mut timers.absent_grace_s, 10, WEEK_S),
            (|timers| &mut timers.stale_s, 10, WEEK_S),
            (|timers| &mut timers.no_show_s, 10, WEEK_S),
            (|timers| &mut timers.handover_s, 10, WEEK_S),
            (|timers| &mut timers.call_grace_s, 0, DAY_S),
            (|timers| &mut timers.check_in_early_s, 0, WEEK_S),
        ];
        for (index, (field, least, most)) in seconds.into_iter().enumerate() {
            assert!(plausible(&|timers| *field(timers) = least), "{index}");
            assert!(plausible(&|timers| *field(timers) = most), "{index}");
            assert!(!plausible(&|timers| *field(timers) = most + 1), "{index}");
            let below = least.checked_sub(1);
            let is_good = below.is_some_and(|below| plausible(&|timers| *field(timers) = below));
            assert!(!is_good, "{index}");
        }
        for (day_start_min, expected) in [(MAX_DAY_START, true), (MAX_DAY_START + 1, false)] {
            assert_eq!(plausible(&|timers| timers.day_start_min = day_start_min), expected);
        }
        for (yields, expected) in [(MAX_YIELD_PLACES, true), (MAX_YIELD_PLACES + 1, false)] {
            assert_eq!(plausible(&|timers| timers.yield_places = yields), expected);
        }
        for (alert, expected) in [(MAX_ALERT_PLACES, true), (MAX_ALERT_PLACES + 1, false)] {
            assert_eq!(plausible(&|timers| timers.alert_places = alert), expected);
        }
    }
}
