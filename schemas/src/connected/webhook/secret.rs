//! The secrets of webhooks: derived, shown once, and used to sign (Standard Webhooks 1.0, symmetric
//! signatures).

use std::{fmt, str::FromStr};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::{
    ids::{TenantId, WebhookId},
    view::Position,
};

/// Why a text is no key of webhooks. It does not quote the text.
#[derive(Debug, thiserror::Error)]
#[error("not 32 bytes in base64url")]
pub struct InvalidWebhookKey;

/// The key of an installation, from which the secret of every webhook is derived. Gateways show
/// a secret once, and processors sign with it. `Debug` hides the key.
#[derive(Clone)]
pub struct WebhookKey([u8; 32]);

impl fmt::Debug for WebhookKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookKey(…)")
    }
}

/// Reads 32 bytes in base64url without padding.
impl FromStr for WebhookKey {
    type Err = InvalidWebhookKey;

    fn from_str(text: &str) -> Result<Self, InvalidWebhookKey> {
        let bytes = URL_SAFE_NO_PAD.decode(text.trim()).map_err(|_| InvalidWebhookKey)?;
        bytes.try_into().map(Self).map_err(|_| InvalidWebhookKey)
    }
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

impl WebhookKey {
    /// A key of 32 bytes, which must come from a cryptographic source.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key as the settings have it.
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// The secret that the step to `made` gave to a webhook.
    pub fn secret(&self, tenant: &TenantId, webhook: &WebhookId, made: Position) -> WebhookSecret {
        // Neither id contains a slash, so no two lists of parts are the same bytes.
        let name = format!("webhook secret/{tenant}/{webhook}/{}/{}", made.epoch, made.version);
        WebhookSecret(mac(&self.0, &[name.as_bytes()]))
    }
}

/// The secret of one webhook. `Debug` is left out on purpose.
#[derive(Clone)]
pub struct WebhookSecret([u8; 32]);

impl WebhookSecret {
    /// The secret as receivers and their libraries have it.
    pub fn text(&self) -> String {
        format!("whsec_{}", STANDARD.encode(self.0))
    }

    /// The signature of a message: one word of the header `webhook-signature`.
    pub fn sign(&self, id: &str, timestamp_s: i64, body: &str) -> String {
        let signed = format!("{id}.{timestamp_s}.");
        format!("v1,{}", STANDARD.encode(mac(&self.0, &[signed.as_bytes(), body.as_bytes()])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The signature is the one that the published library `standardwebhooks` for Python makes.
    #[test]
    fn signature_is_the_one_of_the_published_library() {
        let secret = WebhookSecret([7; 32]);
        let body = r#"{"test": 2432232314}"#;
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature, "v1,YO/ulmd+VFtlnbodv7yLOOsS6RlBZ48h++gXZrGOpZo=");
        assert_eq!(secret.text(), "whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=");
    }

    #[test]
    fn secrets_differ_by_tenant_webhook_and_step() {
        let key = WebhookKey::from_bytes([7; 32]);
        let (demo, other) = (TenantId::new("demo").unwrap(), TenantId::new("other").unwrap());
        let (one, two) = (WebhookId::from_random(1), WebhookId::from_random(2));
        let at = |version| Position { epoch: 1, version };
        let secret = |tenant, webhook, made| key.secret(tenant, webhook, made).text();
        let first = secret(&demo, &one, at(1));
        assert!(first.starts_with("whsec_") && first == secret(&demo, &one, at(1)));
        for differs in
            [secret(&other, &one, at(1)), secret(&demo, &two, at(1)), secret(&demo, &one, at(2))]
        {
            assert_ne!(first, differs);
        }
        let read: WebhookKey = key.text().parse().unwrap();
        assert_eq!(read.secret(&demo, &one, at(1)).text(), first);
        assert_eq!(format!("{key:?}"), "WebhookKey(…)");
        assert!("short".parse::<WebhookKey>().is_err());
    }
}
