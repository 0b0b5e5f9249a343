//! The node under attack: a process of its own, so that its memory is measured alone.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testing::{
    certificates::TestCertificate, http::ApiClient, ready_file::ReadyFile, site,
    tokens::DevelopmentIssuer,
};
use tokio::{
    net::{TcpSocket, TcpStream},
    process::{Child, Command},
    time::{Instant, sleep},
};

use super::{
    AbuseTarget,
    tls::{NodeTls, Tunnel},
};
use crate::process::Usage;

const WORDS: &str = "words of a node under attack";
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// The neighbour and the attackers have addresses of their own, by which limits distinguish them.
/// Most attacks come from the first.
const HOSTILE: [u8; 4] = [127, 0, 0, 66];
/// The addresses of the attackers.
pub const HOSTILE_ADDRESSES: u8 = 12;

/// A node with one location and one open queue.
pub struct AbusedNode {
    pub url: String,
    pub authority: String,
    pub address: SocketAddr,
    pub location: String,
    pub queue: String,
    pub issuer: DevelopmentIssuer,
    pid: u32,
    /// The neighbour's way to a node with TLS.
    tunnel: Option<(Tunnel, NodeTls)>,
    /// Killed when it is dropped.
    _program: Option<Child>,
}

impl AbusedNode {
    /// Starts a node, unless one is given, and creates the location.
    ///
    /// # Errors
    /// When the program cannot be started, or a command is refused.
    pub async fn start(target: &AbuseTarget) -> Result<Self> {
        let (url, pid, words, program) = match (&target.url, target.pid) {
            (Some(url), Some(pid)) => (url.clone(), pid, &target.words[..], None),
            _ => {
                let (url, program) = start_program(target, None).await?;
                (url, program.id().context("the node has ended")?, WORDS, Some(program))
            }
        };
        let address = url.strip_prefix("http://").context("an address like http://…")?;
        let address = address.parse().context("an address with a port")?;
        Self::furnish(url, address, pid, words, program).await
    }

    /// Starts a fresh node with a certificate, and creates the location.
    ///
    /// # Errors
    /// When the program cannot be started, or a command is refused.
    pub async fn start_with_tls(target: &AbuseTarget, tls: NodeTls) -> Result<Self> {
        let (url, program) = start_program(target, Some(&tls.certificate)).await?;
        let address = url.strip_prefix("https://").context("an address like https://…")?;
        let address = address.parse().context("an address with a port")?;
        let tunnel = Tunnel::start(address, &tls).await?;
        let url = format!("http://{}", tunnel.address);
        let pid = program.id().context("the node has ended")?;
        let node = Self::furnish(url, address, pid, WORDS, Some(program)).await?;
        Ok(Self { tunnel: Some((tunnel, tls)), ..node })
    }

    async fn furnish(
        url: String,
        address: SocketAddr,
        pid: u32,
        words: &str,
        program: Option<Child>,
    ) -> Result<Self> {
        let location = format!("abuse-{:012x}", fastrand::u64(..1 << 48));
        let node = Self {
            authority: address.to_string(),
            address,
            queue: format!("{location}.general"),
            location,
            issuer: DevelopmentIssuer::from_words(words, 24 * 60 * 60),
            url,
            pid,
            tunnel: None,
            _program: program,
        };
        let admin = node.issuer.sign("admin", &json!({}));
        let (api, deadline) = (ApiClient::new(START_TIMEOUT), Instant::now() + START_TIMEOUT);
        site::open(&api, &node.url, &admin, &node.location, deadline).await?;
        Ok(node)
    }

    /// Where the neighbour connects, in the clear.
    #[must_use]
    pub fn neighbours_address(&self) -> SocketAddr {
        self.tunnel.as_ref().map_or(self.address, |(tunnel, _)| tunnel.address)
    }

    /// A token of this location. The object `claims` replaces and adds claims.
    #[must_use]
    pub fn token(&self, role: &str, claims: &Value) -> String {
        let mut all = json!({"locations": [self.location]});
        for (name, claim) in claims.as_object().into_iter().flatten() {
            all[name] = claim.clone();
        }
        self.issuer.sign(role, &all)
    }

    /// Connects from the attackers' address.
    ///
    /// # Errors
    /// When the node does not accept.
    pub async fn dial_hostile(&self) -> std::io::Result<TcpStream> {
        self.dial_hostile_from(0).await
    }

    /// Connects from one of the attackers' addresses.
    ///
    /// # Errors
    /// When the node does not accept.
    pub async fn dial_hostile_from(&self, number: u8) -> std::io::Result<TcpStream> {
        let [a, b, c, first] = HOSTILE;
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from(([a, b, c, first + number], 0)))?;
        socket.connect(self.address).await
    }

    /// The CPU time of the node since its start.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        Usage::read(self.pid).map_or(Duration::ZERO, |usage| usage.cpu)
    }

    /// The node's memory.
    #[must_use]
    pub fn memory_mib(&self) -> f64 {
        Usage::read(self.pid).map_or(f64::NAN, |usage| usage.rss_kib as f64 / 1024.0)
    }
}

async fn start_program(
    target: &AbuseTarget,
    certificate: Option<&TestCertificate>,
) -> Result<(String, Child)> {
    let programs = match &target.programs {
        Some(programs) => programs.clone(),
        None => std::env::current_exe()?.parent().context("find the programs")?.to_owned(),
    };
    let ready = std::env::temp_dir().join(format!("abuse-{:016x}.json", fastrand::u64(..)));
    let mut command = Command::new(programs.join("clinicwire"));
    if let Some(TestCertificate { certificate, key }) = certificate {
        command.arg("--tls-cert").arg(certificate).arg("--tls-key").arg(key);
    }
    let program = command
        .args(["--empty", "--listen", "127.0.0.1:0", "--log", "error", "--ready-file"])
        .arg(&ready)
        .env("CLINICWIRE_INSECURE_DEVELOPMENT_KEY", WORDS)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("start clinicwire: is it built?")?;
    let give_up = Instant::now() + START_TIMEOUT;
    while !ready.exists() {
        ensure!(Instant::now() < give_up, "clinicwire does not get ready");
        sleep(Duration::from_millis(50)).await;
    }
    let url = ReadyFile::read(&ready)?.url;
    let _ = std::fs::remove_file(ready);
    Ok((url, program))
}
