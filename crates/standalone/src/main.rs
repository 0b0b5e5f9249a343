//! `clinicwire`: a whole clinic in one process, for a first look, for scripts and for tests.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it talks to a person at a terminal"
)]

use std::{
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use clap::Parser;
use gateway::access::auth::DevelopmentKey;
use standalone::{
    cli::Cli,
    demo::{
        checks,
        clinic::Clinic,
        desk::{Badges, Desk},
        driver::{self, DemoError},
        plan,
    },
    one_process::{OneProcess, Settings},
    ready::Ready,
    tokens::{Opens, Signer},
};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// How long the sockets are closed for at the end: nobody waits for a demo, and pages come back by themselves.
const DRAIN: Duration = Duration::from_secs(1);
/// How long our own gateway may take until it serves.
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
    let filter =
        EnvFilter::try_new(&cli.log).with_context(|| format!("--log {} is no filter", cli.log))?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    let key = cli.development.key().map_or_else(random_key, Ok)?;
    let mut stop = Stop::listen()?;
    let clinicwire = Arc::new(start(&cli, &key)?);
    let ended = tokio::select! {
        ended = serve(&cli, key, &clinicwire) => ended.map(|never| match never {}),
        () = stop.wanted() => Ok(()),
    };
    println!("stopping");
    if let Ok(clinicwire) = Arc::try_unwrap(clinicwire) {
        tokio::select! {
            () = clinicwire.shut_down() => {}
            // Twice is meant.
            () = stop.wanted() => {}
        }
    }
    ended
}

fn random_key() -> Result<DevelopmentKey> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).context("the operating system gave no random bytes")?;
    Ok(DevelopmentKey::new(secret))
}

fn start(cli: &Cli, key: &DevelopmentKey) -> Result<OneProcess> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let shards = cli.shards.map_or(cores, usize::from);
    let tables = Arc::new(checks::tables(cli)?);
    let settings = Settings { listen: cli.listen, shards, key: key.clone(), drain: DRAIN, tables };
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

fn is_taken(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
    io.is_some_and(|io| io.kind() == io::ErrorKind::AddrInUse)
}

/// Opens the demo clinic, says how to enter, and keeps it alive.
async fn serve(
    cli: &Cli,
    key: DevelopmentKey,
    clinicwire: &OneProcess,
) -> Result<std::convert::Infallible> {
    let url = format!("http://{}", reachable(clinicwire.address()));
    let signer = Signer::new(key, plan::tenant());
    let tokens = signer.tokens(&Opens::location(&plan::location()));
    let badges = Badges { admin: tokens.admin, source: tokens.source };
    let desk = Desk::new(vec![url.clone()], badges, plan::location());
    desk.ready_within(READY_WITHIN).await?;
    let enter = |clinic: Option<&Clinic>| Ready::new(vec![url.clone()], &signer, clinic);
    if let Some(rules) = checks::rules(cli)? {
        driver::put_rules(&desk, rules).await?;
    }
    if cli.empty {
        announce(cli, &enter(None))?;
        return Ok(std::future::pending().await);
    }
    let mut clinic = driver::set_up(&desk, cli.seed, cli.speed).await?;
    let ready = enter(Some(&clinic));
    clinicwire.show_demo(serde_json::to_value(&ready)?);
    announce(cli, &ready)?;
    // The first patients are soon gone: the start page always leads to some who wait or are about to come.
    let show = |clinic: &Clinic| {
        if let Ok(ready) = serde_json::to_value(enter(Some(clinic))) {
            clinicwire.show_demo(ready);
        }
    };
    driver::run(&desk, &mut clinic, show).await.map_err(|error: DemoError| error.into())
}

/// The address a browser on this machine can open.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

fn announce(cli: &Cli, ready: &Ready) -> Result<()> {
    if let Some(path) = &cli.ready_file {
        ready
            .write(path)
            .with_context(|| format!("cannot write the ready file {}", path.display()))?;
    }
    let mut out = io::stdout().lock();
    // A terminal that is gone is no reason to stop.
    let _ = out.write_all(welcome(cli, ready).as_bytes()).and_then(|()| out.flush());
    Ok(())
}

fn welcome(cli: &Cli, ready: &Ready) -> String {
    let (url, tokens) = (&ready.url, &ready.tokens);
    let mut text = format!("\nClinicwire serves at {url}\n\n");
    if cli.empty {
        text += &format!(
            "Nothing exists yet. Tenant {}; the tokens below are for a location {} that an admin creates:\n\n  \
             curl -X PUT {url}/v1/locations/{} -H 'Authorization: Bearer {}' \\\n    \
             -H 'Content-Type: application/json' \\\n    \
             -d '{{\"name\":\"Riverside\",\"time_zone\":\"America/Toronto\",\"languages\":[\"en\",\"fr\"]}}'\n",
            ready.tenant, ready.location, ready.location, tokens.admin,
        );
    } else {
        text +=
            &format!("A demo clinic runs at {} times the pace of a real one. Open:\n\n", cli.speed);
        let links = [
            ("start here", Some(format!("{url}/"))),
            ("waiting room", Some(ready.board_link())),
            ("dashboard", Some(ready.dashboard_link())),
            ("a doctor's day", ready.schedule_link()),
            ("appointment", ready.appointment_link()),
            ("one patient", ready.patient_link()),
            ("claims check", Some(ready.runs_link())),
        ];
        for (name, link) in links {
            text += &link.map_or_else(String::new, |link| format!("  {name:<14} {link}\n"));
        }
    }
    text += match cli.development.key() {
        None => "\nTokens, good for 24 hours and for this start only:\n\n",
        Some(_) => {
            "\nTokens, good for 24 hours; whoever knows the words of the key can sign more:\n\n"
        }
    };
    let roles = [
        ("patient", &tokens.patient),
        ("appointment", &tokens.appointment),
        ("display", &tokens.display),
        ("reception", &tokens.reception),
        ("doctor", &tokens.doctor),
        ("admin", &tokens.admin),
        ("source", &tokens.source),
        ("viewer", &tokens.viewer),
        ("editor", &tokens.editor),
    ];
    for (role, token) in roles {
        text += &format!("  {role:<11} {token}\n");
    }
    if let Some(queue) = ready.queues.first() {
        text += &format!(
            "\nPut somebody in line, and watch the board:\n\n  \
             curl -X POST {url}/v1/queues/{queue}/tickets -H 'Content-Type: application/json' -d '{{}}' \\\n    \
             -H 'Authorization: Bearer {}'\n",
            tokens.reception,
        );
    }
    text + "\nCtrl-C stops it.\n"
}

/// Ctrl-C, or a SIGTERM.
struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
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
