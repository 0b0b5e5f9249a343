//! The webhooks of a tenant: their settings and secrets, and what was sent.

use std::collections::BTreeSet;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use gateway_core::access::{self, Claims};
use schemas::{
    Millis,
    codes::Code,
    command::{Command, CommandOutcome, Verdict},
    ids::{Aggregate, EventId, Fingerprint, LocationId, WebhookId},
    view::Position,
    webhook::{
        DEFAULT_OVERLAP_S, MAX_OVERLAP_S, Replay, Webhook, WebhookKey, WebhookSettings,
        WebhookState,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, value::RawValue};

use super::shared::{
    body::{not_an_id, nothing, read},
    caller::{Caller, QueryParams, Segments},
    command_request::{CommandRequest, refused},
    cursor::{self, Cursor},
    snapshots::unreadable,
};
use crate::{
    backends::queries::{DeliveriesQuery, DeliveryPlace, ListedDelivery, WebhookQueue},
    context::NodeContext,
    http::{NodeState, Problem},
    random,
    views::reader::FetchGoal,
};

/// The view with the webhooks of a tenant, one entry each.
const VIEW: &str = "webhooks";

/// A webhook as its admins see it. Secrets are shown once, by the answers that make them.
#[derive(Serialize, schemars::JsonSchema)]
pub(super) struct ShownWebhook {
    webhook: WebhookId,
    #[serde(flatten)]
    settings: WebhookSettings,
    state: WebhookState,
    created_at: Millis,
    /// The version of the last change, for a change that must not overwrite another one.
    edition: u64,
    /// Until when messages are signed with the secret before the last rotation too.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_secret_until: Option<Millis>,
    /// Deliveries that wait, as of some seconds ago.
    pending: u64,
    /// Attempts that failed since the last success.
    failures: u32,
}

impl ShownWebhook {
    fn new(held: Webhook, queues: &[WebhookQueue]) -> Self {
        let queue = queues.iter().find(|queue| queue.webhook == held.webhook);
        Self {
            webhook: held.webhook,
            settings: held.settings,
            state: held.state,
            created_at: held.created_at,
            edition: held.edition,
            previous_secret_until: held.previous.map(|previous| previous.until),
            pending: queue.map_or(0, |queue| queue.pending),
            failures: queue.map_or(0, |queue| queue.failures),
        }
    }
}

/// The webhooks of the tenant with their queues, in the order of their ids.
async fn all(node: &NodeContext, claims: &Claims) -> Result<Vec<ShownWebhook>, Problem> {
    access::may_webhook(claims, "webhooks.list")?;
    let aggregate = Aggregate::webhooks(&claims.tenant);
    let floor = node.tails.floor(&aggregate, VIEW);
    let goal = FetchGoal { floor, seen: node.tails.position(&aggregate), ..FetchGoal::default() };
    let view = node.reader.fetch(&aggregate, VIEW, goal).await?;
    let tenant = &claims.tenant;
    let queues = super::found(node, tenant, node.queries.webhook_queues(tenant)).await?;
    let entries = view.map(|view| view.entries).unwrap_or_default();
    let shown = entries.values().map(|entry| {
        let held = serde_json::from_str(entry.get()).map_err(unreadable)?;
        Ok(ShownWebhook::new(held, &queues))
    });
    Ok(shown.collect::<Result<_, Code>>()?)
}

pub(super) async fn list(
    State(node): NodeState,
    Caller(claims): Caller,
) -> Result<Response, Problem> {
    Ok(Json(serde_json::json!({ "webhooks": all(&node, &claims).await? })).into_response())
}

pub(super) async fn one(
    State(node): NodeState,
    Segments([webhook]): Segments<1>,
    Caller(claims): Caller,
) -> Result<Response, Problem> {
    let webhook = id(webhook)?;
    let all = all(&node, &claims).await?;
    let found = all.into_iter().find(|shown| shown.webhook == webhook);
    Ok(Json(found.ok_or(Code::WebhookUnknown)?).into_response())
}

fn id(text: String) -> Result<WebhookId, Problem> {
    WebhookId::new(text).map_err(not_an_id)
}

fn may(node: &NodeContext, claims: &Claims, kind: &'static str) -> Result<(), Problem> {
    access::may_webhook(claims, kind).map_err(|code| refused(node, kind, code))
}

/// The key of the secrets. Without it, nothing can be signed.
fn key(node: &NodeContext) -> Result<&WebhookKey, Code> {
    node.webhook_key.as_ref().ok_or(Code::WebhooksNotOffered)
}

pub(super) async fn create(
    State(node): NodeState,
    request: CommandRequest,
) -> Result<Response, Problem> {
    may(&node, &request.claims, "webhook.create")?;
    key(&node)?;
    let settings = read(&request.body, r#"{"url","description"?,"events"?,"locations"?}"#)?;
    let webhook = new_id(&request)?;
    let command = Command::CreateWebhook { webhook: webhook.clone(), settings };
    give_secret(&node, &request, webhook, command).await
}

/// The id of a new webhook. A repeat of the request makes the same one, so that its answer shows
/// the webhook that the first request made.
fn new_id(request: &CommandRequest) -> Result<WebhookId, Code> {
    let Some(key) = &request.key else {
        return random::bits().map(WebhookId::from_random);
    };
    let CommandRequest { claims, fingerprint, .. } = request;
    let fingerprint = fingerprint.to_string();
    let parts = ["webhook", claims.tenant.as_str(), &claims.subject, key.as_str(), &fingerprint];
    let digest = Fingerprint::from_parts(parts.iter().map(|part| part.as_bytes()));
    Ok(WebhookId::from_random(digest.bits()))
}

/// A change of the settings.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeBody {
    /// The address.
    url: String,
    description: Option<String>,
    /// The kinds of events. Empty: all.
    #[serde(default)]
    events: BTreeSet<String>,
    /// The locations. Empty: all.
    #[serde(default)]
    locations: BTreeSet<LocationId>,
    /// The edition that the change was made from. Absent: any.
    edition: Option<u64>,
}

pub(super) async fn change(
    State(node): NodeState,
    Segments([webhook]): Segments<1>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let webhook = id(webhook)?;
    may(&node, &request.claims, "webhook.change")?;
    let body = read(&request.body, r#"{"url","description"?,"events"?,"locations"?,"edition"?}"#)?;
    let ChangeBody { url, description, events, locations, edition } = body;
    let settings = WebhookSettings { url, description, events, locations };
    give(&node, &request, Command::ChangeWebhook { webhook, settings, edition }).await
}

pub(super) async fn delete(
    State(node): NodeState,
    Segments([webhook]): Segments<1>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let webhook = id(webhook)?;
    may(&node, &request.claims, "webhook.delete")?;
    give(&node, &request, Command::DeleteWebhook { webhook }).await
}

/// A rotation of the secret.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RotateBody {
    /// Seconds for which messages are signed with the old secret too: at most a week. Absent: a
    /// day.
    #[schemars(range(max = MAX_OVERLAP_S))]
    keep_s: Option<u32>,
}

/// The events to send again: one event, all dead letters, or those of a time.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplayBody {
    event: Option<EventId>,
    dead: Option<bool>,
    /// The first moment.
    from: Option<Millis>,
    /// The moment after the last.
    until: Option<Millis>,
}

impl ReplayBody {
    fn replay(self) -> Result<Replay, Problem> {
        match (self.event, self.dead, self.from, self.until) {
            (Some(event), None, None, None) => Ok(Replay::Event { event }),
            (None, Some(true), None, None) => Ok(Replay::Dead {}),
            (None, None, Some(from), Some(until)) => Ok(Replay::Time { from, until }),
            _ => Err(Problem::malformed(REPLAY)),
        }
    }
}

const REPLAY: &str = r#"expected {"event"}, {"dead": true} or {"from","until"}"#;

pub(super) async fn action(
    State(node): NodeState,
    Segments([webhook, action]): Segments<2>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let (webhook, body) = (id(webhook)?, &request.body);
    let of = webhook.clone();
    let command = match action.as_str() {
        "rotate" => {
            let RotateBody { keep_s } = read(body, r#"{"keep_s"?}"#)?;
            Command::RotateWebhook { webhook, keep_s: keep_s.unwrap_or(DEFAULT_OVERLAP_S) }
        }
        "pause" => nothing(body, Command::PauseWebhook { webhook })?,
        "resume" => nothing(body, Command::ResumeWebhook { webhook })?,
        "test" => nothing(body, Command::TestWebhook { webhook })?,
        "replay" => {
            let body: ReplayBody = read(body, REPLAY)?;
            Command::ReplayWebhook { webhook, replay: body.replay()? }
        }
        _ => return Err(Code::NotFound.into()),
    };
    may(&node, &request.claims, command.kind())?;
    match command {
        Command::RotateWebhook { .. } => give_secret(&node, &request, of, command).await,
        command => give(&node, &request, command).await,
    }
}

async fn give(
    node: &NodeContext,
    request: &CommandRequest,
    command: Command,
) -> Result<Response, Problem> {
    request.answer(node, Aggregate::webhooks(&request.claims.tenant), command).await
}

/// Gives a command that makes a secret, and shows the secret in its answer.
async fn give_secret(
    node: &NodeContext,
    request: &CommandRequest,
    webhook: WebhookId,
    command: Command,
) -> Result<Response, Problem> {
    let (key, tenant) = (key(node)?.clone(), request.claims.tenant.clone());
    let more = |outcome: &CommandOutcome| {
        let mut fields = Map::new();
        if let Verdict::Applied { epoch, version, .. } = outcome.verdict {
            let secret = key.secret(&tenant, &webhook, Position { epoch, version });
            fields.insert("secret".to_owned(), secret.text().into());
        }
        fields.insert("webhook".to_owned(), webhook.as_str().into());
        fields
    };
    let aggregate = Aggregate::webhooks(&request.claims.tenant);
    request.answer_with_fields(node, aggregate, command, more).await
}

/// Selects deliveries.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    #[schemars(regex(pattern = "^(pending|sent|dead)$"))]
    state: Option<String>,
    cursor: Option<String>,
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
}

/// One event of a webhook.
#[derive(Serialize, schemars::JsonSchema)]
pub(super) struct Delivery {
    event: EventId,
    r#type: String,
    /// When the event was decided.
    at: Millis,
    /// `pending`, `sent` or `dead`.
    state: String,
    /// When it is tried next.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_at: Option<Millis>,
    /// The attempts, oldest first.
    #[schemars(with = "Vec<DeliveryAttempt>")]
    attempts: Box<RawValue>,
}

/// One attempt of a delivery.
#[derive(schemars::JsonSchema)]
#[expect(dead_code, reason = "it describes what senders write")]
struct DeliveryAttempt {
    at: Millis,
    /// `sent`, `refused`, `gone`, `timed_out`, `unreachable` or `forbidden`.
    result: String,
    /// The status of the answer.
    status: Option<u16>,
    took_ms: u64,
}

impl From<ListedDelivery> for Delivery {
    fn from(listed: ListedDelivery) -> Self {
        let ListedDelivery { event, kind, at, state, next_at, attempts, .. } = listed;
        Self { event, r#type: kind, at, state, next_at, attempts }
    }
}

pub(super) async fn deliveries(
    State(node): NodeState,
    Segments([webhook]): Segments<1>,
    Caller(claims): Caller,
    QueryParams(filter): QueryParams<Filter>,
) -> Result<Response, Problem> {
    let webhook = id(webhook)?;
    access::may_webhook(&claims, "webhooks.list")?;
    let state = match filter.state.as_deref() {
        None => None,
        Some("pending") => Some("pending"),
        Some("sent") => Some("sent"),
        Some("dead") => Some("dead"),
        Some(_) => {
            let problem = Problem::from(Code::InvalidValue);
            return Err(problem.explained("a state is pending, sent or dead"));
        }
    };
    let limit = cursor::page(filter.limit)?;
    // One more row shows whether there is a next page.
    let after = filter.cursor.as_deref().map(DeliveryPlace::open).transpose()?;
    let asked = DeliveriesQuery { webhook, state, after, limit: limit + 1 };
    let read = node.queries.webhook_deliveries(&claims.tenant, &asked);
    let mut rows = super::found(&node, &claims.tenant, read).await?;
    let next = cursor::cut(&mut rows, limit, |row| row.place);
    let rows: Vec<Delivery> = rows.into_iter().map(Delivery::from).collect();
    Ok(cursor::answer("deliveries", rows, next))
}

impl Cursor for DeliveryPlace {
    fn text(&self) -> String {
        format!("delivery {}", self.0)
    }

    fn parse(text: &str) -> Option<Self> {
        text.strip_prefix("delivery ")?.parse().ok().map(Self)
    }
}
