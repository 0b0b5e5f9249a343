//! Grants of SSE streams. A one-time ticket opens a stream, and the id of each event carries the
//! sealed grant, so that a browser's own reconnect resumes although the ticket is spent.

use std::{fmt, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use schemas::{Millis, channel::Channel, codes::Code, ids::TenantId};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::{backends::short_keys::ShortKeys, random};

/// Lifetime of a stream ticket: the time that a page needs to open the stream it just asked for.
pub const TICKET_TTL: Duration = Duration::from_secs(30);
/// Bytes of the MAC in an id. 128 bits cannot be guessed, and each frame carries the id.
const MAC_BYTES: usize = 16;
/// How long the store of short-lived keys may take. Past it the answer is `try_again`.
const KEYS_TIMEOUT: Duration = Duration::from_secs(1);

/// Most channels of one stream. A browser allows six connections to a host, so a page bundles its
/// channels. More is `channel_limit`.
pub const MAX_STREAM_CHANNELS: usize = 8;

/// Which channels a subject may follow, and until when.
#[derive(Clone, PartialEq, Eq)]
pub struct Grant {
    pub tenant: TenantId,
    pub subject: Arc<str>,
    pub expires: Millis,
    pub channels: Vec<Channel>,
}

/// Hides the subject. A channel hides a patient's id by itself.
impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenant, channels, expires, .. } = self;
        write!(f, "Grant({tenant}, {channels:?}, until {expires})")
    }
}

/// The secret that seals grants, shared by all nodes.
#[derive(Clone)]
pub struct GrantKey(Hmac<Sha256>);

impl GrantKey {
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(Hmac::new_from_slice(secret).expect("HMAC takes a key of any length"))
    }

    /// The grant as the end of an SSE id: `<tenant>.<expiry>.<subject>.<MAC>`, of letters, digits,
    /// `-`, `_` and `.`. The URL names the channels, so the text omits them; the MAC covers them.
    pub fn seal(&self, grant: &Grant) -> String {
        let mac = self
            .mac(&grant.tenant, &grant.subject, grant.expires, &grant.channels)
            .finalize()
            .into_bytes();
        let subject = URL_SAFE_NO_PAD.encode(grant.subject.as_bytes());
        let mac = URL_SAFE_NO_PAD.encode(&mac[..MAC_BYTES]);
        format!("{}.{:x}.{subject}.{mac}", grant.tenant, grant.expires)
    }

    /// Opens a grant that was sealed for exactly these channels in this order.
    ///
    /// # Errors
    /// `stream_ticket_invalid` for any other text, `token_expired` when the grant has expired.
    pub fn open(&self, sealed: &str, channels: &[Channel], now: Millis) -> Result<Grant, Code> {
        let (grant, mac) = read(sealed, channels).ok_or(Code::StreamTicketInvalid)?;
        self.mac(&grant.tenant, &grant.subject, grant.expires, channels)
            .verify_truncated_left(&mac)
            .map_err(|_| Code::StreamTicketInvalid)?;
        if grant.expires <= now {
            return Err(Code::TokenExpired);
        }
        Ok(grant)
    }

    /// Each field is preceded by its length, so that no two grants have the same input.
    fn mac(
        &self,
        tenant: &TenantId,
        subject: &str,
        expires: Millis,
        channels: &[Channel],
    ) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        let mut field = |bytes: &[u8]| {
            mac.update(&(bytes.len() as u64).to_be_bytes());
            mac.update(bytes);
        };
        field(b"clinicwire stream grant, form 1");
        field(tenant.as_str().as_bytes());
        field(subject.as_bytes());
        field(&expires.to_be_bytes());
        for channel in channels {
            field(channel.to_string().as_bytes());
        }
        mac
    }
}

fn read(sealed: &str, channels: &[Channel]) -> Option<(Grant, [u8; MAC_BYTES])> {
    let mut parts = sealed.split('.');
    let tenant = TenantId::new(parts.next()?).ok()?;
    let expires = Millis::from_str_radix(parts.next()?, 16).ok()?;
    let subject = String::from_utf8(URL_SAFE_NO_PAD.decode(parts.next()?).ok()?).ok()?;
    let mac = URL_SAFE_NO_PAD.decode(parts.next()?).ok()?.try_into().ok()?;
    if parts.next().is_some() {
        return None;
    }
    Some((Grant { tenant, subject: subject.into(), expires, channels: channels.to_vec() }, mac))
}

/// The form of a grant in the store of short-lived keys.
#[derive(Serialize, Deserialize)]
struct StoredGrant {
    tenant: TenantId,
    subject: Arc<str>,
    expires: Millis,
    channels: Vec<String>,
}

/// Stores the grant for [`TICKET_TTL`] under a new one-time ticket.
///
/// # Errors
/// `try_again` when the short-lived keys do not answer.
pub async fn issue_ticket(keys: &dyn ShortKeys, grant: &Grant) -> Result<String, Code> {
    let stored = StoredGrant {
        tenant: grant.tenant.clone(),
        subject: grant.subject.clone(),
        expires: grant.expires,
        channels: grant.channels.iter().map(ToString::to_string).collect(),
    };
    let ticket = format!("{:032x}", random::bits()?);
    let value = serde_json::to_string(&stored).expect("a grant has a JSON form");
    answered(tokio::time::timeout(KEYS_TIMEOUT, keys.put(&ticket, &value, TICKET_TTL)).await)?;
    Ok(ticket)
}

/// Spends the ticket. The stream gets the requested channels in their order; the ticket must cover
/// each.
///
/// # Errors
/// `stream_ticket_invalid` for a ticket that is unknown, spent, too old or for other channels,
/// `token_expired`, or `try_again` when the short-lived keys do not answer.
pub async fn spend_ticket(
    keys: &dyn ShortKeys,
    ticket: &str,
    channels: Vec<Channel>,
    now: Millis,
) -> Result<Grant, Code> {
    if ticket.len() != 32 || !ticket.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Code::StreamTicketInvalid);
    }
    let value = answered(tokio::time::timeout(KEYS_TIMEOUT, keys.take(ticket)).await)?;
    let value = value.ok_or(Code::StreamTicketInvalid)?;
    let stored: StoredGrant =
        serde_json::from_str(&value).map_err(|_| Code::StreamTicketInvalid)?;
    if !channels.iter().all(|channel| stored.channels.contains(&channel.to_string())) {
        return Err(Code::StreamTicketInvalid);
    }
    if stored.expires <= now {
        return Err(Code::TokenExpired);
    }
    Ok(Grant { tenant: stored.tenant, subject: stored.subject, expires: stored.expires, channels })
}

fn answered<T, E: std::error::Error + 'static>(
    answer: Result<Result<T, E>, tokio::time::error::Elapsed>,
) -> Result<T, Code> {
    match answer {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a stream ticket could not be stored or spent"
            );
            Err(Code::TryAgain)
        }
        Err(_) => {
            tracing::warn!("the short-lived keys took too long");
            Err(Code::TryAgain)
        }
    }
}

#[cfg(test)]
mod tests;
