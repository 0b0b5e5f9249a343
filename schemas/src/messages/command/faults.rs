//! The field of a command that is outside its bounds, in words for its sender. The words name the
//! field and its bounds, never its value.

use super::{Command, MAX_REORDER};
use crate::{
    bounds::{
        MAX_CHECK_IN_POINTS, MAX_DISPLAYS, MAX_LANGUAGES, MAX_MESSAGES, MAX_QUEUES, MAX_STATIONS,
        MAX_TEXT, QUEUE_TICKETS, SERVICE_S, check_languages, check_prefix, check_text,
    },
    ids::LocationId,
    load::LoadBands,
    reference::{MAX_REFERENCE_ENTRIES, ReferenceEntry, ReferenceTable},
    rule::MAX_RULES,
    settings::BoardMessage,
    webhook::MAX_OVERLAP_S,
};

/// A field, whether its value is within its bounds, and these bounds.
type Check<'a> = (&'a str, bool, String);

impl Command {
    /// Says which field a location refused as `invalid_value`, and what it may be.
    pub fn fault(&self) -> Option<String> {
        let wrong = self.checks().into_iter().find(|(_, is_good, _)| !is_good);
        let wrong = wrong.map(|(field, _, bounds)| format!("{field}: {bounds}"));
        wrong.or_else(|| self.crowd())
    }

    fn checks(&self) -> Vec<Check<'_>> {
        use Command as C;
        match self {
            C::ConfigureLocation { .. } => self.location_checks(),
            C::ConfigureQueue { name, prefix, service_s, max_tickets, .. } => vec![
                text("name", Some(name)),
                (
                    "prefix",
                    check_prefix(prefix).is_ok(),
                    "1 to 4 of the characters A to Z and 0 to 9".to_owned(),
                ),
                number("service_s", *service_s, &SERVICE_S),
                number("max_tickets", *max_tickets, &QUEUE_TICKETS),
            ],
            C::ConfigureStation { name, .. }
            | C::PairDisplay { name, .. }
            | C::RenameDisplay { name, .. } => vec![text("name", Some(name))],
            C::ConfigureCheckInPoint { setup, .. } => vec![
                text("name", Some(&setup.name)),
                (
                    "place",
                    setup.place.is_none_or(|place| place.is_plausible()),
                    "a latitude of -90 to 90, a longitude of -180 to 180, and a radius_m of 50 to \
                     10000"
                        .to_owned(),
                ),
            ],
            C::ChangeMessages { messages, .. } => message_checks(messages),
            C::ChangeBranding { branding, .. } => vec![text("name", branding.name.as_ref())],
            C::OrderQueues { .. } => {
                vec![("queues", false, "each queue is named once".to_owned())]
            }
            C::ReorderQueue { .. } => {
                vec![("tickets", false, format!("1 to {MAX_REORDER} tickets, each named once"))]
            }
            C::PauseQueue { message, .. } => vec![text("message", message.as_ref())],
            C::HoldTicket { reason, .. }
            | C::CancelTicket { reason, .. }
            | C::Prioritise { reason, .. } => vec![text("reason", reason.as_ref())],
            C::OverrideCheckIn { reason, .. } => vec![text("override_reason", Some(reason))],
            C::PutReference { table, key, entry, .. } => reference_checks(*table, key, entry),
            C::ReportAppointment { fact, .. } => vec![
                text("label", fact.label.as_ref()),
                text("reason", fact.reason.as_ref()),
                ("start", false, "start and end lie between 1970 and 9999".to_owned()),
            ],
            C::CreateWebhook { settings, .. } | C::ChangeWebhook { settings, .. } => {
                let fault = settings.fault();
                fault.map(|(field, bounds)| (field, false, bounds.to_owned())).into_iter().collect()
            }
            C::CreateTenant { settings } | C::ChangeTenant { settings, .. } => {
                let fault = settings.fault();
                fault.map(|(field, bounds)| (field, false, bounds.to_owned())).into_iter().collect()
            }
            C::RotateWebhook { keep_s, .. } => {
                let is_good = *keep_s <= MAX_OVERLAP_S;
                vec![("keep_s", is_good, format!("at most {MAX_OVERLAP_S}"))]
            }
            C::ReplayWebhook { .. } => vec![("until", false, "later than from".to_owned())],
            _ => Vec::new(),
        }
    }

    fn location_checks(&self) -> Vec<Check<'_>> {
        let Command::ConfigureLocation {
            name, time_zone, languages, timers, bands, address, ..
        } = self
        else {
            return Vec::new();
        };
        let is_time_zone = jiff::tz::db().get(time_zone).is_ok();
        vec![
            text("name", Some(name)),
            text("address", address.as_ref()),
            ("time_zone", is_time_zone, "an IANA name such as America/Toronto".to_owned()),
            (
                "languages",
                check_languages(languages).is_ok(),
                format!("1 to {MAX_LANGUAGES} tags of BCP 47 such as fr-CA"),
            ),
            (
                "timers",
                timers.are_plausible(),
                "absent_grace_s, stale_s, no_show_s and handover_s are 10 to 604800, \
                     check_in_early_s is up to 604800, call_grace_s up to 86400, day_start_min up \
                     to 719, yield_places and alert_places up to 20"
                    .to_owned(),
            ),
            (
                "bands",
                bands.as_ref().is_none_or(LoadBands::are_plausible),
                "waiting and wait_s are two numbers each, above 0 and rising".to_owned(),
            ),
        ]
    }

    /// The bound on the number of things of a location, for a command that adds one.
    fn crowd(&self) -> Option<String> {
        let (things, most) = match self {
            Command::ConfigureQueue { .. } => ("queues", MAX_QUEUES),
            Command::ConfigureStation { .. } => ("stations", MAX_STATIONS),
            Command::PairDisplay { .. } => ("screens", MAX_DISPLAYS),
            Command::ConfigureCheckInPoint { .. } => ("check-in points", MAX_CHECK_IN_POINTS),
            Command::PutRule { .. } => {
                return Some(format!("a tenant has at most {MAX_RULES} rules: delete one first"));
            }
            Command::PutReference { .. } | Command::LoadReference { .. } => {
                let most = MAX_REFERENCE_ENTRIES;
                return Some(format!("a table has at most {most} entries: delete some first"));
            }
            _ => return None,
        };
        Some(format!("a location has at most {most} {things}: remove one first"))
    }

    /// The field that names a thing of another location than `location`, which decides the command.
    pub fn foreign_field(&self, location: &LocationId) -> Option<&'static str> {
        use Command as C;
        let is_foreign = match self {
            C::CallNext { station, .. } | C::CallTicket { station, .. } => {
                ("station", !station.belongs_to(location))
            }
            C::ConfigureStation { queues: Some(queues), .. } => {
                ("queues", queues.iter().any(|queue| !queue.belongs_to(location)))
            }
            C::OrderQueues { queues, .. } => {
                ("queues", queues.iter().any(|queue| !queue.belongs_to(location)))
            }
            C::ConfigureCheckInPoint { setup, .. } => {
                ("queues", setup.queues.iter().any(|queue| !queue.belongs_to(location)))
            }
            C::RemoveQueue { move_to: Some(queue), .. } => ("move_to", !queue.belongs_to(location)),
            C::ReorderQueue { tickets, .. } => {
                ("tickets", tickets.iter().any(|ticket| !ticket.belongs_to(location)))
            }
            C::PairDisplay { check_in_point: Some(point), .. } => {
                ("check_in_point", !point.belongs_to(location))
            }
            C::ReportAppointment { fact, .. } => ("queue", !fact.refers_only_to(location)),
            _ => return None,
        };
        is_foreign.1.then_some(is_foreign.0)
    }
}

fn reference_checks(
    table: ReferenceTable,
    key: &str,
    entry: &ReferenceEntry,
) -> Vec<Check<'static>> {
    let is_key = table.key(key).is_some_and(|form| form == key);
    let (field, bounds) = entry.fault().unwrap_or(("entry", "an entry of this table"));
    let is_entry = entry.table() == table && entry.fault().is_none();
    vec![
        (table.columns()[0], is_key, table.key_form().to_owned()),
        (field, is_entry, bounds.to_owned()),
    ]
}

fn message_checks(messages: &[BoardMessage]) -> Vec<Check<'static>> {
    let is_readable = |message: &BoardMessage| {
        let tags: Vec<_> = message.keys().cloned().collect();
        check_languages(&tags).is_ok() && message.values().all(|text| check_text(text).is_ok())
    };
    vec![
        ("messages", messages.len() <= MAX_MESSAGES, format!("at most {MAX_MESSAGES}")),
        (
            "messages",
            messages.iter().all(is_readable),
            format!(
                "each has a text of 1 to {MAX_TEXT} characters for at least one language tag such \
                 as fr-CA"
            ),
        ),
    ]
}

fn text<'a>(field: &'a str, value: Option<&String>) -> Check<'a> {
    let is_good = value.is_none_or(|text| check_text(text).is_ok());
    let bounds = format!("1 to {MAX_TEXT} characters, not only spaces, and no control characters");
    (field, is_good, bounds)
}

fn number<'a>(
    field: &'a str,
    value: Option<u32>,
    bounds: &std::ops::RangeInclusive<u32>,
) -> Check<'a> {
    let is_good = value.is_none_or(|value| bounds.contains(&value));
    (field, is_good, format!("{} to {}", bounds.start(), bounds.end()))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::json;

    use super::*;
    use crate::{
        check_in::{CheckInFactor, CheckInPlace, CheckInPointKind, CheckInPointSetup},
        ids::{CheckInPointId, DisplayId, QueueId, StationId, TicketId},
    };

    fn lab() -> QueueId {
        QueueId::new("north.lab").unwrap()
    }

    fn queue(name: &str, prefix: &str, service_s: Option<u32>) -> Command {
        Command::ConfigureQueue {
            queue: QueueId::new("north.lab").unwrap(),
            name: name.into(),
            prefix: prefix.into(),
            service_s,
            max_tickets: None,
            edition: None,
        }
    }

    #[test]
    fn fault_names_the_field_and_its_bounds() {
        let location = Command::ConfigureLocation {
            name: "North".into(),
            time_zone: "Mars/Olympus".into(),
            languages: vec!["fr-CA".into()],
            timers: Default::default(),
            bands: None,
            call_order: Default::default(),
            address: None,
            edition: None,
        };
        let device = || DisplayId::from_random(&LocationId::new("north").unwrap(), 7);
        let point = |name: &str, radius_m| Command::ConfigureCheckInPoint {
            point: CheckInPointId::new("north.door").unwrap(),
            setup: CheckInPointSetup {
                name: name.into(),
                kind: CheckInPointKind::Poster,
                queues: BTreeSet::new(),
                factor: CheckInFactor::None,
                place: Some(CheckInPlace { latitude: 1.0, longitude: 1.0, radius_m }),
            },
            edition: None,
        };
        let messages = |count, text: &str| Command::ChangeMessages {
            messages: vec![BTreeMap::from([("en".to_owned(), text.to_owned())]); count],
            edition: None,
        };
        let pair = |name: &str| Command::PairDisplay {
            display: device(),
            name: name.into(),
            check_in_point: None,
        };
        for (command, field, bound) in [
            (pair(" "), "name", "120"),
            (pair("Hall"), "a location", "200 screens"),
            (point(" ", 50), "name", "120"),
            (point("Door", 49), "place", "50 to 10000"),
            (point("Door", 50), "a location", "100 check-in points"),
            (messages(9, "Wash your hands."), "messages", "at most 8"),
            (messages(1, " "), "messages", "at least one language"),
            (Command::ReorderQueue { queue: lab(), tickets: vec![] }, "tickets", "1 to 500"),
            (Command::OrderQueues { queues: vec![], edition: None }, "queues", "once"),
            (Command::PauseQueue { queue: lab(), message: Some(" ".into()) }, "message", "120"),
            (queue(" ", "A", None), "name", "120"),
            (queue("Lab", "lab", None), "prefix", "A to Z"),
            (queue("Lab", "L", Some(5)), "service_s", "30 to 14400"),
            (queue("Lab", "L", Some(30)), "a location", "500 queues"),
            (location, "time_zone", "IANA"),
        ] {
            let fault = command.fault().unwrap();
            assert!(fault.starts_with(field) && fault.contains(bound), "{fault}");
        }
        let pause = |message: Option<&str>| Command::PauseQueue {
            queue: lab(),
            message: message.map(str::to_owned),
        };
        for command in [messages(8, "Wash your hands."), pause(None), pause(Some("At noon"))] {
            assert_eq!(command.fault(), None, "{}", command.kind());
        }
    }

    #[test]
    fn foreign_field_is_named() {
        let call = |station: &str| Command::CallNext {
            queue: QueueId::new("north.lab").unwrap(),
            station: StationId::new(station).unwrap(),
            force: false,
        };
        let north = LocationId::new("north").unwrap();
        assert_eq!(call("north.room-1").foreign_field(&north), None);
        assert_eq!(call("south.room-1").foreign_field(&north), Some("station"));
        let foreign = QueueId::new("south.lab").unwrap();
        let ticket = TicketId::from_random(&foreign.location(), 7);
        for (command, field) in [
            (
                Command::OrderQueues { queues: vec![lab(), foreign.clone()], edition: None },
                "queues",
            ),
            (Command::RemoveQueue { queue: lab(), move_to: Some(foreign) }, "move_to"),
            (Command::ReorderQueue { queue: lab(), tickets: vec![ticket] }, "tickets"),
        ] {
            assert_eq!(command.foreign_field(&north), Some(field));
        }
        for command in [
            Command::OrderQueues { queues: vec![lab()], edition: None },
            Command::RemoveQueue { queue: lab(), move_to: Some(lab()) },
        ] {
            assert_eq!(command.foreign_field(&north), None, "{}", command.kind());
        }
    }

    fn command(json: serde_json::Value) -> Command {
        serde_json::from_value(json).expect("a command")
    }

    #[test]
    fn field_deep_in_a_command_is_named_when_it_is_foreign() {
        let north = LocationId::new("north").unwrap();
        let id = format!("north.{:032x}", 7);
        let display = format!("north.{:016x}", 7);
        let at = |location: &str| {
            let queue = format!("{location}.lab");
            let queues = json!([queue]);
            let point = json!({"name": "", "kind": "poster", "factor": "none", "queues": queues});
            let fact = json!({"source": "his", "key": "1", "revision": 1, "status": "booked",
                "queue": queue});
            [
                ("station", json!({"type": "ticket.call", "ticket": id, "station": queue})),
                (
                    "queues",
                    json!({"type": "station.configure", "station": "north.room", "name": "",
                    "queues": queues}),
                ),
                (
                    "queues",
                    json!({"type": "check_in_point.configure", "point": "north.door",
                    "setup": point}),
                ),
                (
                    "check_in_point",
                    json!({"type": "display.pair", "display": display, "name": "",
                    "check_in_point": format!("{location}.door")}),
                ),
                ("queue", json!({"type": "appointment.report", "appointment": id, "fact": fact})),
            ]
        };
        for (field, json) in at("south") {
            assert_eq!(command(json).foreign_field(&north), Some(field));
        }
        for (field, json) in at("north") {
            assert_eq!(command(json).foreign_field(&north), None, "{field}");
        }
    }

    #[test]
    fn fault_is_named_for_every_command_with_bounds() {
        let id = format!("north.{:032x}", 7);
        let webhook = format!("w_{:032x}", 7);
        let fact = json!({"source": "his", "key": "1", "revision": 1, "status": "booked"});
        let with = |field: &str, value: &str| {
            let mut fact = fact.clone();
            fact[field] = json!(value);
            json!({"type": "appointment.report", "appointment": id, "fact": fact})
        };
        let put = |key: &str, entry: serde_json::Value| {
            let kind = "reference.put";
            json!({"type": kind, "table": "codes", "key": key, "entry": entry})
        };
        let code = |leaf: &str| json!({"leaf": leaf, "group": "", "top": ""});
        let rule = json!({"id": "a-rule", "name": {"fr": "", "en": ""}, "category": "a",
            "kind": "required", "column": "code"});
        let rotate =
            |keep_s| json!({"type": "webhook.rotate", "webhook": webhook, "keep_s": keep_s});
        for (json, words) in [
            (json!({"type": "location.change_branding", "branding": {"name": " "}}), "name: 1 to"),
            (json!({"type": "ticket.hold", "ticket": id, "reason": " "}), "reason: 1 to"),
            (json!({"type": "ticket.cancel", "ticket": id, "reason": " "}), "reason: 1 to"),
            (
                json!({"type": "ticket.prioritise", "ticket": id, "priority": 1, "reason": " "}),
                "reason: 1 to",
            ),
            (
                json!({"type": "appointment.override_check_in", "appointment": id, "reason": " "}),
                "override_reason: 1 to",
            ),
            (put("0", code("a")), "code: a number"),
            (put("05", code("a")), "code: a number"),
            (put("5", code("\n")), "leaf: at most 300"),
            (put("5", json!({"gmf": true})), "entry: an entry of this table"),
            (put("5", code("a")), "a table has at most 20000"),
            (json!({"type": "reference.load", "table": "codes", "csv": ""}), "a table has"),
            (with("label", " "), "label: 1 to"),
            (with("reason", " "), "reason: 1 to"),
            (with("label", "A B"), "start: start and end"),
            (
                json!({"type": "webhook.create", "webhook": webhook, "settings": {"url": "x"}}),
                "url: an https",
            ),
            (
                json!({"type": "webhook.change", "webhook": webhook, "settings": {"url": "x"}}),
                "url: an https",
            ),
            (json!({"type": "tenant.create", "settings": {"name": ""}}), "name: 1 to 200"),
            (json!({"type": "tenant.change", "settings": {"name": ""}}), "name: 1 to 200"),
            (rotate(MAX_OVERLAP_S + 1), "keep_s: at most"),
            (
                json!({"type": "webhook.replay", "webhook": webhook,
                "replay": {"what": "time", "from": 0, "until": 1}}),
                "until: later",
            ),
            (
                json!({"type": "station.configure", "station": "north.room", "name": "Room"}),
                "a location has at most",
            ),
            (json!({"type": "rule.put", "rule": rule}), "a tenant has at most"),
        ] {
            let fault = command(json).fault().unwrap();
            assert!(fault.starts_with(words), "{fault}");
        }
        for json in [rotate(MAX_OVERLAP_S), json!({"type": "ticket.hold", "ticket": id})] {
            assert_eq!(command(json).fault(), None);
        }
    }
}
