//! Days of invented practices, which break no rule. Most rows of a file come from here.

use fastrand::Rng;
use jiff::civil::Date;
use schemas::finding::FindingOutcome;

use super::{
    group::RowGroup,
    people::{Doctor, Patient},
    row::ClaimRow,
    rules, tables,
};

/// Registered patients of a practice. They visit in turn, so each of them visits several times a
/// year.
const ROSTER: u64 = 256;
/// Walk-in patients of a practice.
const WALK_INS: u64 = 2_048;
/// Patient numbers that a practice uses.
pub const PATIENTS: u64 = ROSTER + WALK_INS;

const WALK_IN_CONTEXTS: [&str; 6] = ["G160", " G160 ", "#G160", "AR", "ar", "STAR, #g160"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PracticeKind {
    Office,
    Gmf,
    Hospital,
}

/// A doctor with a place and returning patients.
pub struct Practice {
    doctor: Doctor,
    kind: PracticeKind,
    place: u32,
    first_patient: u64,
    /// Registered visits in the year so far.
    seen: u64,
    walked_in: u64,
    year: i16,
}

/// A day of a practice under construction.
struct PracticeDay<'a, 'b> {
    group: &'a mut RowGroup<'b>,
    /// Minutes since midnight of the day; more than 1,440 after the next midnight.
    clock: u16,
    intervention_minutes: i64,
}

impl Practice {
    #[must_use]
    pub fn new(index: u64) -> Self {
        let pick = |places: std::ops::Range<u32>| {
            places.start + (index % u64::from(places.end - places.start)) as u32
        };
        let (kind, place) = match index % 5 {
            0 | 3 => (PracticeKind::Office, pick(tables::OFFICES)),
            1 | 4 => (PracticeKind::Gmf, pick(tables::GMF_OFFICES)),
            _ => (PracticeKind::Hospital, pick(tables::HOSPITALS)),
        };
        let doctor = Doctor { number: index, spelling: 0 };
        Self {
            doctor,
            kind,
            place,
            first_patient: index * PATIENTS,
            seen: 0,
            walked_in: 0,
            year: 0,
        }
    }

    /// Adds the rows of one day.
    pub fn add_day(&mut self, group: &mut RowGroup<'_>) {
        if group.day.year() != self.year {
            (self.year, self.seen) = (group.day.year(), 0);
        }
        let (registered, walk_ins) = self.patients_of_a_day(group.rng);
        let clock = [8 * 60, 9 * 60, 19 * 60, 21 * 60][group.rng.usize(..4)];
        let mut day = PracticeDay { group, clock, intervention_minutes: 0 };
        let (mut left, mut left_walk_ins) = (registered, walk_ins);
        while left + left_walk_ins > 0 {
            if day.group.rng.u64(..left + left_walk_ins) < left {
                left -= 1;
                self.registered(&mut day);
            } else {
                left_walk_ins -= 1;
                self.walk_in(&mut day);
            }
        }
        if self.kind != PracticeKind::Hospital {
            self.fees(day.group, registered, walk_ins);
        }
    }

    /// Registered and walk-in patients of a day. At a hospital they stay below the minimum for a
    /// fee.
    fn patients_of_a_day(&self, rng: &mut Rng) -> (u64, u64) {
        if self.kind == PracticeKind::Hospital {
            return (rng.u64(1..6), rng.u64(..10));
        }
        let walk_ins = if rng.u8(..4) == 0 { rng.u64(..25) } else { rng.u64(..4) };
        (rng.u64(1..19), walk_ins)
    }

    fn registered(&mut self, day: &mut PracticeDay<'_, '_>) {
        let (slot, first_time) = (self.seen % ROSTER, self.seen < ROSTER);
        self.seen += 1;
        let patient = Patient {
            number: self.first_patient + slot,
            spelling: u8::from(day.group.rng.u8(..40) == 0),
        };
        // At a GMF one patient in three has no qualifying visit in a year. The others have one, and
        // the yearly fee, on their first visit.
        let enrolled = self.kind == PracticeKind::Gmf && slot % 3 != 0;
        let may_be_due = enrolled || self.kind != PracticeKind::Gmf;
        let mut row = self.visit(day, patient);
        let annual = first_time && slot % 4 == 1;
        row.code = if annual {
            annual_code(slot, may_be_due)
        } else if may_be_due && (first_time || day.group.rng.bool()) {
            due_code(day.group.rng)
        } else {
            row.code
        };
        if annual {
            row = row.passes(rules::ANNUAL_CODES);
        }
        if enrolled && first_time {
            row.contexts = "";
            row = row.passes(rules::YEARLY_FEE_MISSING);
        }
        day.times(&mut row);
        day.group.push(row);
        if enrolled && first_time {
            let fee = self.visit(day, patient).code(tables::YEARLY_FEE).preliminary(935);
            day.group.push(fee.passes(rules::YEARLY_FEE));
        }
        match day.group.rng.u8(..8) {
            0 => {
                let act = self.act(day, patient);
                day.group.push(act);
            }
            1 if may_be_due => self.intervention(day, patient),
            _ => {}
        }
    }

    fn walk_in(&mut self, day: &mut PracticeDay<'_, '_>) {
        let number = self.first_patient + ROSTER + self.walked_in % WALK_INS;
        self.walked_in += 1;
        let patient = Patient { number, spelling: 0 };
        let contexts = WALK_IN_CONTEXTS[day.group.rng.usize(..WALK_IN_CONTEXTS.len())];
        let mut row = self.visit(day, patient).contexts(contexts);
        if day.group.rng.bool() {
            // The contexts of walk-ins exclude such visits from the yearly fee.
            row.code = due_code(day.group.rng);
        }
        day.times(&mut row);
        day.group.push(row);
        if day.group.rng.u8(..10) == 0 {
            let act = self.act(day, patient).contexts(contexts);
            day.group.push(act);
        }
    }

    fn visit(&self, day: &mut PracticeDay<'_, '_>, patient: Patient) -> ClaimRow {
        let row = day.group.visit(self.doctor, patient).place(self.place);
        let paid = day.group.rng.u8(..8) == 0;
        if paid { ClaimRow { paid: row.preliminary, ..row } } else { row }
    }

    fn act(&self, day: &mut PracticeDay<'_, '_>, patient: Patient) -> ClaimRow {
        let code = day.group.rng.u32(tables::ACTS);
        let row = self.visit(day, patient).code(code);
        // An act is not a visit, whatever its duration.
        if day.group.rng.u8(..4) == 0 { row.at(9 * 60, 11 * 60) } else { row }
    }

    fn intervention(&self, day: &mut PracticeDay<'_, '_>, patient: Patient) {
        let by_units = day.group.rng.u8(..3) == 0;
        let minutes = if by_units { day.group.rng.i64(10..=90) } else { 30 };
        let code = if by_units { tables::INTERVENTION_BY_UNITS } else { tables::INTERVENTION };
        let mut row = self.visit(day, patient).code(code).units(if by_units { minutes } else { 1 });
        if day.intervention_minutes + minutes > 180 {
            row.contexts = "ICEP"; // excluded from the daily minutes
        } else {
            if day.intervention_minutes == 0 {
                row = row.passes(rules::INTERVENTION_MINUTES);
            }
            day.intervention_minutes += minutes;
        }
        day.group.push(row);
    }

    /// Adds the highest office fees that such a day entitles to.
    fn fees(&self, group: &mut RowGroup<'_>, registered: u64, walk_ins: u64) {
        let (small, large) = (tables::FEE_SMALL, tables::FEE_LARGE);
        let fees: &[(u32, &'static str)] = match (registered, walk_ins) {
            (12.., _) => &[(large, "")],
            (_, 20..) => &[(large, "G160")],
            (6.., 10..) => &[(small, ""), (small, "AR")],
            (6.., _) => &[(small, "")],
            (_, 10..) => &[(small, " #g160")],
            _ => &[],
        };
        let total: i64 = fees.iter().map(|(code, _)| fee_cents(*code)).sum();
        let outcome = if total == 6480 {
            FindingOutcome::OfficeFeePassMaximum
        } else {
            FindingOutcome::OfficeFeePass
        };
        for (index, (code, contexts)) in fees.iter().enumerate() {
            let row = group.row(self.doctor).code(*code).place(self.place).contexts(contexts);
            let row = row.preliminary(fee_cents(*code));
            group.push(if index == 0 { row.finds(rules::OFFICE_FEE, outcome, 0) } else { row });
        }
    }
}

/// The tariff of an office fee.
#[must_use]
pub fn fee_cents(code: u32) -> i64 {
    if code == tables::FEE_LARGE { 6480 } else { 3240 }
}

fn annual_code(slot: u64, may_be_due: bool) -> u32 {
    if !may_be_due {
        return tables::PERIODIC_ELSEWHERE;
    }
    [tables::TAKING_CHARGE, tables::TAKING_CHARGE_80, tables::PERIODIC][(slot / 4 % 3) as usize]
}

fn due_code(rng: &mut Rng) -> u32 {
    if rng.u8(..4) == 0 { rng.u32(tables::DUE_VISITS_80) } else { rng.u32(tables::DUE_VISITS) }
}

impl PracticeDay<'_, '_> {
    /// Half of the visits have times. One in ten of those is long, and billed at its full value or
    /// more.
    fn times(&mut self, row: &mut ClaimRow) {
        const DAY: u16 = 24 * 60;
        let rng = &mut *self.group.rng;
        if rng.bool() || self.clock >= DAY + 6 * 60 {
            if rng.u8(..6) == 0 {
                row.start = Some(0); // 00:00 without an end means no time
            }
            return;
        }
        let long = rng.u8(..10) == 0;
        let minutes = if long { rng.u16(30..100) } else { rng.u16(3..30) };
        row.start = Some(self.clock % DAY);
        row.end = Some((self.clock + minutes) % DAY);
        self.clock += minutes;
        if long {
            let worth = 5970 + 2985 * i64::from((minutes - 30) / 15);
            row.preliminary = Some(worth + [0, 0, 1, 500][rng.usize(..4)]);
            row.expected.push(super::row::ExpectedFinding {
                rule: rules::LONGER_VISITS,
                outcome: FindingOutcome::Pass,
                cents: 0,
            });
        }
    }
}

/// The first day of a file.
pub const FIRST_DAY: Date = Date::constant(2024, 1, 3);
