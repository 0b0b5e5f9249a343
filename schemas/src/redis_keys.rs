//! Where the live views lie in Redis: names, fields and texts that the processors write and the gateways read.
//!
//! All keys of an aggregate share the hash tag `{tenant/location}`, so that one script may touch them in a cluster.
//!
//! | key | type | holds |
//! |---|---|---|
//! | `cw:{t/l}:gen` | string | present while Redis has not been emptied since the aggregate was last restored from the ledger |
//! | `cw:{t/l}:v:<view>` | hash | one field per entry, its JSON unread; the field `@` is the position: `epoch version at` |
//! | `cw:{t/l}:line:<queue>` | sorted set | the queue's waiting tickets, scored by [`crate::line::LinePlace::score`] |
//!
//! Read the hash and the generation in one transaction. Without generation nothing may be concluded from an absent
//! view. With it, an absent view is still only absent here: views come back one by one after a loss.

use serde_json::value::RawValue;

use crate::{
    Millis,
    ids::Aggregate,
    view::{Entries, Position, View},
};

/// The field of a view's hash that holds its position. No entry has this key.
pub const POSITION: &str = "@";

/// The key whose absence says that Redis lost what it held of the aggregate.
pub fn generation(aggregate: &Aggregate) -> String {
    format!("cw:{{{aggregate}}}:gen")
}

/// The hash of a view.
pub fn view(aggregate: &Aggregate, name: &str) -> String {
    format!("cw:{{{aggregate}}}:v:{name}")
}

/// The sorted set of a queue's waiting tickets; `queue` is the queue's id.
pub fn line(aggregate: &Aggregate, queue: &str) -> String {
    format!("cw:{{{aggregate}}}:line:{queue}")
}

/// A hash that does not hold a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a stored view")]
pub struct InvalidStoredView;

/// The text of the field [`POSITION`].
pub fn position_text(position: Position, at: Millis) -> String {
    format!("{} {} {at}", position.epoch, position.version)
}

/// Reads the field [`POSITION`].
///
/// # Errors
/// [`InvalidStoredView`] when it is not three numbers.
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

/// The view in the fields of its hash; `None` when the hash is empty, which is how Redis says that it is absent.
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
    fn all_keys_of_an_aggregate_share_its_hash_tag() {
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
    fn a_position_reads_back_and_nothing_else_does() {
        let position = Position { epoch: u64::MAX, version: 17 };
        assert_eq!(parse_position(&position_text(position, 1_234)), Ok((position, 1_234)));
        for bad in ["", "1", "1 2", "1 2 3 4", "a 2 3", "1 -2 3", "1 2 c"] {
            assert_eq!(parse_position(bad), Err(InvalidStoredView), "{bad}");
        }
    }

    #[test]
    fn a_hash_reads_as_the_view_that_was_written() {
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
