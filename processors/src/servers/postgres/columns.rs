//! Rows as columns: a statement of a batch takes one array per column.

use schemas::ids::Aggregate;
use tokio_postgres::types::ToSql;

pub(super) type Parameter<'a> = Box<dyn ToSql + Sync + Send + 'a>;

/// Tenant and id of an aggregate, as text.
pub(super) fn parts(aggregate: &Aggregate) -> (&str, &str) {
    aggregate.as_str().split_once('/').expect("an aggregate is built with its slash")
}

/// One column of `rows`.
pub(super) fn column<'a, R, T>(rows: &[R], read: impl Fn(&R) -> T) -> Parameter<'a>
where
    T: ToSql + Sync + Send + 'a,
{
    Box::new(rows.iter().map(read).collect::<Vec<T>>())
}

pub(super) fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("our own types always have a JSON form")
}
