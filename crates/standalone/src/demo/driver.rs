//! Sends the commands of the model at their time.

use std::time::Duration;

use gateway::clock::now;
use schemas::{
    Millis,
    codes::Code,
    command::{Command, Verdict},
    ids::TicketId,
    line::{QUEUE_KEY, QueueEntry},
    rule::Rule,
    view::View,
};

use super::{
    clinic::{DemoClinic, DemoLines},
    desk::{DemoClient, DemoClientError},
    plan::{self, Pace},
};

/// Allowed clinic minutes per real minute. Below 1 nothing seems to happen; above 1000 the commands
/// of a clinic of this size would fill a core.
pub const SPEEDS: std::ops::RangeInclusive<f64> = 1.0..=1000.0;
/// Most time that a clinic catches up after waiting for its gateway. Past it, plans are shifted.
const CATCH_UP: Millis = 1000;

/// An error while the demo is set up.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error(transparent)]
    Client(#[from] DemoClientError),
    #[error("the clinic refused {command}: {code}")]
    Refused { command: &'static str, code: Code },
}

/// Creates the demo's location unless it exists, fills its lines, and returns the model.
///
/// # Errors
/// When the gateway refuses a command of the setup.
pub async fn set_up(desk: &DemoClient, seed: u64, speed: f64) -> Result<DemoClinic, DemoError> {
    let pace = Pace::new(speed);
    for command in plan::configure(desk.location(), pace) {
        match desk.send(&command).await? {
            Verdict::Applied { .. } | Verdict::Moving { .. } => {}
            // The queue was open before.
            Verdict::Refused { code: Code::IllegalMove }
                if matches!(command, Command::OpenQueue { .. }) => {}
            Verdict::Refused { code } => {
                return Err(DemoError::Refused { command: command.kind(), code });
            }
        }
    }
    let standing = standing(desk).await?;
    let now = now();
    let mut clinic = DemoClinic::new(seed, pace, now, desk.location().clone(), standing);
    do_what_is_due(desk, &mut clinic, now).await?;
    Ok(clinic)
}

async fn standing(desk: &DemoClient) -> Result<DemoLines, DemoClientError> {
    let mut standing = DemoLines::new();
    for queue in plan::queues(desk.location()) {
        if let Some(view) = desk.queue(&queue).await? {
            standing.push((queue, entries(&view)));
        }
    }
    Ok(standing)
}

/// Stores the rules by which claims files are checked.
///
/// # Errors
/// When the gateway refuses a rule, or a rule cannot be applied.
pub async fn put_rules(desk: &DemoClient, rules: Vec<Rule>) -> Result<(), DemoError> {
    for rule in rules {
        let command = Command::PutRule { rule, edition: None };
        if let Verdict::Refused { code } = desk.send(&command).await? {
            return Err(DemoError::Refused { command: command.kind(), code });
        }
    }
    Ok(())
}

fn entries(view: &View) -> Vec<(TicketId, QueueEntry)> {
    let tickets = view.entries.iter().filter(|(key, _)| *key != QUEUE_KEY);
    let read = tickets.map(|(key, entry)| {
        Some((TicketId::new(key.as_str()).ok()?, serde_json::from_str(entry.get()).ok()?))
    });
    read.flatten().collect()
}

/// Runs the clinic for ever, and calls `shown` about every five seconds.
///
/// # Errors
/// When a gateway no longer accepts the token.
pub async fn run(
    desk: &DemoClient,
    clinic: &mut DemoClinic,
    mut shown: impl FnMut(&DemoClinic),
) -> Result<std::convert::Infallible, DemoError> {
    const SHOW: Millis = 5000;
    let mut next_show = now() + SHOW;
    loop {
        let ahead = u64::try_from(clinic.next_due() - now()).unwrap_or_default();
        tokio::time::sleep(Duration::from_millis(ahead)).await;
        let now = now();
        let lag = now - clinic.next_due() - CATCH_UP;
        if lag > 0 {
            clinic.stood_still(lag, now);
        }
        do_what_is_due(desk, clinic, now).await?;
        if now >= next_show {
            next_show = now + SHOW;
            // The next command waits until the node is back.
            if let Ok(standing) = standing(desk).await {
                clinic.notice(now, &standing);
            }
            shown(clinic);
        }
    }
}

async fn do_what_is_due(
    desk: &DemoClient,
    clinic: &mut DemoClinic,
    now: Millis,
) -> Result<(), DemoError> {
    while let Some(command) = clinic.step(now) {
        let verdict = desk.send(&command).await?;
        clinic.learn(&command, &verdict);
    }
    Ok(())
}
