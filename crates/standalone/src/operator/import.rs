//! `clinicwire import`: reports the appointments of a CSV file.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use futures_util::{StreamExt, stream};
use hyper::Method;
use serde_json::{Map, Value, json};

use super::{Terminal, arguments::ImportArgs, gateway_client::GatewayClient, terminal::read_file};

/// The columns that a file may have.
const COLUMNS: [&str; 11] = [
    "key",
    "location",
    "version",
    "updated_at",
    "status",
    "start",
    "end",
    "doctor",
    "doctor_name",
    "queue",
    "label",
];
const REQUIRED: [&str; 3] = ["key", "location", "status"];
/// Reports under way at once: enough that a file of 10,000 lines takes a minute and not ten, and
/// few beside the commands of a front desk. Reports may arrive in any order.
const AT_ONCE: usize = 8;
/// Faults that are printed. A file that is wrong from its first line on must not fill the terminal.
const MOST_FAULTS: usize = 20;

/// The report of one line of a file.
#[derive(Debug)]
struct LineReport {
    line: u64,
    body: Value,
}

/// Reports each line, and prints how many changed what. Nothing is sent unless every line can be
/// read.
///
/// # Errors
/// When the file is no table of appointments, when a line was refused, and when the gateway refuses
/// the token or does not answer.
pub async fn run(arguments: &ImportArgs, terminal: &mut Terminal<'_>) -> Result<()> {
    let path = arguments.file.display().to_string();
    let reports = read(&read_file(&arguments.file)?, terminal).context(path)?;
    let client = GatewayClient::new(&arguments.gateway, "source")?;
    let count = reports.len();
    let send = async |report: LineReport| {
        let answer = client.command(Method::POST, "/v1/appointments", &report.body).await;
        (report.line, answer)
    };
    let mut answers = stream::iter(reports).map(send).buffered(AT_ONCE);
    let (mut changes, mut refused) = (BTreeMap::<String, usize>::new(), 0);
    while let Some((line, answer)) = answers.next().await {
        match answer {
            Ok(answer) => {
                let change = answer["result"]["change"].as_str().unwrap_or("reported").to_owned();
                *changes.entry(change).or_default() += 1;
            }
            Err(error) if error.is_of_content() => {
                refused += 1;
                if refused <= MOST_FAULTS {
                    terminal.note(&format!("line {line}: {error}"));
                }
            }
            Err(error) => {
                return Err(error).with_context(|| format!("stopped at line {line}"));
            }
        }
    }
    for (change, count) in changes {
        terminal.print(&format!("{change} {count}"));
    }
    ensure!(refused == 0, "{refused} of {count} lines were refused; the others are reported");
    Ok(())
}

/// Reads a table of appointments, and notes each line that cannot be read.
fn read(table: &[u8], terminal: &mut Terminal<'_>) -> Result<Vec<LineReport>> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(table);
    let columns: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    check(&columns)?;
    let (mut reports, mut faults) = (Vec::new(), 0);
    for record in reader.records() {
        let read = record.map_err(|error| (place(error.position()), described(&error)));
        let read = read.and_then(|record| {
            let line = place(record.position());
            let body = report(columns.iter().map(String::as_str).zip(&record));
            body.map(|body| LineReport { line, body }).map_err(|error| (line, error.to_string()))
        });
        match read {
            Ok(report) => reports.push(report),
            Err((line, fault)) => {
                faults += 1;
                if faults <= MOST_FAULTS {
                    terminal.note(&format!("line {line}: {fault}"));
                }
            }
        }
    }
    match faults {
        0 => Ok(reports),
        1 => bail!("1 line cannot be read; nothing was sent"),
        _ => bail!("{faults} lines cannot be read; nothing was sent"),
    }
}

fn place(position: Option<&csv::Position>) -> u64 {
    position.map_or(0, csv::Position::line)
}

/// The fault of a line without its place, which [`read`] adds.
fn described(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} cells, but the first line names {expected_len} columns")
        }
        csv::ErrorKind::Utf8 { .. } => "the text is not UTF-8".to_owned(),
        _ => error.to_string(),
    }
}

fn check(columns: &[String]) -> Result<()> {
    for column in columns {
        let all = COLUMNS.join(", ");
        ensure!(
            COLUMNS.contains(&column.as_str()),
            "line 1: no column is named {column:?}: use {all}"
        );
    }
    let has = |name: &str| columns.iter().any(|column| column == name);
    for required in REQUIRED {
        ensure!(has(required), "line 1: the column {required} is missing");
    }
    ensure!(
        has("version") || has("updated_at"),
        "line 1: a column version or updated_at is missing"
    );
    Ok(())
}

/// The report of one line. Empty cells are left out.
fn report<'a>(cells: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Value> {
    let (mut report, mut doctor) = (Map::new(), Map::new());
    for (column, cell) in cells.filter(|(_, cell)| !cell.is_empty()) {
        match column {
            "version" => {
                let version: u64 = cell.parse().context("version is not a number")?;
                report.insert("version".to_owned(), json!(version));
            }
            "doctor" => drop(doctor.insert("id".to_owned(), json!(cell))),
            "doctor_name" => drop(doctor.insert("name".to_owned(), json!(cell))),
            _ => drop(report.insert(column.to_owned(), json!(cell))),
        }
    }
    for required in REQUIRED {
        ensure!(report.contains_key(required), "{required} is empty");
    }
    if !doctor.is_empty() {
        report.insert("doctor".to_owned(), Value::Object(doctor));
    }
    Ok(Value::Object(report))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reports of a table, or its fault, and the notes.
    fn read_text(table: &str) -> (Result<Vec<LineReport>>, String) {
        let (mut output, mut notes) = (Vec::new(), Vec::new());
        let read = read(table.as_bytes(), &mut Terminal::new(&mut output, &mut notes));
        (read, String::from_utf8(notes).unwrap())
    }

    #[test]
    fn line_becomes_a_report() {
        let table = "key,location,status,version,doctor,doctor_name,label\n\
                     4711, north ,booked,3,dr-roy,Dr Roy,\n";
        let reports = read_text(table).0.unwrap();
        let expected = json!({
            "key": "4711", "location": "north", "status": "booked", "version": 3,
            "doctor": {"id": "dr-roy", "name": "Dr Roy"},
        });
        assert_eq!((reports[0].line, &reports[0].body), (2, &expected));
    }

    #[test]
    fn columns_are_checked() {
        let columns = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        assert!(check(&columns("key,location,status,version")).is_ok());
        for bad in ["key,location,status", "key,status,version", "key,location,status,version,age"]
        {
            assert!(check(&columns(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn each_unreadable_line_is_named() {
        let table = "key,location,status,version\n1,north,booked,one\n2,north,booked,2\n\
                     3,north,booked\n,north,booked,4\n";
        let (read, notes) = read_text(table);
        assert_eq!(read.unwrap_err().to_string(), "3 lines cannot be read; nothing was sent");
        let lines: Vec<_> = notes.lines().collect();
        assert_eq!(
            lines,
            [
                "clinicwire: line 2: version is not a number",
                "clinicwire: line 4: 3 cells, but the first line names 4 columns",
                "clinicwire: line 5: key is empty",
            ]
        );
    }
}
