//! The header row: which cell of a record belongs to which column, however its title was damaged on the way.

use schemas::rule::Column;

use super::Refusal;

/// Columns without which a file is no such export: every column that is typed for the rules, and the two that name a
/// row to people. Short exports have these too; the others a tidy clerk may have cut away.
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

/// With fewer titles than this recognised, the first row is no header at all rather than one that lacks columns.
const LEAST: usize = 5;
/// The longest title has 56 letters; what has more than this is none of them, and costs nothing to compare.
const MAX_TOKENS: usize = 100;
/// Damaged characters in a row that are told apart, two for each of two accents; more say nothing more.
const MAX_DAMAGE: usize = 4;
/// A decoder that takes an accent for the lead of a longer sequence swallows up to this many letters behind it.
const SWALLOWED: usize = 3;

/// Where each column stands.
pub struct Layout {
    /// By column; `None` where the file lacks it.
    positions: [Option<usize>; Column::ALL.len()],
    /// In the file's order.
    known: Vec<(usize, Column)>,
    /// Cells of the header, and so of every row.
    pub width: usize,
}

impl Layout {
    /// Finds every column among the titles, and how many were recognised.
    ///
    /// # Errors
    /// A column that is there twice or missing, or a row that is no header.
    pub fn find<'t>(titles: impl Iterator<Item = &'t str>) -> (usize, Result<Self, Refusal>) {
        let mut layout = Self { positions: [None; Column::ALL.len()], known: Vec::new(), width: 0 };
        let mut twice = None;
        for title in titles {
            if let Some(column) = column_of(title) {
                layout.known.push((layout.width, column));
                let before = layout.positions[column as usize].replace(layout.width);
                twice = twice.or(before.map(|_| column));
            }
            layout.width += 1;
        }
        let missing = REQUIRED.into_iter().find(|column| layout.position(*column).is_none());
        let found = layout.known.len();
        let layout = match (twice, missing) {
            _ if found < LEAST => Err(Refusal::NoHeader),
            (Some(column), _) => Err(Refusal::ColumnTwice { column }),
            (None, Some(column)) => Err(Refusal::ColumnMissing { column }),
            (None, None) => Ok(layout),
        };
        (found, layout)
    }

    pub fn position(&self, column: Column) -> Option<usize> {
        self.positions[column as usize]
    }

    /// The column at this position; where that is an extra one, or none, the nearest one that has a name.
    pub fn column_at(&self, position: usize) -> Column {
        let next = self.known.iter().find(|(at, _)| *at >= position);
        next.or(self.known.last()).map_or(Column::Number, |(_, column)| *column)
    }
}

/// The one column a title agrees with, if it is one.
fn column_of(title: &str) -> Option<Column> {
    let tokens = tokens(title);
    if tokens.len() > MAX_TOKENS {
        return None;
    }
    if !tokens.iter().any(|token| matches!(token, Token::Letter(_))) {
        // Whatever is glued to it, a mark of the byte order mostly, has no letters.
        return title.contains('#').then_some(Column::Number);
    }
    let mut agreeing = Column::ALL.iter().filter(|column| agrees(&spelling(**column), &tokens));
    let column = agreeing.next().copied()?;
    agreeing.next().is_none().then_some(column)
}

/// What is left of a title without case, spaces and punctuation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    Letter(u8),
    /// A character that may be damage: an accented letter, or part of what became of one.
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
    // The export writes these two without the accent that belongs there; a hand may have put it right.
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

/// Whether the title can be what became of the spelling. An accented letter may be there, or without its accent, or
/// damaged, or gone; damage may stand anywhere, and after an accented letter it may have swallowed the next ones.
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
