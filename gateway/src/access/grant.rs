//! Grants of SSE streams. A one-time ticket opens a stream, and the id of each event carries the
//! sealed grant, so that a browser's own reconnect resumes although the ticket is spent.

use std::{fmt, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use gateway_core::access::{Origin, Role};
use hmac::{Hmac, Mac};
use schemas::{Millis, access::RevocationTag, channel::Channel, codes::Code, ids::TenantId};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::{
    backends::short_keys::{self, ShortKeys},
    random,
};

/// Lifetime of a stream ticket: the time that a page needs to open the stream it just asked for.
pub const TICKET_TTL: Duration = Duration::from_secs(30);
/// Bytes of the MAC in an id. 128 bits cannot be guessed, and each frame carries the id.
const MAC_BYTES: usize = 16;

/// Most channels of one stream. A browser allows six connections to a host, so a page bundles its
/// channels. More is `channel_limit`.
pub const MAX_STREAM_CHANNELS: usize = 8;

/// Which channels a subject may follow, and until when.
#[derive(Clone, PartialEq, Eq)]
pub struct Grant {
    /// The tenant.
    pub tenant: TenantId,
    /// The subject of the token.
    pub subject: Arc<str>,
    /// The role of the token, for the audit.
    pub role: Role,
    /// When the grant ends.
    pub expires: Millis,
    /// The channels that the stream may follow.
    pub channels: Vec<Channel>,
    /// Everything that a revocation of the token behind the grant can name.
    pub origin: Origin,
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
    /// The key made of this secret.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(Hmac::new_from_slice(secret).expect("HMAC takes a key of any length"))
    }

    /// The grant as the end of an SSE id: `<tenant>.<expiry>.<subject>.<role>.<origin>.<MAC>`, of
    /// letters, digits, `-`, `_` and `.`. The URL names the channels, so the text omits them; the
    /// MAC covers them.
    pub fn seal(&self, grant: &Grant) -> String {
        let mac = self.mac(grant).finalize().into_bytes();
        let subject = URL_SAFE_NO_PAD.encode(grant.subject.as_bytes());
        let mac = URL_SAFE_NO_PAD.encode(&mac[..MAC_BYTES]);
        let (role, origin) = (seal_role(grant), seal_origin(&grant.origin));
        format!("{}.{:x}.{subject}.{role}.{origin}.{mac}", grant.tenant, grant.expires)
    }

    /// Opens a grant that was sealed for exactly these channels in this order.
    ///
    /// # Errors
    /// `stream_ticket_invalid` for any other text, `token_expired` when the grant has expired.
    pub fn open(&self, sealed: &str, channels: &[Channel], now: Millis) -> Result<Grant, Code> {
        let (grant, mac) = read(sealed, channels).ok_or(Code::StreamTicketInvalid)?;
        self.mac(&grant).verify_truncated_left(&mac).map_err(|_| Code::StreamTicketInvalid)?;
        if grant.expires <= now {
            return Err(Code::TokenExpired);
        }
        Ok(grant)
    }

    /// Each field is preceded by its length, so that no two grants have the same input.
    fn mac(&self, grant: &Grant) -> Hmac<Sha256> {
        let Grant { tenant, subject, expires, channels, origin, .. } = grant;
        let mut mac = self.0.clone();
        let mut field = |bytes: &[u8]| {
            mac.update(&(bytes.len() as u64).to_be_bytes());
            mac.update(bytes);
        };
        field(b"clinicwire stream grant, form 3");
        field(tenant.as_str().as_bytes());
        field(subject.as_bytes());
        field(&expires.to_be_bytes());
        field(seal_role(grant).as_bytes());
        field(seal_origin(origin).as_bytes());
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
    let (role, crossed) = open_role(parts.next()?)?;
    let mut origin = open_origin(parts.next()?, &tenant, &subject)?;
    origin.crossed = crossed;
    let mac = URL_SAFE_NO_PAD.decode(parts.next()?).ok()?.try_into().ok()?;
    if parts.next().is_some() {
        return None;
    }
    let (subject, channels) = (subject.into(), channels.to_vec());
    Some((Grant { tenant, subject, role, expires, channels, origin }, mac))
}

/// The role as its index, and `x` if the token is that of a crossing: short, because each event has
/// it.
fn seal_role(grant: &Grant) -> String {
    let index = Role::ALL.iter().position(|role| *role == grant.role).unwrap_or_default();
    format!("{index:x}{}", if grant.origin.crossed { "x" } else { "" })
}

fn open_role(text: &str) -> Option<(Role, bool)> {
    let index = text.strip_suffix('x');
    let role = Role::ALL.get(usize::from_str_radix(index.unwrap_or(text), 16).ok()?)?;
    Some((*role, index.is_some()))
}

/// The origin as `<issued>-<permission version>-<tag>-…`, in hexadecimal digits. The tags of the
/// subject follow from the subject and are left out, as unused ones are.
fn seal_origin(origin: &Origin) -> String {
    let version = origin.permission_version.map(|version| format!("{version:x}"));
    let mut text = format!("{:x}-{}", origin.issued, version.unwrap_or_default());
    for tag in origin.tags[1..].iter().filter(|tag| **tag != RevocationTag::NONE) {
        text.push_str(&format!("-{:x}", tag.0));
    }
    text
}

fn open_origin(text: &str, tenant: &TenantId, subject: &str) -> Option<Origin> {
    let mut parts = text.split('-');
    let issued = Millis::from_str_radix(parts.next()?, 16).ok()?;
    let mut origin = Origin::new(tenant, subject, issued);
    origin.permission_version = match parts.next()? {
        "" => None,
        version => Some(u32::from_str_radix(version, 16).ok()?),
    };
    let mut free = origin.tags[1..].iter_mut();
    for part in parts {
        *free.next()? = RevocationTag(u64::from_str_radix(part, 16).ok()?);
    }
    Some(origin)
}

/// The form of a grant in the store of short-lived keys.
#[derive(Serialize, Deserialize)]
struct StoredGrant {
    tenant: TenantId,
    subject: Arc<str>,
    expires: Millis,
    channels: Vec<String>,
    role: String,
    origin: String,
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
        role: seal_role(grant),
        origin: seal_origin(&grant.origin),
    };
    let ticket = format!("{:032x}", random::bits()?);
    let value = serde_json::to_string(&stored).expect("a grant has a JSON form");
    short_keys::answer(keys.put(&ticket, &value, TICKET_TTL)).await?;
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
    let value = short_keys::answer(keys.take(ticket)).await?;
    let value = value.ok_or(Code::StreamTicketInvalid)?;
    let stored: StoredGrant =
        serde_json::from_str(&value).map_err(|_| Code::StreamTicketInvalid)?;
    if !channels.iter().all(|channel| stored.channels.contains(&channel.to_string())) {
        return Err(Code::StreamTicketInvalid);
    }
    if stored.expires <= now {
        return Err(Code::TokenExpired);
    }
    let StoredGrant { tenant, subject, expires, role, origin, .. } = stored;
    let (role, crossed) = open_role(&role).ok_or(Code::StreamTicketInvalid)?;
    let mut origin = open_origin(&origin, &tenant, &subject).ok_or(Code::StreamTicketInvalid)?;
    origin.crossed = crossed;
    Ok(Grant { tenant, subject, role, expires, channels, origin })
}

#[cfg(test)]
mod tests;
