//! The clinic's side of a scenario: a new queue that only the swarm uses, with stations, tickets
//! and calls.

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
    sync::{Mutex, MutexGuard},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};

use crate::{
    client::now_us,
    http::{Api, AppliedOutcome, CommandFailure},
    report::say,
    target::Target,
    watch::ChannelKind,
};

/// The channel of a scenario's clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Audience {
    /// The board of the location.
    Board,
    /// The new queue as staff see it.
    Queue,
    /// A separate ticket of the new queue for each client.
    Tickets,
    /// The load of the location.
    Load,
}

/// The number of tickets issued concurrently while a line is filled.
const ISSUING: usize = 32;

/// Issues and calls the tickets of one new queue.
pub struct QueueDesk {
    pub api: Arc<Api>,
    pub target: Arc<Target>,
    pub queue: String,
    stations: Vec<SwarmStation>,
    turn: AtomicUsize,
}

/// A station, which one visit at a time may occupy.
struct SwarmStation {
    id: String,
    visit: Mutex<()>,
}

/// A ticket and the version of its issue, which is its order in the line.
pub struct IssuedTicket {
    pub ticket: String,
    pub version: u64,
    pub at: i64,
}

/// A call that was applied.
#[derive(Clone)]
pub struct AppliedCall {
    pub ticket: String,
    /// The index of the station among the desk's.
    pub station: usize,
    pub version: u64,
    pub at: i64,
    pub took: Duration,
}

#[derive(Deserialize)]
struct TicketResult {
    ticket: String,
}

/// A label prefix, which must be unique in the location: `S` and three random characters of 36.
fn prefix() -> String {
    std::iter::once('S').chain((0..3).map(|_| fastrand::digit(36).to_ascii_uppercase())).collect()
}

impl QueueDesk {
    /// Creates and opens a queue with `stations` stations. The names include the clock, so they are
    /// new.
    ///
    /// # Errors
    /// When a command is refused or has no outcome.
    pub async fn open(target: Arc<Target>, deadline: Duration, stations: usize) -> Result<Self> {
        let slug = format!("{}.swarm-{:x}", target.location, now_us());
        let station =
            |number| SwarmStation { id: format!("{slug}-{number}"), visit: Mutex::default() };
        let stations = (1..=stations).map(station).collect();
        let api = Arc::new(Api::new(deadline));
        let desk = Self { api, target, queue: slug, stations, turn: AtomicUsize::new(0) };
        let queue = format!("/v1/queues/{}", desk.queue);
        let body = json!({"name": "Swarm", "prefix": prefix()});
        desk.admin(&queue, body).await.context("create a queue")?;
        for (number, station) in desk.stations.iter().enumerate() {
            let body = json!({"name": format!("Swarm {}", number + 1)});
            desk.admin(&format!("/v1/stations/{}", station.id), body)
                .await
                .context("create a station")?;
        }
        match desk.post(&format!("{queue}/open"), json!({})).await {
            // A server may create queues open.
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
    pub async fn issue(&self) -> Result<IssuedTicket> {
        let outcome = self.post(&format!("/v1/queues/{}/tickets", self.queue), json!({})).await?;
        let TicketResult { ticket } =
            serde_json::from_value(outcome.result).context("understand a new ticket")?;
        Ok(IssuedTicket { ticket, version: outcome.version, at: outcome.at })
    }

    /// Issues `count` tickets, and returns them in the order of the line.
    ///
    /// # Errors
    /// When a ticket is not issued.
    pub async fn fill(&self, count: usize) -> Result<Vec<IssuedTicket>> {
        say(&format!("issuing {count} tickets …"));
        let issuing = stream::iter(0..count).map(|_| self.issue()).buffer_unordered(ISSUING);
        let mut line: Vec<IssuedTicket> = issuing.try_collect().await.context("issue tickets")?;
        line.sort_by_key(|issued| issued.version);
        let dense = line.windows(2).all(|pair| pair[0].version < pair[1].version);
        ensure!(dense, "two tickets were issued at the same version");
        Ok(line)
    }

    /// The channels of `clients` clients and their kind. Issues a ticket for each client that needs
    /// one.
    ///
    /// # Errors
    /// When a ticket is not issued.
    pub async fn channels(
        &self,
        audience: Audience,
        clients: usize,
    ) -> Result<(ChannelKind, Vec<String>)> {
        Ok(match audience {
            Audience::Board => {
                (ChannelKind::Keyed, vec![format!("board:{}", self.target.location); clients])
            }
            Audience::Queue => (ChannelKind::Keyed, vec![format!("queue:{}", self.queue); clients]),
            Audience::Load => {
                (ChannelKind::Keyed, vec![format!("load:{}", self.target.location); clients])
            }
            Audience::Tickets => {
                let line = self.fill(clients).await?;
                let channels =
                    line.iter().map(|issued| format!("ticket:{}", issued.ticket)).collect();
                (ChannelKind::Ticket { own_line: true }, channels)
            }
        })
    }

    /// The path of the snapshot, or `None` for tickets, which have one each.
    #[must_use]
    pub fn view_path(&self, audience: Audience) -> Option<String> {
        match audience {
            Audience::Board => Some(format!("/v1/boards/{}", self.target.location)),
            Audience::Queue => Some(format!("/v1/queues/{}", self.queue)),
            Audience::Load => Some(format!("/v1/loads/{}", self.target.location)),
            Audience::Tickets => None,
        }
    }

    /// Waits until the station whose turn it is serves nobody. A visit keeps the guard to its end.
    pub async fn free_station(&self, turn: usize) -> MutexGuard<'_, ()> {
        self.stations[turn % self.stations.len()].visit.lock().await
    }

    /// Calls the next ticket to the station whose turn it is. A patient who is still called there
    /// counts as absent.
    ///
    /// # Errors
    /// When the command is refused or has no outcome.
    pub async fn call(&self, turn: usize) -> Result<AppliedCall> {
        let started = Instant::now();
        let station = turn % self.stations.len();
        let path = format!("/v1/queues/{}/call-next", self.queue);
        let body = json!({"station": self.stations[station].id, "force": true});
        let outcome = self.post(&path, body).await?;
        let took = started.elapsed();
        let TicketResult { ticket } =
            serde_json::from_value(outcome.result).context("understand a call")?;
        Ok(AppliedCall { ticket, station, version: outcome.version, at: outcome.at, took })
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

/// Starts `count` tasks of `make` at `rate` per second, whatever their duration, and returns all
/// results.
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
