//! Writes an export: columns, delimiter, encoding, and the damage that headers suffer in transit.

use std::io::Write;

use anyhow::{Context, Result};
use clap::ValueEnum;
use encoding_rs::WINDOWS_1252;
use fastrand::Rng;
use schemas::rule::Column;

use super::row::ClaimRow;

/// The text encoding of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Encoding {
    Utf8,
    Utf8Bom,
    #[value(name = "windows1252")]
    Windows1252,
    /// UTF-8 with damaged titles: replacement characters, double encoding, lost accents, and a byte
    /// order mark in front of the first.
    DamagedHeaders,
}

/// The separator of cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Delimiter {
    #[value(name = ";")]
    Semicolon,
    #[value(name = ",")]
    Comma,
    Tab,
}

/// The columns of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Columns {
    #[value(name = "23")]
    All,
    /// The first 17 and the patient.
    #[value(name = "18")]
    Short,
}

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    pub encoding: Encoding,
    pub delimiter: Delimiter,
    pub columns: Columns,
}

impl Columns {
    /// The columns in the order of the file.
    #[must_use]
    pub fn list(self) -> Vec<Column> {
        match self {
            Columns::All => Column::ALL.to_vec(),
            Columns::Short => {
                let mut columns = Column::ALL[..17].to_vec();
                columns.push(Column::Patient);
                columns
            }
        }
    }
}

impl Delimiter {
    fn byte(self) -> u8 {
        match self {
            Delimiter::Semicolon => b';',
            Delimiter::Comma => b',',
            Delimiter::Tab => b'\t',
        }
    }
}

/// A file under construction.
pub struct Export<W: Write> {
    csv: csv::Writer<W>,
    windows_1252: bool,
    columns: Vec<Column>,
    rng: Rng,
    rows: u64,
    /// The text of one cell; its allocation is reused for the next.
    cell: String,
}

impl<W: Write> Export<W> {
    /// Writes the header row.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(mut out: W, format: Format, seed: u64) -> Result<Self> {
        let windows_1252 = format.encoding == Encoding::Windows1252;
        if format.encoding == Encoding::Utf8Bom {
            out.write_all(b"\xEF\xBB\xBF").context("write the byte-order mark")?;
        }
        // Files from Windows also have its line endings.
        let terminator =
            if windows_1252 { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
        let csv = csv::WriterBuilder::new()
            .delimiter(format.delimiter.byte())
            .terminator(terminator)
            .buffer_capacity(256 * 1024)
            .from_writer(out);
        let rng = Rng::with_seed(seed ^ 0x65_78_70_6f_72_74);
        let columns = format.columns.list();
        let mut export =
            Self { csv, windows_1252, columns, rng, rows: 0, cell: String::with_capacity(128) };
        // Damage has its own random numbers, so the rows equal those of an undamaged file.
        let mut damage = Rng::with_seed(seed ^ 0x64_61_6d_61_67_65);
        for index in 0..export.columns.len() {
            let title = export.columns[index].title();
            if format.encoding == Encoding::DamagedHeaders {
                export.cell = damaged(title, &mut damage);
            } else {
                export.cell.push_str(title);
            }
            export.end_cell()?;
        }
        export.end_row()?;
        Ok(export)
    }

    /// Rows written after the header, which is also the number of the last row.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Writes a row.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, row: &ClaimRow) -> Result<()> {
        self.rows += 1;
        for index in 0..self.columns.len() {
            let column = self.columns[index];
            match row.raw.iter().find(|(at, _)| *at == column) {
                Some((_, text)) => self.cell.push_str(text),
                None => push_cell(&mut self.cell, row, column, self.rows, &mut self.rng),
            }
            self.end_cell()?;
        }
        self.end_row()
    }

    /// Flushes the file and returns the output.
    ///
    /// # Errors
    /// When the rest cannot be written.
    pub fn finish(self) -> Result<W> {
        self.csv
            .into_inner()
            .map_err(|error| error.into_error())
            .context("write the end of the export")
    }

    fn end_cell(&mut self) -> Result<()> {
        let field = if self.windows_1252 {
            let (bytes, _, unmappable) = WINDOWS_1252.encode(&self.cell);
            debug_assert!(!unmappable, "Windows-1252 has every character of an export");
            self.csv.write_field(&bytes)
        } else {
            self.csv.write_field(&self.cell)
        };
        self.cell.clear();
        field.context("write a cell")
    }

    fn end_row(&mut self) -> Result<()> {
        self.csv.write_record(None::<&[u8]>).context("write the end of a row")
    }
}

const SECTORS: [&str; 5] =
    ["Cabinet", "Établissement", "Clinique réseau", "Soins à domicile", "Cœur de l'île"];
const ROLES: [&str; 3] = ["1", "Médecin traitant", "Équipe"];
/// Free text with every trouble that delimiters and quotes can cause.
const DIAGNOSES: [&str; 8] = [
    "D100",
    "D2041",
    "",
    "",
    "Suivi général",
    "Douleur; à revoir",
    "État \"stable\", sans fièvre",
    "Naïveté – non codée",
];

fn push_cell(text: &mut String, row: &ClaimRow, column: Column, number: u64, rng: &mut Rng) {
    use std::fmt::Write;
    let written = match column {
        Column::Number => write!(text, "{number}"),
        Column::Invoice => write!(text, "{:09}", rng.u32(100_000_000..1_000_000_000)),
        Column::RamqId => write!(text, "{:011}", rng.u64(10_000_000_000..100_000_000_000)),
        Column::ServiceDate => row.date.map_or(Ok(()), |date| write!(text, "{date}")),
        Column::Start => push_time(text, row.start),
        Column::End => push_time(text, row.end),
        Column::Period => row.date.map_or(Ok(()), |date| {
            let week = date.iso_week_date();
            write!(text, "{:04}{:02}", week.year(), week.week())
        }),
        Column::Place => write!(text, "{:05}", row.place),
        Column::Sector => text.write_str(SECTORS[rng.usize(..SECTORS.len())]),
        Column::Diagnosis => text.write_str(DIAGNOSES[rng.usize(..DIAGNOSES.len())]),
        Column::Code => write!(text, "{:04}", row.code),
        Column::Units => row.units.map_or(Ok(()), |units| write!(text, "{units}")),
        Column::Role => text.write_str(ROLES[rng.usize(..ROLES.len())]),
        Column::Contexts => text.write_str(row.contexts),
        Column::Preliminary | Column::TotalPreliminary => push_money(text, row.preliminary),
        Column::Paid => push_money(text, row.paid),
        Column::TotalFinal => push_money(text, row.paid.or(Some(0))),
        Column::Doctor => {
            row.doctor.into_iter().for_each(|doctor| doctor.push_cell(text));
            Ok(())
        }
        Column::TotalCount => text.write_str("1"),
        Column::Agency => text.write_str("Agence d'essai"),
        Column::Patient => {
            row.patient.into_iter().for_each(|patient| patient.push_cell(text));
            Ok(())
        }
        Column::GrandTotal => push_money(text, row.preliminary.or(Some(0))),
    };
    written.expect("a string accepts every write");
}

fn push_time(text: &mut String, minutes: Option<u16>) -> std::fmt::Result {
    use std::fmt::Write;
    minutes.map_or(Ok(()), |minutes| write!(text, "{:02}:{:02}", minutes / 60, minutes % 60))
}

/// Appends an amount with a decimal comma.
fn push_money(text: &mut String, cents: Option<i64>) -> std::fmt::Result {
    use std::fmt::Write;
    cents.map_or(Ok(()), |cents| {
        let sign = if cents < 0 { "-" } else { "" };
        write!(text, "{sign}{},{:02}", cents.abs() / 100, cents.abs() % 100)
    })
}

/// The title after one of the damages that titles suffer.
fn damaged(title: &str, rng: &mut Rng) -> String {
    if title == "#" {
        return ["\u{feff}#", "ï»¿#", "\u{feff}\u{feff} #"][rng.usize(..3)].to_owned();
    }
    let accent = |replaced: fn(char) -> String| -> String {
        title
            .chars()
            .map(|letter| if letter.is_ascii() { letter.to_string() } else { replaced(letter) })
            .collect()
    };
    match rng.u8(..5) {
        0 => accent(|_| "\u{fffd}".to_owned()),
        // UTF-8 decoded as Windows-1252: each byte of a letter became a letter.
        1 => WINDOWS_1252.decode_without_bom_handling(title.as_bytes()).0.into_owned(),
        2 => accent(|letter| {
            let plain = match letter {
                'é' => 'e',
                'É' => 'E',
                'ô' => 'o',
                'À' => 'A',
                other => other,
            };
            plain.to_string()
        }),
        3 => format!(" {} ", title.to_uppercase()),
        _ => accent(|_| "?".to_owned()),
    }
}
