//! A location and its views, driven by commands in the way of the runner.

use std::collections::BTreeMap;

use processors::{effect::RecordTime, location::Location};
use schemas::{
    Millis,
    appointment::SCHEDULE_KEY,
    command::{Command, Verdict},
    event::Event,
    ids::{Aggregate, CommandId, QueueId, TicketId},
    line::{Line, QUEUE_KEY, QueueEntry},
    record::CommandRecord,
    view::View,
};
use standalone::demo::{
    clinic::{DemoClinic, DemoLines},
    plan::{self, Pace},
};

const EPOCH: u64 = 7;
/// The start of the simulated day: a morning in Toronto.
pub const OPENING: Millis = 1_790_000_000_000;

pub struct Model {
    /// Ended tickets stay in memory: the runner would read their rows back when a command names
    /// them.
    pub location: Location,
    views: BTreeMap<String, View>,
    handled: u128,
    /// The events of the last command, those of timers included.
    pub events: Vec<Event>,
}

impl Model {
    pub fn configured(pace: Pace) -> Self {
        let location = Location::new(EPOCH);
        let mut model = Self { location, views: BTreeMap::new(), handled: 0, events: Vec::new() };
        for command in plan::configure(&plan::location(), pace) {
            assert!(
                matches!(model.handle(&command, OPENING), Verdict::Applied { .. }),
                "{}",
                command.kind()
            );
        }
        model
    }

    pub fn handle(&mut self, command: &Command, at: Millis) -> Verdict {
        self.handled += 1;
        let record = CommandRecord {
            aggregate: Aggregate::location(&plan::tenant(), &plan::location()),
            id: CommandId::from_random(self.handled),
            source: "demo".into(),
            fingerprint: None,
            valid_until: None,
            actor: None,
            command: command.clone(),
        };
        let step = self.location.handle(&record, RecordTime::at_once(at));
        for delta in &step.deltas {
            let view = self.views.entry(delta.view.clone()).or_insert_with(|| View::empty(EPOCH));
            view.fold(&delta.delta);
        }
        self.events = step.events;
        step.verdict
    }

    /// Reads one entry of a view.
    pub fn entry<T: serde::de::DeserializeOwned>(&self, view: &str, key: &str) -> T {
        serde_json::from_str(self.views[view].entries[key].get()).unwrap()
    }

    /// The appointments in all schedules.
    pub fn entries<T: serde::de::DeserializeOwned>(&self, schedule: &str) -> Vec<T> {
        let entries = self.views[schedule].entries.iter().filter(|(key, _)| *key != SCHEDULE_KEY);
        entries.map(|(_, entry)| serde_json::from_str(entry.get()).unwrap()).collect()
    }

    pub fn waiting(&self, queue: &QueueId) -> usize {
        Line::from_view(queue.clone(), &self.views[&format!("queue:{queue}")]).unwrap().waiting()
    }

    pub fn standing(&self) -> DemoLines {
        let line = |queue: QueueId| {
            let entries = &self.views[&format!("queue:{queue}")].entries;
            let tickets = entries.iter().filter(|(key, _)| *key != QUEUE_KEY);
            let tickets = tickets.map(|(key, entry)| {
                let entry: QueueEntry = serde_json::from_str(entry.get()).unwrap();
                (TicketId::new(key.as_str()).unwrap(), entry)
            });
            let tickets = tickets.collect();
            (queue, tickets)
        };
        plan::queues(&plan::location()).into_iter().map(line).collect()
    }
}

/// Opens a new, empty clinic.
pub fn open(seed: u64, pace: Pace) -> (DemoClinic, Model) {
    let clinic = DemoClinic::new(seed, pace, OPENING, plan::location(), DemoLines::new());
    (clinic, Model::configured(pace))
}

/// Runs at least `steps` commands and passes each, its verdict and its time to the callback.
pub fn play(
    clinic: &mut DemoClinic,
    model: &mut Model,
    steps: usize,
    mut look: impl FnMut(&Command, &Verdict, &Model, Millis),
) {
    let mut done = 0;
    while done < steps {
        do_what_is_due(clinic, model, |command, verdict, model, now| {
            done += 1;
            look(command, verdict, model, now);
        });
    }
}

/// Runs commands until the given time.
pub fn play_until(
    clinic: &mut DemoClinic,
    model: &mut Model,
    until: Millis,
    mut look: impl FnMut(&Command, &Verdict, &Model, Millis),
) {
    while clinic.next_due() <= until {
        do_what_is_due(clinic, model, &mut look);
    }
}

fn do_what_is_due(
    clinic: &mut DemoClinic,
    model: &mut Model,
    mut look: impl FnMut(&Command, &Verdict, &Model, Millis),
) {
    let now = clinic.next_due();
    while let Some(command) = clinic.step(now) {
        let verdict = model.handle(&command, now);
        clinic.learn(&command, &verdict);
        look(&command, &verdict, model, now);
    }
}
