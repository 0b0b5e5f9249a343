//! Compares read models with the journal: the events of an aggregate are folded, and the result is
//! compared with what is stored. Nothing is decided and nothing is changed.

mod difference;
mod fold;

pub use difference::{Compared, Difference, How};
pub use fold::{
    AggregateSnapshot, FoldedAggregate, FoldedView, JournalStep, RetiredBefore, TouchedParts,
    has_entries_of,
};
