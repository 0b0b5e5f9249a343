//! Searching for the connections of a subject.

use schemas::ids::TenantId;

use super::Shard;
use crate::inbox::OpenConnection;

impl Shard {
    /// The connections of a subject on this shard. One pass: some 20 ns for each connection.
    pub(super) fn connections_of(&self, tenant: &TenantId, subject: &str) -> Vec<OpenConnection> {
        let open = |conn| {
            let connection = self.connections.find(conn)?;
            let session = &connection.session;
            let claims = session.claims()?;
            (claims.tenant == *tenant && *claims.subject == *subject).then(|| OpenConnection {
                session: claims.origin.session().to_string(),
                issued: claims.origin.issued,
                expires: claims.expires,
                crossed: claims.origin.crossed,
                transport: connection.form.transport().as_str().to_owned(),
                channels: session.subscriptions.count(),
            })
        };
        self.connections.ids().into_iter().filter_map(open).collect()
    }
}
