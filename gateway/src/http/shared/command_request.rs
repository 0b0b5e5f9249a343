//! The request of a command: how every route reads it, gives the command and answers.

use std::{borrow::Cow, sync::Arc, time::Duration};

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{FromRequest, FromRequestParts, Request},
    response::{IntoResponse, Response},
};
use gateway_core::access::{self, Claims};
use http::{HeaderMap, Method, StatusCode, header, request::Parts, uri::PathAndQuery};
use schemas::{
    Millis,
    appointment_report::CheckInKeys,
    channel::Channel,
    codes::Code,
    command::{Command, CommandOutcome, Verdict},
    identity::CommandIdentity,
    ids::{Aggregate, CommandId, Fingerprint, LocationId, SourceId, TicketId},
    record::{Actor, CommandRecord},
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    audited_request::AuditedRequest,
    caller::{Caller, JsonText},
    editions,
    headers::only_text,
    link_offers, quotas,
};
use crate::{
    commands::Submission,
    context::NodeContext,
    http::{Problem, now},
    random,
};

/// The CloudEvents source of the records that gateways append. With the id of a command it names
/// the record.
pub const SOURCE: &str = "clinicwire-gateway";
/// How long a command is valid unless its caller says otherwise. After that, the person who pressed
/// the button no longer expects the effect, or has pressed it again.
const VALID_FOR: Duration = Duration::from_secs(30);

/// The request of a command: its caller, its key, the end of its validity, and its body.
pub(in crate::http) struct CommandRequest {
    pub claims: Claims,
    /// The id that the caller gave by `Idempotency-Key`.
    pub key: Option<CommandId>,
    /// The fingerprint of method, path, query, body and edition, which must be equal in a repeat of
    /// the key.
    pub fingerprint: Fingerprint,
    /// The end of the command's validity, when the caller gave one by `Valid-Until`.
    valid_until: Option<Millis>,
    pub body: Bytes,
    /// The entry of the audit. Routes outside of `/v1` have none.
    audited: Option<AuditedRequest>,
    /// The edition that the caller gave by `If-Match`.
    edition: Option<u64>,
}

/// A command's request before its body is read.
pub(in crate::http) struct CommandParts {
    pub claims: Claims,
    key: Option<CommandId>,
    valid_until: Option<Millis>,
    audited: Option<AuditedRequest>,
    edition: Option<u64>,
    method: Method,
    target: String,
}

impl CommandParts {
    /// Reads everything but the body, which is given back.
    pub(in crate::http) async fn split(
        request: Request,
        node: &Arc<NodeContext>,
    ) -> Result<(Self, Body), Problem> {
        let (mut parts, body) = request.into_parts();
        Ok((Self::read(&mut parts, node).await?, body))
    }

    async fn read(parts: &mut Parts, node: &Arc<NodeContext>) -> Result<Self, Problem> {
        let Caller(claims) = Caller::from_request_parts(parts, node).await?;
        Ok(Self {
            claims,
            key: key(&parts.headers)?,
            valid_until: valid_until(&parts.headers)?,
            audited: parts.extensions.get::<AuditedRequest>().cloned(),
            edition: editions::if_match(&parts.headers)?,
            method: parts.method.clone(),
            target: parts.uri.path_and_query().map_or("/", PathAndQuery::as_str).to_owned(),
        })
    }

    pub(in crate::http) fn with_body(self, body: Bytes) -> CommandRequest {
        let Self { claims, key, valid_until, audited, edition, method, target } = self;
        let (content, tag) = (normal_form(&body), edition.map(u64::to_be_bytes));
        let mut content = vec![method.as_str().as_bytes(), target.as_bytes(), &content];
        content.extend(tag.as_ref().map(|tag| tag.as_slice()));
        let fingerprint = Fingerprint::from_parts(content);
        CommandRequest { claims, key, fingerprint, valid_until, body, audited, edition }
    }
}

impl FromRequest<Arc<NodeContext>> for CommandRequest {
    type Rejection = Problem;

    async fn from_request(request: Request, node: &Arc<NodeContext>) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let command = CommandParts::read(&mut parts, node).await?;
        let request = Request::from_parts(parts, body);
        let JsonText(body) = JsonText::from_request(request, node).await?;
        Ok(command.with_body(body))
    }
}

/// Reads the id that makes a repeated command do nothing more. It belongs to the caller's subject,
/// so that two callers with the same counters do not share ids.
pub(in crate::http) fn key(headers: &HeaderMap) -> Result<Option<CommandId>, Problem> {
    let Some(key) = only_text(headers, "idempotency-key") else { return Ok(None) };
    let bad =
        |_| Problem::from(Code::InvalidId).explained("Idempotency-Key is not an id of a command");
    CommandId::new(key).map_err(bad).map(Some)
}

/// The body without what a client may write differently in a repeat: the order of fields and white
/// space. An empty body equals `{}`. A body that is not JSON is refused later.
fn normal_form(body: &[u8]) -> Cow<'_, [u8]> {
    if body.is_empty() {
        return Cow::Borrowed(b"{}");
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => Cow::Owned(value.to_string().into_bytes()),
        Err(_) => Cow::Borrowed(body),
    }
}

/// The identity of the caller's command with this id.
pub(in crate::http) fn own_command(claims: &Claims, command: &CommandId) -> CommandIdentity {
    CommandIdentity {
        tenant: claims.tenant.clone(),
        source: SOURCE.to_owned(),
        subject: claims.subject.to_string(),
        command: command.clone(),
    }
}

fn valid_until(headers: &HeaderMap) -> Result<Option<Millis>, Problem> {
    let Some(until) = only_text(headers, "valid-until") else { return Ok(None) };
    let bad =
        |_| Problem::from(Code::InvalidValue).explained("Valid-Until is not a time of RFC 3339");
    let until: jiff::Timestamp = until.parse().map_err(bad)?;
    Ok(Some(until.as_millisecond()))
}

/// Counts a command that its caller may not give, and returns the problem.
pub(in crate::http) fn refused(node: &NodeContext, kind: &'static str, code: Code) -> Problem {
    node.metrics.command(kind, code.as_str());
    code.into()
}

impl CommandRequest {
    /// Gives a command to a location if the caller may, and answers with its outcome.
    pub(in crate::http) async fn give(
        &self,
        node: &NodeContext,
        location: &LocationId,
        command: Command,
    ) -> Result<Response, Problem> {
        let allowed = access::may_command(&self.claims, location, &command);
        allowed.map_err(|code| refused(node, command.kind(), code))?;
        quotas::check(node, &self.claims.tenant, location, &command).await?;
        self.answer(node, Aggregate::location(&self.claims.tenant, location), command).await
    }

    /// Like [`CommandRequest::give`], for the report of an appointment whose patient may check in
    /// alone. The answer has the code of the booking.
    pub(in crate::http) async fn give_with(
        &self,
        node: &NodeContext,
        location: &LocationId,
        command: Command,
        booking: Option<&NewBooking>,
    ) -> Result<Response, Problem> {
        let allowed = access::may_command(&self.claims, location, &command);
        allowed.map_err(|code| refused(node, command.kind(), code))?;
        let aggregate = Aggregate::location(&self.claims.tenant, location);
        self.answer_with(node, aggregate, command, booking).await
    }

    /// Gives a command that is allowed, and answers with its outcome.
    pub(in crate::http) async fn answer(
        &self,
        node: &NodeContext,
        aggregate: Aggregate,
        command: Command,
    ) -> Result<Response, Problem> {
        self.answer_with(node, aggregate, command, None).await
    }

    async fn answer_with(
        &self,
        node: &NodeContext,
        aggregate: Aggregate,
        command: Command,
        booking: Option<&NewBooking>,
    ) -> Result<Response, Problem> {
        let id = self.key.clone().map_or_else(|| random::bits().map(CommandId::from_random), Ok)?;
        let outcome = self.submit(node, aggregate, id.clone(), command).await?;
        let is_applied =
            outcome.as_ref().is_some_and(|it| matches!(it.verdict, Verdict::Applied { .. }));
        if booking.is_some() && !is_applied {
            // Nobody would store the booking once the appointment has its id.
            let why = "the fact is taken and its check_in is not yet: send both again, with \
                       this command as Idempotency-Key";
            return Err(Problem::from(Code::TryAgain).explained(why).of_command(id));
        }
        Ok(match outcome {
            Some(outcome) if matches!(outcome.verdict, Verdict::Moving { .. }) => {
                let at = outcome_at(&id, self.fingerprint);
                (StatusCode::ACCEPTED, at, Json(visible_to(&self.claims, outcome))).into_response()
            }
            Some(outcome) => {
                let code = match booking {
                    Some(booking) => booking.store(node, &self.claims, &outcome).await?,
                    None => None,
                };
                let answer = OutcomeAnswer::new(node, &self.claims, outcome).await;
                Json(OutcomeAnswer { booking_code: code, ..answer }).into_response()
            }
            None => pending(&id, self.fingerprint),
        })
    }

    /// Gives a command that is allowed, and answers with its outcome and the fields that `more`
    /// makes of it.
    pub(in crate::http) async fn answer_with_fields(
        &self,
        node: &NodeContext,
        aggregate: Aggregate,
        command: Command,
        more: impl FnOnce(&CommandOutcome) -> Map<String, Value>,
    ) -> Result<Response, Problem> {
        let id = self.key.clone().map_or_else(|| random::bits().map(CommandId::from_random), Ok)?;
        let outcome = self.submit(node, aggregate, id.clone(), command).await?;
        let Some(outcome) = outcome else { return Ok(pending(&id, self.fingerprint)) };
        let mut fields = more(&outcome);
        let outcome = serde_json::to_value(visible_to(&self.claims, outcome));
        if let Value::Object(own) = outcome.map_err(|_| Code::Internal)? {
            fields.extend(own);
        }
        Ok(Json(fields).into_response())
    }

    /// Gives a command that is allowed. Returns `None` when it is appended and not decided yet.
    pub(in crate::http) async fn submit(
        &self,
        node: &NodeContext,
        aggregate: Aggregate,
        id: CommandId,
        mut command: Command,
    ) -> Result<Option<CommandOutcome>, Problem> {
        editions::apply(&mut command, self.edition)?;
        let kind = command.kind();
        if let Some(location) = aggregate.location_id()
            && let Some(field) = command.foreign_field(&location)
        {
            return Err(foreign(field).of_command(id));
        }
        let given = command.clone();
        let record = self.record(aggregate, id.clone(), command);
        if let Some(audited) = &self.audited {
            audited.name(named(&record));
            if let Command::OverrideCheckIn { reason, .. } = &record.command {
                audited.set_reason(reason);
            }
        }
        let audited = async {
            match &self.audited {
                Some(audited) => audited.write(node).await,
                None => Ok(()),
            }
        };
        let (sent, audited) = tokio::join!(node.commands.submit(record), audited);
        let mut sent = audited.and(sent);
        if let (Ok(Submission::Decided(outcome)), Some(audited)) = (&sent, &self.audited)
            && let Err(code) = audited.write_outcome(node, shown(outcome)).await
        {
            sent = Err(code);
        }
        let sent = match sent {
            Ok(Submission::Decided(CommandOutcome {
                verdict: Verdict::Refused { code }, ..
            })) => Err(code),
            Ok(Submission::Decided(outcome)) => Ok(Some(outcome)),
            Ok(Submission::Pending) => Ok(None),
            Err(code) => Err(code),
        };
        let result = match &sent {
            Ok(Some(_)) => "applied",
            Ok(None) => "pending",
            Err(code) => code.as_str(),
        };
        node.metrics.command(kind, result);
        sent.map_err(|code| explained(code, &given).of_command(id))
    }

    /// The record of a command that the caller gives.
    fn record(&self, aggregate: Aggregate, id: CommandId, command: Command) -> CommandRecord {
        CommandRecord {
            aggregate,
            id,
            source: SOURCE.to_owned(),
            fingerprint: Some(self.fingerprint),
            valid_until: self.valid_until(&command),
            actor: Some(Actor {
                subject: self.claims.subject.to_string(),
                role: self.claims.role.as_str().to_owned(),
            }),
            command,
        }
    }

    /// The end of the command's validity. A fact expires only if its caller says so: its revision
    /// already tells whether it is the newest.
    fn valid_until(&self, command: &Command) -> Option<Millis> {
        let forever = matches!(command, Command::ReportAppointment { .. });
        let default = (!forever).then(|| now() + VALID_FOR.as_millis() as Millis);
        self.valid_until.or(default)
    }
}

/// The problem of a refused command. A value outside of its bounds is named with its field.
fn explained(code: Code, command: &Command) -> Problem {
    let problem = Problem::from(code);
    let fault = (code == Code::InvalidValue).then(|| command.fault()).flatten();
    match fault {
        Some(fault) => problem.explained(fault),
        None => problem,
    }
}

/// The problem of a command whose `field` names a thing of another location.
fn foreign(field: &'static str) -> Problem {
    let code = match field {
        "station" => Code::StationUnknown,
        "tickets" => Code::TicketUnknown,
        "check_in_point" => Code::CheckInPointUnknown,
        _ => Code::QueueUnknown,
    };
    Problem::from(code).explained(format!("{field}: the id belongs to another location"))
}

/// The ids that a command names before it is decided, and for a change of the privacy, in words,
/// the details that are shown from then on.
fn named(record: &CommandRecord) -> impl Iterator<Item = String> {
    let privacy = match &record.command {
        Command::ChangePrivacy { privacy, .. } => Some(privacy.words()),
        _ => None,
    };
    let ticket = record.command.ticket().map(ToString::to_string);
    let appointment = record.command.appointment().map(ToString::to_string);
    let run = record.aggregate.run_id().map(|run| run.to_string());
    let webhook = record.command.webhook().map(ToString::to_string);
    let run = run.into_iter().chain(webhook);
    ticket.into_iter().chain(appointment).chain(run).chain(privacy.into_iter().flatten())
}

/// The ids that an outcome names: of the ticket that was called, or of the ticket or appointment
/// that an earlier request made under the same key.
pub(in crate::http) fn shown(outcome: &CommandOutcome) -> impl Iterator<Item = String> {
    let result = match &outcome.verdict {
        Verdict::Applied { result, .. } | Verdict::Moving { result, .. } => Some(result),
        Verdict::Refused { .. } => None,
    };
    let ticket = result.and_then(|result| result.ticket.as_ref()).map(ToString::to_string);
    let appointment = result.and_then(|result| result.appointment.as_ref());
    ticket.into_iter().chain(appointment.map(ToString::to_string))
}

/// An outcome as its reader may see it. The answer to a command and its look-up are alike, so that
/// a client loses nothing with an answer.
#[derive(Serialize)]
pub(in crate::http) struct OutcomeAnswer {
    #[serde(flatten)]
    outcome: CommandOutcome,
    /// The link by which the patient holds the ticket that was issued, if the reader may have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<Value>,
    /// The code by which the patient of a reported appointment checks in.
    #[serde(skip_serializing_if = "Option::is_none")]
    booking_code: Option<String>,
}

/// The part of a report that concerns check-in, beside the fact.
pub(in crate::http) struct NewBooking {
    pub(in crate::http) source: SourceId,
    pub(in crate::http) keys: CheckInKeys,
    pub(in crate::http) start: Option<Millis>,
}

impl NewBooking {
    /// Stores the booking once its appointment has an id. A source that is told to try again sends
    /// the same report with the same key.
    async fn store(
        &self,
        node: &NodeContext,
        claims: &Claims,
        outcome: &CommandOutcome,
    ) -> Result<Option<String>, Code> {
        let Verdict::Applied { result, .. } = &outcome.verdict else { return Ok(None) };
        let Some(appointment) = &result.appointment else { return Ok(None) };
        let key = &node.booking_key;
        let booking = key.booking(&self.source, appointment, &self.keys)?;
        let given = self.keys.code.as_deref();
        let stored =
            key.store(&*node.short_keys, &claims.tenant, &booking, given, self.start, now());
        stored.await.map(Some)
    }
}

impl OutcomeAnswer {
    pub(in crate::http) async fn new(
        node: &NodeContext,
        claims: &Claims,
        outcome: CommandOutcome,
    ) -> Self {
        let link = link_offers::of_issued(node, claims, issued_ticket(&outcome)).await;
        Self { outcome: visible_to(claims, outcome), link, booking_code: None }
    }
}

/// The ticket that a command issued. The outcome of a call names a station too, and that of a move
/// has no label. An undone check-in looks alike; the link of its ticket ends soon.
fn issued_ticket(outcome: &CommandOutcome) -> Option<&TicketId> {
    match &outcome.verdict {
        Verdict::Applied { result, .. } if result.station.is_none() => {
            result.label.as_ref().and(result.ticket.as_ref())
        }
        _ => None,
    }
}

fn pending(id: &CommandId, fingerprint: Fingerprint) -> Response {
    let body = json!({ "command": id, "outcome": "pending" });
    (StatusCode::ACCEPTED, outcome_at(id, fingerprint), Json(body)).into_response()
}

/// The address where the outcome of a command can be read. It names the fingerprint, so that its
/// reader learns when the key was used for another command before.
fn outcome_at(id: &CommandId, fingerprint: Fingerprint) -> [(header::HeaderName, String); 1] {
    [(header::LOCATION, format!("/v1/commands/{id}?fingerprint={fingerprint}"))]
}

/// The outcome without what the caller may not open, because its token may have had other rights
/// when it sent the command. A source opens no appointment, but passes its id on to the patient.
fn visible_to(claims: &Claims, mut outcome: CommandOutcome) -> CommandOutcome {
    let (Verdict::Applied { result, .. } | Verdict::Moving { result, .. }) = &mut outcome.verdict
    else {
        return outcome;
    };
    let hidden = |channel| access::may_open(claims, &channel).is_err();
    if result.ticket.clone().map(Channel::Ticket).is_some_and(hidden) {
        (result.ticket, result.label, result.station) = (None, None, None);
    }
    let appointment = result.appointment.clone().map(Channel::Appointment);
    if appointment.is_none_or(hidden) && access::source(claims).is_err() {
        (result.appointment, result.change) = (None, None);
    }
    outcome
}
