//! The flags of traces, and their exporter.

use clap::Args;
use telemetry::{
    Tracer,
    otlp::{Exporter, OtlpSettings, parse_endpoint, parse_headers},
};

use crate::config_check::Faults;

/// The flags of traces. Two of them have the variables of OpenTelemetry's own programs.
#[derive(Debug, Args)]
pub struct TraceArgs {
    /// Address of a collector of traces that takes OTLP over HTTP, such as
    /// `http://127.0.0.1:4318`. Without it, nothing is traced
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL", hide_env_values = true)]
    pub otlp_endpoint: Option<String>,
    /// Headers for the collector, as `name=value` separated by commas, such as a login. Give them
    /// by the environment: others can see the command line
    #[arg(long, env = "OTEL_EXPORTER_OTLP_HEADERS", value_name = "LIST", hide_env_values = true)]
    pub otlp_headers: Option<String>,
    /// Share of the requests that are traced, from 0 to 1, beside those that their callers trace
    #[arg(long, env = "CLINICWIRE_TRACE_RATIO", default_value_t = 0.01, value_parser = parse_ratio)]
    pub trace_ratio: f64,
}

fn parse_ratio(text: &str) -> Result<f64, String> {
    let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| "not a number from 0 to 1".to_owned())
}

/// The tracer of a process, and its exporter where there is one.
pub struct Traces {
    /// Records spans.
    pub tracer: Tracer,
    exporter: Option<Exporter>,
}

impl TraceArgs {
    /// Starts to trace on the current runtime, if the settings name a collector. `address` tells
    /// this process from others of the same program.
    ///
    /// # Errors
    /// When a setting is wrong, or this machine has no root certificates.
    ///
    /// # Panics
    /// Outside a runtime.
    pub fn start(&self, service: &'static str, address: &str) -> anyhow::Result<Traces> {
        let Some(endpoint) = &self.otlp_endpoint else {
            return Ok(Traces { tracer: Tracer::off(), exporter: None });
        };
        let headers = self.otlp_headers.as_deref().unwrap_or_default();
        let settings = OtlpSettings {
            endpoint: parse_endpoint(endpoint).map_err(anyhow::Error::msg)?,
            headers: parse_headers(headers).map_err(anyhow::Error::msg)?,
            service,
            version: env!("CARGO_PKG_VERSION"),
            instance: format!("{address}/{}", std::process::id()),
        };
        let (tracer, queue) = Tracer::with_ratio(self.trace_ratio);
        let exporter = Some(Exporter::start(settings, queue)?);
        Ok(Traces { tracer, exporter })
    }

    /// Adds what is wrong with these settings to `faults`.
    pub fn validate(&self, faults: &mut Faults) {
        let message = |result: Result<(), String>| result.map_err(anyhow::Error::msg);
        if let Some(endpoint) = &self.otlp_endpoint {
            faults.check("--otlp-endpoint", message(parse_endpoint(endpoint).map(drop)));
        }
        if let Some(headers) = &self.otlp_headers {
            faults.check("--otlp-headers", message(parse_headers(headers).map(drop)));
        }
    }
}

impl Traces {
    /// Exports the spans that still wait, within two seconds.
    pub async fn finish(self) {
        if let Some(exporter) = self.exporter {
            exporter.finish().await;
        }
    }
}
