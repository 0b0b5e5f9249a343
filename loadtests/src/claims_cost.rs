//! The cost of checking a large file: with the engine in a separate process, and with DuckDB and
//! the same checks in SQL.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use schemas::rule::Rule;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use testing::claims_files::{
    check::{TablePaths, check_file, read_tables},
    export::{Columns, Delimiter, Encoding, Format},
    generate::{Plan, generate},
    planted::PlantedWriter,
    rules,
    tables::{write_codes, write_establishments},
};

use crate::process::own_cpu;

/// A generated file with its tables and rules.
pub struct GeneratedFiles {
    pub file: PathBuf,
    pub tables: TablePaths,
    pub rules: PathBuf,
}

/// The result of one rule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleFigures {
    /// Findings other than passes.
    pub findings: u64,
    pub cents: i64,
    /// The sum of the findings' row numbers, which compares the rows of two checks in one number.
    pub rows: u64,
    pub passes: u64,
}

/// Cost and findings of a check by either program.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CheckFigures {
    pub rows: u64,
    pub seconds: f64,
    /// CPU time of all threads together.
    pub cpu_seconds: f64,
    /// The peak of resident memory.
    pub peak_kib: u64,
    pub rules: BTreeMap<String, RuleFigures>,
    /// Microseconds of each rule, when the program reports them.
    #[serde(default)]
    pub took_us: BTreeMap<String, u64>,
    /// The name of the program.
    pub by: String,
}

/// Writes a file, its tables, its rules and the list of planted findings into the directory.
///
/// # Errors
/// When one of them cannot be written.
pub fn generate_into(dir: &Path, plan: Plan, rules: &[Rule]) -> Result<GeneratedFiles> {
    let path = |name: &str| dir.join(name);
    let generated = GeneratedFiles {
        file: path("claims.csv"),
        tables: TablePaths { codes: path("codes.csv"), establishments: path("establishments.csv") },
        rules: path("rules.json"),
    };
    let format =
        Format { encoding: Encoding::Utf8, delimiter: Delimiter::Semicolon, columns: Columns::All };
    let mut list = PlantedWriter::new(create(&path("planted.json"))?);
    let mut out =
        generate(plan, format, create(&generated.file)?, &mut |planted| list.add(&planted))?;
    out.flush().context("write the file")?;
    list.finish()?;
    write_codes(create(&generated.tables.codes)?)?;
    write_establishments(create(&generated.tables.establishments)?)?;
    serde_json::to_writer_pretty(create(&generated.rules)?, rules).context("write the rules")?;
    Ok(generated)
}

/// Creates a buffered file.
///
/// # Errors
/// When it cannot be created.
pub fn create(path: &Path) -> Result<BufWriter<File>> {
    Ok(BufWriter::new(File::create(path).with_context(|| format!("create {}", path.display()))?))
}

/// Reads rules from a JSON file. Without a path: the rules that files are generated for.
///
/// # Errors
/// When they cannot be read.
pub fn rules_of(path: Option<&Path>) -> Result<Vec<Rule>> {
    let Some(path) = path else { return Ok(rules::planted()) };
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    serde_json::from_reader(BufReader::new(file))
        .with_context(|| format!("read {}", path.display()))
}

/// Runs the engine on one thread of this process, whose peak memory is part of the result.
///
/// # Errors
/// When the file cannot be checked.
pub fn engine_here(file: impl Read, tables: &TablePaths, rules: &[Rule]) -> Result<CheckFigures> {
    let (began, cpu) = (Instant::now(), own_cpu());
    let tables = read_tables(tables)?;
    let mut found: BTreeMap<String, RuleFigures> = BTreeMap::new();
    let checked = check_file(file, rules, &tables, false, |finding| {
        let rule = found.entry(finding.rule.as_str().to_owned()).or_default();
        rule.findings += 1;
        rule.cents += finding.cents;
        rule.rows += finding.row;
    })?;
    let (seconds, cpu_seconds) = (began.elapsed().as_secs_f64(), (own_cpu() - cpu).as_secs_f64());
    let mut took_us = BTreeMap::new();
    for (rule, tally) in checked.tallies {
        let name = rule.as_str().to_owned();
        took_us.extend(tally.took_us.map(|took| (name.clone(), took)));
        found.entry(name).or_default().passes = tally.counts.pass;
    }
    Ok(CheckFigures {
        rows: checked.summary.rows,
        seconds,
        cpu_seconds,
        peak_kib: peak_kib()?,
        rules: found,
        took_us,
        by: "the engine, one thread".to_owned(),
    })
}

/// The peak of this process's resident memory.
fn peak_kib() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status").context("read this process' status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok())
        .context("find its peak memory")
}

/// Runs the engine in a separate process.
///
/// # Errors
/// When it fails.
pub fn engine_apart(generated: &GeneratedFiles) -> Result<CheckFigures> {
    let mut command = Command::new(std::env::current_exe().context("find this program")?);
    command.arg("check").arg(&generated.file).args(["--rules"]).arg(&generated.rules);
    figures_of(with_tables(&mut command, &generated.tables).arg("--json"))
}

fn with_tables<'a>(command: &'a mut Command, tables: &TablePaths) -> &'a mut Command {
    command.arg("--codes").arg(&tables.codes).arg("--establishments").arg(&tables.establishments)
}

/// Runs a command and reads the JSON of its standard output.
fn figures_of<T: DeserializeOwned>(command: &mut Command) -> Result<T> {
    let program = command.get_program().display().to_string();
    let output =
        command.stderr(Stdio::inherit()).output().with_context(|| format!("start {program}"))?;
    ensure!(output.status.success(), "{program} ended with {}", output.status);
    serde_json::from_slice(&output.stdout).with_context(|| format!("read what {program} measured"))
}

/// DuckDB as a Python package, in a virtual environment below `target`.
pub struct DuckDb {
    python: PathBuf,
    script: PathBuf,
}

impl DuckDb {
    /// Installs it unless it is installed.
    ///
    /// # Errors
    /// When Python or the package is not available.
    pub fn install() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let (sources, home) = (root.join("rivals/duckdb"), root.join("../target/rivals/duckdb"));
        let python = home.join("bin/python");
        let has_it = |python: &Path| {
            let found =
                Command::new(python).args(["-c", "import duckdb"]).stderr(Stdio::null()).status();
            found.is_ok_and(|status| status.success())
        };
        if !has_it(&python) {
            run(Command::new("python3").args(["-m", "venv"]).arg(&home))?;
            let requirements = sources.join("requirements.txt");
            run(Command::new(&python)
                .args(["-m", "pip", "install", "-q", "-r"])
                .arg(requirements))?;
        }
        Ok(Self { python, script: sources.join("check.py") })
    }

    /// Runs the same checks in SQL. Without a number of threads, DuckDB chooses.
    ///
    /// # Errors
    /// When it fails.
    pub fn check(&self, generated: &GeneratedFiles, threads: Option<u32>) -> Result<CheckFigures> {
        let mut command = Command::new(&self.python);
        command.arg(&self.script).arg(&generated.file);
        with_tables(&mut command, &generated.tables);
        if let Some(threads) = threads {
            command.arg("--threads").arg(threads.to_string());
        }
        figures_of(&mut command)
    }
}

fn run(command: &mut Command) -> Result<()> {
    let status =
        command.stdout(Stdio::null()).status().with_context(|| format!("start {command:?}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}

/// Whether both results are equal, and a table of each rule's figures.
#[must_use]
pub fn side_by_side(ours: &CheckFigures, theirs: &CheckFigures) -> (bool, String) {
    let mut text = format!(
        "  {:<22} {:>10} {:>14} {:>10} {:>14}\n",
        "rule", "findings", "cents", "passes", "the same there"
    );
    let mut agree = ours.rows == theirs.rows;
    let rules: std::collections::BTreeSet<&String> =
        ours.rules.keys().chain(theirs.rules.keys()).collect();
    for rule in rules {
        let [our, their] =
            [ours, theirs].map(|figures| figures.rules.get(rule).copied().unwrap_or_default());
        let same = if our == their {
            "yes".to_owned()
        } else {
            agree = false;
            format!(
                "NO: {} {} {} (rows {} against {})",
                their.findings, their.cents, their.passes, our.rows, their.rows
            )
        };
        text += &format!(
            "  {rule:<22} {:>10} {:>14} {:>10} {same:>14}\n",
            our.findings, our.cents, our.passes
        );
    }
    (agree, text)
}

/// One line about the cost of a check.
#[must_use]
pub fn describe(figures: &CheckFigures) -> String {
    format!(
        "  {:<24} {:>6.2} s {:>6.2} s CPU {:>9.0} rows/s {:>7.1} MiB peak",
        figures.by,
        figures.seconds,
        figures.cpu_seconds,
        figures.rows as f64 / figures.seconds,
        figures.peak_kib as f64 / 1024.0
    )
}

/// The time of each rule, longest first. Reading the file and building keys for all rules is under
/// `file`.
#[must_use]
pub fn describe_times(figures: &CheckFigures) -> String {
    let mut times: Vec<(&String, &u64)> = figures.took_us.iter().collect();
    times.sort_by_key(|(_, took)| std::cmp::Reverse(**took));
    let line = |(rule, took): &(&String, &u64)| {
        let each = **took as f64 * 1e3 / figures.rows.max(1) as f64;
        format!("  {rule:<22} {:>10.1} ms {each:>8.1} ns a row\n", **took as f64 / 1e3)
    };
    times.iter().map(line).collect()
}

/// Processor, cores and memory of this machine.
#[must_use]
pub fn machine() -> String {
    let value = |path: &str, key: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        line.split_once(':').map_or("unknown".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{}, {cores} cores, {}",
        value("/proc/cpuinfo", "model name"),
        value("/proc/meminfo", "MemTotal")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(rules: &[(&str, RuleFigures)]) -> CheckFigures {
        let rules = rules.iter().map(|(rule, found)| ((*rule).to_owned(), *found)).collect();
        CheckFigures {
            rows: 10,
            seconds: 1.0,
            cpu_seconds: 1.0,
            peak_kib: 1,
            rules,
            took_us: BTreeMap::new(),
            by: "a test".to_owned(),
        }
    }

    #[test]
    fn results_agree_only_when_all_figures_agree() {
        let found = RuleFigures { findings: 2, cents: 935, rows: 9, passes: 3 };
        let ours = figures(&[("one", found), ("none", RuleFigures::default())]);
        assert!(side_by_side(&ours, &figures(&[("one", found)])).0, "an absent rule found nothing");
        for other in [
            RuleFigures { findings: 3, ..found },
            RuleFigures { cents: 934, ..found },
            RuleFigures { rows: 8, ..found },
            RuleFigures { passes: 4, ..found },
        ] {
            let (agree, table) = side_by_side(&ours, &figures(&[("one", other)]));
            assert!(!agree && table.contains("NO: "), "{table}");
        }
        assert!(
            !side_by_side(&ours, &figures(&[("one", found), ("more", found)])).0,
            "a rule that only the other has"
        );
        assert!(
            !side_by_side(&ours, &CheckFigures { rows: 9, ..ours.clone() }).0,
            "rows that were skipped"
        );
    }
}
