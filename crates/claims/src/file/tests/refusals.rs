//! Files that are refused.

use super::*;

fn refused(bytes: &[u8]) -> String {
    match read(bytes, &FileFormat::default()).pop() {
        Some(ReadRow::Failed(sentence)) => sentence,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn files_that_are_no_export_are_refused() {
    let no_header = "the first row isn't a claims-export header";
    assert_eq!(refused(b""), no_header);
    assert_eq!(refused(b"\n\r\n\n"), no_header);
    assert_eq!(refused(BYTE_ORDER_MARK), no_header);
    assert_eq!(refused(b"{\"rows\": []}\n"), no_header);
    assert_eq!(refused(good().join(";").as_bytes()), no_header);
    let all = String::from_utf8(text(b';', &[good()])).unwrap();
    assert_eq!(
        refused(all.replace("Facture", "Reçu").as_bytes()),
        "the column \"Facture\" is missing"
    );
    assert_eq!(
        refused(all.replace("Agence", "code").as_bytes()),
        "the column \"Code\" appears twice"
    );
    let utf_16: Vec<_> = all.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(refused(&utf_16), "the file is not text: byte 1");
    assert_eq!(refused(&[&b"\xFF\xFE"[..], &utf_16].concat()), "the file is not text: byte 0");
    assert_eq!(refused(b"PK\x03\x04\x14\x00\x06\x00"), "the file is not text: byte 5");
}

#[test]
fn nul_refuses_the_file_after_earlier_rows() {
    let rows = text(b';', &vec![good(); 1000]);
    let bytes = [&rows[..], b"2;\0", &rows[..]].concat();
    assert!(bytes.len() > input::BUFFER, "the NUL is behind the first buffer");
    let seen = read(&bytes, &FileFormat::default());
    assert_eq!(seen.len(), 1001);
    assert_eq!(
        seen[1000],
        ReadRow::Failed(format!("the file is not text: byte {}", rows.len() + 2))
    );
}

#[test]
fn unclosed_quote_refuses_the_file() {
    let before = text(b';', &[good()]);
    let open = [&before[..], b"2;\"", &good().join(";").into_bytes()].concat();
    assert_eq!(refused(&open), "a quote in the row that begins on line 3 is never closed");
    assert_eq!(
        refused(&[&before[..], b"\n\n\""].concat()),
        "a quote in the row that begins on line 5 is never closed"
    );
    let long = [&open[..], &good().join("\n").repeat(1000).into_bytes()].concat();
    assert_eq!(
        refused(&long),
        "the row that begins on line 3 has more than 65536 bytes or 512 cells"
    );
    assert_eq!(
        read(&[&before[..], b"2;\"\"\"\""].concat(), &FileFormat::default()).len(),
        2,
        "this one is closed"
    );
}

#[test]
fn oversized_record_refuses_the_file() {
    let rest = ";".repeat(22);
    let row = |length: usize| format!("{}\n{}{rest}\n", header().join(";"), "1".repeat(length));
    assert!(matches!(
        &read(row(record::MAX_BYTES - 1).as_bytes(), &FileFormat::default())[..],
        [ReadRow::Row(_)]
    ));
    assert!(refused(row(record::MAX_BYTES).as_bytes()).contains("line 2"));
    let cells = |count: usize| format!("{}\n1{}x\n", header().join(";"), ";".repeat(count - 1));
    let seen = read(cells(record::MAX_CELLS).as_bytes(), &FileFormat::default());
    assert!(matches!(&seen[..], [ReadRow::Unreadable(_)]));
    assert!(refused(cells(record::MAX_CELLS + 1).as_bytes()).contains("line 2"));
}

#[test]
fn error_is_returned_again() {
    struct FailingReader(usize);
    impl io::Read for FailingReader {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let bytes = text(b';', &vec![good(); 1000]);
            let left = &bytes[self.0..];
            let read = left.len().min(buffer.len());
            self.0 += read;
            buffer[..read].copy_from_slice(&left[..read]);
            if read == 0 { Err(ErrorKind::TimedOut.into()) } else { Ok(read) }
        }
    }
    let mut file = File::open(FailingReader(0), &FileFormat::default()).ok().unwrap();
    let mut rows = 0;
    while let Ok(Some(_)) = file.next() {
        rows += 1;
    }
    assert_eq!(rows, 1000);
    for _ in 0..2 {
        assert!(
            matches!(file.next(), Err(FileError::Io(error)) if error.kind() == ErrorKind::TimedOut)
        );
    }
    let bytes = text(b';', &[good(), vec!["\"".repeat(3)]]);
    let bytes = &bytes[..bytes.len() - 3];
    let mut file = File::open(bytes, &FileFormat::default()).ok().unwrap();
    assert!(matches!(file.next(), Ok(Some(_))));
    for _ in 0..2 {
        assert!(matches!(file.next(), Err(FileError::Refused(FileRefusal::QuoteOpen { line: 3 }))));
    }
}

#[test]
fn refusal_has_code_and_params() {
    let params = FileRefusal::ColumnMissing { column: Column::Paid }.params();
    assert_eq!(params["column"], Param::Word("paid".into()));
    assert_eq!(FileRefusal::NotText { byte: 7 }.params()["byte"], Param::Number(7));
    assert_eq!(FileRefusal::TooWide { line: 9 }.params()["line"], Param::Number(9));
    assert_eq!(FileRefusal::QuoteOpen { line: 9 }.code(), schemas::codes::Code::FileMalformed);
    assert_eq!(FileRefusal::NoHeader.params(), BTreeMap::from([("line".into(), Param::Number(1))]));
}
