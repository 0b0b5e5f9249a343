//! The edition that a change was made from.

use super::Command;

impl Command {
    /// The edition from which the command was made, if commands of its kind name one. `None` inside
    /// means any edition.
    pub fn edition_mut(&mut self) -> Option<&mut Option<u64>> {
        use Command as C;
        match self {
            C::ConfigureLocation { edition, .. }
            | C::ChangePrivacy { edition, .. }
            | C::ChangeMessages { edition, .. }
            | C::ChangeBranding { edition, .. }
            | C::OrderQueues { edition, .. }
            | C::ConfigureQueue { edition, .. }
            | C::ConfigureStation { edition, .. }
            | C::RenameDisplay { edition, .. }
            | C::ConfigureCheckInPoint { edition, .. }
            | C::PutRule { edition, .. }
            | C::DeleteRule { edition, .. }
            | C::PutReference { edition, .. }
            | C::DeleteReference { edition, .. }
            | C::LoadReference { edition, .. }
            | C::ClearReference { edition, .. }
            | C::ChangeWebhook { edition, .. }
            | C::ChangeTenant { edition, .. } => Some(edition),
            _ => None,
        }
    }
}
