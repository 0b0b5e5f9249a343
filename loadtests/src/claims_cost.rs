//! What a check of a large file costs: the engine in a process of its own, and DuckDB with the same
//! checks in SQL.

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

/// A generated file and what belongs to it.
pub struct Generated {
    pub file: PathBuf,
    pub tables: TablePaths,
    pub rules: PathBuf,
}

/// What one rule came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// All but passes.
    pub findings: u64,
    pub cents: i64,
    /// The sum of the findings' rows: which rows they are at, in one number.
    pub rows: u64,
    pub passes: u64,
}

/// What a check of a file cost and found, whoever made it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Figures {
    pub rows: u64,
    pub seconds: f64,
    /// Of all its threads together.
    pub cpu_seconds: f64,
    /// The process' peak of resident memory.
    pub peak_kib: u64,
    pub rules: BTreeMap<String, Found>,
    /// Microseconds of each rule, where they are told.
    #[serde(default)]
    pub took_us: BTreeMap<String, u64>,
    /// What made the check.
    pub by: String,
}

/// Writes a file, its tables, its rules and the list of what is planted into the directory.
///
/// # Errors
/// When one of them cannot be written.
pub fn generate_into(dir: &Path, plan: Plan, rules: &[Rule]) -> Result<Generated> {
    let path = |name: &str| dir.join(name);
    let generated = Generated {
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

/// A file to be written, buffered.
///
/// # Errors
/// When it cannot be made.
pub fn create(path: &Path) -> Result<BufWriter<File>> {
    Ok(BufWriter::new(File::create(path).with_context(|| format!("create {}", path.display()))?))
}

/// Rules of a JSON file; those that files are generated for without one.
///
/// # Errors
/// When they cannot be read.
pub fn rules_of(path: Option<&Path>) -> Result<Vec<Rule>> {
    let Some(path) = path else { return Ok(rules::planted()) };
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    serde_json::from_reader(BufReader::new(file))
        .with_context(|| format!("read {}", path.display()))
}

/// Runs the engine on one thread of this process, which should have done nothing else.
///
/// # Errors
/// When the file cannot be checked.
pub fn engine_here(file: impl Read, tables: &TablePaths, rules: &[Rule]) -> Result<Figures> {
    let (began, cpu) = (Instant::now(), own_cpu());
    let tables = read_tables(tables)?;
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
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
    Ok(Figures {
        rows: checked.summary.rows,
        seconds,
        cpu_seconds,
        peak_kib: peak_kib()?,
        rules: found,
        took_us,
        by: "the engine, one thread".to_owned(),
    })
}

/// The largest resident memory this process has had.
fn peak_kib() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status").context("read this process' status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok())
        .context("find its peak memory")
}

/// Runs the engine in a process of its own.
///
/// # Errors
/// When it fails.
pub fn engine_apart(generated: &Generated) -> Result<Figures> {
    let mut command = Command::new(std::env::current_exe().context("find this program")?);
    command.arg("check").arg(&generated.file).args(["--rules"]).arg(&generated.rules);
    figures_of(with_tables(&mut command, &generated.tables).arg("--json"))
}

fn with_tables<'a>(command: &'a mut Command, tables: &TablePaths) -> &'a mut Command {
    command.arg("--codes").arg(&tables.codes).arg("--establishments").arg(&tables.establishments)
}

/// What the command writes, as JSON, to its standard output.
fn figures_of<T: DeserializeOwned>(command: &mut Command) -> Result<T> {
    let program = command.get_program().display().to_string();
    let output =
        command.stderr(Stdio::inherit()).output().with_context(|| format!("start {program}"))?;
    ensure!(output.status.success(), "{program} ended with {}", output.status);
    serde_json::from_slice(&output.stdout).with_context(|| format!("read what {program} measured"))
}

/// DuckDB as Python brings it, in an environment below `target`.
pub struct DuckDb {
    python: PathBuf,
    script: PathBuf,
}

impl DuckDb {
    /// Installs it when it is not there yet.
    ///
    /// # Errors
    /// When Python or the package cannot be had.
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

    /// Runs the same checks in SQL; with as many threads as it takes by itself when none are given.
    ///
    /// # Errors
    /// When it fails.
    pub fn check(&self, generated: &Generated, threads: Option<u32>) -> Result<Figures> {
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

/// Whether both found the same, and each rule's figures side by side.
#[must_use]
pub fn side_by_side(ours: &Figures, theirs: &Figures) -> (bool, String) {
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

/// One line about what a check cost.
#[must_use]
pub fn told(figures: &Figures) -> String {
    format!(
        "  {:<24} {:>6.2} s {:>6.2} s CPU {:>9.0} rows/s {:>7.1} MiB peak",
        figures.by,
        figures.seconds,
        figures.cpu_seconds,
        figures.rows as f64 / figures.seconds,
        figures.peak_kib as f64 / 1024.0
    )
}

/// Each rule's time, the longest first; what is read and keyed for all of them stands under `file`.
#[must_use]
pub fn times_told(figures: &Figures) -> String {
    let mut times: Vec<(&String, &u64)> = figures.took_us.iter().collect();
    times.sort_by_key(|(_, took)| std::cmp::Reverse(**took));
    let line = |(rule, took): &(&String, &u64)| {
        let each = **took as f64 * 1e3 / figures.rows.max(1) as f64;
        format!("  {rule:<22} {:>10.1} ms {each:>8.1} ns a row\n", **took as f64 / 1e3)
    };
    times.iter().map(line).collect()
}

/// The processor, its cores and the memory.
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

    fn figures(rules: &[(&str, Found)]) -> Figures {
        let rules = rules.iter().map(|(rule, found)| ((*rule).to_owned(), *found)).collect();
        Figures {
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
    fn both_agree_only_when_each_figure_of_each_rule_does() {
        let found = Found { findings: 2, cents: 935, rows: 9, passes: 3 };
        let ours = figures(&[("one", found), ("none", Found::default())]);
        assert!(side_by_side(&ours, &figures(&[("one", found)])).0, "what is absent found nothing");
        for other in [
            Found { findings: 3, ..found },
            Found { cents: 934, ..found },
            Found { rows: 8, ..found },
            Found { passes: 4, ..found },
        ] {
            let (agree, table) = side_by_side(&ours, &figures(&[("one", other)]));
            assert!(!agree && table.contains("NO: "), "{table}");
        }
        assert!(
            !side_by_side(&ours, &figures(&[("one", found), ("more", found)])).0,
            "a rule of theirs alone"
        );
        assert!(
            !side_by_side(&ours, &Figures { rows: 9, ..ours.clone() }).0,
            "rows that were not read"
        );
    }
}
