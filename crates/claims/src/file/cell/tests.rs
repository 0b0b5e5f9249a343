use super::*;

/// Checks a form against what it reads and what it refuses; an empty cell is none in every form.
fn form<T: PartialEq + std::fmt::Debug>(
    form: fn(&[u8]) -> CellResult<T>,
    good: &[(&str, T)],
    bad: &[&str],
) {
    assert_eq!(form(b""), Ok(None));
    for (cell, value) in good {
        assert_eq!(form(trim(cell.as_bytes())).unwrap().as_ref(), Some(value), "{cell}");
    }
    for cell in bad {
        assert_eq!(form(trim(cell.as_bytes())), Err(MalformedCell), "{cell}");
    }
}

#[test]
fn dates_are_days_that_exist() {
    let day = |year, month, day| Day { year, month, day };
    form(
        date,
        &[
            ("2025-01-01", day(2025, 1, 1)),
            (" 2024-02-29 ", day(2024, 2, 29)),
            ("2000-02-29", day(2000, 2, 29)),
            ("2025-02-28", day(2025, 2, 28)),
            ("2025-04-30", day(2025, 4, 30)),
            ("2025-12-31", day(2025, 12, 31)),
        ],
        &[
            "2025-02-29",
            "1900-02-29",
            "2025-04-31",
            "2025-12-32",
            "2025-00-10",
            "2025-13-10",
            "2025-10-00",
            "25-01-01",
            "2025-1-1",
            "01-02-2025",
            "2025/01/01",
            "20250101",
            "2025-01-01 00:00",
            "2025-01-0x",
            "-025-01-01",
        ],
    );
}

#[test]
fn times_are_minutes_of_a_day() {
    form(
        time,
        &[("00:00", 0), ("08:05", 485), ("8:05", 485), ("23:59", 1439), (" 12:00\t", 720)],
        &["24:00", "12:60", "12:5", "1205", "12h05", "12:05:00", "-1:00", ":30", "12:", "aa:bb"],
    );
}

#[test]
fn places_and_codes_need_their_digits() {
    form(
        place,
        &[("55123", 55123), ("01234", 1234)],
        &["5512", "551234", "5512X", "-5512", "55 12"],
    );
    form(
        code,
        &[("8857", 8857), ("19928", 19928), ("08857", 8857)],
        &["885", "199281", "1992A", "+8857"],
    );
}

#[test]
fn units_are_whole() {
    form(
        units,
        &[("0", 0), ("45", 45), ("-3", -3)],
        &["1,5", "1.0", "x", "-", "--1", "1234567890123456"],
    );
}

#[test]
fn amounts_are_cents_by_comma_or_point() {
    form(
        money,
        &[
            ("32,40", 3240),
            ("32.40", 3240),
            ("32", 3200),
            ("32,4", 3240),
            ("0,00", 0),
            ("-9,35", -935),
            ("32,40 $", 3240),
            ("32,40\u{a0}$", 3240),
            ("1 234,56", 123_456),
            ("1\u{a0}234,56", 123_456),
            ("12\u{202f}345\u{202f}678", 1_234_567_800),
            ("1 234 567 890 123", 123_456_789_012_300),
            ("999999999999999,99", 99_999_999_999_999_999),
        ],
        &[
            "1,234",
            "1.234,56",
            "1,234.56",
            "32,",
            ",5",
            "32,405",
            "32,4x",
            "12 34,00",
            "1 2345",
            "1  234",
            " , ",
            "$",
            "-",
            "- 5",
            "3 2,40",
            "1e3",
            "(9,35)",
            "9999999999999999",
            "1 000 000 000 000 000",
            "abc",
        ],
    );
    assert_eq!(money(b"1\xA0234,56"), Ok(Some(123_456)), "Windows-1252's no-break space");
}

#[test]
fn doctor_is_the_number_alone() {
    form(
        doctor,
        &[
            ("1000001-00001 | Alpha, Test - Omnipraticien   ", DoctorKey(100_000_100_001)),
            ("1000001-00001", DoctorKey(100_000_100_001)),
            ("1000001-00001| Other, Spelling", DoctorKey(100_000_100_001)),
            ("0000001-00000 ", DoctorKey(100_000)),
        ],
        &[
            "1000001",
            "1000001-0001 | x",
            "1000001-000011",
            "100000-100001 | x",
            "1000001 00001",
            "Alpha, Test",
        ],
    );
}

#[test]
fn patient_is_the_first_twelve_characters() {
    form(
        patient,
        &[
            ("TEST00010101 - TEST, ONE", PatientKey(*b"TEST00010101")),
            ("test00010101", PatientKey(*b"TEST00010101")),
            ("TEST00010101-T", PatientKey(*b"TEST00010101")),
        ],
        &[
            "TEST0001010",
            "TES100010101 - T",
            "TEST0001010A - T",
            "TEST000101011",
            "TEST 00010101",
            "ÉEST00010101",
        ],
    );
}

#[test]
fn spaces_around_cells_are_trimmed_in_all_encodings() {
    for cell in [" a ", "\t a\u{a0}", "\u{a0} a \u{a0}\u{a0}"] {
        assert_eq!(trim(cell.as_bytes()), b"a");
    }
    assert_eq!(trim(b"\xA0 a\xA0"), b"a");
    assert_eq!(trim(b"\xC2\xA0"), b"");
}

#[test]
fn other_form_has_nothing_of_the_cell() {
    let right = &["0000-00-00"];
    let long = format!("2025{}", " ".repeat(MAX_FORM - 4));
    for (cell, form) in [
        ("01/02/2025", Some("00/00/0000")),
        ("8h05", Some("0h00")),
        ("12 pm", Some("00 pm")),
        ("5 mai 2025", Some("0 xxx 0000")),
        ("5 mars 2025", Some("0 xxxx 0000")),
        ("5 f\u{e9}v 25", Some("0 xxx 00")),
        ("2025-13-01", None),
        ("mars 2025", None),
        ("20\n25", None),
        ("5", None),
        ("", None),
        (&format!("{long} "), None),
    ] {
        assert_eq!(other_form(cell.as_bytes(), right).as_deref(), form, "{cell}");
    }
    assert!(other_form(long.as_bytes(), right).is_some());
}
