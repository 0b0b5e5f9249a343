//! The history and the figures in memory.

use std::collections::{BTreeMap, HashMap, VecDeque};

use gateway::backends::history::{Figures, FiguresQuery, GroupedFigure, HistoryQuery};
use processors::ledger::Batch;
use schemas::{
    figures::{Figure, FigureKey, Tally},
    history::{Stay, StayPlace},
    ids::{Aggregate, TenantId, TicketId},
};

/// Kept stays: weeks of a large clinic. Past it the oldest are dropped.
const STAYS: usize = 100_000;
/// Kept rows of figures: a quarter of a year of a large clinic. Past it those of the first days are
/// dropped.
const FIGURES: usize = 100_000;

type StayName = (TenantId, TicketId, u32);

#[derive(Default)]
pub(super) struct KeptHistory {
    stays: BTreeMap<(TenantId, StayPlace), Stay>,
    /// The place of each stay, which never changes.
    places: HashMap<StayName, StayPlace>,
    order: VecDeque<StayName>,
    /// By day first, so that the first rows are the oldest.
    figures: BTreeMap<(String, Aggregate, FigureKey), Tally>,
}

impl KeptHistory {
    pub(super) fn commit(&mut self, batch: &Batch) {
        for row in &batch.stays {
            self.put(row.aggregate.tenant(), &row.stay);
        }
        for row in &batch.figures {
            let Figure { key, tally } = &row.figure;
            let name = (key.day.clone(), row.aggregate.clone(), key.clone());
            self.figures.entry(name).or_default().add(*tally);
        }
        while self.figures.len() > FIGURES {
            self.figures.pop_first();
        }
    }

    fn put(&mut self, tenant: TenantId, stay: &Stay) {
        let name = (tenant.clone(), stay.ticket.clone(), stay.number);
        let place = match self.places.get(&name) {
            Some(place) => place.clone(),
            None => {
                self.places.insert(name.clone(), stay.place());
                self.order.push_back(name);
                stay.place()
            }
        };
        self.stays.insert((tenant, place), stay.clone());
        while self.order.len() > STAYS
            && let Some(oldest) = self.order.pop_front()
        {
            let place = self.places.remove(&oldest);
            place.and_then(|place| self.stays.remove(&(oldest.0, place)));
        }
    }

    pub(super) fn page(&self, tenant: &TenantId, asked: &HistoryQuery) -> Vec<Stay> {
        let of_tenant = self.stays.iter().rev().filter(|((of, _), _)| of == tenant);
        let stays = of_tenant.map(|(_, stay)| stay).filter(|stay| asked.selects(stay));
        stays.take(asked.limit as usize).cloned().collect()
    }

    pub(super) fn figures(&self, tenant: &TenantId, asked: &FiguresQuery) -> Figures {
        let location = Aggregate::location(tenant, &asked.location);
        let [first, last] = &asked.days;
        let is_asked =
            |key: &FigureKey, of: &Aggregate| *of == location && (first..=last).contains(&&key.day);
        let found = self.figures.iter().filter(|((_, of, key), _)| is_asked(key, of));
        let mut sums = BTreeMap::<_, Tally>::new();
        for ((.., key), tally) in found {
            let name = (asked.group.key_of(key), key.measure, key.bucket);
            sums.entry(name).or_default().add(*tally);
        }
        let figure =
            |((key, measure, bucket), tally)| GroupedFigure { key, measure, bucket, tally };
        sums.into_iter().map(figure).collect()
    }
}
