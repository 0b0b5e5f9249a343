//! When a delivery is tried again, and when a failing webhook rests.

use std::time::Duration;

/// Attempts with one delivery.
pub const MAX_TRIES: u32 = PAUSES.len() as u32 + 1;
/// A delivery that has waited so long is a dead letter, however few attempts it had: a webhook that
/// fails is probed with one delivery at a time. A little longer than all pauses together.
pub const GIVE_UP: Duration = Duration::from_hours(80);
/// How long events, deliveries and dead letters are kept after the event. A dead letter that waited
/// through its attempts is then kept for ten days more.
pub const KEEP: Duration = Duration::from_hours(14 * 24);
/// Deliveries that wait in the queue of one webhook. At 10 a second, a busy site, it fills in three
/// hours, and takes 50 MB. Past it, events become dead letters at once.
pub const MAX_QUEUE: u32 = 100_000;
/// From so many failures in a row on, a webhook gets one delivery at a time, with rests between.
pub const PROBE_FROM: u32 = 5;

/// The pauses between attempts, as Standard Webhooks proposes them: 75 hours together.
const PAUSES: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
    Duration::from_hours(14),
    Duration::from_hours(20),
    Duration::from_hours(24),
];
/// The longest rest of a webhook: a receiver that is back gets its queue within this time.
const LONGEST_REST: Duration = Duration::from_mins(5);
/// The longest pause that a receiver may ask for by `Retry-After`.
pub const LONGEST_ASKED: Duration = Duration::from_hours(24);

/// A fifth more or less, so that the deliveries of an outage do not come back in one wave. `chance`
/// is 0 to 1.
fn spread(pause: Duration, chance: f64) -> Duration {
    pause.mul_f64(0.8 + 0.4 * chance)
}

/// The pause after attempt number `tries`. `None` after the last.
pub fn pause_after(tries: u32, chance: f64) -> Option<Duration> {
    let index = (tries as usize).checked_sub(1)?;
    PAUSES.get(index).map(|pause| spread(*pause, chance))
}

/// The rest of a webhook after so many failures in a row: none before it is probed, then five
/// seconds, and twice as long each time.
pub fn rest_after(failures: u32, chance: f64) -> Duration {
    let Some(beyond) = failures.checked_sub(PROBE_FROM) else { return Duration::ZERO };
    let rest = Duration::from_secs(5).saturating_mul(1 << beyond.min(10));
    spread(rest.min(LONGEST_REST), chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_take_about_three_days() {
        let pauses = |chance| {
            let all = (1..).map_while(|tries| pause_after(tries, chance));
            all.sum::<Duration>().as_secs() / 3600
        };
        assert_eq!((pauses(0.0), pauses(0.5), pauses(1.0)), (60, 75, 90));
        assert!(pause_after(MAX_TRIES - 1, 0.5).is_some() && pause_after(MAX_TRIES, 0.5).is_none());
    }

    #[test]
    fn rests_begin_late_and_stay_short() {
        assert_eq!(rest_after(PROBE_FROM - 1, 0.5), Duration::ZERO);
        assert_eq!(rest_after(PROBE_FROM, 0.5), Duration::from_secs(5));
        assert_eq!(rest_after(PROBE_FROM + 2, 0.5), Duration::from_secs(20));
        assert_eq!(rest_after(u32::MAX, 0.5), LONGEST_REST);
    }
}
