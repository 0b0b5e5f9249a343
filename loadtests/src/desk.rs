//! The clinic's side of a run: a fresh queue nobody else touches, its stations, tickets and calls.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use futures_util::{StreamExt, TryStreamExt, stream};
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};

use crate::{
    follower::now_us,
    http::{Api, AppliedOutcome, CommandFailure},
    report::say,
    target::Target,
    watch::Kind,
};

/// What the clients of a scenario listen to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Audience {
    /// All of them the location's board.
    Board,
    /// All of them the fresh queue, as staff see it.
    Queue,
    /// Each of them a ticket of its own in the fresh queue.
    Tickets,
    /// All of them how busy the location is.
    Load,
}

/// Tickets issued at one time while a line is filled.
const ISSUING: usize = 32;

/// Whoever issues the tickets of one fresh queue and calls them.
pub struct Desk {
    pub api: Arc<Api>,
    pub target: Arc<Target>,
    pub queue: String,
    stations: Vec<String>,
    turn: AtomicUsize,
}

/// A ticket, and the version at which it was issued: the order of the line.
pub struct Issued {
    pub ticket: String,
    pub version: u64,
    pub at: i64,
}

/// A call that was applied.
#[derive(Clone)]
pub struct Called {
    pub ticket: String,
    pub version: u64,
    pub at: i64,
    pub took: Duration,
}

#[derive(Deserialize)]
struct TicketResult {
    ticket: String,
}

/// A label prefix, which no other queue of the location may have: `S` and three of 36 characters by
/// chance.
fn prefix() -> String {
    std::iter::once('S').chain((0..3).map(|_| fastrand::digit(36).to_ascii_uppercase())).collect()
}

impl Desk {
    /// Creates and opens a queue with `stations` stations, under names no earlier run can have
    /// used.
    ///
    /// # Errors
    /// When a command is refused or has no outcome.
    pub async fn open(target: Arc<Target>, deadline: Duration, stations: usize) -> Result<Self> {
        let slug = format!("{}.swarm-{:x}", target.location, now_us());
        let stations = (1..=stations).map(|number| format!("{slug}-{number}")).collect();
        let api = Arc::new(Api::new(deadline));
        let desk = Self { api, target, queue: slug, stations, turn: AtomicUsize::new(0) };
        let queue = format!("/v1/queues/{}", desk.queue);
        let body = json!({"name": "Swarm", "prefix": prefix()});
        desk.admin(&queue, body).await.context("create a queue")?;
        for (number, station) in desk.stations.iter().enumerate() {
            let body = json!({"name": format!("Swarm {}", number + 1)});
            desk.admin(&format!("/v1/stations/{station}"), body)
                .await
                .context("create a station")?;
        }
        match desk.post(&format!("{queue}/open"), json!({})).await {
            // A new queue may be open from its beginning.
            Ok(_) | Err(CommandFailure::Refused(409 | 422, _)) => Ok(desk),
            Err(error) => Err(error).context("open the queue"),
        }
    }

    async fn admin(&self, path: &str, body: Value) -> Result<AppliedOutcome, CommandFailure> {
        self.api.command(&self.target.node(0), &self.target.admin, Method::PUT, path, body).await
    }

    async fn post(&self, path: &str, body: Value) -> Result<AppliedOutcome, CommandFailure> {
        let node = self.target.node(self.turn.fetch_add(1, Ordering::Relaxed));
        self.api.command(&node, &self.target.reception, Method::POST, path, body).await
    }

    /// Issues one ticket.
    ///
    /// # Errors
    /// When the command is refused or has no outcome.
    pub async fn issue(&self) -> Result<Issued> {
        let outcome = self.post(&format!("/v1/queues/{}/tickets", self.queue), json!({})).await?;
        let TicketResult { ticket } =
            serde_json::from_value(outcome.result).context("understand a new ticket")?;
        Ok(Issued { ticket, version: outcome.version, at: outcome.at })
    }

    /// Issues `count` tickets, and gives them in the order in which they were decided: the order of
    /// the line.
    ///
    /// # Errors
    /// When one of them is not issued.
    pub async fn fill(&self, count: usize) -> Result<Vec<Issued>> {
        say(&format!("issuing {count} tickets …"));
        let issuing = stream::iter(0..count).map(|_| self.issue()).buffer_unordered(ISSUING);
        let mut line: Vec<Issued> = issuing.try_collect().await.context("issue tickets")?;
        line.sort_by_key(|issued| issued.version);
        let dense = line.windows(2).all(|pair| pair[0].version < pair[1].version);
        ensure!(dense, "two tickets were issued at the same version");
        Ok(line)
    }

    /// The channel of each of `clients`, and its kind; issues their tickets if they are to have
    /// some.
    ///
    /// # Errors
    /// When a ticket is not issued.
    pub async fn channels(
        &self,
        audience: Audience,
        clients: usize,
    ) -> Result<(Kind, Vec<String>)> {
        Ok(match audience {
            Audience::Board => {
                (Kind::Keyed, vec![format!("board:{}", self.target.location); clients])
            }
            Audience::Queue => (Kind::Keyed, vec![format!("queue:{}", self.queue); clients]),
            Audience::Load => {
                (Kind::Keyed, vec![format!("load:{}", self.target.location); clients])
            }
            Audience::Tickets => {
                let line = self.fill(clients).await?;
                let channels =
                    line.iter().map(|issued| format!("ticket:{}", issued.ticket)).collect();
                (Kind::Ticket { own_line: true }, channels)
            }
        })
    }

    /// Where the snapshot of the audience's view is read; tickets have one each.
    #[must_use]
    pub fn view_path(&self, audience: Audience) -> Option<String> {
        match audience {
            Audience::Board => Some(format!("/v1/boards/{}", self.target.location)),
            Audience::Queue => Some(format!("/v1/queues/{}", self.queue)),
            Audience::Load => Some(format!("/v1/loads/{}", self.target.location)),
            Audience::Tickets => None,
        }
    }

    /// Calls the next in line to the station whose turn it is.
    ///
    /// # Errors
    /// When the command is refused or has no outcome.
    pub async fn call(&self, turn: usize) -> Result<Called> {
        let started = Instant::now();
        let station = &self.stations[turn % self.stations.len()];
        let path = format!("/v1/queues/{}/call-next", self.queue);
        let outcome = self.post(&path, json!({"station": station})).await?;
        let took = started.elapsed();
        let TicketResult { ticket } =
            serde_json::from_value(outcome.result).context("understand a call")?;
        Ok(Called { ticket, version: outcome.version, at: outcome.at, took })
    }

    /// Starts the service of a called ticket.
    ///
    /// # Errors
    /// When the command is refused or has no outcome.
    pub async fn start(&self, ticket: &str) -> Result<AppliedOutcome> {
        self.post(&format!("/v1/tickets/{ticket}/start"), json!({}))
            .await
            .context("start a service")
    }

    /// Completes the service of a ticket.
    ///
    /// # Errors
    /// When the command is refused or has no outcome.
    pub async fn complete(&self, ticket: &str) -> Result<AppliedOutcome> {
        self.post(&format!("/v1/tickets/{ticket}/complete"), json!({}))
            .await
            .context("complete a service")
    }
}

/// Starts `count` runs of `make` at `rate` a second, however long each takes, and gives all that
/// they returned.
pub async fn at_rate<T, F>(count: usize, rate: f64, make: impl Fn(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let mut tick = interval(Duration::from_secs_f64(1.0 / rate.max(0.001)));
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut running = JoinSet::new();
    for turn in 0..count {
        tick.tick().await;
        running.spawn(make(turn));
    }
    running.join_all().await
}
