//! A measurement, not a test: `cargo test --release -p clinicwire-processors --test servers -- --ignored --nocapture rate`.

use std::time::Instant;

use processors::ledger::{Ledger, PartitionClaim};
use schemas::command::Command;

use crate::{
    clinic::{Clinic, issue, station, ticket},
    setup::Database,
};

const RECORDS: usize = 500;
const ROUNDS: usize = 40;

/// A morning's mix at one location per batch: tickets issued, called, started, completed.
fn morning(round: usize) -> Vec<Command> {
    let first = (round * RECORDS / 4) as u128;
    let numbers = first..first + RECORDS as u128 / 4;
    numbers
        .flat_map(|number| {
            let ticket = ticket(number);
            [
                issue(number),
                Command::CallTicket { ticket: ticket.clone(), station: station() },
                Command::StartService { ticket: ticket.clone() },
                Command::CompleteTicket { ticket },
            ]
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn rate_of_commits_of_500_records() {
    let database = Database::migrated().await;
    let ledger = database.ledger(4);
    let mut clinics = Vec::new();
    for partition in 0..4 {
        let mut clinic = Clinic::new(&ledger).await;
        let claim = ledger.claim(partition).await.unwrap();
        let batch = clinic.batch(claim, crate::clinic::opening());
        ledger.commit(&batch).await.unwrap();
        clinics.push((clinic, PartitionClaim { next_offset: batch.to, ..claim }));
    }
    let (mut building, mut committing, mut publishing) = (0.0, 0.0, 0.0);
    for round in 0..ROUNDS {
        let (clinic, claim) = &mut clinics[round % 4];
        let begun = Instant::now();
        let batch = clinic.batch(*claim, morning(round));
        building += begun.elapsed().as_secs_f64();
        assert_eq!(batch.journal.len(), RECORDS);
        let begun = Instant::now();
        ledger.commit(&batch).await.unwrap();
        committing += begun.elapsed().as_secs_f64();
        let keys: Vec<_> = batch.outbox.iter().map(|row| (row.offset, row.part)).collect();
        let begun = Instant::now();
        ledger.delete_published(claim.partition, &keys).await.unwrap();
        publishing += begun.elapsed().as_secs_f64();
        claim.next_offset = batch.to;
    }
    let records = (RECORDS * ROUNDS) as f64;
    println!(
        "{ROUNDS} batches of {RECORDS}: commit {:.0} records/s ({:.1} ms a batch), with its outbox cleared {:.0}; decided at {:.0}",
        records / committing,
        committing * 1e3 / ROUNDS as f64,
        records / (committing + publishing),
        records / building,
    );
}
