use schemas::{
    command::Verdict,
    ids::{Aggregate, CommandId, TenantId},
    view::View,
};

use super::*;

/// A tenant's rules, and the view of them.
struct Desk {
    rules: RuleBook,
    view: View,
}

impl Desk {
    fn new() -> Self {
        Self { rules: RuleBook::new(7), view: View::empty(7) }
    }

    fn send(&mut self, command: Command) -> Result<(), Code> {
        let record = CommandRecord {
            aggregate: Aggregate::rules(&TenantId::new("demo").unwrap()),
            id: CommandId::new("c-1").unwrap(),
            source: "test".into(),
            valid_until: None,
            actor: None,
            command,
        };
        let effect = self.rules.handle(&record, 1_772_449_200_000);
        for delta in &effect.deltas {
            self.view.fold(&delta.delta);
        }
        match effect.verdict {
            Verdict::Applied { .. } => Ok(()),
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
fn a_rule_is_stored_switched_and_deleted_and_the_view_says_so() {
    let mut desk = Desk::new();
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
fn a_rule_nobody_could_apply_is_refused_and_an_unknown_one_is_not_switched() {
    let mut desk = Desk::new();
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
fn one_rule_too_many_is_refused_and_a_known_one_still_changed() {
    let mut desk = Desk::new();
    let numbered =
        |number: usize| Rule { id: RuleId::new(format!("rule-{number}")).unwrap(), ..office_fee() };
    for number in 0..MAX_RULES {
        desk.send(Command::PutRule { rule: numbered(number) }).unwrap();
    }
    assert_eq!(desk.send(Command::PutRule { rule: numbered(MAX_RULES) }), Err(Code::InvalidValue));
    desk.send(Command::PutRule { rule: numbered(3) }).unwrap();
}
