mod refusals;

use encoding_rs::WINDOWS_1252;
use proptest::prelude::*;

use super::*;
use crate::row::{Day, DoctorKey, PatientKey};

/// A row whose every cell is as it should be.
fn good() -> Vec<String> {
    [
        "1",
        "100000001",
        "10000000001",
        "2025-03-04",
        "08:00",
        "08:45",
        "202510",
        "55123",
        "Santé publique",
        "A10",
        "15815",
        "1",
        "Médecin",
        "#ICEP, ar",
        "32,40",
        "0,00",
        "1000001-00001 | Alpha, Zoé - Omnipraticien   ",
        "1 000,00",
        "0,00",
        "12",
        "Agence",
        "TEST00010101 - TEST, ÈVE",
        "5",
    ]
    .map(str::to_owned)
    .to_vec()
}

fn with(changes: &[(Column, &str)]) -> Vec<String> {
    let mut row = good();
    for (column, cell) in changes {
        row[*column as usize] = (*cell).to_owned();
    }
    row
}

fn header() -> Vec<String> {
    Column::ALL.iter().map(|column| column.title().to_owned()).collect()
}

/// A file of these rows in UTF-8, quoted where that is needed.
fn text(delimiter: u8, rows: &[Vec<String>]) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new()
        .delimiter(delimiter)
        .flexible(true)
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    writer.write_record(header()).unwrap();
    for row in rows {
        writer.write_record(row).unwrap();
    }
    writer.into_inner().unwrap()
}

fn latin(text: &[u8]) -> Vec<u8> {
    WINDOWS_1252.encode(std::str::from_utf8(text).unwrap()).0.into_owned()
}

/// A row that outlives the reader's buffer.
#[derive(Debug, Clone, PartialEq)]
struct OwnedRow {
    number: u64,
    date: Option<Day>,
    times: (Option<u16>, Option<u16>),
    minutes: Option<u16>,
    numbers: (Option<u32>, Option<u32>, Option<i64>),
    contexts: Vec<String>,
    cents: (Option<i64>, Option<i64>),
    doctor: Option<DoctorKey>,
    patient: Option<PatientKey>,
    cells: Vec<Option<String>>,
}

#[derive(Debug, Clone, PartialEq)]
enum ReadRow {
    Row(Box<OwnedRow>),
    Unreadable(UnreadableRow),
    Failed(String),
}

fn keep(row: &Row<'_>) -> OwnedRow {
    OwnedRow {
        number: row.number,
        date: row.date,
        times: (row.start, row.end),
        minutes: row.minutes(),
        numbers: (row.place, row.code, row.units),
        contexts: row.contexts.iter().map(|context| (*context).to_owned()).collect(),
        cents: (row.preliminary, row.paid),
        doctor: row.doctor,
        patient: row.patient,
        cells: Column::ALL
            .iter()
            .map(|column| Some(row.cells.get(*column)?.into_owned()))
            .collect(),
    }
}

/// Everything a file says, to its end or first error.
fn read(bytes: &[u8], format: &FileFormat) -> Vec<ReadRow> {
    let failed = |error: FileError| match error {
        FileError::Io(error) => ReadRow::Failed(error.kind().to_string()),
        FileError::Refused(refusal) => ReadRow::Failed(refusal.to_string()),
    };
    let mut seen = Vec::new();
    let mut file = match File::open(bytes, format) {
        Ok(file) => file,
        Err(error) => return vec![failed(error)],
    };
    loop {
        match file.next() {
            Ok(Some(ParsedRow::Row(row))) => seen.push(ReadRow::Row(Box::new(keep(&row)))),
            Ok(Some(ParsedRow::Partial(_, unreadable) | ParsedRow::Unreadable(unreadable))) => {
                seen.push(ReadRow::Unreadable(unreadable))
            }
            Ok(None) => return seen,
            Err(error) => {
                seen.push(failed(error));
                return seen;
            }
        }
    }
}

fn one(row: &[(Column, &str)]) -> ReadRow {
    let seen = read(&text(b';', &[with(row)]), &FileFormat::default());
    assert_eq!(seen.len(), 1);
    seen.into_iter().next().unwrap()
}

fn kept(row: &[(Column, &str)]) -> OwnedRow {
    match one(row) {
        ReadRow::Row(kept) => *kept,
        other => panic!("no row: {other:?}"),
    }
}

#[test]
fn row_is_typed() {
    let row = kept(&[]);
    assert_eq!(row.number, 1);
    assert_eq!(row.date, Some(Day { year: 2025, month: 3, day: 4 }));
    assert_eq!((row.times, row.minutes), ((Some(480), Some(525)), Some(45)));
    assert_eq!(row.numbers, (Some(55123), Some(15815), Some(1)));
    assert_eq!(row.contexts, ["ICEP", "AR"]);
    assert_eq!(row.cents, (Some(3240), Some(0)));
    assert_eq!(row.doctor, Some(DoctorKey(100_000_100_001)));
    assert_eq!(row.patient, Some(PatientKey(*b"TEST00010101")));
    assert_eq!(row.cells[Column::Sector as usize].as_deref(), Some("Santé publique"));
    assert_eq!(row.cells[Column::Role as usize].as_deref(), Some("Médecin"));
}

#[test]
fn empty_cells_are_none() {
    // A row without any text is no claim, so this one keeps its number.
    let empty: Vec<_> = Column::ALL[1..].iter().map(|column| (*column, "  ")).collect();
    let row = kept(&empty);
    assert_eq!((row.date, row.times, row.numbers), (None, (None, None), (None, None, None)));
    assert_eq!((row.cents, row.doctor, row.patient), ((None, None), None, None));
    assert!(row.contexts.is_empty());
    assert!(row.cells[1..].iter().all(|cell| cell.as_deref() == Some("")));
}

#[test]
fn midnight_without_end_is_no_start() {
    for (start, end, times, minutes) in [
        ("00:00", "", (None, None), None),
        ("00:00", "00:30", (Some(0), Some(30)), Some(30)),
        ("00:01", "", (Some(1), None), None),
        ("", "00:00", (None, Some(0)), None),
        ("00:00", "00:00", (Some(0), Some(0)), Some(0)),
        ("23:30", "00:15", (Some(1410), Some(15)), Some(45)),
        ("08:00", "00:00", (Some(480), Some(0)), Some(960)),
    ] {
        let row = kept(&[(Column::Start, start), (Column::End, end)]);
        assert_eq!((row.times, row.minutes), (times, minutes), "{start} to {end}");
    }
}

#[test]
fn contexts_are_whole_tokens() {
    for (cell, contexts) in [
        ("STAR", &["STAR"][..]),
        ("G160,AR", &["G160", "AR"]),
        (" #G160 ,, # ar , ", &["G160", "AR"]),
        ("##icep", &["ICEP"]),
        (",", &[]),
        ("#", &[]),
        ("été", &["ÉTÉ"]),
    ] {
        assert_eq!(kept(&[(Column::Contexts, cell)]).contexts, contexts, "{cell}");
    }
}

#[test]
fn malformed_cell_makes_only_its_row_unreadable() {
    for (column, cell) in [
        (Column::ServiceDate, "2025-02-30"),
        (Column::Start, "huit heures"),
        (Column::End, "24:00"),
        (Column::Place, "5512"),
        (Column::Code, "ABC"),
        (Column::Units, "1,5"),
        (Column::Preliminary, "1,234"),
        (Column::Paid, "oui"),
        (Column::Doctor, "Alpha, Test"),
        (Column::Patient, "TEST, ONE"),
    ] {
        let rows = [good(), with(&[(column, cell)]), good()];
        let seen = read(&text(b';', &rows), &FileFormat::default());
        assert_eq!(
            seen[1],
            ReadRow::Unreadable(UnreadableRow { number: 2, line: 3, column }),
            "{cell}"
        );
        assert!(matches!(&seen[..], [ReadRow::Row(_), _, ReadRow::Row(last)] if last.number == 3));
    }
}

#[test]
fn first_bad_column_follows_file_order() {
    let bad = [(Column::ServiceDate, "x"), (Column::Paid, "x"), (Column::Units, "x")];
    let unreadable = |column| ReadRow::Unreadable(UnreadableRow { number: 1, line: 2, column });
    assert_eq!(one(&bad), unreadable(Column::ServiceDate));
    assert_eq!(one(&bad[1..]), unreadable(Column::Units));
    let turned = |row: Vec<String>| row.into_iter().rev().collect::<Vec<_>>().join(";");
    let bytes = format!("{}\n{}\n", turned(header()), turned(with(&bad)));
    assert_eq!(read(bytes.as_bytes(), &FileFormat::default()), [unreadable(Column::Paid)]);
}

#[test]
fn row_with_wrong_cell_count_is_unreadable() {
    let unreadable =
        |column| vec![ReadRow::Unreadable(UnreadableRow { number: 1, line: 2, column })];
    let mut short = good();
    short.truncate(17);
    assert_eq!(
        read(&text(b';', &[short.clone()]), &FileFormat::default()),
        unreadable(Column::TotalPreliminary)
    );
    short.truncate(1);
    assert_eq!(read(&text(b';', &[short]), &FileFormat::default()), unreadable(Column::Invoice));
    let mut long = good();
    long.push("more".into());
    assert_eq!(read(&text(b';', &[long]), &FileFormat::default()), unreadable(Column::GrandTotal));
    // A delimiter that was not quoted moves what is behind it.
    let mut moved = good();
    moved.insert(9, "more".into());
    assert_eq!(read(&text(b';', &[moved]), &FileFormat::default()), unreadable(Column::Code));
}

#[test]
fn delimiter_encoding_and_line_ends_read_alike() {
    let rows =
        [good(), with(&[(Column::Diagnosis, "a;b,c\td\"e\nf")]), with(&[(Column::Contexts, "")])];
    let expected = read(&text(b';', &rows), &FileFormat::default());
    assert_eq!(expected.len(), 3);
    assert!(expected.iter().all(|seen| matches!(seen, ReadRow::Row(_))));
    for delimiter in *b";,\t" {
        let utf8 = text(delimiter, &rows);
        let latin = latin(&utf8);
        let marked = [BYTE_ORDER_MARK, &utf8].concat();
        let unix = String::from_utf8(utf8.clone()).unwrap().replace("\r\n", "\n").into_bytes();
        let unended = utf8[..utf8.len() - 2].to_vec();
        let spaced =
            String::from_utf8(utf8.clone()).unwrap().replace("\r\n", "\r\n\r\n\r\n").into_bytes();
        // A program that puts a byte order mark before Windows-1252 did not look at the text.
        let mistaken = [BYTE_ORDER_MARK, &latin].concat();
        for bytes in [&utf8, &latin, &marked, &unix, &unended, &spaced, &mistaken] {
            for given in [None, Some(delimiter)] {
                let format = FileFormat { delimiter: given, encoding: None };
                assert_eq!(read(bytes, &format), expected, "{delimiter}");
                assert_eq!(File::open(&bytes[..], &format).ok().unwrap().delimiter(), delimiter);
            }
        }
        let given = |encoding| FileFormat { delimiter: None, encoding: Some(encoding) };
        assert_eq!(read(&utf8, &given(TextEncoding::Utf8)), expected);
        assert_eq!(read(&latin, &given(TextEncoding::Windows1252)), expected);
    }
}

#[test]
fn both_encodings_in_one_file_are_read() {
    let mut bytes = text(b';', &[good()]);
    bytes.extend(latin(format!("{}\r\n", good().join(";")).as_bytes()));
    let seen = read(&bytes, &FileFormat::default());
    let [ReadRow::Row(first), ReadRow::Row(second)] = &seen[..] else { panic!("two rows") };
    assert_eq!(first.cells, second.cells);
}

#[test]
fn given_encoding_is_used() {
    let bytes = text(b';', &[good()]);
    let format = FileFormat { delimiter: None, encoding: Some(TextEncoding::Windows1252) };
    let ReadRow::Row(row) = &read(&bytes, &format)[0] else { panic!("a row") };
    assert_eq!(row.cells[Column::Role as usize].as_deref(), Some("MÃ©decin"));
    let format = FileFormat { delimiter: None, encoding: Some(TextEncoding::Utf8) };
    let ReadRow::Row(row) = &read(&latin(&bytes), &format)[0] else { panic!("a row") };
    assert_eq!(row.cells[Column::Role as usize].as_deref(), Some("M\u{fffd}decin"));
}

#[test]
fn columns_may_move_be_missing_or_extra() {
    let expected = kept(&[]);
    let order: Vec<usize> = (0..17).rev().chain([Column::Patient as usize]).collect();
    let pick = |row: Vec<String>, extra: &str| {
        let cells: Vec<_> = order.iter().map(|position| row[*position].clone()).collect();
        format!("{extra};{};{extra}\n", cells.join(";"))
    };
    let bytes = pick(header(), "Notes") + &pick(good(), "some");
    let seen = read(bytes.as_bytes(), &FileFormat::default());
    let [ReadRow::Row(row)] = &seen[..] else { panic!("a row: {seen:?}") };
    for column in Column::ALL {
        let there =
            order.contains(&(*column as usize)).then(|| expected.cells[*column as usize].clone());
        assert_eq!(row.cells[*column as usize], there.flatten(), "{column:?}");
    }
    assert_eq!(OwnedRow { cells: expected.cells.clone(), ..(**row).clone() }, expected);
}

#[test]
fn unreadable_rows_name_the_line_of_the_file() {
    let quoted = with(&[(Column::Diagnosis, "a\nb\r\nc")]);
    let bad = with(&[(Column::Code, "x")]);
    let rows = text(b';', &[quoted, bad.clone(), good(), bad]);
    for (bytes, lines) in [
        (rows.clone(), [5, 7]),
        ([b"\n\r\n", &rows[..]].concat(), [7, 9]),
        (String::from_utf8(rows).unwrap().replace("\r\n", "\n\n").into_bytes(), [8, 12]),
    ] {
        let seen = read(&bytes, &FileFormat::default());
        let found: Vec<_> = seen
            .iter()
            .filter_map(|seen| match seen {
                ReadRow::Unreadable(UnreadableRow { line, .. }) => Some(*line),
                _ => None,
            })
            .collect();
        assert_eq!(found, lines);
    }
}

#[test]
fn progress_counts_consumed_bytes() {
    let bytes = text(b';', &vec![good(); 500]);
    let row = (bytes.len() - text(b';', &[]).len()) / 500;
    let mut file = File::open(&bytes[..], &FileFormat::default()).ok().unwrap();
    for done in 0..500 {
        // The parser leaves a CRLF's second byte for the next record.
        assert_eq!(file.bytes_done() as usize, bytes.len() - (500 - done) * row - 1);
        assert!(matches!(file.next(), Ok(Some(ParsedRow::Row(_)))));
    }
    assert!(matches!(file.next(), Ok(None)));
    assert!(matches!(file.next(), Ok(None)), "the end stays");
    assert_eq!(file.bytes_done() as usize, bytes.len());
}

/// Texts both encodings have, delimiters, quotes and line ends among them. The form of the cell is
/// another matter.
fn cell() -> impl Strategy<Value = String> {
    "[ a-zA-Z0-9éÉàôç;,\t\"\r\n'#?-]{0,12}"
}

proptest! {
    #[test]
    fn row_reads_back_in_every_encoding_and_delimiter(
        words in proptest::collection::vec(cell(), 23),
        typed in proptest::collection::vec(any::<bool>(), 23),
        delimiter in proptest::sample::select(b";,\t".to_vec()),
        in_latin in any::<bool>(),
    ) {
        let free = [
            Column::Number, Column::Invoice, Column::RamqId, Column::Period, Column::Sector,
            Column::Diagnosis, Column::Role, Column::Agency, Column::GrandTotal, Column::Contexts,
        ];
        let mut row = good();
        for column in Column::ALL {
            let at = *column as usize;
            if free.contains(column) {
                row[at] = words[at].clone();
            } else if !typed[at] && *column != Column::ServiceDate {
                row[at] = String::new();
            }
        }
        let bytes = text(delimiter, &[row.clone(), good()]);
        let bytes = if in_latin { latin(&bytes) } else { bytes };
        let seen = read(&bytes, &FileFormat::default());
        prop_assert_eq!(seen.len(), 2);
        let ReadRow::Row(kept) = &seen[0] else { return Err(TestCaseError::fail("unreadable")) };
        for column in Column::ALL {
            let at = *column as usize;
            prop_assert_eq!(kept.cells[at].as_deref(), Some(row[at].trim()));
        }
    }
}

#[test]
fn first_line_can_name_the_delimiter() {
    for (line, found) in [
        ("sep=;\na;b", Some((b';', 6))),
        ("sep=;\r\na;b", Some((b';', 7))),
        ("SEP=,\ra,b", Some((b',', 6))),
        ("\"sep=;\";;\n", Some((b';', 10))),
        (" sep=\t \t\n", Some((b'\t', 9))),
        ("sep=;x\n", None),
        ("set=;\n", None),
        ("sep=\n", None),
        ("sep=;", None),
    ] {
        assert_eq!(separator_line(line.as_bytes()), found, "{line}");
    }
}

#[test]
fn empty_rows_headers_and_totals_are_no_claims() {
    let with_only = |cells: &[(Column, &str)]| {
        let mut row = vec![String::new(); good().len()];
        cells.iter().for_each(|(column, cell)| row[*column as usize] = (*cell).to_owned());
        row
    };
    let count = |row: Vec<String>| {
        read(&text(b';', &[good(), row, good()]), &FileFormat::default()).len() - 2
    };
    let total = (Column::Paid, "1 000,00");
    for (row, is_claim) in [
        (with_only(&[]), false),
        (with_only(&[(Column::Place, "  ")]), false),
        (header(), false),
        (with_only(&[total]), false),
        (with_only(&[total, (Column::Number, "Total")]), false),
        (with_only(&[total, (Column::Number, "3")]), true),
        (with_only(&[total, (Column::Code, "15815")]), true),
        (good(), true),
    ] {
        assert_eq!(count(row.clone()), usize::from(is_claim), "{row:?}");
    }
}
