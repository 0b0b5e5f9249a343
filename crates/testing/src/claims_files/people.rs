//! Doctors and patients that cannot exist: names built from syllables, and numbers that no register
//! assigns.

/// A doctor. Two spellings of one number are the same doctor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doctor {
    pub number: u64,
    pub spelling: u8,
}

/// A patient. Two spellings of one number are the same patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patient {
    pub number: u64,
    pub spelling: u8,
}

/// The distance between two doctors with the same first seven digits; their last five digits
/// differ.
pub const SAME_FIRST_DIGITS: u64 = 1_000_000;
/// Patients whose numbers differ only below a multiple of this differ only in the twelfth
/// character.
pub const LAST_DIGIT: u64 = 10;

const SYLLABLES: [&str; 24] = [
    "ba", "ché", "dou", "fri", "gla", "hu", "jo", "kré", "lan", "mi", "nou", "pra", "qui", "ro",
    "sté", "ti", "vo", "wé", "xa", "yo", "zu", "bri", "clé", "dra",
];
const SPECIALTIES: [&str; 5] =
    ["Médecine familiale", "Pédiatrie", "Médecine générale", "Gériatrie", "Médecine d'urgence"];

/// Spreads consecutive numbers over 64 bits with the finalizer of SplitMix64.
fn spread(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// Appends three syllables with a capital first letter.
fn push_name(text: &mut String, mut bits: u64) {
    for index in 0..3 {
        let syllable = SYLLABLES[(bits % 24) as usize];
        bits /= 24;
        if index == 0 {
            let (first, rest) = syllable.split_at(1);
            text.push_str(&first.to_ascii_uppercase());
            text.push_str(rest);
        } else {
            text.push_str(syllable);
        }
    }
}

impl Doctor {
    /// Appends `7 digits-5 digits | Last, First - Specialty` with the trailing spaces of exports.
    /// The leading 9 is a class that no doctor has.
    pub fn push_cell(self, text: &mut String) {
        let (first, last) =
            (self.number % SAME_FIRST_DIGITS, self.number / SAME_FIRST_DIGITS % 100_000);
        text.push_str(&format!("{}-{last:05} | ", 9_000_000 + first));
        let bits = spread(self.number ^ (u64::from(self.spelling) << 56));
        push_name(text, bits);
        text.push_str(", ");
        push_name(text, bits >> 16);
        text.push_str(" - ");
        text.push_str(SPECIALTIES[(bits >> 32) as usize % SPECIALTIES.len()]);
        text.push_str(&"    "[..(bits >> 40) as usize % 5]);
    }
}

impl Patient {
    /// Appends `4 letters 8 digits - LAST, FIRST`. The letters are not those of the name, and the
    /// digits have a month between 20 and 49 and a day after the 31st: no register has either.
    pub fn push_cell(self, text: &mut String) {
        let mut rest = self.number;
        let mut digit = |base: u64| {
            let digit = rest % base;
            rest /= base;
            digit
        };
        let (serial, day, month, year) = (digit(100), digit(68), digit(30), digit(100));
        let letters = [digit(26), digit(26)].map(|letter| char::from(b'A' + letter as u8));
        text.push_str(&format!(
            "QZ{}{}{year:02}{:02}{:02}{serial:02} - ",
            letters[1],
            letters[0],
            20 + month,
            32 + day
        ));
        let bits = spread(!self.number ^ (u64::from(self.spelling) << 56));
        let mut name = String::with_capacity(32);
        push_name(&mut name, bits);
        name.push_str(", ");
        push_name(&mut name, bits >> 16);
        text.push_str(&name.to_uppercase());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn doctor(number: u64, spelling: u8) -> String {
        let mut text = String::new();
        Doctor { number, spelling }.push_cell(&mut text);
        text
    }

    fn patient(number: u64, spelling: u8) -> String {
        let mut text = String::new();
        Patient { number, spelling }.push_cell(&mut text);
        text
    }

    #[test]
    fn twelve_characters_identify_a_patient() {
        let keys: BTreeSet<String> =
            (0..50_000).map(|number| patient(number * 7_919, 0)[..12].to_owned()).collect();
        assert_eq!(keys.len(), 50_000);
        assert_eq!(patient(7, 0)[..12], patient(7, 1)[..12]);
        assert_ne!(patient(7, 0), patient(7, 1));
    }

    #[test]
    fn patient_birth_date_is_impossible() {
        for number in (0..1_000_000_000_u64).step_by(999_983) {
            let cell = patient(number, 0);
            let (month, day): (u8, u8) =
                (cell[6..8].parse().unwrap(), cell[8..10].parse().unwrap());
            assert!((20..50).contains(&month) && day > 31, "{cell}");
            assert!(
                cell[..4].bytes().all(|byte| byte.is_ascii_uppercase()) && &cell[12..15] == " - ",
                "{cell}"
            );
        }
    }

    #[test]
    fn neighbouring_patient_differs_in_twelfth_character() {
        let (one, other) = (patient(LAST_DIGIT * 5, 0), patient(LAST_DIGIT * 5 + 1, 0));
        assert_eq!(one[..11], other[..11]);
        assert_ne!(one[..12], other[..12]);
    }

    #[test]
    fn doctor_number_has_seven_and_five_digits() {
        assert!(doctor(42, 0).starts_with("9000042-00000 | "));
        assert!(doctor(42 + SAME_FIRST_DIGITS, 0).starts_with("9000042-00001 | "));
        assert_ne!(doctor(42, 0), doctor(42, 1));
    }
}
