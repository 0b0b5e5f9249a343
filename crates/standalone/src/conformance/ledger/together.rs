//! Conformance of batches that are committed with others.

use std::sync::Arc;

use futures_util::future::join_all;
use processors::{
    fixtures::{Clinic, issue},
    ledger::{Batch, Ledger, LedgerError, PartitionClaim},
};

use super::{holds_the_location, opened};

/// Clinics in different partitions, and the claims to continue with.
async fn clinics<const N: usize>(ledger: &dyn Ledger) -> [(Clinic, PartitionClaim); N] {
    let opening: Vec<_> = join_all((0..N).map(|_| opened(ledger, 0))).await;
    opening.try_into().ok().expect("as many as were opened")
}

async fn commit_all(
    ledger: &dyn Ledger,
    batches: impl IntoIterator<Item = Batch>,
) -> Vec<Result<(), LedgerError>> {
    join_all(batches.into_iter().map(|batch| ledger.commit_with_others(Arc::new(batch)))).await
}

/// Batches that become ready at once end as if each were committed alone: a fenced one changes
/// nothing, and the others are committed.
pub async fn batches_that_share_a_transaction_end_alone(ledger: &dyn Ledger) {
    let mut clinics = clinics::<5>(ledger).await;
    let taken = ledger.claim(clinics[3].1.partition).await.expect("the ledger claims");
    let batches: Vec<Batch> =
        clinics.iter_mut().map(|(clinic, claim)| clinic.batch(*claim, vec![issue(1)])).collect();
    let ended = commit_all(ledger, batches.clone()).await;
    for (number, ended) in ended.iter().enumerate() {
        match number {
            3 => assert!(matches!(ended, Err(LedgerError::Fenced)), "another owner has it"),
            _ => assert!(ended.is_ok(), "{number}: {ended:?}"),
        }
    }
    for (batch, number) in batches.iter().zip(0..) {
        let found = ledger.checkpoint(batch.claim.partition).await.expect("the ledger answers");
        let expected = if number == 3 { taken.next_offset } else { batch.to };
        assert_eq!(found.next_offset, expected);
    }
    let fenced = Batch { claim: taken, ..batches[3].clone() };
    assert!(matches!(commit_all(ledger, [fenced]).await[..], [Ok(())]), "the new owner's batch");
    for (clinic, _) in &clinics {
        holds_the_location(ledger, clinic).await;
    }

    // The next batches continue, also of the partition that was fenced.
    let next: Vec<Batch> = clinics
        .iter_mut()
        .zip(&batches)
        .map(|((clinic, claim), before)| {
            let owner = if claim.partition == taken.partition { taken } else { *claim };
            let claim = PartitionClaim { next_offset: before.to, ..owner };
            clinic.batch(claim, vec![issue(2)])
        })
        .collect();
    assert!(commit_all(ledger, next).await.iter().all(Result::is_ok));
    for (clinic, _) in &clinics {
        holds_the_location(ledger, clinic).await;
    }
}

/// A batch that is committed twice at once has one effect.
pub async fn batch_shared_with_itself_has_one_effect(ledger: &dyn Ledger) {
    let [(mut clinic, claim)] = clinics::<1>(ledger).await;
    let batch = clinic.batch(claim, vec![issue(1)]);
    let ended = commit_all(ledger, [batch.clone(), batch.clone(), batch]).await;
    let committed = ended.iter().filter(|ended| ended.is_ok()).count();
    let fenced = ended.iter().filter(|ended| matches!(ended, Err(LedgerError::Fenced))).count();
    assert_eq!((committed, fenced), (1, 2), "{ended:?}");
    holds_the_location(ledger, &clinic).await;
}
