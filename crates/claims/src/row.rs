//! The typed row of an export, which the rules look at.

use schemas::rule::Column;

/// A calendar date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day {
    /// The year.
    pub year: i16,
    /// The month, 1 to 12.
    pub month: u8,
    /// The day of the month, from 1.
    pub day: u8,
}

/// The first 12 characters of the patient's column, which identify the patient. Never shown, logged
/// or stored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PatientKey(pub [u8; 12]);

/// The doctor's number, `7 digits-5 digits`, as one integer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DoctorKey(pub u64);

impl std::fmt::Debug for PatientKey {
    /// Hides the person.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PatientKey")
    }
}

impl std::fmt::Debug for DoctorKey {
    /// Hides the person.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DoctorKey")
    }
}

/// One row, borrowed from the buffer of the reader. A rule that needs something for longer keeps a
/// key.
///
/// An empty cell is `None`, and so is one that cannot be read: `unread` names those.
pub struct Row<'a> {
    /// The number of the row. 1 is the first row after the header.
    pub number: u64,
    /// The service date.
    pub date: Option<Day>,
    /// The start in minutes since midnight. `00:00` without an end counts as no start.
    pub start: Option<u16>,
    /// The end in minutes since midnight.
    pub end: Option<u16>,
    /// The place of practice, five digits.
    pub place: Option<u32>,
    /// The billing code, four or five digits.
    pub code: Option<u32>,
    /// The billed units.
    pub units: Option<i64>,
    /// The contexts, trimmed, without `#`, in upper case.
    pub contexts: &'a [&'a str],
    /// The preliminary amount in cents.
    pub preliminary: Option<i64>,
    /// The paid amount in cents.
    pub paid: Option<i64>,
    /// The doctor.
    pub doctor: Option<DoctorKey>,
    /// The patient.
    pub patient: Option<PatientKey>,
    /// The columns whose cells cannot be read. A verdict must not depend on them.
    pub unread: ColumnSet,
    /// The text of each cell, trimmed. `None` when the file lacks the column.
    pub cells: &'a dyn Cells,
}

/// A set of columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ColumnSet(u32);

impl ColumnSet {
    /// Adds a column.
    pub fn insert(&mut self, column: Column) {
        self.0 |= 1 << column as u32;
    }

    /// Whether the column is in the set.
    pub fn contains(self, column: Column) -> bool {
        self.0 >> column as u32 & 1 == 1
    }

    /// Whether no column is in the set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The text of any column, for rules that look at a column by name.
pub trait Cells {
    /// The text of the column, trimmed. `None` when the file lacks the column.
    fn get(&self, column: Column) -> Option<std::borrow::Cow<'_, str>>;
}

impl Row<'_> {
    /// Whether the paid amount is above zero.
    pub fn is_paid(&self) -> bool {
        self.paid.is_some_and(|cents| cents > 0)
    }

    /// Whether the row takes a claim back: its amount is negative. The paid amount decides when
    /// there is no preliminary one.
    pub fn is_reversal(&self) -> bool {
        self.preliminary.filter(|cents| *cents != 0).or(self.paid).is_some_and(|cents| cents < 0)
    }

    /// Minutes from start to end. An end before the start is on the next day.
    pub fn minutes(&self) -> Option<u16> {
        let (start, end) = (self.start?, self.end?);
        Some(if end >= start { end - start } else { end + 24 * 60 - start })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_persons() {
        assert_eq!(format!("{:?}", PatientKey(*b"TEST00010101")), "PatientKey");
        assert_eq!(format!("{:?}", DoctorKey(100_000_100_001)), "DoctorKey");
    }

    #[test]
    fn set_has_the_columns_that_were_inserted() {
        let mut set = ColumnSet::default();
        assert!(set.is_empty() && !set.contains(Column::Code));
        set.insert(Column::Code);
        assert!(!set.is_empty() && set.contains(Column::Code) && !set.contains(Column::Number));
    }
}
