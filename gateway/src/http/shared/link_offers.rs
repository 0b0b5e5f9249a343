//! The link of a ticket, as answers offer it.

use gateway_core::access::{self, Claims};
use schemas::ids::TicketId;
use serde_json::{Value, json};

use crate::{access::ticket_links::TicketLink, context::NodeContext};

/// A browser sends nothing behind `#`, so that no log of a proxy contains the key.
pub(in crate::http) fn page_path(key: &str) -> String {
    format!("/patient#link={key}")
}

/// The link in an answer: its key, the path of the page that takes it, and its code. Without the
/// short-lived keys there is no code, and the link is good without one.
pub(in crate::http) async fn offer(node: &NodeContext, link: &TicketLink) -> Value {
    let key = node.link_key.seal(link);
    let code = node.link_key.store_code(&*node.short_keys, link).await.ok();
    json!({ "path": page_path(&key), "key": key, "code": code })
}

/// The link of a ticket that was just issued, if the caller may have it.
pub(in crate::http) async fn of_issued(
    node: &NodeContext,
    claims: &Claims,
    ticket: Option<&TicketId>,
) -> Option<Value> {
    let ticket = ticket.filter(|ticket| access::may_link(claims, ticket).is_ok())?.clone();
    Some(offer(node, &TicketLink { tenant: claims.tenant.clone(), ticket }).await)
}
