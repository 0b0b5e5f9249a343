//! Clients: each follows a few channels over a WebSocket, keeps what it has, comes back to any node
//! with its positions, and judges every frame by its own rules.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use fastrand::Rng;
use gateway::simulation::ClientEnd;
use schemas::record::AUDIT_TOPIC;
use serde_json::{Value, json};
use testing::tokens::DevelopmentIssuer;
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};
use tungstenite::{
    Error, Message,
    protocol::{Role, WebSocketContext},
};

use crate::{plan::places, processes::WORDS, world::World};

/// The pause before a channel that was unknown is asked for again.
const RETRY: Duration = Duration::from_secs(15);
/// Longer than the time between two pings.
const PINGED_WITHIN: Duration = Duration::from_secs(40);

/// A position: epoch and version.
pub type At = (u64, u64);

/// The state of one channel that a client holds.
#[derive(Default, Clone)]
pub struct Held {
    pub at: At,
    /// The entries of a view, or the state of a ticket.
    pub data: BTreeMap<String, Value>,
    /// Whether the node serves the channel on the open connection.
    pub live: bool,
    /// The node said that there is no such channel.
    pub unknown: bool,
}

/// The state of a client that the checks see.
pub struct ClientView {
    pub tenant: String,
    pub subject: String,
    pub channels: BTreeMap<String, Held>,
    /// How often each channel was answered with state.
    opened: BTreeMap<String, usize>,
    /// Cuts the connection.
    pub cut: Rc<Notify>,
}

pub struct Client {
    world: Rc<World>,
    name: String,
    place: usize,
    rng: Rng,
    token: String,
    view: Rc<RefCell<ClientView>>,
}

/// A connection, with the requests that are not answered.
struct Connection {
    end: ClientEnd,
    frames: WebSocketContext,
    waiting: BTreeMap<u64, String>,
    sent: u64,
    /// When unknown channels are asked for again.
    retry_at: Instant,
}

impl Client {
    pub fn new(world: &Rc<World>, index: usize) -> Self {
        let name = format!("client-{index}");
        let mut rng = world.plan.stream(&name);
        let place = rng.usize(..3);
        let location = &places()[place];
        let subject = format!("subject-{name}");
        let claims = json!({
            "tenant": location.tenant.as_str(), "sub": subject, "locations": [location.id.as_str()],
        });
        let token = DevelopmentIssuer::from_words(WORDS, 1_000_000).sign("reception", &claims);
        let mut channels: Vec<String> = vec![
            format!("queue:{}", location.queue("general")),
            format!("board:{}", location.id),
            format!("load:{}", location.id),
            format!("queue:{}", location.queue("lab")),
            format!("settings:{}", location.id),
        ];
        rng.shuffle(&mut channels);
        channels.truncate(rng.usize(1..=4));
        let view = Rc::new(RefCell::new(ClientView {
            tenant: location.tenant.to_string(),
            subject,
            channels: channels.into_iter().map(|channel| (channel, Held::default())).collect(),
            opened: BTreeMap::new(),
            cut: Rc::default(),
        }));
        world.views.borrow_mut().push(view.clone());
        Self { world: world.clone(), name, place, rng, token, view }
    }

    pub async fn run(mut self) {
        loop {
            let node = self.world.any_node(&mut self.rng);
            let end = node.and_then(|node| node.connect());
            if let Some(end) = end {
                self.world.trace.note(&self.name, "connects");
                self.serve(end).await;
                self.world.trace.note(&self.name, "is disconnected");
            }
            self.view.borrow_mut().channels.values_mut().for_each(|held| held.live = false);
            sleep(Duration::from_millis(self.rng.u64(50..2_000))).await;
            self.follow_a_ticket();
        }
    }

    /// Now and then the client opens the channel of one more ticket.
    fn follow_a_ticket(&mut self) {
        let desk = self.world.desk.borrow();
        let issued = &desk.issued[self.place];
        let mut view = self.view.borrow_mut();
        if !self.world.healed.get() && view.channels.len() < 7 && !issued.is_empty() {
            let ticket = places()[self.place].ticket(issued[self.rng.usize(..issued.len())]);
            view.channels.entry(format!("ticket:{ticket}")).or_default();
        }
    }

    /// Serves one connection until it ends.
    async fn serve(&mut self, end: ClientEnd) {
        let frames = WebSocketContext::new(Role::Client, None);
        let mut connection =
            Connection { end, frames, waiting: BTreeMap::new(), sent: 1, retry_at: Instant::now() };
        connection.send(&json!({"id": 1, "connect": {"token": self.token}}));
        let channels: Vec<String> = self.view.borrow().channels.keys().cloned().collect();
        channels.iter().for_each(|channel| self.subscribe(&mut connection, channel));
        let mut heard = Instant::now();
        loop {
            let cut = self.view.borrow().cut.clone();
            tokio::select! {
                biased;
                () = cut.notified() => return,
                () = connection.end.readable() => heard = Instant::now(),
                () = sleep(RETRY) => {}
            }
            if heard.elapsed() > PINGED_WITHIN {
                return self.world.fault(format!("I5 {}: no ping", self.name));
            }
            // A client that reads slowly.
            let pause = if self.world.healed.get() { 0 } else { self.rng.u64(..40) };
            if pause == 1 {
                sleep(Duration::from_millis(self.rng.u64(..6_000))).await;
            }
            loop {
                match connection.frames.read(&mut &connection.end) {
                    Ok(Message::Text(text)) => {
                        for line in text.lines().filter(|line| !line.is_empty()) {
                            self.take(&mut connection, serde_json::from_str(line).unwrap());
                        }
                    }
                    Ok(Message::Close(_)) => return,
                    Ok(_) => {}
                    Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {
                        break;
                    }
                    Err(_) => return,
                }
            }
            self.subscribe_again(&mut connection).await;
        }
    }

    /// Subscribes to the channels that were refused or ended.
    async fn subscribe_again(&mut self, connection: &mut Connection) {
        let retries = connection.retry_at <= Instant::now();
        if retries {
            connection.retry_at = Instant::now() + RETRY;
        }
        let waits = |channel: &String| connection.waiting.values().any(|other| other == channel);
        let missing: Vec<String> = {
            let view = self.view.borrow();
            let ended =
                view.channels.iter().filter(|(_, held)| !held.live && (retries || !held.unknown));
            ended.map(|(channel, _)| channel.clone()).filter(|channel| !waits(channel)).collect()
        };
        if !missing.is_empty() {
            sleep(Duration::from_millis(self.rng.u64(100..1_000))).await;
            missing.iter().for_each(|channel| self.subscribe(connection, channel));
        }
    }

    fn subscribe(&self, connection: &mut Connection, channel: &str) {
        connection.sent += 1;
        let (epoch, version) = self.view.borrow().channels[channel].at;
        let mut request = json!({"channel": channel});
        if epoch > 0 {
            request["recover"] = json!(true);
            request["epoch"] = json!(epoch.to_string());
            request["offset"] = json!(version);
        }
        connection.waiting.insert(connection.sent, channel.to_owned());
        connection.send(&json!({"id": connection.sent, "subscribe": request}));
    }

    fn take(&mut self, connection: &mut Connection, message: Value) {
        if message == json!({}) {
            return connection.send(&json!({}));
        }
        if let Some(push) = message.get("push") {
            let channel = push["channel"].as_str().unwrap();
            if push.get("unsubscribe").is_some() {
                self.change(channel, |held| held.live = false);
            } else {
                self.publication(channel, &push["pub"]);
            }
            return;
        }
        let Some(channel) = connection.waiting.remove(&message["id"].as_u64().unwrap_or(0)) else {
            return;
        };
        if let Some(error) = message.get("error") {
            let gone = error["message"] == "unknown_channel";
            self.world.trace.note(&self.name, format_args!("{channel}: {}", error["message"]));
            if !gone && error["temporary"] != true {
                self.fault(&format!("I5 {channel}: refused with {error}"));
            }
            return self.change(&channel, |held| held.unknown = gone);
        }
        self.begin(&channel, &message["subscribe"]);
    }

    /// The answer to a subscribe.
    fn begin(&mut self, channel: &str, answer: &Value) {
        self.check_audit(channel);
        self.change(channel, |held| (held.live, held.unknown) = (true, false));
        let epoch: u64 = answer["epoch"].as_str().unwrap_or("0").parse().unwrap_or(0);
        if answer["recovered"] == true {
            let held = self.view.borrow().channels[channel].at;
            if held.0 != epoch {
                self.fault(&format!("I6 {channel}: {held:?} is recovered in epoch {epoch}"));
            }
            for publication in answer["publications"].as_array().into_iter().flatten() {
                self.publication(channel, publication);
            }
            return;
        }
        let at = (epoch, answer["offset"].as_u64().unwrap_or(0));
        self.replace(channel, at, &answer["data"]);
    }

    fn publication(&mut self, channel: &str, publication: &Value) {
        let data = &publication["data"];
        let (epoch, held) = self.view.borrow().channels[channel].at;
        let version = publication["offset"].as_u64().unwrap_or(0);
        let (Some(from), Some(to)) = (data["from"].as_u64(), data["to"].as_u64()) else {
            // A snapshot names its epoch; the state of a ticket stays in its epoch.
            let epoch = data["epoch"].as_str().map_or(epoch, |text| text.parse().unwrap());
            return self.replace(channel, (epoch, version), data);
        };
        if to != version || from > held || to <= held {
            self.fault(&format!("I2 {channel}: step {from}..{to} for one who holds {held}"));
        }
        self.note(channel, format_args!("{from}..{to}"));
        self.change(channel, |held| {
            for key in data["remove"].as_array().into_iter().flatten() {
                held.data.remove(key.as_str().unwrap());
            }
            for (key, entry) in data["set"].as_object().into_iter().flatten() {
                held.data.insert(key.clone(), entry.clone());
            }
            held.at = (epoch, to);
        });
        self.check_tenant(channel);
    }

    /// Takes a whole state.
    fn replace(&mut self, channel: &str, at: At, data: &Value) {
        let before = self.view.borrow().channels[channel].at;
        if at < before {
            self.fault(&format!("I6 {channel}: {at:?} after {before:?}"));
        }
        self.note(channel, format_args!("whole {at:?}"));
        let state = if channel.starts_with("ticket:") { data } else { &data["entries"] };
        let Some(state) = state.as_object() else {
            return self.fault(&format!("I5 {channel}: no state in {data}"));
        };
        let state = state.iter().map(|(key, entry)| (key.clone(), entry.clone())).collect();
        self.change(channel, |held| (held.at, held.data) = (at, state));
        self.check_tenant(channel);
    }

    /// Nothing is shown before its audit entry is in the log.
    fn check_audit(&mut self, channel: &str) {
        let mut view = self.view.borrow_mut();
        let opened = view.opened.entry(channel.to_owned()).or_default();
        *opened += 1;
        let needed = *opened;
        let (tenant, subject) = (view.tenant.clone(), view.subject.clone());
        drop(view);
        let records = self.world.broker.all(AUDIT_TOPIC).into_values().flatten();
        let written = records
            .filter(|record| record.record.key.starts_with(&tenant))
            .filter_map(|record| serde_json::from_slice::<Value>(&record.record.value).ok())
            .flat_map(|record| record["entries"].as_array().cloned().unwrap_or_default())
            .filter(|entry| {
                entry["action"] == "channel.open"
                    && entry["subject"] == subject.as_str()
                    && entry["what"][0] == channel
            })
            .count();
        if written < needed {
            self.fault(&format!("I8 {channel}: shown {needed} times, audited {written} times"));
        }
    }

    /// Every ticket that a client sees has the digit of its tenant.
    fn check_tenant(&self, channel: &str) {
        let view = self.view.borrow();
        let place = &places()[self.place];
        let strange = view.channels[channel].data.keys().find(|key| {
            let hex = key.rsplit('.').next().filter(|_| key.contains('.'));
            let number = hex.and_then(|hex| u128::from_str_radix(hex, 16).ok());
            // Tickets of visits and moves have hashed numbers.
            let number = number.filter(|number| (1_000_000..4_000_000).contains(number));
            number.is_some_and(|number| {
                let of = (number / 1_000_000) as usize - 1;
                places()[of].tenant != place.tenant
            })
        });
        if let Some(key) = strange {
            self.fault(&format!("I7 {channel}: {key} is of another tenant"));
        }
    }

    fn change(&self, channel: &str, change: impl FnOnce(&mut Held)) {
        if let Some(held) = self.view.borrow_mut().channels.get_mut(channel) {
            change(held);
        }
    }

    fn note(&self, channel: &str, what: std::fmt::Arguments<'_>) {
        self.world.trace.note(&self.name, format_args!("{channel} {what}"));
    }

    fn fault(&self, what: &str) {
        self.world.fault(format!("{what} ({})", self.name));
    }
}

impl Connection {
    fn send(&mut self, message: &Value) {
        // A node that has closed says so to the next read.
        let _ = self.frames.write(&mut &self.end, Message::text(message.to_string()));
        let _ = self.frames.flush(&mut &self.end);
    }
}
