//! The JSON Schema of every type that clients, pages and other systems read or write.

use schemars::{Schema, schema_for};

use crate::{
    access::{Revocation, SessionsQuestion, TenantStatus},
    appointment::{AppointmentView, ScheduleEntry, ScheduleHead},
    appointment_report::AppointmentReport,
    audit::AuditRecord,
    check_in::CheckInPointSettings,
    command::{Command, CommandOutcome},
    event::Event,
    finding::Finding,
    frame::{FrameError, SocketFrame, StreamFrame},
    line::{BoardCall, BoardHead, BoardMove, BoardQueue, QueueEntry, QueueHead},
    load::{LoadDoctor, LoadHead, LoadQuarter, LoadQueue, LoadStation},
    outward::OutwardEvent,
    record::ViewsRecord,
    rule::Rule,
    run::{FindingCounts, RuleTally, RunHead, RunProgress},
    settings::{
        BrandingSettings, DisplaySettings, LocationSettings, MessageSettings, PrivacySettings,
        QueueSettings, StationSettings,
    },
    tenant::StoredTenant,
    ticket::{TicketEntry, TicketView},
    view::{Delta, View},
};

/// File name and schema of every file in `schemas/json/`. A name is `<kind>-<part>.json`.
pub fn files() -> Vec<(&'static str, Schema)> {
    [messages(), locations(), claims()].concat()
}

/// Records, and what carries a view to a client.
fn messages() -> Vec<(&'static str, Schema)> {
    vec![
        ("command.json", schema_for!(Command)),
        ("command-outcome.json", schema_for!(CommandOutcome)),
        ("event.json", schema_for!(Event)),
        ("views-record.json", schema_for!(ViewsRecord)),
        ("outward-event.json", schema_for!(OutwardEvent)),
        ("audit-record.json", schema_for!(AuditRecord)),
        ("revocation.json", schema_for!(Revocation)),
        ("sessions-question.json", schema_for!(SessionsQuestion)),
        ("tenant-status.json", schema_for!(TenantStatus)),
        ("tenant-settings.json", schema_for!(StoredTenant)),
        ("view.json", schema_for!(View)),
        ("delta.json", schema_for!(Delta)),
        ("stream-frame.json", schema_for!(StreamFrame)),
        ("socket-frame.json", schema_for!(SocketFrame)),
        ("frame-error.json", schema_for!(FrameError)),
    ]
}

/// The entries of a location's channels, and the report of another system.
fn locations() -> Vec<(&'static str, Schema)> {
    vec![
        ("queue-head.json", schema_for!(QueueHead)),
        ("queue-entry.json", schema_for!(QueueEntry)),
        ("board-head.json", schema_for!(BoardHead)),
        ("board-queue.json", schema_for!(BoardQueue)),
        ("board-call.json", schema_for!(BoardCall)),
        ("board-move.json", schema_for!(BoardMove)),
        ("ticket-view.json", schema_for!(TicketView)),
        ("ticket-entry.json", schema_for!(TicketEntry)),
        ("appointment-view.json", schema_for!(AppointmentView)),
        ("appointment-report.json", schema_for!(AppointmentReport)),
        ("schedule-head.json", schema_for!(ScheduleHead)),
        ("schedule-entry.json", schema_for!(ScheduleEntry)),
        ("load-head.json", schema_for!(LoadHead)),
        ("load-queue.json", schema_for!(LoadQueue)),
        ("load-station.json", schema_for!(LoadStation)),
        ("load-doctor.json", schema_for!(LoadDoctor)),
        ("load-quarter.json", schema_for!(LoadQuarter)),
        ("settings-location.json", schema_for!(LocationSettings)),
        ("settings-privacy.json", schema_for!(PrivacySettings)),
        ("settings-messages.json", schema_for!(MessageSettings)),
        ("settings-branding.json", schema_for!(BrandingSettings)),
        ("settings-queue.json", schema_for!(QueueSettings)),
        ("settings-station.json", schema_for!(StationSettings)),
        ("settings-display.json", schema_for!(DisplaySettings)),
        ("settings-check-in-point.json", schema_for!(CheckInPointSettings)),
    ]
}

/// The entries of a run's channel, findings and rules.
fn claims() -> Vec<(&'static str, Schema)> {
    vec![
        ("run-head.json", schema_for!(RunHead)),
        ("run-progress.json", schema_for!(RunProgress)),
        ("run-counts.json", schema_for!(FindingCounts)),
        ("run-rule-tally.json", schema_for!(RuleTally)),
        ("finding.json", schema_for!(Finding)),
        ("rule.json", schema_for!(Rule)),
    ]
}

/// The text of a schema's file.
///
/// # Panics
/// Never: every schema has a JSON form.
pub fn text(schema: &Schema) -> String {
    let mut text = serde_json::to_string_pretty(schema).expect("a schema always has a JSON form");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    #[test]
    fn committed_schemas_match_the_types() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("json");
        let stale = "run: cargo run -p clinicwire-schemas --features json-schema";
        for (name, schema) in super::files() {
            let committed = fs::read_to_string(folder.join(name)).unwrap_or_default();
            assert!(committed == super::text(&schema), "{name} is stale; {stale}");
        }
        let expected: BTreeSet<_> =
            super::files().into_iter().map(|(name, _)| name.to_owned()).collect();
        let found: BTreeSet<_> = fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(found, expected, "{stale}");
    }
}
