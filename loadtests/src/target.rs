//! Where the swarm goes: the nodes, the tokens and the location to use.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Deserialize;

/// The target, from a `--ready-file` or spelt out.
#[derive(Args)]
pub struct TargetArgs {
    /// JSON that the server wrote when it was ready: addresses, tokens, ids.
    #[arg(long, env = "READY_FILE", conflicts_with_all = ["url", "token"])]
    ready_file: Option<PathBuf>,
    /// Address of a node, such as http://127.0.0.1:8080; repeat it for each node.
    #[arg(long, requires_all = ["token", "location"])]
    url: Vec<String>,
    /// Token of a reception of the location: it listens, issues tickets and calls.
    #[arg(long)]
    token: Option<String>,
    /// Token of an admin, for creating queues and stations; --token is used when this is absent.
    #[arg(long)]
    admin_token: Option<String>,
    /// The location whose queues are used.
    #[arg(long)]
    location: Option<String>,
}

/// One gateway node.
pub struct Node {
    pub url: String,
    /// Host and port, for the Host header.
    pub authority: String,
    pub addr: SocketAddr,
}

/// Everything the scenarios need to know about the server.
pub struct Target {
    pub nodes: Vec<Arc<Node>>,
    pub location: String,
    pub reception: String,
    pub admin: String,
}

#[derive(Deserialize)]
struct ReadyFile {
    url: String,
    #[serde(default)]
    nodes: Vec<String>,
    tokens: Tokens,
    location: String,
}

#[derive(Deserialize)]
struct Tokens {
    reception: String,
    admin: String,
}

impl TargetArgs {
    /// Reads the ready file, if one is given, and resolves the nodes.
    ///
    /// # Errors
    /// When the file cannot be read, an address cannot be used, or nothing says where to go.
    pub async fn target(self) -> Result<Target> {
        let (urls, location, reception, admin) = match (self.ready_file, self.token, self.location) {
            (Some(path), ..) => {
                let text = std::fs::read(&path)
                    .with_context(|| format!("read the ready file {}", path.display()))?;
                let ready: ReadyFile = serde_json::from_slice(&text).context("understand the ready file")?;
                let urls = if ready.nodes.is_empty() { vec![ready.url] } else { ready.nodes };
                (urls, ready.location, ready.tokens.reception, ready.tokens.admin)
            }
            (None, Some(token), Some(location)) => {
                let admin = self.admin_token.unwrap_or_else(|| token.clone());
                (self.url, location, token, admin)
            }
            _ => bail!("say where to go: --ready-file FILE, or --url with --token and --location"),
        };
        let mut nodes = Vec::new();
        for url in urls {
            nodes.push(Arc::new(Node::resolve(&url).await?));
        }
        Ok(Target { nodes, location, reception, admin })
    }
}

impl Target {
    /// Nodes in turn.
    #[must_use]
    pub fn node(&self, turn: usize) -> Arc<Node> {
        self.nodes[turn % self.nodes.len()].clone()
    }
}

impl Node {
    async fn resolve(url: &str) -> Result<Self> {
        let url = url.trim_end_matches('/');
        let Some(host) = url.strip_prefix("http://").filter(|host| !host.contains('/')) else {
            bail!("{url} is not an address like http://127.0.0.1:8080 (TLS and paths are not supported)");
        };
        let authority = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
        let addr = tokio::net::lookup_host(&authority)
            .await
            .with_context(|| format!("look up {authority}"))?
            .find(SocketAddr::is_ipv4)
            .with_context(|| format!("{authority} has no IPv4 address"))?;
        Ok(Self { url: url.to_owned(), authority, addr })
    }
}
