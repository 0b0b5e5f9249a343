//! Files like those that clinics send, each with one oddity. Every row of the first six is a visit
//! of one doctor on one day by a patient of its own, and the last row bills an office fee, which
//! needs six patients.
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

use claims::{
    check::{CheckOptions, CheckStep, FileCheck},
    file::FileFormat,
    rules::{self, Rules},
    tables::Tables,
};
use schemas::{
    finding::{Finding, FindingOutcome as F, Param},
    run::RunSummary,
};

/// The findings of the office-fee rule and of reading the file, passes listed.
fn check(file: &[u8]) -> (Vec<Finding>, RunSummary) {
    let rules = Rules::compile(&rules::builtin()).unwrap();
    let tables = Tables::empty();
    let options = CheckOptions { list_passes: true, ..CheckOptions::default() };
    let mut check = FileCheck::new(file, &FileFormat::default(), &rules, &tables, options).unwrap();
    let mut found = Vec::new();
    loop {
        if let CheckStep::Done(summary) = check.step(&mut found).unwrap() {
            return (found, summary);
        }
    }
}

fn outcomes(found: &[Finding]) -> Vec<(u64, F)> {
    found.iter().map(|finding| (finding.row, finding.outcome)).collect()
}

fn param<'f>(finding: &'f Finding, name: &str) -> &'f Param {
    &finding.params[name]
}

const SEP_LINE: &[u8] = include_bytes!("cases/sep-line.csv");
const TRAILING_HEADER: &[u8] = include_bytes!("cases/trailing-header.csv");
const HEADER_REPEATED: &[u8] = include_bytes!("cases/header-repeated.csv");
const TOTAL_ROW: &[u8] = include_bytes!("cases/total-row.csv");
const BAD_CELL_IN_GROUP: &[u8] = include_bytes!("cases/bad-cell-in-group.csv");
const CR_ONLY: &[u8] = include_bytes!("cases/cr-only.csv");

/// A file with some of its text replaced.
fn replaced(file: &[u8], old: &str, new: &str) -> Vec<u8> {
    let text = std::str::from_utf8(file).unwrap();
    assert!(text.contains(old), "{old}");
    text.replace(old, new).into_bytes()
}

#[test]
fn oddities_of_a_file_are_no_findings() {
    let ends = |file: &[u8], end: &str| replaced(file, "\r\n", end);
    for (name, file) in [
        ("a separator line", SEP_LINE.to_vec()),
        ("a quoted separator line with empty cells", replaced(SEP_LINE, "sep=;", "\"SEP=;\";;;")),
        ("a surplus cell in the header", TRAILING_HEADER.to_vec()),
        ("surplus cells in header and rows", ends(TRAILING_HEADER, ";;\r\n")),
        ("surplus cells in rows only", replaced(SEP_LINE, ";32,40\r\n", ";32,40;; \r\n")),
        ("a header on each page", HEADER_REPEATED.to_vec()),
        ("a form feed before each page", replaced(HEADER_REPEATED, "\r\n#", "\r\n\u{c}#")),
        ("a row of totals and an empty row", TOTAL_ROW.to_vec()),
        ("a footer", replaced(TOTAL_ROW, "Total;", "Page 1 de 2;")),
        ("0x1A at the end", [TOTAL_ROW, b"\x1A"].concat()),
        ("0x1A behind the last cell", [SEP_LINE.trim_ascii_end(), b"\x1A\x1A"].concat()),
        ("lone CRs", ends(TOTAL_ROW, "\r")),
    ] {
        let (found, summary) = check(&file);
        assert_eq!(outcomes(&found), [(7, F::OfficeFeePass)], "{name}");
        assert_eq!((summary.rows, summary.rows_unreadable), (7, 0), "{name}");
    }
}

#[test]
fn row_with_unreadable_cell_counts_by_its_keys() {
    let (found, summary) = check(BAD_CELL_IN_GROUP);
    assert_eq!(outcomes(&found), [(6, F::RowUnreadable), (7, F::OfficeFeePass)]);
    assert_eq!((summary.rows, summary.rows_unreadable), (7, 1));
    assert_eq!(*param(&found[0], "column"), "units".into());
}

#[test]
fn verdict_that_depends_on_unreadable_cell_says_so() {
    // With the patient of row 6 there are six patients, and without five.
    let patient = replaced(BAD_CELL_IN_GROUP, "QZAA00000006", "?");
    let (found, _) = check(&replaced(&patient, ";1,5;", ";1;"));
    assert_eq!(outcomes(&found), [(6, F::RowUnreadable), (7, F::Undecided)]);
    assert_eq!(*param(&found[1], "unread"), 6.into());
}

#[test]
fn findings_name_the_line_whatever_ends_it() {
    let line = |file: &[u8]| {
        let (found, summary) = check(file);
        assert_eq!(summary.rows, 3);
        param(&found[0], "line").clone()
    };
    assert_eq!(line(CR_ONLY), 4.into());
    assert_eq!(line(&replaced(CR_ONLY, "\r", "\n")), 4.into());
    assert_eq!(line(&replaced(CR_ONLY, "\r1;", "\r\r\n\n1;")), 6.into());
    assert_eq!(line(&replaced(CR_ONLY, "\r2;", "\n2;")), 4.into());
}

#[test]
fn other_form_of_dates_is_one_finding() {
    let (found, summary) = check(&replaced(TOTAL_ROW, ";2024-02-05;", ";05/02/2024;"));
    assert_eq!(outcomes(&found), [(0, F::DateForm)]);
    assert_eq!((summary.rows, summary.rows_unreadable, summary.stored), (7, 7, 1));
    let params = ["column", "form", "line", "rows"].map(|name| param(&found[0], name).clone());
    assert_eq!(params, ["service_date".into(), "00/00/0000".into(), 2.into(), 7.into()]);
}

#[test]
fn other_time_form_is_one_finding() {
    let (found, _) = check(&replaced(TOTAL_ROW, ";09:00;", ";9h00;"));
    assert_eq!(outcomes(&found), [(0, F::TimeForm), (7, F::OfficeFeePass)]);
    assert_eq!(*param(&found[0], "form"), "0h00".into());
}

#[test]
fn unicode_spaces_around_cells_count_for_nothing() {
    for space in ["\u{a0}", "\u{202f}", "\u{2007}", "\u{2009}", "\u{3000}", "\u{200b}", "\u{feff}"]
    {
        let spaced = format!("\r\n{space}1;{space}100000001{space};");
        let file = replaced(TOTAL_ROW, "\r\n1;100000001;", &spaced);
        let file = replaced(&file, ";2024-02-05;", &format!(";{space}2024-02-05{space};"));
        let file = replaced(&file, ";19928;", &format!(";19928{space};"));
        assert_eq!(outcomes(&check(&file).0), [(7, F::OfficeFeePass)], "{space:?}");
    }
}

/// The row of the file that begins with this number, with another number and a negative amount.
fn reversal(number: u64) -> String {
    let file = std::str::from_utf8(TOTAL_ROW).unwrap();
    let row = file.lines().find(|line| line.starts_with(&format!("{number};"))).unwrap();
    let (_, cells) = row.split_once(';').unwrap();
    format!("8;{}\r\n", cells.replacen(";32,40;", ";-32,40;", 1))
}

#[test]
fn reversal_takes_off_the_row_of_its_claim() {
    let with = |row: &str| replaced(TOTAL_ROW, "Total;", &format!("{row}Total;"));
    let of_visit = check(&with(&reversal(6))).0;
    assert_eq!(outcomes(&of_visit), [(7, F::OfficeFeeMinimum)], "five patients are left");
    let of_fee = check(&with(&reversal(7))).0;
    assert_eq!(outcomes(&of_fee), [(1, F::OfficeFeeUnbilled)], "the fee is not billed any more");
    let of_other = reversal(7).replace("100000007", "999999999");
    assert_eq!(outcomes(&check(&with(&of_other)).0), [(7, F::OfficeFeePass)], "another claim");
    let minus = reversal(7).replace(";-32,40;", ";\u{2212}32,40;");
    assert_eq!(outcomes(&check(&with(&minus)).0), [(1, F::OfficeFeeUnbilled)]);
}
