//! Logging to standard error, with its two flags.

use std::io::IsTerminal;

use anyhow::Context;
use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::config_check::Faults;

/// The flags of the log.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// Which events are logged: a level (error, warn, info, debug, trace), or levels by module,
    /// such as `info,gateway=debug`
    #[arg(long, global = true, env = "CLINICWIRE_LOG", default_value = "info")]
    pub log: String,
    /// Format of the log, which goes to standard error
    #[arg(long, global = true, env = "CLINICWIRE_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

impl LogArgs {
    /// Starts logging, once per process.
    ///
    /// # Errors
    /// When `--log` is not a filter.
    ///
    /// # Panics
    /// When the process logs already.
    pub fn start(&self) -> anyhow::Result<()> {
        let builder = tracing_subscriber::fmt()
            .with_env_filter(self.filter()?)
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal());
        match self.log_format {
            LogFormat::Text => builder.init(),
            LogFormat::Json => builder.json().init(),
        }
        Ok(())
    }

    /// Adds what is wrong with these settings to `faults`.
    pub fn validate(&self, faults: &mut Faults) {
        faults.check("--log", self.filter());
    }

    fn filter(&self) -> anyhow::Result<EnvFilter> {
        EnvFilter::try_new(&self.log)
            .context("--log is not a level or a list of modules and levels")
    }
}
