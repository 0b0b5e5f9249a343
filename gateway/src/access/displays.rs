//! Pairing of displays, and their credential.
//!
//! A pairing is kept in the short-lived keys for some minutes: a lost one costs a new code on the
//! screen. Which displays are paired is state of their location, which alone decides whether a
//! credential is renewed.

use std::time::Duration;

use gateway_core::access::{Claims, Credential, Origin, Role};
use schemas::{
    Millis,
    access::{MAX_TOKEN_LIFE_MS, TargetKind},
    codes::Code,
    ids::{CheckInPointId, DisplayId, LocationId, TenantId},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{own_tokens::DISPLAY_LIFE_MS, short_code};
use crate::{
    backends::short_keys::{self, ShortKeys},
    random,
};

/// Characters of a pairing code: 7.8 × 10^10 codes. A person who guesses a code gains only one
/// thing: another clinic's screen shows the wrong board.
const CODE_LENGTH: usize = 8;
/// How long a screen shows a code. Staff walk to the desk and type it.
pub const PAIRING_TTL: Duration = Duration::from_mins(10);
/// How long one approval locks others out: longer than a location takes to decide, and short enough
/// to try again after a node was lost.
const APPROVING_TTL: Duration = Duration::from_secs(30);
/// Codes that are drawn until one is free. The second is nearly always free.
const CODE_ATTEMPTS: u8 = 3;
/// For how long a display may be switched off and still return by itself. A revocation is kept for
/// as long, so that it is never forgotten before the credentials that it ends.
const RENEWABLE_MS: Millis = MAX_TOKEN_LIFE_MS;
/// How long a used generation may be used again: the answer was lost, and the screen repeats its
/// request. A later use means that the credential was copied.
const REPEAT_WITHIN_MS: Millis = 10 * 60_000;
/// How long a used generation is remembered: longer than any credential of it can be renewed.
const GENERATION_TTL: Duration = Duration::from_hours(31 * 24);
/// How far the clock of the log may be behind ours. A credential counts as issued this much
/// earlier, so that a revocation that follows it always ends it.
const CLOCK_SKEW_MS: Millis = 60_000;

/// A pairing that a screen began: the code that it shows, and the secret that it keeps.
pub struct NewPairing {
    pub code: String,
    pub secret: String,
}

/// A pairing as the short-lived keys hold it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Pairing {
    /// The SHA-256 of the screen's secret, in hexadecimal digits.
    secret: String,
    pub approval: Option<Approval>,
}

/// The approval of a pairing: the staff member, the tenant and the display.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    pub tenant: TenantId,
    pub display: DisplayId,
    pub name: String,
    /// The check-in point whose kiosk the screen becomes.
    #[serde(default)]
    pub check_in_point: Option<CheckInPointId>,
    /// The subject who approved it.
    pub by: String,
}

impl Pairing {
    /// Whether the secret is the one of the screen that began the pairing.
    pub fn is_of(&self, secret: &str) -> bool {
        self.secret == digest(secret)
    }

    /// The display that the screen becomes. It is computed from the screen's secret, so that a
    /// repeated approval after a lost answer pairs the same display.
    pub fn display(&self, tenant: &TenantId, location: &LocationId) -> DisplayId {
        let mut hash = Sha256::new();
        for part in ["display", &self.secret, tenant.as_str(), location.as_str()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let bits = u64::from_be_bytes(*hash.finalize().first_chunk().expect("32 bytes"));
        DisplayId::from_random(location, bits)
    }
}

fn digest(secret: &str) -> String {
    Sha256::digest(secret).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Begins a pairing.
///
/// # Errors
/// `try_again` when the short-lived keys do not answer.
pub async fn begin(keys: &dyn ShortKeys) -> Result<NewPairing, Code> {
    let secret = format!("{:032x}", random::bits()?);
    let pairing = stored(&Pairing { secret: digest(&secret), approval: None });
    for _ in 0..CODE_ATTEMPTS {
        let code = short_code::encode::<CODE_LENGTH>(random::bits()?);
        let key = key_of(&code);
        let claimed = keys.claim(&key, &pairing, PAIRING_TTL);
        if short_keys::answer(claimed).await?.is_none() {
            return Ok(NewPairing { code: short_code::grouped(&code), secret });
        }
    }
    Err(Code::TryAgain)
}

/// Reads a typed code.
///
/// # Errors
/// `pairing_unknown` for a text that is no code.
pub fn read_code(typed: &str) -> Result<String, Code> {
    short_code::parse::<CODE_LENGTH>(typed).ok_or(Code::PairingUnknown)
}

/// The pairing with this code.
///
/// # Errors
/// `pairing_unknown` and `try_again`.
pub async fn find(keys: &dyn ShortKeys, code: &str) -> Result<Pairing, Code> {
    let held = short_keys::answer(keys.get(&key_of(code))).await?.ok_or(Code::PairingUnknown)?;
    serde_json::from_str(&held).map_err(|_| Code::Internal)
}

/// Locks the pairing against other approvals while one is under way.
///
/// # Errors
/// `pairing_taken` when another approval is under way, and `try_again`.
pub async fn lock(keys: &dyn ShortKeys, code: &str) -> Result<(), Code> {
    match short_keys::answer(keys.claim(&lock_of(code), "approving", APPROVING_TTL)).await? {
        None => Ok(()),
        Some(_) => Err(Code::PairingTaken),
    }
}

/// Removes the lock. A lock that cannot be removed expires.
pub async fn unlock(keys: &dyn ShortKeys, code: &str) {
    let _ = short_keys::answer(keys.take(&lock_of(code))).await;
}

/// Stores the approval for the screen to find.
///
/// # Errors
/// `try_again` when the short-lived keys do not answer.
pub async fn approve(
    keys: &dyn ShortKeys,
    code: &str,
    pairing: Pairing,
    approval: Approval,
) -> Result<(), Code> {
    let approved = stored(&Pairing { approval: Some(approval), ..pairing });
    short_keys::answer(keys.put(&key_of(code), &approved, PAIRING_TTL)).await
}

fn stored(pairing: &Pairing) -> String {
    serde_json::to_string(pairing).expect("a pairing has a JSON form")
}

fn key_of(code: &str) -> String {
    format!("pairing:{code}")
}

fn lock_of(code: &str) -> String {
    format!("approving:{code}")
}

/// The claims of a display's credential. Its subject is the id of the display. `role` is that of a
/// display or, for a kiosk, that of a check-in point.
pub fn claims(
    tenant: &TenantId,
    display: &DisplayId,
    role: Role,
    generation: u32,
    now: Millis,
) -> Claims {
    let mut origin = Origin::new(tenant, display.as_str(), now - CLOCK_SKEW_MS);
    origin.add(tenant, TargetKind::Device, display.as_str());
    origin.credential = Credential::Display { generation };
    origin.renewable_until = now + RENEWABLE_MS;
    Claims {
        tenant: tenant.clone(),
        subject: display.as_str().into(),
        role,
        locations: vec![display.location()],
        queues: Vec::new(),
        tickets: Vec::new(),
        appointments: Vec::new(),
        doctor: None,
        expires: now + DISPLAY_LIFE_MS,
        origin,
    }
}

/// The display behind claims that [`claims`] made, and the generation of its credential.
pub fn credential_of(claims: &Claims) -> Option<(DisplayId, u32)> {
    match claims.origin.credential {
        Credential::Display { generation } => {
            Some((DisplayId::new(claims.subject.clone()).ok()?, generation))
        }
        Credential::Issued | Credential::TicketLink => None,
    }
}

/// Uses up a generation of a display's credential. While the short-lived keys are lost, copies are
/// not noticed; nothing else depends on them.
///
/// # Errors
/// `credential_reused` when it was used up before, and `try_again`.
pub async fn use_up(
    keys: &dyn ShortKeys,
    tenant: &TenantId,
    display: &DisplayId,
    generation: u32,
    now: Millis,
) -> Result<(), Code> {
    let key = format!("display:{tenant}:{display}:{generation}");
    let moment = now.to_string();
    let claimed = keys.claim(&key, &moment, GENERATION_TTL);
    let Some(used) = short_keys::answer(claimed).await? else { return Ok(()) };
    let used: Millis = used.parse().map_err(|_| Code::Internal)?;
    if now - used <= REPEAT_WITHIN_MS { Ok(()) } else { Err(Code::CredentialReused) }
}
