//! Every operation of `/v1`. A test compares the list with the routes of the router.

mod access;
mod check_in;
mod claims;
mod history;
mod location;
mod visits;
mod webhooks;

use super::operation::Operation;

/// Every operation, by path.
pub(super) fn all() -> Vec<Operation> {
    let mut all = location::operations();
    all.extend(visits::operations());
    all.extend(history::operations());
    all.extend(check_in::operations());
    all.extend(access::operations());
    all.extend(claims::operations());
    all.extend(webhooks::operations());
    all.sort_by(|one, other| (one.path, one.method).cmp(&(other.path, other.method)));
    all
}
