//! Hostile clients against a node. Measures the delays of a light, honest client and the memory of
//! the node before, during and after each attack.

mod attackers;
mod crowds;
mod guesses;
mod http2;
mod neighbour;
mod node;
mod requests;
mod sockets;
mod tls;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use clap::{Args, Parser, ValueEnum};
use testing::websocket::masked_frame;
use tokio::time::sleep;

use crate::{cores, crowd::raise_descriptors, report::say};
use attackers::Attackers;
use neighbour::{Delays, Neighbour};
use node::AbusedNode;
use tls::NodeTls;

/// Attacks a node, and prints the delays of an honest client (p50 and p99 of a request for health,
/// of a subscribe and of a frame) and the node's memory and CPU, before, during and after.
///
/// Attackers have a thread of their own with the lowest priority (nice 19): an attacker brings its
/// own machine, and must not take the CPU of node and neighbour on this one.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
pub struct AbuseArgs {
    /// Attacks, one after the other [default: all]
    #[arg(value_enum)]
    attacks: Vec<Attack>,
    /// Seconds of each phase
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Connections that attack at once
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// Print the table in Markdown
    #[arg(long)]
    markdown: bool,
    /// Keep the attackers on one core, and node and neighbour on another
    #[arg(long)]
    apart: bool,
    /// Attack a second node beside that of the neighbour, who then feels only the machine's share
    #[arg(long)]
    control: bool,
    #[command(flatten)]
    target: AbuseTarget,
}

/// The node: a fresh one in a process of its own for each attack, or a given one.
#[derive(Args)]
pub struct AbuseTarget {
    /// Address of a running node that trusts the development key
    /// [default: a fresh node for each attack]
    #[arg(long, requires = "pid")]
    url: Option<String>,
    /// Process of that node
    #[arg(long)]
    pid: Option<u32>,
    /// Words of that node's development key
    #[arg(long, default_value = testing::tokens::DEFAULT_WORDS)]
    words: String,
    /// Directory of the program `clinicwire` [default: the directory of this program]
    #[arg(long)]
    programs: Option<PathBuf>,
}

/// One kind of hostile client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Attack {
    /// WebSockets that send empty pongs and never connect
    Pongs,
    /// WebSockets that send a message in fragments without end
    Fragments,
    /// WebSockets that send pings
    Pings,
    /// WebSockets that send connects with an expired token
    ExpiredConnects,
    /// Requests that begin Socket.IO sessions, without a token
    Newcomers,
    /// WebSockets that subscribe to a ticket that does not exist, and unsubscribe, in a loop
    Subscribes,
    /// Requests for the outcomes of commands that were never given
    Lookups,
    /// Tickets issued in a loop with one token
    Tickets,
    /// Refused commands in a loop with one token
    RefusedLeaves,
    /// Runs of a claims file requested in a loop with one token
    Runs,
    /// Uploads that bring two bytes a second
    SlowUploads,
    /// Tokens that nobody signed
    BadTokens,
    /// Guesses of the ids of tickets
    Guesses,
    /// Lists of runs in a loop
    Lists,
    /// Commands with the largest bodies
    LargeBodies,
    /// Requests with many headers
    ManyHeaders,
    /// Connections that say nothing, from many addresses
    IdleConnections,
    /// WebSockets with the token of one display
    DisplaySockets,
    /// WebSockets that subscribe to runs that do not exist
    RunSubscriptions,
    /// WebSockets that ask for a whole queue again and again, and read a byte in a second
    SlowReaders,
    /// WebSockets with good tokens that come back from many addresses, without end
    Reconnects,
    /// Requests whose headers come a byte in a second, from many addresses
    SlowHeaders,
    /// Commands whose JSON is as deep as a body can be
    DeepJson,
    /// Commands with compressed bodies that would be a gigabyte
    CompressedBodies,
    /// Guesses of the short codes of tickets
    TicketCodes,
    /// Pairings that are begun and never approved
    Pairings,
    /// Guesses of the codes of pairings, with the token of a reception
    PairingCodes,
    /// One-time tickets of streams, asked for and never used
    StreamTickets,
    /// Streams with one-time tickets that nobody issued
    ForgedStreams,
    /// Socket.IO events with attachments
    Attachments,
    /// Lists of sessions, each of which every node answers
    Sessions,
    /// Requests for metrics, which no rate counts, on many connections
    Metrics,
    /// Tokens that nobody signed, on many connections
    BadTokenCrowd,
    /// HTTP/2 requests that are reset at once
    RapidResets,
    /// HTTP/2 requests with more headers than any may have
    HeaderBombs,
    /// Headers of one HTTP/2 request in frames without end
    Continuations,
    /// Settings of HTTP/2, each of which the node has to acknowledge
    SettingsFrames,
    /// HTTP/2 frames of content that have none
    EmptyData,
    /// HTTP/2 requests whose answers nobody takes
    StalledWindows,
    /// Handshakes of TLS that are begun and left
    TlsHandshakes,
    /// Handshakes of TLS that come a byte in a second, from many addresses
    SlowHandshakes,
}

/// The state of an attack that its connections share.
pub struct Siege {
    pub node: AbusedNode,
    /// Connections, requests or messages that were sent.
    pub attempts: AtomicU64,
    /// How attackers speak TLS with HTTP/2. `None` when the node has no certificate.
    pub tls: Option<Arc<rustls::ClientConfig>>,
}

impl Attack {
    /// Attacks by one connection after the other until it is dropped.
    async fn run(self, siege: Arc<Siege>) {
        match self {
            Attack::Pongs => sockets::flood(&siege, &masked_frame(true, 10, b"")).await,
            Attack::Pings => sockets::flood(&siege, &masked_frame(true, 9, b"ping")).await,
            Attack::Fragments => sockets::flood(&siege, &masked_frame(false, 0, b"")).await,
            Attack::ExpiredConnects => sockets::expired_connects(&siege).await,
            Attack::Newcomers => sockets::newcomers(&siege).await,
            Attack::Subscribes => sockets::subscribes(&siege).await,
            Attack::Lookups => requests::lookups(&siege).await,
            Attack::Tickets => requests::tickets(&siege).await,
            Attack::RefusedLeaves => requests::refused_leaves(&siege).await,
            Attack::Runs => requests::runs(&siege).await,
            Attack::SlowUploads => requests::slow_uploads(&siege).await,
            Attack::BadTokens => requests::bad_tokens(&siege).await,
            Attack::Guesses => requests::guesses(&siege).await,
            Attack::Lists => requests::lists(&siege).await,
            Attack::LargeBodies => requests::large_bodies(&siege).await,
            Attack::ManyHeaders => requests::many_headers(&siege).await,
            Attack::IdleConnections => crowds::idle_connections(&siege).await,
            Attack::DisplaySockets => crowds::display_sockets(&siege).await,
            Attack::RunSubscriptions => crowds::run_subscriptions(&siege).await,
            Attack::SlowReaders => crowds::slow_readers(&siege).await,
            Attack::Reconnects => crowds::reconnects(&siege).await,
            Attack::SlowHeaders => crowds::slow_headers(&siege).await,
            Attack::DeepJson => requests::deep_json(&siege).await,
            Attack::CompressedBodies => requests::compressed_bodies(&siege).await,
            Attack::TicketCodes => guesses::ticket_codes(&siege).await,
            Attack::Pairings => guesses::pairings(&siege).await,
            Attack::PairingCodes => guesses::pairing_codes(&siege).await,
            Attack::StreamTickets => guesses::stream_tickets(&siege).await,
            Attack::ForgedStreams => guesses::forged_streams(&siege).await,
            Attack::Attachments => sockets::attachments(&siege).await,
            Attack::Sessions => guesses::sessions(&siege).await,
            Attack::Metrics => crowds::metrics(&siege).await,
            Attack::BadTokenCrowd => crowds::bad_tokens(&siege).await,
            Attack::RapidResets => http2::rapid_resets(&siege).await,
            Attack::HeaderBombs => http2::header_bombs(&siege).await,
            Attack::Continuations => http2::continuations(&siege).await,
            Attack::SettingsFrames => http2::settings(&siege).await,
            Attack::EmptyData => http2::empty_data(&siege).await,
            Attack::StalledWindows => http2::stalled_windows(&siege).await,
            Attack::TlsHandshakes => http2::tls_handshakes(&siege).await,
            Attack::SlowHandshakes => http2::slow_handshakes(&siege).await,
        }
    }

    /// Whether the node needs a certificate.
    fn is_over_tls(self) -> bool {
        matches!(
            self,
            Attack::RapidResets
                | Attack::HeaderBombs
                | Attack::Continuations
                | Attack::SettingsFrames
                | Attack::EmptyData
                | Attack::StalledWindows
                | Attack::TlsHandshakes
                | Attack::SlowHandshakes
        )
    }

    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// The three phases of an attack.
const PHASES: [&str; 3] = ["before", "during", "after"];

/// The figures of one attack.
struct Row {
    attack: String,
    attempts: u64,
    /// In the order of [`PHASES`].
    delays: [Delays; 3],
    /// MiB: before, at the peak, and after.
    memory: [f64; 3],
    /// Percent of a core that the node used.
    node_cpu: [f64; 3],
    /// Percent of a core that the attackers used.
    attacker_cpu: f64,
}

impl Row {
    fn text(&self) -> String {
        let shown = |delays: &Delays| {
            format!("{:>8} {:>9} {:>9}", delays.health(), delays.subscribe(), delays.frame())
        };
        let [before, during, after] = self.delays.each_ref().map(shown);
        let memory = self.memory.map(|mib| format!("{mib:.0}")).join("/");
        let Self { attack, attempts, attacker_cpu, .. } = self;
        let cpu = self.node_cpu.map(|percent| format!("{percent:.0}")).join("/");
        format!(
            "{attack:<18} {attempts:>9}  {before}  {during}  {after}  {memory:>22} {cpu:>12} \
             {attacker_cpu:>8.0}"
        )
    }

    /// Rows of a Markdown table with a column for each phase.
    fn markdown(&self) -> String {
        let of = |show: fn(&Delays) -> String| self.delays.each_ref().map(show);
        let figures = [
            ("health", of(Delays::health)),
            ("subscribe", of(Delays::subscribe)),
            ("frame", of(Delays::frame)),
            ("memory, MiB", self.memory.map(|mib| format!("{mib:.0}"))),
            ("CPU of the node, %", self.node_cpu.map(|percent| format!("{percent:.0}"))),
            (
                "CPU of the attackers, %",
                [0.0, self.attacker_cpu, 0.0].map(|percent| format!("{percent:.0}")),
            ),
        ];
        let lines = figures.map(|(name, [before, during, after])| {
            let Self { attack, attempts, .. } = self;
            format!("| {attack} | {attempts} | {name} | {before} | {during} | {after} |")
        });
        lines.join("\n")
    }
}

/// Runs the attacks, and prints a table with a row for each.
///
/// # Errors
/// When the node cannot be started or an honest client is refused.
pub fn run(args: AbuseArgs) -> Result<()> {
    raise_descriptors();
    let hostile_core = match args.apart {
        false => None,
        true => {
            let (ours, theirs) = cores::first_two().context("a machine with two cores")?;
            // Before the first thread and the first node, which inherit it.
            cores::pin(ours);
            Some(theirs)
        }
    };
    let runtime = tokio::runtime::Runtime::new().context("start the threads of the neighbour")?;
    runtime.block_on(besiege_in_turns(&args, hostile_core))
}

/// Runs one attack after the other.
async fn besiege_in_turns(args: &AbuseArgs, hostile_core: Option<usize>) -> Result<()> {
    let attacks = match &args.attacks[..] {
        [] => Attack::value_variants(),
        chosen => chosen,
    };
    if args.markdown {
        say(&format!(
            "| attack | attempts | | {} |\n|---|---|---|---|---|---|",
            PHASES.join(" | ")
        ));
    } else {
        print_head();
    }
    for attack in attacks {
        let row = besiege(*attack, args, hostile_core).await?;
        say(&if args.markdown { row.markdown() } else { row.text() });
    }
    say("Each pair is p50/p99 in milliseconds. Memory during an attack is its peak. CPU is in \
         percent of a core.");
    Ok(())
}

fn print_head() {
    let [before, during, after] = PHASES;
    say(&format!(
        "{:<18} {:>9}  {before:>28}  {during:>28}  {after:>28}  {:>22} {:>12} {:>8}",
        "", "", "memory of the node", "its CPU", "CPU of"
    ));
    let phase = format!("{:>8} {:>9} {:>9}", "health", "subscribe", "frame");
    say(&format!(
        "{:<18} {:>9}  {phase}  {phase}  {phase}  {:>22} {:>12} {:>8}",
        "attack", "attempts", "MiB, before/peak/after", "before/…", "attacker"
    ));
}

/// Runs one attack.
async fn besiege(attack: Attack, args: &AbuseArgs, hostile_core: Option<usize>) -> Result<Row> {
    let (node, tls) = match attack.is_over_tls() {
        false => (AbusedNode::start(&args.target).await?, None),
        true => {
            let tls = NodeTls::new()?;
            let client = tls.client(b"h2")?;
            (AbusedNode::start_with_tls(&args.target, tls).await?, Some(client))
        }
    };
    let siege = Arc::new(Siege { node, attempts: AtomicU64::new(0), tls });
    let beside = match args.control {
        true => Some(AbusedNode::start(&args.target).await?),
        false => None,
    };
    let neighbour = Neighbour::start(beside.as_ref().unwrap_or(&siege.node)).await?;
    let phase = Duration::from_secs(args.seconds);
    // The first commands and loads are slower than all later ones.
    sleep(Duration::from_secs(1)).await;
    neighbour.take();
    let memory_before = siege.node.memory_mib();
    let mut cpu = siege.node.cpu();
    let mut node_cpu = || {
        let earlier = std::mem::replace(&mut cpu, siege.node.cpu());
        100.0 * (cpu.saturating_sub(earlier)).as_secs_f64() / phase.as_secs_f64()
    };
    sleep(phase).await;
    let (before, cpu_before) = (neighbour.take(), node_cpu());
    let attackers = Attackers::start(attack, &siege, args.connections, hostile_core)?;
    let peak = watch_memory(&siege.node, phase).await;
    let (during, cpu_during) = (neighbour.take(), node_cpu());
    let attacker_cpu = 100.0 * attackers.stop().as_secs_f64() / phase.as_secs_f64();
    let attempts = siege.attempts.load(Relaxed);
    sleep(phase).await;
    let (after, cpu_after) = (neighbour.take(), node_cpu());
    Ok(Row {
        attack: attack.name(),
        attempts,
        delays: [before, during, after],
        memory: [memory_before, peak, siege.node.memory_mib()],
        node_cpu: [cpu_before, cpu_during, cpu_after],
        attacker_cpu,
    })
}

/// Waits, and returns the largest memory of the node meanwhile, in MiB.
async fn watch_memory(node: &AbusedNode, phase: Duration) -> f64 {
    const LOOK: Duration = Duration::from_millis(100);
    let mut peak: f64 = 0.0;
    let looks = phase.as_millis() / LOOK.as_millis();
    for _ in 0..looks.max(1) {
        sleep(LOOK).await;
        peak = peak.max(node.memory_mib());
    }
    peak
}
