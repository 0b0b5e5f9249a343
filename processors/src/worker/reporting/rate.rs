//! A smoothed rate.

use std::time::Duration;

/// The memory of the average in seconds: after this time, a sample has lost two thirds of its
/// weight.
const MEMORY: f64 = 2.0;
/// Progress within less than this counts towards the next sample, because steps of a millisecond
/// say little.
const SAMPLE: Duration = Duration::from_millis(100);

/// The speed of a growing value: an average whose weights fall with age.
#[derive(Debug, Clone, Copy, Default)]
pub struct SmoothedRate {
    /// The time of the last sample.
    at: Duration,
    /// The value at the last sample.
    reached: f64,
    per_second: Option<f64>,
}

impl SmoothedRate {
    pub fn reach(&mut self, now: Duration, reached: f64) {
        let passed = now.saturating_sub(self.at);
        if passed < SAMPLE {
            return;
        }
        let seconds = passed.as_secs_f64();
        let now_per_second = (reached - self.reached).max(0.0) / seconds;
        let kept = (-seconds / MEMORY).exp();
        self.per_second = Some(
            self.per_second
                .map_or(now_per_second, |held| held * kept + now_per_second * (1.0 - kept)),
        );
        (self.at, self.reached) = (now, reached);
    }

    /// The rate, or 0 before the first sample.
    pub fn per_second(&self) -> f64 {
        self.per_second.unwrap_or_default()
    }
}
