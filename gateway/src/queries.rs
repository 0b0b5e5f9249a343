//! The seam to the authority: a closed list of reads.

use schemas::{
    command::Outcome,
    ids::{Aggregate, CommandId, TenantId},
    view::View,
};

use crate::{BoxFuture, snapshots::NotRead};

pub trait Queries: Send + Sync + 'static {
    /// A view as the authority holds it: asked when the store of views lost it or is behind.
    fn view<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        view: &'a str,
    ) -> BoxFuture<'a, Result<Option<View>, NotRead>>;

    /// The outcome of a command this service wrote.
    fn outcome<'a>(
        &'a self,
        tenant: &'a TenantId,
        command: &'a CommandId,
    ) -> BoxFuture<'a, Result<Option<Outcome>, NotRead>>;
}
