use schemas::{command::Verdict, ids::Aggregate, view::View};

use testing::records::{command_record, tenant};

use super::*;

/// A rule book and its view.
struct RuleDesk {
    rules: RuleBook,
    view: View,
}

impl RuleDesk {
    fn new() -> Self {
        Self { rules: RuleBook::new(7), view: View::empty(7) }
    }

    fn send(&mut self, command: Command) -> Result<(), Code> {
        let aggregate = Aggregate::rules(&tenant("demo"));
        let record = command_record(&aggregate, "c-1", command);
        let effect = self.rules.handle(&record, RecordTime::at_once(1_772_449_200_000));
        for delta in &effect.deltas {
            self.view.fold(&delta.delta);
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

fn office_fee() -> Rule {
    claims::rules::builtin().remove(0)
}

#[test]
fn view_follows_stored_switched_and_deleted_rule() {
    let mut desk = RuleDesk::new();
    let id = office_fee().id;
    desk.send(Command::PutRule { rule: office_fee() }).unwrap();
    assert_eq!(desk.shown(), [office_fee()]);
    desk.send(Command::DisableRule { rule: id.clone() }).unwrap();
    assert!(!desk.shown()[0].enabled);
    desk.send(Command::EnableRule { rule: id.clone() }).unwrap();
    assert!(desk.shown()[0].enabled);
    desk.send(Command::DeleteRule { rule: id }).unwrap();
    assert!(desk.shown().is_empty());
}

#[test]
fn invalid_and_unknown_rules_are_refused() {
    let mut desk = RuleDesk::new();
    let mut nameless = office_fee();
    nameless.name.fr.clear();
    assert_eq!(desk.send(Command::PutRule { rule: nameless }), Err(Code::RuleInvalid));
    for command in [
        Command::EnableRule { rule: office_fee().id },
        Command::DisableRule { rule: office_fee().id },
        Command::DeleteRule { rule: office_fee().id },
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
        desk.send(Command::PutRule { rule: numbered(number) }).unwrap();
    }
    assert_eq!(desk.send(Command::PutRule { rule: numbered(MAX_RULES) }), Err(Code::InvalidValue));
    desk.send(Command::PutRule { rule: numbered(3) }).unwrap();
}
