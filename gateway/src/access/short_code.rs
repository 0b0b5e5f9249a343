//! Codes that people read from a screen or a slip of paper and type.
//!
//! The alphabet has no vowels, so that no code is a word, and of characters that look alike only
//! one: `2` and not `Z`, `5` and not `S`, `6` and not `G`, `8` and not `B`, and neither `0`, `O`,
//! `1`, `I`, `L` nor `U`. The reader accepts the other character of a pair too.

/// The characters of a code.
const ALPHABET: &[u8; 23] = b"23456789CDFHJKMNPQRTVWX";

/// Writes a code of `LENGTH` characters that is made of these bits, which must be unguessable. The
/// bias of the remainder is below 2^-60 for the lengths in use.
pub fn encode<const LENGTH: usize>(mut bits: u128) -> String {
    let base = ALPHABET.len() as u128;
    let mut code = String::with_capacity(LENGTH);
    for _ in 0..LENGTH {
        code.push(char::from(ALPHABET[(bits % base) as usize]));
        bits /= base;
    }
    code
}

/// Reads a code as people type it: in any case, with spaces and hyphens anywhere. `None` for a
/// text that is no code of this length.
pub fn parse<const LENGTH: usize>(text: &str) -> Option<String> {
    /// A person may put a space between all characters. Nothing longer is read.
    const MOST: usize = 3;
    if text.len() > MOST * LENGTH {
        return None;
    }
    let mut code = String::with_capacity(LENGTH);
    for typed in text.chars().filter(|typed| !matches!(typed, ' ' | '-')) {
        let meant = match typed.to_ascii_uppercase() {
            'Z' => '2',
            'S' => '5',
            'G' => '6',
            'B' => '8',
            other => other,
        };
        u8::try_from(meant).ok().filter(|meant| ALPHABET.contains(meant))?;
        code.push(meant);
    }
    (code.len() == LENGTH).then_some(code)
}

/// The code in two groups with a hyphen, as people see it.
pub fn grouped(code: &str) -> String {
    let (first, second) = code.split_at(code.len() / 2);
    format!("{first}-{second}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn code_is_read_as_it_was_written(bits: u128) {
            let code = encode::<10>(bits);
            prop_assert_eq!(parse::<10>(&code), Some(code.clone()));
            prop_assert_eq!(parse::<10>(&grouped(&code).to_lowercase()), Some(code));
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            if let Some(code) = parse::<8>(&text) {
                prop_assert!(code.len() == 8 && code.bytes().all(|byte| ALPHABET.contains(&byte)));
            }
        }
    }

    #[test]
    fn look_alikes_are_understood_and_other_texts_refused() {
        assert_eq!(parse::<8>("zsgb-2568"), Some("25682568".to_owned()));
        assert_eq!(parse::<8>(" C D F H  2 3 4 5"), Some("CDFH2345".to_owned()));
        let long = " ".repeat(100);
        for bad in ["", "CDFH234", "CDFH23456", "CDFH234O", "CDFH234É", &long] {
            assert_eq!(parse::<8>(bad), None, "{bad}");
        }
    }
}
