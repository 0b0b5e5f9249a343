//! The fingerprint of a command's content.

use super::Command;
use crate::ids::{Aggregate, AppointmentId, Fingerprint, TicketId, WebhookId};

impl Command {
    /// The fingerprint of the command to `aggregate`, without the random ids that its sender drew
    /// as candidates: a repeat draws others.
    ///
    /// # Panics
    /// Never: every command has a JSON form.
    pub fn fingerprint(&self, aggregate: &Aggregate) -> Fingerprint {
        let stripped = self.without_candidates();
        let json = serde_json::to_vec(stripped.as_ref().unwrap_or(self))
            .expect("a command always has a JSON form");
        Fingerprint::from_parts([aggregate.as_str().as_bytes(), json.as_slice()])
    }

    /// The command with a fixed id in place of a candidate id. `None` when it has none.
    fn without_candidates(&self) -> Option<Self> {
        match self {
            Command::IssueTicket { queue, priority, .. } => Some(Command::IssueTicket {
                queue: queue.clone(),
                ticket: TicketId::from_random(&queue.location(), 0),
                priority: *priority,
            }),
            Command::ReportAppointment { appointment, fact } => Some(Command::ReportAppointment {
                appointment: AppointmentId::from_random(&appointment.location(), 0),
                fact: fact.clone(),
            }),
            Command::CreateWebhook { settings, .. } => Some(Command::CreateWebhook {
                webhook: WebhookId::from_random(0),
                settings: settings.clone(),
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::{LocationId, QueueId, TenantId},
        ticket::Priority,
    };

    fn aggregate(location: &str) -> Aggregate {
        let tenant = TenantId::new("demo").unwrap();
        Aggregate::location(&tenant, &LocationId::new(location).unwrap())
    }

    fn issue(ticket: u128, priority: u8) -> Command {
        let queue = QueueId::new("riverside.general").unwrap();
        let ticket = TicketId::from_random(&queue.location(), ticket);
        Command::IssueTicket { queue, ticket, priority: Priority::new(priority).unwrap() }
    }

    #[test]
    fn candidate_ids_do_not_change_the_fingerprint() {
        let riverside = aggregate("riverside");
        let first = issue(1, 0).fingerprint(&riverside);
        assert_eq!(first, issue(2, 0).fingerprint(&riverside));
        assert_ne!(first, issue(1, 3).fingerprint(&riverside));
        assert_ne!(first, issue(1, 0).fingerprint(&aggregate("north")));
    }

    #[test]
    fn every_kind_with_a_candidate_leaves_it_out() {
        let riverside = aggregate("riverside");
        let location = LocationId::new("riverside").unwrap();
        let booked = |random, revision| Command::ReportAppointment {
            appointment: AppointmentId::from_random(&location, random),
            fact: serde_json::from_value(serde_json::json!({
                "source": "his", "key": "A1", "revision": revision, "status": "booked"
            }))
            .unwrap(),
        };
        let webhook = |random, url: &str| Command::CreateWebhook {
            webhook: WebhookId::from_random(random),
            settings: serde_json::from_value(serde_json::json!({ "url": url })).unwrap(),
        };
        for (first, repeat, other) in [
            (booked(1, 1), booked(2, 1), booked(1, 2)),
            (webhook(1, "https://a.example"), webhook(2, "https://a.example"), webhook(1, "x")),
        ] {
            let [first, repeat, other] =
                [first, repeat, other].map(|it| it.fingerprint(&riverside));
            assert_eq!(first, repeat);
            assert_ne!(first, other);
        }
    }
}
