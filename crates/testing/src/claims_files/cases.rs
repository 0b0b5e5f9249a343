//! The planted cases: for every outcome a row that has it, and a row on the other side of each
//! boundary that does not.

use schemas::finding::FindingOutcome;

use super::group::RowGroup;

mod grouped;
mod office;
mod single;

/// A named group of rows with its own doctor, day and patients.
pub struct Case {
    pub name: &'static str,
    add_rows: Box<dyn Fn(&mut RowGroup<'_>) + Send + Sync>,
}

impl Case {
    fn new(
        name: &'static str,
        add_rows: impl Fn(&mut RowGroup<'_>) + Send + Sync + 'static,
    ) -> Self {
        Self { name, add_rows: Box::new(add_rows) }
    }

    pub fn add_to(&self, group: &mut RowGroup<'_>) {
        (self.add_rows)(group);
    }
}

/// Every case.
#[must_use]
pub fn all() -> Vec<Case> {
    let mut cases = office::cases();
    cases.extend(grouped::cases());
    cases.extend(single::cases());
    cases
}

/// Whether the outcome is about the whole file, and so reported once.
#[must_use]
pub fn is_about_file(outcome: FindingOutcome) -> bool {
    matches!(outcome, FindingOutcome::DateForm | FindingOutcome::TimeForm)
}

/// Whether the outcome reports that everything is in order.
#[must_use]
pub fn is_good(outcome: FindingOutcome) -> bool {
    matches!(
        outcome,
        FindingOutcome::Pass | FindingOutcome::OfficeFeePass | FindingOutcome::OfficeFeePassMaximum
    )
}
