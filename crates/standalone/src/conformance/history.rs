//! Conformance of the history and the figures: a gateway reads what the batches of a ledger wrote.

use gateway::backends::{
    history::{FigureGroup, FiguresQuery, GroupedFigure, HistoryQuery, HistoryScope},
    queries::Queries,
};
use processors::{
    fixtures::{Clinic, call_next, issue, leave, opening, queue, ticket},
    ledger::Ledger,
};
use schemas::{
    Millis,
    command::Command,
    figures::{Measure, Tally},
    history::Stay,
    ids::LocationId,
    ticket::TicketState,
};

/// A clinic with a committed morning: five tickets, of which one was called, one left, and one was
/// called and put back in line.
struct Morning {
    clinic: Clinic,
    /// The stays of all batches, each as it was last written.
    stays: Vec<Stay>,
}

impl Morning {
    async fn new(ledger: &dyn Ledger) -> Self {
        let mut clinic = Clinic::new(ledger).await;
        let mut claim = ledger.claim(clinic.partition()).await.expect("the ledger claims");
        let mut stays = Vec::<Stay>::new();
        let mut first = opening();
        first.extend((1..=5).map(issue));
        let second = vec![
            call_next(),
            leave(3),
            Command::MarkAbsent { ticket: ticket(1) },
            Command::RevertTicket { ticket: ticket(1) },
        ];
        for commands in [first, second] {
            let batch = clinic.batch(claim, commands);
            ledger.commit(&batch).await.expect("the ledger commits");
            claim.next_offset = batch.to;
            for row in batch.stays {
                stays.retain(|held| {
                    (&held.ticket, held.number) != (&row.stay.ticket, row.stay.number)
                });
                stays.push(row.stay);
            }
        }
        stays.sort_by_key(|stay| std::cmp::Reverse(stay.place()));
        Self { clinic, stays }
    }

    fn location(&self) -> LocationId {
        self.clinic.aggregate.location_id().expect("a clinic is a location")
    }

    fn query(&self, scope: HistoryScope) -> HistoryQuery {
        HistoryQuery { scope, began: 0..Millis::MAX, after: None, limit: 100 }
    }

    async fn page(&self, queries: &dyn Queries, asked: &HistoryQuery) -> Vec<Stay> {
        let tenant = self.clinic.aggregate.tenant();
        queries.history(&tenant, asked).await.expect("the history is read")
    }

    async fn figures(&self, queries: &dyn Queries, group: FigureGroup) -> Vec<GroupedFigure> {
        let days = ["2023-11-14".to_owned(), "2023-11-15".to_owned()];
        let asked = FiguresQuery { location: self.location(), days, group };
        let tenant = self.clinic.aggregate.tenant();
        let mut found = queries.figures(&tenant, &asked).await.expect("the figures are read");
        found.sort_unstable();
        found
    }
}

pub async fn history_equals_batches(ledger: &dyn Ledger, queries: &dyn Queries) {
    let morning = Morning::new(ledger).await;
    assert!(morning.stays.len() >= 9, "{} stays", morning.stays.len());
    for scope in [HistoryScope::Location(morning.location()), HistoryScope::Queue(queue())] {
        assert_eq!(morning.page(queries, &morning.query(scope)).await, morning.stays);
    }
    let of_one = morning.page(queries, &morning.query(HistoryScope::Ticket(ticket(1)))).await;
    let states: Vec<_> = of_one.iter().map(|stay| (stay.state, stay.until.is_some())).collect();
    let called = (TicketState::Called, true);
    let expected = [
        (TicketState::Called, false),
        (TicketState::Absent, true),
        called,
        (TicketState::Waiting, true),
    ];
    assert_eq!(states, expected);
}

pub async fn pages_join_without_gap(ledger: &dyn Ledger, queries: &dyn Queries) {
    let morning = Morning::new(ledger).await;
    let mut asked = morning.query(HistoryScope::Location(morning.location()));
    asked.limit = 2;
    let mut read = Vec::new();
    loop {
        let page = morning.page(queries, &asked).await;
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        asked.after = Some(last.place());
        read.extend(page);
    }
    assert_eq!(read, morning.stays);
    let middle = morning.stays[3].from;
    let asked = HistoryQuery { began: middle..Millis::MAX, after: None, limit: 100, ..asked };
    let page = morning.page(queries, &asked).await;
    assert!(!page.is_empty() && page.iter().all(|stay| stay.from >= middle));
    let asked = HistoryQuery { began: 0..middle, ..asked };
    assert_eq!(morning.page(queries, &asked).await.len() + page.len(), morning.stays.len());
}

pub async fn history_belongs_to_its_tenant(ledger: &dyn Ledger, queries: &dyn Queries) {
    let morning = Morning::new(ledger).await;
    let stranger = Clinic::new(ledger).await.aggregate.tenant();
    let asked = morning.query(HistoryScope::Location(morning.location()));
    assert!(queries.history(&stranger, &asked).await.expect("it is read").is_empty());
    let days = ["2023-11-14".to_owned(), "2023-11-15".to_owned()];
    let asked = FiguresQuery { location: morning.location(), days, group: FigureGroup::Day };
    assert!(queries.figures(&stranger, &asked).await.expect("they are read").is_empty());
}

pub async fn figures_add_up_over_batches(ledger: &dyn Ledger, queries: &dyn Queries) {
    let morning = Morning::new(ledger).await;
    for group in [FigureGroup::Queue, FigureGroup::Doctor, FigureGroup::Hour, FigureGroup::Day] {
        let found = morning.figures(queries, group).await;
        let count = |measure| {
            let of = found.iter().filter(|figure| figure.measure == measure);
            of.fold(Tally::default(), |mut sum, figure| {
                sum.add(figure.tally);
                sum
            })
        };
        assert_eq!(count(Measure::Arrived).count, 5, "{group:?}");
        assert_eq!(count(Measure::Waited).count, 1, "{group:?}");
        assert!(count(Measure::Waited).total_ms > 0);
        assert_eq!(count(Measure::Ended).count, 1, "{group:?}");
        let mut names: Vec<_> =
            found.iter().map(|figure| (&figure.key, figure.measure, figure.bucket)).collect();
        names.dedup();
        assert_eq!(names.len(), found.len(), "each group, measure and bucket once");
    }
    let by_queue = morning.figures(queries, FigureGroup::Queue).await;
    assert!(by_queue.iter().all(|figure| figure.key == queue().as_str()));
    let by_doctor = morning.figures(queries, FigureGroup::Doctor).await;
    assert!(by_doctor.iter().all(|figure| figure.key.is_empty()));
}

pub async fn fenced_batch_counts_nothing(ledger: &dyn Ledger, queries: &dyn Queries) {
    let mut morning = Morning::new(ledger).await;
    let before = morning.figures(queries, FigureGroup::Day).await;
    let old = ledger.claim(morning.clinic.partition()).await.expect("the ledger claims");
    ledger.claim(morning.clinic.partition()).await.expect("the ledger claims");
    let batch = morning.clinic.batch(old, vec![issue(9)]);
    assert!(!batch.stays.is_empty() && !batch.figures.is_empty());
    assert!(ledger.commit(&batch).await.is_err());
    assert_eq!(morning.figures(queries, FigureGroup::Day).await, before);
    let asked = morning.query(HistoryScope::Ticket(ticket(9)));
    assert!(morning.page(queries, &asked).await.is_empty());
}

/// Calls `$run!` with the names of the promises of histories and figures.
#[macro_export]
macro_rules! history_promises {
    ($run:ident) => {
        $run! {
            history_equals_batches,
            pages_join_without_gap,
            history_belongs_to_its_tenant,
            figures_add_up_over_batches,
            fenced_batch_counts_nothing,
        }
    };
}
