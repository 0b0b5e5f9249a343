//! The figures of a location over days, grouped, as JSON or as a table.

mod summary;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use futures_util::stream;
use gateway_core::access;
use http::HeaderMap;
use schemas::{codes::Code, figures::Measure, ids::LocationId};
use serde::{Deserialize, Serialize};

pub(in crate::http) use self::summary::Summary;
use crate::{
    backends::history::{FigureGroup, FiguresQuery},
    http::{
        NodeState, Problem,
        shared::{
            audited::ActionWord,
            body::not_an_id,
            caller::{Caller, QueryParams, Segments},
            export, snapshots,
        },
    },
    limits::Limit,
};

/// Most days of an answer: a quarter of a year. A busy location has some 2,000 rows of figures a
/// day, which are added up within a quarter of a second. More is `invalid_value`.
const MAX_DAYS: i32 = 93;

/// Selects and groups figures.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct AnalyticsParams {
    /// The first service day of the location, such as `2026-11-01`.
    #[schemars(regex(pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    from: Option<String>,
    /// The last service day. Absent: the first.
    #[schemars(regex(pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    until: Option<String>,
    /// One row for each queue, doctor, hour or day. Absent: `day`.
    #[schemars(regex(pattern = "^(queue|doctor|hour|day)$"))]
    by: Option<String>,
    #[schemars(regex(pattern = "^(json|csv)$"))]
    format: Option<String>,
}

impl AnalyticsParams {
    /// The first and the last day.
    fn days(&self) -> Result<[String; 2], Problem> {
        let refused = |detail| Problem::from(Code::InvalidValue).explained(detail);
        let day = |text: &str| {
            let day: Option<jiff::civil::Date> = text.parse().ok();
            // A date has other spellings too, but days are compared as texts.
            day.filter(|day| day.to_string() == text)
                .ok_or_else(|| refused("a day is written as 2026-11-28"))
        };
        let from = self.from.as_deref().ok_or_else(|| refused("`from` names the first day"))?;
        let first = day(from)?;
        let last = self.until.as_deref().map_or(Ok(first), day)?;
        let days = first.until(last).map_or(-1, |span| span.get_days()) + 1;
        match days {
            1..=MAX_DAYS => Ok([first.to_string(), last.to_string()]),
            _ => Err(refused("the last day is not before the first, and 93 days at most")),
        }
    }

    fn group(&self) -> Result<FigureGroup, Problem> {
        match self.by.as_deref().unwrap_or("day") {
            "queue" => Ok(FigureGroup::Queue),
            "doctor" => Ok(FigureGroup::Doctor),
            "hour" => Ok(FigureGroup::Hour),
            "day" => Ok(FigureGroup::Day),
            _ => Err(Problem::from(Code::InvalidValue)
                .explained("figures are grouped by queue, doctor, hour or day")),
        }
    }

    /// Whether the answer is a table: by the query, or else by the header `Accept`.
    fn is_table(&self, headers: &HeaderMap) -> Result<bool, Problem> {
        match self.format.as_deref() {
            None => Ok(export::is_preferred(headers)),
            Some("json") => Ok(false),
            Some("csv") => Ok(true),
            Some(_) => Err(Problem::from(Code::InvalidValue).explained("a format is json or csv")),
        }
    }
}

/// The figures of a location over days.
#[derive(Serialize, schemars::JsonSchema)]
pub(in crate::http) struct Analytics {
    location: LocationId,
    /// The first service day.
    from: String,
    /// The last service day.
    until: String,
    /// What a row is of: `queue`, `doctor`, `hour` or `day`.
    by: String,
    total: Summary,
    /// The hour, on the location's clocks, in which most tickets were issued. Absent without any.
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_hour: Option<u8>,
    rows: Vec<AnalyticsRow>,
}

/// The figures of one queue, doctor, hour or day.
#[derive(Serialize, schemars::JsonSchema)]
pub(in crate::http) struct AnalyticsRow {
    /// The queue, the doctor, the hour from `00` to `23`, or the day. Empty for patients without an
    /// appointment when rows are of doctors, and for appointments without a queue.
    key: String,
    #[serde(flatten)]
    summary: Summary,
}

pub(in crate::http) async fn figures(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([location]): Segments<1>,
    QueryParams(params): QueryParams<AnalyticsParams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let location = LocationId::new(location).map_err(not_an_id)?;
    access::may_read_analytics(&claims, &location)?;
    snapshots::settings(&node, &claims, &location).await?;
    let (days, group, is_table) = (params.days()?, params.group()?, params.is_table(&headers)?);
    if is_table {
        // The route's own rate is that of dashboards.
        node.limits.spend_shared(Limit::Bulk, &claims).await?;
    }
    let asked = FiguresQuery { location: location.clone(), days: days.clone(), group };
    let found =
        crate::http::found(&node, &claims.tenant, node.queries.figures(&claims.tenant, &asked));
    let found = found.await?;
    let rows = summary::rows(&found);
    if is_table {
        let mut answer = table(&location, &days, group, &rows);
        answer.extensions_mut().insert(ActionWord("location.analytics_export"));
        return Ok(answer);
    }
    let hours = match group {
        FigureGroup::Hour => found,
        _ => {
            let asked = FiguresQuery { group: FigureGroup::Hour, ..asked };
            let asked = node.queries.figures(&claims.tenant, &asked);
            crate::http::found(&node, &claims.tenant, asked).await?
        }
    };
    let total = Summary::of(&hours);
    let mut arrived = [0_i64; 24];
    for figure in hours.iter().filter(|figure| figure.measure == Measure::Arrived) {
        let hour = figure.key.parse().ok().and_then(|hour: usize| arrived.get_mut(hour));
        hour.into_iter().for_each(|count| *count += figure.tally.count);
    }
    let busy = (0_u8..).zip(arrived).filter(|(_, count)| *count > 0);
    // The first hour wins among equally busy ones.
    let peak_hour = busy.min_by_key(|(hour, count)| (-count, *hour)).map(|(hour, _)| hour);
    let [from, until] = days;
    let rows = rows.into_iter().map(|(key, summary)| AnalyticsRow { key, summary }).collect();
    let by = group.as_str().to_owned();
    Ok(Json(Analytics { location, from, until, by, total, peak_hour, rows }).into_response())
}

fn table(
    location: &LocationId,
    [from, until]: &[String; 2],
    group: FigureGroup,
    rows: &[(String, Summary)],
) -> Response {
    let text = export::table(true, &mut csv::WriterBuilder::new(), |writer| {
        let titles = std::iter::once(group.as_str().to_owned());
        writer.write_record(titles.chain(Summary::titles()))?;
        for (key, summary) in rows {
            let key = std::iter::once(export::plain(key.clone()));
            writer.write_record(key.chain(summary.cells()))?;
        }
        Ok(())
    });
    let file = format!("{location}-{from}-{until}-by-{}.csv", group.as_str());
    export::answer(&file, stream::once(std::future::ready(Ok(text))))
}
