use encoding_rs::{UTF_8, WINDOWS_1252};

use super::*;

/// UTF-8 taken for Windows-1252.
fn mistaken(text: &str) -> String {
    WINDOWS_1252.decode_without_bom_handling(text.as_bytes()).0.into_owned()
}

/// Each accented character of a title replaced.
fn accents(title: &str, replace: impl Fn(char) -> String) -> String {
    title
        .chars()
        .map(
            |character| {
                if character.is_ascii() { character.to_string() } else { replace(character) }
            },
        )
        .collect()
}

fn base(accented: char) -> &'static str {
    match accented {
        'é' => "e",
        'É' => "E",
        'À' => "A",
        'ô' => "o",
        _ => unreachable!("titles have no other accents"),
    }
}

/// Windows-1252 taken for UTF-8 by a decoder that believes the lead byte and swallows what should
/// follow it.
fn swallowed(title: &str) -> String {
    let mut characters = title.chars();
    let mut damaged = String::new();
    while let Some(character) = characters.next() {
        let following = match character {
            'É' | 'À' => 1,
            'é' => 2,
            'ô' => 3,
            _ => 0,
        };
        damaged.push(if following > 0 { '\u{fffd}' } else { character });
        characters.by_ref().take(following).for_each(drop);
    }
    damaged
}

/// Titles as they arrive after a way through several programs.
fn damages(title: &str) -> Vec<(&'static str, String)> {
    let (latin, ..) = WINDOWS_1252.encode(title);
    vec![
        ("as it is", title.to_owned()),
        ("upper case", title.to_uppercase()),
        ("lower case", title.to_lowercase()),
        ("without spaces", title.replace(' ', "")),
        ("more spaces", format!("  {} ", title.replace(' ', "   "))),
        ("no-break spaces", title.replace(' ', "\u{a0}")),
        ("without accents", accents(title, |accented| base(accented).into())),
        ("without the letters", accents(title, |_| String::new())),
        (
            "letter and accent apart",
            accents(title, |accented| format!("{}\u{301}", base(accented))),
        ),
        ("question mark", accents(title, |_| "?".into())),
        ("question mark per byte", accents(title, |_| "??".into())),
        ("replacement character", UTF_8.decode_without_bom_handling(&latin).0.into_owned()),
        ("replacement character per byte", accents(title, |_| "\u{fffd}\u{fffd}".into())),
        ("replacement character, mistaken", accents(title, |_| mistaken("\u{fffd}"))),
        ("letters swallowed", swallowed(title)),
        ("encoded twice", mistaken(title)),
        ("encoded three times", mistaken(&mistaken(title))),
        ("half a character", accents(title, |_| "Ã".into())),
        ("another code page", accents(title, |_| "‚".into())),
        ("a mark of the byte order glued to it", format!("\u{feff}{title}")),
        ("the same, mistaken", mistaken(&format!("\u{feff}{title}"))),
        ("the same, replaced", format!("\u{fffd}{title}")),
        ("the same, asked", format!("???{title}")),
        ("quotes that stayed", format!("\"{title}\"")),
    ]
}

#[test]
fn every_damaged_title_is_recognised() {
    for column in Column::ALL {
        for (damage, title) in damages(column.title()) {
            assert_eq!(column_of(&title), Some(*column), "{damage}: {title}");
        }
    }
}

#[test]
fn accents_that_belong_there_are_no_damage() {
    for (title, column) in [
        ("Période", Column::Period),
        ("Montant préliminaire", Column::Preliminary),
        ("Secteur d’activité", Column::Sector),
    ] {
        for (damage, title) in damages_of_any(title) {
            assert_eq!(column_of(&title), Some(column), "{damage}: {title}");
        }
    }
}

/// The damages that do not depend on which accent it is.
fn damages_of_any(title: &str) -> Vec<(&'static str, String)> {
    vec![
        ("as it is", title.to_owned()),
        ("question mark", accents(title, |_| "?".into())),
        ("encoded twice", mistaken(title)),
        ("replacement character", accents(title, |_| "\u{fffd}".into())),
    ]
}

#[test]
fn two_accents_may_be_damaged_differently() {
    let ways = ["é", "e", "", "?", "??", "\u{fffd}", "Ã©", "ÃƒÂ©", "e\u{301}"];
    for first in ways {
        for second in ways {
            let title = format!("{first}l{second}ment de contexte");
            assert_eq!(column_of(&title), Some(Column::Contexts), "{title}");
        }
    }
}

#[test]
fn other_titles_are_no_columns() {
    for title in [
        "",
        " ",
        "???",
        "\u{fffd}",
        "1",
        "Codes",
        "Code postal",
        "Patients",
        "Num",
        "#1",
        "Fins",
        "Rle2",
        "Montant",
        "Montant p",
        "Report_DailyClaimInfo_TotalCount",
        "Date",
    ] {
        assert_eq!(column_of(title), None, "{title}");
    }
    assert_eq!(column_of(&"?".repeat(100_000)), None);
    assert_eq!(column_of(&"é?".repeat(100_000)), None);
    assert_eq!(column_of(&"e".repeat(100_000)), None);
}

fn titles_without(left_out: &[Column]) -> Vec<&'static str> {
    Column::ALL
        .iter()
        .filter(|column| !left_out.contains(column))
        .map(|column| column.title())
        .collect()
}

fn refusal(titles: &[&str]) -> Option<FileRefusal> {
    Layout::find(titles.iter().copied()).1.err()
}

#[test]
fn missing_required_column_is_named() {
    assert_eq!(refusal(&titles_without(&[])), None);
    for column in Column::ALL {
        let expected =
            REQUIRED.contains(column).then_some(FileRefusal::ColumnMissing { column: *column });
        assert_eq!(refusal(&titles_without(&[*column])), expected, "{column:?}");
    }
    let several = [Column::Paid, Column::Start, Column::Patient];
    assert_eq!(
        refusal(&titles_without(&several)),
        Some(FileRefusal::ColumnMissing { column: Column::Start })
    );
}

#[test]
fn seventeen_columns_and_patient_suffice() {
    let mut titles: Vec<_> = Column::ALL[..17].iter().map(|column| column.title()).collect();
    assert_eq!(refusal(&titles), Some(FileRefusal::ColumnMissing { column: Column::Patient }));
    titles.push("Patient");
    assert_eq!(refusal(&titles), None);
}

#[test]
fn duplicate_column_refuses_file_extra_does_not() {
    let mut titles = titles_without(&[]);
    titles.extend(["Notes", "Notes", "", ""]);
    assert_eq!(refusal(&titles), None);
    titles.push("unit\u{fffd}s");
    assert_eq!(refusal(&titles), Some(FileRefusal::ColumnTwice { column: Column::Units }));
}

#[test]
fn row_with_few_titles_is_no_header() {
    assert_eq!(refusal(&[]), Some(FileRefusal::NoHeader));
    assert_eq!(refusal(&["Code", "Patient", "Agence", "#"]), Some(FileRefusal::NoHeader));
    assert_eq!(
        refusal(&["Code", "Patient", "Agence", "#", "Fin"]),
        Some(FileRefusal::ColumnMissing { column: Column::Invoice })
    );
}

#[test]
fn unnamed_position_maps_to_next_column() {
    let mut titles = titles_without(&[]);
    titles.insert(1, "Notes");
    titles.push("More");
    let layout = Layout::find(titles.into_iter()).1.ok().unwrap();
    assert_eq!(layout.width, 25);
    assert_eq!(layout.column_at(0), Column::Number);
    assert_eq!(layout.column_at(1), Column::Invoice);
    assert_eq!(layout.column_at(2), Column::Invoice);
    assert_eq!(layout.column_at(24), Column::GrandTotal);
    assert_eq!(layout.column_at(400), Column::GrandTotal);
}

#[test]
fn header_is_known_again_by_its_required_columns() {
    let titles = titles_without(&[]);
    let layout = Layout::find(titles.iter().copied()).1.ok().unwrap();
    let repeated = |titles: &[&str]| {
        layout.is_repeated(|position| titles.get(position).map(|title| (*title).into()))
    };
    assert!(repeated(&titles));
    let mut other = titles.clone();
    other[Column::Code as usize] = "15815";
    assert!(!repeated(&other));
    assert!(!repeated(&titles[..5]));
}

#[test]
fn question_mark_is_damage_and_other_marks_are_not() {
    // The accent and the three letters after it are lost.
    assert_eq!(column_of("Montant Pr?inaire"), Some(Column::Preliminary));
    assert_eq!(column_of("Montant Pr-inaire"), None);
    assert_eq!(column_of("Montant Pr?naire"), None, "and not four");
    assert_eq!(column_of("(code):"), Some(Column::Code));
}

#[test]
fn title_is_compared_up_to_its_longest_length() {
    let letters = |title: &&str| title.chars().filter(char::is_ascii_alphanumeric).count();
    let longest = titles_without(&[]).into_iter().max_by_key(letters).unwrap();
    let column = column_of(longest);
    let damaged = |marks: usize| {
        let mut left = marks;
        let marked = |character: char| {
            let is_marked = character.is_ascii_alphanumeric() && left > 0;
            left -= usize::from(is_marked);
            [Some(character), is_marked.then_some('?')]
        };
        let title: String = longest.chars().flat_map(marked).flatten().collect();
        (tokens(&title).len(), column_of(&title))
    };
    let room = MAX_TOKENS - tokens(longest).len();
    assert!(column.is_some() && room <= letters(&longest));
    assert_eq!(damaged(room), (MAX_TOKENS, column));
    assert_eq!(damaged(room + 1).1, None);
}
