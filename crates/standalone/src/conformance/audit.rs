//! Conformance of the store of the audit, and of the reads of gateways from it.

use gateway::backends::queries::{AuditQuery, AuditRow, Queries};
use processors::{
    audit::{
        AuditBatch, AuditStore, Break, ChainHash, ChainReport, DAY_MS, Day, EntryNumber,
        ParkedRecord, TenantEntries, verify_tenant,
    },
    ledger::{LedgerError, PartitionClaim},
    log::{LogOffset, PartitionId},
};
use schemas::{
    Millis,
    audit::{AuditEntry, AuditRecord, PersonKey, WrittenEntry},
    codes::Code,
    ids::{AppointmentId, LocationId, TenantId},
    record::WireRecord,
};

use super::fresh;

/// Both sides of one store.
#[derive(Clone, Copy)]
pub struct Sides<'a> {
    pub store: &'a dyn AuditStore,
    pub queries: &'a dyn Queries,
}

/// The partition of every promise. Each store has a consumer of its own.
const PARTITION: PartitionId = PartitionId(0);

fn tenant() -> TenantId {
    TenantId::new(fresh()).expect("a slug")
}

/// Noon of today, so that a few entries stay on one day.
fn noon() -> Millis {
    let today = Day::of(gateway::clock::now());
    today.starts() + DAY_MS / 2
}

fn entry(subject: &str, action: &'static str, what: &[&str]) -> AuditEntry {
    AuditEntry {
        at: noon(),
        subject: subject.into(),
        role: "reception".into(),
        address: Some([192, 0, 2, 7].into()),
        agent: Some("Browser/1 \u{0}\"".into()),
        action: action.into(),
        what: what.iter().map(|name| (*name).to_owned()).collect(),
        code: None,
        other_tenant: None,
        reason: None,
        crossed: false,
        first: None,
        last: None,
    }
}

fn written(entries: Vec<AuditEntry>) -> Vec<WrittenEntry> {
    let record = AuditRecord { entries }.to_wire(&tenant(), 1);
    AuditRecord::from_wire(&record).expect("an own record is read").1
}

/// The owner of the partition, who stores one batch after the other.
struct Owner<'a> {
    sides: Sides<'a>,
    claim: PartitionClaim,
}

impl<'a> Owner<'a> {
    async fn claim(sides: Sides<'a>) -> Self {
        let claim = sides.store.claim(PARTITION).await.expect("the store answers");
        Self { sides, claim }
    }

    fn batch(&self, tenant: &TenantId, at: Millis, entries: Vec<AuditEntry>) -> AuditBatch {
        let entries = written(entries).into_iter().map(|written| (at, written)).collect();
        let tenants = vec![TenantEntries { tenant: tenant.clone(), entries }];
        AuditBatch { claim: self.claim, to: self.claim.next_offset.next(), tenants, parked: vec![] }
    }

    async fn store(&mut self, tenant: &TenantId, at: Millis, entries: Vec<AuditEntry>) {
        let batch = self.batch(tenant, at, entries);
        self.sides.store.commit(&batch).await.expect("the batch is stored");
        self.claim.next_offset = batch.to;
    }

    async fn list(&self, tenant: &TenantId, asked: AuditQuery) -> Vec<AuditRow> {
        self.sides.queries.audit(tenant, &asked).await.expect("the audit is read")
    }

    async fn verify(&self, tenant: &TenantId) -> ChainReport {
        verify_tenant(self.sides.store, tenant.clone()).await.expect("the store answers")
    }
}

/// Everything of a few days.
fn all() -> AuditQuery {
    AuditQuery {
        logged: noon() - 40 * DAY_MS..noon() + 2 * DAY_MS,
        after: None,
        person: None,
        subject: None,
        action: None,
        limit: 100,
    }
}

fn subjects(rows: &[AuditRow]) -> Vec<&str> {
    rows.iter().map(|row| &*row.entry.subject).collect()
}

pub async fn entries_are_read_back_newest_first(sides: Sides<'_>) {
    let (mut owner, tenant) = (Owner::claim(sides).await, tenant());
    let (one, two) = (entry("one", "queue.read", &["riverside.general"]), entry("two", "a", &[]));
    owner.store(&tenant, noon(), vec![one.clone(), two]).await;
    owner.store(&tenant, noon() + 5, vec![entry("three", "a", &[])]).await;
    let rows = owner.list(&tenant, all()).await;
    assert_eq!(subjects(&rows), ["three", "two", "one"]);
    assert!(rows[2].entry == one);
    let numbers: Vec<_> = rows.iter().map(|row| row.place.number).collect();
    assert_eq!(numbers, [3, 2, 1]);
    assert_eq!((rows[0].place.logged_at, rows[1].place.logged_at), (noon() + 5, noon()));
}

pub async fn batch_is_stored_once(sides: Sides<'_>) {
    let (mut owner, tenant) = (Owner::claim(sides).await, tenant());
    let batch = owner.batch(&tenant, noon(), vec![entry("one", "a", &[])]);
    owner.store(&tenant, noon(), vec![entry("one", "a", &[])]).await;
    let repeated = owner.sides.store.commit(&batch).await;
    assert!(matches!(repeated, Err(LedgerError::Fenced)), "the checkpoint has moved");
    assert_eq!(owner.list(&tenant, all()).await.len(), 1);
    let stored = owner.sides.store.checkpoint(PARTITION).await.expect("the store answers");
    assert_eq!(stored, owner.claim);
}

pub async fn earlier_owner_is_fenced(sides: Sides<'_>) {
    let tenant = tenant();
    let early = Owner::claim(sides).await;
    let mut late = Owner::claim(sides).await;
    let batch = early.batch(&tenant, noon(), vec![entry("early", "a", &[])]);
    assert!(matches!(early.sides.store.commit(&batch).await, Err(LedgerError::Fenced)));
    late.store(&tenant, noon(), vec![entry("late", "a", &[])]).await;
    assert_eq!(subjects(&late.list(&tenant, all()).await), ["late"]);
}

pub async fn chain_spans_batches_owners_and_days(sides: Sides<'_>) {
    let tenant = tenant();
    let mut owner = Owner::claim(sides).await;
    owner.store(&tenant, noon() - DAY_MS, vec![entry("a", "a", &[]), entry("b", "a", &[])]).await;
    let mut next = Owner::claim(sides).await;
    next.store(&tenant, noon(), vec![entry("c", "a", &[])]).await;
    // The clock of a new broker is behind.
    next.store(&tenant, noon() - DAY_MS, vec![entry("d", "a", &[])]).await;
    let report = next.verify(&tenant).await;
    assert_eq!((report.rows, report.first), (4, Some(EntryNumber(1))));
    assert_eq!(report.broken, None);
    let rows = next.list(&tenant, all()).await;
    assert_eq!(rows[0].place.logged_at, noon(), "times never go back");
    let ends = next.sides.store.ends(&tenant).await.expect("the store answers");
    let days: Vec<_> = ends.anchors.iter().map(|anchor| anchor.day).collect();
    assert_eq!(days, [Day::of(noon() - DAY_MS), Day::of(noon())]);
    assert_eq!((ends.anchors[0].hash, ends.anchors[1].before), (ChainHash::START, EntryNumber(2)));
    assert_eq!(ends.head, report.head);
    assert!(next.sides.store.has_sound_end(&tenant).await.expect("the store answers"));
}

/// The head of another tenant's chain does not fit.
pub async fn hash_covers_the_tenant(sides: Sides<'_>) {
    let (one, other) = (tenant(), tenant());
    let mut owner = Owner::claim(sides).await;
    for tenant in [&one, &other] {
        owner.store(tenant, noon(), vec![entry("same", "a", &[])]).await;
    }
    let heads = [owner.verify(&one).await.head, owner.verify(&other).await.head];
    assert_ne!(heads[0].map(|head| head.hash), heads[1].map(|head| head.hash));
    let missing = owner.verify(&tenant()).await;
    assert_eq!((missing.rows, missing.head, missing.broken), (0, None, None::<(Day, _, Break)>));
}

pub async fn pages_have_no_gap_and_no_repeat(sides: Sides<'_>) {
    let (mut owner, tenant) = (Owner::claim(sides).await, tenant());
    for day in [35, 20, 1, 0] {
        let entries = (0..9).map(|number| entry(&format!("{day}-{number}"), "a", &[])).collect();
        owner.store(&tenant, noon() - day * DAY_MS, entries).await;
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = owner.list(&tenant, AuditQuery { after, limit: 4, ..all() }).await;
        let Some(last) = page.last() else { break };
        after = Some(last.place);
        seen.extend(page.iter().map(|row| row.place.number));
    }
    assert_eq!(seen, (1..=36).rev().collect::<Vec<_>>());
}

pub async fn filters_select_what_they_name(sides: Sides<'_>) {
    let (mut owner, tenant) = (Owner::claim(sides).await, tenant());
    let location = LocationId::new("riverside").expect("a slug");
    // The last eight bits are at their end, so that visits carry into the next key.
    let appointment = AppointmentId::from_random(&location, fastrand::u128(..) | 0xff);
    let (id, visit) = (appointment.to_string(), appointment.visit_ticket(1).to_string());
    let channels = [format!("ticket:{visit}"), format!("appointment:{id}")];
    let entries = vec![
        entry("ann", "appointment.read", &[&id]),
        entry("bob", "channel.open", &[&channels[0]]),
        entry("ann", "channel.open", &["queue:riverside.general"]),
        entry("cid", "stream-ticket.create", &[&channels[0], &channels[1]]),
    ];
    owner.store(&tenant, noon(), entries).await;
    owner.store(&tenant, noon() + 10, vec![entry("ann", "channel.open", &[&channels[1]])]).await;
    let person = PersonKey::near(&id);
    let (subject, action) = (Some("ann".to_owned()), Some("channel.open".to_owned()));
    let until = noon() + 10;
    for (asked, numbers) in [
        (AuditQuery { person, ..all() }, &[5, 4, 2, 1][..]),
        (AuditQuery { person: PersonKey::near(&visit), ..all() }, &[5, 4, 2, 1]),
        (AuditQuery { person, limit: 2, ..all() }, &[5, 4]),
        (AuditQuery { person, subject: subject.clone(), ..all() }, &[5, 1]),
        (AuditQuery { person, action: action.clone(), limit: 1, ..all() }, &[5]),
        (AuditQuery { subject: subject.clone(), ..all() }, &[5, 3, 1]),
        (AuditQuery { action: action.clone(), ..all() }, &[5, 3, 2]),
        (AuditQuery { subject, action, ..all() }, &[5, 3]),
        (AuditQuery { logged: noon()..until, ..all() }, &[4, 3, 2, 1]),
        (AuditQuery { logged: until..until + 1, person, ..all() }, &[5]),
        (AuditQuery { subject: Some("nobody".to_owned()), ..all() }, &[]),
    ] {
        let rows = owner.list(&tenant, asked.clone()).await;
        let found: Vec<_> = rows.iter().map(|row| row.place.number).collect();
        assert_eq!(found, numbers, "{:?} {:?}", asked.subject, asked.action);
    }
}

pub async fn entries_belong_to_their_tenant(sides: Sides<'_>) {
    let (one, other) = (tenant(), tenant());
    let mut owner = Owner::claim(sides).await;
    owner.store(&one, noon(), vec![entry("one", "a", &[])]).await;
    assert!(owner.list(&other, all()).await.is_empty());
    let listed = owner.sides.store.tenants(None, 100_000).await.expect("the store answers");
    assert!(listed.contains(&one) && !listed.contains(&other));
}

pub async fn unreadable_records_are_parked_with_the_batch(sides: Sides<'_>) {
    let (mut owner, tenant) = (Owner::claim(sides).await, tenant());
    let mut batch = owner.batch(&tenant, noon(), vec![entry("one", "a", &[])]);
    let record = WireRecord {
        key: "not a tenant\u{0}".to_owned(),
        headers: vec![("ce_type".to_owned(), "x".to_owned())],
        value: vec![0xff, 0].into(),
    };
    let (offset, code) = (batch.to, Code::RecordUnknownType);
    batch.parked.push(ParkedRecord { offset, code, record });
    batch.to = LogOffset(batch.to.0 + 1);
    owner.sides.store.commit(&batch).await.expect("the batch is stored");
    owner.claim.next_offset = batch.to;
    owner.store(&tenant, noon(), vec![entry("two", "a", &[])]).await;
    assert_eq!(subjects(&owner.list(&tenant, all()).await), ["two", "one"]);
}

/// Calls `$run!` with the names of the promises of the audit.
#[macro_export]
macro_rules! audit_promises {
    ($run:ident) => {
        $run! {
            entries_are_read_back_newest_first,
            batch_is_stored_once,
            earlier_owner_is_fenced,
            chain_spans_batches_owners_and_days,
            hash_covers_the_tenant,
            pages_have_no_gap_and_no_repeat,
            filters_select_what_they_name,
            entries_belong_to_their_tenant,
            unreadable_records_are_parked_with_the_batch,
        }
    };
}
