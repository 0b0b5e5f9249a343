//! `clinicwire-check` as a shell sees it: its outputs and its exit status.
#![cfg(feature = "cli")]
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::{
    io::Write,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use schemas::{finding::Finding, rule::Column};
use serde_json::{Value, json};

/// A row with this invoice number and these changed cells, in UTF-8.
fn row(number: usize, changes: &[(Column, &str)]) -> String {
    let mut cells = [""; 23];
    for (column, cell) in [
        (Column::Invoice, "100000001"),
        (Column::RamqId, "10000000001"),
        (Column::ServiceDate, "2025-03-04"),
        (Column::Period, "202510"),
        (Column::Place, "55123"),
        (Column::Code, "15804"),
        (Column::Units, "1"),
        (Column::Preliminary, "42,15"),
        (Column::Paid, "0,00"),
        (Column::Doctor, "1000001-00001 | Alpha, Test - Omnipraticien"),
        (Column::Patient, "TEST00010101 - TEST, ONE"),
    ]
    .iter()
    .chain(changes)
    {
        cells[*column as usize] = cell;
    }
    let number = number.to_string();
    cells[0] = &number;
    cells.join(";")
}

fn export(rows: &[String]) -> String {
    let titles: Vec<_> = Column::ALL.iter().map(|column| column.title()).collect();
    format!("{}\r\n{}\r\n", titles.join(";"), rows.join("\r\n"))
}

fn clean() -> String {
    export(&[row(1, &[]), row(2, &[])])
}

/// Only advice: an invoice without its form is a warning.
fn advisable() -> String {
    export(&[row(1, &[]), row(2, &[(Column::Invoice, "12")])])
}

/// An unreadable row, a warning, and a fee outside a private office.
fn faulty() -> String {
    export(&[
        row(1, &[(Column::Code, "abc")]),
        row(2, &[(Column::Invoice, "12")]),
        row(3, &[(Column::Code, "19928"), (Column::Place, "20001"), (Column::Patient, "")]),
    ])
}

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clinicwire-check"));
    command.args(arguments);
    for name in ["LC_ALL", "LC_MESSAGES", "LANG"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(mut command: Command, input: &[u8]) -> Output {
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A program that refuses its arguments reads nothing; these inputs fit the pipe.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// Status, standard output and standard error of a check of standard input.
fn check(input: &str, arguments: &[&str]) -> (i32, String, String) {
    let output = run(program(&[&["-"], arguments].concat()), input.as_bytes());
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// A file that is gone with the test.
struct TemporaryFile(PathBuf);

impl TemporaryFile {
    fn new(name: &str, text: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("clinicwire-check-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn exit_status_is_the_worst_finding() {
    for (input, expected) in
        [(clean(), 0), (export(&[]), 0), (advisable(), 1), (faulty(), 2), ("a;b\n".into(), 3)]
    {
        for format in ["text", "json", "csv"] {
            let (status, _, stderr) = check(&input, &["--format", format]);
            assert_eq!(status, expected, "{format}: {stderr}");
        }
    }
}

#[test]
fn invalid_command_line_exits_with_64() {
    for arguments in
        [&["--nonsense"][..], &["--format", "xml"], &["--delimiter", "|"], &["second.csv"]]
    {
        let (status, stdout, stderr) = check(&clean(), arguments);
        assert_eq!((status, stdout.as_str()), (64, ""), "{arguments:?}");
        assert!(stderr.contains("--help"), "{stderr}");
    }
    assert_eq!(run(program(&[]), b"").status.code(), Some(64));
}

#[test]
fn help_has_examples_and_every_exit_status() {
    let output = run(program(&["--help"]), b"");
    let help = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    for part in ["Examples:", "--list-passes", "jq", "Exit status: 0", "64 the command line"] {
        assert!(help.contains(part), "{part}");
    }
}

#[test]
fn example_rules_of_the_help_work() {
    let help = String::from_utf8(run(program(&["--help"]), b"").stdout).unwrap();
    let start = help.find("[{\"id\"").unwrap();
    let end = start + help[start..].find("}]\n").unwrap() + 2;
    let rules = TemporaryFile::new("help.json", &help[start..end]);
    let (status, stdout, _) = check(&advisable(), &["--rules", rules.path(), "--format", "csv"]);
    assert_eq!(status, 1);
    assert!(stdout.contains("\n2,warning,invoice,pattern_mismatch,0,"), "{stdout}");
}

#[test]
fn text_has_a_line_per_finding_then_totals() {
    let (_, stdout, stderr) = check(&faulty(), &["--quiet"]);
    let lines: Vec<_> = stdout.lines().collect();
    assert_eq!(
        lines[0],
        "row 1: error: Line 2 of the file can't be read: column “Code” doesn't have the expected \
         format. [file]"
    );
    assert!(lines[1].starts_with("row 2: warning: ") && lines[1].ends_with(" [invoice-form]"));
    assert!(
        lines[2].starts_with("row 3: error: ") && lines[2].ends_with(" ($32.40) [office-fee]"),
        "{}",
        lines[2]
    );
    assert!(stdout.contains("\n3 rows checked in "));
    assert!(
        stdout.contains(" s, 1 of them unreadable.\nErrors: 2 · warnings: 1 · gains: 0 · passes: ")
    );
    assert!(stdout.ends_with("At risk: $32.40 · to gain: $0.00\n"));
    assert_eq!(stderr, "");
}

#[test]
fn output_is_complete_in_french() {
    let (_, by_flag, _) = check(&faulty(), &["--language", "fr"]);
    assert!(by_flag.contains("ligne 1\u{a0}: erreur\u{a0}: La ligne 2 du fichier est illisible"));
    assert!(by_flag.contains("ligne 2\u{a0}: avertissement\u{a0}: "));
    assert!(by_flag.ends_with("À risque\u{a0}: 32,40\u{a0}$ · à gagner\u{a0}: 0,00\u{a0}$\n"));
    let mut command = program(&["-"]);
    command.env("LANG", "fr_CA.UTF-8");
    let by_locale = String::from_utf8(run(command, faulty().as_bytes()).stdout).unwrap();
    let findings = |text: &str| text.lines().take(3).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(findings(&by_flag), findings(&by_locale));
}

#[test]
fn json_lists_findings_then_summary() {
    let (_, stdout, _) = check(&faulty(), &["--format", "json"]);
    let lines: Vec<Value> =
        stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [findings @ .., whole] = &lines[..] else { panic!("lines") };
    assert_eq!(findings.len(), 3);
    for finding in findings {
        let read: Finding = serde_json::from_value(finding.clone()).unwrap();
        assert_eq!(finding["message"], read.message(schemas::language::Language::English));
    }
    assert_eq!(findings[0]["params"], json!({"column": "code", "line": 2}));
    assert_eq!(whole["summary"]["rows"], 3);
    assert_eq!(whole["summary"]["counts"]["error"], 2);
    assert_eq!(whole["rules"]["office-fee"]["error"], 1);
    assert!(whole["rules"]["office-fee"]["took_us"].is_number());
}

#[test]
fn csv_is_a_table_with_or_without_findings() {
    let read = |stdout: &str| -> Vec<Vec<String>> {
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).from_reader(stdout.as_bytes());
        reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
    };
    let titles = ["row", "severity", "rule", "outcome", "cents", "message"];
    let (_, stdout, stderr) = check(&faulty(), &["--format", "csv"]);
    let table = read(&stdout);
    assert_eq!(table.len(), 4);
    assert_eq!(table[0], titles);
    assert_eq!(table[3][..5], ["3", "error", "office-fee", "office_fee_place", "3240"]);
    assert!(stderr.contains("3 rows checked"), "totals stand beside the table");
    let (_, stdout, stderr) = check(&clean(), &["--format", "csv", "--quiet"]);
    assert_eq!(read(&stdout), [titles]);
    assert_eq!(stderr, "");
}

#[test]
fn refusal_is_written_for_people_and_programs() {
    let without = clean().replace("Facture", "Recu");
    let (status, stdout, stderr) = check(&without, &["--format", "json"]);
    assert_eq!(status, 3);
    assert_eq!(
        stderr,
        "clinicwire-check: the file was refused: the column \"Facture\" is missing\n"
    );
    let told: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(told, json!({"refused": "file_not_an_export", "params": {"column": "invoice"}}));
    // Rows before the error are checked, and their findings are written.
    let late = format!("{}2;\"never closed", faulty());
    let (status, stdout, stderr) = check(&late, &[]);
    assert_eq!(status, 3);
    assert!(
        stderr.contains("a quote in the row that begins on line 5 is never closed"),
        "{stderr}"
    );
    assert!(stdout.starts_with("row 1: error: ") && !stdout.contains("checked in"), "{stdout}");
}

#[test]
fn errors_name_the_purpose_of_the_file() {
    let none = "/nonexistent/of-clinicwire-check";
    let text = TemporaryFile::new("no-rules.txt", "no rules");
    let rule = json!([{
        "id": "x", "name": {"fr": "x", "en": "x"}, "category": "x",
        "kind": "pattern", "column": "invoice", "pattern": "(",
    }]);
    let rule = TemporaryFile::new("bad-rule.json", &rule.to_string());
    for (arguments, said) in [
        (["--rules", none], "the rules file cannot be read"),
        (["--rules", text.path()], "the rules file must be a JSON array of rules"),
        (["--rules", rule.path()], "the rules cannot be applied: rule x: pattern"),
        (["--codes", none], "a table cannot be opened"),
        (["--codes", text.path()], "the table of codes has no column \"code\""),
        (["--establishments", text.path()], "the table of establishments has no column \"place\""),
    ] {
        let (status, stdout, stderr) = check(&clean(), &arguments);
        assert_eq!((status, stdout.as_str()), (3, ""), "{arguments:?}");
        assert!(stderr.contains(said), "{stderr}");
    }
    let output = run(program(&[none]), b"");
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("the claims file cannot be opened"));
}

#[test]
fn tables_define_codes_and_places() {
    let codes =
        TemporaryFile::new("codes.csv", "code,leaf,group,top,cents\n15804,Visite périodique,,,\n");
    let (status, stdout, _) = check(&clean(), &["--codes", codes.path(), "--format", "csv"]);
    assert_eq!(status, 2, "twice in a year");
    assert!(stdout.contains("\n1,error,annual-codes,once_none_paid,0,"), "{stdout}");
    let codes = TemporaryFile::new(
        "visits.csv",
        "code,leaf,group,top,cents\n15804,,Visites sur rendez-vous (patient de moins de 80 \
             ans),,\n",
    );
    let places = TemporaryFile::new("places.csv", "place;gmf\n55123;oui\n");
    let arguments = ["--codes", codes.path(), "--establishments", places.path(), "--format", "csv"];
    let (status, stdout, _) = check(&clean(), &arguments);
    assert_eq!(status, 1);
    assert!(stdout.contains("\n1,optimisation,gmf-yearly-missing,fee_missing,935,"), "{stdout}");
}

#[test]
fn passes_are_listed_on_request() {
    let (status, stdout, _) = check(&clean(), &["--format", "csv"]);
    assert_eq!((status, stdout.lines().count()), (0, 1));
    let (status, stdout, _) = check(&clean(), &["--format", "csv", "--list-passes"]);
    assert_eq!(status, 0);
    assert!(stdout.contains("\n1,pass,doctor-required,pass,0,"), "{stdout}");
}

#[test]
fn file_and_standard_input_give_equal_output() {
    let (_, expected, _) = check(&faulty(), &["--format", "csv"]);
    let file = TemporaryFile::new("export.csv", &faulty());
    let output = run(program(&[file.path(), "--format", "csv"]), b"");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    let tabbed = faulty().replace(';', "\t");
    let arguments = ["--delimiter", "tab", "--encoding", "utf-8", "--format", "csv"];
    assert_eq!(check(&tabbed, &arguments).1, expected);
    assert_eq!(check(&tabbed, &["--delimiter", ";"]).0, 3, "what is given is obeyed");
}

#[test]
fn closed_pipe_ends_the_program_quietly() {
    let many: Vec<_> = (1..50_000).map(|number| row(number, &[(Column::Invoice, "12")])).collect();
    let file = TemporaryFile::new("many.csv", &export(&many));
    let mut child = program(&[file.path(), "--quiet"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}
