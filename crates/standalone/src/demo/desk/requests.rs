//! Converts each command to a request of the HTTP API.

use hyper::Method;
use jiff::Timestamp;
use schemas::{
    Millis, appointment::AppointmentFact, appointment_report::AppointmentReport, command::Command,
    ids::LocationId,
};
use serde_json::{Value, json};

/// The request of a command: method, path and body.
pub(super) fn request_of(location: &LocationId, command: &Command) -> (Method, String, Value) {
    use Command as C;
    match command {
        C::ConfigureLocation {
            name,
            time_zone,
            languages,
            timers,
            bands,
            call_order,
            address,
            ..
        } => (
            Method::PUT,
            format!("/v1/locations/{location}"),
            json!({
                "name": name, "time_zone": time_zone, "languages": languages, "timers": timers,
                "bands": bands, "call_order": call_order, "address": address,
            }),
        ),
        C::ConfigureQueue { queue, name, prefix, service_s, max_tickets, .. } => {
            let mut body = json!({"name": name, "prefix": prefix});
            if let Some(service_s) = service_s {
                body["service_s"] = (*service_s).into();
            }
            if let Some(max_tickets) = max_tickets {
                body["max_tickets"] = (*max_tickets).into();
            }
            (Method::PUT, format!("/v1/queues/{queue}"), body)
        }
        C::ConfigureStation { station, name, queues, .. } => (
            Method::PUT,
            format!("/v1/stations/{station}"),
            json!({"name": name, "queues": queues}),
        ),
        C::OpenStation { station } => {
            (Method::POST, format!("/v1/stations/{station}/open"), json!({}))
        }
        C::CloseStation { station } => {
            (Method::POST, format!("/v1/stations/{station}/close"), json!({}))
        }
        C::ReportAppointment { fact, .. } => {
            (Method::POST, "/v1/appointments".to_owned(), json!(report_of(location, fact)))
        }
        C::CheckIn { appointment, queue } => {
            let mut body = json!({"appointment": appointment});
            if let Some(queue) = queue {
                body["queue"] = json!(queue);
            }
            (Method::POST, "/v1/check-ins".to_owned(), body)
        }
        C::CallNextAtStation { station, force } => {
            (Method::POST, format!("/v1/stations/{station}/call-next"), json!({"force": force}))
        }
        C::RemoveQueue { queue, move_to } => {
            let to = move_to.as_ref().map_or(String::new(), |to| format!("?move_to={to}"));
            (Method::DELETE, format!("/v1/queues/{queue}{to}"), json!({}))
        }
        C::PutRule { rule, .. } => {
            let mut body = json!(rule);
            body.as_object_mut().expect("a rule is an object").remove("id"); // the path contains it
            (Method::PUT, format!("/v1/rules/{}", rule.id), body)
        }
        _ => queue_move(command).unwrap_or_else(|| ticket_move(command)),
    }
}

/// The fact in the form of a source. The revision of a demo fact is the time of its change.
fn report_of(location: &LocationId, fact: &AppointmentFact) -> AppointmentReport {
    let moment = |at: Millis| Timestamp::from_millisecond(at).ok();
    let moved = fact.moved_to.clone();
    AppointmentReport {
        location: moved.clone().unwrap_or_else(|| location.clone()),
        key: fact.key.clone(),
        version: None,
        updated_at: i64::try_from(fact.revision).ok().and_then(moment),
        status: fact.status,
        start: fact.start.and_then(moment),
        end: fact.end.and_then(moment),
        doctor: fact.doctor.clone(),
        queue: fact.queue.clone(),
        label: fact.label.clone(),
        reason: fact.reason.clone(),
        check_in: None,
        moved_from: moved.map(|_| location.clone()),
    }
}

/// The request of a command that moves a queue.
fn queue_move(command: &Command) -> Option<(Method, String, Value)> {
    use Command as C;
    let (queue, verb, body) = match command {
        C::OpenQueue { queue } => (queue, "open", json!({})),
        C::PauseQueue { queue, message } => (queue, "pause", json!({"message": message})),
        C::ResumeQueue { queue } => (queue, "resume", json!({})),
        C::CloseQueue { queue } => (queue, "close", json!({})),
        C::ReorderQueue { queue, tickets } => (queue, "reorder", json!({"tickets": tickets})),
        C::IssueTicket { queue, priority, .. } => (queue, "tickets", json!({"priority": priority})),
        C::CallNext { queue, station, force } => {
            (queue, "call-next", json!({"station": station, "force": force}))
        }
        _ => return None,
    };
    Some((Method::POST, format!("/v1/queues/{queue}/{verb}"), body))
}

/// The request of a command that moves a ticket.
fn ticket_move(command: &Command) -> (Method, String, Value) {
    use Command as C;
    let (verb, body) = match command {
        C::CallTicket { station, force, .. } => {
            ("call", json!({"station": station, "force": force}))
        }
        C::RecallTicket { .. } => ("recall", json!({})),
        C::StartService { .. } => ("start", json!({})),
        C::CompleteTicket { .. } => ("complete", json!({})),
        C::HoldTicket { reason, .. } => ("hold", json!({"reason": reason})),
        C::ResumeTicket { .. } => ("resume", json!({})),
        C::MarkAbsent { .. } => ("absent", json!({})),
        C::ReturnTicket { .. } => ("return", json!({})),
        C::MarkNoShow { .. } => ("no-show", json!({})),
        C::CancelTicket { reason, .. } => ("cancel", json!({"reason": reason})),
        C::LeaveTicket { .. } => ("leave", json!({})),
        C::YieldTicket { .. } => ("yield", json!({})),
        C::TransferTicket { queue, .. } => ("transfer", json!({"queue": queue})),
        C::Prioritise { priority, reason, .. } => {
            ("prioritise", json!({"priority": priority, "reason": reason}))
        }
        // The commands of queues and of the location are read by the caller.
        _ => ("revert", json!({})),
    };
    let ticket = command.ticket().map(ToString::to_string).unwrap_or_default();
    (Method::POST, format!("/v1/tickets/{ticket}/{verb}"), body)
}

#[cfg(test)]
mod tests {
    use schemas::{
        appointment::AppointmentStatus,
        ids::{AppointmentId, SourceKey},
    };

    use super::*;
    use crate::demo::plan;

    /// The gateway converts a report back to a command: no part of the fact is lost.
    #[test]
    fn reported_fact_arrives_unchanged() {
        let (here, there) = (plan::location(), LocationId::new("south").unwrap());
        let fact = AppointmentFact {
            source: plan::source(),
            key: SourceKey::new("dr-roy-7").unwrap(),
            revision: 1_795_766_400_123,
            revision_is_time: true,
            status: AppointmentStatus::Cancelled,
            start: Some(1_795_788_000_000),
            end: Some(1_795_788_060_000),
            doctor: Some(plan::DOCTORS[0].doctor()),
            queue: None,
            label: Some("A. B.".into()),
            reason: Some("Doctor away".into()),
            moved_to: None,
        };
        for fact in [fact.clone(), AppointmentFact { moved_to: Some(there), ..fact }] {
            let appointment = AppointmentId::from_random(&here, 7);
            let command = Command::ReportAppointment { appointment, fact };
            let (_, path, body) = request_of(&here, &command);
            assert_eq!(path, "/v1/appointments");
            let report: AppointmentReport = serde_json::from_value(body).unwrap();
            let (told, read) = report.into_command(plan::source(), 7).unwrap();
            assert!(told == here && read == command);
        }
    }
}
