//! The last resort against a record that is too large to publish: it leaves out entries of views,
//! and readers load these views instead. Without it, a committed step that every broker refuses
//! would block its partition for ever.

use schemas::{
    ids::Aggregate,
    record::{MAX_RECORD_BYTES, ViewDelta, ViewsRecord, WireRecord},
};
use telemetry::MAX_CONTEXT_BYTES;

/// Most steps that a record names when entries of all of them are left out. A name takes up to
/// 230 bytes, so these fit. Past it, readers load every view of the aggregate.
const MAX_NAMED: usize = 3_000;

/// Writes the record. If it is too large, the entries of its largest steps are left out. Returns
/// the number of these steps too. There remains room for the context of a trace.
pub(super) fn to_wire(views: &ViewsRecord, aggregate: &Aggregate) -> (WireRecord, u64) {
    to_wire_within(views, aggregate, MAX_RECORD_BYTES - MAX_CONTEXT_BYTES)
}

fn to_wire_within(views: &ViewsRecord, aggregate: &Aggregate, limit: usize) -> (WireRecord, u64) {
    let whole = views.to_wire(aggregate);
    if whole.size() <= limit {
        return (whole, 0);
    }
    let mut cut = views.clone();
    let mut size = whole.size();
    let mut by_size: Vec<(usize, usize)> =
        cut.deltas.iter().enumerate().map(|(index, delta)| (json_size(delta), index)).collect();
    by_size.sort_unstable_by(|a, b| b.cmp(a));
    let mut omitted = 0;
    for (before, index) in by_size {
        if size <= limit {
            break;
        }
        let step = &mut cut.deltas[index];
        step.delta = step.delta.without_entries();
        size = size.saturating_sub(before) + json_size(step);
        omitted += 1;
    }
    if size > limit {
        cut.deltas.truncate(MAX_NAMED);
        cut.reload = true;
    }
    (cut.to_wire(aggregate), omitted)
}

fn json_size(step: &ViewDelta) -> usize {
    serde_json::to_vec(step).map_or(0, |json| json.len())
}

#[cfg(test)]
mod tests {
    use schemas::{
        channel::MAX_CHANNEL,
        view::{Delta, Fold, Position, View},
    };

    use super::*;

    fn aggregate() -> Aggregate {
        testing::records::aggregate("demo", "riverside")
    }

    /// A step of this view with an entry of so many bytes.
    fn step(view: String, bytes: usize) -> ViewDelta {
        let mut delta =
            Delta { from: u64::MAX - 1, to: u64::MAX, at: i64::MAX, ..Delta::default() };
        delta.put("entry", &"x".repeat(bytes));
        ViewDelta { view, keep_s: Some(u32::MAX), urgent: true, delta }
    }

    fn record(deltas: Vec<ViewDelta>) -> ViewsRecord {
        let position = Position { epoch: u64::MAX, version: u64::MAX };
        ViewsRecord { position, at: 1, deltas, reload: false, outcome: None }
    }

    #[test]
    fn only_largest_steps_lose_their_entries() {
        let sizes = [10, 4_000, 20, 3_000, 500];
        let names = (0..).map(|number| format!("queue:riverside.{number}"));
        let steps = names.zip(sizes).map(|(name, bytes)| step(name, bytes)).collect();
        let (wire, omitted) = to_wire_within(&record(steps), &aggregate(), 2_500);
        assert_eq!(omitted, 2);
        assert!(wire.size() <= 2_500);
        let read = ViewsRecord::from_value(&wire.value).unwrap();
        let left_out: Vec<bool> = read.deltas.iter().map(|step| step.delta.omitted).collect();
        assert_eq!(left_out, [false, true, false, true, false]);
        assert!(!read.reload);
        let mut view = View::empty(1);
        view.position.version = u64::MAX - 1;
        assert_eq!(view.fold(&read.deltas[1].delta), Fold::Gap);
        assert_eq!(view.fold(&read.deltas[0].delta), Fold::Applied);
    }

    #[test]
    fn record_that_fits_is_published_whole() {
        let views = record(vec![step("queue:riverside.a".into(), 100)]);
        let (wire, omitted) = to_wire(&views, &aggregate());
        assert!(omitted == 0 && wire == views.to_wire(&aggregate()));
    }

    #[test]
    fn unnamed_views_are_all_loaded() {
        let name = |number: usize| format!("{number:0>MAX_CHANNEL$}");
        let views = record((0..10_000).map(|number| step(name(number), 100)).collect());
        let (wire, omitted) = to_wire(&views, &aggregate());
        assert!(wire.size() <= MAX_RECORD_BYTES, "{}", wire.size());
        let read = ViewsRecord::from_value(&wire.value).unwrap();
        assert_eq!((read.reload, read.deltas.len(), omitted), (true, MAX_NAMED, 10_000));
    }
}
