//! Reads of the history and of the figures.

use schemas::{
    figures::{Measure, Tally},
    history::{Stay, StayPlace},
    ids::{QueueId, StationId, TenantId, TicketId},
    ticket::TicketState,
};
use servers::postgres::PostgresError;
use tokio_postgres::Row;

use super::{Parameters, PostgresQueries, statements::NAME_TENANT_AND_PLAN};
use crate::backends::{
    history::{Figures, FiguresQuery, GroupedFigure, HistoryQuery, HistoryScope},
    snapshots::NotRead,
};

/// A page after a place, newest first: one range of the index that the column leads, so its cost
/// does not depend on the place.
macro_rules! page {
    ($column:literal) => {
        concat!(
            "SELECT ticket, number, label, queue, state, since, until, station, reason \
             FROM clinicwire.stay WHERE tenant = $1 AND ",
            $column,
            " = $2 AND since >= $3 AND since < $4 AND (since, ticket, number) < ($5, $6, $7) \
             ORDER BY since DESC, ticket DESC, number DESC LIMIT $8"
        )
    };
}

const OF_TICKET: &str = page!("ticket");
const OF_QUEUE: &str = page!("queue");
const OF_LOCATION: &str = page!("location");

/// A range of the primary key, added up. `sum` of bigint is a numeric without the cast.
const FIGURES: &str = "SELECT CASE $5 WHEN 'queue' THEN queue WHEN 'doctor' THEN doctor \
       WHEN 'hour' THEN lpad(hour::text, 2, '0') ELSE day END AS key, \
       measure, bucket, sum(count)::bigint, sum(total_ms)::bigint \
     FROM clinicwire.figure WHERE tenant = $1 AND location = $2 AND day >= $3 AND day <= $4 \
     GROUP BY key, measure, bucket";

impl PostgresQueries {
    pub(super) async fn read_history(
        &self,
        tenant: &TenantId,
        asked: &HistoryQuery,
    ) -> Result<Vec<Stay>, NotRead> {
        let (sql, name) = match &asked.scope {
            HistoryScope::Ticket(ticket) => (OF_TICKET, ticket.to_string()),
            HistoryScope::Queue(queue) => (OF_QUEUE, queue.to_string()),
            HistoryScope::Location(location) => (OF_LOCATION, location.to_string()),
        };
        let (since, ticket, number) = match &asked.after {
            Some(StayPlace { from, ticket, number }) => (*from, ticket.to_string(), *number),
            None => (i64::MAX, String::new(), 0),
        };
        let parameters: Parameters = vec![
            Box::new(tenant.to_string()),
            Box::new(name),
            Box::new(asked.began.start),
            Box::new(asked.began.end),
            Box::new(since),
            Box::new(ticket),
            Box::new(i32::try_from(number).unwrap_or(i32::MAX)),
            Box::new(i64::from(asked.limit)),
        ];
        let rows = self.rows_planned(tenant.clone(), NAME_TENANT_AND_PLAN, sql, parameters).await?;
        let stays = rows.iter().map(|row| stay(row).ok_or(PostgresError::Unreadable("a stay")));
        Ok(stays.collect::<Result<_, _>>()?)
    }

    pub(super) async fn read_figures(
        &self,
        tenant: &TenantId,
        asked: &FiguresQuery,
    ) -> Result<Figures, NotRead> {
        let [first, last] = &asked.days;
        let parameters: Parameters = vec![
            Box::new(tenant.to_string()),
            Box::new(asked.location.to_string()),
            Box::new(first.clone()),
            Box::new(last.clone()),
            Box::new(asked.group.as_str().to_owned()),
        ];
        let rows = self.rows(tenant.clone(), FIGURES, parameters).await?;
        let unreadable = || PostgresError::Unreadable("a figure");
        let figures = rows.iter().map(|row| figure(row).ok_or_else(unreadable));
        Ok(figures.collect::<Result<_, _>>()?)
    }
}

fn stay(row: &Row) -> Option<Stay> {
    let state: &str = row.get(4);
    let station: Option<&str> = row.get(7);
    Some(Stay {
        ticket: TicketId::new(row.get::<_, &str>(0)).ok()?,
        number: u32::try_from(row.get::<_, i32>(1)).ok()?,
        label: row.get(2),
        queue: QueueId::new(row.get::<_, &str>(3)).ok()?,
        state: TicketState::parse(state)?,
        from: row.get(5),
        until: row.get(6),
        station: station.map(StationId::new).transpose().ok()?,
        reason: row.get(8),
    })
}

fn figure(row: &Row) -> Option<GroupedFigure> {
    Some(GroupedFigure {
        key: row.get(0),
        measure: Measure::parse(row.get(1))?,
        bucket: u8::try_from(row.get::<_, i16>(2)).ok()?,
        tally: Tally { count: row.get(3), total_ms: row.get(4) },
    })
}
