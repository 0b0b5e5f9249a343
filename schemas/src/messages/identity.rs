//! The identity of a command. A repeat of the identity and of the content's fingerprint gets the
//! first outcome. A repeat of the identity with another content is refused.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{CommandId, TenantId};

/// The identity of a command. Two callers that choose the same key have two commands.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct CommandIdentity {
    /// The tenant.
    pub tenant: TenantId,
    /// The CloudEvents source: the program that wrote the record.
    pub source: String,
    /// The subject of the actor. Empty for a program without an actor.
    pub subject: String,
    /// The id that the caller chose.
    pub command: CommandId,
}

/// Leaves out the subject, which is the pseudonym of a person.
impl fmt::Debug for CommandIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenant, source, command, .. } = self;
        write!(f, "CommandIdentity({tenant}, {source}, …, {command})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_the_subject() {
        let identity = CommandIdentity {
            tenant: TenantId::new("demo").unwrap(),
            source: "clinicwire-gateway".to_owned(),
            subject: "jeanne".to_owned(),
            command: CommandId::new("c-1").unwrap(),
        };
        assert_eq!(format!("{identity:?}"), "CommandIdentity(demo, clinicwire-gateway, …, c-1)");
    }
}
