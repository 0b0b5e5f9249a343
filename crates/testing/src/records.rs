//! Values of `schemas` that tests write again and again: ids, command records, views, and the
//! commands of a small clinic.
//!
//! [`SampleLocation`] builds the ids and commands of one location. The functions of the module
//! [`riverside`] do the same for the location `riverside` of the tenant `demo`, which is all that
//! most tests need. [`runs`] has the values of claims checks.
//!
//! Texts that tests write are correct by construction, so every function panics on a malformed id.

mod location;
pub mod riverside;
pub mod runs;

pub use location::{SampleLocation, bare_fact, doctor};
use schemas::{
    Millis,
    audit::AuditEntry,
    codes::Code,
    command::{Command, CommandOutcome, CommandResult, Verdict},
    ids::{Aggregate, CommandId, LocationId, TenantId},
    record::{Actor, CommandRecord, ViewDelta, ViewsRecord},
    view::{Delta, Position, View, raw},
};
use serde::Serialize;

/// An entry of the audit without an address, a code or a crossing.
pub fn audit_entry(subject: &str, action: &'static str, what: &[&str]) -> AuditEntry {
    AuditEntry {
        at: 1,
        subject: subject.into(),
        role: "reception".into(),
        address: None,
        agent: None,
        action: action.into(),
        what: what.iter().map(|name| (*name).to_owned()).collect(),
        code: None,
        other_tenant: None,
        reason: None,
        crossed: false,
        first: None,
        last: None,
    }
}

/// 2026-03-02 08:00 in Paris: a Monday morning outside daylight saving time.
pub const MORNING: Millis = 1_772_434_800_000;
pub const MINUTE: Millis = 60_000;
/// The CloudEvents source of records that gateways append.
pub const GATEWAY: &str = "clinicwire-gateway";

/// The tenant with this slug.
#[must_use]
pub fn tenant(slug: &str) -> TenantId {
    TenantId::new(slug).expect("a slug")
}

/// The location with this slug.
#[must_use]
pub fn location(slug: &str) -> LocationId {
    LocationId::new(slug).expect("a slug")
}

/// The aggregate of a location.
#[must_use]
pub fn aggregate(tenant: &str, location: &str) -> Aggregate {
    Aggregate::location(&self::tenant(tenant), &self::location(location))
}

/// The record of a command that a gateway appends, without an actor or an expiry.
#[must_use]
pub fn command_record(aggregate: &Aggregate, id: &str, command: Command) -> CommandRecord {
    CommandRecord {
        aggregate: aggregate.clone(),
        id: CommandId::new(id).expect("an id of a command"),
        source: GATEWAY.to_owned(),
        fingerprint: None,
        valid_until: None,
        actor: None,
        command,
    }
}

/// The actor `subject` in `role`.
#[must_use]
pub fn actor(subject: &str, role: &str) -> Actor {
    Actor { subject: subject.to_owned(), role: role.to_owned() }
}

/// An outcome that applied under `position`.
#[must_use]
pub fn applied(id: &str, position: Position, result: CommandResult) -> CommandOutcome {
    let verdict = Verdict::Applied { epoch: position.epoch, version: position.version, result };
    CommandOutcome { command: CommandId::new(id).expect("an id of a command"), at: 1, verdict }
}

/// The code of a refusal, or `None` for a command that was applied.
#[must_use]
pub fn refusal(verdict: &Verdict) -> Option<Code> {
    match verdict {
        Verdict::Refused { code } => Some(*code),
        Verdict::Applied { .. } | Verdict::Moving { .. } => None,
    }
}

/// A position from its two parts.
#[must_use]
pub fn position(epoch: u64, version: u64) -> Position {
    Position { epoch, version }
}

/// A view at `position` whose `keys` each hold the version.
#[must_use]
pub fn view(position: Position, keys: &[&str]) -> View {
    let entry = |key: &&str| ((*key).to_owned(), raw(&position.version));
    let at = at_version(position.version);
    View { position, at, entries: keys.iter().map(entry).collect() }
}

/// A delta that puts `to` under each of `keys`: what turns a [`view`] at `from` into one at `to`.
#[must_use]
pub fn delta(from: u64, to: u64, keys: &[&str]) -> Delta {
    let mut delta = Delta { from, to, at: at_version(to), ..Delta::default() };
    for key in keys {
        delta.put(*key, &to);
    }
    delta
}

/// A delta of the view `name` without an expiry, as a record of `views` carries it.
#[must_use]
pub fn view_delta(name: &str, delta: Delta) -> ViewDelta {
    ViewDelta { view: name.to_owned(), keep_s: None, urgent: false, delta }
}

/// A record of `views` that holds these deltas and no outcome.
#[must_use]
pub fn views_record(position: Position, deltas: Vec<ViewDelta>) -> ViewsRecord {
    ViewsRecord { position, at: at_version(position.version), deltas, reload: false, outcome: None }
}

/// The value as JSON.
#[must_use]
pub fn json(value: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(value).expect("a value with a JSON form")
}

/// The record time of a version in views and deltas: each version is one millisecond later.
fn at_version(version: u64) -> Millis {
    MORNING + version.cast_signed()
}

#[cfg(test)]
mod tests;
