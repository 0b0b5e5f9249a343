//! Verification finds each change of a stored chain.

use processors::{
    audit::{
        AuditBatch, AuditStore, Break, ChainEnds, ChainReport, DAY_MS, Day, EntryNumber, StoredRow,
        TenantEntries, verify_tenant, verify_tenants,
    },
    log::PartitionId,
};
use schemas::audit::AuditRecord;

use crate::{
    sink::{entry, tenant},
    store::{FaultyStore, RowChange},
};

/// The first day of the chain.
const FIRST: Day = Day(20_000);

/// A store with six entries: 1 to 3 on the first day, 4 on the next, and 5 and 6 two days later.
async fn store() -> FaultyStore {
    let store = FaultyStore::default();
    let claim = store.claim(PartitionId(0)).await.unwrap();
    let entries = AuditRecord { entries: (1..=6).map(|it| entry(&it.to_string())).collect() };
    let (_, entries) = AuditRecord::from_wire(&entries.to_wire(&tenant(), 1)).unwrap();
    let days = [0, 0, 0, 1, 3, 3];
    let dated = days.map(|day| FIRST.starts() + day * DAY_MS + 1_000);
    let entries = dated.into_iter().zip(entries).collect();
    let tenants = vec![TenantEntries { tenant: tenant(), entries }];
    let batch = AuditBatch { claim, to: claim.next_offset.next(), tenants, parked: vec![] };
    store.commit(&batch).await.unwrap();
    store
}

async fn report(store: &FaultyStore) -> ChainReport {
    verify_tenant(store, tenant()).await.unwrap()
}

/// Changes the row with this number.
fn change(number: u64, change: impl Fn(&mut StoredRow) + Send + Sync + 'static) -> RowChange {
    Box::new(move |rows| {
        rows.iter_mut().filter(|row| row.number == EntryNumber(number)).for_each(&change);
    })
}

/// Adds a row behind the last one.
fn forge() -> RowChange {
    Box::new(|rows| {
        if let Some(last) = rows.last().filter(|last| last.number == EntryNumber(6)) {
            rows.push(StoredRow { number: EntryNumber(7), ..last.clone() });
        }
    })
}

fn remove(number: u64) -> RowChange {
    Box::new(move |rows| rows.retain(|row| row.number != EntryNumber(number)))
}

#[tokio::test]
async fn sound_chain_is_reported_with_its_ends() {
    let store = store().await;
    let mut reports = Vec::new();
    verify_tenants(&store, |report| reports.push(report)).await.unwrap();
    let [report] = &reports[..] else { panic!("{} reports", reports.len()) };
    assert_eq!((report.rows, report.broken, report.first), (6, None, Some(EntryNumber(1))));
    assert_eq!(report.head.map(|head| head.number), Some(EntryNumber(6)));
}

#[tokio::test]
async fn changed_rows_are_found_at_their_place() {
    let body = |row: &mut StoredRow| row.body = row.body.replace("doctor", "source");
    let later = |row: &mut StoredRow| row.logged_at += 1;
    let columns = |row: &mut StoredRow| row.columns.subject = "somebody else".to_owned();
    for (what, changed, day, number, why) in [
        ("body", change(2, body), 0, Some(2), Break::Hash),
        ("hash", change(3, |row| row.hash.0[31] ^= 1), 0, Some(3), Break::Hash),
        ("time", change(1, later), 0, Some(1), Break::Hash),
        ("day", change(1, |row| row.logged_at += DAY_MS), 0, Some(1), Break::Time),
        ("columns", change(4, columns), 1, Some(4), Break::Columns),
        ("removed", remove(2), 0, Some(3), Break::Number),
        ("removed at the end of a day", remove(3), 1, Some(4), Break::Anchor),
        ("removed day", remove(4), 1, None, Break::MissingDay),
        ("removed at the end", remove(6), 3, Some(6), Break::Head),
        ("added at the end", forge(), 3, Some(7), Break::Head),
    ] {
        let store = store().await;
        *store.change_rows.lock().unwrap() = Some(changed);
        let found = report(&store).await.broken;
        assert_eq!(found, Some((Day(FIRST.0 + day), number.map(EntryNumber), why)), "{what}");
    }
}

#[tokio::test]
async fn changed_ends_are_found() {
    type EndChange = fn(&mut ChainEnds);
    let cases: [(&str, EndChange, Break); 3] = [
        ("no head", |ends| ends.head = None, Break::Head),
        ("other anchor", |ends| ends.anchors[1].hash.0[0] ^= 1, Break::Anchor),
        ("no anchor", |ends| ends.anchors.retain(|it| it.day == FIRST), Break::Anchor),
    ];
    for (what, changed, why) in cases {
        let store = store().await;
        *store.change_ends.lock().unwrap() = Some(Box::new(changed));
        let found = report(&store).await.broken;
        assert_eq!(found.map(|(.., why)| why), Some(why), "{what}");
    }
}

/// The owner of the store removes the first entries and moves the start of the chain behind them.
#[tokio::test]
async fn chain_that_begins_late_is_found() {
    let store = store().await;
    let second = store.rows(&tenant(), FIRST, None, 2).await.unwrap().pop().unwrap();
    *store.change_rows.lock().unwrap() =
        Some(Box::new(|rows| rows.retain(|row| row.number > EntryNumber(2))));
    *store.change_ends.lock().unwrap() = Some(Box::new(move |ends| {
        (ends.anchors[0].before, ends.anchors[0].hash) = (second.number, second.hash);
    }));
    assert_eq!(report(&store).await.broken, Some((FIRST, None, Break::Anchor)));
}

/// Retention drops whole days from the start.
#[tokio::test]
async fn chain_without_its_first_days_is_sound() {
    let store = store().await;
    for (kept, rows, first) in [(FIRST, 6, Some(1)), (Day(FIRST.0 + 1), 3, Some(4))] {
        *store.kept_from.lock().unwrap() = Some(kept);
        let report = report(&store).await;
        let expected = (rows, first.map(EntryNumber), None);
        assert_eq!((report.rows, report.first, report.broken), expected, "from {kept}");
    }
    *store.kept_from.lock().unwrap() = Some(Day(FIRST.0 + 9));
    let report = report(&store).await;
    assert_eq!((report.rows, report.first, report.broken), (0, None, None));
}
