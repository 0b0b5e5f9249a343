use schemas::{
    command::Verdict,
    ids::Aggregate,
    reference::{MAX_REFERENCE_ENTRIES, ReferenceEntry, ReferenceTable, StoredReference},
    view::{Fold, View},
};

use testing::records::{command_record, tenant};

use super::*;

/// A rule book and its view.
struct RuleDesk {
    rules: RuleBook,
    view: View,
    tables: BTreeMap<String, View>,
}

impl RuleDesk {
    fn new() -> Self {
        Self { rules: RuleBook::new(7), view: View::empty(7), tables: BTreeMap::new() }
    }

    fn send(&mut self, command: Command) -> Result<(), Code> {
        let aggregate = Aggregate::rules(&tenant("demo"));
        let record = command_record(&aggregate, "c-1", command);
        let effect = self.rules.handle(&record, RecordTime::at_once(1_772_449_200_000));
        for delta in &effect.deltas {
            let view = match delta.view.as_str() {
                VIEW => &mut self.view,
                table => self.tables.entry(table.to_owned()).or_insert_with(|| View::empty(7)),
            };
            assert_eq!(view.fold(&delta.delta), Fold::Applied, "the chain of {}", delta.view);
        }
        match effect.verdict {
            Verdict::Applied { .. } | Verdict::Moving { .. } => Ok(()),
            Verdict::Refused { code } => Err(code),
        }
    }

    fn shown(&self) -> Vec<Rule> {
        self.view.entries.values().map(|entry| serde_json::from_str(entry.get()).unwrap()).collect()
    }
}

fn put_rule(rule: Rule) -> Command {
    Command::PutRule { rule, edition: None }
}

fn office_fee() -> Rule {
    claims::rules::builtin().remove(0)
}

#[test]
fn view_follows_stored_switched_and_deleted_rule() {
    let mut desk = RuleDesk::new();
    let id = office_fee().id;
    desk.send(put_rule(office_fee())).unwrap();
    assert_eq!(desk.shown(), [office_fee()]);
    desk.send(Command::DisableRule { rule: id.clone() }).unwrap();
    assert!(!desk.shown()[0].enabled);
    desk.send(Command::EnableRule { rule: id.clone() }).unwrap();
    assert!(desk.shown()[0].enabled);
    desk.send(Command::DeleteRule { rule: id, edition: None }).unwrap();
    assert!(desk.shown().is_empty());
}

#[test]
fn invalid_and_unknown_rules_are_refused() {
    let mut desk = RuleDesk::new();
    let mut nameless = office_fee();
    nameless.name.fr.clear();
    assert_eq!(desk.send(put_rule(nameless)), Err(Code::RuleInvalid));
    for command in [
        Command::EnableRule { rule: office_fee().id },
        Command::DisableRule { rule: office_fee().id },
        Command::DeleteRule { rule: office_fee().id, edition: None },
    ] {
        assert_eq!(desk.send(command), Err(Code::RuleUnknown));
    }
}

#[test]
fn full_rule_book_accepts_only_known_rules() {
    let mut desk = RuleDesk::new();
    let numbered =
        |number: usize| Rule { id: RuleId::new(format!("rule-{number}")).unwrap(), ..office_fee() };
    for number in 0..MAX_RULES {
        desk.send(put_rule(numbered(number))).unwrap();
    }
    assert_eq!(desk.send(put_rule(numbered(MAX_RULES))), Err(Code::InvalidValue));
    desk.send(put_rule(numbered(3))).unwrap();
}

const PLACES: ReferenceTable = ReferenceTable::Establishments;

fn put_place(key: &str, gmf: bool, edition: Option<u64>) -> Command {
    let entry = ReferenceEntry::Establishment { gmf };
    Command::PutReference { table: PLACES, key: key.to_owned(), entry, edition }
}

fn load(table: ReferenceTable, csv: &str, keep_others: bool, edition: Option<u64>) -> Command {
    Command::LoadReference { table, csv: csv.to_owned(), keep_others, edition }
}

impl RuleDesk {
    /// The keys of a table with the editions of their entries.
    fn table(&self, table: ReferenceTable) -> Vec<(String, u64)> {
        let entries = self.tables.get(table.view()).map(|view| view.entries.clone());
        let read = |(key, entry): (String, Box<serde_json::value::RawValue>)| {
            let stored: StoredReference = serde_json::from_str(entry.get()).unwrap();
            (key, stored.edition)
        };
        entries.unwrap_or_default().into_iter().map(read).collect()
    }
}

#[test]
fn rules_and_tables_have_unbroken_chains_side_by_side() {
    let mut desk = RuleDesk::new();
    desk.send(put_place("55123", true, Some(0))).unwrap();
    desk.send(put_rule(office_fee())).unwrap();
    desk.send(load(ReferenceTable::Contexts, "context,description\nicep,x\n", false, None))
        .unwrap();
    desk.send(put_place("55124", false, None)).unwrap();
    desk.send(Command::DisableRule { rule: office_fee().id }).unwrap();
    assert_eq!(desk.table(PLACES), [("55123".to_owned(), 1), ("55124".to_owned(), 4)]);
    assert_eq!(desk.table(ReferenceTable::Contexts), [("ICEP".to_owned(), 3)]);
    assert_eq!(desk.shown().len(), 1);
}

#[test]
fn rules_stored_before_tables_keep_their_chain() {
    let mut desk = RuleDesk::new();
    desk.send(put_rule(office_fee())).unwrap();
    let mut header = serde_json::to_value(desk.rules.header()).unwrap();
    header.as_object_mut().unwrap().retain(|field, _| field == "now" || field == "rules");
    let header = serde_json::from_value(header).unwrap();
    desk.rules = RuleBook::restore(desk.rules.position(), header);
    desk.send(put_place("55123", true, None)).unwrap();
    desk.send(put_rule(office_fee())).unwrap();
    assert_eq!(desk.shown(), [office_fee()]);
}

#[test]
fn change_from_an_older_edition_is_refused() {
    let mut desk = RuleDesk::new();
    let changed = Err(Code::SettingsChanged);
    desk.send(put_place("55123", true, Some(0))).unwrap();
    assert_eq!(desk.send(put_place("55123", false, Some(0))), changed);
    desk.send(put_place("55123", false, Some(1))).unwrap();
    let delete = |edition| Command::DeleteReference {
        table: PLACES,
        key: "55123".to_owned(),
        edition: Some(edition),
    };
    assert_eq!(desk.send(delete(1)), changed);
    assert_eq!(desk.send(load(PLACES, "place,gmf\n55200,yes\n", false, Some(1))), changed);
    let clear = |edition| Command::ClearReference { table: PLACES, edition: Some(edition) };
    assert_eq!(desk.send(clear(1)), changed);
    desk.send(delete(2)).unwrap();
    assert_eq!(desk.send(delete(2)), Err(Code::ReferenceUnknown));
    let rule = |edition| Command::PutRule { rule: office_fee(), edition: Some(edition) };
    desk.send(rule(0)).unwrap();
    assert_eq!(desk.send(rule(0)), changed);
    let delete = |edition| Command::DeleteRule { rule: office_fee().id, edition: Some(edition) };
    assert_eq!(desk.send(delete(0)), changed);
    desk.send(delete(4)).unwrap();
}

#[test]
fn load_replaces_or_keeps_others_and_clear_ends_the_table() {
    let mut desk = RuleDesk::new();
    desk.send(load(PLACES, "place,gmf\n55001,yes\n55002,no\n", false, None)).unwrap();
    desk.send(load(PLACES, "place,gmf\n55003,yes\n", true, Some(1))).unwrap();
    let keys = |desk: &RuleDesk| desk.table(PLACES).into_iter().map(|it| it.0).collect::<Vec<_>>();
    assert_eq!(keys(&desk), ["55001", "55002", "55003"]);
    desk.send(load(PLACES, "place,gmf\n55003,no\n", false, None)).unwrap();
    assert_eq!(desk.table(PLACES), [("55003".to_owned(), 3)]);
    desk.send(Command::ClearReference { table: PLACES, edition: None }).unwrap();
    assert!(keys(&desk).is_empty());
    let again = desk.send(Command::ClearReference { table: PLACES, edition: None });
    assert_eq!(again, Err(Code::ReferenceUnknown));
}

#[test]
fn load_with_a_wrong_line_changes_nothing() {
    let mut desk = RuleDesk::new();
    desk.send(load(PLACES, "place,gmf\n55001,yes\n", false, None)).unwrap();
    for csv in ["place,gmf\n55002,yes\nABC,no\n", "place\n55002\n", "", "place,gmf\n"] {
        assert_eq!(desk.send(load(PLACES, csv, false, None)), Err(Code::TableInvalid), "{csv}");
    }
    let mut wrong = put_place("055001", true, None);
    assert_eq!(desk.send(wrong.clone()), Err(Code::InvalidValue), "another form of the key");
    if let Command::PutReference { table, key, .. } = &mut wrong {
        (*table, *key) = (ReferenceTable::Codes, "55001".to_owned());
    }
    assert_eq!(desk.send(wrong), Err(Code::InvalidValue), "an entry of another table");
    assert_eq!(desk.table(PLACES), [("55001".to_owned(), 1)]);
}

#[test]
fn full_table_accepts_only_known_entries() {
    let mut desk = RuleDesk::new();
    let mut csv = "place,gmf\n".to_owned();
    (1..=MAX_REFERENCE_ENTRIES).for_each(|place| csv.push_str(&format!("{place},no\n")));
    desk.send(load(PLACES, &csv, false, None)).unwrap();
    assert_eq!(desk.send(put_place("99999", true, None)), Err(Code::InvalidValue));
    let more = load(PLACES, "place,gmf\n99999,no\n", true, None);
    assert_eq!(desk.send(more), Err(Code::InvalidValue));
    desk.send(put_place("7", true, None)).unwrap();
}
