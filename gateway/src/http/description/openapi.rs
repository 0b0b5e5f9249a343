//! The document, from the operations.

use std::collections::{BTreeMap, BTreeSet};

use gateway_core::access::{Role, roles_of};
use http::Method;
use schemas::{
    codes::Code,
    ids::{
        AppointmentId, CheckInPointId, CommandId, DisplayId, DoctorId, LocationId, QueueId, RuleId,
        RunId, StationId, TenantId, TicketId, WebhookId,
    },
};
use serde_json::{Map, Value, json};

use super::{
    answers::Problem,
    components::Components,
    operation::{Access, Body, Content, Header, Operation},
};
use crate::{
    http::shared::limits,
    limits::{Limit, table::LimitValue},
};

const INTRODUCTION: &str = "\
Snapshots and commands of a clinic's queues, appointments, screens and claims files. Live changes \
come over channels, which `/v1/asyncapi.json` describes.

Every request needs a token in `Authorization: Bearer`, unless its operation says otherwise. The \
tenant comes from the token.

A command is a `POST`, `PUT`, `PATCH` or `DELETE`. `Idempotency-Key` makes its repetition safe: \
the same key with the same content has the same outcome. An answer 202 means that the command is \
not decided yet, and `Location` says where its outcome will be.

Errors are problems (RFC 9457) with a stable `code`. Answers 429 and 503 say by `Retry-After` when \
to try again.";

pub(super) fn document(operations: &[Operation]) -> Value {
    let mut components = Components::new();
    let problem = components.output(|generator| generator.subschema_for::<Problem>());
    let mut paths = Map::new();
    let mut refusals = Refusals::default();
    for operation in operations {
        let described = describe(operation, &mut components, &mut refusals);
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = described;
    }
    let mut paths = Value::Object(paths);
    let schemas = components.finish(&mut paths);
    let groups: BTreeSet<_> = operations.iter().map(Operation::group).collect();
    let tags: Vec<_> = groups.into_iter().map(|name| json!({ "name": name })).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Clinicwire",
            "version": env!("CARGO_PKG_VERSION"),
            "description": INTRODUCTION,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "tags": tags,
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": refusals.described(&problem),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "A token of an issuer that the gateway trusts, or one that the \
                        gateway itself gave out for a ticket link, a screen or a crossing.",
                },
            },
            "headers": headers(),
        },
    })
}

fn headers() -> Value {
    let text = |text: &str| json!({ "description": text, "schema": { "type": "string" } });
    json!({
        "RetryAfter": {
            "description": "Seconds to wait before the next attempt.",
            "schema": { "type": "integer", "minimum": 1 },
        },
        "RateLimit": text("The rate that counts the request: what is left, and seconds until all \
            of it is back."),
        "RateLimitPolicy": text("The rate that counts the request: its quota and its window."),
        "Location": text("Where the outcome of the command, or the thing, can be read."),
        "ETag": text("The version of the document, for `If-None-Match`."),
    })
}

fn describe(operation: &Operation, components: &mut Components, refusals: &mut Refusals) -> Value {
    let mut described = json!({
        "operationId": operation.id,
        "tags": [operation.group()],
        "summary": operation.summary,
        "description": description(operation),
        "parameters": parameters(operation, components),
        "responses": responses(operation, components, refusals),
    });
    let is_open = match operation.access {
        Access::Everybody => Some(json!([])),
        Access::Scanner => Some(json!([{}, { "token": [] }])),
        _ => None,
    };
    if let Some(security) = is_open {
        described["security"] = security;
    }
    if let Some(body) = &operation.body {
        described["requestBody"] = request_body(body, components);
    }
    described
}

/// Who may use the operation, and which limits count it.
fn description(operation: &Operation) -> String {
    let mut reached = BTreeMap::<_, Vec<&str>>::new();
    let who = match operation.access {
        Access::Everybody => "Needs no token.".to_owned(),
        Access::AnyToken => "For every role.".to_owned(),
        Access::Scanner => "For phones with the code of a poster, and for kiosks.".to_owned(),
        Access::Row(row) => {
            for (role, reach) in roles_of(row) {
                reached.entry(reach).or_default().push(role.as_str());
            }
            let rows = reached.iter().map(|(reach, roles)| {
                let roles: Vec<_> = roles.iter().map(|role| format!("`{role}`")).collect();
                format!("- {}: {reach}", roles.join(", "))
            });
            format!("For:\n\n{}", rows.collect::<Vec<_>>().join("\n"))
        }
    };
    let limits = rates(operation);
    let limits: Vec<_> = limits.iter().map(|(name, text)| format!("`{name}` ({text})")).collect();
    match limits.is_empty() {
        true => who,
        false => format!("{who}\n\nRate: {}.", limits.join(", ")),
    }
}

/// The rates that count the operation, by the role of the caller.
fn rates(operation: &Operation) -> BTreeMap<&'static str, String> {
    if matches!(operation.access, Access::Everybody | Access::Scanner) {
        return BTreeMap::new();
    }
    let method = Method::from_bytes(operation.method.to_uppercase().as_bytes()).unwrap_or_default();
    let roles: Vec<Role> = match operation.access {
        Access::Row(row) => roles_of(row).map(|(role, _)| role).collect(),
        _ => Role::ALL.to_vec(),
    };
    let tiers = roles.into_iter().map(|role| limits::tier(&method, operation.path, role));
    tiers.map(|limit: Limit| (limit.name(), rate(limit))).collect()
}

fn rate(limit: Limit) -> String {
    match limit.default() {
        LimitValue::Rate(quota) => format!("{} in {} s", quota.count(), quota.window_s()),
        LimitValue::Places(places) => format!("{places} at once"),
        LimitValue::Fixed(text) => text.to_owned(),
    }
}

fn parameters(operation: &Operation, components: &mut Components) -> Value {
    let in_path = operation.path.split('{').skip(1).filter_map(|part| part.split_once('}'));
    let mut parameters: Vec<Value> = in_path
        .map(|(name, _)| {
            json!({
                "name": name,
                "in": "path",
                "required": true,
                "schema": { "type": "string", "pattern": pattern(name) },
            })
        })
        .collect();
    if let Some(query) = operation.query {
        parameters.extend(components.query(query));
    }
    let header = |name: &str, text: &str, schema: Value| {
        let mut header = json!({ "name": name, "in": "header", "description": text });
        header["schema"] = schema;
        header
    };
    if operation.is_command {
        parameters.push(header(
            "Idempotency-Key",
            "The id of the command. A repetition with the same content has the same outcome.",
            json!({ "type": "string", "pattern": CommandId::PATTERN }),
        ));
        parameters.push(header(
            "Valid-Until",
            "A time of RFC 3339, after which the command must not be carried out. 30 seconds by \
             default; reports never expire.",
            // Generated clients cannot put a value of another type than text into a header.
            json!({ "type": "string", "pattern": TIME }),
        ));
    }
    let changed = (Code::SettingsChanged.status(), Code::SettingsChanged);
    if operation.is_command && operation.problems.contains(&changed) {
        parameters.push(header(
            "If-Match",
            "The `ETag` or edition from which the change was made. With another one, the request \
             is refused as `settings_changed`.",
            json!({ "type": "string", "pattern": EDITION }),
        ));
    }
    for Header { name, text, pattern } in operation.headers {
        parameters.push(header(name, text, json!({ "type": "string", "pattern": pattern })));
    }
    json!(parameters)
}

/// The form of a time in a header (RFC 3339).
const TIME: &str = concat!(
    "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]",
    "(\\.[0-9]{1,9})?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])$",
);

/// The form of `If-Match`: the tag of an answer, or `*` for any edition.
const EDITION: &str = "^(\\*|\"[0-9]{1,15}\")$";

/// The form of a part of a path.
fn pattern(name: &str) -> &'static str {
    match name {
        "location" => LocationId::PATTERN,
        "queue" => QueueId::PATTERN,
        "station" => StationId::PATTERN,
        "ticket" => TicketId::PATTERN,
        "appointment" => AppointmentId::PATTERN,
        "doctor" => DoctorId::PATTERN,
        "display" => DisplayId::PATTERN,
        "point" => CheckInPointId::PATTERN,
        "command" => CommandId::PATTERN,
        "run" => RunId::PATTERN,
        "rule" => RuleId::PATTERN,
        "table" => "^(codes|establishments|contexts)$",
        "key" => "^[^/]{1,40}$",
        "tenant" => TenantId::PATTERN,
        "webhook" => WebhookId::PATTERN,
        "session" => "^[0-9a-f]{16}$",
        // The code of a pairing, as people type it.
        _ => "^[A-Za-z0-9-]{1,24}$",
    }
}

fn request_body(body: &Body, components: &mut Components) -> Value {
    match body {
        Body::Json(schema) => {
            let schema = components.input(*schema);
            // An absent body equals an empty object.
            let is_required = components.has_required_fields(&schema);
            let content = json!({ "application/json": { "schema": schema } });
            json!({ "required": is_required, "content": content })
        }
        Body::Bytes(kinds) => {
            let bytes = |kind: &&str| match *kind {
                "multipart/form-data" => json!({ "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": { "file": { "type": "string", "format": "binary" } },
                    "additionalProperties": false,
                }}),
                _ => json!({ "schema": { "type": "string", "format": "binary" } }),
            };
            let content: Map<_, _> =
                kinds.iter().map(|kind| ((*kind).to_owned(), bytes(kind))).collect();
            json!({ "required": true, "content": content })
        }
    }
}

fn responses(operation: &Operation, components: &mut Components, refusals: &mut Refusals) -> Value {
    let mut responses = Map::new();
    for answer in &operation.answers {
        let response = responses
            .entry(answer.status.to_string())
            .or_insert_with(|| json!({ "description": answer.text }));
        let (kind, schema) = match answer.content {
            Content::Nothing => continue,
            Content::Json(schema) => ("application/json", components.output(schema)),
            Content::Bytes(kind) => (kind, json!({ "type": "string", "format": "binary" })),
        };
        let known = response["content"][kind]["schema"].take();
        response["content"][kind]["schema"] = match known {
            Value::Null => schema,
            known => json!({ "anyOf": [known, schema] }),
        };
        if answer.status == 202 && operation.is_command {
            response["headers"] =
                json!({ "Location": { "$ref": "#/components/headers/Location" } });
        }
    }
    let mut problems = BTreeMap::<u16, BTreeSet<&'static str>>::new();
    for (status, code) in &operation.problems {
        problems.entry(*status).or_default().insert(code.as_str());
    }
    for (status, codes) in problems {
        let name = refusals.name(status, codes);
        let reference = json!({ "$ref": format!("#/components/responses/{name}") });
        responses.insert(status.to_string(), reference);
    }
    Value::Object(responses)
}

/// The refusals of all operations. Operations with the same codes share one.
#[derive(Default)]
struct Refusals(BTreeMap<(u16, BTreeSet<&'static str>), String>);

impl Refusals {
    /// The name of the refusal with these codes.
    fn name(&mut self, status: u16, codes: BTreeSet<&'static str>) -> String {
        let others = self.0.keys().filter(|(other, _)| *other == status).count();
        let name = || format!("Problem{status}x{}", others + 1);
        self.0.entry((status, codes)).or_insert_with(name).clone()
    }

    fn described(&self, problem: &Value) -> Value {
        let described = self
            .0
            .iter()
            .map(|((status, codes), name)| (name.clone(), refusal(*status, codes, problem)));
        Value::Object(described.collect())
    }
}

fn refusal(status: u16, codes: &BTreeSet<&'static str>, problem: &Value) -> Value {
    let title = |word: &str| {
        let code = Code::ALL.iter().find(|code| code.as_str() == word);
        format!("- `{word}`: {}", code.map_or("", |code| code.title()))
    };
    let lines: Vec<_> = codes.iter().map(|word| title(word)).collect();
    let mut response = json!({
        "description": lines.join("\n"),
        "content": { "application/problem+json": { "schema": {
            "allOf": [problem, { "properties": { "code": { "enum": codes } } }],
        }}},
    });
    if matches!(status, 429 | 503) {
        response["headers"] =
            json!({ "Retry-After": { "$ref": "#/components/headers/RetryAfter" } });
    }
    response
}
