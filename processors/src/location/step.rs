//! The step of one record: its events, those of timers that fire before it, and their effect.

use schemas::{
    Millis,
    command::{Command, Verdict},
    event::Event,
    ids::{LocationId, TenantId},
    record::CommandRecord,
};

use super::{Location, project::VersionChange};
use crate::{
    alerts::AlertChange,
    effect::{RecordEffect, Settlement},
};

/// The step that one record makes, while its events are applied.
pub(super) struct Step {
    tenant: TenantId,
    location: LocationId,
    version: u64,
    at: Millis,
    pub(super) change: VersionChange,
    pub(super) follow_ups: Vec<CommandRecord>,
    pub(super) alerts: Vec<AlertChange>,
}

impl Step {
    pub(super) fn new(record: &CommandRecord, version: u64, at: Millis) -> Self {
        let location = record.aggregate.location_id();
        Self {
            tenant: record.aggregate.tenant(),
            location: location.expect("a record is for its aggregate's kind"),
            version,
            at,
            change: VersionChange::default(),
            follow_ups: Vec::new(),
            alerts: Vec::new(),
        }
    }
}

impl Location {
    /// Fires the first timers that are due, at most a slice.
    pub(super) fn fire_slice(&mut self, step: &mut Step) {
        let mut weight = 0;
        while weight < self.slice
            && let Some(event) = self.next_due()
        {
            weight += self.weight(&event);
            self.happen(step, event);
        }
    }

    /// Fires the overdue timers of the parts that the command names.
    pub(super) fn fire_named(&mut self, step: &mut Step, command: &Command) {
        for part in self.timers_before(command) {
            while let Some(event) = self.overdue(&part) {
                self.happen(step, event);
            }
        }
    }

    /// Applies an event of the step, and records the command to another aggregate that it causes.
    pub(super) fn happen(&mut self, step: &mut Step, event: Event) {
        step.follow_ups.extend(self.withdrawal(&step.tenant, &event));
        step.follow_ups.extend(self.question(&step.tenant, &event));
        self.change(&mut step.change, &step.location, event, step.version, step.at);
    }

    pub(super) fn finish(
        &mut self,
        step: Step,
        verdict: Verdict,
        settles: Option<Settlement<Verdict>>,
    ) -> RecordEffect {
        let Step { location, at, mut change, follow_ups, mut alerts, .. } = step;
        let subscribed = std::mem::take(&mut change.subscribed);
        alerts.extend(self.alerts(subscribed, &change.events));
        let outward = self.outward(&change.near, &change.events);
        let (events, deltas) = self.finish_change(change, &location);
        let (touched, appointments) = self.touched(&events, &deltas);
        RecordEffect {
            position: self.position,
            at,
            verdict,
            events,
            deltas,
            touched,
            appointments,
            follow_ups,
            alerts,
            outward,
            webhooks: Vec::new(),
            tenant: None,
            settles,
            history: self.take_history(),
        }
    }
}
