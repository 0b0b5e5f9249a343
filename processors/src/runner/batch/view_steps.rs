//! The changes of views that one batch makes, as the view store gets them.

use std::collections::HashMap;

use schemas::{ids::Aggregate, record::ViewDelta, view::Fold};

use crate::views::ViewStep;

/// Changes of views, with those of one view merged.
#[derive(Default)]
pub struct ViewSteps {
    steps: Vec<ViewStep>,
    last: HashMap<(Aggregate, String), usize>,
}

impl ViewSteps {
    /// Adds a change. A change that follows the last one of its view is merged into it.
    pub fn add(&mut self, aggregate: &Aggregate, epoch: u64, next: ViewDelta) {
        let name = (aggregate.clone(), next.view.clone());
        if let Some(held) = self.last.get(&name).map(|index| &mut self.steps[*index])
            && held.epoch == epoch
            && held.step.delta.merge(&next.delta) != Fold::Gap
        {
            held.step.keep_s = next.keep_s;
            held.step.urgent |= next.urgent;
            return;
        }
        // This is the first change of the view, or one of a later epoch, or one after a gap. A gap
        // stays a change of its own, and the store reports it.
        self.last.insert(name, self.steps.len());
        self.steps.push(ViewStep { aggregate: aggregate.clone(), epoch, step: next });
    }

    /// The number of changes.
    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    /// The changes, in the order in which they started.
    pub fn into_vec(self) -> Vec<ViewStep> {
        self.steps
    }
}

#[cfg(test)]
mod tests {
    use schemas::view::Delta;

    use super::*;

    fn next(view: &str, from: u64, to: u64, keep_s: Option<u32>) -> ViewDelta {
        let mut delta = Delta { from, to, ..Delta::default() };
        delta.put(to.to_string(), &to);
        ViewDelta { view: view.into(), keep_s, urgent: false, delta }
    }

    #[test]
    fn changes_merge_only_within_one_view() {
        let aggregate = Aggregate::parse("demo/riverside").unwrap();
        let other = Aggregate::parse("other/riverside").unwrap();
        let mut steps = ViewSteps::default();
        steps.add(&aggregate, 7, next("board:riverside", 1, 2, None));
        steps.add(&other, 7, next("board:riverside", 2, 3, None));
        steps.add(&aggregate, 7, next("ticket:a", 2, 3, None));
        steps.add(&aggregate, 7, next("board:riverside", 2, 5, Some(9)));
        steps.add(&aggregate, 7, next("board:riverside", 2, 5, Some(9)));
        steps.add(&aggregate, 7, next("board:riverside", 6, 7, None));
        steps.add(&aggregate, 8, next("board:riverside", 0, 1, None));
        let steps = steps.into_vec();
        let ends: Vec<_> = steps
            .iter()
            .map(|step| (step.epoch, step.step.delta.from, step.step.delta.to))
            .collect();
        assert_eq!(ends, [(7, 1, 5), (7, 2, 3), (7, 2, 3), (7, 6, 7), (8, 0, 1)]);
        assert_eq!(steps[0].step.keep_s, Some(9), "the last step says how long the view is kept");
        assert_eq!(steps[0].step.delta.set.len(), 2);
    }
}
