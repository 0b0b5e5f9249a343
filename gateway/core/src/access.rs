//! The rights of each role on channels and commands, in one table. Everything that has no row is
//! denied.

mod checks;
mod claims;
mod description;
mod origin;
mod role;
mod table;
#[cfg(test)]
mod tests;

pub use checks::{
    Runs, may_command, may_command_run, may_link, may_list_runs, may_manage_sessions, may_open,
    may_print_code, may_read_analytics, may_read_audit, may_read_history, may_read_outcome,
    may_read_outcomes, may_read_ticket_history, may_revoke, may_rule, may_see_flags,
    may_subscribe_alerts, may_upload, may_webhook, source,
};
pub use claims::Claims;
pub use description::roles_of;
pub use origin::{Credential, ORIGIN_TAGS, Origin};
pub use role::Role;
