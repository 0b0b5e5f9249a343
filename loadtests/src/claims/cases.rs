//! What is planted: for every outcome a row that has it, and on the other side of each boundary one that has not.

use schemas::finding::FindingOutcome;

use super::stage::Stage;

mod grouped;
mod office;
mod single;

/// A scene of a doctor, a day and patients of its own.
pub struct Case {
    pub name: &'static str,
    stage: Box<dyn Fn(&mut Stage<'_>) + Send + Sync>,
}

impl Case {
    fn new(name: &'static str, stage: impl Fn(&mut Stage<'_>) + Send + Sync + 'static) -> Self {
        Self { name, stage: Box::new(stage) }
    }

    pub fn put_on(&self, stage: &mut Stage<'_>) {
        (self.stage)(stage);
    }
}

/// All of them.
#[must_use]
pub fn all() -> Vec<Case> {
    let mut cases = office::cases();
    cases.extend(grouped::cases());
    cases.extend(single::cases());
    cases
}

/// Whether the outcome says that things are as they should be.
#[must_use]
pub fn is_good(outcome: FindingOutcome) -> bool {
    matches!(
        outcome,
        FindingOutcome::Pass | FindingOutcome::OfficeFeePass | FindingOutcome::OfficeFeePassMaximum
    )
}
