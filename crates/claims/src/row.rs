//! A row of an export, typed: what the rules see.

use schemas::rule::Column;

/// A date as days since 1970-01-01, with its parts at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day {
    pub year: i16,
    pub month: u8,
    pub day: u8,
}

/// The first 12 characters of the patient's column: they identify the patient. Never shown, logged or stored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PatientKey(pub [u8; 12]);

/// The doctor's number, `7 digits-5 digits`, as one integer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DoctorKey(pub u64);

impl std::fmt::Debug for PatientKey {
    /// Hides whom it identifies.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PatientKey")
    }
}

impl std::fmt::Debug for DoctorKey {
    /// Hides whom it identifies.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DoctorKey")
    }
}

/// One row. Borrowed from the reader's buffer: whoever needs something longer keeps a key.
///
/// An empty cell is `None`. A cell that has not its column's form makes the row unreadable before it gets here.
pub struct Row<'a> {
    /// 1 is the first row after the header.
    pub number: u64,
    pub date: Option<Day>,
    /// Minutes since midnight; `00:00` without an end means none.
    pub start: Option<u16>,
    pub end: Option<u16>,
    /// Five digits.
    pub place: Option<u32>,
    /// Four or five digits.
    pub code: Option<u32>,
    pub units: Option<i64>,
    /// Trimmed, without `#`, in upper case.
    pub contexts: &'a [&'a str],
    /// Cents.
    pub preliminary: Option<i64>,
    /// Cents.
    pub paid: Option<i64>,
    pub doctor: Option<DoctorKey>,
    pub patient: Option<PatientKey>,
    /// The cells as they stand in the file, trimmed, by column; `None` where the file lacks the column.
    pub cells: &'a dyn Cells,
}

/// The text of any column, for rules that look at one by name.
pub trait Cells {
    fn get(&self, column: Column) -> Option<std::borrow::Cow<'_, str>>;
}

impl Row<'_> {
    pub fn is_paid(&self) -> bool {
        self.paid.is_some_and(|cents| cents > 0)
    }

    /// Minutes from start to end; an end earlier than the start is past midnight.
    pub fn minutes(&self) -> Option<u16> {
        let (start, end) = (self.start?, self.end?);
        Some(if end >= start { end - start } else { end + 24 * 60 - start })
    }
}
