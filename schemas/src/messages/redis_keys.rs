//! The layout of the live views in Redis: keys, fields and texts that the processors write and the
//! gateways read.
//!
//! All keys of an aggregate share the hash tag `{tenant/location}`, so one script can touch all of
//! them in a cluster. `t/l` stands for the aggregate:
//!
//! | key | type | content |
//! |---|---|---|
//! | `cw:{t/l}:gen` | string | the generation: the identity under which views were last repaired |
//! | `cw:{t/l}:v:<view>` | hash | one field per entry, with its JSON text; the field `@` is the position |
//! | `cw:{t/l}:line:<queue>` | sorted set | the queue's waiting tickets |
//! | `cw:covered:<topic>:<partition>` | string | the identity since which the partition is covered |
//! | `cw:heads:<views>` | hash | one field `<topic>:<partition>` per partition, with its head |
//!
//! `<views>` is the name of the topic of views in Kafka, so that installations that share a server
//! keep their heads apart. The text of a head is `epoch version aggregate`. The text of a position
//! is `epoch version at identity`. The score of a ticket is [`crate::line::LinePlace::score`].
//!
//! Redis can come back with old data: from a snapshot, from an old append-only file, or as a
//! replica that had stopped. So each view carries the [`StoreIdentity`] under which its owner knew
//! it to be current. A reader compares it with the identity of the server that answers, in the same
//! script: a view with another identity may be old, and is read from the authority. An absent view
//! means nothing while the generation of its aggregate is missing or has another identity.

use serde_json::value::RawValue;

use crate::{
    Millis,
    ids::Aggregate,
    log::PartitionId,
    view::{Entries, Position, View},
};

/// The field of a view's hash that has its position. No entry has this key.
pub const POSITION: &str = "@";

/// Characters of a replication id that an identity keeps: 64 bits tell servers apart.
const IDENTITY_CHARS: usize = 16;

/// The identity of a Redis server and of its data: the start of its replication id.
///
/// A server draws a new replication id when it starts as a primary and when it becomes one, so a
/// primary that has the same identity as before still has the data that it had. The `run_id` of the
/// process would not do: a primary that was a replica for a while has its old `run_id` and the data
/// of another server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreIdentity(String);

impl StoreIdentity {
    /// The identity of a server with this `role` and `master_replid` in its `INFO replication`.
    /// `None` for a replica, whose data may lag behind its primary's, and when either is missing.
    pub fn new(role: &str, replication_id: &str) -> Option<Self> {
        let start = replication_id.get(..IDENTITY_CHARS)?;
        let is_hex = start.bytes().all(|byte| byte.is_ascii_hexdigit());
        (role == "master" && is_hex).then(|| Self(start.to_owned()))
    }

    /// The text that keys and positions carry.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The beginning of a Lua script that needs the identity of the server that runs it: sets `role`
/// and `replication_id` for [`StoreIdentity::new`]. Costs about 4 µs of Redis's time. Inside the
/// script, the identity is that of the data which the script reads, whatever the connection did
/// before.
pub const READ_IDENTITY: &str = "local info = redis.call('INFO', 'replication') \
    local role = string.match(info, 'role:(%a+)') or '' \
    local replication_id = string.match(info, 'master_replid:(%x+)') or '' ";

/// The key of a partition's coverage.
pub fn covered(topic: &str, partition: PartitionId) -> String {
    format!("cw:covered:{topic}:{partition}")
}

/// The key of the heads of an installation, whose topic of views has the name `views_topic`.
pub fn heads(views_topic: &str) -> String {
    format!("cw:heads:{views_topic}")
}

/// The field of a partition among the heads.
pub fn head_field(topic: &str, partition: PartitionId) -> String {
    format!("{topic}:{partition}")
}

/// The text of a head.
pub fn head_text(aggregate: &Aggregate, position: Position) -> String {
    format!("{} {} {aggregate}", position.epoch, position.version)
}

/// Reads the text of a head. `None` for any other text.
pub fn parse_head(text: &str) -> Option<(Aggregate, Position)> {
    let mut words = text.splitn(3, ' ');
    let epoch = words.next()?.parse().ok()?;
    let version = words.next()?.parse().ok()?;
    let aggregate = Aggregate::parse(words.next()?).ok()?;
    Some((aggregate, Position { epoch, version }))
}

/// The key of the generation. Its absence means that Redis lost its data of the aggregate.
pub fn generation(aggregate: &Aggregate) -> String {
    format!("cw:{{{aggregate}}}:gen")
}

/// The key of a view's hash.
pub fn view(aggregate: &Aggregate, name: &str) -> String {
    format!("cw:{{{aggregate}}}:v:{name}")
}

/// The key of the sorted set of a queue's waiting tickets. `queue` is the id of the queue.
pub fn line(aggregate: &Aggregate, queue: &str) -> String {
    format!("cw:{{{aggregate}}}:line:{queue}")
}

/// A hash that contains no view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a stored view")]
pub struct InvalidStoredView;

/// Reads the field [`POSITION`]: position, time, and the identity under which the view was stored.
///
/// # Errors
/// [`InvalidStoredView`] when the text is not three numbers and an identity.
fn parse_position(text: &str) -> Result<(Position, Millis, &str), InvalidStoredView> {
    let mut words = text.split(' ');
    let mut word = || words.next().ok_or(InvalidStoredView);
    let (epoch, version, at, identity) = (word()?, word()?, word()?, word()?);
    let position = Position {
        epoch: epoch.parse().map_err(|_| InvalidStoredView)?,
        version: version.parse().map_err(|_| InvalidStoredView)?,
    };
    let at = at.parse().map_err(|_| InvalidStoredView)?;
    if words.next().is_some() { Err(InvalidStoredView) } else { Ok((position, at, identity)) }
}

/// A view as Redis holds it.
#[derive(Debug)]
pub struct StoredView {
    /// The view itself.
    pub view: View,
    /// The identity of the server that holds the view, as its owner knew it when it stored the
    /// view.
    identity: String,
}

impl StoredView {
    /// Whether the view was stored in the server that has this identity. If not, the view may be
    /// old.
    pub fn is_of(&self, identity: &StoreIdentity) -> bool {
        self.identity == identity.0
    }
}

/// Reads a view from the fields of its hash. `None` for an empty hash: Redis has no such key.
///
/// # Errors
/// [`InvalidStoredView`] when the position is missing or an entry is not JSON.
pub fn read_view(
    fields: impl IntoIterator<Item = (String, String)>,
) -> Result<Option<StoredView>, InvalidStoredView> {
    let mut entries = Entries::new();
    let mut held = None;
    for (key, text) in fields {
        if key == POSITION {
            let (position, at, identity) = parse_position(&text)?;
            held = Some((position, at, identity.to_owned()));
        } else {
            entries.insert(key, RawValue::from_string(text).map_err(|_| InvalidStoredView)?);
        }
    }
    match held {
        Some((position, at, identity)) => {
            Ok(Some(StoredView { view: View { position, at, entries }, identity }))
        }
        None if entries.is_empty() => Ok(None),
        None => Err(InvalidStoredView),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_an_aggregate_share_its_hash_tag() {
        let aggregate = Aggregate::parse("demo/riverside").unwrap();
        for key in [
            generation(&aggregate),
            view(&aggregate, "queue:riverside.general"),
            line(&aggregate, "riverside.general"),
        ] {
            let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).unwrap().0;
            assert_eq!(tag, "demo/riverside", "{key}");
        }
    }

    #[test]
    fn keys_and_fields_stay_as_they_are() {
        // Programs of two versions share one Redis.
        let (topic, partition) = ("clinicwire.care.v1", PartitionId(7));
        let aggregate = Aggregate::parse("demo/riverside").unwrap();
        assert_eq!(covered(topic, partition), "cw:covered:clinicwire.care.v1:7");
        assert_eq!(heads("clinicwire.views.v1"), "cw:heads:clinicwire.views.v1");
        assert_eq!(head_field(topic, partition), "clinicwire.care.v1:7");
        assert_eq!(generation(&aggregate), "cw:{demo/riverside}:gen");
        assert_eq!(view(&aggregate, "queue:a.b"), "cw:{demo/riverside}:v:queue:a.b");
        assert_eq!(line(&aggregate, "a.b"), "cw:{demo/riverside}:line:a.b");
    }

    #[test]
    fn position_is_three_numbers_and_an_identity() {
        let position = Position { epoch: u64::MAX, version: 17 };
        let text = format!("{} 17 1234 00ff", u64::MAX);
        assert_eq!(parse_position(&text), Ok((position, 1_234, "00ff")));
        for bad in ["", "1", "1 2", "1 2 3", "1 2 3 id 5", "a 2 3 id", "1 -2 3 id", "1 2 c id"] {
            assert_eq!(parse_position(bad), Err(InvalidStoredView), "{bad}");
        }
    }

    #[test]
    fn head_reads_back_from_its_text() {
        let aggregate = Aggregate::parse("demo/riverside").unwrap();
        let position = Position { epoch: u64::MAX, version: 17 };
        let text = head_text(&aggregate, position);
        assert_eq!(parse_head(&text), Some((aggregate, position)));
        for bad in ["", "1", "1 2", "1 2 riverside", "a 2 demo/riverside", "1 2 demo/riverside 3"] {
            assert_eq!(parse_head(bad), None, "{bad}");
        }
    }

    #[test]
    fn identity_is_that_of_a_primary() {
        let replication_id = "71c6d59cbff255ab6ba5de22756c7e40d49d6d25";
        let identity = StoreIdentity::new("master", replication_id).unwrap();
        assert_eq!(identity.as_str(), "71c6d59cbff255ab");
        assert_eq!(StoreIdentity::new("slave", replication_id), None, "a replica may lag");
        for bad in ["", "71c6", "not hexadecimal at all"] {
            assert_eq!(StoreIdentity::new("master", bad), None, "{bad}");
        }
    }

    #[test]
    fn hash_reads_back_as_the_view() {
        let field = |key: &str, text: &str| (key.to_owned(), text.to_owned());
        let fields = [field("queue", r#"{"a": 1}"#), field(POSITION, "9 4 77 71c6d59cbff255ab")];
        let stored = read_view(fields).unwrap().unwrap();
        let identity = |start| StoreIdentity::new("master", start).unwrap();
        assert!(stored.is_of(&identity("71c6d59cbff255ab6b")));
        assert!(!stored.is_of(&identity("81c6d59cbff255ab6b")));
        let view = stored.view;
        assert_eq!((view.position, view.at), (Position { epoch: 9, version: 4 }, 77));
        assert_eq!(
            view.entries["queue"].get(),
            r#"{"a": 1}"#,
            "an entry is passed on byte by byte"
        );
        assert!(read_view([]).unwrap().is_none());
        assert!(read_view([field("queue", "{}")]).is_err(), "entries without a position");
        assert!(
            read_view([field(POSITION, "9 4 77 00ff"), field("queue", "{")]).is_err(),
            "broken JSON"
        );
    }
}
