//! The command line of `clinicwire`.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use gateway::{
    access::auth::{DevelopmentKey, WELL_KNOWN_WORDS},
    limits::settings::LimitChange,
};
use ipnet::IpNet;
use schemas::push::{KNOWN_SERVICES, PushService};

use crate::demo::driver::SPEEDS;
pub use crate::operator::arguments::{CallNextArgs, ImportArgs, SeedArgs, TailArgs, TokenArgs};

/// Runs all of Clinicwire in one process with a demo clinic: no servers, everything in memory
#[derive(Debug, Parser)]
#[command(version, after_long_help = EXAMPLES, max_term_width = 100)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<CliCommand>,

    /// Address to serve on; port 0 takes a free one
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// Speed of the demo clinic: clinic minutes per real minute, 1 to 1000
    #[arg(long, value_name = "TIMES", default_value_t = 30.0, value_parser = speed)]
    pub speed: f64,

    /// Seed of the demo's random numbers: the same seed gives the same day
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,

    /// Start without the demo clinic: nothing exists until you create it
    ///
    /// Tokens are for the tenant "demo" and its location "riverside". Create the location with the
    /// token of the admin.
    #[arg(long)]
    pub empty: bool,

    /// Certificate in PEM form: clients then speak TLS. Only for an empty clinic of a build with
    /// `--features tls`, since the people of the demo speak plain HTTP
    #[arg(long, value_name = "FILE", requires_all = ["tls_key", "empty"])]
    #[arg(conflicts_with = "rules")]
    pub tls_cert: Option<PathBuf>,

    /// Private key of the certificate, in PEM form
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// Rules that check claims files, as a JSON array, or the word `shipped` for all shipped rules
    /// [default: all shipped rules, and the built-in one alone with --empty]
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,

    /// Table of codes: CSV with code, leaf, group, top, cents [default: that of the sample file]
    #[arg(long, value_name = "FILE", requires = "establishments")]
    pub codes: Option<PathBuf>,

    /// Table of establishments: CSV with number, gmf [default: that of the sample file]
    #[arg(long, value_name = "FILE", requires = "codes")]
    pub establishments: Option<PathBuf>,

    /// Where to write addresses, tokens and ids as JSON once the server is ready
    /// [default: a file in $XDG_RUNTIME_DIR or ~/.cache]
    ///
    /// The file appears complete, by a rename, and only its owner can read it. Wait for it in
    /// scripts. `clinicwire token` reads it. The default file is removed when the server stops.
    #[arg(long, value_name = "PATH")]
    pub ready_file: Option<PathBuf>,

    /// Threads that own sockets [default: one per core, at most 64]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub shards: Option<u16>,

    /// Value of a limit, as NAME=COUNT/SECONDS, NAME=PLACES or NAME=off; may be repeated
    ///
    /// docs/limits.md lists the names. `all=off` turns all off. The demo starts without limits of
    /// commands and addresses, because it gives the commands of a whole clinic from one address. An
    /// empty clinic has every limit: load programs turn them off.
    #[arg(long = "limit", value_name = "NAME=VALUE", value_delimiter = ',')]
    pub limits: Vec<LimitChange>,

    /// Push service that alerts may be sent to: HOST, *.DOMAIN or an origin; may be repeated
    ///
    /// Alerts need a build with `--features push`. Their key is new at each start.
    #[arg(long = "push-service", value_name = "HOST", value_delimiter = ',')]
    #[arg(default_value = KNOWN_SERVICES, hide_default_value = true)]
    pub push_services: Vec<PushService>,

    /// Network such as 127.0.0.0/8 that receivers of webhooks may be in; may be repeated
    ///
    /// Webhooks need a build with `--features push`. Their secrets are new at each start.
    #[arg(long = "webhook-network", value_name = "NETWORK", value_delimiter = ',')]
    pub webhook_networks: Vec<IpNet>,

    #[command(flatten)]
    pub development: Development,

    /// Log level on stderr: error, warn, info, debug, trace, or a filter such as gateway=debug
    #[arg(long, value_name = "FILTER", default_value = "warn", env = "CLINICWIRE_LOG")]
    pub log: String,
}

/// The subcommands of `clinicwire`, which serves if none is given.
#[derive(Debug, Subcommand)]
pub enum CliCommand {
    /// Print a token: of the clinic that runs on this machine, or signed with your own words
    Token(TokenArgs),
    /// Create locations, queues, stations and check-in points from a file
    Seed(SeedArgs),
    /// Call the next person to a station
    CallNext(CallNextArgs),
    /// Follow channels in the terminal, a line of JSON for each message
    Tail(TailArgs),
    /// Report the appointments of a CSV file
    Import(ImportArgs),
}

/// The key that signs and verifies tokens where no issuer does.
#[derive(Debug, Args)]
pub struct Development {
    /// Sign tokens with a key made from WORDS instead of a random key
    ///
    /// Tokens stay valid over restarts. Anyone who knows WORDS has full access, and without WORDS
    /// the key is public: never use it with patient data. Gateways and a demo with the same words
    /// accept each other's tokens.
    #[arg(
        long,
        env = "CLINICWIRE_INSECURE_DEVELOPMENT_KEY",
        value_name = "WORDS",
        hide_env_values = true
    )]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = WELL_KNOWN_WORDS)]
    pub insecure_development_key: Option<String>,

    /// Serve other machines: anyone who reaches this one gets the demo's tokens
    ///
    /// Without it, `--listen` takes loopback addresses only.
    #[arg(long)]
    pub insecure_public_demo: bool,
}

impl Development {
    /// The key, if words for it were given.
    pub fn key(&self) -> Option<DevelopmentKey> {
        self.insecure_development_key.as_deref().map(DevelopmentKey::from_words)
    }
}

const EXAMPLES: &str = "\
Examples:
  clinicwire                         run a demo clinic at http://127.0.0.1:8080
  clinicwire token reception         print a token of it, for curl and scripts
  clinicwire tail board:riverside    follow what its board shows
  clinicwire call-next riverside.room-1
                                     call the next person, as its reception
  clinicwire --speed 1               run at the speed of a real clinic
  clinicwire --listen 0.0.0.0:9000 --insecure-public-demo
                                     serve other machines (everybody gets the tokens!)
  clinicwire --empty --insecure-development-key=WORDS
                                     run an empty clinic for your own scripts and tests
  clinicwire --listen 127.0.0.1:0 --ready-file clinic.json
                                     for scripts: wait for the file, then read url and tokens

From the source, flags follow two dashes: cargo run --release -- --speed 60
Ctrl-C stops the clinic. Nothing is stored: the next start begins with a new clinic.
Exit status of a subcommand: 0 done, 1 refused or not possible, 2 wrong command line.";

/// A speed within [`SPEEDS`].
///
/// # Errors
/// A message for the person who typed the value.
pub fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if SPEEDS.contains(&speed) { Ok(speed) } else { Err("a speed is 1 to 1000".to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_definition_is_valid() {
        Cli::command().debug_assert();
    }

    #[test]
    fn speed_is_bounded() {
        for good in ["1", "60", "12.5", "1000"] {
            assert!(speed(good).is_ok(), "{good}");
        }
        for bad in ["0", "-1", "0.9", "1001", "NaN", "inf", "fast", ""] {
            assert!(speed(bad).is_err(), "{bad}");
        }
    }
}
