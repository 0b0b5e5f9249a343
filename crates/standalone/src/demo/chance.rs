//! Seeded random numbers, in the distributions of a clinic's day.

/// A generator: the same seed gives the same day.
#[derive(Debug)]
pub(super) struct Chance(fastrand::Rng);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// Returns true with this probability.
    pub(super) fn happens(&mut self, probability: f64) -> bool {
        self.0.f64() < probability
    }

    /// A number evenly between the two.
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.0.f64()
    }

    /// The gap to the next arrival of a Poisson stream.
    pub(super) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * self.positive().ln()
    }

    pub(super) fn log_normal(&mut self, median: f64, sigma: f64) -> f64 {
        median * (sigma * self.normal()).exp()
    }

    /// An integer below `count`, evenly.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0.usize(..end)
    }

    pub(super) fn bits(&mut self) -> u128 {
        self.0.u128(..)
    }

    /// A standard normal number (Box and Muller).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.positive().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.0.f64()).cos()
    }

    /// A number in (0, 1], so that its logarithm is finite.
    fn positive(&mut self) -> f64 {
        1.0 - self.0.f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quantiles of log-normal(median 12.1, sigma 0.44), which fits measured consultations: 12.1,
    /// 21.3, 25.0.
    #[test]
    fn consultations_have_the_measured_quantiles() {
        let mut chance = Chance::new(7);
        let mut minutes: Vec<f64> = (0..40_000).map(|_| chance.log_normal(12.1, 0.44)).collect();
        minutes.sort_by(f64::total_cmp);
        for (rank, expected) in [(0.5, 12.1), (0.9, 21.27), (0.95, 24.95)] {
            let found = minutes[(minutes.len() as f64 * rank) as usize];
            assert!(
                (found / expected - 1.0).abs() < 0.03,
                "quantile {rank}: {found}, not {expected}"
            );
        }
    }

    #[test]
    fn arrival_gaps_are_memoryless_with_their_mean() {
        let mut chance = Chance::new(7);
        let gaps: Vec<f64> = (0..40_000).map(|_| chance.exponential(4.0)).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        assert!((mean / 4.0 - 1.0).abs() < 0.03, "{mean}");
        let longer = gaps.iter().filter(|gap| **gap > 4.0).count() as f64 / gaps.len() as f64;
        assert!((longer - (-1.0_f64).exp()).abs() < 0.01, "{longer}");
    }
}
