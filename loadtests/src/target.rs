//! The target of the swarm: nodes, tokens and location.

pub mod clerks;

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use testing::{ready_file::ReadyFile, tokens::DEFAULT_WORDS};

use self::clerks::Clerks;

/// The target: a `--ready-file`, or addresses and tokens.
#[derive(Args)]
pub struct TargetArgs {
    /// The ready file of a server: JSON with addresses, tokens and ids.
    #[arg(long, env = "READY_FILE", conflicts_with_all = ["url", "token"])]
    ready_file: Option<PathBuf>,
    /// Address of a node, such as http://127.0.0.1:8080. Repeat it for each node.
    #[arg(long)]
    url: Vec<String>,
    /// Token of a reception of the location, which listens, issues tickets and calls.
    #[arg(long)]
    token: Option<String>,
    /// Token of an admin, which creates queues and stations. The default is --token.
    #[arg(long)]
    admin_token: Option<String>,
    /// Location of the run's queue.
    #[arg(long)]
    location: Option<String>,
    /// For `runs` and `commands`: sign tokens of all tenants with the nodes' development key.
    #[arg(
        long,
        env = "CLINICWIRE_INSECURE_DEVELOPMENT_KEY",
        value_name = "WORDS",
        hide_env_values = true
    )]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = DEFAULT_WORDS)]
    insecure_development_key: Option<String>,
}

/// One gateway node.
pub struct Node {
    pub url: String,
    /// Host and port.
    pub authority: String,
    pub addr: SocketAddr,
}

/// The server as most scenarios see it.
pub struct Target {
    pub nodes: Vec<Arc<Node>>,
    pub location: String,
    pub reception: String,
    pub admin: String,
}

/// The server as a scenario with several tenants sees it.
pub struct Tenants {
    pub nodes: Vec<Arc<Node>>,
    /// The tokens of each tenant.
    pub clerks: Vec<Clerks>,
}

impl TargetArgs {
    /// Reads the ready file, if one is given, and resolves the nodes.
    ///
    /// # Errors
    /// When the file cannot be read, an address cannot be used, or the arguments name no target.
    pub async fn target(&self) -> Result<Target> {
        let (urls, location, reception, admin) =
            match (&self.ready_file, &self.token, &self.location) {
                (Some(path), ..) => {
                    let ready = ReadyFile::read(path)?;
                    let token = |role| ready.token(role).map(str::to_owned);
                    let (reception, admin) = (token("reception")?, token("admin")?);
                    (ready.urls(), ready.location, reception, admin)
                }
                (None, Some(token), Some(location)) => {
                    let admin = self.admin_token.as_ref().unwrap_or(token);
                    (self.url.clone(), location.clone(), token.clone(), admin.clone())
                }
                _ => {
                    bail!("no target: use --ready-file FILE, or --url with --token and --location")
                }
            };
        Ok(Target { nodes: resolve(&urls).await?, location, reception, admin })
    }

    /// The nodes, and the words of their development key.
    ///
    /// # Errors
    /// As [`TargetArgs::target`], and without the words.
    pub async fn development(&self) -> Result<(Vec<Arc<Node>>, &str)> {
        let words = self.insecure_development_key.as_deref();
        let words = words.context("no tokens: use --insecure-development-key")?;
        Ok((resolve(&self.url).await?, words))
    }

    /// The nodes, and tokens of `count` tenants: t-1, t-2 and so on with the development key,
    /// otherwise the one tenant of the ready file.
    ///
    /// # Errors
    /// As [`TargetArgs::target`], and when a ready file is to serve several tenants.
    pub async fn tenants(&self, count: usize) -> Result<Tenants> {
        let ready = self.ready_file.as_deref().map(ReadyFile::read).transpose()?;
        let urls = ready.as_ref().map_or_else(|| self.url.clone(), ReadyFile::urls);
        let clerks = match (&self.insecure_development_key, ready) {
            (Some(words), _) => clerks::sign_tokens(words, count)?,
            (None, Some(ready)) => {
                ensure!(
                    count == 1,
                    "the ready file has tokens of one tenant: use --tenants 1, \
                     or --insecure-development-key"
                );
                let token = |role| ready.token(role).map(str::to_owned);
                let (editor, viewer, admin) = (token("editor")?, token("viewer")?, token("admin")?);
                vec![Clerks { tenant: "the ready file's".to_owned(), editor, viewer, admin }]
            }
            (None, None) => bail!("no tokens: use --insecure-development-key or --ready-file"),
        };
        Ok(Tenants { nodes: resolve(&urls).await?, clerks })
    }
}

async fn resolve(urls: &[String]) -> Result<Vec<Arc<Node>>> {
    ensure!(!urls.is_empty(), "no target: use --ready-file FILE, or --url");
    let mut nodes = Vec::with_capacity(urls.len());
    for url in urls {
        nodes.push(Arc::new(Node::resolve(url).await?));
    }
    Ok(nodes)
}

impl Target {
    /// The node whose turn it is.
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
                "{url} is not an address like http://127.0.0.1:8080; TLS and paths are not \
                     supported"
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
