//! The end of a certificate (RFC 5280 §4.1.2.5). rustls judges it for clients only.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

const SEQUENCE: u8 = 0x30;
/// The version of a certificate, which is optional.
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The moment `notAfter`, in seconds since 1970. `None` when these bytes are no certificate.
pub(super) fn not_after(certificate: &[u8]) -> Option<i64> {
    let (to_be_signed, _) = sequence(sequence(certificate)?.0)?;
    let mut rest = to_be_signed;
    if rest.first() == Some(&VERSION) {
        rest = element(rest)?.2;
    }
    // Serial number, algorithm, issuer.
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (_, _, not_after) = element(sequence(rest)?.0)?;
    let (tag, text, _) = element(not_after)?;
    let text = std::str::from_utf8(text).ok()?;
    let text = match tag {
        // Years from 50 on are of the last century.
        UTC_TIME => format!("{}{text}", if text.get(..2)? < "50" { "20" } else { "19" }),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let time = DateTime::strptime("%Y%m%d%H%M%SZ", text).ok()?;
    TimeZone::UTC.to_timestamp(time).ok().map(Timestamp::as_second)
}

/// The content of a sequence, and what follows it.
fn sequence(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = element(bytes)?;
    (tag == SEQUENCE).then_some((content, rest))
}

/// The first element of DER: its tag, its content, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // The number of bytes of the length. Certificates have at most 16 MB.
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag, 0x82][..], &(content.len() as u16).to_be_bytes(), content].concat()
    }

    fn certificate(version: &[u8], tag: u8, not_after: &str) -> Vec<u8> {
        let validity = [der(UTC_TIME, b"200101000000Z"), der(tag, not_after.as_bytes())].concat();
        let others = [der(2, &[1]), der(SEQUENCE, &[]), der(SEQUENCE, &[])].concat();
        let to_be_signed = [version, &others, &der(SEQUENCE, &validity)].concat();
        der(SEQUENCE, &der(SEQUENCE, &to_be_signed))
    }

    #[test]
    fn end_is_read_in_both_forms() {
        let version = der(VERSION, &[2, 1, 2]);
        for (bytes, seconds) in [
            (certificate(&version, UTC_TIME, "261128190000Z"), Some(1_795_892_400)),
            (certificate(&[], UTC_TIME, "261128190000Z"), Some(1_795_892_400)),
            (certificate(&version, UTC_TIME, "700101000000Z"), Some(0)),
            (certificate(&version, GENERALIZED_TIME, "20501128190000Z"), Some(2_553_274_800)),
            (certificate(&version, GENERALIZED_TIME, "never"), None),
            (certificate(&version, 4, "261128190000Z"), None),
            (b"-----BEGIN".to_vec(), None),
        ] {
            assert_eq!(not_after(&bytes), seconds, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(
            cut in 0usize..200, flip in 0usize..200, with in any::<u8>(),
        ) {
            let mut bytes = certificate(&der(VERSION, &[2, 1, 2]), UTC_TIME, "261128190000Z");
            bytes.truncate(cut);
            if let Some(byte) = bytes.get_mut(flip) {
                *byte = with;
            }
            let _ = not_after(&bytes);
        }
    }
}
