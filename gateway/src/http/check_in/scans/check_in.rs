//! Finding bookings by their codes, checking them in, and tickets without an appointment.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use gateway_core::{
    access,
    check_in::{PhonePosition, is_within},
};
use schemas::{
    Millis,
    check_in::CheckInPointKind,
    codes::Code,
    command::{Command, CommandResult, Verdict},
    ids::{Aggregate, CommandId, Fingerprint, QueueId, TicketId},
    record::{Actor, CommandRecord},
    ticket::Priority,
};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    found::{self, FoundAppointment},
    scanner::{ScanRequest, Scanner},
    suspicion,
};
use crate::{
    access::{
        bookings::{self, Booking, NamedBooking},
        ticket_links::TicketLink,
    },
    commands::Submission,
    context::NodeContext,
    http::{
        NodeState, Problem, now,
        shared::{
            audited::NamedInBody,
            body::{not_an_id, read},
            command_request::SOURCE,
            link_offers,
            problem::RefusedCode,
        },
    },
    random,
};

/// Most bookings of one scan: a large family.
const MAX_BOOKINGS: usize = 8;
/// How long a scan is valid: its patient waits in front of the screen.
const VALID_FOR_MS: Millis = 30_000;
/// How far from now other appointments of the same person may be to be shown too: a day of a
/// clinic.
const SAME_DAY_MS: Millis = 12 * 60 * 60 * 1000;

/// The code of one booking, and the proof that it is the patient's.
#[derive(Deserialize, schemars::JsonSchema)]
pub(in crate::http) struct BookingProof {
    code: String,
    /// The second factor that the point asks for.
    #[serde(default)]
    told: String,
}

/// The position that a phone reports.
#[derive(schemars::JsonSchema)]
#[expect(dead_code, reason = "it only describes the fields of `PhonePosition`")]
struct PhonePlace {
    /// Degrees north of the equator.
    latitude: f64,
    /// Degrees east of Greenwich.
    longitude: f64,
    /// Metres by which the phone may be wrong.
    #[serde(default)]
    accuracy_m: f64,
}

#[derive(Deserialize, schemars::JsonSchema)]
pub(in crate::http) struct ScanBody {
    point: Option<String>,
    bookings: Vec<BookingProof>,
    #[schemars(with = "Option<PhonePlace>")]
    position: Option<PhonePosition>,
}

#[derive(Deserialize, schemars::JsonSchema)]
pub(in crate::http) struct WalkInBody {
    point: Option<String>,
    #[schemars(with = "QueueId")]
    queue: String,
    #[schemars(with = "Option<PhonePlace>")]
    position: Option<PhonePosition>,
}

const SCAN: &str = r#"{"point"?,"bookings":[{"code","told"?}],"position"?}"#;

/// One booking of a scan: the code as the patient typed it, and the booking if it was proved.
struct ScannedBooking {
    typed: String,
    booking: Result<NamedBooking, Code>,
}

/// Shows the appointments of the people whose bookings were proved, so that they choose.
pub(in crate::http) async fn find(
    State(node): NodeState,
    request: ScanRequest,
) -> Result<Response, Problem> {
    let ScanBody { point, bookings, .. } = read(&request.body, SCAN)?;
    let scanner = request.scanner(&node, point.as_deref()).await?;
    let mut answer = Answer::default();
    let mut seen = BTreeMap::new();
    for scanned in prove_all(&node, &request, &scanner, bookings).await? {
        let named = match scanned.booking {
            Ok(named) => named,
            Err(code) => {
                answer.refuse(&scanned.typed, code);
                continue;
            }
        };
        let others = node.booking_key.others(&*node.short_keys, &scanner.claims.tenant, &named);
        let others = others.await?;
        let own = named.code.clone();
        for NamedBooking { code, booking } in std::iter::once(named).chain(others) {
            if seen.insert(code.clone(), ()).is_some() {
                continue;
            }
            let found = found::appointment(&node, &scanner.claims, &booking.appointment).await;
            match found {
                Ok(found) if code == own || is_now(&scanner, &found) => {
                    answer.add(&code, &booking, shown(&found));
                }
                Ok(_) => {}
                Err(code_of_refusal) if code == own => {
                    answer.refuse(&scanned.typed, code_of_refusal)
                }
                Err(_) => {}
            }
        }
    }
    Ok(answer.into_response("appointments"))
}

/// Whether another appointment of the same person is here and today.
fn is_now(scanner: &Scanner, found: &FoundAppointment) -> bool {
    let near = |start: Millis| (start - now()).abs() < SAME_DAY_MS;
    found.id.belongs_to(&scanner.id.location()) && found.start.is_some_and(near)
}

/// Checks in the bookings that were proved. Each has its own result.
pub(in crate::http) async fn check_in(
    State(node): NodeState,
    request: ScanRequest,
) -> Result<Response, Problem> {
    let ScanBody { point, bookings, position } = read(&request.body, SCAN)?;
    let scanner = request.scanner(&node, point.as_deref()).await?;
    check_position(&scanner, position)?;
    let mut answer = Answer::default();
    for scanned in prove_all(&node, &request, &scanner, bookings).await? {
        match scanned.booking {
            Ok(NamedBooking { code, booking }) => {
                let result = check_in_one(&node, &request, &scanner, &booking).await?;
                answer.add(&code, &booking, result);
            }
            Err(code) => answer.refuse(&scanned.typed, code),
        }
    }
    Ok(answer.into_response("results"))
}

/// Checks one booking in.
async fn check_in_one(
    node: &NodeContext,
    request: &ScanRequest,
    scanner: &Scanner,
    booking: &Booking,
) -> Result<Value, Problem> {
    let found = found::appointment(node, &scanner.claims, &booking.appointment).await;
    let found = match found {
        Ok(found) => found,
        Err(Code::NoAppointmentFound) => return Ok(refusal(Code::NoAppointmentFound)),
        Err(code) => return Err(code.into()),
    };
    let mut result = shown(&found);
    if let Some((ticket, label)) = &found.ticket {
        let link = link_of(node, scanner, ticket).await;
        return Ok(merge(result, already(label, link)));
    }
    if !found.id.belongs_to(&scanner.id.location()) {
        return Ok(merge(result, refusal(Code::WrongLocation)));
    }
    let id = command_id(request, &["check-in", found.id.as_str()])?;
    let command = Command::CheckIn { appointment: found.id.clone(), queue: None };
    let outcome = match submit(node, scanner, id, command).await? {
        // Two phones of one family may have scanned at the same moment.
        Err(Code::AlreadyCheckedIn) => {
            let again = found::appointment(node, &scanner.claims, &found.id).await?;
            match again.ticket {
                Some((ticket, label)) => already(&label, link_of(node, scanner, &ticket).await),
                None => refusal(Code::AlreadyCheckedIn),
            }
        }
        Err(code) => refusal(code),
        Ok(None) => json!({ "outcome": "pending" }),
        Ok(Some(issued)) => issued_ticket(node, scanner, issued).await,
    };
    result = merge(result, outcome);
    Ok(result)
}

/// Issues a ticket to a patient without an appointment.
pub(in crate::http) async fn walk_in(
    State(node): NodeState,
    request: ScanRequest,
) -> Result<Response, Problem> {
    let WalkInBody { point, queue, position } =
        read(&request.body, r#"{"point"?,"queue","position"?}"#)?;
    let queue = QueueId::new(queue).map_err(not_an_id)?;
    let scanner = request.scanner(&node, point.as_deref()).await?;
    check_position(&scanner, position)?;
    request.spend_walk_in(&node)?;
    let id = command_id(&request, &["walk-in", queue.as_str()])?;
    let ticket = TicketId::from_random(&queue.location(), random::bits()?);
    let command = Command::IssueTicket { queue, ticket, priority: Priority::default() };
    access::may_command(&scanner.claims, &scanner.id.location(), &command)?;
    let body = match submit(&node, &scanner, id, command).await? {
        Err(code) => return Err(code.into()),
        Ok(None) => json!({ "outcome": "pending" }),
        Ok(Some(issued)) => issued_ticket(&node, &scanner, issued).await,
    };
    let mut response = Json(&body).into_response();
    response.extensions_mut().insert(NamedInBody(ticket_in(&body)));
    Ok(response)
}

/// Proves each booking of a request. Guesses are limited and recorded.
async fn prove_all(
    node: &NodeContext,
    request: &ScanRequest,
    scanner: &Scanner,
    bookings: Vec<BookingProof>,
) -> Result<Vec<ScannedBooking>, Problem> {
    if !(1..=MAX_BOOKINGS).contains(&bookings.len()) {
        let explained = format!("a scan has 1 to {MAX_BOOKINGS} bookings");
        return Err(Problem::from(Code::InvalidValue).explained(explained));
    }
    let mut proved = Vec::new();
    for BookingProof { code: typed, told } in bookings {
        request.check_guesses(node, scanner)?;
        let booking = prove(node, scanner, &typed, &told).await;
        if matches!(booking, Err(Code::NoAppointmentFound)) {
            request.note_guess(node, scanner);
        }
        match booking {
            Ok(_) | Err(Code::NoAppointmentFound | Code::TooManyFailures) => {}
            Err(code) => return Err(code.into()),
        }
        let typed = typed.chars().take(MAX_TYPED).collect();
        proved.push(ScannedBooking { typed, booking });
    }
    Ok(proved)
}

/// Most characters of a typed code in an answer.
const MAX_TYPED: usize = 48;

async fn prove(
    node: &NodeContext,
    scanner: &Scanner,
    typed: &str,
    told: &str,
) -> Result<NamedBooking, Code> {
    let code = bookings::normal(typed).ok_or(Code::NoAppointmentFound)?;
    let (keys, tenant) = (&*node.short_keys, &scanner.claims.tenant);
    bookings::count_attempt(keys, tenant, &code).await?;
    let factor = scanner.point.setup.factor;
    let proved = node.booking_key.prove(keys, tenant, &code, factor, told).await;
    match &proved {
        Err(Code::NoAppointmentFound) => suspicion::note(node, scanner, &code, false).await,
        Ok(_) => suspicion::note(node, scanner, &code, true).await,
        Err(_) => {}
    }
    proved
}

/// Checks that the phone is at the point, where the point asks for it.
fn check_position(scanner: &Scanner, position: Option<PhonePosition>) -> Result<(), Code> {
    let Some(place) = &scanner.point.setup.place else { return Ok(()) };
    let is_kiosk = scanner.point.setup.kind == CheckInPointKind::Kiosk;
    match position {
        _ if is_kiosk => Ok(()),
        Some(position) if is_within(place, &position) => Ok(()),
        _ => Err(Code::TooFar),
    }
}

/// Gives a command as the check-in point. The inner error is the refusal of the location.
async fn submit(
    node: &NodeContext,
    scanner: &Scanner,
    id: CommandId,
    command: Command,
) -> Result<Result<Option<CommandResult>, Code>, Problem> {
    let location = scanner.id.location();
    access::may_command(&scanner.claims, &location, &command)?;
    let kind = command.kind();
    let record = CommandRecord {
        aggregate: Aggregate::location(&scanner.claims.tenant, &location),
        fingerprint: Some(Fingerprint::from_parts([kind.as_bytes(), id.as_str().as_bytes()])),
        id,
        source: SOURCE.to_owned(),
        valid_until: Some(now() + VALID_FOR_MS),
        actor: Some(Actor {
            subject: scanner.claims.subject.to_string(),
            role: scanner.claims.role.as_str().to_owned(),
        }),
        command,
    };
    let decided = match node.commands.submit(record).await? {
        Submission::Pending => Ok(None),
        Submission::Decided(outcome) => match outcome.verdict {
            Verdict::Refused { code } => Err(code),
            Verdict::Applied { result, .. } | Verdict::Moving { result, .. } => Ok(Some(result)),
        },
    };
    let result = match &decided {
        Ok(Some(_)) => "applied",
        Ok(None) => "pending",
        Err(code) => code.as_str(),
    };
    node.metrics.command(kind, result);
    Ok(decided)
}

/// The id of a command of the scan, made of its key and its subject, so that a repeated scan does
/// nothing more. Without a key, a random one.
fn command_id(request: &ScanRequest, parts: &[&str]) -> Result<CommandId, Code> {
    let Some(key) = &request.key else { return random::bits().map(CommandId::from_random) };
    let mut hash = Sha256::new();
    for part in std::iter::once(key.as_str()).chain(parts.iter().copied()) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let bits = u128::from_be_bytes(*hash.finalize().first_chunk().expect("32 bytes"));
    Ok(CommandId::from_random(bits))
}

async fn issued_ticket(node: &NodeContext, scanner: &Scanner, issued: CommandResult) -> Value {
    let CommandResult { ticket: Some(ticket), label, .. } = issued else {
        return json!({ "outcome": "checked_in" });
    };
    let link = link_of(node, scanner, &ticket).await;
    json!({ "outcome": "checked_in", "ticket": ticket, "label": label, "link": link })
}

async fn link_of(node: &NodeContext, scanner: &Scanner, ticket: &TicketId) -> Value {
    let link = TicketLink { tenant: scanner.claims.tenant.clone(), ticket: ticket.clone() };
    link_offers::offer(node, &link).await
}

fn already(label: &str, link: Value) -> Value {
    let mut result = refusal(Code::AlreadyCheckedIn);
    result["label"] = json!(label);
    result["link"] = link;
    result
}

fn refusal(code: Code) -> Value {
    json!({ "outcome": "refused", "code": code.as_str() })
}

/// The part of an appointment that its patient sees after proving the booking.
fn shown(found: &FoundAppointment) -> Value {
    json!({
        "start": found.start,
        "end": found.end,
        "doctor": found.doctor,
        "status": found.status,
    })
}

fn merge(mut one: Value, other: Value) -> Value {
    if let (Some(one), Value::Object(other)) = (one.as_object_mut(), other) {
        one.extend(other);
    }
    one
}

fn ticket_in(result: &Value) -> Vec<String> {
    result["ticket"].as_str().map(str::to_owned).into_iter().collect()
}

/// The answer to a scan, and its part for the audit.
#[derive(Default)]
struct Answer {
    results: Vec<Value>,
    named: Vec<String>,
    refused: Option<Code>,
}

impl Answer {
    fn add(&mut self, code: &str, booking: &Booking, result: Value) {
        self.named.push(booking.appointment.to_string());
        self.named.extend(ticket_in(&result));
        let code_of_refusal = serde_json::from_value(result["code"].clone()).ok();
        self.refused = self.refused.or(code_of_refusal);
        let named = json!({ "booking": bookings::shown(code) });
        self.results.push(merge(named, result));
    }

    fn refuse(&mut self, typed: &str, code: Code) {
        self.refused.get_or_insert(code);
        self.results.push(merge(json!({ "booking": typed }), refusal(code)));
    }

    fn into_response(self, field: &str) -> Response {
        let mut response = Json(json!({ field: self.results })).into_response();
        response.extensions_mut().insert(NamedInBody(self.named));
        if let Some(code) = self.refused {
            response.extensions_mut().insert(RefusedCode(code));
        }
        response
    }
}
