//! The text forms of ids. Each function tells whether a text has the form of one kind of id.

use super::{MAX_COMMAND_ID, MAX_SLUG, OWNER_HEX, TICKET_HEX};

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

pub(super) fn is_schedule(text: &str) -> bool {
    text.split_once('/').is_some_and(|(location, doctor)| is_slug(location) && is_slug(doctor))
}

pub(super) fn is_command(text: &str) -> bool {
    (1..=MAX_COMMAND_ID).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.:-".contains(&b))
}
