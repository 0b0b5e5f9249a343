//! Ticks: only the owner of a partition appends them for its locations.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::SeqCst},
    },
    time::Duration,
};

use processors::{
    ledger::{JournalEntry, JournalRow, Ledger, PartNames},
    log::PartitionId,
    runner::{self, RunnerCounters},
    tenants::Tenants,
};
use schemas::{
    Millis,
    codes::Code,
    command::Command,
    event::Event,
    ids::TenantId,
    record::{CommandRecord, WireRecord},
    ticket::TicketState,
};
use standalone::memory::{Clock, Memory};
use testing::records::riverside::here;
use tokio::time::{Instant, sleep};

use crate::{
    clinic::{
        START, ViewsTopic, care, check, code, issue, memory_by, opening, quiet, run, send,
        settings, until,
    },
    faults::{Faults, Op, backends},
    riverside,
};

/// The end of an absence that begins at [`START`].
const DUE: Millis = START + 15 * 60 * 1000;

/// A clock that moves only when it is set.
#[derive(Clone)]
struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    fn at(now: Millis) -> Self {
        Self(Arc::new(AtomicI64::new(now)))
    }

    fn set(&self, now: Millis) {
        self.0.store(now, SeqCst);
    }

    fn clock(&self) -> Clock {
        let hand = self.clone();
        Arc::new(move || hand.0.load(SeqCst))
    }
}

/// The settings of an owner with this clock, and its counters.
fn by(hand: &ManualClock) -> (runner::RunnerSettings, Arc<RunnerCounters>) {
    let settings = runner::RunnerSettings { clock: hand.clock(), ..settings() };
    let counters = Arc::clone(&settings.counters);
    (settings, counters)
}

/// A location whose only ticket is absent since [`START`]. The default limit of an absence is
/// 15 minutes.
async fn somebody_is_absent(memory: &Memory) {
    let (ticket, station) = (here().ticket(1), here().station("room-1"));
    let commands = [
        issue(&here(), 1),
        Command::CallNext { queue: here().queue("general"), station, force: false },
        Command::MarkAbsent { ticket },
    ];
    let commands = commands.into_iter().enumerate();
    let named =
        commands.map(|(n, command)| here().record(&format!("absent-{n}"), command).to_wire());
    let records: Vec<WireRecord> = opening(&here()).into_iter().chain(named).collect();
    for record in records {
        send(memory, record).await;
    }
}

async fn is_over(memory: &Memory) -> bool {
    let names = PartNames { tickets: vec![here().ticket(1)], ..PartNames::default() };
    let named = memory.ledger.location_parts(&riverside(), &names).await.unwrap();
    named.tickets.iter().any(|ticket| ticket.standing.state == TicketState::NoShow)
}

async fn ticks(memory: &Memory) -> Vec<CommandRecord> {
    let commands = care(memory).await;
    let commands =
        commands.iter().filter_map(|appended| CommandRecord::from_wire(&appended.record).ok());
    commands.filter(|command| matches!(command.command, Command::Tick {})).collect()
}

#[tokio::test(start_paused = true)]
async fn owner_writes_one_tick_when_timer_is_due() {
    let hand = ManualClock::at(START);
    let memory = memory_by(hand.clock());
    let heard = ViewsTopic::listen(&memory);
    let (settings, counters) = by(&hand);
    run(backends(&memory, &Faults::none()), settings);
    somebody_is_absent(&memory).await;
    quiet(&memory).await;

    hand.set(DUE - 1);
    sleep(Duration::from_secs(60)).await; // simulated time: nothing may happen in it
    assert!(ticks(&memory).await.is_empty(), "no timer is due");
    hand.set(DUE);
    until("the absence is over", async || is_over(&memory).await).await;
    sleep(Duration::from_secs(60)).await; // simulated time: nothing may happen in it
    assert_eq!(ticks(&memory).await.len(), 1, "a timer that has fired is not due again");
    assert_eq!(counters.ticks.load(SeqCst), 1);
    quiet(&memory).await;
    check(&memory, &heard).await;
}

#[tokio::test(start_paused = true)]
async fn timers_of_a_suspended_tenant_fire() {
    let hand = ManualClock::at(START);
    let memory = memory_by(hand.clock());
    let heard = ViewsTopic::listen(&memory);
    let tenants = Tenants::none();
    let settings = runner::RunnerSettings { tenants: Arc::clone(&tenants), ..by(&hand).0 };
    run(backends(&memory, &Faults::none()), settings);
    somebody_is_absent(&memory).await;
    quiet(&memory).await;
    tenants.set_suspended(TenantId::new("demo").unwrap(), true);
    hand.set(DUE);
    until("the absence is over", async || is_over(&memory).await).await;
    quiet(&memory).await;
    check(&memory, &heard).await;
}

/// 450 people wait at midnight. Their tickets end in three steps that follow each other at once.
#[tokio::test(start_paused = true)]
async fn long_line_ends_its_day_in_slices() {
    // In Paris, a minute after midnight.
    const NEXT_DAY: Millis = START + 48 * 60 * 1000;
    let hand = ManualClock::at(START);
    let memory = memory_by(hand.clock());
    let heard = ViewsTopic::listen(&memory);
    run(backends(&memory, &Faults::none()), by(&hand).0);
    let issues =
        (1..=450).map(|number| here().record(&format!("i-{number}"), issue(&here(), number)));
    for record in opening(&here()).into_iter().chain(issues.map(|record| record.to_wire())) {
        send(&memory, record).await;
    }
    quiet(&memory).await;

    let began = Instant::now();
    hand.set(NEXT_DAY);
    until("the line is empty", async || {
        memory.ledger.restore(&riverside()).await.unwrap().unwrap().tickets.is_empty()
    })
    .await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(ticks(&memory).await.len(), 3);
    quiet(&memory).await;
    check(&memory, &heard).await;
}

#[tokio::test(start_paused = true)]
async fn non_owner_writes_no_tick() {
    let hand = ManualClock::at(START);
    let memory = memory_by(hand.clock());
    let first = run(backends(&memory, &Faults::none()), by(&hand).0);
    somebody_is_absent(&memory).await;
    quiet(&memory).await;
    first.abort();

    let faults = Faults::none();
    faults.break_all(&[Op::PartitionClaim]);
    let (settings, counters) = by(&hand);
    run(backends(&memory, &faults), settings);
    hand.set(DUE + 60_000);
    let end = memory.log.end();
    until("it tried to own it", async || faults.calls(Op::PartitionClaim) > 5).await;
    assert_eq!(memory.log.end(), end);
    faults.mend();
    until("the absence is over", async || is_over(&memory).await).await;
    assert_eq!(counters.ticks.load(SeqCst), 1, "now it owns the partition");
}

/// The new owner has never seen the location, and no record has moved it since.
#[tokio::test(start_paused = true)]
async fn next_owner_reads_due_times_from_ledger() {
    let hand = ManualClock::at(START);
    let memory = memory_by(hand.clock());
    let heard = ViewsTopic::listen(&memory);
    let first = run(backends(&memory, &Faults::none()), by(&hand).0);
    somebody_is_absent(&memory).await;
    quiet(&memory).await;
    first.abort();
    hand.set(DUE + 5 * 60_000);
    let faults = Faults::none();
    run(backends(&memory, &faults), by(&hand).0);
    until("the absence is over", async || is_over(&memory).await).await;
    assert_eq!(faults.calls(Op::Load), 1, "it was loaded for its tick");
    quiet(&memory).await;
    check(&memory, &heard).await;
}

/// Ticks of earlier owners are in the log, before and after the due time.
#[tokio::test(start_paused = true)]
async fn foreign_ticks_replace_owner_ticks() {
    let hand = ManualClock::at(START);
    let memory = memory_by(hand.clock());
    let heard = ViewsTopic::listen(&memory);
    let first = run(backends(&memory, &Faults::none()), by(&hand).0);
    somebody_is_absent(&memory).await;
    quiet(&memory).await;
    first.abort();
    for (n, now) in [(1, DUE - 1), (2, DUE), (3, DUE), (4, DUE + 500)] {
        hand.set(now);
        let mut tick = here().record(&format!("tick.0.1.{n}"), Command::Tick {});
        tick.source = "clinicwire-processors".to_owned();
        send(&memory, tick.to_wire()).await;
    }
    let (settings, owner) = by(&hand);
    run(backends(&memory, &Faults::none()), settings);
    until("the absence is over", async || is_over(&memory).await).await;
    sleep(Duration::from_secs(60)).await; // simulated time: nothing may happen in it
    quiet(&memory).await;
    let journal = memory.ledger.journal();
    let expired = |row: &JournalRow| {
        let (_, events) = row.entry.moved()?;
        events
            .iter()
            .any(|event| matches!(event, Event::TicketExpired { .. }))
            .then_some(row.offset)
    };
    let last: Vec<_> = journal.iter().map(|(_, row)| row).skip(journal.len() - 4).collect();
    assert_eq!(
        journal.iter().filter_map(|(_, row)| expired(row)).collect::<Vec<_>>(),
        [last[1].offset]
    );
    let nothing = |row: &JournalRow| {
        matches!(row.entry, JournalEntry::Refused { code: Code::NothingDue, timers: None })
    };
    assert!([last[0], last[2], last[3]].into_iter().all(nothing));
    assert_eq!(owner.ticks.load(SeqCst), 0, "the records before it had told the time");
    check(&memory, &heard).await;
}

#[tokio::test(start_paused = true)]
async fn early_tick_does_not_replace_due_tick() {
    let (log, owner) = (ManualClock::at(START), ManualClock::at(START));
    let memory = memory_by(log.clock());
    let heard = ViewsTopic::listen(&memory);
    run(backends(&memory, &Faults::none()), by(&owner).0);
    somebody_is_absent(&memory).await;
    quiet(&memory).await;
    let told = heard.all().len();
    owner.set(DUE + 1_000);
    until("it says so twice", async || ticks(&memory).await.len() >= 2).await;
    quiet(&memory).await;
    assert!(!is_over(&memory).await, "by the log's clock nothing is due");
    assert_eq!(heard.all().len(), told, "nobody hears of it");
    let early = |(_, row): &(PartitionId, JournalRow)| {
        matches!(row.entry, JournalEntry::Refused { code: Code::NothingDue, timers: None })
    };
    assert!(memory.ledger.journal().iter().filter(|row| early(row)).count() >= 2);
    log.set(DUE);
    until("the absence is over", async || is_over(&memory).await).await;
    owner.set(START);
    quiet(&memory).await;
    check(&memory, &heard).await;
    for tick in ticks(&memory).await {
        let id = tick.identity();
        assert!(memory.ledger.outcomes(&[id]).await.unwrap().is_empty(), "a tick has no outcome");
    }
}

#[tokio::test(start_paused = true)]
async fn refused_tick_is_written_again() {
    let hand = ManualClock::at(START);
    let memory = memory_by(hand.clock());
    let heard = ViewsTopic::listen(&memory);
    let faults = Faults::none();
    let (settings, counters) = by(&hand);
    run(backends(&memory, &faults), settings);
    somebody_is_absent(&memory).await;
    quiet(&memory).await;
    faults.break_all(&[Op::Append]);
    let before = faults.calls(Op::Append);
    hand.set(DUE);
    until("it is tried again", async || faults.calls(Op::Append) > before + 1).await;
    let failing = || counters.partition("clinicwire.care.v1", PartitionId(0)).unwrap().failing;
    assert!(failing().is_some(), "nobody would notice otherwise");
    faults.mend();
    until("the absence is over", async || is_over(&memory).await).await;
    assert_eq!(failing(), None);
    quiet(&memory).await;
    check(&memory, &heard).await;
}

#[tokio::test(start_paused = true)]
async fn refused_record_keeps_timer_events() {
    let (log, owner) = (ManualClock::at(START), ManualClock::at(START));
    let memory = memory_by(log.clock());
    let heard = ViewsTopic::listen(&memory);
    let faults = Faults::none();
    let running = run(backends(&memory, &faults), by(&owner).0);
    somebody_is_absent(&memory).await;
    quiet(&memory).await;
    // The timer is due by the log's clock, and not yet by the owner's.
    log.set(DUE);
    owner.set(DUE - 1);
    let back = Command::ReturnTicket { ticket: here().ticket(1) };
    send(&memory, here().record("too-late", back).to_wire()).await;
    assert_eq!(code(&heard.outcome("too-late").await), Some(Code::IllegalMove));
    quiet(&memory).await;
    assert!(is_over(&memory).await, "the absence was over before the patient was back");
    let (_, last) = memory.ledger.journal().pop().unwrap();
    assert!(matches!(
        last.entry,
        JournalEntry::Refused { code: Code::IllegalMove, timers: Some(_) }
    ));
    check(&memory, &heard).await;
    // The version is used up, also for an owner that continues from the ledger.
    running.abort();
    run(backends(&memory, &faults), by(&owner).0);
    send(&memory, here().record("next", issue(&here(), 2)).to_wire()).await;
    assert_eq!(code(&heard.outcome("next").await), None);
    quiet(&memory).await;
    check(&memory, &heard).await;
}

/// Nobody owns the partition for ten minutes. Then a call that was meant for one moment must not
/// call a patient, while a command without an end of validity is carried out.
#[tokio::test(start_paused = true)]
async fn command_that_waited_out_an_outage_is_expired() {
    let hand = ManualClock::at(START);
    let memory = memory_by(hand.clock());
    let heard = ViewsTopic::listen(&memory);
    let mut records = opening(&here());
    records.push(here().record("issue", issue(&here(), 1)).to_wire());
    let mut call = here().record("call", here().call_next("general", "room-1"));
    call.valid_until = Some(START + 60_000);
    records.push(call.to_wire());
    records
        .push(here().record("leave", Command::LeaveTicket { ticket: here().ticket(1) }).to_wire());
    for record in records {
        send(&memory, record).await;
    }
    hand.set(START + 10 * 60_000);
    run(backends(&memory, &Faults::none()), by(&hand).0);
    assert_eq!(code(&heard.outcome("call").await), Some(Code::CommandExpired));
    assert_eq!(code(&heard.outcome("leave").await), None);
    quiet(&memory).await;
    check(&memory, &heard).await;
    let journal = memory.ledger.journal();
    assert!(journal.iter().all(|(_, row)| row.decided_at == START + 10 * 60_000));
}

/// A broker whose clock is a day ahead stamps one record.
#[tokio::test(start_paused = true)]
async fn record_from_future_is_parked() {
    let (log, owner) = (ManualClock::at(START), ManualClock::at(START));
    let memory = memory_by(log.clock());
    let heard = ViewsTopic::listen(&memory);
    run(backends(&memory, &Faults::none()), by(&owner).0);
    for record in opening(&here()) {
        send(&memory, record).await;
    }
    quiet(&memory).await;
    owner.set(START + 1_000);
    let ahead = owner.clock()() + runner::batch::MAX_AHEAD;
    log.set(ahead + 1);
    send(&memory, here().record("future", issue(&here(), 1)).to_wire()).await;
    assert_eq!(code(&heard.outcome("future").await), Some(Code::RecordFromFuture));
    quiet(&memory).await;
    let (_, last) = memory.ledger.journal().pop().unwrap();
    assert!(matches!(last.entry, JournalEntry::Parked { code: Code::RecordFromFuture, .. }));
    // The log never stamps below its last record. Once the owner's clock is near enough, the same
    // command is carried out: a parked record decides nothing.
    owner.set(START + 2_000);
    let mut again = here().record("future", issue(&here(), 1));
    again.valid_until = Some(START + 60_000);
    send(&memory, again.to_wire()).await;
    until("an answer to both", async || heard.outcomes("future").len() == 2).await;
    assert_eq!(code(&heard.outcomes("future")[1]), None, "the clock of the location is right");
    quiet(&memory).await;
    check(&memory, &heard).await;
}

/// Outcomes go an hour after the lifetime of their keys, once a record shows that the log is there.
#[tokio::test(start_paused = true)]
async fn owner_deletes_outcomes_of_forgotten_keys() {
    let hand = ManualClock::at(START);
    let memory = memory_by(hand.clock());
    let settings = runner::RunnerSettings { key_lifetime: Duration::from_secs(60), ..by(&hand).0 };
    run(backends(&memory, &Faults::none()), settings);
    let commands: Vec<_> = (1..=30)
        .map(|number| here().record(&format!("issue-{number}"), issue(&here(), number)))
        .collect();
    let records = opening(&here()).into_iter().chain(commands.iter().map(CommandRecord::to_wire));
    for record in records {
        send(&memory, record).await;
    }
    quiet(&memory).await;
    let old: Vec<_> = commands.iter().map(CommandRecord::identity).collect();
    let kept = async || memory.ledger.outcomes(&old).await.unwrap().len();

    hand.set(START + 3_660_000);
    let last = here().record("last", issue(&here(), 31));
    send(&memory, last.to_wire()).await;
    sleep(Duration::from_secs(120)).await; // simulated time: outcomes would be deleted in it
    assert_eq!(kept().await, 30, "the hour is not over");
    hand.set(START + 3_660_001);
    send(&memory, here().record("later", issue(&here(), 32)).to_wire()).await;
    sleep(Duration::from_secs(60)).await; // the owner looks once a minute
    until("the old outcomes are deleted", async || kept().await == 0).await;
    assert_eq!(memory.ledger.outcomes(&[last.identity()]).await.unwrap().len(), 1);
}
