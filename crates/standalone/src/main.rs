//! `clinicwire`: a whole clinic in one process, for a first look, for scripts and for tests.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the program talks to a person at a terminal"
)]

use std::{
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use clap::Parser;
use gateway::{
    access::auth::DevelopmentKey, limits::settings::LimitSettings, node, settings::TlsFiles,
};
use schemas::push::PushServices;
use standalone::{
    announcement::Announcement,
    checks,
    cli::{Cli, CliCommand},
    demo::{
        clinic::DemoClinic,
        desk::{CallerTokens, DemoClient},
        driver::{self, DemoError},
        plan,
    },
    one_process::{OneProcess, Settings},
    operator::{self, Terminal},
    ready::{self, ReadyFile},
    tokens::{Signer, TokenScope},
};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Time over which sockets are closed at the end: short, since pages reconnect by themselves.
const DRAIN: Duration = Duration::from_secs(1);
/// Longest wait for the gateway in this process to serve.
const READY_WITHIN: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("clinicwire: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<()> {
    if let Some(command) = &cli.command {
        return operate(command).await;
    }
    let filter = EnvFilter::try_new(&cli.log)
        .with_context(|| format!("--log {} is not a filter", cli.log))?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    let key = cli.development.key().map_or_else(random_key, Ok)?;
    let mut stop = StopSignal::listen()?;
    let clinicwire = Arc::new(start(&cli, &key)?);
    let has_certificate = cli.tls_cert.is_some();
    let hangup = has_certificate.then(|| signal(SignalKind::hangup())).transpose()?;
    let ended = tokio::select! {
        ended = serve(&cli, key, &clinicwire) => ended.map(|never| match never {}),
        () = stop.wanted() => Ok(()),
        () = reload_certificate(&clinicwire, hangup) => Ok(()),
    };
    println!("stopping");
    if let Ok(clinicwire) = Arc::try_unwrap(clinicwire) {
        tokio::select! {
            () = clinicwire.shut_down() => {}
            // A second signal skips the orderly end.
            () = stop.wanted() => {}
        }
    }
    ended
}

/// Reads the certificate again at each SIGHUP. Without a certificate, SIGHUP ends the program.
async fn reload_certificate(clinicwire: &OneProcess, hangup: Option<Signal>) {
    if let Some(mut hangup) = hangup {
        while hangup.recv().await.is_some() {
            clinicwire.reload_certificate();
        }
    }
    std::future::pending().await
}

fn random_key() -> Result<DevelopmentKey> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).context("the operating system gave no random bytes")?;
    Ok(DevelopmentKey::new(secret))
}

fn start(cli: &Cli, key: &DevelopmentKey) -> Result<OneProcess> {
    anyhow::ensure!(
        cli.listen.ip().is_loopback() || cli.development.insecure_public_demo,
        "{} can be reached from other machines, and anyone who reaches it gets the demo's tokens; \
         if that is meant, add --insecure-public-demo",
        cli.listen
    );
    node::raise_descriptors();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let shards = cli.shards.map_or(cores, usize::from);
    let tables = Arc::new(checks::tables(cli)?);
    let tls = cli.tls_cert.clone().zip(cli.tls_key.clone());
    let settings = Settings {
        listen: cli.listen,
        tls: tls.map(|(certificate, key)| TlsFiles { certificate, key }),
        shards,
        key: key.clone(),
        drain: DRAIN,
        tables,
        limits: limits(cli),
        push_services: PushServices(cli.push_services.clone()),
        webhook_networks: cli.webhook_networks.clone(),
    };
    OneProcess::start(settings).map_err(|error| {
        let error = anyhow::Error::from(error);
        if is_taken(&error) {
            let next =
                SocketAddr::new(cli.listen.ip(), cli.listen.port().checked_add(1).unwrap_or(0));
            anyhow::anyhow!(
                "{} is in use by another program; choose another with --listen {next}",
                cli.listen
            )
        } else {
            error.context(format!("cannot serve at {}", cli.listen))
        }
    })
}

/// The limits of the demo. Its own programs give the commands of a whole clinic, in compressed time
/// and from one address, so the rates of commands and of addresses are off. An empty clinic has
/// every limit.
fn limits(cli: &Cli) -> LimitSettings {
    if cli.empty {
        return LimitSettings::default().changed(&cli.limits);
    }
    let off = ["desk", "source", "tenant-commands", "address-requests", "waiting-subject"];
    let demo = off.map(|name| format!("{name}=off").parse().expect("the limits have these names"));
    LimitSettings::default().changed(&demo).changed(&cli.limits)
}

fn is_taken(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
    io.is_some_and(|io| io.kind() == io::ErrorKind::AddrInUse)
}

/// Sets up the demo clinic, announces it, and runs it.
async fn serve(
    cli: &Cli,
    key: DevelopmentKey,
    clinicwire: &OneProcess,
) -> Result<std::convert::Infallible> {
    let mut files = ReadyPath::new(cli, clinicwire.address().port());
    let scheme = if cli.tls_cert.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", reachable(clinicwire.address()));
    let signer = Signer::new(key, plan::tenant());
    let tokens = signer.tokens(&TokenScope::location(&plan::location()));
    let badges = CallerTokens { admin: tokens.admin, source: tokens.source };
    let desk = DemoClient::new(vec![url.clone()], badges, plan::location());
    if cli.tls_cert.is_some() {
        clinicwire.ready_within(READY_WITHIN).await.context("the node does not become ready")?;
    } else {
        desk.ready_within(READY_WITHIN).await?;
    }
    let enter = |clinic: Option<&DemoClinic>| ReadyFile::new(vec![url.clone()], &signer, clinic);
    if let Some(rules) = checks::rules(cli)? {
        driver::put_rules(&desk, rules).await?;
    }
    if cli.empty {
        announce(cli, &mut files, &enter(None))?;
        return Ok(std::future::pending().await);
    }
    let mut clinic = driver::set_up(&desk, cli.seed, cli.speed).await?;
    let ready = enter(Some(&clinic));
    clinicwire.show_demo(serde_json::to_value(&ready)?);
    announce(cli, &mut files, &ready)?;
    // The first patients leave soon: the start page keeps linking to present ones.
    let show = |clinic: &DemoClinic| {
        if let Ok(ready) = serde_json::to_value(enter(Some(clinic))) {
            clinicwire.show_demo(ready);
        }
    };
    driver::run(&desk, &mut clinic, show).await.map_err(|error: DemoError| error.into())
}

/// The address that a browser on this machine can open.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

/// Writes the ready file, then prints the address to open.
fn announce(cli: &Cli, files: &mut ReadyPath, ready: &ReadyFile) -> Result<()> {
    files.write(ready)?;
    let program = std::env::args().next().unwrap_or_else(|| "clinicwire".into());
    let announcement = Announcement {
        program: &program,
        named_file: cli.ready_file.as_deref(),
        ready_file: files.path.as_deref(),
        speed: (!cli.empty).then_some(cli.speed),
        has_rules: cli.rules.is_some(),
    };
    let mut out = io::stdout().lock();
    // A closed terminal is no reason to stop.
    let _ = out.write_all(announcement.text(ready).as_bytes()).and_then(|()| out.flush());
    Ok(())
}

/// The path of the ready file. The default file is removed at the end, a named one stays.
struct ReadyPath {
    path: Option<PathBuf>,
    is_default: bool,
}

impl ReadyPath {
    fn new(cli: &Cli, port: u16) -> Self {
        match &cli.ready_file {
            Some(path) => Self { path: Some(path.clone()), is_default: false },
            None => Self { path: ready::default_path(port), is_default: true },
        }
    }

    /// Writes the file. Without a writable home the clinic still serves: only a file that
    /// `--ready-file` names must succeed.
    fn write(&mut self, file: &ReadyFile) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let directory = path.parent().filter(|_| self.is_default);
        let written =
            directory.map_or(Ok(()), std::fs::create_dir_all).and_then(|()| file.write(path));
        match written {
            Err(error) if self.is_default => {
                tracing::warn!(%error, "cannot write the ready file {}", path.display());
                self.path = None;
                Ok(())
            }
            written => {
                written.with_context(|| format!("cannot write the ready file {}", path.display()))
            }
        }
    }
}

impl Drop for ReadyPath {
    fn drop(&mut self) {
        if let (true, Some(path)) = (self.is_default, &self.path) {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Carries out a subcommand, and prints its lines as they come.
async fn operate(command: &CliCommand) -> Result<()> {
    let (mut output, mut notes) = (io::stdout(), io::stderr());
    let terminal = &mut Terminal::new(&mut output, &mut notes);
    match command {
        CliCommand::Token(arguments) => operator::token::print(arguments, terminal),
        CliCommand::Seed(arguments) => operator::seed::run(arguments, terminal).await,
        CliCommand::CallNext(arguments) => operator::call_next::run(arguments, terminal).await,
        CliCommand::Tail(arguments) => operator::tail::run(arguments, terminal).await,
        CliCommand::Import(arguments) => operator::import::run(arguments, terminal).await,
    }
}

/// Waits for Ctrl-C or SIGTERM.
struct StopSignal {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl StopSignal {
    fn listen() -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("listen for Ctrl-C")?,
            terminate: signal(SignalKind::terminate()).context("listen for SIGTERM")?,
        })
    }

    async fn wanted(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
