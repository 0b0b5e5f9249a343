//! Requests to push services (RFC 8030): encrypted, signed, and only to accepted services at
//! public addresses.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use p256::PublicKey;
use reqwest::{
    Client, StatusCode,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, RETRY_AFTER},
    redirect::Policy,
};
use schemas::{
    Millis,
    ids::Fingerprint,
    push::{AlertMessage, PushDevice, PushService, PushServices},
};
use web_push_native::Auth;

use super::{DueAlert, VapidKey, vapid::VapidSigner};

/// How long a connection to a push service may take, and a whole request. An alert that waits
/// longer is tried again, and does not hold its place.
const CONNECT_WITHIN: Duration = Duration::from_secs(4);
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The answer of a push service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PushAnswer {
    /// It took the message.
    Taken,
    /// It has forgotten the device.
    Gone,
    /// It asks to wait, at best for this long.
    Wait(Option<Duration>),
    /// It failed, or was not reached.
    Failed,
    /// It refused the message, and would do so again.
    Refused,
}

/// Sends to push services.
pub(super) struct PushClient {
    /// For the services of browsers.
    public: Client,
    /// For servers that the settings name by their origin.
    named: Client,
    services: PushServices,
    signer: VapidSigner,
}

impl PushClient {
    pub(super) fn new(
        key: &VapidKey,
        contact: String,
        services: PushServices,
    ) -> Result<Self, reqwest::Error> {
        let builder = || {
            Client::builder()
                .user_agent(concat!("clinicwire-processors/", env!("CARGO_PKG_VERSION")))
                .redirect(Policy::none())
                .no_proxy()
                .connect_timeout(CONNECT_WITHIN)
                .timeout(ANSWER_WITHIN)
        };
        Ok(Self {
            public: builder().https_only(true).dns_resolver(PublicAddresses).build()?,
            named: builder().build()?,
            services,
            signer: VapidSigner::new(key, contact),
        })
    }

    /// Sends an alert, which the push service keeps for `ttl` if the device is not connected.
    pub(super) async fn send(&self, due: &DueAlert, now: Millis, ttl: Duration) -> PushAnswer {
        let client = match self.services.service_of(&due.device.endpoint) {
            Some(PushService::Host(_)) => &self.public,
            Some(PushService::Origin(_)) => &self.named,
            // The settings no longer name it.
            None => return PushAnswer::Refused,
        };
        let Some(body) = encrypted(due) else { return PushAnswer::Refused };
        let request = client
            .post(&due.device.endpoint)
            .header(AUTHORIZATION, self.signer.authorization(&due.origin(), now))
            .header(CONTENT_ENCODING, "aes128gcm")
            .header(CONTENT_TYPE, "application/octet-stream")
            .header("ttl", ttl.as_secs())
            .header("topic", topic(due))
            .header("urgency", "high")
            .body(body);
        match request.send().await {
            Ok(response) => answer(response.status(), response.headers()),
            Err(error) => {
                // The address of a device is a key to it.
                let error = error.without_url();
                tracing::debug!(error = &error as &dyn std::error::Error, "an alert was not sent");
                PushAnswer::Failed
            }
        }
    }
}

fn answer(status: StatusCode, headers: &HeaderMap) -> PushAnswer {
    let seconds = || headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok();
    match status {
        _ if status.is_success() => PushAnswer::Taken,
        StatusCode::NOT_FOUND | StatusCode::GONE => PushAnswer::Gone,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            PushAnswer::Wait(seconds().map(Duration::from_secs))
        }
        _ if status.is_server_error() => PushAnswer::Failed,
        _ => PushAnswer::Refused,
    }
}

/// The topic of a ticket's alerts: at the push service, a newer one replaces an older one. At most
/// 32 characters of base64url (RFC 8030 §5.4), which a digest has.
fn topic(due: &DueAlert) -> String {
    let parts = [due.name.tenant.as_str().as_bytes(), due.name.ticket.as_str().as_bytes()];
    Fingerprint::from_parts(parts).to_string()
}

/// The encrypted message. `None` when the keys of the device are not usable.
fn encrypted(due: &DueAlert) -> Option<Vec<u8>> {
    let message = AlertMessage {
        kind: due.alert.kind,
        ticket: due.alert.ticket.clone(),
        label: due.alert.label.clone(),
        room: due.alert.room.clone(),
    };
    let PushDevice { keys, .. } = &due.device;
    let key = PublicKey::from_sec1_bytes(&URL_SAFE_NO_PAD.decode(&keys.p256dh).ok()?).ok()?;
    let secret: [u8; 16] = URL_SAFE_NO_PAD.decode(&keys.auth).ok()?.try_into().ok()?;
    let message = serde_json::to_vec(&message).expect("a message has a JSON form");
    web_push_native::encrypt(message, &key, &Auth::from(secret)).ok()
}

/// Finds the public addresses of a name alone, so that a name that resolves to an address of our
/// own network reaches nothing there.
struct PublicAddresses;

impl Resolve for PublicAddresses {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|at| is_public(at.ip())).collect();
            if public.is_empty() {
                return Err("the push service has no public address".into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is one of the public internet (IANA's registries of special addresses).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => is_public_v4(mapped),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a, b, c) == (192, 0, 0)
        || (a == 198 && (18..20).contains(&b))
        || a >= 224;
    !is_special
}

/// Only global unicast addresses, 2000::/3, without those for documentation and those that contain
/// an IPv4 address (6to4 and Teredo).
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    (0x2000..0x4000).contains(&a) && a != 0x2002 && !(a == 0x2001 && (b < 0x200 || b == 0xdb8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_not_public() {
        for (address, expected) in [
            ("142.250.69.10", true),
            ("2607:f8b0:4020:801::200a", true),
            ("127.0.0.1", false),
            ("10.1.2.3", false),
            ("172.31.0.1", false),
            ("192.168.0.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("198.18.0.1", false),
            ("0.0.0.0", false),
            ("255.255.255.255", false),
            ("224.0.0.1", false),
            ("::1", false),
            ("::", false),
            ("fc00::1", false),
            ("fe80::1", false),
            ("::ffff:10.0.0.1", false),
            ("64:ff9b::a00:1", false),
            ("2002:a00:1::", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn answers_are_distinguished() {
        let with = |status: u16, wait: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(wait) = wait {
                headers.insert(RETRY_AFTER, wait.parse().unwrap());
            }
            answer(StatusCode::from_u16(status).unwrap(), &headers)
        };
        assert_eq!(with(201, None), PushAnswer::Taken);
        assert_eq!(with(404, None), PushAnswer::Gone);
        assert_eq!(with(410, None), PushAnswer::Gone);
        assert_eq!(with(429, Some("7")), PushAnswer::Wait(Some(Duration::from_secs(7))));
        assert_eq!(with(503, Some("Sun, 29 Nov 2026 10:00:00 GMT")), PushAnswer::Wait(None));
        assert_eq!(with(500, None), PushAnswer::Failed);
        assert_eq!(with(301, None), PushAnswer::Refused);
        assert_eq!(with(413, None), PushAnswer::Refused);
    }
}
