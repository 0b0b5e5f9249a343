//! The quota of a tenant's locations. Processors check the quotas of each location; how many
//! locations there are, none of them knows.

use schemas::{
    codes::Code,
    command::Command,
    ids::{Aggregate, LocationId, TenantId},
};

use super::command_request::refused;
use crate::{context::NodeContext, http::Problem};

/// Checks that the tenant may have one more location, if the command creates one. Requests at the
/// same moment can pass the quota by a few, which the rate of commands bounds.
///
/// # Errors
/// `quota_reached`
pub(super) async fn check(
    node: &NodeContext,
    tenant: &TenantId,
    location: &LocationId,
    command: &Command,
) -> Result<(), Problem> {
    let Command::ConfigureLocation { .. } = command else { return Ok(()) };
    let settings = node.revocations.settings(tenant);
    let Some(most) = settings.and_then(|held| held.settings.quotas.locations) else {
        return Ok(());
    };
    // A location that this node has heard of exists.
    let heard = node.tails.position(&Aggregate::location(tenant, location));
    if heard.is_some_and(|position| position.version > 0) {
        return Ok(());
    }
    let asked = node.queries.other_locations(tenant, location);
    let others = crate::http::found(node, tenant, asked).await?;
    if others.is_none_or(|others| others < most) {
        return Ok(());
    }
    let problem = refused(node, command.kind(), Code::QuotaReached);
    Err(problem.explained(format!("at most {most} locations")))
}
