//! Rates: a token bucket of eight bytes (the generic cell rate algorithm, ITU-T I.371).

/// Microseconds on a clock that never goes back, such as those since the start of a shard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Micros(pub u64);

const SECOND: u64 = 1_000_000;

/// How many events are allowed at once, and how many a second in the long run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Events that may come at once.
    pub burst: u32,
    /// Events a second after that.
    pub per_second: u32,
}

impl Rate {
    /// Microseconds that one event costs.
    fn cost(self) -> u64 {
        SECOND / u64::from(self.per_second.max(1))
    }
}

/// The events of one client that a [`Rate`] bounds. A new bucket is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bucket {
    /// The moment at which the bucket is full again.
    full_at: Micros,
}

impl Bucket {
    /// Takes one event from the bucket. Returns whether the rate allows it. A refused event takes
    /// nothing.
    pub fn take(&mut self, rate: Rate, now: Micros) -> bool {
        let full_at = self.full_at.max(now).0 + rate.cost();
        let allowed = full_at - now.0 <= rate.cost() * u64::from(rate.burst);
        if allowed {
            self.full_at = Micros(full_at);
        }
        allowed
    }

    /// Whether the bucket is full, so that it says no more than a new one.
    pub fn is_full(&self, now: Micros) -> bool {
        self.full_at <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3, per_second: 10 };

    fn taken(bucket: &mut Bucket, now_ms: u64) -> usize {
        (0..100).take_while(|_| bucket.take(RATE, Micros(now_ms * 1000))).count()
    }

    #[test]
    fn bucket_refills_up_to_its_burst() {
        let mut bucket = Bucket::default();
        for (now_ms, expected) in [(0, 3), (0, 0), (99, 0), (100, 1), (350, 2), (10_000, 3)] {
            assert_eq!(taken(&mut bucket, now_ms), expected, "at {now_ms} ms");
        }
    }

    #[test]
    fn refused_events_do_not_delay_the_next() {
        let mut bucket = Bucket::default();
        assert_eq!(taken(&mut bucket, 0), 3);
        for _ in 0..1000 {
            assert!(!bucket.take(RATE, Micros(50_000)));
        }
        assert!(bucket.take(RATE, Micros(100_000)));
    }

    #[test]
    fn bucket_is_full_once_all_tokens_are_back() {
        let mut bucket = Bucket::default();
        assert!(bucket.is_full(Micros(0)));
        assert_eq!(taken(&mut bucket, 0), 3);
        assert!(!bucket.is_full(Micros(299_999)));
        assert!(bucket.is_full(Micros(300_000)));
    }
}
