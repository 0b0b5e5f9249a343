//! Letting others go first.

use proptest::{collection::vec, prelude::*};

use super::*;

fn yields(number: u128) -> Command {
    Command::YieldTicket { ticket: ticket(number) }
}

fn rule(places: u32, times: u32) -> Command {
    let timers = Timers { yield_places: places, yield_times: times, ..Timers::default() };
    configure_with("Europe/Paris", timers)
}

proptest! {
    /// A plain vector has the same order after any number of yields: the person moves behind the
    /// next people of the same priority, as far and as often as the rule allows, and nobody else
    /// overtakes anybody.
    #[test]
    fn line_after_yields_is_that_of_a_vector(
        urgencies in vec(0..3_u8, 1..12),
        who in vec(0..12_usize, 1..8),
        (places, times) in (0..5_u32, 0..4_u32),
    ) {
        let mut clinic = Clinic::open();
        clinic.apply(rule(places, times));
        let mut line: Vec<(u8, u128)> = Vec::new();
        for (number, urgency) in (1..).zip(&urgencies) {
            clinic.apply(issue("general", number, *urgency));
            line.push((*urgency, number));
        }
        line.sort_by_key(|(urgency, number)| (std::cmp::Reverse(*urgency), *number));
        let mut done = vec![0; urgencies.len() + 1];
        for index in who.into_iter().filter(|index| *index < urgencies.len()) {
            let (urgency, number) = line[index];
            let behind = line[index + 1..].iter().take_while(|(other, _)| *other == urgency);
            let moved = behind.count().min(places as usize);
            let count = &mut done[number as usize];
            let expected = if places == 0 || *count >= times {
                Some(Code::YieldNotAllowed)
            } else if moved == 0 {
                Some(Code::NobodyBehind)
            } else {
                *count += 1;
                line[index..=index + moved].rotate_left(1);
                None
            };
            prop_assert_eq!(clinic.refusal(yields(number)), expected);
        }
        let order: Vec<u128> = line.into_iter().map(|(_, number)| number).collect();
        prop_assert!(clinic.drain("general") == tickets(&order));
    }
}

#[test]
fn yield_keeps_others_undo_and_their_new_turn() {
    let mut clinic = Clinic::waiting(3);
    clinic.apply(Command::HoldTicket { ticket: ticket(2), reason: None });
    clinic.apply(Command::ResumeTicket { ticket: ticket(2) });
    clinic.apply(yields(1));
    clinic.apply(Command::RevertTicket { ticket: ticket(2) });
    clinic.apply(Command::ResumeTicket { ticket: ticket(2) });
    assert!(clinic.drain("general") == tickets(&[2, 3, 1]));
}

#[test]
fn yield_itself_cannot_be_undone() {
    let mut clinic = Clinic::waiting(2);
    clinic.apply(yields(1));
    let revert = Command::RevertTicket { ticket: ticket(1) };
    assert_eq!(clinic.refusal(revert), Some(Code::NothingToRevert));
}
