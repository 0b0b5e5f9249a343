//! Records that are parked, refused or repeated.

use super::*;

#[tokio::test(start_paused = true)]
async fn unreadable_record_is_parked_and_answered() {
    let memory = memory();
    let heard = ViewsTopic::listen(&memory);
    run(backends(&memory, &Faults::none()), settings());
    send_all(&memory, opening(&here())).await;
    let good = |id: &str| here().record(id, issue(&here(), 1)).to_wire();
    let with = |id: &str, header: &str, value: &str| {
        let mut wire = good(id);
        wire.headers.retain(|(name, _)| name != header);
        wire.headers.push((header.into(), value.into()));
        wire
    };
    let table = [
        (
            WireRecord { value: b"{".as_slice().into(), ..good("broken") },
            Some("broken"),
            Code::RecordMalformed,
        ),
        (
            with("unknown", "ce_type", "clinicwire.ticket.teleport.v1"),
            Some("unknown"),
            Code::RecordUnknownType,
        ),
        (
            with("newer", "ce_type", "clinicwire.ticket.issue.v2"),
            Some("newer"),
            Code::RecordUnknownVersion,
        ),
        (WireRecord { key: "riverside".into(), ..good("keyless") }, None, Code::RecordBadKey),
        (WireRecord { headers: Vec::new(), ..good("nameless") }, None, Code::RecordMalformed),
        (with("misnamed", "ce_id", "no spaces allowed"), None, Code::RecordMalformed),
        // A ticket of another location, and a location of another tenant: the key of the record
        // decides.
        (
            here()
                .record("foreign", Command::LeaveTicket { ticket: hillside().ticket(1) })
                .to_wire(),
            Some("foreign"),
            Code::RecordForeignId,
        ),
        (
            WireRecord { key: "other/hillside".into(), ..good("tenant") },
            Some("tenant"),
            Code::RecordForeignId,
        ),
    ];
    for (record, ..) in &table {
        send(&memory, record.clone()).await;
    }
    send(&memory, good("good")).await;
    assert_eq!(code(&heard.outcome("good").await), None, "the records behind are applied");
    quiet(&memory).await;
    let journal = memory.ledger.journal();
    for ((sent, caller, expected), (_, row)) in table.into_iter().zip(&journal[4..]) {
        match &row.entry {
            JournalEntry::Parked { code, record } => {
                assert_eq!(*code, expected);
                assert!(*record == sent, "set aside untouched");
            }
            _ => panic!("{expected} was not parked"),
        }
        if let Some(id) = caller {
            assert_eq!(code(&heard.outcome(id).await), Some(expected));
        }
    }
    check(&memory, &heard).await;
}

#[tokio::test(start_paused = true)]
async fn parked_record_leaves_its_id_free() {
    let memory = memory();
    let heard = ViewsTopic::listen(&memory);
    run(backends(&memory, &Faults::none()), settings());
    send_all(&memory, opening(&here())).await;
    let good = here().record("mine", issue(&here(), 1)).to_wire();
    send(&memory, WireRecord { value: b"{".as_slice().into(), ..good.clone() }).await;
    send(&memory, good).await;
    quiet(&memory).await;
    let codes: Vec<_> = heard.outcomes("mine").iter().map(code).collect();
    assert_eq!(codes, [Some(Code::RecordMalformed), None]);
}

#[tokio::test(start_paused = true)]
async fn expired_command_is_refused() {
    let memory = memory();
    let heard = ViewsTopic::listen(&memory);
    send_all(&memory, opening(&here())).await;
    let mut expired = here().record("expired", issue(&here(), 1));
    expired.valid_until = Some(START - 1);
    let mut in_time = here().record("in-time", issue(&here(), 1));
    in_time.valid_until = Some(START + 60_000);
    send_all(&memory, vec![expired.to_wire(), in_time.to_wire()]).await;
    // The append time counts: a command does not expire while it waits for a processor. The time is
    // simulated.
    tokio::time::sleep(Duration::from_secs(120)).await;
    run(backends(&memory, &Faults::none()), settings());
    assert_eq!(code(&heard.outcome("expired").await), Some(Code::CommandExpired));
    assert_eq!(code(&heard.outcome("in-time").await), None);
    quiet(&memory).await;
    check(&memory, &heard).await;
}

#[tokio::test(start_paused = true)]
async fn record_on_wrong_partition_is_parked() {
    let memory = memory();
    let heard = ViewsTopic::listen(&memory);
    let faults = Faults::none();
    // This is the first of two partitions; one of the two locations belongs to each.
    let log = FaultyLog {
        real: Arc::new(memory.log.another()),
        faults: faults.clone(),
        twice: false,
        partition_count: 2,
        released: AtomicBool::new(false),
    };
    let places = (0..100).map(|n| SampleLocation::new("demo", &format!("place-{n}")));
    let (ours, others): (Vec<_>, Vec<_>) = places
        .partition(|place| PartitionId::for_key(place.aggregate().as_str(), 2) == PartitionId(0));
    let (ours, other) = (&ours[0], &others[0]);
    run(backends_with(&memory, &faults, Arc::new(log)), settings());
    send_all(&memory, opening(other)).await;
    send_all(&memory, opening(ours)).await;
    let id = |place: &SampleLocation| format!("open-{}-4", place.id);
    assert_eq!(code(&heard.outcome(&id(ours)).await), None);
    assert_eq!(code(&heard.outcome(&id(other)).await), Some(Code::RecordWrongPartition));
    assert!(memory.ledger.restore(&other.aggregate()).await.unwrap().is_none(), "it had no effect");
    assert_eq!(memory.ledger.journaled().parked, 4);
}

#[tokio::test(start_paused = true)]
async fn repeated_command_gets_first_outcome() {
    let memory = memory();
    let heard = ViewsTopic::listen(&memory);
    let faults = Faults::none();
    let running = run(backends(&memory, &faults), settings());
    send_all(&memory, opening(&here())).await;
    let call = here().call_next("general", "room-1");
    let call = here().record("call", call).to_wire();
    let issue = |n| here().record(&format!("issue-{n}"), issue(&here(), n)).to_wire();
    // Repeated in the same batch, in a later batch, and after a restart.
    send_all(&memory, vec![issue(3), issue(6), call.clone(), call.clone()]).await;
    quiet(&memory).await;
    send(&memory, call.clone()).await;
    quiet(&memory).await;
    running.abort();
    run(backends(&memory, &faults), settings());
    send(&memory, call).await;
    quiet(&memory).await;
    until("four answers", async || heard.outcomes("call").len() == 4).await;
    let outcomes = heard.outcomes("call");
    assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]));
    assert!(matches!(outcomes[0].verdict, Verdict::Applied { version: 7, .. }));
    assert_eq!(memory.ledger.restore(&riverside()).await.unwrap().unwrap().position.version, 7);
    check(&memory, &heard).await;
}
