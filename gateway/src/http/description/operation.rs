//! One operation of `/v1` as the document describes it.

use http::StatusCode;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use schemas::codes::Code;

/// Adds the schema of a type to a generator.
pub(in crate::http) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// Who may use an operation.
#[derive(Clone, Copy)]
pub(in crate::http) enum Access {
    /// Everybody, without a token.
    Everybody,
    /// Everybody with a valid token.
    AnyToken,
    /// The roles that have this row in the table of rights.
    Row(&'static str),
    /// Everybody with the code of a poster, or the credential of a kiosk.
    Scanner,
}

/// The content of a request's body.
pub(in crate::http) enum Body {
    Json(SchemaOf),
    /// Bytes of these media types.
    Bytes(&'static [&'static str]),
}

/// The content of an answer.
pub(in crate::http) enum Content {
    Json(SchemaOf),
    /// Bytes of this media type.
    Bytes(&'static str),
    Nothing,
}

/// A header of a request.
pub(in crate::http) struct Header {
    pub(in crate::http) name: &'static str,
    pub(in crate::http) text: &'static str,
    pub(in crate::http) pattern: &'static str,
}

/// An answer that is not a problem.
pub(in crate::http) struct Answer {
    pub(in crate::http) status: u16,
    pub(in crate::http) text: &'static str,
    pub(in crate::http) content: Content,
}

/// One operation. An action of a path such as `/v1/tickets/{ticket}/{action}` is an operation of
/// its own, and its path has the word of the action.
pub(in crate::http) struct Operation {
    pub(in crate::http) method: &'static str,
    pub(in crate::http) path: &'static str,
    /// The name in generated clients.
    pub(in crate::http) id: &'static str,
    pub(in crate::http) summary: &'static str,
    pub(in crate::http) access: Access,
    /// Whether it takes the headers of a command.
    pub(in crate::http) is_command: bool,
    pub(in crate::http) headers: &'static [Header],
    pub(in crate::http) query: Option<SchemaOf>,
    pub(in crate::http) body: Option<Body>,
    pub(in crate::http) answers: Vec<Answer>,
    /// The problems, with the status if it is not the code's own.
    pub(in crate::http) problems: Vec<(u16, Code)>,
}

/// Problems of every request, whatever its route.
const EVERYWHERE: &[Code] = &[
    Code::HostNotAllowed,
    Code::OriginNotAllowed,
    Code::OriginMismatch,
    Code::AddressLimited,
    Code::TooManyFailures,
    Code::TooManyConnections,
    Code::TryAgain,
    Code::Internal,
];
/// Problems of every request with a token.
const WITH_TOKEN: &[Code] = &[
    Code::TokenMissing,
    Code::TokenInvalid,
    Code::TokenExpired,
    Code::TokenNotYetValid,
    Code::TokenWrongAudience,
    Code::TokenWrongIssuer,
    Code::TokenRevoked,
    Code::TenantSuspended,
    Code::TenantNotServed,
    Code::PermissionsChanged,
    Code::CredentialReused,
    Code::Forbidden,
    Code::RateLimited,
];
/// Problems of every command, beside those of its own decision.
const COMMANDS: &[Code] = &[
    Code::InvalidId,
    Code::InvalidValue,
    Code::IdempotencyKeyReused,
    Code::CommandExpired,
    Code::TenantLimited,
    Code::TooManyWaiting,
    Code::Draining,
    Code::RecordMalformed,
    Code::RecordForeignId,
    Code::RecordFromFuture,
    Code::RecordPanicked,
    Code::RecordNotStored,
];
/// Problems of every body of JSON, with their statuses.
const JSON_BODY: &[(u16, Code)] = &[
    (400, Code::Malformed),
    (408, Code::Malformed),
    (413, Code::TooLarge),
    (415, Code::Malformed),
];

impl Operation {
    fn new(
        method: &'static str,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        access: Access,
    ) -> Self {
        let operation = Self {
            method,
            path,
            id,
            summary,
            access,
            is_command: false,
            headers: &[],
            query: None,
            body: None,
            answers: Vec::new(),
            problems: Vec::new(),
        };
        let operation = operation.refuses(EVERYWHERE);
        let operation = match access {
            Access::Everybody => operation,
            _ => operation.refuses(WITH_TOKEN),
        };
        match path.contains('{') {
            true => operation.refuses(&[Code::InvalidId]),
            false => operation,
        }
    }

    /// A read that needs a token with this row of the table of rights.
    pub(in crate::http) fn read(
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        row: &'static str,
    ) -> Self {
        Self::new("get", path, id, summary, Access::Row(row)).refuses(&[Code::NotFound])
    }

    /// An operation that is no command.
    pub(in crate::http) fn request(
        method: &'static str,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        access: Access,
    ) -> Self {
        Self::new(method, path, id, summary, access)
    }

    /// A command, which needs a token with this row of the table of rights.
    pub(in crate::http) fn command(
        method: &'static str,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        row: &'static str,
    ) -> Self {
        let accepted =
            "The command was accepted and is not decided yet: read its outcome at `Location`.";
        Self::new(method, path, id, summary, Access::Row(row))
            .into_command()
            .answers::<super::answers::PendingCommand>(202, accepted)
    }

    /// A command whose right is not in the table of rights, and which waits for its outcome.
    pub(in crate::http) fn command_with_any_token(
        method: &'static str,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
    ) -> Self {
        Self::new(method, path, id, summary, Access::AnyToken).into_command()
    }

    fn into_command(self) -> Self {
        let mut operation = self.refuses(COMMANDS);
        operation.is_command = true;
        operation.problems.extend_from_slice(JSON_BODY);
        operation
    }

    /// A command to a location, whose answer is its outcome.
    pub(in crate::http) fn location_command(
        method: &'static str,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        row: &'static str,
    ) -> Self {
        Self::command(method, path, id, summary, row)
            .refuses(&[Code::LocationUnknown])
            .answers::<super::answers::CommandAnswer>(200, "The outcome of the command.")
    }

    pub(in crate::http) fn takes<T: JsonSchema>(mut self) -> Self {
        self.body = Some(Body::Json(|generator| generator.subschema_for::<T>()));
        self.problems.extend_from_slice(JSON_BODY);
        self
    }

    pub(in crate::http) fn takes_bytes(mut self, kinds: &'static [&'static str]) -> Self {
        self.body = Some(Body::Bytes(kinds));
        self
    }

    pub(in crate::http) fn query<T: JsonSchema>(mut self) -> Self {
        self.query = Some(T::json_schema);
        self.refuses(&[Code::Malformed])
    }

    pub(in crate::http) fn headers(mut self, headers: &'static [Header]) -> Self {
        self.headers = headers;
        self
    }

    pub(in crate::http) fn answers<T: JsonSchema>(self, status: u16, text: &'static str) -> Self {
        self.answer(status, text, Content::Json(|generator| generator.subschema_for::<T>()))
    }

    pub(in crate::http) fn answers_bytes(self, text: &'static str, kind: &'static str) -> Self {
        self.answer(200, text, Content::Bytes(kind))
    }

    pub(in crate::http) fn answers_nothing(self, status: u16, text: &'static str) -> Self {
        self.answer(status, text, Content::Nothing)
    }

    fn answer(mut self, status: u16, text: &'static str, content: Content) -> Self {
        self.answers.push(Answer { status, text, content });
        self
    }

    pub(in crate::http) fn refuses(mut self, codes: &[Code]) -> Self {
        self.problems.extend(codes.iter().map(|code| (code.status(), *code)));
        self
    }

    /// Adds problems whose status is not the one of their code.
    pub(in crate::http) fn refuses_with(mut self, status: StatusCode, code: Code) -> Self {
        self.problems.push((status.as_u16(), code));
        self
    }

    /// The pattern of the router for this operation.
    #[cfg(test)]
    pub(in crate::http) fn is_route(&self, route: &str) -> bool {
        let (own, given) = (self.path.rsplit_once('/'), route.rsplit_once('/'));
        self.path == route
            || own.zip(given).is_some_and(|((own, word), (given, last))| {
                own == given && last == "{action}" && !word.contains('{')
            })
    }

    /// The group in the document: the first words of the path.
    pub(in crate::http) fn group(&self) -> &'static str {
        let group = self.path.trim_start_matches("/v1/").split('/').next().unwrap_or_default();
        group.split('.').next().unwrap_or_default()
    }
}
