//! Two tenants, three locations, the commands of a morning, and the check that each command had
//! exactly one effect.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use gateway::{
    backends::log::{FeedItem, Log as _},
    backends::snapshots::{Snapshot, Snapshots as _},
};
use processors::{
    aggregate::{AggregateHeader, AggregateState},
    effect::RecordTime,
    ledger::{JournalEntry, JournalRow, Ledger},
    location::LocationHeader,
    log::{Log as _, LogEvent, LogOffset, LogRecord, PartitionId},
    runner::{self, RunnerBackends, RunnerError, batch},
};
use schemas::{
    Millis,
    appointment::{AppointmentFact, AppointmentStatus},
    codes::Code,
    command::{Command, CommandOutcome, Verdict},
    identity::CommandIdentity,
    ids::{Aggregate, AggregateKind, CommandId},
    record::{CARE_TOPIC, CommandRecord, ViewsRecord, WireRecord},
    view::{Fold, View},
};
use standalone::memory::{Clock, Memory, MemoryLedger, MemoryLog};
use testing::records::{SampleLocation, bare_fact, riverside::here};
use tokio::{task::JoinHandle, time::Instant};

use crate::faults::Numbers;

pub const START: Millis = 1_700_000_000_000;

/// A clock that starts at [`START`] and follows the runtime's simulated time.
fn clock() -> Clock {
    let start = Instant::now();
    Arc::new(move || START + Millis::try_from(start.elapsed().as_millis()).expect("a short test"))
}

/// A memory backend that keeps its whole log and journal, on the simulated clock.
pub fn memory() -> Memory {
    memory_by(clock())
}

/// The backend of [`memory`] on the given clock.
pub fn memory_by(clock: Clock) -> Memory {
    let ledger = MemoryLedger::new(clock.clone());
    ledger.keep_journal();
    let log = Arc::new(MemoryLog::new(clock.clone()));
    Memory { log, ledger: Arc::new(ledger), ..Memory::new(clock) }
}

/// Small batches, so that a morning takes many. The owner's clock equals the log's or is behind it.
pub fn settings() -> runner::RunnerSettings {
    runner::RunnerSettings { batch: 7, clock: clock(), ..runner::RunnerSettings::new(CARE_TOPIC) }
}

pub fn run(
    backends: RunnerBackends,
    settings: runner::RunnerSettings,
) -> JoinHandle<Result<(), RunnerError>> {
    tokio::spawn(runner::run(backends, settings, std::future::pending()))
}

/// Waits until `condition` holds. Time is simulated: waiting costs nothing, and ten minutes without
/// success fail the test. Forty faults, each with the longest pause after it, take less.
pub async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(600);
    while !condition().await {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The only partition of a topic in memory.
pub const PARTITION: PartitionId = PartitionId(0);

/// Waits until every appended record is committed, published and stored.
pub async fn quiet(memory: &Memory) {
    until("all is quiet", async || {
        let checkpoint = memory.ledger.checkpoint(PARTITION).await.unwrap();
        checkpoint.next_offset == memory.log.end()
            && memory.ledger.outbox(PARTITION, 1).await.unwrap().is_empty()
            && memory.ledger.dirty(PARTITION, 1, 1).await.unwrap().is_empty()
    })
    .await;
}

pub async fn send(memory: &Memory, record: WireRecord) {
    gateway::backends::log::Log::append(&*memory.log, CARE_TOPIC, record).await.unwrap();
}

/// The records of the topic `views`, in order.
#[derive(Clone)]
pub struct ViewsTopic(Arc<Mutex<Vec<(Aggregate, ViewsRecord)>>>);

impl ViewsTopic {
    pub fn listen(memory: &Memory) -> Self {
        let heard = Self(Arc::default());
        let (mut follower, all) = (memory.log.follow(), heard.0.clone());
        tokio::spawn(async move {
            while let Some(fed) = follower.recv().await {
                match fed {
                    FeedItem::Record { record, .. } => {
                        let aggregate = Aggregate::parse(&record.key).unwrap();
                        all.lock()
                            .unwrap()
                            .push((aggregate, ViewsRecord::from_value(&record.value).unwrap()));
                    }
                    FeedItem::CaughtUp => {}
                    FeedItem::Lost => panic!("the follower keeps up"),
                }
            }
        });
        heard
    }

    pub fn all(&self) -> Vec<(Aggregate, ViewsRecord)> {
        self.0.lock().unwrap().clone()
    }

    /// The published outcomes of a command, in order.
    pub fn outcomes(&self, id: &str) -> Vec<CommandOutcome> {
        let published = self.all().into_iter().filter_map(|(_, record)| record.outcome);
        let outcomes = published.map(|published| published.outcome);
        outcomes.filter(|outcome| outcome.command.as_str() == id).collect()
    }

    pub async fn outcome(&self, id: &str) -> CommandOutcome {
        until("an outcome", async || !self.outcomes(id).is_empty()).await;
        self.outcomes(id).remove(0)
    }
}

pub fn code(outcome: &CommandOutcome) -> Option<Code> {
    match outcome.verdict {
        Verdict::Refused { code } => Some(code),
        Verdict::Applied { .. } | Verdict::Moving { .. } => None,
    }
}

pub fn hillside() -> SampleLocation {
    SampleLocation::new("demo", "hillside")
}

/// Issues a ticket whose priority follows from its number.
pub fn issue(location: &SampleLocation, number: u64) -> Command {
    location.issue_with_priority("general", number.into(), (number % 3) as u8)
}

/// Four records that configure a location with an open queue.
pub fn opening(location: &SampleLocation) -> Vec<WireRecord> {
    let records = location.records(&format!("open-{}", location.id), location.opening());
    records.iter().map(CommandRecord::to_wire).collect()
}

/// The commands of a morning at three locations of two tenants: most are valid, some are refused,
/// repeated or unreadable.
pub fn morning(seed: u64, length: u64) -> Vec<WireRecord> {
    let places = [here(), hillside(), SampleLocation::new("other", "riverside")];
    let mut numbers = Numbers(seed);
    let mut records: Vec<WireRecord> = places.iter().flat_map(opening).collect();
    for n in 0..length {
        let place = &places[numbers.below(3) as usize];
        let recent = numbers.below(n + 1);
        let (queue, ticket) = (place.queue("general"), place.ticket(recent.into()));
        let command = match numbers.below(16) {
            0..=3 => issue(place, n),
            4 | 5 => place.call_next("general", "room-1"),
            6 => Command::StartService { ticket },
            7 => Command::CompleteTicket { ticket },
            8 => Command::LeaveTicket { ticket },
            9 => Command::RevertTicket { ticket },
            10 => {
                let elsewhere = if place.id == hillside().id { here() } else { hillside() };
                Command::TransferTicket { ticket, queue: elsewhere.queue("general") }
            }
            // Every other appointment gets new random digits with each record of its source.
            11 | 12 => report(place, recent, recent, &mut numbers),
            13 => report(place, recent, 5_000_000 + n, &mut numbers),
            14 => {
                let appointment = place.appointment(recent.into());
                Command::CheckIn { appointment, queue: Some(queue) }
            }
            _ => {
                let leave = Command::LeaveTicket { ticket };
                let mut poison = place.record(&format!("m-{n}"), leave).to_wire();
                poison.value = b"{\"ticket\":".as_slice().into();
                records.push(poison);
                continue;
            }
        };
        records.push(place.record(&format!("m-{n}"), command).to_wire());
        if numbers.below(6) == 0 {
            let again = records[numbers.below(records.len() as u64) as usize].clone();
            records.push(again);
        }
    }
    records
}

/// A fact about the appointment with this number, starting today or tomorrow.
fn report(location: &SampleLocation, number: u64, digits: u64, numbers: &mut Numbers) -> Command {
    use AppointmentStatus::{Arrived, Booked, Cancelled, Proposed};
    let start = START + Millis::try_from(numbers.below(40)).expect("few hours") * 3_600_000;
    let revision = numbers.below(10);
    let status = [Booked, Booked, Booked, Arrived, Cancelled, Proposed][numbers.below(6) as usize];
    let fact = AppointmentFact {
        start: Some(start),
        end: Some(start + 900_000),
        queue: Some(location.queue("general")),
        ..bare_fact(&number.to_string(), revision, status)
    };
    location.report(digits.into(), fact)
}

/// Reads the whole topic `care`.
pub async fn care(memory: &Memory) -> Vec<LogRecord> {
    let end = memory.log.end();
    let mut inputs = memory.log.another().read();
    let mut records = Vec::new();
    while LogOffset(records.len() as i64) < end {
        match inputs.recv().await.unwrap() {
            LogEvent::Assigned { claims, .. } => {
                claims.send([(PARTITION, LogOffset::START)].into_iter().collect()).unwrap()
            }
            LogEvent::Records { records: more, .. } => records.extend(more),
            LogEvent::Revoked { .. } => panic!("memory revokes nothing"),
        }
    }
    records
}

/// Checks the invariants of a quiet installation: one effect per record, dense versions, unbroken
/// chains, read models equal to the fold of the journal, a view store equal to the ledger, and an
/// answer for every caller.
pub async fn check(memory: &Memory, heard: &ViewsTopic) {
    check_but(memory, heard, false).await;
}

/// The checks of [`check`] after the view store was flushed. The store may lack views that have not
/// changed since.
pub async fn check_after_flush(memory: &Memory, heard: &ViewsTopic) {
    check_but(memory, heard, true).await;
}

async fn check_but(memory: &Memory, heard: &ViewsTopic, flushed: bool) {
    let care = care(memory).await;
    let mut journal: Vec<JournalRow> =
        memory.ledger.journal().into_iter().map(|(_, row)| row).collect();
    assert!(
        journal.is_sorted_by(|one, next| one.offset < next.offset),
        "no record is journalled twice"
    );
    assert_eq!(journal.len(), care.len(), "no record is left out");
    let model = Model::of(&care, &mut journal);
    let mut expected_views = BTreeMap::new();
    for (aggregate, state) in model.aggregates {
        let Some(loaded) = memory.ledger.restore(&aggregate).await.unwrap() else {
            assert_eq!(state.position().version, 0);
            continue;
        };
        assert_eq!(loaded.position, state.position());
        let AggregateState::Location(mut location) = state else {
            assert!(clockless(&loaded.header) == clockless(&state.header()));
            continue;
        };
        location.forget_ended();
        let AggregateHeader::Location(header) = &loaded.header else {
            panic!("a location's header")
        };
        assert!(
            timeless(header) == timeless(location.header()),
            "the header is the fold of the journal"
        );
        assert!(loaded.tickets.iter().all(|held| location.ticket(&held.id) == Some(held)));
        assert!(
            loaded.appointments.iter().all(|held| location.appointment(&held.id) == Some(held))
        );
        let parts = loaded.tickets.len() + loaded.appointments.len();
        assert_eq!(
            parts,
            location.parts(),
            "every live ticket and near appointment is in the ledger"
        );
        expected_views.extend(model.views.iter().filter(|((of, _), _)| *of == aggregate));
    }
    check_views(memory, heard, &expected_views, flushed).await;
    for (id, told) in model.told {
        let outcomes = heard.outcomes(&id);
        assert!(!outcomes.is_empty(), "every caller gets an outcome");
        assert!(
            outcomes.iter().all(|outcome| told.contains(&outcome.verdict)),
            "the first outcome, every time"
        );
    }
}

/// The header of a key without its clock.
fn clockless(header: &AggregateHeader) -> serde_json::Value {
    let mut json = serde_json::to_value(header).unwrap();
    json.as_object_mut().unwrap().remove("now");
    json
}

/// The header without its clock: refusals move the clock too, and leave no row.
fn timeless(header: &LocationHeader) -> LocationHeader {
    LocationHeader { now: 0, ..header.clone() }
}

type Name = (Aggregate, String);

async fn check_views(
    memory: &Memory,
    heard: &ViewsTopic,
    expected: &BTreeMap<&Name, &View>,
    flushed: bool,
) {
    let mut followed: HashMap<Name, View> = HashMap::new();
    for (aggregate, record) in heard.all() {
        for step in record.deltas {
            let name = (aggregate.clone(), step.view);
            let view = followed.entry(name).or_insert_with(|| View::empty(record.position.epoch));
            assert_eq!(view.position.epoch, record.position.epoch);
            assert_ne!(view.fold(&step.delta), Fold::Gap, "the chain of a view is unbroken");
        }
    }
    let ledger: HashMap<Name, View> = memory.ledger.views().into_iter().collect();
    assert_eq!(ledger.len(), expected.len());
    for (name, expected) in expected {
        let stored = match memory.views.load(&name.0, &name.1).await.unwrap() {
            Snapshot::Held(view) => Some(view),
            Snapshot::Absent | Snapshot::Suspect => None,
        };
        assert!(stored.is_some() || flushed, "the store holds every view");
        for view in [&ledger[*name], &followed[*name]].into_iter().chain(&stored) {
            assert!(
                same(view, expected),
                "the views are the fold of the journal, wherever they are held"
            );
        }
    }
}

pub fn same(one: &View, other: &View) -> bool {
    let texts = |view: &View| -> Vec<(String, String)> {
        view.entries.iter().map(|(key, entry)| (key.clone(), entry.get().to_owned())).collect()
    };
    one.position == other.position && one.at == other.at && texts(one) == texts(other)
}

/// The expected result: each record decided once, in log order.
struct Model {
    aggregates: BTreeMap<Aggregate, AggregateState>,
    views: BTreeMap<Name, View>,
    /// The answers each caller may get. A parked record decides nothing, so its id may get two
    /// answers.
    told: BTreeMap<String, Vec<Verdict>>,
}

impl Model {
    fn of(care: &[LogRecord], journal: &mut [JournalRow]) -> Self {
        let mut model =
            Self { aggregates: BTreeMap::new(), views: BTreeMap::new(), told: BTreeMap::new() };
        let epochs: HashMap<Aggregate, u64> = journal.iter().rev().filter_map(epoch_of).collect();
        let mut decided: HashMap<(Aggregate, CommandId), Verdict> = HashMap::new();
        for (record, row) in care.iter().zip(journal) {
            assert_eq!(record.offset, row.offset);
            assert!(row.at >= record.at);
            let read = batch::check_time(record.at, row.decided_at)
                .and_then(|()| CommandRecord::from_wire(&record.record));
            let command = match read {
                Ok(command) => command,
                Err(code) => {
                    let JournalEntry::Parked { code: parked, .. } = &row.entry else {
                        panic!("{code}: a record that cannot be read is parked");
                    };
                    assert_eq!(*parked, code);
                    if let Some((_, id, _)) = &row.command {
                        model
                            .told
                            .entry(id.to_string())
                            .or_default()
                            .push(Verdict::Refused { code });
                    }
                    continue;
                }
            };
            // A fact of a suspended tenant is kept, and decided when it is appended again.
            if let JournalEntry::Parked { code: code @ Code::TenantSuspended, .. } = row.entry {
                let told = model.told.entry(command.id.to_string()).or_default();
                told.push(Verdict::Refused { code });
                continue;
            }
            if matches!(command.command, Command::Tick {}) {
                let epoch = epochs.get(&command.aggregate).copied().unwrap_or(0);
                model.judge(&command, epoch, row);
                assert!(!model.told.contains_key(command.id.as_str()), "nobody waits for a tick");
                continue;
            }
            let id = (command.aggregate.clone(), command.id.clone());
            if decided.contains_key(&id) {
                assert!(matches!(row.entry, JournalEntry::Repeated), "decided once");
                continue;
            }
            let epoch = epochs.get(&command.aggregate).copied().unwrap_or(0);
            let (verdict, settles) = model.judge(&command, epoch, row);
            if command.aggregate.kind() == AggregateKind::AppointmentKey {
                // Nobody waits for the outcome of a claim.
                decided.insert(id, verdict);
                continue;
            }
            // The outcome of an answer between locations is not published: what it settles is.
            let (told, answer) = match settles {
                Some((identity, settled)) => (identity.command, settled),
                None => (command.id.clone(), verdict.clone()),
            };
            model.told.entry(told.to_string()).or_default().push(answer);
            decided.insert(id, verdict);
        }
        model
    }

    /// The verdict on a command, and the verdict that it settles.
    fn judge(
        &mut self,
        command: &CommandRecord,
        epoch: u64,
        row: &JournalRow,
    ) -> (Verdict, Option<(CommandIdentity, Verdict)>) {
        let aggregate = &command.aggregate;
        let state = self.aggregates.entry(aggregate.clone());
        let state = state.or_insert_with(|| AggregateState::new(aggregate.kind(), epoch));
        // The state of the tenant refuses these, before the aggregate decides.
        if let JournalEntry::Refused { code, timers } = &row.entry
            && matches!(code, Code::TenantSuspended | Code::QuotaReached)
        {
            assert!(timers.is_none());
            return (Verdict::Refused { code: *code }, None);
        }
        let time = RecordTime { appended_at: row.at, decided_at: row.decided_at };
        let step = state.handle(command, time);
        match (&row.entry, &step.verdict) {
            (
                JournalEntry::Applied { position, events },
                Verdict::Applied { .. } | Verdict::Moving { .. },
            ) => {
                assert_eq!(*position, step.position, "versions are dense");
                assert!(
                    *events == step.events,
                    "decided against the state of its place in the log"
                );
            }
            (JournalEntry::Refused { code, timers }, Verdict::Refused { code: expected }) => {
                assert_eq!(code, expected);
                let moved = (!step.events.is_empty()).then(|| (step.position, step.events.clone()));
                assert!(*timers == moved, "what timers did before it");
            }
            _ => panic!("a record was judged against another state"),
        }
        for delta in step.deltas {
            let name = (aggregate.clone(), delta.view);
            let view = self.views.entry(name).or_insert_with(|| View::empty(epoch));
            assert_eq!(view.fold(&delta.delta), Fold::Applied);
        }
        let settles = step.settles.map(|settled| (settled.command, settled.outcome));
        (step.verdict, settles)
    }
}

fn epoch_of(row: &JournalRow) -> Option<(Aggregate, u64)> {
    let (position, _) = row.entry.moved()?;
    let (aggregate, ..) = row.command.as_ref()?;
    Some((aggregate.clone(), position.epoch))
}
