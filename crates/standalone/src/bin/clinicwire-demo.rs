//! `clinicwire-demo`: runs the demo clinic on gateways elsewhere, over HTTP like any other caller.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it talks to a person at a terminal"
)]

use std::{io, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use clap::Parser;
use standalone::{
    cli::{self, Development},
    demo::{
        clinic::DemoClinic,
        desk::{CallerTokens, DemoClient},
        driver, plan,
    },
    ready::ReadyFile,
    tokens::{Signer, TokenScope},
};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// How long the gateway may take to become ready.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// Creates the demo clinic through a gateway's HTTP API and runs it until it is stopped
///
/// An existing clinic is continued from its present state.
#[derive(Debug, Parser)]
#[command(version, after_long_help = EXAMPLES, max_term_width = 100)]
struct Args {
    /// Address of a gateway node; repeat it for more nodes, which are used when the first is away
    #[arg(
        long = "url",
        visible_alias = "node",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    nodes: Vec<String>,

    /// An admin's token for the tenant "demo"; not needed with the development key
    #[arg(long, value_name = "TOKEN", env = "CLINICWIRE_TOKEN", hide_env_values = true)]
    #[arg(required_unless_present = "insecure_development_key")]
    token: Option<String>,

    /// A source's token for the same tenant; not needed with the development key
    #[arg(long, value_name = "TOKEN", env = "CLINICWIRE_SOURCE_TOKEN", hide_env_values = true)]
    #[arg(required_unless_present = "insecure_development_key")]
    source_token: Option<String>,

    #[command(flatten)]
    development: Development,

    /// Clinic minutes per real minute, 1 to 1000
    #[arg(long, value_name = "TIMES", default_value_t = 30.0, value_parser = cli::speed)]
    speed: f64,

    /// Seed of the demo's random numbers: the same seed gives the same day
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,

    /// Where to write addresses, tokens and ids as JSON; rewritten as patients come and go
    ///
    /// Needs the development key, which signs the tokens in the file.
    #[arg(long, value_name = "PATH", requires = "insecure_development_key")]
    ready_file: Option<PathBuf>,

    /// Log level on stderr: error, warn, info, debug, trace, or a filter
    #[arg(long, value_name = "FILTER", default_value = "warn", env = "CLINICWIRE_LOG")]
    log: String,
}

const EXAMPLES: &str = "\
Examples:
  clinicwire-demo --token \"$ADMIN_TOKEN\" --source-token \"$SOURCE_TOKEN\"
  clinicwire-demo --url http://127.0.0.1:8080 --node http://127.0.0.1:8081 \\
    --insecure-development-key --speed 60 --ready-file ready.json";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("clinicwire-demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<()> {
    let filter = EnvFilter::try_new(&args.log)
        .with_context(|| format!("--log {} is no filter", args.log))?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    tokio::select! {
        ended = live(args) => ended.map(|never| match never {}),
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

async fn live(args: Args) -> Result<std::convert::Infallible> {
    let nodes: Vec<String> =
        args.nodes.iter().map(|url| url.trim_end_matches('/').to_owned()).collect();
    let signer = args.development.key().map(|key| Signer::new(key, plan::tenant()));
    let own = signer.as_ref().map(|signer| signer.tokens(&TokenScope::location(&plan::location())));
    let (own_admin, own_source) = own.map(|tokens| (tokens.admin, tokens.source)).unzip();
    let badges = CallerTokens {
        admin: args.token.or(own_admin).context("give --token or --insecure-development-key")?,
        source: args
            .source_token
            .or(own_source)
            .context("give --source-token or --insecure-development-key")?,
    };
    let desk = DemoClient::new(nodes.clone(), badges, plan::location());
    desk.ready_within(READY_WITHIN).await?;
    driver::put_rules(&desk, claims::rules::shipped()).await?;
    let mut clinic = driver::set_up(&desk, args.seed, args.speed).await?;
    let write = |clinic: &DemoClinic| match (&args.ready_file, &signer) {
        (Some(path), Some(signer)) => ReadyFile::new(nodes.clone(), signer, Some(clinic))
            .write(path)
            .with_context(|| format!("cannot write the ready file {}", path.display())),
        _ => Ok(()),
    };
    write(&clinic)?;
    println!("the demo clinic runs at {} times the pace of a real one", args.speed);
    // The first patients leave soon, so the file is rewritten with patients who wait.
    let rewrite = |clinic: &DemoClinic| {
        if let Err(error) = write(clinic) {
            tracing::warn!("{error:#}");
        }
    };
    Ok(driver::run(&desk, &mut clinic, rewrite).await?)
}
