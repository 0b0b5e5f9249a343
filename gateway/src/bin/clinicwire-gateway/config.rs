//! Settings by flag and environment variable; `--help` documents them.

mod groups;
mod jwt_key;
mod token;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, ensure};
use clap::{Args, Parser, Subcommand};
use gateway::{
    access::{
        auth::{DEFAULT_AUDIENCE, Issuers, Keys},
        pseudonyms::PseudonymKey,
    },
    certificates::Certificates,
    client_address::TrustedProxies,
    limits::settings::{LimitChange, LimitSettings},
    node,
    servers::issuer_keys,
};
use schemas::ids::TenantId;
use servers::{
    args::{KafkaArgs, PostgresArgs, RedisArgs, WebhookKeyArgs},
    config_check::Faults,
    kafka::KafkaCluster,
    logging::LogArgs,
    traces::TraceArgs,
};
use sha2::{Digest, Sha256};
use telemetry::Tracer;

use self::groups::{AlertArgs, ClaimsFileArgs, DevelopmentArgs, ProxyArgs, TlsArgs};
pub use self::{jwt_key::JwtKey, token::TokenArgs};

/// Serves live views of clinics to phones, boards and staff, over WebSocket, SSE and Socket.IO,
/// with commands and snapshots over HTTP.
///
/// A node follows Kafka, reads Redis and PostgreSQL, and stores nothing itself: any number of nodes
/// can run behind one address.
#[derive(Parser)]
#[command(name = "clinicwire-gateway", version, max_term_width = 110)]
pub struct GatewayCli {
    #[command(subcommand)]
    pub command: GatewayCommand,
    #[command(flatten)]
    pub logging: LogArgs,
}

#[derive(Subcommand)]
pub enum GatewayCommand {
    /// Serve until SIGTERM or Ctrl-C
    Run(Box<RunArgs>),
    /// Check all settings of `run`, and with --connect the rights at the servers
    ///
    /// Reads the keys, the secret and the tables as `run` does, and reports every fault with its
    /// flag. The exit code is 0 when all settings are valid, and 2 otherwise.
    CheckConfig(Box<CheckArgs>),
    /// Print a token signed with the development key
    Token(TokenArgs),
    /// Print the pseudonym of a person in the log, to find the lines about them
    Pseudonym(PseudonymArgs),
}

#[derive(Args)]
pub struct PseudonymArgs {
    /// File with the key that the gateway used at the time
    #[arg(long, env = "CLINICWIRE_PSEUDONYM_KEY_FILE", value_name = "FILE")]
    pub pseudonym_key_file: PathBuf,
    /// Tenant of the person
    #[arg(long)]
    pub tenant: TenantId,
    /// Subject of the person's token, its `sub`
    #[arg(long)]
    pub subject: String,
}

impl PseudonymArgs {
    /// The pseudonym.
    ///
    /// # Errors
    /// When the key cannot be used.
    pub fn pseudonym(&self) -> anyhow::Result<String> {
        let key = pseudonym_key(&self.pseudonym_key_file)?;
        Ok(key.pseudonym(self.tenant.as_str(), &self.subject))
    }
}

fn pseudonym_key(file: &Path) -> anyhow::Result<PseudonymKey> {
    PseudonymKey::read(file).with_context(|| format!("check {}", file.display()))
}

#[derive(Args)]
pub struct CheckArgs {
    /// Also log in to the servers, and try the rights that a gateway needs and those that it must
    /// not have
    ///
    /// Prints a line for each attempt. No attempt changes anything, whatever its outcome.
    #[arg(long)]
    pub connect: bool,
    #[command(flatten)]
    pub run: RunArgs,
}

#[derive(Args)]
pub struct RunArgs {
    /// Address to listen on. Behind a proxy that ends TLS, the address that the proxy connects to
    #[arg(long, env = "CLINICWIRE_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    #[command(flatten)]
    pub tls: TlsArgs,
    /// Threads that own sockets [default: one per core, at most 64]
    #[arg(long, env = "CLINICWIRE_SHARDS", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub shards: Option<u16>,
    #[command(flatten)]
    pub kafka: KafkaArgs,
    #[command(flatten)]
    pub redis: RedisArgs,
    #[command(flatten)]
    pub postgres: PostgresArgs,
    /// Most connections to PostgreSQL, which is read when Redis is behind or was emptied
    #[arg(long, env = "CLINICWIRE_POSTGRES_CONNECTIONS", default_value_t = 8)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=100))]
    pub postgres_connections: u16,
    #[command(flatten)]
    pub claims_files: ClaimsFileArgs,
    /// Public key that verifies tokens, as FILE:KID:ALG: a PEM file, the key's id, and RS256,
    /// RS384, RS512, PS256, ES256, ES384 or EdDSA. May be repeated; in the environment, separated
    /// by commas
    #[arg(
        long = "jwt-key",
        env = "CLINICWIRE_JWT_KEY",
        value_name = "FILE:KID:ALG",
        value_delimiter = ','
    )]
    pub jwt_keys: Vec<JwtKey>,
    /// JSON file with the issuers whose tokens are accepted, in place of --jwt-key and --issuer, as
    /// docs/identity.md says
    #[arg(long, env = "CLINICWIRE_ISSUERS", value_name = "FILE")]
    pub issuers: Option<PathBuf>,
    /// Issuer of the tokens, their `iss`
    #[arg(long, env = "CLINICWIRE_ISSUER")]
    pub issuer: Option<String>,
    /// Audience that tokens must name, their `aud`
    #[arg(long, env = "CLINICWIRE_AUDIENCE", default_value = DEFAULT_AUDIENCE)]
    pub audience: String,
    /// File with the secret that protects the ids of SSE events, the same on all nodes: at least 32
    /// characters, such as the output of `openssl rand -hex 32`
    #[arg(long, env = "CLINICWIRE_GRANT_SECRET_FILE")]
    pub grant_secret_file: Option<PathBuf>,
    /// Origin whose pages may connect, besides this host's own, such as `https://desk.example`. May
    /// be repeated
    #[arg(long = "origin", env = "CLINICWIRE_ORIGIN", value_delimiter = ',')]
    pub origins: Vec<String>,
    #[command(flatten)]
    pub proxies: ProxyArgs,
    /// Value of a limit, as NAME=COUNT/SECONDS, NAME=PLACES or NAME=off. May be repeated; `all=off`
    /// turns all off, for measurements. docs/limits.md lists the names and their defaults
    #[arg(
        long = "limit",
        env = "CLINICWIRE_LIMIT",
        value_name = "NAME=VALUE",
        value_delimiter = ','
    )]
    pub limits: Vec<LimitChange>,
    /// Serve only tenants that a super admin has created by `POST /v1/tenants`. Tokens of others
    /// are refused as `tenant_not_served`; those of super admins are not
    #[arg(long, env = "CLINICWIRE_CREATED_TENANTS_ONLY")]
    pub created_tenants_only: bool,
    /// Name by which clients may call this node, such as `queue.example`. May be repeated. Requests
    /// for other hosts are refused by 421, except those for health and metrics. Without it, any
    /// host is served
    #[arg(long = "host", env = "CLINICWIRE_HOST", value_delimiter = ',')]
    pub hosts: Vec<String>,
    /// Second address for `/metrics` and `/health`, for operators only. The first then has no
    /// `/metrics`, and its `/health/ready` gives no reasons
    #[arg(long, env = "CLINICWIRE_PRIVATE_LISTEN")]
    pub private_listen: Option<SocketAddr>,
    /// Seconds for which a stopping node serves as before, while /health/ready is 503, so that its
    /// balancer sends no new clients when the listener closes. Longer than the balancer takes to
    /// notice
    #[arg(long, env = "CLINICWIRE_DRAIN_DELAY", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u16).range(0..=600))]
    pub drain_delay: u16,
    /// Seconds over which a stopping node then closes its connections
    #[arg(long, env = "CLINICWIRE_DRAIN", default_value_t = 30)]
    #[arg(value_parser = clap::value_parser!(u16).range(0..=600))]
    pub drain: u16,
    /// JSON file of a demo clinic, shown at `/v1/demo`. It holds tokens, so the development key is
    /// required
    #[arg(long, env = "CLINICWIRE_DEMO_FILE", requires = "insecure_development_key")]
    pub demo_file: Option<PathBuf>,
    #[command(flatten)]
    pub alerts: AlertArgs,
    #[command(flatten)]
    pub webhooks: WebhookKeyArgs,
    /// File with a key of at least 32 characters. The lines of the log about a request then have
    /// a pseudonym of its caller, `caller`, made with the key. A new key in the file is used within
    /// half a minute. Without it, the log has nothing about callers
    #[arg(long, env = "CLINICWIRE_PSEUDONYM_KEY_FILE", value_name = "FILE")]
    pub pseudonym_key_file: Option<PathBuf>,
    #[command(flatten)]
    pub traces: TraceArgs,
    #[command(flatten)]
    pub development: DevelopmentArgs,
    /// Serve other machines although the development key is trusted
    ///
    /// Without it, a node with a development key listens on loopback addresses only, and tells the
    /// demo's tokens to clients of this machine only.
    #[arg(long, env = "CLINICWIRE_INSECURE_PUBLIC_DEVELOPMENT")]
    #[arg(requires = "insecure_development_key")]
    pub insecure_public_development: bool,
}

impl RunArgs {
    pub fn cluster(&self) -> KafkaCluster {
        self.kafka.cluster("clinicwire-gateway")
    }

    /// Finds every fault that can be found without connecting to a server.
    pub fn validate(&self, faults: &mut Faults) {
        self.kafka.validate(faults);
        self.redis.validate(faults);
        self.postgres.validate(faults);
        self.claims_files.store.validate(faults);
        self.claims_files.tables.validate(faults);
        if let Some(files) = self.tls.files() {
            faults.check("--tls-cert", Certificates::check(&files));
        }
        faults.check("--webhook-key-file", self.webhooks.key());
        if let Some(file) = &self.pseudonym_key_file {
            faults.check("--pseudonym-key-file", pseudonym_key(file));
        }
        self.traces.validate(faults);
        self.trust(faults);
    }

    /// The node's settings, with keys, secret and tables read from their files.
    ///
    /// # Errors
    /// All faults of these settings together.
    pub fn node(&self) -> anyhow::Result<node::Settings> {
        let mut faults = Faults::default();
        let trust = self.trust(&mut faults);
        let webhook_key = faults.check("--webhook-key-file", self.webhooks.key());
        let tables = self.claims_files.tables.tables()?;
        faults.into_result()?;
        let (issuers, grant_secret) = trust.context("no key to verify tokens with")?;
        if self.development.insecure_development_key.is_some() {
            tracing::warn!(
                "this node trusts the development key: anyone who knows its words may read and do \
                 everything"
            );
        }
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        Ok(node::Settings {
            listen: self.listen,
            tls: self.tls.files(),
            shards: self.shards.map_or_else(cores, usize::from),
            issuers,
            grant_secret,
            origins: self
                .origins
                .iter()
                .map(|origin| origin.trim_end_matches('/').to_lowercase())
                .collect(),
            proxies: TrustedProxies::new(
                self.proxies.trusted_proxies.clone(),
                self.proxies.client_header,
                self.proxies.proxy_protocol,
            ),
            hosts: self.hosts.clone(),
            private_listen: self.private_listen,
            public_demo: self.insecure_public_development,
            limits: LimitSettings::default().changed(&self.limits),
            created_tenants_only: self.created_tenants_only,
            drain_delay: Duration::from_secs(self.drain_delay.into()),
            drain: Duration::from_secs(self.drain.into()),
            max_file: self.claims_files.max_file,
            alerts: self.alerts.offer(),
            webhook_key: webhook_key.flatten(),
            run_retention: Duration::from_secs(self.claims_files.run_retention.into()),
            tables: Arc::new(tables),
            pseudonym_key_file: self.pseudonym_key_file.clone(),
            tracer: Tracer::off(),
        })
    }

    /// The keys that verify tokens, and the secret that protects the ids of SSE events. Nothing
    /// when there is a fault.
    fn trust(&self, faults: &mut Faults) -> Option<(Issuers, [u8; 32])> {
        let Some(key) = self.development.key() else {
            let issuers = self.trusted_issuers(faults);
            let secret = faults.check("--grant-secret-file", self.grant_secret());
            return Some((issuers?, secret?));
        };
        for (flag, given) in
            [("--jwt-key", !self.jwt_keys.is_empty()), ("--issuers", self.issuers.is_some())]
        {
            if given {
                faults.add(
                    flag,
                    format!(
                        "--insecure-development-key and {flag} exclude each other: a node that \
                         trusts an issuer must not trust a development key too"
                    ),
                );
                return None;
            }
        }
        if !self.listen.ip().is_loopback() && !self.insecure_public_development {
            faults.add(
                "--listen",
                "other machines can reach this address, and anyone who knows the words of the \
                 development key may read and do everything: use an issuer's keys or a loopback \
                 address, or, if there are no patients, add --insecure-public-development",
            );
            return None;
        }
        Some((key.keys().into(), key.grant_secret()))
    }

    fn trusted_issuers(&self, faults: &mut Faults) -> Option<Issuers> {
        let Some(file) = &self.issuers else { return self.issuer_keys(faults).map(Issuers::from) };
        if !self.jwt_keys.is_empty() || self.issuer.is_some() {
            faults.add(
                "--issuers",
                "--issuers replaces --jwt-key and --issuer: move their values to the file",
            );
            return None;
        }
        let fetch = faults.check(
            "--issuers",
            issuer_keys::fetch_document().context("no client for the keys of issuers"),
        )?;
        match Issuers::from_file(file, &fetch) {
            Ok(issuers) => Some(issuers),
            Err(found) => {
                found.0.iter().for_each(|fault| faults.add("--issuers", fault));
                None
            }
        }
    }

    fn issuer_keys(&self, faults: &mut Faults) -> Option<Keys> {
        if self.jwt_keys.is_empty() {
            faults.add(
                "--jwt-key",
                "no key to verify tokens with: give --issuers FILE, or --jwt-key FILE:KID:ALG and \
                 --issuer, or, on a machine without patients, --insecure-development-key",
            );
            return None;
        }
        if self.issuer.is_none() {
            faults.add("--issuer", "--jwt-key needs --issuer: the `iss` of the tokens it signs");
        }
        let mut keys = Keys::new(self.issuer.as_deref().unwrap_or_default(), &self.audience);
        let mut all_valid = self.issuer.is_some();
        for key in &self.jwt_keys {
            all_valid &= faults.check("--jwt-key", key.add_to(&mut keys)).is_some();
        }
        all_valid.then_some(keys)
    }

    fn grant_secret(&self) -> anyhow::Result<[u8; 32]> {
        let file = self.grant_secret_file.as_deref().context(
            "no --grant-secret-file: create one with `openssl rand -hex 32` and give the same to \
             all nodes",
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::*;

    #[test]
    fn flags_are_consistent() {
        GatewayCli::command().debug_assert();
    }

    /// The page says of each flag whether it changes while a gateway runs.
    #[test]
    fn every_flag_of_run_is_on_the_page_of_settings() {
        let page = include_str!("../../../../docs/settings.md");
        let gateways = page.split("## Gateways").nth(1).unwrap_or_default();
        let gateways = gateways.split("## Processors").next().unwrap_or_default();
        let listed: BTreeSet<_> = gateways
            .lines()
            .filter_map(|line| line.strip_prefix("| `--")?.split_once('`'))
            .map(|(flag, _)| flag.to_owned())
            .collect();
        let command = GatewayCli::command();
        let run = command.find_subcommand("run").expect("a gateway runs");
        let flags = command.get_arguments().chain(run.get_arguments());
        let flags: BTreeSet<_> =
            flags.filter_map(|flag| flag.get_long()).map(str::to_owned).collect();
        assert_eq!(listed, flags);
    }

    #[test]
    fn development_key_serves_loopback_unless_told() {
        for (listen, told, accepted) in [
            ("127.0.0.1:8080", false, true),
            ("[::1]:8080", false, true),
            ("0.0.0.0:8080", false, false),
            ("192.0.2.7:8080", false, false),
            ("0.0.0.0:8080", true, true),
        ] {
            let mut arguments = vec![
                "clinicwire-gateway",
                "check-config",
                "--kafka=localhost:9092",
                "--redis=redis://localhost",
                "--postgres=postgres://localhost",
                "--files=file:///tmp",
                "--insecure-development-key",
                "--listen",
                listen,
            ];
            arguments.extend(told.then_some("--insecure-public-development"));
            let cli = GatewayCli::parse_from(arguments);
            let GatewayCommand::CheckConfig(settings) = cli.command else { panic!("a check") };
            let mut faults = Faults::default();
            settings.run.trust(&mut faults);
            assert_eq!(faults.to_string().is_empty(), accepted, "{listen} {told}: {faults}");
        }
    }

    #[test]
    fn validation_names_every_faulty_flag() {
        let cli = GatewayCli::parse_from([
            "clinicwire-gateway",
            "check-config",
            "--kafka=localhost",
            "--redis=localhost",
            "--postgres=localhost",
            "--files=/tmp",
            "--codes=/no/such/file",
            "--jwt-key=/no/such/key:one:RS256",
        ]);
        let GatewayCommand::CheckConfig(settings) = cli.command else { panic!("a check") };
        let mut faults = Faults::default();
        settings.run.validate(&mut faults);
        let text = faults.to_string();
        let flags: Vec<_> = text.lines().filter_map(|line| line.split(':').next()).collect();
        let expected = [
            "--kafka",
            "--redis",
            "--postgres",
            "--files",
            "--codes",
            "--issuer",
            "--jwt-key",
            "--grant-secret-file",
        ];
        assert_eq!(flags, expected, "{text}");
    }
}
