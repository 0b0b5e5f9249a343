//! A smoothed rate.

use std::time::Duration;

/// How long the past counts: after this time it has lost two thirds of its weight.
const MEMORY: f64 = 2.0;
/// Progress within less than this is one sample with what follows: steps of a millisecond say little.
const SAMPLE: Duration = Duration::from_millis(100);

/// How fast something grows: an average whose weights fall with age.
#[derive(Debug, Clone, Copy, Default)]
pub struct SmoothedRate {
    /// When it was how much, at the last sample.
    at: Duration,
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

    /// 0 before the first sample.
    pub fn per_second(&self) -> f64 {
        self.per_second.unwrap_or_default()
    }
}
