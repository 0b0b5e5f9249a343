//! The layout of the live views in Redis: keys, fields and texts that the processors write and the
//! gateways read.
//!
//! All keys of an aggregate share the hash tag `{tenant/location}`, so one script can touch all of
//! them in a cluster. `t/l` stands for the aggregate:
//!
//! | key | type | content |
//! |---|---|---|
//! | `cw:{t/l}:gen` | string | the generation: present until Redis loses its data |
//! | `cw:{t/l}:v:<view>` | hash | one field per entry, with its JSON text; the field `@` is the position |
//! | `cw:{t/l}:line:<queue>` | sorted set | the queue's waiting tickets |
//!
//! The generation is written when the aggregate is restored from the ledger. The text of a position
//! is `epoch version at`. The score of a ticket is [`crate::line::LinePlace::score`].
//!
//! Read the hash and the generation in one transaction. Without a generation, an absent view means
//! nothing. With one, the view is absent only in Redis: after a loss, views come back one by one.

use serde_json::value::RawValue;

use crate::{
    Millis,
    ids::Aggregate,
    view::{Entries, Position, View},
};

/// The field of a view's hash that has its position. No entry has this key.
pub const POSITION: &str = "@";

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

/// Writes the text of the field [`POSITION`].
pub fn position_text(position: Position, at: Millis) -> String {
    format!("{} {} {at}", position.epoch, position.version)
}

/// Reads the field [`POSITION`].
///
/// # Errors
/// [`InvalidStoredView`] when the text is not three numbers.
pub fn parse_position(text: &str) -> Result<(Position, Millis), InvalidStoredView> {
    let mut words = text.split(' ');
    let mut word = || words.next().ok_or(InvalidStoredView);
    let (epoch, version, at) = (word()?, word()?, word()?);
    let position = Position {
        epoch: epoch.parse().map_err(|_| InvalidStoredView)?,
        version: version.parse().map_err(|_| InvalidStoredView)?,
    };
    let at = at.parse().map_err(|_| InvalidStoredView)?;
    if words.next().is_some() { Err(InvalidStoredView) } else { Ok((position, at)) }
}

/// Reads a view from the fields of its hash. `None` for an empty hash: Redis has no such key.
///
/// # Errors
/// [`InvalidStoredView`] when the position is missing or an entry is not JSON.
pub fn read_view(
    fields: impl IntoIterator<Item = (String, String)>,
) -> Result<Option<View>, InvalidStoredView> {
    let mut entries = Entries::new();
    let mut held = None;
    for (key, text) in fields {
        if key == POSITION {
            held = Some(parse_position(&text)?);
        } else {
            entries.insert(key, RawValue::from_string(text).map_err(|_| InvalidStoredView)?);
        }
    }
    match held {
        Some((position, at)) => Ok(Some(View { position, at, entries })),
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
    fn position_text_round_trips() {
        let position = Position { epoch: u64::MAX, version: 17 };
        assert_eq!(parse_position(&position_text(position, 1_234)), Ok((position, 1_234)));
        for bad in ["", "1", "1 2", "1 2 3 4", "a 2 3", "1 -2 3", "1 2 c"] {
            assert_eq!(parse_position(bad), Err(InvalidStoredView), "{bad}");
        }
    }

    #[test]
    fn hash_reads_back_as_the_view() {
        let field = |key: &str, text: &str| (key.to_owned(), text.to_owned());
        let view =
            read_view([field("queue", r#"{"a": 1}"#), field(POSITION, "9 4 77")]).unwrap().unwrap();
        assert_eq!((view.position, view.at), (Position { epoch: 9, version: 4 }, 77));
        assert_eq!(
            view.entries["queue"].get(),
            r#"{"a": 1}"#,
            "an entry is passed on byte by byte"
        );
        assert!(read_view([]).unwrap().is_none());
        assert!(read_view([field("queue", "{}")]).is_err(), "entries without a position");
        assert!(
            read_view([field(POSITION, "9 4 77"), field("queue", "{")]).is_err(),
            "broken JSON"
        );
    }
}
