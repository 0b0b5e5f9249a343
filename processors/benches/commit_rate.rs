//! The rate of commits to the ledger on PostgreSQL, by time: how fast batches are decided,
//! committed and cleared from the outbox. Needs a server; `--fsync` makes commits wait for the
//! disk: `deploy/dev/servers run --fsync -- cargo bench -p clinicwire-processors --bench
//! commit_rate`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints and may panic")]

#[allow(dead_code, reason = "shared with the tests")]
#[path = "../tests/servers/setup.rs"]
mod setup;

use std::time::Instant;

use processors::{
    fixtures::{Clinic, issue, station, ticket},
    ledger::Ledger,
};
use schemas::command::Command;

use crate::setup::Database;

const RECORDS: usize = 500;
const ROUNDS: usize = 40;

/// Commands of one batch at one location: tickets are issued, called, served and completed.
fn morning(round: usize) -> Vec<Command> {
    let first = (round * RECORDS / 4) as u128;
    let numbers = first..first + RECORDS as u128 / 4;
    numbers
        .flat_map(|number| {
            let ticket = ticket(number);
            [
                issue(number),
                Command::CallTicket { ticket: ticket.clone(), station: station(), force: false },
                Command::StartService { ticket: ticket.clone() },
                Command::CompleteTicket { ticket },
            ]
        })
        .collect()
}

/// The processor's name and the number of cores, since figures are only comparable on one machine.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    format!("{cores} cores, {}", model.trim_start_matches(['\t', ' ', ':']).trim())
}

#[tokio::main]
async fn main() {
    if std::env::var_os("CLINICWIRE_POSTGRES").is_none() {
        println!("commit_rate: CLINICWIRE_POSTGRES names no server, nothing is measured");
        return;
    }
    let database = Database::migrated().await;
    let ledger = database.ledger(4);
    let mut clinics = Vec::new();
    for _ in 0..4 {
        let mut clinic = Clinic::new(&ledger).await;
        let claim = clinic.open(&ledger, 0).await;
        clinics.push((clinic, claim));
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
    println!("machine: {}", machine());
    println!("{ROUNDS} batches of {RECORDS} records");
    println!("decide: {:.0} records/s", records / building);
    println!(
        "commit: {:.0} records/s, {:.1} ms per batch",
        records / committing,
        committing * 1e3 / ROUNDS as f64
    );
    println!("commit and clear the outbox: {:.0} records/s", records / (committing + publishing));
}
