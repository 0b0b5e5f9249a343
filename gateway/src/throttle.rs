//! Keeps a fault that repeats from filling the log: one line per interval, with a count.

use std::time::Duration;

use tokio::time::Instant;

/// Time between two lines about the same fault.
const INTERVAL: Duration = Duration::from_secs(10);

/// Counts occurrences of one fault between its log lines.
#[derive(Default)]
pub struct Throttle {
    logged: Option<Instant>,
    count: u64,
}

impl Throttle {
    /// Adds `count` occurrences. Returns how many there were since the last line if another line is
    /// due. The first is due at once.
    pub fn add(&mut self, count: u64) -> Option<u64> {
        self.count += count;
        let now = Instant::now();
        if self.logged.is_some_and(|logged| now - logged < INTERVAL) {
            return None;
        }
        self.logged = Some(now);
        Some(std::mem::take(&mut self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_per_interval_has_the_count() {
        let mut throttle = Throttle::default();
        assert_eq!(throttle.add(1), Some(1));
        for _ in 0..20_000 {
            assert_eq!(throttle.add(2), None);
        }
        tokio::time::advance(INTERVAL).await;
        assert_eq!(throttle.add(1), Some(40_001));
        assert_eq!(throttle.add(1), None);
    }
}
