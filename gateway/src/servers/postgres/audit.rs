//! Reads of the stored audit.

use schemas::{Millis, ids::TenantId};
use servers::postgres::PostgresError;
use tokio_postgres::Row;

use super::{Parameters, PostgresQueries, statements::NAME_TENANT_AND_PLAN};
use crate::backends::{
    queries::{AuditPlace, AuditQuery, AuditRow},
    snapshots::NotRead,
};

/// The days that one statement reads. The store has a partition for each day, which the statement
/// locks with its indexes: a year at once would take most of the locks that a server has.
const WINDOW_MS: Millis = 31 * 24 * 60 * 60 * 1000;

/// Newest first, in the order of the primary key, or of the index of the subject or the action.
const ENTRIES: &str = "SELECT logged_at, number, body FROM clinicwire.audit \
     WHERE tenant = $1 AND logged_at >= $2 AND logged_at < $3 \
     AND (logged_at, number) < ($4, $5) \
     AND ($7::text IS NULL OR subject = $7) AND ($8::text IS NULL OR action = $8) \
     ORDER BY logged_at DESC, number DESC LIMIT $6";

/// The same for the entries of a person, each of them once. Without another filter, no more rows of
/// the index are read than the page has.
const OF_PERSON: &str = "SELECT DISTINCT ON (n.logged_at, n.number) n.logged_at, n.number, e.body \
     FROM unnest($9::text[]) AS p (person) \
     CROSS JOIN LATERAL (SELECT i.logged_at, i.number FROM clinicwire.audit_person i \
       WHERE i.tenant = $1 AND i.person = p.person AND i.logged_at >= $2 AND i.logged_at < $3 \
       AND (i.logged_at, i.number) < ($4, $5) ORDER BY i.logged_at DESC, i.number DESC \
       LIMIT CASE WHEN $7::text IS NULL AND $8::text IS NULL THEN $6::bigint END) n \
     CROSS JOIN LATERAL (SELECT a.body FROM clinicwire.audit a \
       WHERE a.tenant = $1 AND a.logged_at = n.logged_at AND a.number = n.number \
       AND a.logged_at >= $2 AND a.logged_at < $3 \
       AND ($7::text IS NULL OR a.subject = $7) AND ($8::text IS NULL OR a.action = $8) \
       LIMIT 1) e \
     ORDER BY n.logged_at DESC, n.number DESC LIMIT $6";

impl PostgresQueries {
    /// Reads a page, from the newest days back.
    pub(super) async fn read_audit(
        &self,
        tenant: &TenantId,
        asked: &AuditQuery,
    ) -> Result<Vec<AuditRow>, NotRead> {
        let mut rows = Vec::new();
        let mut ends = asked.logged.end;
        if let Some(after) = asked.after {
            ends = ends.min(after.logged_at.saturating_add(1));
        }
        while ends > asked.logged.start && rows.len() < asked.limit as usize {
            let starts = asked.logged.start.max(ends - WINDOW_MS);
            let limit = i64::from(asked.limit) - i64::try_from(rows.len()).unwrap_or(i64::MAX);
            rows.extend(self.read_window(tenant, asked, (starts, ends), limit).await?);
            ends = starts;
        }
        Ok(rows)
    }

    async fn read_window(
        &self,
        tenant: &TenantId,
        asked: &AuditQuery,
        (starts, ends): (Millis, Millis),
        limit: i64,
    ) -> Result<Vec<AuditRow>, NotRead> {
        let last = AuditPlace { logged_at: Millis::MAX, number: u64::MAX };
        let after = asked.after.unwrap_or(last);
        let mut parameters: Parameters = vec![
            Box::new(tenant.to_string()),
            Box::new(starts),
            Box::new(ends),
            Box::new(after.logged_at),
            Box::new(i64::try_from(after.number).unwrap_or(i64::MAX)),
            Box::new(limit),
            Box::new(asked.subject.clone()),
            Box::new(asked.action.clone()),
        ];
        let sql = match asked.person {
            None => ENTRIES,
            Some(keys) => {
                parameters.push(Box::new(keys.map(|key| key.to_string()).to_vec()));
                OF_PERSON
            }
        };
        let rows = self.rows_planned(tenant.clone(), NAME_TENANT_AND_PLAN, sql, parameters).await?;
        rows.iter().map(|row| Ok(audit_row(row)?)).collect()
    }
}

fn audit_row(row: &Row) -> Result<AuditRow, PostgresError> {
    let unreadable = || PostgresError::Unreadable("an entry of the audit");
    let number = u64::try_from(row.get::<_, i64>(1)).map_err(|_| unreadable())?;
    Ok(AuditRow {
        place: AuditPlace { logged_at: row.get(0), number },
        entry: serde_json::from_str(row.get(2)).map_err(|_| unreadable())?,
    })
}
