//! The formats of cells, parsed from the bytes of the file. Each format is ASCII in every supported
//! encoding.

use crate::row::{Day, DoctorKey, PatientKey};

/// The cell does not have the format of its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MalformedCell;

/// A parsed cell. `None` for an empty one.
pub type CellResult<T> = Result<Option<T>, MalformedCell>;

/// Most digits of a count, and of an amount before its decimal mark. A longer amount would not fit
/// into 64 bits as cents.
const MAX_DIGITS: usize = 15;

/// Whether a character around a text counts for nothing: a space of any kind, a mark without a
/// width (zero-width space, word joiner, byte-order mark), or 0x1A, with which DOS ends a file.
pub fn is_space(character: char) -> bool {
    character.is_whitespace()
        || matches!(character, '\u{1a}' | '\u{200b}' | '\u{2060}' | '\u{feff}')
}

/// The cell without surrounding spaces: those of UTF-8 (see [`is_space`]), and the no-break space
/// of Windows-1252.
pub fn trim(cell: &[u8]) -> &[u8] {
    let mut cell = cell;
    while let Some(space) = first_space(cell) {
        cell = &cell[space..];
    }
    while let Some(space) = last_space(cell) {
        cell = &cell[..cell.len() - space];
    }
    cell
}

/// Bytes of the space that the cell begins with.
fn first_space(cell: &[u8]) -> Option<usize> {
    let first = *cell.first()?;
    if first.is_ascii() {
        return is_space(first.into()).then_some(1);
    }
    let longest = &cell[..cell.len().min(4)];
    let character = longest.utf8_chunks().next()?.valid().chars().next();
    match character {
        Some(character) => is_space(character).then_some(character.len_utf8()),
        None => (first == NO_BREAK).then_some(1),
    }
}

/// Bytes of the space that the cell ends with.
fn last_space(cell: &[u8]) -> Option<usize> {
    let last = *cell.last()?;
    if last.is_ascii() {
        return is_space(last.into()).then_some(1);
    }
    let utf8 = (2..=cell.len().min(4)).find_map(|bytes| {
        let mut characters = std::str::from_utf8(&cell[cell.len() - bytes..]).ok()?.chars();
        characters.next().filter(|_| characters.next().is_none())
    });
    match utf8 {
        Some(character) => is_space(character).then_some(character.len_utf8()),
        None => (last == NO_BREAK).then_some(1),
    }
}

/// The no-break space of Windows-1252.
const NO_BREAK: u8 = 0xA0;

/// A number of `least` to `most` digits and nothing else.
fn number(digits: &[u8], least: usize, most: usize) -> Result<u64, MalformedCell> {
    if digits.len() < least || digits.len() > most || !digits.iter().all(u8::is_ascii_digit) {
        return Err(MalformedCell);
    }
    Ok(digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// Parses `YYYY-MM-DD`, a day that exists.
pub fn date(cell: &[u8]) -> CellResult<Day> {
    if cell.is_empty() {
        return Ok(None);
    }
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *cell else { return Err(MalformedCell) };
    let year = number(&[y1, y2, y3, y4], 4, 4)? as i16;
    let month = number(&[m1, m2], 2, 2)? as u8;
    let day = number(&[d1, d2], 2, 2)? as u8;
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => return Err(MalformedCell),
    };
    if day == 0 || day > days {
        return Err(MalformedCell);
    }
    Ok(Some(Day { year, month, day }))
}

/// Parses `HH:MM`, or `H:MM` as spreadsheets write it, into minutes since midnight.
pub fn time(cell: &[u8]) -> CellResult<u16> {
    let (hour, minute) = match *cell {
        [] => return Ok(None),
        [hour, b':', m1, m2] => (number(&[hour], 1, 1)?, number(&[m1, m2], 2, 2)?),
        [h1, h2, b':', m1, m2] => (number(&[h1, h2], 2, 2)?, number(&[m1, m2], 2, 2)?),
        _ => return Err(MalformedCell),
    };
    if hour > 23 || minute > 59 {
        return Err(MalformedCell);
    }
    Ok(Some((hour * 60 + minute) as u16))
}

/// Parses five digits.
pub fn place(cell: &[u8]) -> CellResult<u32> {
    if cell.is_empty() { Ok(None) } else { number(cell, 5, 5).map(|place| Some(place as u32)) }
}

/// Parses four or five digits. A leading zero does not make another code.
pub fn code(cell: &[u8]) -> CellResult<u32> {
    if cell.is_empty() { Ok(None) } else { number(cell, 4, 5).map(|code| Some(code as u32)) }
}

/// Splits the sign off. Spreadsheets also write U+2212 for minus.
fn signed(cell: &[u8]) -> (i64, &[u8]) {
    let rest = cell.strip_prefix(b"-").or_else(|| cell.strip_prefix("\u{2212}".as_bytes()));
    rest.map_or((1, cell), |rest| (-1, rest))
}

/// Parses a whole number.
pub fn units(cell: &[u8]) -> CellResult<i64> {
    if cell.is_empty() {
        return Ok(None);
    }
    let (sign, digits) = signed(cell);
    Ok(Some(sign * number(digits, 1, MAX_DIGITS)? as i64))
}

/// Parses an amount into cents: a decimal comma or point, at most two decimals, spaces only between
/// groups of three digits, optionally a `$` at the end. An ambiguous text (`1,234`) is no amount.
pub fn money(cell: &[u8]) -> CellResult<i64> {
    if cell.is_empty() {
        return Ok(None);
    }
    let cell = cell.strip_suffix(b"$").map_or(cell, trim);
    let (sign, unsigned) = signed(cell);
    let (whole, decimals) = match unsigned.iter().rposition(|byte| matches!(byte, b',' | b'.')) {
        Some(mark) => (&unsigned[..mark], &unsigned[mark + 1..]),
        None => (unsigned, &[][..]),
    };
    if unsigned.len() > whole.len() && decimals.is_empty() {
        return Err(MalformedCell);
    }
    let cents = match decimals.len() {
        0 => 0,
        1 => 10 * number(decimals, 1, 1)?,
        _ => number(decimals, 2, 2)?,
    };
    Ok(Some(sign * (grouped(whole)? * 100 + cents) as i64))
}

/// Parses a whole number whose digits may be in groups of three.
fn grouped(digits: &[u8]) -> Result<u64, MalformedCell> {
    if digits.iter().all(u8::is_ascii_digit) {
        return number(digits, 1, MAX_DIGITS);
    }
    let (mut rest, mut total, mut scale) = (digits, 0, 0);
    while let Some((before, group)) = last_group(rest) {
        total += number(group, 3, 3)? * 10_u64.pow(scale);
        scale += 3;
        rest = before;
        if scale as usize + 3 > MAX_DIGITS {
            return Err(MalformedCell);
        }
    }
    Ok(number(rest, 1, 3)? * 10_u64.pow(scale) + total)
}

/// Splits digits at the last space, which may be thin, narrow, of the width of a digit, or a
/// no-break space.
fn last_group(digits: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = digits.iter().rposition(|byte| !byte.is_ascii_digit())?;
    let (before, group) = (&digits[..=end], &digits[end + 1..]);
    let spaces: [&[u8]; 6] = [
        b" ",
        "\u{202f}".as_bytes(),
        "\u{2007}".as_bytes(),
        "\u{2009}".as_bytes(),
        "\u{a0}".as_bytes(),
        &[NO_BREAK],
    ];
    // Any other character stays in the group, which then is no number.
    Some(
        spaces
            .iter()
            .find_map(|space| before.strip_suffix(*space))
            .map_or((before, digits), |before| (before, group)),
    )
}

/// Whether the identifier ends here, and the rest of the cell is only a description.
fn ends(rest: &[u8]) -> bool {
    rest.first().is_none_or(|byte| !byte.is_ascii_alphanumeric())
}

/// Parses `7 digits-5 digits`. A name may follow.
pub fn doctor(cell: &[u8]) -> CellResult<DoctorKey> {
    if cell.is_empty() {
        return Ok(None);
    }
    let (number_of, rest) = cell.split_at_checked(13).ok_or(MalformedCell)?;
    if number_of[7] != b'-' || !ends(rest) {
        return Err(MalformedCell);
    }
    let (person, role) = (number(&number_of[..7], 7, 7)?, number(&number_of[8..], 5, 5)?);
    Ok(Some(DoctorKey(person * 100_000 + role)))
}

/// Parses `4 letters 8 digits`, without regard to case. A name may follow.
pub fn patient(cell: &[u8]) -> CellResult<PatientKey> {
    if cell.is_empty() {
        return Ok(None);
    }
    let (key, rest) = cell.split_first_chunk::<12>().ok_or(MalformedCell)?;
    let (letters, digits) = key.split_at(4);
    if !letters.iter().all(u8::is_ascii_alphabetic)
        || !digits.iter().all(u8::is_ascii_digit)
        || !ends(rest)
    {
        return Err(MalformedCell);
    }
    Ok(Some(PatientKey(key.map(|byte| byte.to_ascii_uppercase()))))
}

/// Longest cell that may be a date or a time in another form.
const MAX_FORM: usize = 32;

/// The form of a date or a time that a clerk can recognise, such as `00/00/0000`: each digit
/// becomes `0`. Up to two letters stay (`0h00`); of more, each becomes `x`. So no content of the
/// row is left. `None` for a text in the right form whose value is impossible, or for no date or
/// time.
pub fn other_form(cell: &[u8], right: &[&str]) -> Option<String> {
    let text = std::str::from_utf8(cell).ok().filter(|text| text.len() <= MAX_FORM)?;
    if !text.starts_with(|first: char| first.is_ascii_digit()) || text.chars().any(char::is_control)
    {
        return None;
    }
    let count = |is: fn(&char) -> bool| text.chars().filter(is).count();
    let (digits, letters) = (count(char::is_ascii_digit), count(|c| c.is_alphabetic()));
    let form: String = text
        .chars()
        .map(|character| match character {
            '0'..='9' => '0',
            letter if letter.is_alphabetic() && letters > 2 => 'x',
            other => other,
        })
        .collect();
    (digits >= 2 && !right.contains(&&*form)).then_some(form)
}

#[cfg(test)]
mod tests;
