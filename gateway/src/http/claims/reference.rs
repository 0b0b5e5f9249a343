//! The reference data of claims: reading a table, changing one entry, and loading a whole table
//! from CSV. All of it is state of the tenant's rule book, so a change is a command like any other.

use std::{ops::Bound, sync::Arc, time::Duration};

use axum::{
    Json,
    body::Bytes,
    extract::{FromRequest, Request, State},
    response::{IntoResponse, Response},
};
use claims::tables::{self, Tables};
use gateway_core::access::{self, Claims};
use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use schemas::{
    codes::Code,
    command::Command,
    ids::{Aggregate, TenantId},
    record::MAX_RECORD_BYTES,
    reference::{MAX_REFERENCE_BYTES, ReferenceEntry, ReferenceTable, StoredReference},
    view::{Entries, Position, View},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    context::NodeContext,
    http::{
        NodeState, Problem,
        shared::{
            body::{nothing, read},
            caller::{Caller, QueryParams, Segments},
            command_request::{CommandParts, CommandRequest, refused},
            editions,
            snapshots::unreadable,
        },
    },
    views::reader::FetchGoal,
};

/// Entries of a page unless the client says otherwise, and the most that it may ask for.
const PAGE: u16 = 200;
const MAX_PAGE: u16 = 1_000;
/// How long the bytes of a table may take.
const BODY_WITHIN: Duration = Duration::from_secs(30);
/// Bytes that a record needs beside its value: headers and key.
const RECORD_ROOM: usize = 4 * 1024;

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct PageParams {
    /// The key after which the page begins.
    after: Option<String>,
    /// The number of entries, at most 1000.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u16>,
}

/// A code as a body has it.
#[derive(Deserialize, schemars::JsonSchema)]
pub(in crate::http) struct CodeBody {
    leaf: String,
    group: String,
    top: String,
    cents: Option<i64>,
    edition: Option<u64>,
}

/// An establishment as a body has it.
#[derive(Deserialize, schemars::JsonSchema)]
pub(in crate::http) struct EstablishmentBody {
    gmf: bool,
    edition: Option<u64>,
}

/// A context as a body has it.
#[derive(Deserialize, schemars::JsonSchema)]
pub(in crate::http) struct ContextBody {
    description: String,
    edition: Option<u64>,
}

/// The bytes of a table, bounded in size and time, with the command's other parts.
pub(in crate::http) struct TableUpload {
    request: CommandRequest,
    text: String,
}

impl FromRequest<Arc<NodeContext>> for TableUpload {
    type Rejection = Problem;

    async fn from_request(request: Request, node: &Arc<NodeContext>) -> Result<Self, Problem> {
        let (parts, body) = CommandParts::split(request, node).await?;
        access::may_rule(&parts.claims, "reference.load")
            .map_err(|code| refused(node, "reference.load", code))?;
        let read = Limited::new(body, MAX_REFERENCE_BYTES).collect();
        let bytes = match tokio::time::timeout(BODY_WITHIN, read).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large()),
            Ok(Err(_)) => return Err(Problem::malformed("the body ended early")),
            Err(_) => {
                let problem = Problem::malformed("the body took too long");
                return Err(problem.with_status(StatusCode::REQUEST_TIMEOUT));
            }
        };
        let text = tables::decode(&bytes).into_owned();
        Ok(Self { request: parts.with_body(Bytes::from(text.clone())), text })
    }
}

fn too_large() -> Problem {
    Problem::from(Code::TooLarge).explained(
        "a table has at most 786432 bytes: send the first part by PUT and the others by PATCH",
    )
}

fn table_of(name: &str) -> Result<ReferenceTable, Problem> {
    ReferenceTable::parse(name).ok_or_else(|| {
        Problem::from(Code::NotFound).explained("the tables are codes, establishments and contexts")
    })
}

fn key_of(table: ReferenceTable, text: &str) -> Result<String, Problem> {
    table.key(text).ok_or_else(|| {
        let (column, form) = (table.columns()[0], table.key_form());
        Problem::from(Code::InvalidId).explained(format!("{column}: {form}"))
    })
}

/// The view of a table, or `None` when the tenant has none of its own.
async fn stored(
    node: &NodeContext,
    tenant: &TenantId,
    table: ReferenceTable,
) -> Result<Option<View>, Code> {
    let (aggregate, view) = (Aggregate::rules(tenant), table.view());
    let floor = node.tails.floor(&aggregate, view);
    let goal = FetchGoal { floor, seen: node.tails.position(&aggregate), ..FetchGoal::default() };
    node.reader.fetch(&aggregate, view, goal).await
}

/// The tables of a tenant: its own ones, and those of the installation in place of the others.
///
/// # Errors
/// The code of a view that cannot be read.
pub(super) async fn tables(node: &NodeContext, tenant: &TenantId) -> Result<Arc<Tables>, Code> {
    let mut own = None::<Tables>;
    for table in ReferenceTable::ALL {
        let view = stored(node, tenant, table).await?;
        if let Some(view) = view.filter(|view| !view.entries.is_empty()) {
            let tables = own.get_or_insert_with(|| Tables::clone(&node.tables));
            tables.set_stored(table, &view.entries).map_err(unreadable)?;
        }
    }
    Ok(own.map_or_else(|| node.tables.clone(), Arc::new))
}

/// The names of the tables, with the edition and the number of entries of each.
pub(in crate::http) async fn list(
    State(node): NodeState,
    Caller(claims): Caller,
) -> Result<Response, Problem> {
    access::may_rule(&claims, "rules.list")?;
    let mut listed = Vec::new();
    for table in ReferenceTable::ALL {
        let shown = ShownTable::read(&node, &claims, table).await?;
        listed.push(shown.head());
    }
    Ok(Json(json!({ "tables": listed })).into_response())
}

/// A table as the API shows it.
struct ShownTable {
    table: ReferenceTable,
    /// The version at which the tenant's own table last changed. 0 when it never had one.
    edition: u64,
    /// Whether it is the table of the installation.
    builtin: bool,
    entries: Entries,
}

impl ShownTable {
    async fn read(
        node: &NodeContext,
        claims: &Claims,
        table: ReferenceTable,
    ) -> Result<Self, Problem> {
        let view = stored(node, &claims.tenant, table).await?;
        let Position { version: edition, .. } =
            view.as_ref().map_or_else(Position::default, |view| view.position);
        match view.filter(|view| !view.entries.is_empty()) {
            Some(view) => Ok(Self { table, edition, builtin: false, entries: view.entries }),
            None => {
                let entries = node.tables.entries(table).into_iter();
                let stored = |(key, entry): (String, ReferenceEntry)| {
                    (key, schemas::view::raw(&StoredReference { entry, edition: 0 }))
                };
                let entries = entries.map(stored).collect();
                Ok(Self { table, edition, builtin: true, entries })
            }
        }
    }

    fn head(&self) -> Value {
        json!({
            "table": self.table,
            "edition": self.edition,
            "builtin": self.builtin,
            "count": self.entries.len(),
        })
    }
}

/// A page of a table, in the order of the keys.
pub(in crate::http) async fn page(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([table]): Segments<1>,
    QueryParams(PageParams { after, limit }): QueryParams<PageParams>,
) -> Result<Response, Problem> {
    access::may_rule(&claims, "rules.list")?;
    let table = table_of(&table)?;
    let limit = limit.unwrap_or(PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Problem::from(Code::InvalidValue).explained("limit: 1 to 1000"));
    }
    let shown = ShownTable::read(&node, &claims, table).await?;
    let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
    let mut rest = shown.entries.range::<String, _>((from, Bound::Unbounded));
    let mut entries = Vec::new();
    for (key, entry) in rest.by_ref().take(limit.into()) {
        entries.push(with_key(table, key, entry)?);
    }
    let last = entries.last().and_then(|entry| entry[table.columns()[0]].as_str());
    let next = last.filter(|_| rest.next().is_some()).map(str::to_owned);
    let mut body = shown.head();
    body["entries"] = json!(entries);
    if let Some(next) = next {
        body["next"] = json!(next);
    }
    Ok((editions::tag(shown.edition), Json(body)).into_response())
}

/// An entry with its key, under the name of its column.
fn with_key(
    table: ReferenceTable,
    key: &str,
    entry: &serde_json::value::RawValue,
) -> Result<Value, Code> {
    let mut shown: Value = serde_json::from_str(entry.get()).map_err(unreadable)?;
    shown[table.columns()[0]] = json!(key);
    Ok(shown)
}

pub(in crate::http) async fn one(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([table, key]): Segments<2>,
) -> Result<Response, Problem> {
    access::may_rule(&claims, "rules.list")?;
    let table = table_of(&table)?;
    let key = key_of(table, &key)?;
    let shown = ShownTable::read(&node, &claims, table).await?;
    let entry = shown.entries.get(&key).ok_or(Code::ReferenceUnknown)?;
    let body = with_key(table, &key, entry)?;
    let edition = body["edition"].as_u64().unwrap_or_default();
    Ok((editions::tag(edition), Json(body)).into_response())
}

pub(in crate::http) async fn put(
    State(node): NodeState,
    Segments([table, key]): Segments<2>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let table = table_of(&table)?;
    let key = key_of(table, &key)?;
    let (entry, edition) = entry_of(table, &request.body)?;
    give(&node, &request, Command::PutReference { table, key, entry, edition }).await
}

fn entry_of(table: ReferenceTable, body: &[u8]) -> Result<(ReferenceEntry, Option<u64>), Problem> {
    Ok(match table {
        ReferenceTable::Codes => {
            let CodeBody { leaf, group, top, cents, edition } =
                read(body, r#"{"leaf","group","top","cents"?,"edition"?}"#)?;
            (ReferenceEntry::Code { leaf, group, top, cents }, edition)
        }
        ReferenceTable::Establishments => {
            let EstablishmentBody { gmf, edition } = read(body, r#"{"gmf","edition"?}"#)?;
            (ReferenceEntry::Establishment { gmf }, edition)
        }
        ReferenceTable::Contexts => {
            let ContextBody { description, edition } = read(body, r#"{"description","edition"?}"#)?;
            (ReferenceEntry::Context { description }, edition)
        }
    })
}

pub(in crate::http) async fn delete(
    State(node): NodeState,
    Segments([table, key]): Segments<2>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let table = table_of(&table)?;
    let key = key_of(table, &key)?;
    let command = Command::DeleteReference { table, key, edition: None };
    give(&node, &request, nothing(&request.body, command)?).await
}

/// Replaces a table by that of the body.
pub(in crate::http) async fn replace(
    State(node): NodeState,
    Segments([table]): Segments<1>,
    upload: TableUpload,
) -> Result<Response, Problem> {
    load(&node, &table, upload, false).await
}

/// Adds and replaces the entries of the body, and keeps all others.
pub(in crate::http) async fn merge(
    State(node): NodeState,
    Segments([table]): Segments<1>,
    upload: TableUpload,
) -> Result<Response, Problem> {
    load(&node, &table, upload, true).await
}

/// Loads a table. The lines are checked here too, so that the answer names the first wrong one.
async fn load(
    node: &NodeContext,
    table: &str,
    TableUpload { request, text: csv }: TableUpload,
    keep_others: bool,
) -> Result<Response, Problem> {
    let table = table_of(table)?;
    let invalid = |detail: String| Problem::from(Code::TableInvalid).explained(detail);
    let entries = tables::parse(table, &csv).map_err(|error| invalid(error.to_string()))?;
    if entries.is_empty() {
        return Err(invalid("the table has no line after its header".to_owned()));
    }
    let command = Command::LoadReference { table, csv, keep_others, edition: None };
    let bytes = serde_json::to_vec(&command).map_err(|_| Code::Internal)?.len();
    if bytes + RECORD_ROOM > MAX_RECORD_BYTES {
        return Err(too_large());
    }
    give(node, &request, command).await
}

/// Deletes a table: the tenant uses the one of the installation again.
pub(in crate::http) async fn clear(
    State(node): NodeState,
    Segments([table]): Segments<1>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let command = Command::ClearReference { table: table_of(&table)?, edition: None };
    give(&node, &request, nothing(&request.body, command)?).await
}

async fn give(
    node: &NodeContext,
    request: &CommandRequest,
    command: Command,
) -> Result<Response, Problem> {
    let kind = command.kind();
    access::may_rule(&request.claims, kind).map_err(|code| refused(node, kind, code))?;
    request.answer(node, Aggregate::rules(&request.claims.tenant), command).await
}
