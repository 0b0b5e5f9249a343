//! The share of a core that a check gets, for budgets that do not count the time of other programs.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// The share of a core that a check has got in its steps so far. Asking the system once for each
/// step costs nothing; once for each rule and row would cost a tenth of the check.
#[derive(Debug, Default)]
pub(super) struct CoreShare {
    worked: Duration,
    passed: Duration,
}

/// The clocks at the start of a step. A step stays on its thread, and two steps need not.
pub(super) struct StepClock {
    worked: Duration,
    at: Instant,
}

impl StepClock {
    pub fn start() -> Self {
        Self { worked: thread_time(), at: Instant::now() }
    }
}

impl CoreShare {
    #[cfg(test)]
    pub fn new(worked: Duration, passed: Duration) -> Self {
        Self { worked, passed }
    }

    /// Adds a step that ends now.
    pub fn add(&mut self, step: &StepClock) {
        self.worked += thread_time().saturating_sub(step.worked);
        self.passed += step.at.elapsed();
    }

    /// The part of this time in which the check had a core. All of it during the first step.
    pub fn of(&self, time: Duration) -> Duration {
        if self.passed.is_zero() {
            return time;
        }
        let share = self.worked.as_secs_f64() / self.passed.as_secs_f64();
        time.mul_f64(share.min(1.0))
    }
}

/// The time for which this thread has had a core.
fn thread_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_of_others_does_not_count() {
        let minute = Duration::from_secs(60);
        assert_eq!(CoreShare::default().of(minute), minute);
        let tenth = CoreShare::new(Duration::from_secs(1), Duration::from_secs(10));
        assert_eq!(tenth.of(minute), Duration::from_secs(6));
        // The two clocks tick apart.
        let more = CoreShare::new(Duration::from_secs(2), Duration::from_secs(1));
        assert_eq!(more.of(minute), minute);
    }

    #[test]
    fn thread_that_waits_does_not_work() {
        let (mut share, waiting) = (CoreShare::default(), StepClock::start());
        // To sleep is what the test is about: the clock of the thread must stand still.
        std::thread::sleep(Duration::from_millis(50));
        share.add(&waiting);
        assert!(share.passed >= Duration::from_millis(50));
        assert!(share.worked < share.passed, "{share:?}");
    }

    #[test]
    fn thread_that_works_has_a_core() {
        let started = thread_time();
        // Some milliseconds, and an end for a clock that stands still.
        let still = (0..10_000_000).take_while(|_| thread_time() <= started).count();
        assert!(thread_time() > started, "after {still} questions");
    }
}
