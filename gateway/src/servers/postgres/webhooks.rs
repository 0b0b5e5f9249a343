//! Reads of the queues of webhooks.

use schemas::ids::{EventId, TenantId, WebhookId};
use serde_json::value::RawValue;
use servers::postgres::PostgresError;
use tokio_postgres::Row;

use super::{Parameters, PostgresQueries, texts};
use crate::backends::{
    queries::{DeliveriesQuery, DeliveryPlace, ListedDelivery, WebhookQueue},
    snapshots::NotRead,
};

const QUEUES: &str = "SELECT webhook, pending, failures FROM clinicwire.webhook \
    WHERE tenant = $1 ORDER BY webhook";

/// Newest first, in the order of the primary key, or of the index of dead letters.
const DELIVERIES: &str = "SELECT seq, event, kind, at, state, \
    CASE WHEN state = 'pending' THEN (extract(epoch FROM not_before) * 1000)::bigint END, \
    attempts::text \
    FROM clinicwire.webhook_delivery WHERE tenant = $1 AND webhook = $2 AND seq < $3 \
    AND ($4::text IS NULL OR state = $4) ORDER BY seq DESC LIMIT $5";

impl PostgresQueries {
    pub(super) async fn read_webhook_queues(
        &self,
        tenant: &TenantId,
    ) -> Result<Vec<WebhookQueue>, NotRead> {
        let rows = self.rows(tenant.clone(), QUEUES, texts([tenant.as_str()])).await?;
        let queue = |row: &Row| {
            Ok(WebhookQueue {
                webhook: WebhookId::new(row.get::<_, &str>(0))
                    .map_err(|_| PostgresError::Unreadable("a webhook's id"))?,
                pending: u64::try_from(row.get::<_, i64>(1)).unwrap_or_default(),
                failures: u32::try_from(row.get::<_, i32>(2)).unwrap_or_default(),
            })
        };
        rows.iter().map(queue).collect()
    }

    pub(super) async fn read_webhook_deliveries(
        &self,
        tenant: &TenantId,
        asked: &DeliveriesQuery,
    ) -> Result<Vec<ListedDelivery>, NotRead> {
        let parameters: Parameters = vec![
            Box::new(tenant.to_string()),
            Box::new(asked.webhook.to_string()),
            Box::new(asked.after.map_or(i64::MAX, |DeliveryPlace(seq)| seq)),
            Box::new(asked.state),
            Box::new(i64::from(asked.limit)),
        ];
        let rows = self.rows(tenant.clone(), DELIVERIES, parameters).await?;
        let unreadable = || PostgresError::Unreadable("a delivery");
        let listed = |row: &Row| {
            Ok(ListedDelivery {
                place: DeliveryPlace(row.get(0)),
                event: EventId::new(row.get::<_, &str>(1)).map_err(|_| unreadable())?,
                kind: row.get(2),
                at: row.get(3),
                state: row.get(4),
                next_at: row.get(5),
                attempts: RawValue::from_string(row.get(6)).map_err(|_| unreadable())?,
            })
        };
        rows.iter().map(listed).collect()
    }
}
