//! Dates and times that a file writes in another form. They are reported once for the whole file,
//! since every row of the file has them.

use schemas::rule::Column;

use super::cell;

/// Most forms that are distinguished. A file has one, or two when it was put together from others.
/// A further one is reported row by row.
const MAX_FORMS: usize = 8;

/// A form that is not the one of its column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherForm {
    /// The column.
    pub column: Column,
    /// An example without any digit or letter of the file, such as `00/00/0000`.
    pub form: String,
    /// The line of the file that has it first.
    pub line: u64,
    /// How many rows have it.
    pub rows: u64,
}

/// The forms that a file has so far.
#[derive(Default)]
pub struct OtherForms(Vec<OtherForm>);

impl OtherForms {
    /// Counts a cell that cannot be read. False when the cell is no date or time in another form,
    /// or when too many forms are known.
    pub fn note(&mut self, column: Column, cell: &[u8], line: u64) -> bool {
        let right: &[&str] = match column {
            Column::ServiceDate => &["0000-00-00"],
            Column::Start | Column::End => &["0:00", "00:00"],
            _ => return false,
        };
        let Some(form) = cell::other_form(cell, right) else { return false };
        let is_same = |known: &&mut OtherForm| known.column == column && known.form == form;
        if let Some(known) = self.0.iter_mut().find(is_same) {
            known.rows += 1;
            return true;
        }
        let has_room = self.0.len() < MAX_FORMS;
        if has_room {
            self.0.push(OtherForm { column, form, line, rows: 1 });
        }
        has_room
    }

    /// The forms, in the order in which the file has them.
    pub fn as_slice(&self) -> &[OtherForm] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_forms_are_left_to_their_rows() {
        let mut forms = OtherForms::default();
        for more in 1..=MAX_FORMS {
            let cell = "1/".repeat(more) + "1";
            assert!(forms.note(Column::Start, cell.as_bytes(), 2));
        }
        assert!(!forms.note(Column::Start, b"1h30", 3));
        assert!(forms.note(Column::Start, b"2/2", 4), "a known form is still counted");
        assert_eq!(forms.as_slice()[0].rows, 2);
    }
}
