//! The reader on arbitrary bytes. The fuzz target runs the same checks on more of them.

#[path = "../../../fuzz/read_all.rs"]
mod read_all;

use proptest::prelude::*;
use read_all::read_all;

/// A valid row.
const ROW: &str = "1;100000001;10000000001;2025-03-04;08:00;08:45;202510;55123;;;15815;1;1;#AR, \
     x;32,40;0,00;\
                   1000001-00001 | Alpha, Test;0;0;0;;TEST00010101 - TEST;0";

/// Reads the bytes in every format and with two ways of cutting.
fn under_every_format(bytes: &[u8]) {
    for choice in 0..32 {
        for cuts in [3, 200] {
            read_all(&[&[choice, cuts], bytes].concat());
        }
    }
}

#[test]
fn odd_files_read_alike_in_any_pieces() {
    let long = "x".repeat(70_000);
    let mut nasty: Vec<Vec<u8>> = [
        "",
        "\n",
        "\r",
        "\r\n\r\n",
        "\"",
        "\"\"",
        "\"\"\"",
        "a\"b\"c",
        "\"a\"b;c\n",
        ";",
        ";;;;\n",
        "\u{feff}",
        "\u{feff}\u{feff}#",
        "\u{1a}",
        "-",
        "--",
        "$",
        ",",
        ".",
        " \u{a0}",
        "sep=;\n",
        "\"\r\n\"\r\n\"",
        "\"never closed;\n\n\n",
        "x\r\ry\n\r",
        "=1+1;@x\n",
        "9999999999999999999999;-0;+0\n",
        "é;É;\u{fffd};?;Ã©\n",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    nasty.push(ROW.as_bytes().to_vec());
    nasty.push(format!("{ROW}\r\n").repeat(400).into_bytes());
    nasty.push(format!("{ROW}\r{ROW}\n\n{ROW}").into_bytes());
    nasty.push(ROW.replace(';', "\";\"").into_bytes());
    nasty.push(ROW.replace("AR", &"AR,".repeat(9000)).into_bytes());
    nasty.push(long.clone().into_bytes());
    nasty.push(format!("\"{long}").into_bytes());
    nasty.push(format!("{}\n", "\"\";".repeat(40_000)).into_bytes());
    nasty.push("\"".repeat(70_001).into_bytes());
    nasty.push("\n".repeat(140_000).into_bytes());
    nasty.push(";".repeat(600).into_bytes());
    nasty.push((0..=255).collect());
    nasty.push((1..=255).rev().collect());
    nasty.push([ROW.as_bytes(), b"\n\0\n", ROW.as_bytes()].concat());
    nasty.push(
        [
            b"\xFF\xFE".as_slice(),
            &ROW.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>(),
        ]
        .concat(),
    );
    nasty.push(b"\xE9\xC9;\x81\x8D\x8F\x90\x9D;\xA0\xC2\xA0\xC2;\xC3\n".to_vec());
    for bytes in nasty {
        under_every_format(&bytes);
    }
}

#[test]
fn row_cut_anywhere_is_read_or_unreadable() {
    for cut in 0..ROW.len() {
        read_all(&[&[0, 9], &ROW.as_bytes()[..cut], b"\n", ROW.as_bytes()].concat());
    }
}

proptest! {
    #[test]
    fn reading_any_bytes_ends(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        read_all(&bytes);
    }

    #[test]
    fn reading_format_fragments_ends(
        choice in 0..32_u8,
        cuts in any::<u8>(),
        parts in proptest::collection::vec(
            prop_oneof![
                Just(ROW), Just(";"), Just(","), Just("\t"), Just("\""), Just("\n"),
                Just("\r\n"), Just("\r"), Just("\0"), Just("é"), Just("#"), Just("2025-03-04"),
                Just("08:00"), Just("1 234,50"), Just("\u{feff}"), Just("x"),
            ],
            0..200,
        ),
    ) {
        read_all(&[&[choice, cuts], parts.concat().as_bytes()].concat());
    }

    #[test]
    fn reading_a_damaged_row_ends(
        at in 0..ROW.len(),
        bytes in proptest::collection::vec(any::<u8>(), 0..8),
        cuts: u8,
    ) {
        let (before, after) = ROW.as_bytes().split_at(at);
        read_all(&[&[0, cuts], before, &bytes, after, b"\r\n", ROW.as_bytes()].concat());
    }
}
