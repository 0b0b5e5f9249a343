//! Writes findings and totals to standard output.

use std::{
    collections::BTreeMap,
    io::{self, BufWriter, Stdout, Write},
};

use claims::file::FileRefusal;
use schemas::{
    finding::{Finding, Param, money},
    ids::RuleId,
    language::Language,
    rule::Severity,
    run::{RuleTally, RunSummary},
};
use serde::Serialize;

use super::args::{Args, OutputFormat};

pub struct Output {
    writer: Writer,
    language: Language,
    quiet: bool,
}

enum Writer {
    Text(BufWriter<Stdout>),
    Json(BufWriter<Stdout>),
    Csv(Box<csv::Writer<Stdout>>),
}

/// A finding with its message, as a line of JSON.
#[derive(Serialize)]
struct MessageLine<'a> {
    #[serde(flatten)]
    finding: &'a Finding,
    message: String,
}

/// The last line of JSON: the summary.
#[derive(Serialize)]
struct SummaryLine<'a> {
    summary: &'a RunSummary,
    rules: BTreeMap<&'a RuleId, &'a RuleTally>,
}

/// The last line of JSON when the file is refused, and the only one when no row was read.
#[derive(Serialize)]
struct RefusalLine {
    refused: schemas::codes::Code,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    params: BTreeMap<String, Param>,
}

impl Output {
    pub fn new(args: &Args) -> Self {
        let writer = match args.format {
            OutputFormat::Text => Writer::Text(BufWriter::new(io::stdout())),
            OutputFormat::Json => Writer::Json(BufWriter::new(io::stdout())),
            OutputFormat::Csv => Writer::Csv(Box::new(csv::Writer::from_writer(io::stdout()))),
        };
        Self { writer, language: args.language(), quiet: args.quiet }
    }

    /// Writes findings and flushes them.
    pub fn findings(&mut self, findings: &[Finding]) -> io::Result<()> {
        if findings.is_empty() {
            return Ok(());
        }
        for finding in findings {
            let message = finding.message(self.language);
            match &mut self.writer {
                Writer::Text(out) => writeln!(out, "{}", line(finding, &message, self.language))?,
                Writer::Json(out) => json(out, &MessageLine { finding, message })?,
                Writer::Csv(out) => out.serialize(CsvRow {
                    row: finding.row,
                    severity: finding.severity.as_str(),
                    rule: &finding.rule,
                    outcome: finding.outcome.as_str(),
                    cents: finding.cents,
                    message,
                })?,
            }
        }
        self.flush()
    }

    /// Writes the totals. In CSV, which has no place for totals, they go to standard error.
    pub fn summary<'a>(
        &mut self,
        summary: &RunSummary,
        tallies: impl Iterator<Item = (&'a RuleId, &'a RuleTally)>,
    ) -> io::Result<()> {
        match &mut self.writer {
            Writer::Text(out) => {
                let tallies: Vec<_> = tallies.collect();
                write!(
                    out,
                    "{}{}",
                    rules(&tallies, self.language),
                    totals(summary, self.language)
                )?;
            }
            Writer::Json(out) => json(out, &SummaryLine { summary, rules: tallies.collect() })?,
            Writer::Csv(out) => {
                // The header is written even without findings.
                if summary.stored == 0 {
                    out.write_record(CsvRow::TITLES)?;
                }
                if !self.quiet {
                    eprint!("{}", totals(summary, self.language));
                }
            }
        }
        self.flush()
    }

    /// Writes why there is no summary, for programs. People read standard error.
    pub fn refusal(&mut self, refusal: &FileRefusal) -> io::Result<()> {
        if let Writer::Json(out) = &mut self.writer {
            json(out, &RefusalLine { refused: refusal.code(), params: refusal.params() })?;
        }
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.writer {
            Writer::Text(out) | Writer::Json(out) => out.flush(),
            Writer::Csv(out) => out.flush(),
        }
    }
}

#[derive(Serialize)]
struct CsvRow<'a> {
    row: u64,
    severity: &'static str,
    rule: &'a RuleId,
    outcome: &'static str,
    cents: i64,
    message: String,
}

impl CsvRow<'_> {
    const TITLES: [&'static str; 6] = ["row", "severity", "rule", "outcome", "cents", "message"];
}

fn json(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

/// `row 12: error: Billed twice … ($9.35) [rule]`, in the style of compilers.
fn line(finding: &Finding, message: &str, language: Language) -> String {
    let french = language == Language::French;
    let place = match (finding.row, french) {
        (0, true) => "fichier".into(),
        (0, false) => "file".into(),
        (row, true) => format!("ligne {row}"),
        (row, false) => format!("row {row}"),
    };
    let colon = if french { "\u{a0}:" } else { ":" };
    let severity = severity(finding.severity, language);
    // Most messages contain the amount.
    let amount = money(finding.cents, language);
    let named = finding.cents == 0 || message.contains(&amount);
    let amount = if named { String::new() } else { format!(" ({amount})") };
    format!("{place}{colon} {severity}{colon} {message}{amount} [{}]", finding.rule)
}

fn severity(severity: Severity, language: Language) -> &'static str {
    match (severity, language) {
        (Severity::Error, Language::French) => "erreur",
        (Severity::Warning, Language::French) => "avertissement",
        (Severity::Optimisation, Language::French) => "gain possible",
        (Severity::Pass, Language::French) => "conforme",
        (Severity::Optimisation, Language::English) => "gain",
        (severity, Language::English) => severity.as_str(),
    }
}

/// One line per rule: its findings and its time over the whole file.
fn rules(tallies: &[(&RuleId, &RuleTally)], language: Language) -> String {
    let titles = match language {
        Language::French => ["règle", "erreurs", "avert.", "gains", "conformes", "temps"],
        Language::English => ["rule", "errors", "warnings", "gains", "passes", "time"],
    };
    let width = tallies
        .iter()
        .map(|(rule, _)| rule.as_str().len())
        .max()
        .unwrap_or(0)
        .max(titles[0].chars().count());
    let row = |[rule, cells @ ..]: [&str; 6]| {
        let cells: Vec<_> = cells.iter().map(|cell| format!("{cell:>12}")).collect();
        format!("{rule:<width$}{}\n", cells.concat())
    };
    let mut table = format!("\n{}", row(titles));
    for (rule, tally) in tallies {
        let counts = tally.counts;
        let numbers = [counts.error, counts.warning, counts.optimisation, counts.pass];
        let [errors, warnings, gains, passes] = numbers.map(|number| count(number, language));
        let took = tally.took_us.map_or("–".into(), |micros| {
            format!("{} ms", count(micros.div_ceil(1000), language))
        });
        table += &row([rule.as_str(), &errors, &warnings, &gains, &passes, &took]);
    }
    table
}

fn totals(summary: &RunSummary, language: Language) -> String {
    let [rows, unreadable] =
        [summary.rows, summary.rows_unreadable].map(|number| count(number, language));
    let counts = summary.counts;
    let numbers = [counts.error, counts.warning, counts.optimisation, counts.pass];
    let [errors, warnings, gains, passes] = numbers.map(|number| count(number, language));
    let [risk, gain] =
        [summary.at_risk_cents, summary.to_gain_cents].map(|cents| money(cents, language));
    let seconds = format!("{}.{:01}", summary.took_ms / 1000, summary.took_ms % 1000 / 100);
    match language {
        Language::French => format!(
            "\n{rows} lignes vérifiées en {} s, dont {unreadable} illisibles.\n\
             Erreurs\u{a0}: {errors} · avertissements\u{a0}: {warnings} · gains possibles\u{a0}: \
             {gains} · \
             conformes\u{a0}: {passes}\nÀ risque\u{a0}: {risk} · à gagner\u{a0}: {gain}\n",
            seconds.replace('.', ",")
        ),
        Language::English => format!(
            "\n{rows} rows checked in {seconds} s, {unreadable} of them unreadable.\n\
             Errors: {errors} · warnings: {warnings} · gains: {gains} · passes: {passes}\n\
             At risk: {risk} · to gain: {gain}\n"
        ),
    }
}

/// A number with separated thousands, as the language writes it.
pub fn count(number: u64, language: Language) -> String {
    let digits = number.to_string();
    let separator = if language == Language::French { '\u{a0}' } else { ',' };
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(separator);
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::{Language, count};

    #[test]
    fn thousands_are_separated() {
        for (number, english) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")]
        {
            assert_eq!(count(number, Language::English), english);
            assert_eq!(count(number, Language::French), english.replace(',', "\u{a0}"));
        }
    }
}
