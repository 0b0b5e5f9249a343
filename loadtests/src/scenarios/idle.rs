//! Many idle connections: the memory of each, the CPU to open it, and the CPU while nothing
//! happens.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use clap::Args;
use tokio::time::sleep;

use crate::{
    client::Transport,
    crowd::{Crowd, CrowdArgs, clients, settings},
    desk::{Audience, QueueDesk},
    memory::MemoryBaseline,
    process::WatchedProcesses,
    report::{Report, Span, say},
    target::Target,
};

#[derive(Args)]
pub struct IdleArgs {
    #[arg(long, default_value_t = 5000)]
    clients: usize,
    #[arg(long, value_enum, default_value = "ws")]
    transport: Transport,
    /// Channel of each client.
    #[arg(long, value_enum, default_value = "board")]
    channel: Audience,
    /// Seconds for which the connections are held while idle CPU is measured.
    #[arg(long, default_value_t = 30)]
    hold: u64,
}

/// Runs the scenario.
///
/// # Errors
/// When it cannot be set up or measured. Breaches are in the report.
pub async fn run(
    target: Arc<Target>,
    args: &CrowdArgs,
    pids: &[u32],
    idle: IdleArgs,
) -> Result<Report> {
    let mut report = Report::new("idle", settings(&target, args, idle.clients)?);
    let desk =
        QueueDesk::open(target.clone(), Duration::from_secs(args.command_deadline), 1).await?;
    let (kind, channels) = desk.channels(idle.channel, idle.clients).await?;

    let before = WatchedProcesses::start(pids);
    let memory = MemoryBaseline::read(pids);
    let connecting = Span::start(pids);
    let crowd = Crowd::connect(&target, args, clients(idle.transport, kind, channels)).await?;
    connecting.report(&mut report, "connecting", 0);
    for process in before.used() {
        let clients = idle.clients as f64;
        let label = format!("{}_{}", process.name, process.pid);
        report.figure(
            &format!("connect_cpu_{label}_us"),
            process.cpu_ms * 1e3 / clients,
            "µs a client",
        );
        report.figure(
            &format!("rss_{label}_kib"),
            process.rss_grew_kib as f64 / clients,
            "KiB a client",
        );
    }

    say(&format!("holding for {} s …", idle.hold));
    let holding = Span::start(pids);
    sleep(Duration::from_secs(idle.hold)).await;
    holding.report(&mut report, "holding", 0);
    for process in before.used() {
        let label = format!("{}_{}", process.name, process.pid);
        let each = process.rss_grew_kib as f64 / idle.clients as f64;
        report.figure(&format!("rss_held_{label}_kib"), each, "KiB a client");
    }
    memory.report(&mut report, idle.clients);
    crowd.finish(&mut report).await;
    Ok(report)
}
