//! The report of a run: a table on standard error, JSON in a file, and whether every promise held.

use std::{
    fs,
    io::{self, Write},
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use crate::{
    breach::Breaches,
    floor::Floor,
    process::{ProcessUsage, WatchedProcesses, own_cpu},
    watch::DeliverySample,
};

/// Figures in the order of their measurement, and the breaches.
pub struct Report {
    scenario: &'static str,
    settings: Value,
    figures: Vec<(String, f64, &'static str)>,
    pub breaches: Breaches,
}

/// A time span in which the CPU of the server and of the swarm is measured.
pub struct Span {
    began: std::time::Instant,
    own: Duration,
    watched: WatchedProcesses,
}

impl Span {
    #[must_use]
    pub fn start(pids: &[u32]) -> Self {
        Self {
            watched: WatchedProcesses::start(pids),
            own: own_cpu(),
            began: std::time::Instant::now(),
        }
    }

    /// Reports the costs under `label`, also per delivery if there were any.
    pub fn report(&self, report: &mut Report, label: &str, deliveries: u64) -> Option<f64> {
        let seconds = self.began.elapsed().as_secs_f64();
        let own = own_cpu().saturating_sub(self.own).as_secs_f64();
        report.figure(&format!("{label}_seconds"), seconds, "s");
        report.figure(&format!("{label}_swarm_cpu"), 100.0 * own / seconds, "% of a core");
        let cpu_us = report.processes(label, &self.watched.used(), deliveries)?;
        report.figure(&format!("{label}_server_cpu"), cpu_us / seconds / 1e4, "% of a core");
        if deliveries == 0 {
            return None;
        }
        report.figure("cpu_per_delivery_us", cpu_us / deliveries as f64, "µs");
        Some(cpu_us / deliveries as f64)
    }
}

impl Report {
    #[must_use]
    pub fn new(scenario: &'static str, settings: Value) -> Self {
        Self { scenario, settings, figures: Vec::new(), breaches: Breaches::default() }
    }

    pub fn figure(&mut self, name: &str, value: f64, unit: &'static str) {
        self.figures.push((name.to_owned(), value, unit));
    }

    /// Reports p50, p95, p99 and the maximum of values in milliseconds.
    pub fn quantiles(&mut self, name: &str, mut ms: Vec<f64>) {
        ms.sort_by(f64::total_cmp);
        for (label, share) in [("p50", 0.50), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)] {
            if let Some(value) = quantile(&ms, share) {
                self.figure(&format!("{name}_{label}_ms"), value, "ms");
            }
        }
    }

    /// Reports the delay of all deliveries, of those to the next in line, and of the last client of
    /// each record.
    pub fn delays(&mut self, samples: &[DeliverySample]) {
        let ms = |sample: &DeliverySample| f64::from(sample.delay_us) / 1e3;
        self.quantiles("record_to_client", samples.iter().map(ms).collect());
        let near: Vec<f64> = samples.iter().filter(|sample| sample.near).map(ms).collect();
        if near.len() < samples.len() {
            self.quantiles("record_to_next_in_line", near);
        }
        let mut last = std::collections::HashMap::<u64, f64>::new();
        for sample in samples {
            let slowest = last.entry(sample.version).or_default();
            *slowest = slowest.max(ms(sample));
        }
        self.figure("records_seen", last.len() as f64, "");
        self.quantiles("record_to_last_client", last.into_values().collect());
    }

    /// Reports each process, also per delivery if there were any. Returns the CPU time of all
    /// together in µs, or `None` when no process is watched.
    fn processes(&mut self, label: &str, used: &[ProcessUsage], deliveries: u64) -> Option<f64> {
        for process in used {
            let name = format!("{label}_{}_{}", process.name, process.pid);
            self.figure(&format!("{name}_cpu_ms"), process.cpu_ms, "ms");
            if deliveries > 0 {
                let each = process.cpu_ms * 1e3 / deliveries as f64;
                self.figure(&format!("{name}_cpu_per_delivery_us"), each, "µs");
            }
            self.figure(&format!("{name}_rss_kib"), process.rss_kib as f64, "KiB");
            self.figure(&format!("{name}_rss_grew_kib"), process.rss_grew_kib as f64, "KiB");
        }
        (!used.is_empty()).then(|| used.iter().map(|process| process.cpu_ms).sum::<f64>() * 1e3)
    }

    /// Reports the bare cost of a send on this machine, and the server's ratio to it.
    pub fn floor(&mut self, name: &str, floor: &Floor, cpu_per_delivery_us: Option<f64>) {
        self.figure(&format!("{name}_us"), floor.us_per_send, "µs");
        if let Some(ours) = cpu_per_delivery_us {
            self.figure(&format!("{name}_ratio"), ours / floor.us_per_send, "×");
        }
    }

    /// Prints the table, writes the JSON, and returns whether every promise held.
    ///
    /// # Errors
    /// When the JSON cannot be written.
    pub fn conclude(self, json: Option<&Path>) -> Result<bool> {
        let kept = self.breaches.is_empty();
        let mut text = format!("\n{} {}\n", self.scenario, self.settings);
        for (name, value, unit) in &self.figures {
            text += &format!("  {name:<44} {:>14} {unit}\n", shown(*value));
        }
        for (breach, count) in &self.breaches.counts {
            text += &format!("  BROKEN {breach:?}: {count}\n");
        }
        for example in &self.breaches.examples {
            text += &format!("    {example}\n");
        }
        text += if kept { "  every promise held\n" } else { "  some promises were broken\n" };
        say(&text);
        if let Some(path) = json {
            let figures: Map<String, Value> =
                self.figures.into_iter().map(|(name, value, _)| (name, value.into())).collect();
            let document = json!({
                "scenario": self.scenario,
                "settings": self.settings,
                "kept": kept,
                "figures": figures,
                "breaches": self.breaches.counts,
                "examples": self.breaches.examples,
            });
            fs::write(path, format!("{document:#}\n"))
                .with_context(|| format!("write {}", path.display()))?;
        }
        Ok(kept)
    }
}

/// The smallest value that at least `share` of the sorted values do not exceed.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

fn shown(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// Writes a line to standard error. A measurement goes on when standard error is closed.
pub fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_measured_values() {
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(quantile(&hundred, 0.50), Some(50.0));
        assert_eq!(quantile(&hundred, 0.99), Some(99.0));
        assert_eq!(quantile(&hundred, 1.0), Some(100.0));
        assert_eq!(quantile(&[4.0], 0.5), Some(4.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn last_client_of_a_record_is_the_slowest() {
        let mut report = Report::new("test", Value::Null);
        let sample = |version, delay_us| DeliverySample { version, delay_us, near: true };
        report.delays(&[sample(1, 2_000), sample(1, 9_000), sample(2, 4_000), sample(2, 1_000)]);
        let figure = |name: &str| {
            report.figures.iter().find(|figure| figure.0 == name).map(|figure| figure.1)
        };
        assert_eq!(figure("record_to_last_client_p50_ms"), Some(4.0));
        assert_eq!(figure("record_to_last_client_max_ms"), Some(9.0));
        assert_eq!(figure("records_seen"), Some(2.0));
    }
}
