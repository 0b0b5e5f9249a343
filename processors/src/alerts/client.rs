//! Requests to push services (RFC 8030): encrypted, signed, and only to accepted services at
//! public addresses.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use p256::PublicKey;
use reqwest::{
    Client, StatusCode,
    header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap},
};
use schemas::{
    Millis,
    ids::Fingerprint,
    push::{AlertMessage, PushDevice, PushService, PushServices},
};
use web_push_native::Auth;

use super::{DueAlert, VapidKey, vapid::VapidSigner};
use crate::outbound::{AddressGuard, asked_pause, client};

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
        Ok(Self {
            public: client().https_only(true).dns_resolver(AddressGuard::default()).build()?,
            named: client().build()?,
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
    match status {
        _ if status.is_success() => PushAnswer::Taken,
        StatusCode::NOT_FOUND | StatusCode::GONE => PushAnswer::Gone,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            PushAnswer::Wait(asked_pause(headers))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_distinguished() {
        let with = |status: u16, wait: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(wait) = wait {
                headers.insert(reqwest::header::RETRY_AFTER, wait.parse().unwrap());
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
