//! Commands over HTTP from many callers at once, over one or more locations: how many a second,
//! and how long each takes. With a long line at one more location, the day of that line ends
//! meanwhile.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use hyper::Method;
use schemas::log::PartitionId;
use serde_json::{Value, json};
use testing::tokens::{DevelopmentIssuer, unix_seconds};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    client::now_us,
    crowd::{CrowdArgs, report_commands},
    http::{Api, CommandFailure},
    report::{Report, Span, say},
    target::Node,
};

#[derive(Args)]
pub struct CommandsArgs {
    /// Locations that the commands are spread over.
    #[arg(long, default_value_t = 24)]
    locations: usize,
    /// Callers that each send one command after the other.
    #[arg(long, default_value_t = 64)]
    at_once: usize,
    /// Seconds of measured load.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Mean pause of each caller between two commands, in milliseconds: 0 for as fast as they can.
    /// Each pause is random, up to twice as long, so that callers do not come in waves.
    #[arg(long, default_value_t = 0)]
    pause: u64,
    /// Tickets in the line of one more location, whose day ends while commands are measured.
    #[arg(long, default_value_t = 0)]
    line: usize,
    /// Report the commands of this partition apart, for instance one that is stalled for the test.
    #[arg(long, conflicts_with = "line")]
    partition: Option<u32>,
    /// Partition count of the topic `care`.
    #[arg(long, default_value_t = 12)]
    partitions: u32,
}

/// The tenant of the locations.
const TENANT: &str = "demo";
/// Seconds for which tokens are valid: longer than any measurement.
const VALID_S: u64 = 24 * 60 * 60;
/// Tickets issued at once while the long line is filled.
const ISSUING: usize = 64;
/// Minutes that the service day of the long line lasts: at least one, for filling it.
const DAY_MINUTES: u64 = 2;
/// The longest wait for the end of the day.
const DAY_END_TIMEOUT: Duration = Duration::from_secs(180);

/// Pause between two looks at the line while its day ends.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// One location with one open queue.
struct Site {
    location: String,
    queue: String,
    reception: String,
    admin: String,
}

/// Runs the scenario.
///
/// # Errors
/// When it cannot be set up, or a command is refused or has no outcome.
pub async fn run(
    nodes: Vec<Arc<Node>>,
    words: &str,
    args: &CrowdArgs,
    pids: &[u32],
    commands: CommandsArgs,
) -> Result<Report> {
    ensure!(
        commands.locations > 0 && commands.at_once > 0,
        "commands need a location and a caller"
    );
    let mut report = Report::new("commands", commands.settings());
    let clinic = Arc::new(Clinic {
        api: Api::new(Duration::from_secs(args.command_deadline)),
        nodes,
        issuer: DevelopmentIssuer::from_words(words, VALID_S),
    });
    let long_line = match commands.line {
        0 => None,
        length => Some(clinic.long_line(length).await?),
    };
    let line_partition = long_line.as_ref().map(|line| partition(&line.location, &commands));
    let apart = line_partition.or(commands.partition.map(PartitionId));
    let sites = clinic.sites(&commands, apart).await?;
    say(&format!("{} callers at {} locations …", commands.at_once, sites.len()));
    let (span, began) = (Span::start(pids), Instant::now());
    let end = Arc::new(watch::Sender::new(false));
    let mut callers = JoinSet::new();
    for caller in 0..commands.at_once {
        let (clinic, site) = (Arc::clone(&clinic), Arc::clone(&sites[caller % sites.len()]));
        let (end, pause) = (end.subscribe(), Duration::from_millis(commands.pause));
        callers.spawn(async move { clinic.call_until(&site, &end, pause).await });
    }
    if let Some(line) = &long_line {
        let took = clinic.end_day(line, commands.line).await?;
        report.figure("day_end_seconds", took.as_secs_f64(), "s");
    } else {
        sleep(Duration::from_secs(commands.seconds)).await;
    }
    end.send_replace(true);
    let mut took: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    while let Some(done) = callers.join_next().await {
        let (location, times) = done??;
        let group = match apart {
            None => "command",
            Some(of) if partition(&location, &commands) == of => "same_partition",
            Some(_) => "other_partition",
        };
        took.entry(group).or_default().extend(times);
    }
    let count = report_times(took, began.elapsed(), &mut report);
    span.report(&mut report, "commands", count as u64);
    report_commands(&clinic.api, &mut report);
    Ok(report)
}

/// Reports the times of each group of commands, and how many there were in a second. Returns the
/// number of commands.
fn report_times(took: BTreeMap<&str, Vec<f64>>, elapsed: Duration, report: &mut Report) -> usize {
    let count: usize = took.values().map(Vec::len).sum();
    report.figure("commands_per_second", count as f64 / elapsed.as_secs_f64(), "");
    for (group, times) in took {
        report.figure(&format!("{group}_count"), times.len() as f64, "");
        report.quantiles(group, times);
    }
    count
}

impl CommandsArgs {
    fn settings(&self) -> Value {
        json!({
            "locations": self.locations, "at_once": self.at_once, "seconds": self.seconds,
            "pause": self.pause, "line": self.line,
        })
    }
}

fn partition(location: &str, commands: &CommandsArgs) -> PartitionId {
    PartitionId::for_key(&format!("{TENANT}/{location}"), commands.partitions)
}

struct Clinic {
    api: Api,
    nodes: Vec<Arc<Node>>,
    issuer: DevelopmentIssuer,
}

impl Clinic {
    /// The node whose turn it is.
    fn node(&self, turn: usize) -> &Node {
        &self.nodes[turn % self.nodes.len()]
    }

    fn site(&self, location: String) -> Site {
        let sign =
            |role| self.issuer.sign(role, &json!({"tenant": TENANT, "locations": [location]}));
        Site {
            queue: format!("{location}.general"),
            reception: sign("reception"),
            admin: sign("admin"),
            location,
        }
    }

    async fn put(&self, site: &Site, path: &str, body: Value) -> Result<(), CommandFailure> {
        let node = self.node(0);
        self.api.command(node, &site.admin, Method::PUT, path, body).await.map(drop)
    }

    /// Creates a location with an open queue.
    async fn open(&self, location: String, settings: Value) -> Result<Site> {
        let site = self.site(location);
        self.put(&site, &format!("/v1/locations/{}", site.location), settings)
            .await
            .context("create a location")?;
        let queue = format!("/v1/queues/{}", site.queue);
        self.put(&site, &queue, json!({"name": "General", "prefix": "G"}))
            .await
            .context("create a queue")?;
        let node = self.node(0);
        let open = format!("{queue}/open");
        match self.api.command(node, &site.reception, Method::POST, &open, json!({})).await {
            Ok(_) | Err(CommandFailure::Refused(409 | 422, _)) => Ok(site),
            Err(error) => Err(error).context("open the queue"),
        }
    }

    /// The locations of the callers. Every other one is in the partition that is reported apart.
    async fn sites(
        &self,
        commands: &CommandsArgs,
        apart: Option<PartitionId>,
    ) -> Result<Vec<Arc<Site>>> {
        let run = now_us();
        let mut names = (0..).map(|number| format!("load-{run:x}-{number}"));
        let mut chosen = Vec::new();
        while chosen.len() < commands.locations {
            let name = names.next().expect("numbers do not end");
            let wants_neighbour = chosen.len() % 2 == 0;
            let fits = apart.is_none_or(|of| (partition(&name, commands) == of) == wants_neighbour);
            if fits {
                chosen.push(name);
            }
        }
        let opening = chosen.into_iter().map(|name| self.open(name, location_settings()));
        let sites: Vec<Site> = stream::iter(opening).buffered(8).try_collect().await?;
        Ok(sites.into_iter().map(Arc::new).collect())
    }

    async fn long_line(&self, length: usize) -> Result<Site> {
        let location = format!("long-{:x}", now_us());
        let mut settings = location_settings();
        let (_, minute) = morning_zone(unix_seconds());
        settings["timers"] = json!({"day_start_min": minute + DAY_MINUTES});
        let site = self.open(location, settings).await?;
        say(&format!("issuing {length} tickets …"));
        let issuing = stream::iter(0..length).map(|turn| self.issue(&site, turn));
        issuing.buffer_unordered(ISSUING).try_collect::<Vec<String>>().await?;
        Ok(site)
    }

    /// Issues a ticket.
    async fn issue(&self, site: &Site, turn: usize) -> Result<String> {
        let path = format!("/v1/queues/{}/tickets", site.queue);
        let node = self.node(turn);
        let issued =
            self.api.command(node, &site.reception, Method::POST, &path, json!({})).await?;
        let ticket = issued.result["ticket"].as_str().context("read the new ticket")?;
        Ok(ticket.to_owned())
    }

    /// Issues a ticket and lets it leave, again and again until the end. Returns the location and
    /// the milliseconds of each command.
    async fn call_until(
        &self,
        site: &Site,
        end: &watch::Receiver<bool>,
        pause: Duration,
    ) -> Result<(String, Vec<f64>)> {
        let mut took = Vec::new();
        let mut turn = 0;
        let own_pace = || sleep(pause.mul_f64(2.0 * fastrand::f64()));
        own_pace().await;
        while !*end.borrow() {
            let began = Instant::now();
            let ticket = self.issue(site, turn).await?;
            took.push(began.elapsed().as_secs_f64() * 1e3);
            own_pace().await;
            let began = Instant::now();
            let (path, node) = (format!("/v1/tickets/{ticket}/leave"), self.node(turn));
            self.api.command(node, &site.reception, Method::POST, &path, json!({})).await?;
            took.push(began.elapsed().as_secs_f64() * 1e3);
            own_pace().await;
            turn += 1;
        }
        Ok((site.location.clone(), took))
    }

    /// Waits until the service day of the long line ends. Returns how long the line then takes to
    /// become empty.
    async fn end_day(&self, site: &Site, length: usize) -> Result<Duration> {
        let give_up = Instant::now() + DAY_END_TIMEOUT;
        let path = format!("/v1/queues/{}", site.queue);
        let mut began = None;
        loop {
            let view: Value = self.api.read(self.node(0), &site.reception, &path).await?;
            // One entry is the queue itself.
            let left = view["entries"].as_object().context("read the line")?.len() - 1;
            if left < length {
                began.get_or_insert_with(Instant::now);
            }
            match began {
                Some(began) if left == 0 => return Ok(began.elapsed()),
                _ if Instant::now() > give_up => bail!("{left} tickets are left in the line"),
                _ => sleep(LOOK_EVERY).await,
            }
        }
    }
}

/// A time zone in which it is between six and seven in the morning now, so that a service day may
/// start soon, and the minute of the day there.
fn morning_zone(unix_s: u64) -> (String, u64) {
    const MORNING: u64 = 6;
    let hour = unix_s / 3600 % 24;
    // POSIX counts hours west of Greenwich.
    let zone = match (MORNING + 24 - hour) % 24 {
        east @ 0..=14 => format!("Etc/GMT-{east}"),
        east => format!("Etc/GMT+{}", 24 - east),
    };
    (zone, MORNING * 60 + unix_s / 60 % 60)
}

fn location_settings() -> Value {
    let (zone, _) = morning_zone(unix_seconds());
    json!({"name": "Load", "time_zone": zone, "languages": ["en"]})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zone_has_its_morning_now() {
        let at = |hour: u64| morning_zone(hour * 3600 + 17 * 60 + 5);
        let table = [
            (0, "Etc/GMT-6"),
            (6, "Etc/GMT-0"),
            (7, "Etc/GMT+1"),
            (16, "Etc/GMT-14"),
            (18, "Etc/GMT-12"),
        ];
        for (hour, zone) in table {
            assert_eq!(at(hour), (zone.to_owned(), 6 * 60 + 17));
        }
    }
}
