//! The bounds of a location's settings, and the checks of single fields. Processors decide by them,
//! and gateways explain refusals with them.

use std::ops::RangeInclusive;

use crate::codes::Code;

/// Most queues of one location: far more than a hospital site runs, and few enough to keep the
/// header row small. One more queue is refused as `invalid_value`.
pub const MAX_QUEUES: usize = 500;
/// Most stations of one location, for the same reasons and with the same refusal.
pub const MAX_STATIONS: usize = 500;
/// Most displays paired with one location: every screen of a hospital site. One more is refused as
/// `invalid_value`.
pub const MAX_DISPLAYS: usize = 200;
/// Most check-in points of one location: every door and every kiosk of a hospital site. One more is
/// refused as `invalid_value`.
pub const MAX_CHECK_IN_POINTS: usize = 100;
/// Most doctors with a schedule at one location, for the same reasons. A doctor without
/// appointments on the service day makes room for another. When all have some, an appointment of
/// the day with one more doctor is refused as `too_many_doctors`.
pub const MAX_DOCTORS: usize = 1_000;
/// Most live tickets of one location: the largest line that steps, restores and views are measured
/// for, and more people than any site has in its waiting rooms. One more ticket is refused as
/// `location_full`.
pub const MAX_TICKETS: u32 = 10_000;
/// Live tickets to which one queue may be bounded. One more, by a new ticket, a check-in or a move
/// into the queue, is refused as `queue_full`. An undo and the removal of another queue may pass
/// the bound, because nobody who is in a line may lose it.
pub const QUEUE_TICKETS: RangeInclusive<u32> = 1..=MAX_TICKETS;
/// Most languages of one location, between which a board alternates. More are refused as
/// `invalid_value`.
pub const MAX_LANGUAGES: usize = 10;
/// Most messages of the boards of one location: at ten seconds each, more than a waiting person
/// reads. More are refused as `invalid_value`. They also keep the header row small.
pub const MAX_MESSAGES: usize = 8;
/// Seconds that one service may be configured to take: half a minute at a counter to four hours in
/// a theatre.
pub const SERVICE_S: RangeInclusive<u32> = 30..=14_400;

/// Longest free text in a command in characters, such as a name or a reason. Screens show these
/// texts.
pub const MAX_TEXT: usize = 120;
/// The longest language tag that every implementation must accept (RFC 5646 §4.4.1).
const MAX_LANGUAGE_TAG: usize = 35;

/// Checks a name or a reason that screens show: 1 to [`MAX_TEXT`] characters.
///
/// # Errors
/// `invalid_value`
pub fn check_text(text: &str) -> Result<(), Code> {
    let length = text.chars().count();
    let good = length <= MAX_TEXT && !text.trim().is_empty() && !text.chars().any(char::is_control);
    good.then_some(()).ok_or(Code::InvalidValue)
}

/// Checks the letters that the labels of a queue begin with: 1 to 4 of A to Z and 0 to 9.
///
/// # Errors
/// `invalid_value`
pub fn check_prefix(prefix: &str) -> Result<(), Code> {
    let good = (1..=4).contains(&prefix.len())
        && prefix.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    good.then_some(()).ok_or(Code::InvalidValue)
}

/// Checks the language tags of a location.
///
/// # Errors
/// `invalid_value`
pub fn check_languages(languages: &[String]) -> Result<(), Code> {
    let good = (1..=MAX_LANGUAGES).contains(&languages.len())
        && languages.iter().all(|tag| is_language(tag));
    good.then_some(()).ok_or(Code::InvalidValue)
}

/// Whether the text has the form of a BCP 47 tag: a language of 2 to 8 letters, then subtags of up
/// to 8 letters or digits.
pub(crate) fn is_language(tag: &str) -> bool {
    let mut subtags = tag.split('-');
    let language = subtags.next().unwrap_or_default();
    tag.len() <= MAX_LANGUAGE_TAG
        && (2..=8).contains(&language.len())
        && language.bytes().all(|b| b.is_ascii_alphabetic())
        && subtags.all(|tag| {
            (1..=8).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_what_a_screen_can_show() {
        let longest = "𝕐".repeat(MAX_TEXT);
        for good in ["a", " General medicine ", longest.as_str()] {
            assert_eq!(check_text(good), Ok(()), "{good}");
        }
        for bad in ["", " ", "a\nb", "a\u{7f}", &format!("{longest}a")] {
            assert_eq!(check_text(bad), Err(Code::InvalidValue), "{bad:?}");
        }
    }

    #[test]
    fn labels_begin_with_few_letters_and_digits() {
        for good in ["A", "Z9", "0", "ABCD"] {
            assert_eq!(check_prefix(good), Ok(()), "{good}");
        }
        for bad in ["", "a", "A-", "É", "ABCDE"] {
            assert_eq!(check_prefix(bad), Err(Code::InvalidValue), "{bad}");
        }
    }

    #[test]
    fn languages_are_tags() {
        let longest = "en-12345678-12345678-12345678-abcdef";
        let tags = |tag: &str, count| check_languages(&vec![tag.to_owned(); count]);
        for good in ["fr", "fr-CA", "hi", "zh-Hant-TW", "es-419", &longest[..MAX_LANGUAGE_TAG]] {
            assert_eq!(tags(good, 1), Ok(()), "{good}");
        }
        for bad in ["", "f", "abcdefghi", "f1", "fr-", "fr--CA", "fr_CA", "fr-123456789", longest] {
            assert_eq!(tags(bad, 1), Err(Code::InvalidValue), "{bad}");
        }
        assert_eq!(tags("fr", MAX_LANGUAGES), Ok(()));
        for count in [0, MAX_LANGUAGES + 1] {
            assert_eq!(tags("fr", count), Err(Code::InvalidValue), "{count}");
        }
    }
}
