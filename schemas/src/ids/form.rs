//! The text forms of ids. Each function tells whether a text has the form of one kind of id.

use super::{MAX_COMMAND_ID, MAX_SLUG, OWNER_HEX, TICKET_HEX};

// The forms below as regular expressions. A test compares both.
pub(super) const SLUG: &str = "^[a-z0-9-]{1,40}$";
pub(super) const SCOPED_SLUG: &str = r"^[a-z0-9-]{1,40}\.[a-z0-9-]{1,40}$";
pub(super) const TICKET: &str = r"^[a-z0-9-]{1,40}\.[0-9a-f]{32}$";
pub(super) const SCHEDULE: &str = "^[a-z0-9-]{1,40}/[a-z0-9-]{1,40}$";
pub(super) const COMMAND: &str = "^[A-Za-z0-9_.:-]{1,64}$";
pub(super) const RUN: &str = "^r_[0-9a-f]{16}_[0-9a-f]{32}$";
pub(super) const FILE: &str = "^f_[0-9a-f]{32}$";
pub(super) const EVENT: &str = "^e_[0-9a-f]{32}$";
pub(super) const WEBHOOK: &str = "^w_[0-9a-f]{32}$";

pub(super) fn is_slug(text: &str) -> bool {
    (1..=MAX_SLUG).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// No system of record may call itself a program of this project: the names of programs are the
/// sources of their records, and one of them is the source of follow-up commands.
pub(super) fn is_source(text: &str) -> bool {
    is_slug(text) && !text.starts_with("clinicwire")
}

pub(super) fn is_scoped_slug(text: &str) -> bool {
    text.split_once('.').is_some_and(|(location, slug)| is_slug(location) && is_slug(slug))
}

pub(super) fn is_ticket(text: &str) -> bool {
    text.split_once('.')
        .is_some_and(|(location, random)| is_slug(location) && is_hex(random, TICKET_HEX))
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

pub(super) fn is_run(text: &str) -> bool {
    text.strip_prefix("r_")
        .and_then(|rest| rest.split_once('_'))
        .is_some_and(|(owner, random)| is_hex(owner, OWNER_HEX) && is_hex(random, TICKET_HEX))
}

pub(super) fn is_appointment_key(text: &str) -> bool {
    text.strip_prefix("k_").is_some_and(|digest| is_hex(digest, TICKET_HEX))
}

pub(super) fn is_file(text: &str) -> bool {
    text.strip_prefix("f_").is_some_and(|random| is_hex(random, TICKET_HEX))
}

pub(super) fn is_event(text: &str) -> bool {
    text.strip_prefix("e_").is_some_and(|digest| is_hex(digest, TICKET_HEX))
}

pub(super) fn is_webhook(text: &str) -> bool {
    text.strip_prefix("w_").is_some_and(|random| is_hex(random, TICKET_HEX))
}

pub(super) fn is_schedule(text: &str) -> bool {
    text.split_once('/').is_some_and(|(location, doctor)| is_slug(location) && is_slug(doctor))
}

pub(super) fn is_command(text: &str) -> bool {
    (1..=MAX_COMMAND_ID).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.:-".contains(&b))
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    /// A form: its pattern and its function.
    type Form = (&'static str, fn(&str) -> bool);

    const FORMS: [Form; 9] = [
        (SLUG, is_slug),
        (SCOPED_SLUG, is_scoped_slug),
        (TICKET, is_ticket),
        (SCHEDULE, is_schedule),
        (COMMAND, is_command),
        (RUN, is_run),
        (FILE, is_file),
        (EVENT, is_event),
        (WEBHOOK, is_webhook),
    ];

    #[test]
    fn patterns_and_functions_agree() {
        let hex = "0123456789abcdef";
        let long = "a".repeat(MAX_SLUG);
        let texts = [
            "riverside".to_owned(),
            "river side".to_owned(),
            "Riverside".to_owned(),
            String::new(),
            long.clone(),
            format!("{long}a"),
            "riverside.general".to_owned(),
            "riverside.general.x".to_owned(),
            "riverside/dr-roy".to_owned(),
            "riverside/Dr".to_owned(),
            format!("riverside.{hex}{hex}"),
            format!("riverside.{hex}"),
            format!("r_{hex}_{hex}{hex}"),
            format!("r_{hex}_{hex}"),
            format!("f_{hex}{hex}"),
            format!("e_{hex}{hex}"),
            format!("w_{hex}{hex}"),
            format!("w_{hex}"),
            format!("f_{}{}", hex.to_uppercase(), hex),
            "a_b.c:d-e".to_owned(),
            "x".repeat(MAX_COMMAND_ID + 1),
        ];
        for (pattern, is_form) in FORMS {
            let regex = Regex::new(pattern).unwrap();
            for text in &texts {
                assert_eq!(regex.is_match(text), is_form(text), "{pattern} {text}");
            }
        }
    }
}
