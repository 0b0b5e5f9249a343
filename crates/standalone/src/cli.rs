//! The command line of `clinicwire`.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser};
use gateway::access::auth::{DevelopmentKey, WELL_KNOWN_WORDS};

use crate::demo::driver::SPEEDS;

/// The live wire of a clinic, whole, in one process: no servers, memory only, and a demo clinic to look at.
#[derive(Debug, Parser)]
#[command(version, after_long_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    /// Where to serve; port 0 takes a free one
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// Clinic minutes per real minute of the demo, 1 to 1000
    #[arg(long, value_name = "TIMES", default_value_t = 30.0, value_parser = speed)]
    pub speed: f64,

    /// The demo's chance: the same number gives the same day
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,

    /// No demo clinic: nothing exists until you create it
    ///
    /// The tokens that are printed are for the tenant "demo" and its location "riverside"; create it with the
    /// admin's.
    #[arg(long)]
    pub empty: bool,

    /// The rules claims files are checked by, as a JSON array [default: all that are shipped]
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,

    /// Table of codes: CSV with code, leaf, group, top, cents [default: those of the sample file]
    #[arg(long, value_name = "FILE", requires = "establishments")]
    pub codes: Option<PathBuf>,

    /// Table of establishments: CSV with number, gmf [default: those of the sample file]
    #[arg(long, value_name = "FILE", requires = "codes")]
    pub establishments: Option<PathBuf>,

    /// Writes addresses, tokens and ids here as JSON once everything serves
    ///
    /// The file appears whole, by a rename, and only its owner can read it.
    #[arg(long, value_name = "PATH")]
    pub ready_file: Option<PathBuf>,

    /// Threads that own sockets [default: one per core]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub shards: Option<u16>,

    #[command(flatten)]
    pub development: Development,

    /// What is logged, to stderr: error, warn, info, debug, trace, or a filter such as gateway=debug
    #[arg(long, value_name = "FILTER", default_value = "warn", env = "CLINICWIRE_LOG")]
    pub log: String,
}

/// The key that signs and verifies tokens where no issuer does.
#[derive(Debug, Args)]
pub struct Development {
    /// Signs tokens with a key made of WORDS, in place of one made up at this start
    ///
    /// Tokens then stay good over restarts, and whoever knows the words can sign some; everybody knows those it
    /// uses without any. The same flag, with the same words, makes gateways and demo trust each other.
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
    /// The key, where words for it were given.
    pub fn key(&self) -> Option<DevelopmentKey> {
        self.insecure_development_key.as_deref().map(DevelopmentKey::from_words)
    }
}

const EXAMPLES: &str = "\
Examples:
  clinicwire                                    a demo clinic at http://127.0.0.1:8080
  clinicwire --speed 1                          the same at the pace of a real one
  clinicwire --listen 0.0.0.0:9000              seen from other machines (tokens travel unencrypted!)
  clinicwire --empty --insecure-development-key=words
                                                an empty clinic for your own scripts and tests
  clinicwire --listen 127.0.0.1:0 --ready-file clinic.json
                                                for scripts: wait for the file, then read url and tokens from it

From the source, flags go after two dashes: cargo run --release -- --speed 60
Ctrl-C stops it. Nothing is stored: the next start begins anew.";

/// A speed within [`SPEEDS`].
///
/// # Errors
/// A sentence for whoever typed it.
pub fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "that is not a number".to_owned())?;
    if SPEEDS.contains(&speed) { Ok(speed) } else { Err("a speed is 1 to 1000".to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_speed_has_bounds() {
        for good in ["1", "60", "12.5", "1000"] {
            assert!(speed(good).is_ok(), "{good}");
        }
        for bad in ["0", "-1", "0.9", "1001", "NaN", "inf", "fast", ""] {
            assert!(speed(bad).is_err(), "{bad}");
        }
    }
}
