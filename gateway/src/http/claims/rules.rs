//! The rules of a tenant: listing, storing, enabling, and trying one on a file without storing it.

use std::time::{Duration, Instant};

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use claims::{
    check::{CheckOptions, CheckStep, FileCheck},
    file::{FileError, FileFormat},
    rules::{RuleError, Rules, builtin, validate},
    tables::Tables,
};
use gateway_core::access::{self, Claims};
use schemas::{
    codes::Code,
    command::Command,
    finding::Finding,
    ids::{Aggregate, FileId, RuleId},
    rule::{Rule, StoredRule},
    run::FindingCounts,
    view::Entries,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{sync::oneshot, time::timeout};

use super::{
    findings::{FindingMessage, LanguageParams, language},
    reference,
};
use crate::{
    context::NodeContext,
    files::BlockingRead,
    http::{
        NodeState, Problem,
        shared::{
            body::{not_an_id, nothing, read},
            caller::{Caller, QueryParams, Segments},
            command_request::{CommandRequest, refused},
            snapshots::unreadable,
        },
    },
    views::reader::FetchGoal,
};

/// The view with the rules of a tenant, one entry each.
const VIEW: &str = "rules";
/// The view with the edition of each rule.
const EDITIONS_VIEW: &str = "rules:editions";
/// How long a trial may take. Past it the answer has the findings so far and says that it is
/// partial.
const TRIAL_WITHIN: Duration = Duration::from_secs(10);
/// How long a trial waits for another one to end: most take milliseconds. Past it the answer is
/// `try_again`.
const TRIAL_WAIT: Duration = Duration::from_secs(1);
/// Most findings in the answer of a trial; all are counted.
const SHOWN: usize = 100;

pub(in crate::http) async fn list(
    State(node): NodeState,
    Caller(claims): Caller,
) -> Result<Response, Problem> {
    access::may_rule(&claims, "rules.list")?;
    let (rules, builtin) = stored_rules(&node, &claims).await?;
    Ok(Json(json!({ "rules": rules, "builtin": builtin })).into_response())
}

/// The rules of the tenant by id; the built-in ones when it has stored none.
async fn stored_rules(
    node: &NodeContext,
    claims: &Claims,
) -> Result<(Vec<StoredRule>, bool), Code> {
    let entries = entries(node, claims, VIEW).await?;
    if entries.is_empty() {
        let builtin = builtin().into_iter().map(|rule| StoredRule { rule, edition: 0 });
        return Ok((builtin.collect(), true));
    }
    let editions = self::entries(node, claims, EDITIONS_VIEW).await?;
    let edition_of = |key: &String| {
        let edition = editions.get(key).map(|entry| serde_json::from_str(entry.get()));
        edition.transpose().map(Option::unwrap_or_default)
    };
    let stored = entries.iter().map(|(key, entry)| {
        let rule = serde_json::from_str(entry.get())?;
        Ok(StoredRule { rule, edition: edition_of(key)? })
    });
    let stored = stored.collect::<serde_json::Result<_>>();
    Ok((stored.map_err(unreadable)?, false))
}

/// The entries of a view of the tenant's rule book.
async fn entries(node: &NodeContext, claims: &Claims, view: &str) -> Result<Entries, Code> {
    let aggregate = Aggregate::rules(&claims.tenant);
    let floor = node.tails.floor(&aggregate, view);
    let goal = FetchGoal { floor, seen: node.tails.position(&aggregate), ..FetchGoal::default() };
    let view = node.reader.fetch(&aggregate, view, goal).await?;
    Ok(view.map(|view| view.entries).unwrap_or_default())
}

pub(in crate::http) async fn put(
    State(node): NodeState,
    Segments([rule]): Segments<1>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let id = RuleId::new(rule).map_err(not_an_id)?;
    may(&node, &request.claims, "rule.put")?;
    let mut body: Value = read(&request.body, "a rule")?;
    let edition = body.as_object_mut().and_then(|fields| fields.remove("edition"));
    let edition = edition.filter(|edition| !edition.is_null());
    let bad = || Problem::from(Code::RuleInvalid).explained("edition is not a whole number");
    let edition = edition.map(|edition| edition.as_u64().ok_or_else(bad)).transpose()?;
    let rule = rule_of(&id, body)?;
    give(&node, &request, Command::PutRule { rule, edition }).await
}

pub(in crate::http) async fn delete(
    State(node): NodeState,
    Segments([rule]): Segments<1>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let rule = RuleId::new(rule).map_err(not_an_id)?;
    may(&node, &request.claims, "rule.delete")?;
    give(&node, &request, Command::DeleteRule { rule, edition: None }).await
}

pub(in crate::http) async fn action(
    State(node): NodeState,
    Segments([rule, action]): Segments<2>,
    QueryParams(LanguageParams { language }): QueryParams<LanguageParams>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let (claims, body) = (&request.claims, &request.body);
    let rule = RuleId::new(rule).map_err(not_an_id)?;
    let command = match action.as_str() {
        "try" => return attempt(&node, claims, rule, language.as_deref(), body).await,
        "enable" => Command::EnableRule { rule },
        "disable" => Command::DisableRule { rule },
        _ => return Err(Code::NotFound.into()),
    };
    may(&node, claims, command.kind())?;
    give(&node, &request, nothing(body, command)?).await
}

fn may(node: &NodeContext, claims: &Claims, kind: &'static str) -> Result<(), Problem> {
    access::may_rule(claims, kind).map_err(|code| refused(node, kind, code))
}

async fn give(
    node: &NodeContext,
    request: &CommandRequest,
    command: Command,
) -> Result<Response, Problem> {
    request.answer(node, Aggregate::rules(&request.claims.tenant), command).await
}

/// Reads and validates the rule with this id.
fn rule_of(id: &RuleId, mut body: Value) -> Result<Rule, Problem> {
    let invalid = |detail: &'static str| Problem::from(Code::RuleInvalid).explained(detail);
    let fields = body.as_object_mut().ok_or_else(|| invalid("a rule is an object"))?;
    if fields.insert("id".to_owned(), json!(id)).is_some_and(|own| own != json!(id)) {
        return Err(invalid("id differs from the id in the path"));
    }
    let given: Vec<_> =
        fields.iter().filter(|(_, value)| !value.is_null()).map(|(name, _)| name.clone()).collect();
    let rule: Rule = serde_json::from_value(body).map_err(|_| {
        invalid("a field is missing, has the wrong type, or is unknown to a check of this kind")
    })?;
    // An unknown field would be dropped, and the rule would not check what its author meant.
    let known = serde_json::to_value(&rule).map_err(|_| Code::Internal)?;
    if given.iter().any(|name| known.get(name).is_none()) {
        return Err(invalid("a field is unknown to a check of this kind"));
    }
    validate(&rule).map_err(|error| wrong(&error))?;
    Ok(rule)
}

/// Names the wrong field and its fault, never its value.
fn wrong(RuleError { field, wrong, .. }: &RuleError) -> Problem {
    Problem::from(Code::RuleInvalid).explained(format!("{field} {wrong}"))
}

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct TryBody {
    #[schemars(with = "FileId")]
    file: String,
    #[schemars(with = "Option<Rule>")]
    rule: Option<Value>,
}

/// Tries a rule, stored or from the body, on an uploaded file.
async fn attempt(
    node: &NodeContext,
    claims: &Claims,
    id: RuleId,
    spoken: Option<&str>,
    body: &[u8],
) -> Result<Response, Problem> {
    access::may_rule(claims, "rules.try")?;
    let language = language(spoken)?;
    let TryBody { file, rule } = read(body, r#"{"file","rule"?}"#)?;
    let file = FileId::new(file).map_err(not_an_id)?;
    let mut rule = match rule {
        Some(body) => rule_of(&id, body)?,
        None => {
            let rules = stored_rules(node, claims).await?.0.into_iter().map(|stored| stored.rule);
            rules.into_iter().find(|rule| rule.id == id).ok_or(Code::RuleUnknown)?
        }
    };
    rule.enabled = true;
    let rules = Rules::compile(&[rule]).map_err(|error| wrong(&error))?;
    node.files.find(claims, &file).await?.ok_or(Code::FileUnknown)?;
    let reader = node.files.open(&claims.tenant, &file).await?.ok_or(Code::FileUnknown)?;
    let place = timeout(TRIAL_WAIT, node.trials.clone().acquire_owned()).await;
    let place = place.map_err(|_| Code::TryAgain)?.map_err(|_| Code::Internal)?;
    let tables = reference::tables(node, &claims.tenant).await?;
    let (done, trial) = oneshot::channel();
    node.files.runtime().spawn_blocking(move || {
        let result = check(reader, &rules, &tables, || done.is_closed());
        drop(place);
        // The caller may have left.
        let _ = done.send(result);
    });
    let Trial { counts, findings, rows, partial, took } =
        trial.await.map_err(|_| Code::Internal)?.map_err(refusal)?;
    let findings: Vec<_> =
        findings.into_iter().map(|finding| FindingMessage::new(finding, language)).collect();
    let took_ms = took.as_millis() as u64;
    let body = json!({
        "counts": counts,
        "findings": findings,
        "rows": rows,
        "partial": partial,
        "took_ms": took_ms,
    });
    Ok(Json(body).into_response())
}

/// The result of a trial.
struct Trial {
    counts: FindingCounts,
    findings: Vec<Finding>,
    rows: u64,
    /// Whether the trial stopped before the end of the file.
    partial: bool,
    took: Duration,
}

/// Checks until the file ends, time is up, or the caller has left.
fn check(
    reader: BlockingRead,
    rules: &Rules,
    tables: &Tables,
    given_up: impl Fn() -> bool,
) -> Result<Trial, FileError> {
    let started = Instant::now();
    let options = CheckOptions { list_passes: false, budget: TRIAL_WITHIN };
    let mut checking = FileCheck::new(reader, &FileFormat::default(), rules, tables, options)?;
    let (mut findings, mut found) = (Vec::new(), Vec::new());
    let partial = loop {
        let step = checking.step(&mut found)?;
        let room = SHOWN - findings.len();
        findings.extend(found.drain(..).take(room));
        if matches!(step, CheckStep::Done(_)) {
            break false;
        }
        if started.elapsed() > TRIAL_WITHIN || given_up() {
            break true;
        }
    };
    Ok(Trial {
        counts: checking.counts(),
        findings,
        rows: checking.rows_done(),
        partial,
        took: started.elapsed(),
    })
}

/// The problem of a file that cannot be checked. It names columns, lines and bytes only.
fn refusal(error: FileError) -> Problem {
    let FileError::Refused(refusal) = error else {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "a file could not be read for a trial"
        );
        return Code::TryAgain.into();
    };
    Problem::from(refusal.code()).explained(refusal.to_string())
}
