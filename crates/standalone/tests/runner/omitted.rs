//! Records of `views` from which entries are left out because they would be too large.

use gateway::backends::snapshots::{Snapshot, Snapshots as _};
use processors::{
    fixtures::{self, Clinic},
    ledger::Ledger as _,
};
use schemas::record::{VIEWS_TOPIC, ViewsRecord};

use crate::{
    clinic::{PARTITION, ViewsTopic, memory, quiet, run, same, send, settings},
    faults::{Faults, backends},
};

/// An owner commits a large step and dies. The store has never seen it, and the record in the
/// outbox does not have its entries.
#[tokio::test(start_paused = true)]
async fn next_owner_repairs_views_with_omitted_steps() {
    let memory = memory();
    let heard = ViewsTopic::listen(&memory);
    let mut clinic = Clinic::new(&*memory.ledger).await;
    let records: Vec<_> =
        fixtures::opening().into_iter().map(|command| clinic.record(command)).collect();
    for record in &records {
        send(&memory, record.clone()).await;
    }
    let claim = memory.ledger.claim(PARTITION).await.unwrap();
    let mut batch = clinic.batch_of(claim, records);
    for row in batch.outbox.iter_mut().filter(|row| row.topic == VIEWS_TOPIC) {
        let mut record = ViewsRecord::from_value(&row.record.value).unwrap();
        for step in &mut record.deltas {
            step.delta = step.delta.without_entries();
        }
        row.record = record.to_wire(&clinic.aggregate);
    }
    memory.ledger.commit(&batch).await.unwrap();

    run(backends(&memory, &Faults::none()), settings());
    quiet(&memory).await;
    assert_eq!(heard.all().len(), batch.outbox.len(), "the outbox is published");
    for name in ["board:riverside", "queue:riverside.general", "load:riverside"] {
        let (view, _) = memory
            .ledger
            .view(&(clinic.aggregate.clone(), name.to_owned()))
            .await
            .unwrap()
            .unwrap();
        let Ok(Snapshot::Held(stored)) = memory.views.load(&clinic.aggregate, name).await else {
            panic!("the store has {name}");
        };
        assert!(same(&stored, &view), "{name}");
    }
}
