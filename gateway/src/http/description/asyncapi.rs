//! The description of channels and topics in AsyncAPI 3, made of the types that they carry.

use gateway_core::access::roles_of;
use schemars::JsonSchema;
use schemas::{
    access::{Revocation, SessionsQuestion, TenantStatus},
    appointment::AppointmentView,
    appointment_report::AppointmentReport,
    audit::AuditRecord,
    channel::Channel,
    command::Command,
    frame::{FrameError, SocketFrame, StreamFrame},
    ids::{AppointmentId, DoctorId, LocationId, QueueId, RunId, TicketId},
    outward::OutwardEvent,
    record::{
        ACCESS_TOPIC, AUDIT_TOPIC, CARE_TOPIC, EVENTS_TOPIC, RUNS_TOPIC, VIEWS_TOPIC, ViewsRecord,
    },
    ticket::TicketView,
    view::{Delta, View},
};
use serde_json::{Map, Value, json};

use super::{
    answers::{
        AppointmentSnapshot, BoardSnapshot, LoadSnapshot, QueueSnapshot, RunSnapshot,
        ScheduleSnapshot, SettingsSnapshot,
    },
    components::Components,
    operation::SchemaOf,
};

const INTRODUCTION: &str = "\
Live channels of clients, and the topics behind them. Snapshots and commands over HTTP are in \
`/v1/openapi.json`.

A channel has one state behind it. A client gets the state once, and then its steps. A delta has \
`from` and `to`: it applies when from ≤ held < to, is dropped when to ≤ held, and is a gap \
otherwise. The tenant comes from the token, never from the name of a channel.

Three transports carry the same channels: WebSocket with the Centrifugal protocol (the message is \
the `data` of a publication or of a subscribe reply), events of SSE, and Socket.IO v4.

Records of topics are CloudEvents in the binary mode of Kafka. Only gateways, bridges and \
processors of Clinicwire write them, except for topics of other systems, which a bridge reads.";

/// A message: its name, its description, and its payload.
type Message = (&'static str, &'static str, SchemaOf);

/// Channels or topics that carry the same messages.
struct MessageGroup {
    id: &'static str,
    address: &'static str,
    text: String,
    servers: &'static [&'static str],
    parameters: Vec<(&'static str, &'static str)>,
    messages: Vec<Message>,
    /// The headers of a CloudEvent, for a topic.
    is_topic: bool,
    /// Whether gateways send the messages, rather than receive them.
    is_sent: bool,
}

fn payload<T: JsonSchema>() -> SchemaOf {
    |generator| generator.subschema_for::<T>()
}

/// The document.
pub(in crate::http) fn document() -> Value {
    let mut components = Components::new();
    let (mut channels, mut operations, mut messages) = (Map::new(), Map::new(), Map::new());
    for described in client_channels().into_iter().chain(transports()).chain(topics()) {
        let mut own = Map::new();
        for (name, text, payload) in &described.messages {
            let key = format!("{}{name}", capital(described.id));
            let mut message = json!({
                "name": key,
                "summary": text,
                "contentType": "application/json",
                "payload": components.output(*payload),
            });
            if described.is_topic {
                message["headers"] = json!({ "$ref": "#/components/schemas/CloudEventHeaders" });
            }
            own.insert(key.clone(), json!({ "$ref": format!("#/components/messages/{key}") }));
            messages.insert(key, message);
        }
        let action = if described.is_sent { "send" } else { "receive" };
        let references: Vec<_> = own
            .keys()
            .map(|key| json!({ "$ref": format!("#/channels/{}/messages/{key}", described.id) }))
            .collect();
        operations.insert(
            format!("{action}{}", capital(described.id)),
            json!({
                "action": action,
                "channel": { "$ref": format!("#/channels/{}", described.id) },
                "messages": references,
            }),
        );
        channels.insert(described.id.to_owned(), channel(&described, own));
    }
    let mut none = json!({});
    let mut schemas = components.finish(&mut none);
    schemas["CloudEventHeaders"] = cloud_event();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Clinicwire",
            "version": env!("CARGO_PKG_VERSION"),
            "description": INTRODUCTION,
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "servers": servers(),
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "schemas": schemas,
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
            },
        },
    })
}

fn servers() -> Value {
    let token = json!([{ "$ref": "#/components/securitySchemes/token" }]);
    let node = |protocol: &str, path: &str, text: &str| {
        json!({
            "host": "clinic.example",
            "protocol": protocol,
            "pathname": path,
            "description": text,
            "security": token,
        })
    };
    json!({
        "websocket": node(
            "wss",
            "/connection/websocket",
            "The Centrifugal protocol v2 in JSON or Protobuf. The token is in the connect command.",
        ),
        "events": node(
            "sse",
            "/v1/stream",
            "Server-sent events, opened by a one-time ticket of `POST /v1/stream-tickets`.",
        ),
        "socketio": node("socketio", "/socket.io/", "Socket.IO v4. The token is in `auth`."),
        "kafka": {
            "host": "kafka.example:9092",
            "protocol": "kafka",
            "description": "The installation's own brokers, which clients do not reach.",
        },
    })
}

fn channel(described: &MessageGroup, messages: Map<String, Value>) -> Value {
    let servers: Vec<_> = described
        .servers
        .iter()
        .map(|server| json!({ "$ref": format!("#/servers/{server}") }))
        .collect();
    let mut channel = json!({
        "address": described.address,
        "description": described.text,
        "servers": servers,
        "messages": messages,
    });
    if !described.parameters.is_empty() {
        let parameters: Map<_, _> = described
            .parameters
            .iter()
            .map(|(name, pattern)| {
                ((*name).to_owned(), json!({ "description": format!("Of the form `{pattern}`.") }))
            })
            .collect();
        channel["parameters"] = Value::Object(parameters);
    }
    channel
}

fn capital(id: &str) -> String {
    let mut letters = id.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// The channels that clients subscribe to.
fn client_channels() -> Vec<MessageGroup> {
    let keyed = |kind: &'static str, address, text, parameters, snapshot| {
        let reached: Vec<_> =
            roles_of(kind).map(|(role, reach)| format!("- `{}`: {reach}", role.as_str())).collect();
        debug_assert!(Channel::KINDS.contains(&kind), "{kind} is a kind of channel");
        MessageGroup {
            id: kind,
            address,
            text: format!("{text}\n\nFor:\n\n{}", reached.join("\n")),
            servers: &["websocket", "events", "socketio"],
            parameters,
            messages: vec![
                ("Snapshot", "The whole state, at one position.", snapshot),
                ("Delta", "A step of the state.", payload::<Delta>()),
            ],
            is_topic: false,
            is_sent: true,
        }
    };
    let whole = |described: MessageGroup, state| MessageGroup {
        messages: vec![("State", "The whole state, again at each change.", state)],
        ..described
    };
    let (location, queue) = (("location", LocationId::PATTERN), ("queue", QueueId::PATTERN));
    let none = || payload::<View>();
    let ticket = vec![("ticket", TicketId::PATTERN)];
    let appointment = vec![("appointment", AppointmentId::PATTERN)];
    let schedule = vec![location, ("doctor", DoctorId::PATTERN)];
    let run = vec![("run", RunId::PATTERN)];
    vec![
        whole(
            keyed("ticket", "ticket:{ticket}", "One person's place in a line.", ticket, none()),
            payload::<TicketView>(),
        ),
        keyed(
            "queue",
            "queue:{queue}",
            "The line of a queue, for staff.",
            vec![queue],
            payload::<QueueSnapshot>(),
        ),
        keyed(
            "board",
            "board:{location}",
            "The board of a waiting room.",
            vec![location],
            payload::<BoardSnapshot>(),
        ),
        keyed(
            "load",
            "load:{location}",
            "How busy a location is. At most one message a second.",
            vec![location],
            payload::<LoadSnapshot>(),
        ),
        whole(
            keyed(
                "appointment",
                "appointment:{appointment}",
                "One appointment.",
                appointment,
                payload::<AppointmentSnapshot>(),
            ),
            payload::<AppointmentView>(),
        ),
        keyed(
            "schedule",
            "schedule:{location}/{doctor}",
            "One service day of a doctor.",
            schedule,
            payload::<ScheduleSnapshot>(),
        ),
        keyed("run", "run:{run}", "One check of a claims file.", run, payload::<RunSnapshot>()),
        keyed(
            "settings",
            "settings:{location}",
            "The settings of a location, its queues, stations, screens and check-in points.",
            vec![location],
            payload::<SettingsSnapshot>(),
        ),
    ]
}

/// The envelope that SSE and Socket.IO put around a message.
fn transports() -> Vec<MessageGroup> {
    let events = |id, address, text: &str, servers, messages| MessageGroup {
        id,
        address,
        text: text.to_owned(),
        servers,
        parameters: Vec::new(),
        messages,
        is_topic: false,
        is_sent: true,
    };
    let error = || ("Error", "A refusal.", payload::<FrameError>());
    vec![
        events(
            "streamEvents",
            "/v1/stream",
            "Events `snapshot`, `delta`, `state` and `problem`. The id of an event resumes it.",
            &["events"],
            vec![("Frame", "A message of a channel.", payload::<StreamFrame>()), error()],
        ),
        events(
            "socketEvents",
            "/socket.io/",
            "One event for each kind of channel, named after it, and `error`.",
            &["socketio"],
            vec![("Frame", "A message of a channel.", payload::<SocketFrame>()), error()],
        ),
    ]
}

fn topics() -> Vec<MessageGroup> {
    let topic = |id, address, text: &str, is_sent, messages| MessageGroup {
        id,
        address,
        text: text.to_owned(),
        servers: &["kafka"],
        parameters: Vec::new(),
        messages,
        is_topic: true,
        is_sent,
    };
    vec![
        topic(
            "care",
            CARE_TOPIC,
            "Commands and facts of locations, in one order. The key is tenant/location.",
            true,
            vec![("Command", "A command or a fact.", payload::<Command>())],
        ),
        topic(
            "runs",
            RUNS_TOPIC,
            "Requests, progress and ends of runs, and changes of rules and webhooks.",
            true,
            vec![("Command", "A command or a report.", payload::<Command>())],
        ),
        topic(
            "views",
            VIEWS_TOPIC,
            "One record for each applied record: its steps of views and the outcomes.",
            false,
            vec![("Record", "The steps and outcomes.", payload::<ViewsRecord>())],
        ),
        topic(
            "events",
            EVENTS_TOPIC,
            "What other systems hear of: one record for each event, in the order of each location. \
             The key is tenant/location, or tenant/run.",
            false,
            vec![("Event", "An outward event.", payload::<OutwardEvent>())],
        ),
        topic(
            "access",
            ACCESS_TOPIC,
            "Revocations, compacted by key, and questions about sessions.",
            true,
            vec![
                ("Revocation", "Older tokens of a target end.", payload::<Revocation>()),
                ("Question", "A list of sessions is asked for.", payload::<SessionsQuestion>()),
                ("Tenant", "A tenant is suspended or resumed.", payload::<TenantStatus>()),
            ],
        ),
        topic(
            "audit",
            AUDIT_TOPIC,
            "What gateways saw: opened, read, changed and refused. The key is the tenant.",
            true,
            vec![("Record", "Entries of one tenant.", payload::<AuditRecord>())],
        ),
        MessageGroup {
            is_topic: false,
            ..topic(
                "source",
                "{topic}",
                "A topic of a booking system, which a bridge reads.",
                false,
                vec![("Report", "All that is known of it.", payload::<AppointmentReport>())],
            )
        },
    ]
    .into_iter()
    .map(|described| match described.id {
        "source" => MessageGroup { parameters: vec![("topic", "^[A-Za-z0-9._-]+$")], ..described },
        _ => described,
    })
    .collect()
}

/// The headers of every record (CloudEvents 1.0, binary mode).
fn cloud_event() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    json!({
        "type": "object",
        "required": ["ce_id", "ce_source", "ce_specversion", "ce_type"],
        "properties": {
            "ce_specversion": { "const": "1.0" },
            "ce_id": text("The id of the record, unique within its source."),
            "ce_source": text("The program that wrote it."),
            "ce_type": text("`clinicwire.<kind>.v<major>`"),
        },
    })
}
