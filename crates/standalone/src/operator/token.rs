//! `clinicwire token`: a token of a running clinic, or one that is signed here.

use anyhow::{Context, Result};
use gateway::{access::auth::DevelopmentKey, clock::now};
use gateway_core::access::Role;

use super::{
    Terminal,
    arguments::{TokenArgs, check_subject, role},
};
use crate::{demo::plan, ready, tokens::Signer};

/// How long a token is valid without `--expires-in`.
const MINUTES: u16 = 60;

/// Prints one token.
///
/// # Errors
/// When no role has this name, or no clinic runs here.
pub fn print(arguments: &TokenArgs, terminal: &mut Terminal<'_>) -> Result<()> {
    let token = match &arguments.insecure_development_key {
        Some(words) => sign(arguments, words)?,
        None => read(arguments)?,
    };
    terminal.print(&token);
    Ok(())
}

/// Reads a token from the ready file of a running clinic.
fn read(arguments: &TokenArgs) -> Result<String> {
    let named = arguments.ready_file.clone();
    let path = named.or_else(|| ready::default_path(arguments.port)).context(
        "neither XDG_RUNTIME_DIR nor HOME is set; start clinicwire with --ready-file PATH",
    )?;
    ready::read_token(&path, &arguments.role).context(
        "no token; is a clinic running? Name its --port, or the --ready-file it was started with. \
         Tokens of other roles take --insecure-development-key=WORDS",
    )
}

/// Signs a token with the given words.
fn sign(arguments: &TokenArgs, words: &str) -> Result<String> {
    let given = &arguments.claims;
    let role = role(&arguments.role)?;
    let subject = given.subject.clone().unwrap_or_else(|| match role {
        Role::Source => plan::SOURCE.to_owned(),
        role => role.as_str().to_owned(),
    });
    check_subject(role, &subject)?;
    let tenant = given.tenant.clone().unwrap_or_else(plan::tenant);
    let signer = Signer::new(DevelopmentKey::from_words(words), tenant);
    Ok(signer.sign(role, |claims| {
        claims.subject = subject.into();
        claims.locations.clone_from(&given.locations);
        claims.queues.clone_from(&given.queues);
        claims.tickets.clone_from(&given.tickets);
        claims.appointments.clone_from(&given.appointments);
        claims.doctor.clone_from(&given.doctor);
        claims.expires = now() + i64::from(given.expires_in.unwrap_or(MINUTES)) * 60_000;
    }))
}
