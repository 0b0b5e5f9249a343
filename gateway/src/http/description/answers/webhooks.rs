//! Webhooks.

use schemars::JsonSchema;
use schemas::{command::CommandOutcome, ids::WebhookId};

use crate::http::webhooks::{Delivery, ShownWebhook};

/// The webhooks of a tenant.
#[derive(JsonSchema)]
pub(in crate::http) struct WebhookList {
    webhooks: Vec<ShownWebhook>,
}

/// A webhook whose secret was made.
#[derive(JsonSchema)]
pub(in crate::http) struct WebhookSecretAnswer {
    #[serde(flatten)]
    outcome: CommandOutcome,
    webhook: WebhookId,
    /// The secret, `whsec_` and base64. No other answer shows it.
    secret: Option<String>,
}

/// A page of deliveries, newest first.
#[derive(JsonSchema)]
pub(in crate::http) struct DeliveryPage {
    deliveries: Vec<Delivery>,
    /// The cursor of the next page. Absent on the last one.
    next: Option<String>,
}
