//! The header row: finds the column of each cell, even when the encoding of its title was damaged.

use std::borrow::Cow;

use schemas::rule::Column;

use super::{FileRefusal, cell::is_space};

/// The columns that a claims export must have: all columns that are typed for the rules, and the
/// two that identify a row to people. Short exports have them too; a clerk may have removed the
/// others.
pub const REQUIRED: [Column; 13] = [
    Column::Number,
    Column::Invoice,
    Column::ServiceDate,
    Column::Start,
    Column::End,
    Column::Place,
    Column::Code,
    Column::Units,
    Column::Contexts,
    Column::Preliminary,
    Column::Paid,
    Column::Doctor,
    Column::Patient,
];

/// With fewer known titles than this, the first row is no header, rather than a header that lacks
/// columns.
const LEAST: usize = 5;
/// Longest title to compare. The longest known title has 56 letters, so longer texts are skipped.
const MAX_TOKENS: usize = 100;
/// Damaged characters in a row that are kept: two for each of two accents. More add no information.
const MAX_DAMAGE: usize = 4;
/// A decoder that takes an accent for the first byte of a longer sequence loses up to this many
/// letters after it.
const SWALLOWED: usize = 3;

/// The position of each column.
pub struct Layout {
    /// By column. `None` when the file lacks the column.
    positions: [Option<usize>; Column::ALL.len()],
    /// In the order of the file.
    known: Vec<(usize, Column)>,
    /// Cells of the header.
    pub width: usize,
    /// Cells of the header up to its last title: the least that a readable row has. Spreadsheets
    /// add empty cells at the end of the header, of rows, or of both.
    pub titled: usize,
}

impl Layout {
    /// Finds the columns among the titles, and how many titles are known.
    ///
    /// # Errors
    /// A column that appears twice or is missing, or a row that is no header.
    pub fn find<'t>(titles: impl Iterator<Item = &'t str>) -> (usize, Result<Self, FileRefusal>) {
        let positions = [None; Column::ALL.len()];
        let mut layout = Self { positions, known: Vec::new(), width: 0, titled: 0 };
        let mut twice = None;
        for title in titles {
            if let Some(column) = column_of(title) {
                layout.known.push((layout.width, column));
                let before = layout.positions[column as usize].replace(layout.width);
                twice = twice.or(before.map(|_| column));
            }
            layout.width += 1;
            if !title.trim_matches(is_space).is_empty() {
                layout.titled = layout.width;
            }
        }
        let missing = REQUIRED.into_iter().find(|column| layout.position(*column).is_none());
        let found = layout.known.len();
        let layout = match (twice, missing) {
            _ if found < LEAST => Err(FileRefusal::NoHeader),
            (Some(column), _) => Err(FileRefusal::ColumnTwice { column }),
            (None, Some(column)) => Err(FileRefusal::ColumnMissing { column }),
            (None, None) => Ok(layout),
        };
        (found, layout)
    }

    /// Whether these cells are the header again, which some exports repeat on each page.
    pub fn is_repeated<'t>(&self, mut title: impl FnMut(usize) -> Option<Cow<'t, str>>) -> bool {
        REQUIRED.into_iter().all(|column| {
            let title = self.position(column).and_then(&mut title);
            title.is_some_and(|title| column_of(&title) == Some(column))
        })
    }

    pub fn position(&self, column: Column) -> Option<usize> {
        self.positions[column as usize]
    }

    /// The column at this position. For an unknown column, or past the end, the nearest known one.
    pub fn column_at(&self, position: usize) -> Column {
        let next = self.known.iter().find(|(at, _)| *at >= position);
        next.or(self.known.last()).map_or(Column::Number, |(_, column)| *column)
    }
}

/// The column that a title matches, if it matches exactly one.
fn column_of(title: &str) -> Option<Column> {
    let tokens = tokens(title);
    if tokens.len() > MAX_TOKENS {
        return None;
    }
    if !tokens.iter().any(|token| matches!(token, Token::Letter(_))) {
        // The title `#` may have a byte-order mark before it, which has no letters.
        return title.contains('#').then_some(Column::Number);
    }
    let mut agreeing = Column::ALL.iter().filter(|column| agrees(&spelling(**column), &tokens));
    let column = agreeing.next().copied()?;
    agreeing.next().is_none().then_some(column)
}

/// A character of a title that counts: case, spaces and punctuation do not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    Letter(u8),
    /// A character that may be damaged: an accented letter, or a part of what it became.
    Damage,
}

fn tokens(title: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    for character in title.chars() {
        let token = match character {
            _ if character.is_ascii_alphanumeric() => {
                Token::Letter(character.to_ascii_lowercase() as u8)
            }
            '?' => Token::Damage,
            _ if character.is_ascii() => continue,
            _ => Token::Damage,
        };
        if token != Token::Damage || !tokens.ends_with(&[Token::Damage; MAX_DAMAGE]) {
            tokens.push(token);
        }
        if tokens.len() > MAX_TOKENS {
            break;
        }
    }
    tokens
}

#[derive(Clone, Copy)]
enum Letter {
    Plain(u8),
    Accented(u8),
}

fn spelling(column: Column) -> Vec<Letter> {
    // The export lacks the accent in these two titles. A clerk may have corrected that.
    let title = match column {
        Column::Period => "Période",
        Column::Preliminary => "Montant Préliminaire",
        other => other.title(),
    };
    title
        .chars()
        .filter_map(|character| match character {
            'é' | 'É' => Some(Letter::Accented(b'e')),
            'À' => Some(Letter::Accented(b'a')),
            'ô' => Some(Letter::Accented(b'o')),
            _ if character.is_ascii_alphanumeric() => {
                Some(Letter::Plain(character.to_ascii_lowercase() as u8))
            }
            _ => None,
        })
        .collect()
}

/// Whether `title` can be a damaged form of `spelling`. An accented letter may be intact, without
/// its accent, damaged or missing. Damage may appear anywhere, and after an accented letter it may
/// have replaced the next letters too.
fn agrees(spelling: &[Letter], title: &[Token]) -> bool {
    match (spelling, title) {
        ([], []) => true,
        ([Letter::Accented(_), ..], [Token::Damage, rest @ ..])
            if (1..=1 + SWALLOWED)
                .any(|taken| spelling.get(taken..).is_some_and(|left| agrees(left, rest))) =>
        {
            true
        }
        (_, [Token::Damage, rest @ ..]) => agrees(spelling, rest),
        ([Letter::Accented(letter), left @ ..], [Token::Letter(found), rest @ ..]) => {
            (letter == found && agrees(left, rest)) || agrees(left, title)
        }
        ([Letter::Accented(_), left @ ..], []) => agrees(left, title),
        ([Letter::Plain(letter), left @ ..], [Token::Letter(found), rest @ ..]) => {
            letter == found && agrees(left, rest)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
