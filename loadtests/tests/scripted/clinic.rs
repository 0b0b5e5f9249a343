//! A clinic of one queue: enough truth for a scripted server, and the faults it is told to commit.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};
use tokio::sync::mpsc::UnboundedSender;

pub(crate) const LOCATION: &str = "riverside";

/// One lie or failure each; the swarm has to find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// The phone at the back is sent an offset below one it has seen.
    OffsetFalls,
    /// The phone at the back is sent away from the front.
    PositionRises,
    /// The phone at the back is not told of the last calls.
    LastCallsUntold,
    /// The phone at the back is told once more, under a new offset, what it has been told.
    NothingNew,
    /// Each call takes the second in line.
    CallsTheSecond,
    /// Each call's connection is cut before its answer, once.
    LosesAnswers,
    /// The same, and the repeat is carried out as a new command.
    DoublesCommands,
    /// A delta begins after the version that was sent before.
    SkipsADelta,
    /// Who resumes is told that nothing was missed.
    ForgetsWhatWasMissed,
    /// Who resumes is given an older position.
    ResumesBelow,
    /// Who resumes is given another epoch.
    NewEpochOnResume,
    /// Subscriptions are refused.
    RefusesSubscriptions,
}

/// A publication on its way to a connection.
pub(crate) struct Step {
    pub(crate) offset: u64,
    pub(crate) data: Value,
}

/// The whole state behind the scripted server.
pub(crate) struct Clinic {
    pub(crate) fault: Fault,
    pub(crate) version: u64,
    pub(crate) epoch: u64,
    queue: String,
    /// Everybody, in the order of issue: id and state.
    tickets: Vec<(String, &'static str)>,
    outcomes: HashMap<String, Value>,
    answers_lost: HashMap<String, ()>,
    calls: u32,
    listeners: Vec<Listener>,
}

struct Listener {
    channel: String,
    shown: View,
    shown_at: u64,
    steps: UnboundedSender<Step>,
}

type View = BTreeMap<String, Value>;

/// What became of a command.
pub(crate) enum Answer {
    Outcome(Value),
    /// The connection is to be cut, as if the node had died after it sent the command on.
    Lost,
}

impl Clinic {
    pub(crate) fn new(fault: Fault) -> Self {
        Self {
            fault,
            version: 1,
            epoch: 1_700_000_000,
            queue: String::new(),
            tickets: Vec::new(),
            outcomes: HashMap::new(),
            answers_lost: HashMap::new(),
            calls: 0,
            listeners: Vec::new(),
        }
    }

    pub(crate) fn command(&mut self, id: &str, path: &str) -> Answer {
        let doubled = self.fault == Fault::DoublesCommands && path.ends_with("/call-next");
        if let Some(first) = self.outcomes.get(id).filter(|_| !doubled) {
            return Answer::Outcome(first.clone());
        }
        let result = self.decide(path);
        self.version += 1;
        let outcome = json!({
            "command": id, "outcome": "applied", "epoch": self.epoch.to_string(), "version": self.version,
            "at": now_ms(), "result": result,
        });
        self.outcomes.insert(id.to_owned(), outcome.clone());
        self.publish();
        let loses = matches!(self.fault, Fault::LosesAnswers | Fault::DoublesCommands);
        if loses
            && path.ends_with("/call-next")
            && self.answers_lost.insert(id.to_owned(), ()).is_none()
        {
            return Answer::Lost;
        }
        Answer::Outcome(outcome)
    }

    fn decide(&mut self, path: &str) -> Value {
        let parts: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
        match parts[..] {
            ["queues", queue] => {
                queue.clone_into(&mut self.queue);
                json!({})
            }
            ["queues", _, "tickets"] => {
                let ticket = format!("{LOCATION}.{:032x}", fastrand::u128(..));
                self.tickets.push((ticket.clone(), "waiting"));
                json!({"ticket": ticket, "label": format!("S-{:03}", self.tickets.len())})
            }
            ["queues", _, "call-next"] => {
                self.calls += 1;
                let skip = usize::from(self.fault == Fault::CallsTheSecond);
                let next = self.tickets.iter_mut().filter(|ticket| ticket.1 == "waiting").nth(skip);
                let (ticket, state) = next.expect("somebody is waiting");
                *state = "called";
                json!({"ticket": ticket, "station": "Swarm 1"})
            }
            ["tickets", ticket, verb] => {
                let state = if verb == "start" { "in_service" } else { "completed" };
                self.tickets
                    .iter_mut()
                    .find(|held| held.0 == ticket)
                    .expect("a ticket of ours")
                    .1 = state;
                json!({})
            }
            _ => json!({}),
        }
    }

    fn position(&self, ticket: &str) -> Option<u64> {
        let mut waiting = self.tickets.iter().filter(|held| held.1 == "waiting");
        waiting.position(|held| held.0 == ticket).map(|ahead| ahead as u64 + 1)
    }

    /// The entries behind a channel; a ticket's state is an object of its own under one key.
    pub(crate) fn view(&self, channel: &str) -> View {
        let waiting = self.tickets.iter().filter(|held| held.1 == "waiting").count();
        match channel.split_once(':').expect("a channel with a kind") {
            ("ticket", ticket) => {
                let state =
                    self.tickets.iter().find(|held| held.0 == ticket).expect("a ticket of ours").1;
                let mut shown = json!({"ticket": ticket, "state": state, "queue": self.queue});
                if let Some(position) = self.position(ticket) {
                    shown["position"] = position.into();
                    shown["ahead"] = (position - 1).into();
                }
                View::from([("ticket".to_owned(), shown)])
            }
            ("load", _) => {
                let served = self.tickets.iter().filter(|held| held.1 == "completed").count();
                View::from([("load".to_owned(), json!({"waiting": waiting, "served": served}))])
            }
            ("board", _) => {
                View::from([(format!("queue:{}", self.queue), json!({"waiting": waiting}))])
            }
            _ => {
                let entry = |held: &(String, &str)| (held.0.clone(), json!({"state": held.1}));
                let ended = |held: &&(String, &str)| held.1 != "completed" && held.1 != "called";
                let mut view: View = self.tickets.iter().filter(ended).map(entry).collect();
                view.insert("queue".to_owned(), json!({"state": "open", "waiting": waiting}));
                view
            }
        }
    }

    pub(crate) fn whole(&self, channel: &str) -> Value {
        let view = self.view(channel);
        match channel.starts_with("ticket:") {
            true => stamped(&view["ticket"]),
            false => json!({
                "epoch": self.epoch.to_string(), "version": self.version, "at": now_ms(), "entries": view,
            }),
        }
    }

    /// What somebody missed who held `from`.
    pub(crate) fn missed(&self, channel: &str, from: u64) -> Value {
        match channel.starts_with("ticket:") {
            true => self.whole(channel),
            false => {
                let gone: Vec<&String> = self.tickets.iter().map(|held| &held.0).collect();
                let view = self.view(channel);
                let gone: Vec<&&String> =
                    gone.iter().filter(|ticket| !view.contains_key(**ticket)).collect();
                json!({"from": from, "to": self.version, "at": now_ms(), "set": view, "remove": gone})
            }
        }
    }

    pub(crate) fn listen(&mut self, channel: &str, steps: UnboundedSender<Step>) {
        let (shown, shown_at) = (self.view(channel), self.version);
        self.listeners.push(Listener { channel: channel.to_owned(), shown, shown_at, steps });
    }

    fn publish(&mut self) {
        let last = self.tickets.last().map(|held| format!("ticket:{}", held.0)).unwrap_or_default();
        let mut listeners = std::mem::take(&mut self.listeners);
        listeners.retain_mut(|listener| {
            let view = self.view(&listener.channel);
            if view == listener.shown {
                return !listener.steps.is_closed();
            }
            let at_the_back = listener.channel == last;
            let step = self.step(listener, &view, at_the_back);
            listener.shown = view;
            listener.shown_at = self.version;
            self.send(listener, step, at_the_back)
        });
        self.listeners = listeners;
    }

    fn step(&self, listener: &Listener, view: &View, at_the_back: bool) -> Step {
        let data = if let Some(ticket) = view.get("ticket") {
            let stale = self.fault == Fault::NothingNew && at_the_back && self.calls == 3;
            stamped(if stale { &listener.shown["ticket"] } else { ticket })
        } else {
            let changed =
                |(key, entry): &(&String, &Value)| listener.shown.get(*key) != Some(*entry);
            let set: Map<String, Value> = view
                .iter()
                .filter(changed)
                .map(|(key, entry)| (key.clone(), entry.clone()))
                .collect();
            let remove: Vec<&String> =
                listener.shown.keys().filter(|key| !view.contains_key(*key)).collect();
            let skipped = u64::from(self.fault == Fault::SkipsADelta && self.calls == 3);
            json!({
                "from": listener.shown_at + skipped, "to": self.version, "at": now_ms(), "set": set,
                "remove": remove,
            })
        };
        Step { offset: self.version, data }
    }

    /// Sends a step, with the fault if it is this listener's turn; false when nobody is there any more.
    fn send(&self, listener: &Listener, mut step: Step, at_the_back: bool) -> bool {
        if at_the_back && self.calls >= 3 {
            match self.fault {
                Fault::LastCallsUntold => return true,
                Fault::OffsetFalls if self.calls == 3 => step.offset -= 5,
                Fault::PositionRises if self.calls == 3 => {
                    step.data["position"] = 100.into();
                    step.data["ahead"] = 99.into();
                }
                _ => {}
            }
        }
        listener.steps.send(step).is_ok()
    }
}

fn stamped(state: &Value) -> Value {
    let mut state = state.clone();
    state["at"] = now_ms().into();
    state
}

fn now_ms() -> i64 {
    clinicwire_loadtests::follower::now_us() / 1000
}
