//! The link by which a patient opens a ticket, and the short code for the same ticket.
//!
//! Both are derived from the ticket's id with a secret of all nodes, so that the same link is found
//! again at any time and nothing is stored. The link contains its own proof. A code is too short
//! for a proof: the short-lived keys map it to its ticket. When they lose it, the next request for
//! the link stores it again.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use gateway_core::access::{Claims, Credential, Origin, Role};
use hmac::{Hmac, Mac};
use schemas::{
    Millis,
    access::{RevocationTag, TargetKind},
    codes::Code,
    ids::{TenantId, TicketId},
};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout};

use super::short_code;
use crate::backends::short_keys::{self, ShortKeys};

/// Characters of a code. There are 23^10 = 4.1 × 10^13 codes. With 10,000 live tickets in an
/// installation, a guess is right once in 4.1 × 10^9. A node answers ten wrong codes a second
/// ([`Limit::WrongCodes`]), so that a guesser finds one ticket in 13 years, and sees a label and a
/// place in line.
///
/// [`Limit::WrongCodes`]: crate::limits::Limit::WrongCodes
const CODE_LENGTH: usize = 10;
/// How long the short-lived keys keep a code: a day, as long as a ticket that ends with its service
/// day. Each renewal of a token of the link stores a code that was forgotten.
const CODE_TTL: Duration = Duration::from_hours(24);
/// Codes that are tried for one ticket when another ticket has the first: two tickets of a million
/// share a code with a chance of 1 %, so a second try is rare, and a third one never needed.
const CODE_ATTEMPTS: u8 = 3;
/// How long storing a code may take: the person who issues a ticket waits for it. A healthy Redis
/// answers in a millisecond.
const STORE_WITHIN: Duration = Duration::from_millis(100);
/// How long no code is stored after the short-lived keys failed to answer.
const PAUSE: Duration = Duration::from_secs(2);
/// Bytes of the MAC in a link. 128 bits cannot be guessed.
const MAC_BYTES: usize = 16;

/// How long a token of a link lives, and for how long after the end of its ticket one is issued, so
/// that a patient can see how the visit ended. A token that was issued before the end lives no
/// longer than that either.
pub const LINK_LIFE_MS: Millis = 30 * 60 * 1000;

/// The parts of a ticket's link, after its proof was checked.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketLink {
    pub tenant: TenantId,
    pub ticket: TicketId,
}

impl TicketLink {
    /// The tag by which a revocation of the link is found.
    pub fn tag(&self) -> RevocationTag {
        RevocationTag::new(&self.tenant, TargetKind::TicketLink, self.ticket.as_str())
    }

    /// The claims of a token for the link's ticket, which continues as `current`. `issued` is when
    /// the link was first exchanged for a token, `expires` the end of the new token.
    pub fn claims(&self, current: &TicketId, issued: Millis, expires: Millis) -> Claims {
        let subject = format!("{SUBJECT}{:016x}", self.tag().0);
        let mut origin = Origin::new(&self.tenant, &subject, issued);
        origin.add(&self.tenant, TargetKind::TicketLink, self.ticket.as_str());
        if *current != self.ticket {
            origin.add(&self.tenant, TargetKind::TicketLink, current.as_str());
        }
        origin.credential = Credential::TicketLink;
        origin.renewable_until = expires;
        Claims {
            tenant: self.tenant.clone(),
            subject: subject.into(),
            role: Role::Patient,
            locations: Vec::new(),
            queues: Vec::new(),
            tickets: vec![self.ticket.clone()],
            appointments: Vec::new(),
            doctor: None,
            expires,
            origin,
        }
    }

    /// The link behind claims that [`TicketLink::claims`] made.
    pub fn from_claims(claims: &Claims) -> Option<Self> {
        let is_link = claims.origin.credential == Credential::TicketLink;
        let ticket = claims.tickets.first().filter(|_| is_link)?.clone();
        Some(Self { tenant: claims.tenant.clone(), ticket })
    }
}

/// The beginning of the subjects of links. The rest is a digest: audits and journals keep subjects,
/// and must not contain a key to the ticket.
const SUBJECT: &str = "ticket-link:";

/// Makes and opens links and codes. Clones share the pause after codes could not be stored.
#[derive(Clone)]
pub struct LinkKey {
    mac: Hmac<Sha256>,
    /// Until when no code is stored, because the short-lived keys did not answer.
    paused_until: Arc<Mutex<Option<Instant>>>,
}

impl LinkKey {
    /// `secret` is that of the nodes' grants.
    pub fn new(secret: &[u8; 32]) -> Self {
        let secret =
            Sha256::new().chain_update(secret).chain_update("clinicwire ticket links").finalize();
        let mac = Hmac::new_from_slice(&secret).expect("HMAC takes a key of any length");
        Self { mac, paused_until: Arc::default() }
    }

    /// The text of the link: `<tenant>.<ticket>.<MAC>`, of letters, digits, `.`, `-` and `_`.
    pub fn seal(&self, link: &TicketLink) -> String {
        let mac = self.mac(link, "link").finalize().into_bytes();
        let mac = URL_SAFE_NO_PAD.encode(&mac[..MAC_BYTES]);
        format!("{}.{}.{mac}", link.tenant, link.ticket)
    }

    /// Opens the text of a link.
    ///
    /// # Errors
    /// `ticket_link_unknown` for any other text.
    pub fn open(&self, text: &str) -> Result<TicketLink, Code> {
        let (link, mac) = read(text).ok_or(Code::TicketLinkUnknown)?;
        let checked = self.mac(&link, "link").verify_truncated_left(&mac);
        checked.map(|()| link).map_err(|_| Code::TicketLinkUnknown)
    }

    /// The code of a ticket that is tried at this attempt.
    fn code(&self, link: &TicketLink, attempt: u8) -> String {
        let mac = self.mac(link, &format!("code {attempt}")).finalize().into_bytes();
        let bits = u128::from_be_bytes(*mac.first_chunk().expect("a MAC has 32 bytes"));
        short_code::encode::<CODE_LENGTH>(bits)
    }

    /// Each part is preceded by its length, so that no two links have the same input.
    fn mac(&self, link: &TicketLink, purpose: &str) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        for part in [purpose, link.tenant.as_str(), link.ticket.as_str()] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac
    }

    /// Stores and returns the code of a ticket. A repeated call returns the same code.
    ///
    /// # Errors
    /// `try_again` when the short-lived keys do not answer in time, or did not answer a moment ago,
    /// or other tickets have all its codes.
    pub async fn store_code(
        &self,
        keys: &dyn ShortKeys,
        link: &TicketLink,
    ) -> Result<String, Code> {
        if self.is_paused() {
            return Err(Code::TryAgain);
        }
        let named = format!("{}/{}", link.tenant, link.ticket);
        for attempt in 0..CODE_ATTEMPTS {
            let code = self.code(link, attempt);
            let key = key_of(&code);
            let claimed = keys.claim(&key, &named, CODE_TTL);
            let held = match timeout(STORE_WITHIN, short_keys::answer(claimed)).await {
                Ok(Ok(held)) => held,
                Ok(Err(_)) | Err(_) => {
                    self.pause();
                    return Err(Code::TryAgain);
                }
            };
            if held.is_none_or(|held| held == named) {
                return Ok(short_code::grouped(&code));
            }
        }
        Err(Code::TryAgain)
    }

    fn is_paused(&self) -> bool {
        let until = *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    fn pause(&self) {
        let mut until = self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        *until = Some(Instant::now() + PAUSE);
    }
}

fn read(text: &str) -> Option<(TicketLink, [u8; MAC_BYTES])> {
    let (tenant, rest) = text.split_once('.')?;
    let (ticket, mac) = rest.rsplit_once('.')?;
    let mac = URL_SAFE_NO_PAD.decode(mac).ok()?.try_into().ok()?;
    let (tenant, ticket) = (TenantId::new(tenant).ok()?, TicketId::new(ticket).ok()?);
    Some((TicketLink { tenant, ticket }, mac))
}

/// The ticket of a typed code.
///
/// # Errors
/// `ticket_link_unknown` for a code that no ticket has, and `try_again`.
pub async fn find_by_code(keys: &dyn ShortKeys, typed: &str) -> Result<TicketLink, Code> {
    let code = short_code::parse::<CODE_LENGTH>(typed).ok_or(Code::TicketLinkUnknown)?;
    let named = short_keys::answer(keys.get(&key_of(&code))).await?;
    let named = named.ok_or(Code::TicketLinkUnknown)?;
    let (tenant, ticket) = named.split_once('/').ok_or(Code::Internal)?;
    let tenant = TenantId::new(tenant).map_err(|_| Code::Internal)?;
    let ticket = TicketId::new(ticket).map_err(|_| Code::Internal)?;
    Ok(TicketLink { tenant, ticket })
}

fn key_of(code: &str) -> String {
    format!("link:{code}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(tenant: &str, ticket: u128) -> TicketLink {
        let location = schemas::ids::LocationId::new("riverside").unwrap();
        TicketLink {
            tenant: TenantId::new(tenant).unwrap(),
            ticket: TicketId::from_random(&location, ticket),
        }
    }

    #[test]
    fn link_opens_with_the_secret_that_sealed_it() {
        let (key, other) = (LinkKey::new(&[1; 32]), LinkKey::new(&[2; 32]));
        let text = key.seal(&link("demo", 7));
        assert!(key.open(&text) == Ok(link("demo", 7)));
        let unknown = Some(Code::TicketLinkUnknown);
        assert_eq!(other.open(&text).err(), unknown);
        let forged = [
            text.replace("demo", "north"),
            text.replace("00007", "00008"),
            format!("{text}A"),
            text[..text.len() - 1].to_owned(),
            String::new(),
            "demo".to_owned(),
            "..".to_owned(),
        ];
        for text in forged {
            assert_eq!(key.open(&text).err(), unknown, "{text}");
        }
    }

    #[test]
    fn codes_differ_by_ticket_tenant_and_attempt() {
        let key = LinkKey::new(&[1; 32]);
        let codes = [
            key.code(&link("demo", 7), 0),
            key.code(&link("demo", 7), 1),
            key.code(&link("demo", 8), 0),
            key.code(&link("north", 7), 0),
            LinkKey::new(&[2; 32]).code(&link("demo", 7), 0),
        ];
        let distinct: std::collections::HashSet<_> = codes.iter().collect();
        assert_eq!(distinct.len(), codes.len(), "{codes:?}");
    }

    #[test]
    fn claims_of_a_link_reach_its_ticket_alone() {
        let link = link("demo", 7);
        let claims = link.claims(&link.ticket, 1, 2);
        assert!(TicketLink::from_claims(&claims) == Some(link.clone()));
        assert!(!claims.subject.contains(link.ticket.as_str()));
        let open = |ticket: &TicketId| {
            let channel = schemas::channel::Channel::Ticket(ticket.clone());
            gateway_core::access::may_open(&claims, &channel).is_ok()
        };
        let north = schemas::ids::LocationId::new("north").unwrap();
        assert!(open(&link.ticket) && open(&link.ticket.successor(&north, 1)));
        assert!(!open(&self::link("demo", 5_000).ticket));
        let issued = Claims { origin: Origin::default(), ..claims };
        assert!(TicketLink::from_claims(&issued).is_none());
    }
}
