//! Decides when a client of Kafka is replaced. After a stall of the broker some clients of
//! librdkafka 2.12.1 stay wedged for ever, with open sockets. Most recover by themselves, so a
//! client is replaced only if it makes no progress although a broker answers others.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{ClientStatus, KafkaCluster, dispose::may_dispose, probe::Probe};

/// Pause between two probes of the brokers, which take at most a second each.
const PROBE_PAUSE: Duration = Duration::from_secs(1);
/// Silence after which a client is replaced although no broker answered the probe: the probe may
/// be wrong. During an outage this replaces each client once a minute.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);
/// A gap between two looks that is longer was a pause of this process, not a silence of Kafka.
const OWN_PAUSE: Duration = Duration::from_secs(3);

/// When one kind of client is replaced.
#[derive(Debug, Clone, Copy)]
pub struct WatchdogLimits {
    /// Silence after which the brokers are probed.
    pub silence: Duration,
    /// How long a broker must have answered probes, without progress of the client: the time that
    /// a sound client takes to recover.
    pub recovery: Duration,
}

/// Watches one client through its status.
pub struct Watchdog {
    status: Arc<ClientStatus>,
    limits: WatchdogLimits,
    probe: Probe,
    timer: Timer,
}

impl Watchdog {
    /// A watchdog over the client with this status.
    pub fn new(cluster: &KafkaCluster, status: Arc<ClientStatus>, limits: WatchdogLimits) -> Self {
        let timer = Timer::new(Instant::now());
        Self { status, limits, probe: Probe::new(cluster), timer }
    }

    /// Whether the client must be replaced now. Call it at least once in three seconds. A call may
    /// take a second while the client is silent.
    pub fn must_replace(&mut self) -> bool {
        let now = Instant::now();
        if let Some(pause) = self.timer.own_pause(now) {
            self.status.forgive(pause);
        }
        let mut step = self.timer.look(self.limits, self.status.silence(), now);
        if step == Step::Probe {
            let answered = self.probe.is_answered();
            let now = Instant::now();
            step = self.timer.probed(self.limits, answered, now);
        }
        // The client keeps its place when too many others have not ended: threads and memory are
        // bounded, and readiness says that the client fails.
        let must = step == Step::Replace && may_dispose();
        if must {
            self.timer.replaced(Instant::now());
            self.status.count_replacement();
        }
        must
    }

    /// Whether a broker answered the last probe of a silent client.
    pub fn broker_answers(&self) -> bool {
        self.timer.answers_since.is_some()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Wait,
    Probe,
    Replace,
}

/// The rules without clocks and sockets.
struct Timer {
    looked_at: Instant,
    /// When the current client was created.
    created_at: Instant,
    probe_at: Instant,
    /// The first of the answered probes since the client fell silent.
    answers_since: Option<Instant>,
}

impl Timer {
    fn new(now: Instant) -> Self {
        Self { looked_at: now, created_at: now, probe_at: now, answers_since: None }
    }

    /// The length of a pause of this process that ends now.
    fn own_pause(&mut self, now: Instant) -> Option<Duration> {
        let gap = now.saturating_duration_since(std::mem::replace(&mut self.looked_at, now));
        (gap > OWN_PAUSE).then_some(gap)
    }

    fn look(&mut self, limits: WatchdogLimits, silence: Duration, now: Instant) -> Step {
        // A client that was just created cannot have been silent for longer.
        let silence = silence.min(now.saturating_duration_since(self.created_at));
        if silence < limits.silence {
            self.answers_since = None;
            return Step::Wait;
        }
        if silence >= LONGEST_SILENCE {
            return Step::Replace;
        }
        if now < self.probe_at { Step::Wait } else { Step::Probe }
    }

    fn probed(&mut self, limits: WatchdogLimits, answered: bool, now: Instant) -> Step {
        self.looked_at = now;
        self.probe_at = now + PROBE_PAUSE;
        if !answered {
            self.answers_since = None;
            return Step::Wait;
        }
        let since = *self.answers_since.get_or_insert(now);
        if now.saturating_duration_since(since) >= limits.recovery {
            return Step::Replace;
        }
        Step::Wait
    }

    fn replaced(&mut self, now: Instant) {
        *self = Self { answers_since: self.answers_since, ..Self::new(now) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: WatchdogLimits =
        WatchdogLimits { silence: Duration::from_secs(5), recovery: Duration::from_secs(3) };

    /// Looks once a second. The client falls silent at second 10 and the broker answers probes as
    /// told. Returns the seconds at which the client was replaced.
    fn replacements(seconds: u64, answers: impl Fn(u64) -> bool) -> Vec<u64> {
        let begin = Instant::now();
        let mut timer = Timer::new(begin);
        let mut replaced = Vec::new();
        for second in 0..seconds {
            let now = begin + Duration::from_secs(second);
            assert_eq!(timer.own_pause(now), None);
            let silence = Duration::from_secs(second.saturating_sub(10));
            let step = match timer.look(LIMITS, silence, now) {
                Step::Probe => timer.probed(LIMITS, answers(second), now),
                step => step,
            };
            if step == Step::Replace {
                timer.replaced(now);
                replaced.push(second);
            }
        }
        replaced
    }

    #[test]
    fn client_is_kept_while_no_broker_answers() {
        assert_eq!(replacements(60, |_| false), [] as [u64; 0]);
    }

    #[test]
    fn wedged_client_is_replaced_soon_after_a_stall() {
        // The broker answers again at second 40.
        assert_eq!(replacements(44, |second| second >= 40), [43]);
    }

    #[test]
    fn short_stall_is_noticed_after_the_silence() {
        assert_eq!(replacements(19, |_| true), [18], "5 s of silence, 3 s of answers");
    }

    #[test]
    fn replacements_that_fail_are_paced() {
        let all = replacements(60, |_| true);
        assert!(all.windows(2).all(|pair| pair[1] - pair[0] >= 5), "{all:?}");
    }

    #[test]
    fn probe_that_never_succeeds_delays_for_a_minute() {
        assert_eq!(replacements(140, |_| false), [70, 130]);
    }

    #[test]
    fn pause_of_the_process_is_no_silence() {
        let begin = Instant::now();
        let mut timer = Timer::new(begin);
        let pause = Duration::from_secs(60);
        assert_eq!(timer.own_pause(begin + pause), Some(pause));
        assert_eq!(timer.own_pause(begin + pause + Duration::from_secs(1)), None);
    }
}
