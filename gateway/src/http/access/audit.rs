//! The audit of a tenant, by pages or as a CSV table.

use std::{ops::Range, sync::Arc};

use axum::{body::Bytes, extract::State, response::Response};
use futures_util::stream;
use gateway_core::access;
use http::HeaderMap;
use schemas::{
    Millis,
    audit::{AuditEntry, PersonKey},
    codes::Code,
    ids::{AppointmentId, TenantId, TicketId},
    view::Position,
};
use serde::{Deserialize, Serialize};

use crate::{
    backends::queries::{AuditPlace, AuditQuery, AuditRow},
    context::NodeContext,
    http::{
        NodeState, Problem, now,
        shared::{
            audited::{ActionWord, NamedInBody},
            body::not_an_id,
            caller::{Caller, QueryParams},
            cursor::{self, Cursor, MAX_PAGE},
            export::{self, plain},
        },
    },
    limits::Limit,
};

const DAY_MS: Millis = 24 * 60 * 60 * 1000;
/// The time of a list without `from`: a month.
const DEFAULT_DAYS: Millis = 31;
/// The longest time of one list. More is `invalid_value`: each page of a rare action would read all
/// days of it.
const MAX_DAYS: Millis = 366;
/// Most entries of an export, some 30 MB. A larger one is cut off, and its last line says so.
const MAX_EXPORT: usize = 100_000;
/// Characters of a day such as `2026-11-28`.
const DAY_CHARS: usize = 10;
/// Digits of a day such as `20261128`. As milliseconds they would be of the first day of 1970.
const SHORT_DAY_DIGITS: usize = 8;
/// Longest subject or action that is searched for. No entry has a longer one.
const MAX_TEXT: usize = 256;
/// The form of times in the query.
const TIME: &str = concat!(
    "^([0-9]{1,13}|[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])",
    "(T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9]))?)$",
);

/// Selects entries.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Filter {
    #[schemars(with = "Option<TicketId>")]
    ticket: Option<String>,
    #[schemars(with = "Option<AppointmentId>")]
    appointment: Option<String>,
    #[schemars(length(max = MAX_TEXT))]
    subject: Option<String>,
    #[schemars(length(max = MAX_TEXT))]
    action: Option<String>,
    /// A day, a time of RFC 3339, or milliseconds since 1970.
    #[schemars(regex(pattern = TIME))]
    from: Option<String>,
    /// Like `from`.
    #[schemars(regex(pattern = TIME))]
    until: Option<String>,
    /// The `next` of the page before.
    cursor: Option<String>,
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
    #[schemars(regex(pattern = "^(json|csv)$"))]
    format: Option<String>,
}

impl Filter {
    fn asked(&self, now: Millis) -> Result<AuditQuery, Problem> {
        let text = |text: &Option<String>| match text {
            // PostgreSQL's texts hold no NUL.
            Some(text) if text.len() > MAX_TEXT || text.contains('\0') => {
                Err(Problem::from(Code::InvalidValue))
            }
            text => Ok(text.clone()),
        };
        Ok(AuditQuery {
            logged: self.logged(now)?,
            after: self.cursor.as_deref().map(AuditPlace::open).transpose()?,
            person: self.named()?.as_deref().and_then(PersonKey::near),
            subject: text(&self.subject)?,
            action: text(&self.action)?,
            limit: 0,
        })
    }

    /// The ticket or the appointment whose person's entries are asked for.
    fn named(&self) -> Result<Option<String>, Problem> {
        match (&self.ticket, &self.appointment) {
            (Some(_), Some(_)) => {
                Err(Problem::malformed("a list is of a ticket or of an appointment, not of both"))
            }
            (Some(ticket), None) => {
                let ticket = TicketId::new(ticket.as_str()).map_err(not_an_id)?;
                Ok(Some(ticket.to_string()))
            }
            (None, Some(id)) => {
                let id = AppointmentId::new(id.as_str()).map_err(not_an_id)?;
                Ok(Some(id.to_string()))
            }
            (None, None) => Ok(None),
        }
    }

    fn logged(&self, now: Millis) -> Result<Range<Millis>, Problem> {
        // The log's clock may be ahead of this node's.
        let until = self.until.as_deref().map_or(Ok(now + DAY_MS), time)?;
        let from = match self.from.as_deref() {
            Some(from) => time(from)?,
            None => until - DEFAULT_DAYS * DAY_MS,
        };
        match until.checked_sub(from) {
            Some(1..) if until - from <= MAX_DAYS * DAY_MS => Ok(from..until),
            _ => Err(Problem::from(Code::InvalidValue)
                .explained("a list ends after it begins, and has 366 days at most")),
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

/// Reads a time: milliseconds since the Unix epoch, a time such as `2026-11-28T08:00:00Z`, or the
/// start of a day of UTC such as `2026-11-28` or `20261128`.
pub(in crate::http) fn time(text: &str) -> Result<Millis, Problem> {
    let is_short_day = text.len() == SHORT_DAY_DIGITS;
    // Later years overflow when days are added.
    let milliseconds = || text.parse().ok().filter(|at: &Millis| (0..1 << 50).contains(at));
    let milliseconds = || milliseconds().filter(|_| !is_short_day);
    let timestamp = || text.parse().ok().map(|at: jiff::Timestamp| at.as_millisecond());
    let day = || {
        // jiff would also read the date of a time without a zone.
        let is_day = text.len() == DAY_CHARS || is_short_day;
        let day: jiff::civil::Date = text.parse().ok().filter(|_| is_day)?;
        Some(day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond())
    };
    milliseconds().or_else(timestamp).or_else(day).ok_or_else(|| {
        let detail = "a time is 2026-11-28, 2026-11-28T08:00:00Z, or milliseconds since 1970";
        Problem::from(Code::InvalidValue).explained(detail)
    })
}

/// An entry with its number in the chain of its tenant.
#[derive(Serialize)]
struct ListedEntry {
    number: u64,
    logged_at: Millis,
    #[serde(flatten)]
    entry: AuditEntry,
}

impl From<AuditRow> for ListedEntry {
    fn from(AuditRow { place: AuditPlace { logged_at, number }, entry }: AuditRow) -> Self {
        Self { number, logged_at, entry }
    }
}

pub(in crate::http) async fn list(
    State(node): NodeState,
    Caller(claims): Caller,
    QueryParams(filter): QueryParams<Filter>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    access::may_read_audit(&claims)?;
    let asked = filter.asked(now())?;
    let is_table = filter.is_table(&headers)?;
    if is_table {
        // The route's own rate is that of pages.
        node.limits.spend_shared(Limit::Bulk, &claims).await?;
    }
    let mut answer = match is_table {
        true => export(node, claims.tenant, &filter, asked).await?,
        false => page_of(&node, &claims.tenant, &filter, asked).await?,
    };
    let action = if is_table { "audit.export" } else { "audit.list" };
    answer.extensions_mut().insert(ActionWord(action));
    // The audit names whose entries somebody has read.
    if let Some(named) = filter.named()? {
        answer.extensions_mut().insert(NamedInBody(vec![named]));
    }
    Ok(answer)
}

async fn page_of(
    node: &NodeContext,
    tenant: &TenantId,
    filter: &Filter,
    mut asked: AuditQuery,
) -> Result<Response, Problem> {
    let limit = cursor::page(filter.limit)?;
    // One more entry shows whether there is a next page.
    asked.limit = limit + 1;
    let mut rows = page(node, tenant, &asked).await?;
    let next = cursor::cut(&mut rows, limit, |row| row.place);
    let entries: Vec<ListedEntry> = rows.into_iter().map(ListedEntry::from).collect();
    Ok(cursor::answer("entries", entries, next))
}

async fn page(
    node: &NodeContext,
    tenant: &TenantId,
    asked: &AuditQuery,
) -> Result<Vec<AuditRow>, Code> {
    crate::http::found(node, tenant, node.queries.audit(tenant, asked)).await
}

/// All entries as CSV. Pages are read as the caller receives them.
async fn export(
    node: Arc<NodeContext>,
    tenant: TenantId,
    filter: &Filter,
    mut asked: AuditQuery,
) -> Result<Response, Problem> {
    if filter.cursor.is_some() || filter.limit.is_some() {
        return Err(Problem::malformed(
            "an export has all entries: it takes no cursor and no limit",
        ));
    }
    asked.limit = MAX_PAGE;
    // Read before the answer begins, so that a refusal has a status of its own.
    let first = page(&node, &tenant, &asked).await?;
    let export = Export { node, tenant, asked, written: 0 };
    let pages = stream::try_unfold((Some(first), export), |(rows, mut export)| async move {
        let rows = match rows {
            Some(rows) => rows,
            None if export.asked.limit == 0 => return Ok::<_, Code>(None),
            None => export.next_page().await?,
        };
        let text = export.table(&rows);
        Ok(Some((text, (None, export))))
    });
    Ok(export::answer("audit.csv", pages))
}

/// A running export.
struct Export {
    node: Arc<NodeContext>,
    tenant: TenantId,
    /// The next page; its limit is 0 after the last.
    asked: AuditQuery,
    written: usize,
}

/// The titles of the columns.
const TITLES: [&str; 15] = [
    "number",
    "at",
    "subject",
    "role",
    "address",
    "agent",
    "action",
    "what",
    "code",
    "other_tenant",
    "reason",
    "crossed",
    "first",
    "last",
    "logged_at",
];

impl Export {
    async fn next_page(&self) -> Result<Vec<AuditRow>, Code> {
        export::next_page(|| page(&self.node, &self.tenant, &self.asked)).await
    }

    /// The next lines, the first ones with the titles.
    fn table(&mut self, rows: &[AuditRow]) -> Bytes {
        let is_first = self.asked.after.is_none();
        self.written += rows.len();
        // The first page that is not full is the last.
        let next = rows.last().filter(|_| rows.len() == self.asked.limit as usize);
        let is_cut = next.is_some() && self.written >= MAX_EXPORT;
        let text = export::table(is_first, csv::WriterBuilder::new().flexible(true), |writer| {
            if is_first {
                writer.write_record(TITLES)?;
            }
            for row in rows {
                writer.write_record(cells(row))?;
            }
            if is_cut {
                writer.write_record(["the export ends here: ask for a shorter time"])?;
            }
            Ok(())
        });
        match next.filter(|_| !is_cut) {
            Some(row) => self.asked.after = Some(row.place),
            None => self.asked.limit = 0,
        }
        text
    }
}

fn cells(AuditRow { place, entry }: &AuditRow) -> [String; TITLES.len()] {
    let stamp = |at: Millis| {
        jiff::Timestamp::from_millisecond(at).map_or_else(|_| at.to_string(), |at| at.to_string())
    };
    let position = |position: Option<Position>| {
        position.map(|it| format!("{}.{}", it.epoch, it.version)).unwrap_or_default()
    };
    let optional = |text: Option<String>| plain(text.unwrap_or_default());
    [
        place.number.to_string(),
        stamp(entry.at),
        plain(entry.subject.to_string()),
        plain(entry.role.to_string()),
        optional(entry.address.map(|address| address.to_string())),
        optional(entry.agent.as_deref().map(str::to_owned)),
        plain(entry.action.to_string()),
        plain(entry.what.join(" ")),
        optional(entry.code.map(|code| code.as_str().to_owned())),
        optional(entry.other_tenant.as_ref().map(TenantId::to_string)),
        optional(entry.reason.clone()),
        if entry.crossed { "crossed".to_owned() } else { String::new() },
        position(entry.first),
        position(entry.last),
        stamp(place.logged_at),
    ]
}
