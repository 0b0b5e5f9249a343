//! The roles, and which of them have the same rights.

use serde::{Deserialize, Serialize};

macro_rules! roles {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $column:ident;)*) => {
        /// The role of a person or program at a clinic, spelt as in tokens and in the journal.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Role {
            $($(#[$doc])* #[serde(rename = $word)] $name,)*
        }

        impl Role {
            /// All roles, in the order of their declaration.
            pub const ALL: [Role; [$($word),*].len()] = [$(Role::$name),*];

            /// The spelling in tokens and in the journal.
            pub fn as_str(self) -> &'static str {
                match self { $(Role::$name => $word,)* }
            }

            /// The column of `TABLE` that says what the role may do.
            pub(super) fn column(self) -> Column {
                match self { $(Role::$name => Column::$column,)* }
            }
        }
    };
}

roles! {
    /// Follows the tickets and appointments that the token lists.
    Patient = "patient", Patient;
    /// A screen in a waiting room.
    Display = "display", Display;
    /// Runs the queues and appointments of its locations.
    Reception = "reception", Reception;
    /// Has the rights of `reception`.
    SupportStaff = "support_staff", Reception;
    /// Calls and serves patients at its locations.
    Doctor = "doctor", Clinician;
    /// Has the rights of `doctor`.
    Therapist = "therapist", Clinician;
    /// Has the rights of `doctor`.
    Counselor = "counselor", Clinician;
    /// Serves the queues that the token lists.
    Pharmacist = "pharmacist", Service;
    /// Has the rights of `pharmacist`.
    LabTechnician = "lab_technician", Service;
    /// Configures locations and rules: those that the token lists, or the whole tenant without a
    /// list.
    Admin = "admin", Admin;
    /// Has the rights of `admin`, and may cross into another tenant for a stated reason.
    SuperAdmin = "super_admin", Admin;
    /// Watches the runs that check claims files.
    Viewer = "viewer", Viewer;
    /// Starts runs that check claims files, and cancels and retries its own.
    Editor = "editor", Editor;
    /// Has the rights of `editor`.
    FinanceBilling = "finance_billing", Editor;
    /// A system of record that reports appointments. Its subject is the name of the source.
    Source = "source", Source;
    /// A check-in point: a poster's code, or a kiosk. Checks patients in at its location, and
    /// issues tickets in the queues that it offers.
    CheckInPoint = "check_in_point", CheckInPoint;
}

impl Role {
    /// Whether the role works at the locations of its token (reception, clinicians) and may cross
    /// to another location in an emergency.
    pub fn works_at_locations(self) -> bool {
        matches!(self.column(), Column::Reception | Column::Clinician)
    }
}

/// Roles with the same rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Patient,
    Display,
    Reception,
    Clinician,
    /// Pharmacy and laboratory, for the queues of their service.
    Service,
    Admin,
    Viewer,
    Editor,
    Source,
    CheckInPoint,
}
