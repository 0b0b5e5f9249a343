//! Claiming the partitions of an assignment: the ledger raises their owner epochs, and the log is
//! compared with the journal before anything of it is read.

use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
    time::Duration,
};

use futures_util::future::join_all;
use schemas::{ids::Aggregate, view::Position};
use tokio::time::timeout;

use super::RunnerBackends;
use crate::{
    anchor::{LogAnchor, LogFault},
    ledger::{Ledger, LedgerError, PartitionClaim},
    log::{LogPlace, LogState, PartitionId},
    views::ViewStoreError,
};

/// How long a claim may take, since the consumer group waits for it. Without an answer, the log
/// assigns the partition again.
const CLAIM_PATIENCE: Duration = Duration::from_secs(1);
/// How long the log may take to be looked at, all partitions together. A partition whose state is
/// not known by then is assigned again.
const LOOK_PATIENCE: Duration = Duration::from_secs(3);

/// A partition that the ledger gave to this process.
pub(super) struct ClaimedPartition {
    pub(super) claim: PartitionClaim,
    pub(super) anchor: LogAnchor,
    /// Why the partition must not be read.
    pub(super) fault: Option<LogFault>,
}

/// Claims partitions and looks at their log. Those that cannot be claimed now are left out.
pub(super) async fn claim_all(
    backends: &RunnerBackends,
    ids: Vec<PartitionId>,
) -> Vec<ClaimedPartition> {
    if let Err(error) = answer_restored(backends).await {
        let error = &*error as &dyn Error;
        tracing::warn!(error, "partitions are not claimed: the ledger may be an older copy");
        return Vec::new();
    }
    let ledger = &*backends.ledger;
    let answers = join_all(
        ids.into_iter().map(async |id| (id, timeout(CLAIM_PATIENCE, claim(ledger, id)).await)),
    );
    let mut claims = BTreeMap::new();
    for (id, answer) in answers.await {
        match answer {
            Ok(Ok(claim)) => drop(claims.insert(id, claim)),
            Ok(Err(error)) => {
                let error = &error as &dyn Error;
                tracing::warn!(partition = id.0, error, "claiming a partition failed");
            }
            Err(_) => {
                tracing::warn!(partition = id.0, "the ledger did not answer a claim in time")
            }
        }
    }
    let mut states = look(backends, &claims).await;
    let checked = claims.into_iter().filter_map(|(id, (claim, anchor))| {
        let Some(state) = states.remove(&id) else {
            tracing::warn!(partition = id.0, "the log did not tell its state in time");
            return None;
        };
        let fault = anchor.check(claim.next_offset, &state).err();
        Some(ClaimedPartition { claim, anchor, fault })
    });
    checked.collect()
}

/// Compares the ledger with what was published last, and begins a new epoch if it is older. A
/// position that clients have seen never gets another content then.
async fn answer_restored(backends: &RunnerBackends) -> Result<(), Box<dyn Error + Send + Sync>> {
    let (newest, heads) = tokio::join!(
        timeout(LOOK_PATIENCE, backends.log.newest_views()),
        timeout(LOOK_PATIENCE, backends.views.heads()),
    );
    // A refusal for an aggregate that does not exist has version 0.
    let mut published: Vec<(Aggregate, Position)> = newest??
        .into_iter()
        .filter(|newest| newest.position.version > 0)
        .map(|newest| (newest.aggregate, newest.position))
        .collect();
    // The topic forgets after hours, and a restore can take longer. The view store remembers the
    // heads as long as the views that belong to them. It is a cache, so no claim waits for it.
    match heads.unwrap_or_else(|elapsed| Err(ViewStoreError(Some(elapsed.into())))) {
        Ok(heads) => published.extend(heads),
        Err(error) => {
            let error = &error as &dyn Error;
            tracing::warn!(
                error,
                "the view store does not tell the heads of partitions: only the topic of views \
                 can tell whether the ledger is an older copy"
            );
        }
    }
    let begun = timeout(LOOK_PATIENCE, backends.ledger.begin_epoch_if_older(&published)).await??;
    if let Some(epoch) = begun {
        tracing::error!(
            epoch,
            "the database is older than what was published: it was restored, or lost its last \
             commits. Every aggregate begins a new epoch, and records since its checkpoint are \
             decided again"
        );
    }
    Ok(())
}

async fn claim(
    ledger: &dyn Ledger,
    id: PartitionId,
) -> Result<(PartitionClaim, LogAnchor), LedgerError> {
    let claim = ledger.claim(id).await?;
    Ok((claim, ledger.anchor(id).await?))
}

async fn look(
    backends: &RunnerBackends,
    claims: &BTreeMap<PartitionId, (PartitionClaim, LogAnchor)>,
) -> HashMap<PartitionId, LogState> {
    let place = |(id, (_, anchor)): (&PartitionId, &(_, LogAnchor))| LogPlace {
        partition: *id,
        anchor: anchor.log_offset(),
    };
    let places: Vec<LogPlace> = claims.iter().map(place).collect();
    if places.is_empty() {
        return HashMap::new();
    }
    let states = timeout(LOOK_PATIENCE, backends.log.look(&places)).await;
    states.unwrap_or_default().into_iter().collect()
}
