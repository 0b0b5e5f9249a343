//! Rounds in which Kafka stops (SIGSTOP) and continues, like a broker on an overloaded disk or in a
//! paused virtual machine. Gateways and processors run under light traffic meanwhile. Each round
//! measures how long after its end every client of Kafka works again.

mod clinic;
mod installation;

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use clap::Parser;
use tokio::time::sleep;

use crate::report::say;
use clinic::{Clinic, Round};
use installation::Installation;

/// Stops Kafka for a while, again and again, and prints when every client of it is back. Run it
/// under `deploy/dev/servers run --`, which starts the servers.
#[derive(Parser)]
#[command(version)]
pub struct StallArgs {
    /// Stalls of Kafka, one after the other.
    #[arg(long, default_value_t = 30)]
    rounds: usize,
    /// Gateway nodes.
    #[arg(long, default_value_t = 18)]
    gateways: usize,
    /// Processors, which share the partitions.
    #[arg(long, default_value_t = 2)]
    processors: usize,
    /// Seconds of each stall.
    #[arg(long, default_value_t = 30)]
    stall: u64,
    /// Seconds after a stall within which every client must be back.
    #[arg(long, default_value_t = 15)]
    limit: u64,
    /// Seconds after which a round gives up on clients that are not back.
    #[arg(long, default_value_t = 60)]
    patience: u64,
    /// Directory of the programs [default: the directory of this program]
    #[arg(long)]
    programs: Option<PathBuf>,
    /// The script that starts, stops and signals servers.
    #[arg(long, default_value = "deploy/dev/servers")]
    servers: PathBuf,
    /// Directory for the logs of the programs, which are deleted otherwise.
    #[arg(long)]
    logs: Option<PathBuf>,
}

/// Pause between two rounds: everything is quiet again.
const PAUSE: Duration = Duration::from_secs(5);

/// Runs all rounds. Returns whether every client was back within the limit in each of them.
///
/// # Errors
/// When the installation cannot be started or a server cannot be signalled.
pub async fn run(args: StallArgs) -> Result<bool> {
    let installation = Installation::start(&args).await?;
    let mut rounds = Vec::new();
    say("seconds from the end of the stall until all are back; the last two: clients replaced");
    say("round  commands appended  published  heard  gateways ready  processors ready  gw  proc");
    for number in 1..=args.rounds {
        let clinic = Arc::new(Clinic::open(&installation).await.context("open a location")?);
        let watching = Arc::clone(&clinic).watch();
        sleep(PAUSE).await;
        installation.signal_kafka("-STOP").await?;
        sleep(Duration::from_secs(args.stall)).await;
        installation.signal_kafka("-CONT").await?;
        let round = clinic.until_back(Duration::from_secs(args.patience)).await;
        watching.stop();
        let replaced = installation.replaced().await;
        say(&format!("{number:>5}  {}  {:>4}  {:>4}", round.line(), replaced.0, replaced.1));
        rounds.push(round);
    }
    say("least, median and most over all rounds and clients:");
    for (name, times) in Round::merge(&rounds) {
        say(&format!("{name:<18} {}", clinic::summary(times)));
    }
    let limit = Duration::from_secs(args.limit);
    let late = rounds.iter().filter(|round| !round.is_within(limit)).count();
    say(&format!("{late} of {} rounds had a client that was not back in {limit:?}", rounds.len()));
    installation.stop().await;
    Ok(late == 0)
}
