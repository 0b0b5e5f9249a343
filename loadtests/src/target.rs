//! Where the swarm goes: the nodes, the tokens and the location to use.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde::Deserialize;

use crate::runs::clerks::{self, Clerks};

/// What a development key is made of when no words are given: everybody knows them.
const WELL_KNOWN_WORDS: &str = "clinicwire development";

/// The target, from a `--ready-file` or spelt out.
#[derive(Args)]
pub struct TargetArgs {
    /// JSON that the server wrote when it was ready: addresses, tokens, ids.
    #[arg(long, env = "READY_FILE", conflicts_with_all = ["url", "token"])]
    ready_file: Option<PathBuf>,
    /// Address of a node, such as http://127.0.0.1:8080; repeat it for each node.
    #[arg(long)]
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
    /// For `runs`: sign the tokens of as many tenants as are asked for, with the key that the nodes were given.
    #[arg(
        long,
        env = "CLINICWIRE_INSECURE_DEVELOPMENT_KEY",
        value_name = "WORDS",
        hide_env_values = true
    )]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = WELL_KNOWN_WORDS)]
    insecure_development_key: Option<String>,
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

/// What a scenario needs that works for several tenants.
pub struct Tenants {
    pub nodes: Vec<Arc<Node>>,
    /// One entry for each.
    pub clerks: Vec<Clerks>,
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
    viewer: Option<String>,
    editor: Option<String>,
}

impl ReadyFile {
    fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read(path)
            .with_context(|| format!("read the ready file {}", path.display()))?;
        serde_json::from_slice(&text).context("understand the ready file")
    }

    fn urls(&self) -> Vec<String> {
        if self.nodes.is_empty() { vec![self.url.clone()] } else { self.nodes.clone() }
    }
}

impl TargetArgs {
    /// Reads the ready file, if one is given, and resolves the nodes.
    ///
    /// # Errors
    /// When the file cannot be read, an address cannot be used, or nothing says where to go.
    pub async fn target(&self) -> Result<Target> {
        let (urls, location, reception, admin) =
            match (&self.ready_file, &self.token, &self.location) {
                (Some(path), ..) => {
                    let ready = ReadyFile::read(path)?;
                    (ready.urls(), ready.location, ready.tokens.reception, ready.tokens.admin)
                }
                (None, Some(token), Some(location)) => {
                    let admin = self.admin_token.as_ref().unwrap_or(token);
                    (self.url.clone(), location.clone(), token.clone(), admin.clone())
                }
                _ => bail!(
                    "say where to go: --ready-file FILE, or --url with --token and --location"
                ),
            };
        Ok(Target { nodes: resolve(&urls).await?, location, reception, admin })
    }

    /// The nodes, and the people of `count` tenants: with the development key those of t-1, t-2 …, else the one tenant
    /// of the ready file.
    ///
    /// # Errors
    /// As [`TargetArgs::target`], or when there are fewer tenants.
    pub async fn tenants(&self, count: usize) -> Result<Tenants> {
        let ready = self.ready_file.as_deref().map(ReadyFile::read).transpose()?;
        let urls = ready.as_ref().map_or_else(|| self.url.clone(), ReadyFile::urls);
        let clerks = match (&self.insecure_development_key, ready) {
            (Some(words), _) => clerks::signed(words, count)?,
            (
                None,
                Some(ReadyFile {
                    tokens: Tokens { editor: Some(editor), viewer: Some(viewer), admin, .. },
                    ..
                }),
            ) => {
                ensure!(
                    count == 1,
                    "a ready file has tokens of one tenant: say --tenants 1, or give --insecure-development-key"
                );
                vec![Clerks { tenant: "the ready file's".to_owned(), editor, viewer, admin }]
            }
            _ => bail!(
                "say who asks: --insecure-development-key, or --ready-file FILE with tokens of viewer and editor"
            ),
        };
        Ok(Tenants { nodes: resolve(&urls).await?, clerks })
    }
}

async fn resolve(urls: &[String]) -> Result<Vec<Arc<Node>>> {
    ensure!(!urls.is_empty(), "say where to go: --ready-file FILE, or --url");
    let mut nodes = Vec::with_capacity(urls.len());
    for url in urls {
        nodes.push(Arc::new(Node::resolve(url).await?));
    }
    Ok(nodes)
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
            bail!(
                "{url} is not an address like http://127.0.0.1:8080 (TLS and paths are not supported)"
            );
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
