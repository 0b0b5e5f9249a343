//! The checkpoints of topics, as an operator looks at them and accepts another topic.

use tokio_postgres::Client;

use super::{
    ConnectionSettings, Consumer, PostgresError, number, pool, rows::log_anchor, statements::ANCHOR,
};
use crate::{
    anchor::{ANCHOR_RECORDS, LogAnchor},
    ledger::{OwnerEpoch, PartitionClaim},
    log::{LogOffset, PartitionId},
};

const CHECKPOINTS: &str = "SELECT partition, next_offset, owner_epoch FROM clinicwire.checkpoint \
     WHERE consumer = $1 AND topic = $2 ORDER BY partition";
// The new owner epoch ends the claim of the partition's owner, which then looks at the topic anew.
const ACCEPT: &str = "UPDATE clinicwire.checkpoint \
     SET next_offset = $6, log_base = $7, log_from = $6, owner_epoch = owner_epoch + 1 \
     WHERE consumer = $1 AND topic = $2 AND partition = $3 AND next_offset = $4 \
       AND owner_epoch = $5";

/// The checkpoints of one topic.
pub struct PostgresTopics {
    client: Client,
    consumer: Consumer,
}

/// Where a partition is read after its topic was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcceptedLog {
    /// The next offset in the database.
    pub next_offset: LogOffset,
    /// What is added to an offset of the topic.
    pub base: i64,
}

impl PostgresTopics {
    /// Connects with the role of a processor.
    ///
    /// # Errors
    /// [`PostgresError`]
    pub async fn connect(
        settings: &ConnectionSettings,
        consumer: Consumer,
    ) -> Result<Self, PostgresError> {
        Ok(Self { client: pool::login(settings).await?, consumer })
    }

    /// The checkpoint of each partition that was ever claimed, and its anchor.
    ///
    /// # Errors
    /// [`PostgresError`]
    pub async fn checkpoints(&self) -> Result<Vec<(PartitionClaim, LogAnchor)>, PostgresError> {
        let Consumer { name, topic } = &self.consumer;
        let mut checkpoints = Vec::new();
        for row in self.client.query(CHECKPOINTS, &[name, topic]).await? {
            let partition = row.get::<_, i32>(0);
            let claim = PartitionClaim {
                partition: PartitionId(partition.cast_unsigned()),
                next_offset: LogOffset(row.get(1)),
                owner_epoch: OwnerEpoch(row.get(2)),
            };
            let anchor =
                self.client.query_opt(ANCHOR, &[name, topic, &partition, &ANCHOR_RECORDS]).await?;
            let anchor = anchor.as_ref().map(log_anchor).transpose()?.unwrap_or_default();
            checkpoints.push((claim, anchor));
        }
        Ok(checkpoints)
    }

    /// Moves a checkpoint to an accepted topic. Returns whether the checkpoint was still as `claim`
    /// says.
    ///
    /// # Errors
    /// [`PostgresError`]
    pub async fn accept(
        &self,
        claim: PartitionClaim,
        accepted: AcceptedLog,
    ) -> Result<bool, PostgresError> {
        let Consumer { name, topic } = &self.consumer;
        let PartitionClaim { partition, owner_epoch, next_offset } = claim;
        let moved = self
            .client
            .execute(
                ACCEPT,
                &[
                    name,
                    topic,
                    &number(partition.0),
                    &next_offset.0,
                    &owner_epoch.0,
                    &accepted.next_offset.0,
                    &accepted.base,
                ],
            )
            .await?;
        Ok(moved == 1)
    }
}
