//! Requests to receivers: signed by Standard Webhooks, bounded in time and size, and only to
//! allowed addresses.

use std::{error::Error, time::Duration};

use ipnet::IpNet;
use reqwest::{Client, Response, StatusCode, Url, header::CONTENT_TYPE};
use schemas::{Millis, webhook::WebhookKey};

use super::{AttemptResult, DueDelivery};
use crate::outbound::{AddressGuard, ForbiddenAddress, asked_pause, client};

/// Most bytes of an answer that are read, so that the connection can be used again. A longer answer
/// is cut off with its connection.
const MAX_ANSWER: usize = 4 * 1024;

/// The answer of a receiver.
pub(super) struct Answer {
    pub(super) result: AttemptResult,
    pub(super) status: Option<u16>,
    /// The pause that the receiver asks for.
    pub(super) pause: Option<Duration>,
}

impl Answer {
    fn without_status(result: AttemptResult) -> Self {
        Self { result, status: None, pause: None }
    }
}

/// Sends to receivers.
pub(super) struct WebhookClient {
    client: Client,
    guard: AddressGuard,
    key: WebhookKey,
}

impl WebhookClient {
    pub(super) fn new(key: WebhookKey, networks: &[IpNet]) -> Result<Self, reqwest::Error> {
        let guard = AddressGuard::new(networks);
        Ok(Self { client: client().dns_resolver(guard.clone()).build()?, guard, key })
    }

    /// Sends a delivery. `now` is the moment of the attempt, which the signature covers.
    pub(super) async fn send(&self, due: &DueDelivery, now: Millis) -> Answer {
        let Some(url) = self.allowed(&due.url) else {
            return Answer::without_status(AttemptResult::Forbidden);
        };
        let seconds = now / 1000;
        let request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", due.event.as_str())
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", self.signatures(due, now))
            .body(due.body.clone());
        match request.send().await {
            Ok(response) => {
                let (status, pause) = (response.status(), asked_pause(response.headers()));
                drain(response).await;
                answer(status, pause)
            }
            Err(error) => {
                // The path of an address may be a key to the receiver.
                let error = error.without_url();
                tracing::debug!(error = &error as &dyn Error, "a webhook was not sent");
                Answer::without_status(fault(&error))
            }
        }
    }

    /// The address, if it may be reached: by HTTPS, or by HTTP at the machine itself where its
    /// network is named. The resolver checks the addresses of a name.
    fn allowed(&self, url: &str) -> Option<Url> {
        let url: Url = url.parse().ok()?;
        let host = url.host_str()?;
        let address: Option<std::net::IpAddr> =
            host.trim_start_matches('[').trim_end_matches(']').parse().ok();
        let is_loopback =
            host == "localhost" || address.is_some_and(|address| address.is_loopback());
        let is_secure = url.scheme() == "https" || (url.scheme() == "http" && is_loopback);
        (is_secure && address.is_none_or(|address| self.guard.allows(address))).then_some(url)
    }

    /// One signature, or two during a rotation.
    fn signatures(&self, due: &DueDelivery, now: Millis) -> String {
        let of = &due.name.of;
        let sign = |made| {
            let secret = self.key.secret(&of.tenant, &of.webhook, made);
            secret.sign(due.event.as_str(), now / 1000, &due.body)
        };
        let current = sign(due.secret);
        match due.previous.filter(|previous| now < previous.until) {
            Some(previous) => format!("{current} {}", sign(previous.secret)),
            None => current,
        }
    }
}

fn answer(status: StatusCode, pause: Option<Duration>) -> Answer {
    let result = match status {
        _ if status.is_success() => AttemptResult::Sent,
        StatusCode::GONE => AttemptResult::Gone,
        _ => AttemptResult::Refused,
    };
    Answer { result, status: Some(status.as_u16()), pause }
}

fn fault(error: &reqwest::Error) -> AttemptResult {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if cause.is::<ForbiddenAddress>() {
            return AttemptResult::Forbidden;
        }
        source = cause.source();
    }
    match error.is_timeout() {
        true => AttemptResult::TimedOut,
        false => AttemptResult::Unreachable,
    }
}

async fn drain(mut response: Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = response.chunk().await {
        read += chunk.len();
        if read > MAX_ANSWER {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use schemas::{
        ids::{EventId, TenantId, WebhookId},
        view::Position,
        webhook::PreviousSecret,
    };

    use super::*;
    use crate::webhooks::{DeliveryName, WebhookName};

    fn client(networks: &[&str]) -> WebhookClient {
        let networks: Vec<IpNet> = networks.iter().map(|text| text.parse().unwrap()).collect();
        WebhookClient::new(WebhookKey::from_bytes([7; 32]), &networks).unwrap()
    }

    #[test]
    fn only_secure_and_public_addresses_are_allowed() {
        let (strict, local) = (client(&[]), client(&["127.0.0.0/8", "::1/128"]));
        for (url, by_default, with_network) in [
            ("https://hooks.example/x", true, true),
            ("http://hooks.example/x", false, false),
            ("https://142.250.69.10/x", true, true),
            ("https://10.0.0.1/x", false, false),
            ("https://169.254.169.254/x", false, false),
            ("https://[::1]/x", false, true),
            ("https://[::ffff:10.0.0.1]/x", false, false),
            ("https://2130706433/x", false, true),
            ("https://0x7f.1/x", false, true),
            ("http://127.0.0.1:9000/x", false, true),
        ] {
            assert_eq!(strict.allowed(url).is_some(), by_default, "{url}");
            assert_eq!(local.allowed(url).is_some(), with_network, "{url}");
        }
    }

    #[test]
    fn rotation_signs_twice_until_its_end() {
        let client = client(&[]);
        let position = |version| Position { epoch: 1, version };
        let due = DueDelivery {
            name: DeliveryName {
                of: WebhookName {
                    tenant: TenantId::new("demo").unwrap(),
                    webhook: WebhookId::from_random(1),
                },
                seq: 1,
                tries: 1,
            },
            event: EventId::from_random(2),
            at: 0,
            body: "{}".to_owned(),
            url: "https://hooks.example".to_owned(),
            secret: position(2),
            previous: Some(PreviousSecret { secret: position(1), until: 5_000 }),
            failures: 0,
        };
        let count = |now| client.signatures(&due, now).split(' ').count();
        assert_eq!((count(4_999), count(5_000)), (2, 1));
    }

    #[test]
    fn answers_are_distinguished() {
        let result = |status| answer(StatusCode::from_u16(status).unwrap(), None).result;
        assert_eq!(result(204), AttemptResult::Sent);
        assert_eq!(result(410), AttemptResult::Gone);
        for status in [301, 400, 404, 429, 500, 503] {
            assert_eq!(result(status), AttemptResult::Refused, "{status}");
        }
        let headers = reqwest::header::HeaderMap::from_iter([(
            reqwest::header::RETRY_AFTER,
            "7".parse().unwrap(),
        )]);
        assert_eq!(asked_pause(&headers), Some(Duration::from_secs(7)));
    }
}
