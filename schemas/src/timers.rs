//! When things at a location end by themselves.

use serde::{Deserialize, Serialize};

/// A location's timers. Each has the value most clinics want, so that a location may name only what is different there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Timers {
    /// Seconds an absent patient may take to come back; then the ticket is a no-show.
    pub absent_grace_s: u32,
    /// Seconds a ticket may stand unmoved (waiting, called or on hold) before its patient counts as gone.
    pub stale_s: u32,
    /// Seconds after its start until an appointment nobody checked in is a no-show.
    pub no_show_s: u32,
    /// Minutes after local midnight at which a service day begins.
    pub day_start_min: u16,
    /// Whether tickets end with their service day. Not where people wait through the night.
    pub day_ends_tickets: bool,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            absent_grace_s: 15 * 60,
            stale_s: 8 * 60 * 60,
            no_show_s: 2 * 60 * 60,
            day_start_min: 0,
            day_ends_tickets: true,
        }
    }
}

impl Timers {
    /// Whether each is within what can be meant: seconds from ten to a week, and a day that begins before noon.
    pub fn are_plausible(&self) -> bool {
        const SECONDS: std::ops::RangeInclusive<u32> = 10..=7 * 24 * 60 * 60;
        [self.absent_grace_s, self.stale_s, self.no_show_s]
            .iter()
            .all(|seconds| SECONDS.contains(seconds))
            && self.day_start_min < 12 * 60
    }
}
