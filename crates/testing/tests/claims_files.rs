//! Properties of generated files: reproducible by seed, correctly encoded, and shaped like real
//! exports.
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

use encoding_rs::WINDOWS_1252;
use schemas::rule::Column;
use testing::claims_files::{
    ClaimsFile,
    export::{Columns, Delimiter, Encoding, Format},
    generate::Plan,
};

const PLAN: Plan = Plan { rows: 3_000, seed: 42, rate: 0.01, violations: true };
const PLAIN: Format =
    Format { encoding: Encoding::Utf8, delimiter: Delimiter::Semicolon, columns: Columns::All };

fn generate(plan: Plan, format: Format) -> ClaimsFile {
    ClaimsFile::generate(plan, format).unwrap()
}

fn bytes(format: Format) -> Vec<u8> {
    generate(PLAN, format).bytes.into()
}

fn cells(text: &str, delimiter: u8) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .from_reader(text.as_bytes());
    reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[test]
fn seed_determines_the_file() {
    let once = generate(PLAN, PLAIN);
    let again = generate(PLAN, PLAIN);
    assert!(again.bytes == once.bytes && again.planted == once.planted);
    assert!(generate(Plan { seed: 43, ..PLAN }, PLAIN).bytes != once.bytes);
}

#[test]
fn format_does_not_change_planted_findings() {
    let planted = generate(PLAN, PLAIN).planted;
    let other = Format {
        encoding: Encoding::DamagedHeaders,
        delimiter: Delimiter::Tab,
        columns: Columns::Short,
    };
    assert_eq!(generate(PLAN, other).planted, planted);
}

#[test]
fn file_has_the_requested_rows() {
    for rows in [1, 7, 99, 2_500] {
        let ClaimsFile { bytes, planted } = generate(Plan { rows, ..PLAN }, PLAIN);
        let rows_there = cells(std::str::from_utf8(&bytes).unwrap(), b';').len() as u64 - 1;
        assert_eq!(rows_there, rows);
        assert!(planted.iter().all(|planted| (1..=rows).contains(&planted.row)));
    }
}

#[test]
fn utf8_file_may_have_a_byte_order_mark() {
    let plain = String::from_utf8(bytes(PLAIN)).unwrap();
    assert!(
        plain.starts_with("#;Facture;ID RAMQ;")
            && plain.contains("Médecine")
            && plain.contains("Cœur")
    );
    let marked = bytes(Format { encoding: Encoding::Utf8Bom, ..PLAIN });
    assert_eq!(marked.strip_prefix(b"\xEF\xBB\xBF").unwrap(), plain.as_bytes());
}

#[test]
fn windows_1252_file_has_the_same_text() {
    let bytes = bytes(Format { encoding: Encoding::Windows1252, ..PLAIN });
    assert!(std::str::from_utf8(&bytes).is_err());
    assert!(bytes.contains(&0x9C), "a letter that Latin-1 lacks");
    let (text, damaged) = WINDOWS_1252.decode_without_bom_handling(&bytes);
    assert!(!damaged);
    assert_eq!(text.replace("\r\n", "\n").as_bytes(), self::bytes(PLAIN));
}

#[test]
fn only_titles_are_damaged() {
    let intact = String::from_utf8(bytes(PLAIN)).unwrap();
    let (titles, rows) = intact.split_once('\n').unwrap();
    let text =
        String::from_utf8(bytes(Format { encoding: Encoding::DamagedHeaders, ..PLAIN })).unwrap();
    let (damaged, same_rows) = text.split_once('\n').unwrap();
    assert!(same_rows == rows, "rows differ");
    let (titles, damaged) = (cells(titles, b';'), cells(damaged, b';'));
    assert_eq!(titles[0].len(), damaged[0].len());
    assert_ne!(titles[0][0], damaged[0][0]);
    let all = (0..40).map(|seed| {
        let plan = Plan { seed, rows: 1, ..PLAN };
        let format = Format { encoding: Encoding::DamagedHeaders, ..PLAIN };
        String::from_utf8(generate(plan, format).bytes.into()).unwrap()
    });
    let all: String = all.collect();
    for damage in [
        "Montant pay\u{fffd}",
        "Montant payÃ©",
        "Montant paye",
        "Montant pay?",
        "MONTANT PAYÉ",
        "ï»¿#",
        "\u{feff}#",
    ] {
        assert!(all.contains(damage), "{damage}");
    }
}

#[test]
fn file_has_requested_delimiter_and_columns() {
    let titles: Vec<&str> = Column::ALL.iter().map(|column| column.title()).collect();
    let short: Vec<&str> = [&titles[..17], &["Patient"]].concat();
    for (delimiter, byte) in
        [(Delimiter::Semicolon, b';'), (Delimiter::Comma, b','), (Delimiter::Tab, b'\t')]
    {
        for (columns, expected) in [(Columns::All, &titles), (Columns::Short, &short)] {
            let text = String::from_utf8(bytes(Format { delimiter, columns, ..PLAIN })).unwrap();
            // The reader fails unless each row has as many cells as the first.
            assert_eq!(&cells(&text, byte)[0], expected);
        }
    }
}

#[test]
fn rows_have_the_shapes_of_real_exports() {
    let text = String::from_utf8(bytes(PLAIN)).unwrap();
    let rows = cells(&text, b';').split_off(1);
    let share = |column: Column, is: &dyn Fn(&str, &[String]) -> bool| {
        rows.iter().filter(|row| is(&row[column as usize], row)).count() as f64 / rows.len() as f64
    };
    let end = |row: &[String]| row[Column::End as usize].clone();
    assert!(
        share(Column::Paid, &|paid, _| paid.is_empty() || paid == "0,00") > 0.6,
        "most rows are unpaid"
    );
    assert!(share(Column::Start, &|start, _| start.is_empty()) > 0.3, "often without times");
    assert!(share(Column::Start, &|start, row| start == "00:00" && end(row).is_empty()) > 0.01);
    assert!(
        share(Column::Start, &|start, row| !end(row).is_empty() && end(row).as_str() < start)
            > 0.001
    );
    assert!(share(Column::Doctor, &|doctor, _| doctor.ends_with(' ')) > 0.2);
    assert!(
        share(Column::Contexts, &|contexts, _| contexts.contains(" #") || contexts.contains(", "))
            > 0.05
    );
    assert!(share(Column::Place, &|place, _| place.starts_with('5')) > 0.5, "private offices");
    assert!(share(Column::Place, &|place, _| place.starts_with('2')) > 0.05, "hospitals");
    let is_fee = |row: &[String]| ["19928", "19929"].contains(&row[Column::Code as usize].as_str());
    let (fees, nobody): (Vec<_>, Vec<_>) = (
        rows.iter().filter(|row| is_fee(row)).collect(),
        rows.iter().filter(|row| is_fee(row) && row[Column::Patient as usize].is_empty()).collect(),
    );
    assert!(fees.len() > 50 && nobody.len() * 10 > fees.len() * 9, "office fees have no patient");
}
