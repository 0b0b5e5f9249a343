//! The checks of views: of the ledger, the topic, the store and the clients.

use std::collections::{BTreeMap, BTreeSet};

use gateway::backends::snapshots::{Snapshot, Snapshots};
use processors::{
    ledger::{Ledger, PartNames},
    location::{Appointment, Ticket},
};
use schemas::{
    ids::{Aggregate, TicketId},
    record::VIEWS_TOPIC,
    view::View,
};
use serde_json::Value;
use tokio::time::{Duration, Instant, sleep};

use crate::{
    client::Held,
    model::{Model, ModelAppointment, ModelLocation},
    world::World,
};

/// A view as JSON: its position and its entries.
type PlainView = ((u64, u64), BTreeMap<String, Value>);

fn plain(view: &View) -> PlainView {
    let entries = view.entries.iter();
    let entries =
        entries.map(|(key, entry)| (key.clone(), serde_json::from_str(entry.get()).unwrap()));
    ((view.position.epoch, view.position.version), entries.collect())
}

fn ledger_views(world: &World) -> BTreeMap<(Aggregate, String), PlainView> {
    let views = world.memory.ledger.views().into_iter();
    views.map(|(name, view)| (name, plain(&view))).collect()
}

/// I3: the rows and the lines are what the journal says.
pub async fn read_models(world: &World, model: &Model) -> Vec<String> {
    let mut faults = Vec::new();
    let views = ledger_views(world);
    for (aggregate, location) in &model.locations {
        let Some(stored) = world.memory.ledger.restore(aggregate).await.unwrap() else {
            faults.push(format!("I3 {aggregate} is not stored"));
            continue;
        };
        let at = (stored.position.epoch, stored.position.version);
        if at != (location.epoch, location.version) {
            faults.push(format!("I3 {aggregate} is at {at:?}, not at {}", location.version));
        }
        let names = PartNames {
            tickets: location.tickets.keys().map(|id| TicketId::new(id.clone()).unwrap()).collect(),
            appointments: location.appointments.keys().cloned().collect(),
            keys: Vec::new(),
        };
        let parts = world.memory.ledger.location_parts(aggregate, &names).await.unwrap();
        let tickets = stored.tickets.iter().chain(&parts.tickets);
        faults.extend(tickets_differ(aggregate, location, tickets));
        // Appointments that wait for a timer are compared although the model may not name them.
        let waking = world.memory.ledger.appointments(aggregate, i64::MIN..i64::MAX).await.unwrap();
        let appointments = parts.appointments.iter().chain(&waking);
        faults.extend(appointments_differ(aggregate, location, appointments));
        faults.extend(lines(aggregate, location, &views));
    }
    faults
}

/// The tickets of a location, live ones and ended ones, against the model.
fn tickets_differ<'a>(
    aggregate: &Aggregate,
    location: &ModelLocation,
    stored: impl Iterator<Item = &'a Ticket>,
) -> Option<String> {
    let rows: Vec<_> = stored
        .map(|ticket| {
            let held = &ticket.standing;
            let row = (held.queue.to_string(), held.state.as_str(), held.priority.get(), held.rank);
            (ticket.id.to_string(), row)
        })
        .collect();
    let count = rows.len();
    let stored: BTreeMap<_, _> = rows.into_iter().collect();
    if count > stored.len() {
        return Some(format!("I3 {aggregate}: a ticket is both live and ended"));
    }
    let expected: BTreeMap<_, _> = location
        .tickets
        .iter()
        .map(|(id, it)| (id.clone(), (it.queue.clone(), it.state, it.priority, it.rank)))
        .collect();
    (stored != expected).then(|| {
        let rows = stored.iter().filter(|(id, row)| expected.get(*id) != Some(row));
        let rows: Vec<_> = rows.collect();
        let missing: Vec<_> = expected.keys().filter(|id| !stored.contains_key(*id)).collect();
        format!("I3 {aggregate}: rows {rows:?} are not in the journal, and {missing:?} have no row")
    })
}

/// The appointments of a location against the model. `stored` may name an appointment twice.
fn appointments_differ<'a>(
    aggregate: &Aggregate,
    location: &ModelLocation,
    stored: impl Iterator<Item = &'a Appointment>,
) -> Option<String> {
    let stored: BTreeMap<_, _> = stored
        .map(|appointment| {
            let visits = appointment.visits.iter().map(|visit| visit.ticket.to_string());
            let fact = serde_json::to_value(&appointment.fact).unwrap();
            (appointment.id.clone(), ModelAppointment { fact, visits: visits.collect() })
        })
        .collect();
    (stored != location.appointments)
        .then(|| format!("I3 {aggregate}: rows {stored:?}, journal {:?}", location.appointments))
}

/// The lines of a location hold the live tickets, each in the one of its queue.
fn lines(
    aggregate: &Aggregate,
    location: &ModelLocation,
    views: &BTreeMap<(Aggregate, String), PlainView>,
) -> Vec<String> {
    let mut shown = BTreeSet::new();
    for ((_, name), (_, entries)) in views.iter().filter(|((of, _), _)| of == aggregate) {
        let Some(queue) = name.strip_prefix("queue:") else { continue };
        for (ticket, entry) in entries.iter().filter(|(key, _)| *key != "queue") {
            let text = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
            let number = |field: &str| entry[field].as_u64().unwrap_or_default();
            shown.insert((
                ticket.clone(),
                queue.to_owned(),
                text("state"),
                text("label"),
                number("priority"),
                number("rank"),
            ));
        }
    }
    let live = location.tickets.iter().filter(|(_, ticket)| ticket.is_live());
    let expected: BTreeSet<_> = live
        .map(|(id, it)| {
            let state = it.state.to_owned();
            (id.clone(), it.queue.clone(), state, it.label.clone(), u64::from(it.priority), it.rank)
        })
        .collect();
    let differ: Vec<_> = shown.symmetric_difference(&expected).collect();
    match differ.is_empty() {
        true => Vec::new(),
        false => vec![format!("I3 {aggregate}: the lines differ from the journal in {differ:?}")],
    }
}

/// I2: the chain of each view in the topic is unbroken, and its end is the view of the ledger.
pub fn published(world: &World) -> Vec<String> {
    let mut faults = Vec::new();
    let mut followed: BTreeMap<(String, String), PlainView> = BTreeMap::new();
    for record in world.broker.all(VIEWS_TOPIC).into_values().flatten() {
        let record_value: Value = serde_json::from_slice(&record.record.value).unwrap();
        let epoch = record_value["position"]["epoch"].as_str().unwrap_or_default();
        let epoch: u64 = epoch.parse().unwrap_or_default();
        for step in record_value["deltas"].as_array().into_iter().flatten() {
            let (name, delta) = (step["view"].as_str().unwrap(), &step["delta"]);
            let (from, to) = (delta["from"].as_u64().unwrap(), delta["to"].as_u64().unwrap());
            let key = (record.record.key.clone(), name.to_owned());
            let (at, entries) = followed.entry(key).or_insert(((epoch, 0), BTreeMap::new()));
            if to <= at.1 {
                continue; // published again
            }
            if at.0 != epoch || from > at.1 {
                faults
                    .push(format!("I2 {} {name}: {from}..{to} follows {at:?}", record.record.key));
            }
            *at = (epoch, to);
            for removed in delta["remove"].as_array().into_iter().flatten() {
                entries.remove(removed.as_str().unwrap());
            }
            for (key, entry) in delta["set"].as_object().into_iter().flatten() {
                entries.insert(key.clone(), entry.clone());
            }
        }
    }
    for ((aggregate, name), view) in ledger_views(world) {
        if followed.get(&(aggregate.to_string(), name.clone())) != Some(&view) {
            faults.push(format!("I2 {aggregate} {name}: the topic ends elsewhere"));
        }
    }
    faults
}

/// I4: the store holds what the ledger holds.
pub async fn store(world: &World) -> Vec<String> {
    let mut faults = Vec::new();
    for ((aggregate, name), expected) in ledger_views(world) {
        match world.memory.views.load(&aggregate, &name).await.unwrap() {
            Snapshot::Held(view) if plain(&view) == expected => {}
            Snapshot::Held(view) => faults.push(format!(
                "I4 {aggregate} {name}: the store has {:?}, the ledger {:?}",
                plain(&view).0,
                expected.0
            )),
            Snapshot::Absent | Snapshot::Suspect => {
                faults.push(format!("I4 {aggregate} {name} is not in the store"));
            }
        }
    }
    faults
}

/// I5: every client has what the ledger has. A client that is on its way gets a moment.
pub async fn clients(world: &World, when: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let views = ledger_views(world);
        let mut faults = Vec::new();
        for client in world.views.borrow().iter() {
            let client = client.borrow();
            for (channel, held) in &client.channels {
                if let Some(fault) = differs(&client.tenant, channel, held, &views) {
                    faults.push(format!("{when}: I5 {} {channel}: {fault}", client.subject));
                }
            }
        }
        if faults.is_empty() {
            return;
        }
        if Instant::now() > deadline {
            return faults.into_iter().for_each(|fault| world.fault(fault));
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// How the view of a client differs from the ledger.
fn differs(
    tenant: &str,
    channel: &str,
    held: &Held,
    views: &BTreeMap<(Aggregate, String), PlainView>,
) -> Option<String> {
    let find = |name: &str| {
        let (_, id) = name.split_once(':')?;
        let location = id.split(['.', '/']).next()?;
        let of = |aggregate: &Aggregate| aggregate.as_str() == format!("{tenant}/{location}");
        views.iter().find(|((aggregate, other), _)| of(aggregate) && other == name)
    };
    let Some((_, (at, entries))) = find(channel) else {
        return (!held.unknown).then(|| "the ledger has no such view".to_owned());
    };
    if held.unknown || !held.live {
        return Some(format!("not served (unknown: {})", held.unknown));
    }
    if !channel.starts_with("ticket:") {
        let same = held.at == *at && held.data == *entries;
        return (!same).then(|| format!("holds {:?}, the ledger {at:?}", held.at));
    }
    let place = &entries["ticket"];
    if let Some(ended) = place.get("ended") {
        let ended: BTreeMap<String, Value> = ended
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, entry)| (key.clone(), entry.clone()))
            .collect();
        return (held.data != ended).then(|| format!("shows {:?}, ended as {ended:?}", held.data));
    }
    let queue = place["in"].as_str().unwrap_or_default();
    let (_, (_, line)) = find(&format!("queue:{queue}"))?;
    let id = channel.strip_prefix("ticket:").unwrap_or_default();
    let expected = (place_in(line, id), line[id]["state"].clone(), Value::from(queue));
    let shown = |name: &str| held.data.get(name).cloned().unwrap_or(Value::Null);
    let found = (shown("position").as_u64(), shown("state"), shown("queue"));
    (found != expected).then(|| format!("shows {found:?}, expected {expected:?}"))
}

/// The place of a waiting ticket: the higher priority first, then the smaller rank, then the id.
fn place_in(line: &BTreeMap<String, Value>, id: &str) -> Option<u64> {
    let waits = |entry: &Value| entry["state"] == "waiting";
    let turn = |id: &str, entry: &Value| {
        (u64::MAX - entry["priority"].as_u64().unwrap_or(0), entry["rank"].as_u64(), id.to_owned())
    };
    let own = line.get(id).filter(|entry| waits(entry))?;
    let before = line.iter().filter(|(other, entry)| {
        *other != "queue" && waits(entry) && turn(other, entry) < turn(id, own)
    });
    Some(before.count() as u64 + 1)
}
