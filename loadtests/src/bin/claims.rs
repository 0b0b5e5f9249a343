//! Generates claims files of any size with planted violations, checks them, and measures the
//! checks. Exits with 0 when the findings are as planted, 1 when they differ, and 2 on an error.
#![expect(clippy::print_stdout, reason = "figures are this program's output")]

use std::{fs::File, io::Write, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use clinicwire_loadtests::{
    claims_cost::{
        CheckFigures, DuckDb, create, describe, describe_times, engine_apart, engine_here,
        generate_into, machine, rules_of, side_by_side,
    },
    report::say,
};
use testing::claims_files::{
    check::{TablePaths, check_file, read_tables},
    export::{Columns, Delimiter, Encoding, Format},
    generate::{Plan, generate},
    planted::{self, PlantedWriter, compare},
    tables::{write_codes, write_establishments},
};

/// Generates synthetic claims exports, and measures checks of them.
#[derive(Parser)]
#[command(version)]
struct Options {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Write an export, the list of planted findings, and the reference tables.
    Generate(GenerateArgs),
    /// Check a file in this process, and compare the findings with the planted ones.
    Check(CheckArgs),
    /// Generate a file, check it in a separate process, and report the cost.
    Measure(MeasureArgs),
}

#[derive(Args)]
struct PlanArgs {
    #[arg(long, default_value_t = 10_000)]
    rows: u64,
    /// Seed of the file. The same seed gives the same file.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Planted cases for each row, or `none` for a file without violations. There are about 180
    /// cases: all are planted when rows times rate is above that.
    #[arg(long, default_value = "0.005", value_parser = rate)]
    violations: Violations,
}

#[derive(Clone, Copy)]
enum Violations {
    Rate(f64),
    None,
}

fn rate(text: &str) -> Result<Violations, String> {
    match text.parse() {
        _ if text == "none" => Ok(Violations::None),
        Ok(rate) if (0.0..=1.0).contains(&rate) => Ok(Violations::Rate(rate)),
        _ => Err("a rate between 0 and 1, or none".to_owned()),
    }
}

impl PlanArgs {
    /// Without violations the cases that just keep a rule are still planted.
    fn plan(&self) -> Plan {
        let (rate, violations) = match self.violations {
            Violations::Rate(rate) => (rate, true),
            Violations::None => (0.005, false),
        };
        Plan { rows: self.rows, seed: self.seed, rate, violations }
    }
}

#[derive(Args)]
struct GenerateArgs {
    #[command(flatten)]
    plan: PlanArgs,
    #[arg(long, value_enum, default_value = "windows1252")]
    encoding: Encoding,
    #[arg(long, value_enum, default_value = ";")]
    delimiter: Delimiter,
    /// Number of columns: all 23, or the first 17 and the patient.
    #[arg(long, value_enum, default_value = "23")]
    columns: Columns,
    /// File for the export.
    #[arg(long)]
    out: PathBuf,
    /// File for the planted findings, as JSON.
    #[arg(long)]
    planted: Option<PathBuf>,
    /// File for the table of codes, as CSV.
    #[arg(long)]
    codes: Option<PathBuf>,
    /// File for the table of establishments, as CSV.
    #[arg(long)]
    establishments: Option<PathBuf>,
}

#[derive(Args)]
struct CheckArgs {
    file: PathBuf,
    #[arg(long)]
    codes: PathBuf,
    #[arg(long)]
    establishments: PathBuf,
    /// Rules as JSON. The default is the rules that files are generated for.
    #[arg(long)]
    rules: Option<PathBuf>,
    /// Planted findings to compare with, as `generate` writes them.
    #[arg(long)]
    planted: Option<PathBuf>,
    /// Write the figures as JSON to standard output.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct MeasureArgs {
    #[command(flatten)]
    plan: PlanArgs,
    /// Rules as JSON. The default is the rules that files are generated for.
    #[arg(long, conflicts_with = "duckdb")]
    rules: Option<PathBuf>,
    /// Also run the same checks as SQL in `DuckDB`, which pip installs below `target`.
    #[arg(long)]
    duckdb: bool,
    /// Repetitions of each check. The figures are those of the fastest.
    #[arg(long, default_value_t = 1)]
    rounds: u32,
    /// Directory for the files. Without it they are removed at the end.
    #[arg(long)]
    keep: Option<PathBuf>,
}

fn main() -> ExitCode {
    let task = match Options::parse().task {
        Task::Generate(args) => write(&args),
        Task::Check(args) => check(&args),
        Task::Measure(args) => measure(&args),
    };
    match task {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            say(&format!("claims: {error:#}"));
            ExitCode::from(2)
        }
    }
}

fn write(args: &GenerateArgs) -> Result<bool> {
    let format =
        Format { encoding: args.encoding, delimiter: args.delimiter, columns: args.columns };
    let mut list = args.planted.as_deref().map(create).transpose()?.map(PlantedWriter::new);
    let mut out =
        generate(args.plan.plan(), format, create(&args.out)?, &mut |planted| match &mut list {
            Some(list) => list.add(&planted),
            None => Ok(()),
        })?;
    out.flush().context("write the export")?;
    list.map_or(Ok(()), PlantedWriter::finish)?;
    if let Some(path) = &args.codes {
        write_codes(create(path)?)?;
    }
    if let Some(path) = &args.establishments {
        write_establishments(create(path)?)?;
    }
    Ok(true)
}

fn check(args: &CheckArgs) -> Result<bool> {
    let tables =
        TablePaths { codes: args.codes.clone(), establishments: args.establishments.clone() };
    let rules = rules_of(args.rules.as_deref())?;
    let open = || File::open(&args.file).with_context(|| format!("open {}", args.file.display()));
    let figures = engine_here(open()?, &tables, &rules)?;
    if args.json {
        println!("{}", serde_json::to_string(&figures)?);
    } else {
        println!("{}\n{}", describe(&figures), describe_times(&figures));
    }
    let Some(planted) = &args.planted else { return Ok(true) };
    let planted = planted::read(std::io::BufReader::new(
        File::open(planted).with_context(|| format!("open {}", planted.display()))?,
    ))?;
    let mut findings = Vec::new();
    check_file(open()?, &rules, &read_tables(&tables)?, true, |finding| findings.push(finding))?;
    let difference = compare(&planted, &findings);
    say(&format!("of {} planted: {}", planted.len(), difference.describe()));
    Ok(difference.is_empty())
}

fn measure(args: &MeasureArgs) -> Result<bool> {
    let own = std::env::temp_dir().join(format!("clinicwire-claims-{}", std::process::id()));
    let dir = args.keep.as_ref().unwrap_or(&own);
    std::fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
    let measured = measure_in(args, dir);
    if args.keep.is_none() {
        std::fs::remove_dir_all(dir).with_context(|| format!("remove {}", dir.display()))?;
    }
    measured
}

fn measure_in(args: &MeasureArgs, dir: &std::path::Path) -> Result<bool> {
    let began = std::time::Instant::now();
    let generated = generate_into(dir, args.plan.plan(), &rules_of(args.rules.as_deref())?)?;
    let bytes = std::fs::metadata(&generated.file).context("look at the file")?.len();
    println!("{}", machine());
    println!(
        "{} rows, {:.1} MB, generated in {:.1} s",
        args.plan.rows,
        bytes as f64 / 1e6,
        began.elapsed().as_secs_f64()
    );
    let ours = fastest(args.rounds, || engine_apart(&generated))?;
    println!("{}\n{}", describe(&ours), describe_times(&ours));
    if !args.duckdb {
        return Ok(true);
    }
    let duckdb = DuckDb::install()?;
    let mut all_agree = true;
    for threads in [Some(1), None] {
        let theirs = fastest(args.rounds, || duckdb.check(&generated, threads))?;
        let (agree, table) = side_by_side(&ours, &theirs);
        all_agree &= agree;
        if threads.is_some() || !agree {
            println!("{table}");
        }
        let (time, cpu) = (theirs.seconds / ours.seconds, theirs.cpu_seconds / ours.cpu_seconds);
        println!(
            "{}   {time:.2} times the engine's time, {cpu:.2} times its CPU",
            describe(&theirs)
        );
    }
    println!("{}", if all_agree { "  all agree, rule by rule" } else { "  THEY DO NOT AGREE" });
    Ok(all_agree)
}

fn fastest(rounds: u32, check: impl Fn() -> Result<CheckFigures>) -> Result<CheckFigures> {
    let mut best = check()?;
    for _ in 1..rounds {
        let next = check()?;
        if next.seconds < best.seconds {
            best = next;
        }
    }
    Ok(best)
}
