//! Bookings that patients check in alone: the code of an appointment, and keyed digests of the
//! factors that its patient enters with the code.
//! The short-lived keys map each code to its appointment, as they map each ticket's code to its
//! ticket. They hold no year of birth and no number, only MACs that are made with a secret of the
//! nodes and with the appointment, so that equal values look different. When the keys are lost, a
//! code works again once its source reports the booking again.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use schemas::{
    Millis,
    appointment_report::CheckInKeys,
    check_in::CheckInFactor,
    codes::Code,
    ids::{AppointmentId, SourceId, TICKET_HEX, TenantId},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::short_code;
use crate::{
    backends::quota::{Quota, Spent},
    backends::short_keys::{self, ShortKeys},
};

/// Characters of a code that is derived: 7.8 × 10^10 codes for each tenant. Guesses are limited for
/// each code, address and check-in point.
const CODE_LENGTH: usize = 8;
/// Characters of a code that a source has given.
const GIVEN_LENGTH: std::ops::RangeInclusive<usize> = 6..=16;
/// Codes that are tried for one booking when others have the first.
const CODE_ATTEMPTS: u8 = 3;
/// How long after its start a booking is kept, so that a patient who comes too late gets that
/// answer.
const KEEP_AFTER_MS: Millis = 2 * 24 * 60 * 60 * 1000;
/// The longest and the shortest time for which a booking is kept: a year ahead, and a day for one
/// that lacks its times.
const KEEP_S: std::ops::RangeInclusive<u64> = 24 * 60 * 60..=400 * 24 * 60 * 60;
/// Appointments of one person that are stored together. More are checked in by their own codes.
const MAX_TOGETHER: usize = 8;
/// Attempts with one code in an hour, right or wrong, on all nodes together: a person needs two and
/// may mistype, and guessing a year of birth takes most of a day. One more is refused as
/// `too_many_failures`; the patient is then checked in at the desk.
const ATTEMPTS: u32 = 10;
const ATTEMPTS_S: u32 = 3600;
/// Longest key of a patient in bytes.
const MAX_PERSON: usize = 100;
/// Bytes of a MAC: 128 bits.
const MAC_BYTES: usize = 16;

/// A booking as the short-lived keys hold it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Booking {
    pub appointment: AppointmentId,
    /// The MAC of each factor that the source reported.
    factors: BTreeMap<CheckInFactor, String>,
    /// The MAC of the source's key of the patient.
    person: Option<String>,
}

/// A booking and the code by which a client named it.
pub struct NamedBooking {
    /// The code in its normal form.
    pub code: String,
    pub booking: Booking,
}

/// Makes codes and digests of bookings, and checks them.
#[derive(Clone)]
pub struct BookingKey(Hmac<Sha256>);

impl BookingKey {
    /// `secret` is that of the nodes' grants.
    pub fn new(secret: &[u8; 32]) -> Self {
        let secret =
            Sha256::new().chain_update(secret).chain_update("clinicwire bookings").finalize();
        Self(Hmac::new_from_slice(&secret).expect("HMAC takes a key of any length"))
    }

    /// Each part is preceded by its length, so that no two inputs are equal.
    fn mac(&self, parts: &[&str]) -> String {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        URL_SAFE_NO_PAD.encode(&mac.finalize().into_bytes()[..MAC_BYTES])
    }

    fn derived(&self, tenant: &TenantId, appointment: &AppointmentId, attempt: u8) -> String {
        let mut mac = self.0.clone();
        // The location is left out: the code stays when the appointment moves.
        mac.update(format!("code {attempt} {tenant} {}", digits(appointment)).as_bytes());
        let bytes = mac.finalize().into_bytes();
        let bits = u128::from_be_bytes(*bytes.first_chunk().expect("a MAC has 32 bytes"));
        short_code::encode::<CODE_LENGTH>(bits)
    }

    fn factor(&self, appointment: &AppointmentId, factor: CheckInFactor, value: &str) -> String {
        self.mac(&["factor", digits(appointment), factor.as_str(), value])
    }

    /// The digest of a client's address, the same on every node.
    pub fn address(&self, address: &str) -> String {
        self.mac(&["address", address])
    }

    /// The booking of a report, with digests in place of values.
    ///
    /// # Errors
    /// `invalid_value` for a value that no patient can tell.
    pub fn booking(
        &self,
        source: &SourceId,
        appointment: &AppointmentId,
        keys: &CheckInKeys,
    ) -> Result<Booking, Code> {
        let mut factors = BTreeMap::new();
        for (factor, value) in [
            (CheckInFactor::BirthYear, &keys.birth_year),
            (CheckInFactor::BirthDate, &keys.birth_date),
            (CheckInFactor::PhoneEnd, &keys.phone_end),
        ] {
            if let Some(value) = value {
                let value = factor.parse(value).ok_or(Code::InvalidValue)?;
                factors.insert(factor, self.factor(appointment, factor, &value));
            }
        }
        let person = keys.person.as_deref().map(|key| self.mac(&["person", source.as_str(), key]));
        Ok(Booking { appointment: appointment.clone(), factors, person })
    }

    /// Stores a booking under its code, and returns the code as people read it: the given one, or
    /// the derived one when another booking has that.
    ///
    /// # Errors
    /// `try_again` when the short-lived keys do not answer.
    pub async fn store(
        &self,
        keys: &dyn ShortKeys,
        tenant: &TenantId,
        booking: &Booking,
        given: Option<&str>,
        start: Option<Millis>,
        now: Millis,
    ) -> Result<String, Code> {
        let ttl = ttl(start, now);
        let given = given.and_then(normal).into_iter();
        let derived = (0..CODE_ATTEMPTS).map(|n| self.derived(tenant, &booking.appointment, n));
        let value = serde_json::to_string(booking).expect("a booking has a JSON form");
        for code in given.chain(derived) {
            let key = key_of(tenant, &code);
            let held = short_keys::answer(keys.claim(&key, &value, ttl)).await?;
            let held = held.map(|held| read(&held)).transpose()?;
            let is_own = held
                .as_ref()
                .is_none_or(|held| digits(&held.appointment) == digits(&booking.appointment));
            if is_own {
                if held.is_some() {
                    short_keys::answer(keys.put(&key, &value, ttl)).await?;
                }
                self.join(keys, tenant, booking, &code, ttl).await?;
                return Ok(shown(&code));
            }
        }
        Err(Code::TryAgain)
    }

    /// Adds the code to those of the same person. Two reports at the same moment can lose one of
    /// them, which then is checked in by its own code.
    async fn join(
        &self,
        keys: &dyn ShortKeys,
        tenant: &TenantId,
        booking: &Booking,
        code: &str,
        ttl: Duration,
    ) -> Result<(), Code> {
        let Some(person) = &booking.person else { return Ok(()) };
        let mut codes = codes_of(keys, tenant, person).await?;
        codes.retain(|known| known != code);
        codes.push(code.to_owned());
        let codes = &codes[codes.len().saturating_sub(MAX_TOGETHER)..];
        let value = serde_json::to_string(codes).expect("codes have a JSON form");
        short_keys::answer(keys.put(&person_key(tenant, person), &value, ttl)).await
    }

    /// The booking with a typed code, if the factor entered with it is right. Neither the answer
    /// nor the reads distinguish a wrong code from a wrong factor.
    ///
    /// # Errors
    /// `no_appointment_found` and `try_again`.
    pub async fn prove(
        &self,
        keys: &dyn ShortKeys,
        tenant: &TenantId,
        code: &str,
        factor: CheckInFactor,
        told: &str,
    ) -> Result<NamedBooking, Code> {
        let booking = find(keys, tenant, code).await?.ok_or(Code::NoAppointmentFound)?;
        let told = factor.parse(told).ok_or(Code::NoAppointmentFound)?;
        let is_proved = factor == CheckInFactor::None
            || booking
                .factors
                .get(&factor)
                .is_some_and(|held| *held == self.factor(&booking.appointment, factor, &told));
        if !is_proved {
            return Err(Code::NoAppointmentFound);
        }
        Ok(NamedBooking { code: code.to_owned(), booking })
    }

    /// The other bookings of the same person.
    ///
    /// # Errors
    /// `try_again` when the short-lived keys do not answer.
    pub async fn others(
        &self,
        keys: &dyn ShortKeys,
        tenant: &TenantId,
        named: &NamedBooking,
    ) -> Result<Vec<NamedBooking>, Code> {
        let Some(person) = &named.booking.person else { return Ok(Vec::new()) };
        let mut others = Vec::new();
        for code in codes_of(keys, tenant, person).await? {
            if code != named.code
                && let Some(booking) = find(keys, tenant, &code).await?
                && booking.person.as_ref() == Some(person)
            {
                others.push(NamedBooking { code, booking });
            }
        }
        Ok(others)
    }
}

/// Checks that patients can enter the values that a source reports.
///
/// # Errors
/// `invalid_value`.
pub fn check(keys: &CheckInKeys) -> Result<(), Code> {
    let can_tell = |factor: CheckInFactor, value: &Option<String>| {
        value.as_deref().is_none_or(|value| factor.parse(value).is_some())
    };
    let good = can_tell(CheckInFactor::BirthYear, &keys.birth_year)
        && can_tell(CheckInFactor::BirthDate, &keys.birth_date)
        && can_tell(CheckInFactor::PhoneEnd, &keys.phone_end)
        && keys.code.as_deref().is_none_or(|code| normal(code).is_some())
        && keys.person.as_deref().is_none_or(|person| (1..=MAX_PERSON).contains(&person.len()));
    if good { Ok(()) } else { Err(Code::InvalidValue) }
}

/// How long a booking is kept.
fn ttl(start: Option<Millis>, now: Millis) -> Duration {
    let ahead_ms = start.map_or(0, |start| start.saturating_add(KEEP_AFTER_MS) - now);
    let ahead_s = u64::try_from(ahead_ms / 1000).unwrap_or(0);
    Duration::from_secs(ahead_s.clamp(*KEEP_S.start(), *KEEP_S.end()))
}

async fn find(
    keys: &dyn ShortKeys,
    tenant: &TenantId,
    code: &str,
) -> Result<Option<Booking>, Code> {
    let held = short_keys::answer(keys.get(&key_of(tenant, code))).await?;
    held.map(|held| read(&held)).transpose()
}

async fn codes_of(
    keys: &dyn ShortKeys,
    tenant: &TenantId,
    person: &str,
) -> Result<Vec<String>, Code> {
    let held = short_keys::answer(keys.get(&person_key(tenant, person))).await?;
    let codes = held.map(|held| serde_json::from_str(&held).map_err(|_| Code::Internal));
    Ok(codes.transpose()?.unwrap_or_default())
}

fn read(held: &str) -> Result<Booking, Code> {
    serde_json::from_str(held).map_err(|_| Code::Internal)
}

fn key_of(tenant: &TenantId, code: &str) -> String {
    format!("booking:{tenant}:{code}")
}

fn person_key(tenant: &TenantId, person: &str) -> String {
    format!("bookings:{tenant}:{person}")
}

/// The digits of an appointment, which stay when it moves to another location.
fn digits(appointment: &AppointmentId) -> &str {
    let text = appointment.as_str();
    &text[text.len() - TICKET_HEX..]
}

/// The normal form of a code from a person or a source: capitals without spaces and hyphens, with
/// one of each pair of characters that look alike. `None` for a text that is no code.
pub fn normal(typed: &str) -> Option<String> {
    /// A person may put a space between all characters. Nothing longer is read.
    const MOST: usize = 3;
    if typed.len() > MOST * GIVEN_LENGTH.end() {
        return None;
    }
    let mut code = String::new();
    for typed in typed.chars().filter(|typed| !matches!(typed, ' ' | '-')) {
        let meant = match typed.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            'Z' => '2',
            'S' => '5',
            'G' => '6',
            'B' => '8',
            other => other,
        };
        if !meant.is_ascii_alphanumeric() {
            return None;
        }
        code.push(meant);
    }
    GIVEN_LENGTH.contains(&code.len()).then_some(code)
}

/// A code as people read it.
pub fn shown(code: &str) -> String {
    short_code::grouped(code)
}

/// Counts an attempt with a code, before it is judged, so that guesses at once are counted too.
/// Codes that no booking has are counted too, so that a refusal does not show which codes exist.
///
/// # Errors
/// `too_many_failures` and `try_again`.
pub async fn count_attempt(
    keys: &dyn ShortKeys,
    tenant: &TenantId,
    code: &str,
) -> Result<(), Code> {
    let quota = Quota::new(ATTEMPTS, ATTEMPTS_S).ok_or(Code::Internal)?;
    let key = format!("booking-attempts:{tenant}:{code}");
    match short_keys::answer(keys.spend(&key, quota)).await? {
        Spent::Allowed { .. } => Ok(()),
        Spent::Refused { .. } => Err(Code::TooManyFailures),
    }
}

#[cfg(test)]
mod tests {
    use schemas::ids::LocationId;

    use super::*;

    #[test]
    fn typed_codes_have_one_normal_form() {
        let table = [
            ("hk7q-t93m", Some("HK7QT93M")),
            (" H K 7 Q T 9 3 M ", Some("HK7QT93M")),
            ("RDV-1O0I", Some("RDV1001")),
            ("zsgb25", Some("256825")),
            ("HK7Q", None),
            ("HK7Q/T93M", None),
            ("HK7QT93MHK7QT93MH", None),
            ("", None),
            ("ÉÉÉÉÉÉ", None),
        ];
        for (typed, code) in table {
            assert_eq!(normal(typed).as_deref(), code, "{typed}");
        }
    }

    #[test]
    fn booking_is_known_until_two_days_after_its_start() {
        const DAY: u64 = 24 * 60 * 60;
        let now = 1_000_000_000_000;
        let day_ms = 24 * 60 * 60 * 1000;
        let table = [
            (None, DAY),
            (Some(now - 10 * day_ms), DAY),
            (Some(now + day_ms), 3 * DAY),
            (Some(now + 1000 * day_ms), 400 * DAY),
        ];
        for (start, expected) in table {
            assert_eq!(ttl(start, now).as_secs(), expected, "{start:?}");
        }
    }

    #[test]
    fn digests_differ_by_appointment_factor_and_secret() {
        let location = LocationId::new("riverside").unwrap();
        let id = |bits| AppointmentId::from_random(&location, bits);
        let key = BookingKey::new(&[1; 32]);
        let digests = [
            key.factor(&id(1), CheckInFactor::BirthYear, "1980"),
            key.factor(&id(2), CheckInFactor::BirthYear, "1980"),
            key.factor(&id(1), CheckInFactor::PhoneEnd, "1980"),
            key.factor(&id(1), CheckInFactor::BirthYear, "1981"),
            BookingKey::new(&[2; 32]).factor(&id(1), CheckInFactor::BirthYear, "1980"),
        ];
        let distinct: std::collections::HashSet<_> = digests.iter().collect();
        assert_eq!(distinct.len(), digests.len());
        let north = LocationId::new("north").unwrap();
        let tenant = TenantId::new("demo").unwrap();
        let moved = id(1).moved_to(&north);
        assert_eq!(key.derived(&tenant, &id(1), 0), key.derived(&tenant, &moved, 0));
    }
}
