//! `clinicwire import`: reports the appointments of a CSV file.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use hyper::Method;
use serde_json::{Map, Value, json};

use super::{Print, arguments::ImportArgs, gateway_client::GatewayClient};

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

/// Reports each line, and prints how many changed what.
///
/// # Errors
/// When the file is no table of appointments, and the first refusal with the number of its line.
pub async fn run(arguments: &ImportArgs, print: &mut Print<'_>) -> Result<()> {
    let path = arguments.file.display();
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(&arguments.file)
        .with_context(|| format!("cannot read {path}"))?;
    let columns: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    check(&columns).with_context(|| path.to_string())?;
    let client = GatewayClient::new(&arguments.gateway, "source")?;
    let mut changes = HashMap::<String, u64>::new();
    for record in reader.records() {
        let record = record.with_context(|| path.to_string())?;
        let line = record.position().map_or(0, csv::Position::line);
        let report = report(columns.iter().map(String::as_str).zip(&record))
            .with_context(|| format!("line {line}"))?;
        let answer = client.command(Method::POST, "/v1/appointments", &report).await;
        let answer = answer.with_context(|| format!("line {line}"))?;
        let change = answer["result"]["change"].as_str().unwrap_or("reported").to_owned();
        *changes.entry(change).or_default() += 1;
    }
    let mut changes: Vec<_> = changes.into_iter().collect();
    changes.sort();
    for (change, count) in changes {
        print(&format!("{change} {count}"));
    }
    Ok(())
}

fn check(columns: &[String]) -> Result<()> {
    for column in columns {
        let all = COLUMNS.join(", ");
        ensure!(COLUMNS.contains(&column.as_str()), "no column is named {column}: use {all}");
    }
    let has = |name: &str| columns.iter().any(|column| column == name);
    for required in REQUIRED {
        ensure!(has(required), "the column {required} is missing");
    }
    ensure!(has("version") || has("updated_at"), "a column version or updated_at is missing");
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
    if !doctor.is_empty() {
        report.insert("doctor".to_owned(), Value::Object(doctor));
    }
    Ok(Value::Object(report))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_becomes_a_report() {
        let cells = [
            ("key", "4711"),
            ("version", "3"),
            ("doctor", "dr-roy"),
            ("doctor_name", "Dr Roy"),
            ("label", ""),
        ];
        let expected =
            json!({"key": "4711", "version": 3, "doctor": {"id": "dr-roy", "name": "Dr Roy"}});
        assert_eq!(report(cells.into_iter()).unwrap(), expected);
        assert!(report([("version", "three")].into_iter()).is_err());
    }

    #[test]
    fn columns_are_checked_before_anything_is_sent() {
        let columns = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        assert!(check(&columns("key,location,status,version")).is_ok());
        for bad in ["key,location,status", "key,status,version", "key,location,status,version,age"]
        {
            assert!(check(&columns(bad)).is_err(), "{bad}");
        }
    }
}
