//! Settings, by flag and environment: `--help` is their documentation.

use std::{
    fs,
    io::{self, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use claims::tables::Tables;
use clap::{Args, Parser, Subcommand, ValueEnum};
use gateway::{
    access::auth::{DEFAULT_AUDIENCE, DevelopmentKey, KeyAlgorithm, Keys, WELL_KNOWN_WORDS},
    files::MAX_FILE,
    node,
    servers::kafka::KafkaSettings,
};
use gateway_core::access::{Claims, Role};
use schemas::{
    Millis,
    ids::{LocationId, QueueId, TenantId, TicketId},
};
use sha2::{Digest, Sha256};

/// Fans out the live views of clinics: to phones, boards and staff over WebSocket and SSE, with commands and
/// snapshots over HTTP. Follows Kafka, reads Redis and Postgres, and keeps nothing itself: start as many nodes as
/// you like behind one address.
#[derive(Parser)]
#[command(name = "clinicwire-gateway", version, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub logging: Logging,
}

#[derive(Subcommand)]
pub enum Command {
    /// Serve until SIGTERM or Ctrl-C
    Run(Box<Run>),
    /// Check the settings, the keys and the three servers, as `run` does before it serves, and end
    CheckConfig(Box<Run>),
    /// Print a token signed with the development key
    Token(Token),
}

#[derive(Args)]
pub struct Logging {
    /// What is logged: a level, or levels by module (`info,gateway=debug`)
    #[arg(long, global = true, env = "CLINICWIRE_LOG", default_value = "info")]
    pub log: String,
    /// How it is logged, to standard error
    #[arg(long, global = true, env = "CLINICWIRE_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Args)]
pub struct Run {
    /// Address to listen on; behind a proxy that ends TLS, the one it connects to
    #[arg(long, env = "CLINICWIRE_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Threads that own sockets; unless given, one per core
    #[arg(long, env = "CLINICWIRE_SHARDS", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub shards: Option<u16>,
    /// Kafka's brokers, `host:port`, several separated by commas
    #[arg(long, env = "CLINICWIRE_KAFKA", default_value = "127.0.0.1:9092")]
    pub kafka: String,
    /// The topic of what moves locations
    #[arg(long, env = "CLINICWIRE_CARE_TOPIC", default_value = schemas::record::CARE_TOPIC)]
    pub care_topic: String,
    /// The topic of runs and rules
    #[arg(long, env = "CLINICWIRE_RUNS_TOPIC", default_value = schemas::record::RUNS_TOPIC)]
    pub runs_topic: String,
    /// The topic of the audit
    #[arg(long, env = "CLINICWIRE_AUDIT_TOPIC", default_value = schemas::record::AUDIT_TOPIC)]
    pub audit_topic: String,
    /// The topic of views
    #[arg(long, env = "CLINICWIRE_VIEWS_TOPIC", default_value = schemas::record::VIEWS_TOPIC)]
    pub views_topic: String,
    /// Redis, `redis://user:password@host:port`
    #[arg(
        long,
        env = "CLINICWIRE_REDIS",
        hide_env_values = true,
        default_value = "redis://127.0.0.1:6379"
    )]
    pub redis: String,
    /// Postgres, `postgres://user:password@host:port/database`; the login needs the role clinicwire_gateway
    #[arg(
        long,
        env = "CLINICWIRE_POSTGRES",
        hide_env_values = true,
        default_value = "postgres://127.0.0.1:5432/clinicwire"
    )]
    pub postgres: String,
    /// Connections to Postgres at most: it is read only when Redis is behind or was emptied
    #[arg(long, env = "CLINICWIRE_POSTGRES_CONNECTIONS", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub postgres_connections: u16,
    #[command(flatten)]
    pub checks: Checks,
    /// A public key that signs tokens, as FILE:KID:ALG; ALG is RS256, ES256 or EdDSA. May be repeated; in the
    /// environment, separated by commas
    #[arg(
        long = "jwt-key",
        env = "CLINICWIRE_JWT_KEY",
        value_name = "FILE:KID:ALG",
        value_delimiter = ','
    )]
    pub jwt_keys: Vec<JwtKey>,
    /// Who issues the tokens: their `iss`
    #[arg(long, env = "CLINICWIRE_ISSUER")]
    pub issuer: Option<String>,
    /// Whom the tokens must be for: their `aud`
    #[arg(long, env = "CLINICWIRE_AUDIENCE", default_value = DEFAULT_AUDIENCE)]
    pub audience: String,
    /// A file with the secret that seals the ids of SSE events, the same on all nodes: at least 32 characters, such
    /// as `openssl rand -hex 32` prints
    #[arg(long, env = "CLINICWIRE_GRANT_SECRET_FILE")]
    pub grant_secret_file: Option<PathBuf>,
    /// An origin whose pages may connect beside this host's own (`https://desk.example`); may be repeated
    #[arg(long = "origin", env = "CLINICWIRE_ORIGIN", value_delimiter = ',')]
    pub origins: Vec<String>,
    /// Seconds over which open connections are closed when the node stops
    #[arg(long, env = "CLINICWIRE_DRAIN", default_value_t = 30, value_parser = clap::value_parser!(u16).range(0..=600))]
    pub drain: u16,
    /// What `/v1/demo` shows: a file of JSON that a demo clinic writes and rewrites. It holds tokens, so only with the
    /// development key
    #[arg(long, env = "CLINICWIRE_DEMO_FILE", requires = "insecure_development_key")]
    pub demo_file: Option<PathBuf>,
    #[command(flatten)]
    pub development: Development,
}

/// Of checks of claims files.
#[derive(Args)]
pub struct Checks {
    /// Where uploaded files lie until they are checked, the same for gateways and workers: `file:///directory`, or
    /// `s3://bucket/prefix` with the usual AWS_* variables
    #[arg(long, env = "CLINICWIRE_FILES", default_value = "file:///var/lib/clinicwire/files")]
    pub files: String,
    /// Bytes an uploaded file may have
    #[arg(long, env = "CLINICWIRE_MAX_FILE", default_value_t = MAX_FILE, value_parser = clap::value_parser!(u64).range(1..))]
    pub max_file: u64,
    /// Seconds a run and its findings are kept after its end
    #[arg(long, env = "CLINICWIRE_RUN_RETENTION", default_value_t = 24 * 60 * 60, value_parser = clap::value_parser!(u32).range(60..))]
    pub run_retention: u32,
    /// The table of codes that rules look into when they are tried: CSV, as the workers have it
    #[arg(long, env = "CLINICWIRE_CODES", value_name = "FILE")]
    pub codes: Option<PathBuf>,
    /// The table of establishments, likewise
    #[arg(long, env = "CLINICWIRE_ESTABLISHMENTS", value_name = "FILE")]
    pub establishments: Option<PathBuf>,
}

impl Checks {
    /// The reference tables; one that is not given is empty.
    fn tables(&self) -> anyhow::Result<Tables> {
        let open = |file: Option<&Path>| -> anyhow::Result<Box<dyn Read>> {
            let Some(file) = file else { return Ok(Box::new(io::empty())) };
            let opened =
                fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
            Ok(Box::new(opened))
        };
        let (codes, establishments) =
            (open(self.codes.as_deref())?, open(self.establishments.as_deref())?);
        Tables::read(codes, establishments).context("check --codes and --establishments")
    }
}

#[derive(Args)]
pub struct Development {
    /// Trust tokens signed with a secret made of WORDS, in place of an issuer's keys. Whoever knows the words, and
    /// everybody knows those it uses without any, is everybody: never where patients are
    #[arg(
        long,
        env = "CLINICWIRE_INSECURE_DEVELOPMENT_KEY",
        value_name = "WORDS",
        hide_env_values = true
    )]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = WELL_KNOWN_WORDS)]
    pub insecure_development_key: Option<String>,
}

impl Development {
    fn key(&self) -> Option<DevelopmentKey> {
        self.insecure_development_key.as_deref().map(DevelopmentKey::from_words)
    }
}

#[derive(Args)]
pub struct Token {
    #[command(flatten)]
    pub development: Development,
    #[arg(long)]
    pub role: RoleName,
    #[arg(long, default_value = "demo")]
    pub tenant: TenantId,
    /// Whom the journal will name
    #[arg(long, default_value = "development")]
    pub subject: String,
    /// A location the bearer belongs to; may be repeated, as the next two
    #[arg(long = "location")]
    pub locations: Vec<LocationId>,
    /// A queue the bearer is assigned to
    #[arg(long = "queue")]
    pub queues: Vec<QueueId>,
    /// A ticket the bearer holds
    #[arg(long = "ticket")]
    pub tickets: Vec<TicketId>,
    /// Seconds the token is good for
    #[arg(long, default_value_t = 8 * 60 * 60)]
    pub ttl: u32,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum RoleName {
    Patient,
    Display,
    Reception,
    Doctor,
    Admin,
    Viewer,
    Editor,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Role {
        match name {
            RoleName::Patient => Role::Patient,
            RoleName::Display => Role::Display,
            RoleName::Reception => Role::Reception,
            RoleName::Doctor => Role::Doctor,
            RoleName::Admin => Role::Admin,
            RoleName::Viewer => Role::Viewer,
            RoleName::Editor => Role::Editor,
        }
    }
}

/// One value of `--jwt-key`.
#[derive(Debug, Clone)]
pub struct JwtKey {
    file: PathBuf,
    kid: String,
    algorithm: KeyAlgorithm,
}

impl FromStr for JwtKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.rsplitn(3, ':');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(algorithm), Some(kid), Some(file)) if !kid.is_empty() && !file.is_empty() => {
                Ok(Self {
                    file: file.into(),
                    kid: kid.to_owned(),
                    algorithm: algorithm
                        .parse()
                        .map_err(|error: gateway::access::auth::KeyError| error.to_string())?,
                })
            }
            _ => Err("expected FILE:KID:ALG".to_owned()),
        }
    }
}

impl Run {
    pub fn kafka(&self) -> KafkaSettings {
        KafkaSettings {
            brokers: self.kafka.clone(),
            care_topic: self.care_topic.clone(),
            runs_topic: self.runs_topic.clone(),
            audit_topic: self.audit_topic.clone(),
            views_topic: self.views_topic.clone(),
        }
    }

    /// The node's settings, with keys and secret read from their files.
    pub fn node(&self) -> anyhow::Result<node::Settings> {
        let (keys, grant_secret) = match self.development.key() {
            Some(key) => {
                ensure!(
                    self.jwt_keys.is_empty(),
                    "--insecure-development-key and --jwt-key exclude each other: a node that trusts an issuer \
                     must not trust a development key too"
                );
                tracing::warn!(
                    "this node trusts the development key: whoever knows its words may read and do everything"
                );
                (key.keys(), key.grant_secret())
            }
            None => (self.issuer_keys()?, self.grant_secret()?),
        };
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        Ok(node::Settings {
            listen: self.listen,
            shards: self.shards.map_or_else(cores, usize::from),
            keys,
            grant_secret,
            origins: self
                .origins
                .iter()
                .map(|origin| origin.trim_end_matches('/').to_lowercase())
                .collect(),
            drain: Duration::from_secs(self.drain.into()),
            max_file: self.checks.max_file,
            run_retention: Duration::from_secs(self.checks.run_retention.into()),
            tables: Arc::new(self.checks.tables()?),
        })
    }

    fn issuer_keys(&self) -> anyhow::Result<Keys> {
        if self.jwt_keys.is_empty() {
            bail!(
                "no key to verify tokens with: give --jwt-key FILE:KID:ALG and --issuer, or, on a machine without \
                 patients, --insecure-development-key"
            );
        }
        let issuer = self
            .issuer
            .as_deref()
            .context("--jwt-key needs --issuer: the `iss` of the tokens it signs")?;
        let mut keys = Keys::new(issuer, &self.audience);
        for JwtKey { file, kid, algorithm } in &self.jwt_keys {
            let pem = fs::read(file)
                .with_context(|| format!("cannot read the key {}", file.display()))?;
            keys.add_pem(kid, *algorithm, &pem)
                .with_context(|| format!("cannot use the key {}", file.display()))?;
        }
        Ok(keys)
    }

    fn grant_secret(&self) -> anyhow::Result<[u8; 32]> {
        let file = self.grant_secret_file.as_deref().context(
            "no --grant-secret-file: make one with `openssl rand -hex 32` and give the same to all nodes",
        )?;
        let text =
            fs::read(file).with_context(|| format!("cannot read the secret {}", file.display()))?;
        let secret = text.trim_ascii();
        ensure!(
            secret.len() >= 32,
            "the secret in {} is shorter than 32 characters",
            file.display()
        );
        Ok(Sha256::digest(secret).into())
    }
}

impl Token {
    pub fn key(&self) -> anyhow::Result<DevelopmentKey> {
        self.development.key().context(
            "tokens are only signed with a development key: give the node's --insecure-development-key. \
             For patients, tokens come from your own issuer",
        )
    }

    pub fn claims(self, now: Millis) -> Claims {
        Claims {
            tenant: self.tenant,
            subject: self.subject.into(),
            role: self.role.into(),
            locations: self.locations,
            queues: self.queues,
            tickets: self.tickets,
            appointments: Vec::new(),
            doctor: None,
            expires: now + Millis::from(self.ttl) * 1000,
        }
    }
}
