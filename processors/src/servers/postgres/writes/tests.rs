use schemas::{
    appointment::{AppointmentFact, AppointmentStatus},
    command::Command,
    ids::{
        Aggregate, AggregateKind, AppointmentId, CommandId, LocationId, QueueId, SourceId,
        SourceKey, TicketId,
    },
    record::{CARE_TOPIC, CommandRecord},
    ticket::Priority,
};

use super::{Consumer, writes};
use crate::{
    aggregate::AggregateState,
    ledger::{AppointmentRow, Batch, OwnerEpoch, PartitionClaim},
    location::Appointment,
    log::{LogOffset, LogRecord, PartitionId},
    runner::batch::{self, BatchState},
};

/// A batch that opens a clinic, issues this many tickets, and lets each leave again.
fn morning(tickets: u128) -> Batch {
    let aggregate = Aggregate::parse("demo/riverside").unwrap();
    let queue = QueueId::new("riverside.general").unwrap();
    let location = LocationId::new("riverside").unwrap();
    let (name, time_zone, languages) =
        ("Riverside".into(), "Europe/Paris".into(), vec!["fr".into()]);
    let mut commands = vec![
        Command::ConfigureLocation {
            name,
            time_zone,
            languages,
            timers: Default::default(),
            bands: None,
            call_order: Default::default(),
            address: None,
            edition: None,
        },
        Command::ConfigureQueue {
            queue: queue.clone(),
            name: "General".into(),
            prefix: "A".into(),
            service_s: None,
            max_tickets: None,
            edition: None,
        },
        Command::OpenQueue { queue: queue.clone() },
    ];
    for number in 0..tickets {
        let ticket = TicketId::from_random(&location, number);
        let (queue, priority) = (queue.clone(), Priority::default());
        commands.push(Command::IssueTicket { queue, ticket: ticket.clone(), priority });
        commands.push(Command::LeaveTicket { ticket });
    }
    commands.push(Command::CloseQueue { queue }); // broken below, so that it is parked
    let record = |(offset, command): (i64, Command)| {
        let id = CommandId::new(format!("c-{offset}")).unwrap();
        let (aggregate, source) = (aggregate.clone(), "test".to_owned());
        let record = CommandRecord {
            aggregate,
            id,
            source,
            fingerprint: None,
            valid_until: None,
            actor: None,
            command,
        };
        let at = 1_700_000_000_000 + offset;
        LogRecord { offset: LogOffset(offset), at, record: record.to_wire() }
    };
    let mut records: Vec<LogRecord> = (0..).zip(commands).map(record).collect();
    records.last_mut().unwrap().record.value = b"{".as_slice().into();
    let read = records
        .iter()
        .map(|record| batch::read(&record.record, CARE_TOPIC, PartitionId(0), 1))
        .collect();
    let mut working = BatchState::default();
    working.aggregates.insert(aggregate.clone(), AggregateState::new(AggregateKind::Location, 7));
    let claim = PartitionClaim {
        partition: PartitionId(0),
        owner_epoch: OwnerEpoch(1),
        next_offset: LogOffset::START,
    };
    let mut batch =
        batch::build(claim, &records.iter().collect::<Vec<_>>(), read, &mut working).batch;
    batch.appointments = (0..tickets)
        .map(|number| AppointmentRow {
            aggregate: aggregate.clone(),
            appointment: appointment(AppointmentId::from_random(&location, number)),
        })
        .collect();
    batch
}

fn appointment(id: AppointmentId) -> Appointment {
    let fact = AppointmentFact {
        source: SourceId::new("his").unwrap(),
        key: SourceKey::new("4711").unwrap(),
        revision: 1,
        revision_is_time: false,
        status: AppointmentStatus::Waitlist,
        start: None,
        end: None,
        doctor: None,
        queue: None,
        label: None,
        reason: None,
        moved_to: None,
    };
    Appointment {
        id,
        fact,
        reported_at: 1,
        status: AppointmentStatus::Waitlist,
        late: false,
        expired: false,
        missed_at: None,
        visits: Vec::new(),
        successor: None,
        moving: None,
        passed_on: None,
        booked_at: None,
        counted: None,
        clinic: None,
        view: 1,
    }
}

#[test]
fn batch_statement_count_is_constant() {
    let consumer = Consumer { name: "test".into(), topic: "care".into() };
    let statements =
        |tickets| writes(&[&morning(tickets)], &consumer).iter().map(|w| w.sql).collect::<Vec<_>>();
    assert_eq!(statements(2), statements(200));
    assert_eq!(statements(200).len(), 14, "every statement there is");
    assert!(statements(200)[0].contains("UPDATE clinicwire.checkpoint"), "the fence is the first");
}
