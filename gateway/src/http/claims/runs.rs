//! Runs: requesting, listing, reading, cancelling and retrying.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use gateway_core::access::{self, Claims, Runs};
use http::{StatusCode, header};
use schemas::{
    Millis,
    channel::Channel,
    codes::Code,
    command::{Command, Verdict},
    ids::{Aggregate, CommandId, FileId, Fingerprint, RunId, TenantId},
    record::NamedCommand,
    run::{RunHead, RunState},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    backends::queries::{ListedRun, RunsQuery},
    context::NodeContext,
    http::{
        NodeState, Problem,
        shared::{
            body::{not_an_id, nothing, read},
            caller::{Caller, QueryParams, Segments},
            command_request::{CommandRequest, own_command, refused},
            cursor::{self, Cursor},
            snapshots,
        },
    },
    limits::Limit,
    random,
};

/// Further waits for the outcome of a request, two seconds each. A processor that is more than ten
/// seconds behind has trouble that its operators see.
const LOOKS: usize = 4;

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct RunBody {
    #[schemars(with = "FileId")]
    file: String,
    #[serde(default)]
    list_passes: bool,
}

/// Requests the check of a file. The same key with the same body gives the same run.
pub(in crate::http) async fn request(
    State(node): NodeState,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let RunBody { file, list_passes } = read(&request.body, r#"{"file","list_passes"?}"#)?;
    let file = FileId::new(file).map_err(not_an_id)?;
    let (claims, key) = (&request.claims, &request.key);
    let bits = key.as_ref().map_or_else(random::bits, |key| Ok(bits_of(&request, key)))?;
    let run = RunId::from_parts(claims.owner_tag(), bits);
    let kind = "run.request";
    access::may_command_run(claims, &run, kind).map_err(|code| refused(&node, kind, code))?;
    let Some(file) = node.files.find(claims, &file).await? else {
        let Some(key) = key else { return Err(Code::FileUnknown.into()) };
        // The file of an ended run was removed; its run is still the answer to its key.
        if snapshots::load(&node, claims, &Channel::Run(run.clone())).await?.is_some() {
            return Ok(requested(&run));
        }
        let first = node.commands.recorded(&own_command(claims, key)).await?;
        let is_reused =
            first.is_some_and(|first| !first.has_fingerprint(Some(request.fingerprint)));
        let code = if is_reused { Code::IdempotencyKeyReused } else { Code::FileUnknown };
        return Err(Problem::from(code));
    };
    let tenant_key = node.limits.tenant_key(&claims.tenant);
    if let Some(most) = node.limits.places(Limit::QueuedRuns, tenant_key) {
        has_room(&node, &claims.tenant, most).await?;
    }
    let keep_s = keep_s(&node, &claims.tenant);
    let command = Command::RequestRun { file, list_passes, keep_s };
    let id = key.clone().unwrap_or_else(|| CommandId::from_random(bits));
    let aggregate = Aggregate::run(&claims.tenant, &run);
    let sent = match request.submit(&node, aggregate, id.clone(), command).await {
        Ok(None) => decided(&node, &request, &id).await,
        sent => sent.map(drop),
    };
    match sent {
        Err(problem) if problem.code() != Code::RunExists => Err(problem),
        _ => Ok(requested(&run)),
    }
}

/// Seconds for which a new run of the tenant is kept after its end.
fn keep_s(node: &NodeContext, tenant: &TenantId) -> u32 {
    let own = node.revocations.settings(tenant).and_then(|held| held.settings.retention.run_days);
    own.map_or_else(
        || u32::try_from(node.run_retention.as_secs()).unwrap_or(u32::MAX),
        |days| days.saturating_mul(24 * 60 * 60),
    )
}

/// Checks that the tenant has fewer than `most` runs that wait for a worker. Requests at the same
/// moment can pass it by a few, which the rate of commands bounds.
async fn has_room(node: &NodeContext, tenant: &TenantId, most: u32) -> Result<(), Problem> {
    let queued =
        RunsQuery { state: Some(RunState::Queued), owner: None, after: None, limit: most.max(1) };
    let waiting = crate::http::found(node, tenant, node.queries.runs(tenant, &queued)).await?.len();
    if waiting >= most as usize {
        return Err(node.limits.refuse(Limit::QueuedRuns).into());
    }
    Ok(())
}

/// Waits until a requested run exists, because the caller opens its channel next. Past [`LOOKS`]
/// the run is answered all the same.
async fn decided(
    node: &NodeContext,
    request: &CommandRequest,
    id: &CommandId,
) -> Result<(), Problem> {
    let identity = own_command(&request.claims, id);
    let command = NamedCommand { identity, fingerprint: Some(request.fingerprint) };
    let refused = |code| Problem::from(code).of_command(id.clone());
    for _ in 0..LOOKS {
        let outcome = node.commands.outcome(&command).await.map_err(refused)?;
        match outcome.map(|outcome| outcome.verdict) {
            Some(Verdict::Refused { code }) => return Err(refused(code)),
            Some(Verdict::Applied { .. } | Verdict::Moving { .. }) => return Ok(()),
            None => {}
        }
    }
    Ok(())
}

/// The bits of the run that the caller requests with this key and body. Another body is another
/// run: once the key is no longer kept, it may be used for another file.
fn bits_of(request: &CommandRequest, key: &CommandId) -> u128 {
    let CommandRequest { claims, fingerprint, .. } = request;
    let fingerprint = fingerprint.to_string();
    let parts = ["run", claims.tenant.as_str(), key.as_str(), &claims.subject, &fingerprint];
    Fingerprint::from_parts(parts.map(str::as_bytes)).bits()
}

fn requested(run: &RunId) -> Response {
    let location = [(header::LOCATION, format!("/v1/runs/{run}"))];
    let channel = Channel::Run(run.clone()).to_string();
    let body = json!({ "run": run, "state": RunState::Queued, "channel": channel });
    (StatusCode::ACCEPTED, location, Json(body)).into_response()
}

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ListParams {
    #[schemars(with = "Option<RunState>")]
    state: Option<String>,
    #[serde(default)]
    mine: bool,
    /// The `next` of the page before.
    cursor: Option<String>,
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
}

#[derive(Serialize)]
struct RunListEntry {
    run: RunId,
    requested_by_me: bool,
    #[serde(flatten)]
    head: RunHead,
}

pub(in crate::http) async fn list(
    State(node): NodeState,
    Caller(claims): Caller,
    QueryParams(asked): QueryParams<ListParams>,
) -> Result<Response, Problem> {
    let own = access::may_list_runs(&claims)? == Runs::Own || asked.mine;
    let state = asked.state.as_deref().map(state).transpose()?;
    let limit = cursor::page(asked.limit)?;
    let after = asked.cursor.as_deref().map(<(Millis, RunId)>::open).transpose()?;
    let owner = own.then(|| claims.owner_tag());
    // One more entry shows whether there is a next page.
    let asked = RunsQuery { state, owner, after, limit: limit + 1 };
    let mut runs =
        crate::http::found(&node, &claims.tenant, node.queries.runs(&claims.tenant, &asked))
            .await?;
    let next = cursor::cut(&mut runs, limit, |last| (last.head.requested_at, last.run.clone()));
    let runs: Vec<_> = runs
        .into_iter()
        .map(|ListedRun { run, head }| RunListEntry {
            requested_by_me: claims.owns(&run),
            run,
            head,
        })
        .collect();
    Ok(cursor::answer("runs", runs, next))
}

fn state(text: &str) -> Result<RunState, Problem> {
    let known = RunState::ALL.into_iter().find(|state| state.as_str() == text);
    known.ok_or_else(|| {
        let detail = "a state is queued, running, completed, failed or cancelled";
        Problem::from(Code::InvalidValue).explained(detail)
    })
}

/// Reads the run of a path, if the caller may see it.
pub(in crate::http) fn seen(claims: &Claims, run: String) -> Result<RunId, Problem> {
    let run = RunId::new(run).map_err(not_an_id)?;
    access::may_open(claims, &Channel::Run(run.clone()))?;
    Ok(run)
}

pub(in crate::http) async fn one(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([run]): Segments<1>,
) -> Result<Response, Problem> {
    let run = seen(&claims, run)?;
    snapshots::keyed(&node, &claims, Channel::Run(run)).await
}

pub(in crate::http) async fn action(
    State(node): NodeState,
    Segments([run, action]): Segments<2>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let run = RunId::new(run).map_err(not_an_id)?;
    let command = match action.as_str() {
        "cancel" => Command::CancelRun {},
        "retry" => Command::RetryRun {},
        _ => return Err(Code::NotFound.into()),
    };
    let (claims, command) = (&request.claims, nothing(&request.body, command)?);
    let allowed = access::may_command_run(claims, &run, command.kind());
    allowed.map_err(|code| refused(&node, command.kind(), code))?;
    request.answer(&node, Aggregate::run(&claims.tenant, &run), command).await
}
