//! The rule of every rate: the generic cell rate algorithm (ITU-T I.371), which needs one number
//! per client. The same rule decides on a node, in memory for all nodes, and in Redis.

use std::{str::FromStr, time::Duration};

/// Microseconds on a clock that never goes back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// The moment this long after the zero of the clock.
    pub fn from_duration(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
    }
}

/// A number of requests in a window. All of them may be spent at once; they are restored evenly
/// over the window, so that requests of more than a window ago never count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    count: u32,
    window_s: u32,
}

/// The largest count: below it an interval is never less than a microsecond.
const MAX_COUNT: u32 = 1_000_000;

/// The longest window: a day.
const MAX_WINDOW_S: u32 = 24 * 60 * 60;

impl Quota {
    /// `None` when count or window are zero or too large.
    pub const fn new(count: u32, window_s: u32) -> Option<Self> {
        let valid = count >= 1 && count <= MAX_COUNT && window_s >= 1 && window_s <= MAX_WINDOW_S;
        if valid { Some(Self { count, window_s }) } else { None }
    }

    /// Requests in a window.
    pub fn count(self) -> u32 {
        self.count
    }

    /// The window in seconds.
    pub fn window_s(self) -> u32 {
        self.window_s
    }

    /// The window in microseconds.
    pub fn window_micros(self) -> u64 {
        u64::from(self.window_s) * 1_000_000
    }

    /// Microseconds after which one request is restored.
    pub fn interval_micros(self) -> u64 {
        self.window_micros() / u64::from(self.count)
    }

    /// The state of a quota of which `debt_micros` are spent.
    pub fn allowed(self, debt_micros: u64) -> Spent {
        let left = self.window_micros().saturating_sub(debt_micros) / self.interval_micros();
        Spent::Allowed {
            remaining: u32::try_from(left).unwrap_or(u32::MAX).min(self.count),
            full_after: Duration::from_micros(debt_micros),
        }
    }
}

/// Reads `COUNT/SECONDS`.
impl FromStr for Quota {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = "expected COUNT/SECONDS, such as 100/60";
        let (count, window_s) = text.split_once('/').ok_or(bad)?;
        let quota = Self::new(count.parse().map_err(|_| bad)?, window_s.parse().map_err(|_| bad)?);
        quota.ok_or("a count is 1 to 1000000, and a window 1 to 86400 seconds")
    }
}

/// The answer of a rate to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// The request may go on.
    Allowed {
        /// Requests that could follow at once.
        remaining: u32,
        /// Time until the whole quota is back.
        full_after: Duration,
    },
    /// The request must wait.
    Refused {
        /// Time until one request is back.
        retry_after: Duration,
    },
}

/// The spent part of one client's quota.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bucket {
    /// The moment at which the whole quota is back.
    full_at: Moment,
}

impl Bucket {
    /// Spends one request if the quota allows it.
    pub fn spend(&mut self, quota: Quota, now: Moment) -> Spent {
        let debt = self.debt(quota, now) + quota.interval_micros();
        if debt > quota.window_micros() {
            let retry_after = Duration::from_micros(debt - quota.window_micros());
            return Spent::Refused { retry_after };
        }
        self.full_at = Moment(now.0 + debt);
        quota.allowed(debt)
    }

    /// The answer to one more request, which is not spent.
    pub fn peek(mut self, quota: Quota, now: Moment) -> Spent {
        self.spend(quota, now)
    }

    /// Whether the bucket is full, like a new one.
    pub fn is_full(&self, now: Moment) -> bool {
        self.full_at <= now
    }

    /// Microseconds until the whole quota is back. A clock that was set back never makes that
    /// longer than the window.
    fn debt(&self, quota: Quota, now: Moment) -> u64 {
        self.full_at.0.saturating_sub(now.0).min(quota.window_micros())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_duration(Duration::from_secs(seconds))
    }

    #[test]
    fn quota_comes_at_once_and_returns_evenly() {
        let quota = Quota::new(60, 60).unwrap();
        let mut bucket = Bucket::default();
        let mut allowed = |now| {
            (0..1000).filter(|_| matches!(bucket.spend(quota, now), Spent::Allowed { .. })).count()
        };
        for (second, expected) in [(0, 60), (0, 0), (1, 1), (11, 10), (500, 60)] {
            assert_eq!(allowed(at(second)), expected, "at {second} s");
        }
    }

    #[test]
    fn answers_say_what_is_left_and_when_to_return() {
        let quota = Quota::new(3, 30).unwrap();
        let mut bucket = Bucket::default();
        let second = Duration::from_secs(1);
        for (remaining, full_after) in [(2, 10), (1, 20), (0, 30)] {
            let allowed = Spent::Allowed { remaining, full_after: full_after * second };
            assert_eq!(bucket.spend(quota, at(0)), allowed);
        }
        assert_eq!(bucket.peek(quota, at(4)), Spent::Refused { retry_after: 6 * second });
        assert!(matches!(bucket.peek(quota, at(10)), Spent::Allowed { remaining: 0, .. }));
        assert!(bucket.is_full(at(30)) && !bucket.is_full(at(29)));
    }

    #[test]
    fn quota_is_read_as_count_and_seconds() {
        assert_eq!("100/60".parse(), Ok(Quota::new(100, 60).unwrap()));
        for bad in ["", "100", "0/60", "100/0", "1000001/1", "1/86401", "-1/60", "a/b", "1/2/3"] {
            assert!(bad.parse::<Quota>().is_err(), "{bad}");
        }
    }

    proptest! {
        /// Whatever the arrivals, no window has more than the quota twice (a full bucket and what
        /// comes back meanwhile), and a refused client that waits as told is served.
        #[test]
        fn rate_holds_for_any_arrivals(
            count in 1u32..200,
            window_s in 1u32..100,
            gaps in prop::collection::vec(0u64..3_000_000, 1..400),
        ) {
            let quota = Quota::new(count, window_s).unwrap();
            let (mut bucket, mut now, mut served) = (Bucket::default(), 0, Vec::new());
            for gap in gaps {
                now += gap;
                match bucket.spend(quota, Moment(now)) {
                    Spent::Allowed { remaining, .. } => {
                        prop_assert!(remaining < count);
                        served.push(now);
                    }
                    Spent::Refused { retry_after } => {
                        let later = now + retry_after.as_micros() as u64;
                        let answer = bucket.peek(quota, Moment(later));
                        prop_assert!(matches!(answer, Spent::Allowed { .. }), "{:?}", answer);
                    }
                }
            }
            let window = quota.window_micros();
            for (index, start) in served.iter().enumerate() {
                let within = served[index..].iter().take_while(|at| **at - start < window).count();
                prop_assert!(within <= 2 * count as usize, "{within}");
            }
        }
    }
}
