//! Views that change more often than anybody can read are shown at most so often. A step that comes too early
//! waits, merged with those that follow it, behind a mark that a timer flushes: the last change always arrives.

use std::time::Duration;

use schemas::channel::Channel;
use tokio::time::Instant;

use super::{
    Shard,
    sources::{hot, hot_mut},
};

/// The shortest time between two steps of a channel's view: the one place that says which kinds are paced. A location's
/// load moves with every move of every ticket; a dashboard's eye wants no more than one picture a second.
fn least_between(channel: &Channel) -> Option<Duration> {
    match channel {
        Channel::Load(_) => Some(Duration::from_secs(1)),
        _ => None,
    }
}

/// A view's place in time.
#[derive(Default)]
pub struct Pace {
    /// When its listeners were last sent a step.
    sent: Option<Instant>,
    /// Whether the steps since then hold one that may not wait.
    urgent: bool,
}

impl Pace {
    /// The steps not sent yet may not wait.
    pub fn hurry(&mut self) {
        self.urgent = true;
    }

    /// Until when the channel's listeners have to wait for their next step; `None` when they need not.
    fn waits_until(&self, channel: &Channel, now: Instant) -> Option<Instant> {
        let until = self.sent? + least_between(channel)?;
        (!self.urgent && until > now).then_some(until)
    }

    fn sent(&mut self, now: Instant) {
        *self = Self { sent: Some(now), urgent: false };
    }
}

impl Shard {
    /// Whether the step of a changed view is to be sent now. If it is not, the view is marked for later, and only those
    /// who were not answered yet are served.
    pub(super) fn keeps_pace(&mut self, index: u32) -> bool {
        let now = Instant::now();
        let Some(view) = hot_mut(&mut self.sources, index) else { return false };
        let Some(until) = view.pace.waits_until(&view.channel, now) else {
            if view.step.is_some() {
                view.pace.sent(now);
            }
            return true;
        };
        self.delayed.insert((until, index));
        let listeners =
            hot(&self.sources, index).map(|view| view.listeners.clone()).unwrap_or_default();
        for (id, slot) in listeners {
            self.answer(id, slot as usize);
        }
        false
    }

    /// When the next delayed view is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.delayed.first().map(|(due, _)| *due)
    }

    /// Marks the delayed views that are due by now as changed. A mark may be stale: its view went out early since, or
    /// is gone, and then the sweep finds nothing to send.
    pub(super) fn take_due(&mut self) {
        let now = Instant::now();
        while let Some((_, index)) = self.delayed.first().filter(|(due, _)| *due <= now).copied() {
            self.delayed.pop_first();
            self.changed.push(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load() -> Channel {
        Channel::parse("load:riverside").unwrap()
    }

    #[test]
    fn only_a_locations_load_is_paced() {
        for kind in Channel::KINDS {
            let id = match kind {
                "load" | "board" => "riverside".to_owned(),
                "queue" => "riverside.general".to_owned(),
                "schedule" => "riverside/dr-a".to_owned(),
                "run" => continue, // its worker tells how far it is four times a second at most
                _ => format!("riverside.{:032x}", 1),
            };
            let channel =
                Channel::parse(&format!("{kind}:{id}")).unwrap_or_else(|_| panic!("{kind}:{id}"));
            assert_eq!(least_between(&channel).is_some(), kind == "load", "{kind}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_waits_for_the_rest_of_its_second_unless_it_is_urgent() {
        let mut pace = Pace::default();
        let began = Instant::now();
        let second = began + Duration::from_secs(1);
        assert_eq!(pace.waits_until(&load(), began), None, "the first waits for nothing");
        pace.sent(began);
        tokio::time::advance(Duration::from_millis(999)).await;
        assert_eq!(pace.waits_until(&load(), Instant::now()), Some(second));
        let board = Channel::parse("board:riverside").unwrap();
        assert_eq!(pace.waits_until(&board, Instant::now()), None);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(pace.waits_until(&load(), Instant::now()), None);
        pace.sent(Instant::now());
        pace.hurry();
        assert_eq!(pace.waits_until(&load(), Instant::now()), None);
        pace.sent(Instant::now());
        assert!(
            pace.waits_until(&load(), Instant::now()).is_some(),
            "what was urgent has been sent"
        );
    }
}
