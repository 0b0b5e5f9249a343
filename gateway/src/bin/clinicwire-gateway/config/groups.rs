//! Groups of flags of `run`.

use std::path::PathBuf;

use clap::Args;
use gateway::{
    access::auth::{DevelopmentKey, WELL_KNOWN_WORDS},
    client_address::{ClientHeader, parse_network},
    files::MAX_FILE,
    settings::{AlertOffer, TlsFiles, parse_public_key},
};
use ipnet::IpNet;
use servers::args::{FileStoreArgs, PushServiceArgs, TableArgs};

/// The certificate of a node whose clients speak TLS.
#[derive(Args)]
pub struct TlsArgs {
    /// Certificate in PEM form, followed by those of its issuers: clients then speak TLS, with
    /// HTTP/2 or HTTP/1.1. A change of the file is seen within half a minute, or at SIGHUP
    #[arg(long, env = "CLINICWIRE_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate, in PEM form
    #[arg(long, env = "CLINICWIRE_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
}

impl TlsArgs {
    pub(super) fn files(&self) -> Option<TlsFiles> {
        let (certificate, key) = (self.tls_cert.clone()?, self.tls_key.clone()?);
        Some(TlsFiles { certificate, key })
    }
}

/// Settings of the proxies in front of the node. Limits count by the addresses of clients.
#[derive(Args)]
pub struct ProxyArgs {
    /// Network of proxies, such as `10.0.0.0/8`, whose reports about the addresses of their clients
    /// are trusted. May be repeated. Without it, the peer of each connection counts as its client
    #[arg(
        long = "trusted-proxy",
        env = "CLINICWIRE_TRUSTED_PROXY",
        value_name = "NETWORK",
        value_delimiter = ',',
        value_parser = parse_network
    )]
    pub trusted_proxies: Vec<IpNet>,
    /// Header in which trusted proxies name their clients: `x-forwarded-for` or `forwarded`. The
    /// other one is ignored, since proxies pass it on as a client sent it
    #[arg(long, env = "CLINICWIRE_CLIENT_HEADER", default_value = "x-forwarded-for")]
    pub client_header: ClientHeader,
    /// Read a header of the PROXY protocol, version 1 or 2, at the start of every connection of a
    /// trusted proxy
    #[arg(long, env = "CLINICWIRE_PROXY_PROTOCOL", requires = "trusted_proxies")]
    pub proxy_protocol: bool,
}

/// Settings of alerts to phones.
#[derive(Args)]
pub struct AlertArgs {
    /// Public key of the alerts to phones (VAPID), as `clinicwire-processors push-key` prints it.
    /// Without it, patients are offered no alerts
    #[arg(long, env = "CLINICWIRE_PUSH_PUBLIC_KEY", value_name = "BASE64URL")]
    #[arg(value_parser = parse_public_key)]
    pub push_public_key: Option<String>,
    #[command(flatten)]
    pub services: PushServiceArgs,
}

impl AlertArgs {
    pub(super) fn offer(&self) -> Option<AlertOffer> {
        let public_key = self.push_public_key.clone()?;
        Some(AlertOffer { public_key, services: self.services.services() })
    }
}

/// Settings of claims files and the runs that check them.
#[derive(Args)]
pub struct ClaimsFileArgs {
    #[command(flatten)]
    pub store: FileStoreArgs,
    /// Largest uploaded file, in bytes
    #[arg(long, env = "CLINICWIRE_MAX_FILE", default_value_t = MAX_FILE)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub max_file: u64,
    /// Seconds that a run and its findings are kept after its end
    #[arg(long, env = "CLINICWIRE_RUN_RETENTION", default_value_t = 24 * 60 * 60)]
    #[arg(value_parser = clap::value_parser!(u32).range(60..))]
    pub run_retention: u32,
    #[command(flatten)]
    pub tables: TableArgs,
}

#[derive(Args)]
pub struct DevelopmentArgs {
    /// Trust tokens signed with a key made of WORDS, instead of an issuer's keys
    ///
    /// Anyone who knows the words can sign a token for any person, and everyone knows the default
    /// words. Never use it where there are patients.
    #[arg(
        long,
        env = "CLINICWIRE_INSECURE_DEVELOPMENT_KEY",
        value_name = "WORDS",
        hide_env_values = true
    )]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = WELL_KNOWN_WORDS)]
    pub insecure_development_key: Option<String>,
}

impl DevelopmentArgs {
    pub(super) fn key(&self) -> Option<DevelopmentKey> {
        self.insecure_development_key.as_deref().map(DevelopmentKey::from_words)
    }
}
