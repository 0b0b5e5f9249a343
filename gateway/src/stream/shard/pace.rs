//! Pacing: a view that changes faster than a person can read has a shortest time between two
//! frames. A step that comes too early waits, merged with the steps after it, until a timer sends
//! it: the last change always arrives.

use std::time::Duration;

use schemas::channel::Channel;
use tokio::time::Instant;

/// Whether steps of a channel's view may be held back on purpose.
pub fn is_paced(channel: &Channel) -> bool {
    least_between(channel).is_some()
}

/// The shortest time between two steps of a channel's view. A location's dashboard changes with
/// every move of every ticket, and a person reads at most one picture a second.
fn least_between(channel: &Channel) -> Option<Duration> {
    match channel {
        Channel::Load(_) => Some(Duration::from_secs(1)),
        _ => None,
    }
}

/// The pace of one view.
#[derive(Default)]
pub struct Pace {
    /// When its listeners were last sent a step.
    sent: Option<Instant>,
    /// Whether one of the steps since then is urgent.
    urgent: bool,
}

impl Pace {
    /// Lets the next step go out at once.
    pub fn hurry(&mut self) {
        self.urgent = true;
    }

    /// Until when the next step has to wait, if it has to.
    pub fn waits_until(&self, channel: &Channel, now: Instant) -> Option<Instant> {
        let until = self.sent? + least_between(channel)?;
        (!self.urgent && until > now).then_some(until)
    }

    /// Records that a step is sent at `now`.
    pub fn step_sent(&mut self, now: Instant) {
        *self = Self { sent: Some(now), urgent: false };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dashboard() -> Channel {
        Channel::parse("load:riverside").unwrap()
    }

    #[test]
    fn only_dashboards_are_paced() {
        for kind in Channel::KINDS {
            let id = match kind {
                "load" | "board" | "settings" => "riverside".to_owned(),
                "queue" => "riverside.general".to_owned(),
                "schedule" => "riverside/dr-a".to_owned(),
                "run" => continue, // its worker reports progress at most four times a second
                _ => format!("riverside.{:032x}", 1),
            };
            let channel =
                Channel::parse(&format!("{kind}:{id}")).unwrap_or_else(|_| panic!("{kind}:{id}"));
            assert_eq!(is_paced(&channel), kind == "load", "{kind}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn step_waits_out_its_second_unless_urgent() {
        let mut pace = Pace::default();
        let start = Instant::now();
        let second = start + Duration::from_secs(1);
        assert_eq!(pace.waits_until(&dashboard(), start), None, "the first step does not wait");
        pace.step_sent(start);
        tokio::time::advance(Duration::from_millis(999)).await;
        assert_eq!(pace.waits_until(&dashboard(), Instant::now()), Some(second));
        let board = Channel::parse("board:riverside").unwrap();
        assert_eq!(pace.waits_until(&board, Instant::now()), None);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(pace.waits_until(&dashboard(), Instant::now()), None);
        pace.step_sent(Instant::now());
        pace.hurry();
        assert_eq!(pace.waits_until(&dashboard(), Instant::now()), None);
        pace.step_sent(Instant::now());
        assert!(
            pace.waits_until(&dashboard(), Instant::now()).is_some(),
            "the urgent step has been sent"
        );
    }
}
