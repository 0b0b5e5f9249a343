//! The days of invented practices: what an export is mostly made of, and nothing in it that a rule finds fault with.

use fastrand::Rng;
use jiff::civil::Date;
use schemas::finding::FindingOutcome;

use super::{
    line::Line,
    names::{Doctor, Patient},
    rules,
    stage::Stage,
    tables,
};

/// Registered patients of a practice. They come one after the other, so that each comes several times a year.
const ROSTER: u64 = 256;
/// Its walk-in patients.
const WALK_INS: u64 = 2_048;
/// Patient numbers a practice takes.
pub const PATIENTS: u64 = ROSTER + WALK_INS;

const WALK_IN_CONTEXTS: [&str; 6] = ["G160", " G160 ", "#G160", "AR", "ar", "STAR, #g160"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Office,
    Gmf,
    Hospital,
}

/// A doctor with a place and patients who come again.
pub struct Practice {
    doctor: Doctor,
    kind: Kind,
    place: u32,
    first_patient: u64,
    /// Registered visits in the year so far.
    seen: u64,
    walked_in: u64,
    year: i16,
}

/// What a day holds so far.
struct DayOf<'a, 'b> {
    stage: &'a mut Stage<'b>,
    /// Minutes since midnight, beyond a day after midnight.
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
            0 | 3 => (Kind::Office, pick(tables::OFFICES)),
            1 | 4 => (Kind::Gmf, pick(tables::GMF_OFFICES)),
            _ => (Kind::Hospital, pick(tables::HOSPITALS)),
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

    /// Puts a day of this practice on the stage.
    pub fn day(&mut self, stage: &mut Stage<'_>) {
        if stage.day.year() != self.year {
            (self.year, self.seen) = (stage.day.year(), 0);
        }
        let (registered, walk_ins) = self.patients_of_a_day(stage.rng);
        let clock = [8 * 60, 9 * 60, 19 * 60, 21 * 60][stage.rng.usize(..4)];
        let mut day = DayOf { stage, clock, intervention_minutes: 0 };
        let (mut left, mut left_walk_ins) = (registered, walk_ins);
        while left + left_walk_ins > 0 {
            if day.stage.rng.u64(..left + left_walk_ins) < left {
                left -= 1;
                self.registered(&mut day);
            } else {
                left_walk_ins -= 1;
                self.walk_in(&mut day);
            }
        }
        if self.kind != Kind::Hospital {
            self.fees(day.stage, registered, walk_ins);
        }
    }

    /// A hospital's day stays below what an office would need for a fee.
    fn patients_of_a_day(&self, rng: &mut Rng) -> (u64, u64) {
        if self.kind == Kind::Hospital {
            return (rng.u64(1..6), rng.u64(..10));
        }
        let walk_ins = if rng.u8(..4) == 0 { rng.u64(..25) } else { rng.u64(..4) };
        (rng.u64(1..19), walk_ins)
    }

    fn registered(&mut self, day: &mut DayOf<'_, '_>) {
        let (slot, first_time) = (self.seen % ROSTER, self.seen < ROSTER);
        self.seen += 1;
        let patient = Patient {
            number: self.first_patient + slot,
            spelling: u8::from(day.stage.rng.u8(..40) == 0),
        };
        // At a GMF a third has no qualifying visit all year; the others have one, and the fee, the first time.
        let enrolled = self.kind == Kind::Gmf && slot % 3 != 0;
        let may_be_due = enrolled || self.kind != Kind::Gmf;
        let mut line = self.visit(day, patient);
        let annual = first_time && slot % 4 == 1;
        line.code = if annual {
            annual_code(slot, may_be_due)
        } else if may_be_due && (first_time || day.stage.rng.bool()) {
            due_code(day.stage.rng)
        } else {
            line.code
        };
        if annual {
            line = line.passes(rules::ANNUAL_CODES);
        }
        if enrolled && first_time {
            line.contexts = "";
            line = line.passes(rules::YEARLY_FEE_MISSING);
        }
        day.times(&mut line);
        day.stage.push(line);
        if enrolled && first_time {
            let fee = self.visit(day, patient).code(tables::YEARLY_FEE).preliminary(935);
            day.stage.push(fee.passes(rules::YEARLY_FEE));
        }
        match day.stage.rng.u8(..8) {
            0 => {
                let act = self.act(day, patient);
                day.stage.push(act);
            }
            1 if may_be_due => self.intervention(day, patient),
            _ => {}
        }
    }

    fn walk_in(&mut self, day: &mut DayOf<'_, '_>) {
        let number = self.first_patient + ROSTER + self.walked_in % WALK_INS;
        self.walked_in += 1;
        let patient = Patient { number, spelling: 0 };
        let contexts = WALK_IN_CONTEXTS[day.stage.rng.usize(..WALK_IN_CONTEXTS.len())];
        let mut line = self.visit(day, patient).contexts(contexts);
        if day.stage.rng.bool() {
            line.code = due_code(day.stage.rng); // their contexts keep such visits from entitling to the yearly fee
        }
        day.times(&mut line);
        day.stage.push(line);
        if day.stage.rng.u8(..10) == 0 {
            let act = self.act(day, patient).contexts(contexts);
            day.stage.push(act);
        }
    }

    fn visit(&self, day: &mut DayOf<'_, '_>, patient: Patient) -> Line {
        let line = day.stage.visit(self.doctor, patient).place(self.place);
        let paid = day.stage.rng.u8(..8) == 0;
        if paid { Line { paid: line.preliminary, ..line } } else { line }
    }

    fn act(&self, day: &mut DayOf<'_, '_>, patient: Patient) -> Line {
        let code = day.stage.rng.u32(tables::ACTS);
        let line = self.visit(day, patient).code(code);
        // However long an act takes, it is no visit.
        if day.stage.rng.u8(..4) == 0 { line.at(9 * 60, 11 * 60) } else { line }
    }

    fn intervention(&self, day: &mut DayOf<'_, '_>, patient: Patient) {
        let by_units = day.stage.rng.u8(..3) == 0;
        let minutes = if by_units { day.stage.rng.i64(10..=90) } else { 30 };
        let code = if by_units { tables::INTERVENTION_BY_UNITS } else { tables::INTERVENTION };
        let mut line =
            self.visit(day, patient).code(code).units(if by_units { minutes } else { 1 });
        if day.intervention_minutes + minutes > 180 {
            line.contexts = "ICEP"; // no longer counted
        } else {
            if day.intervention_minutes == 0 {
                line = line.passes(rules::INTERVENTION_MINUTES);
            }
            day.intervention_minutes += minutes;
        }
        day.stage.push(line);
    }

    /// What such a day may bill, and no less.
    fn fees(&self, stage: &mut Stage<'_>, registered: u64, walk_ins: u64) {
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
            let line = stage.row(self.doctor).code(*code).place(self.place).contexts(contexts);
            let line = line.preliminary(fee_cents(*code));
            stage.push(if index == 0 { line.finds(rules::OFFICE_FEE, outcome, 0) } else { line });
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

impl DayOf<'_, '_> {
    /// Half of the visits have times; one in ten of those is long, and billed at what it is worth at least.
    fn times(&mut self, line: &mut Line) {
        const DAY: u16 = 24 * 60;
        let rng = &mut *self.stage.rng;
        if rng.bool() || self.clock >= DAY + 6 * 60 {
            if rng.u8(..6) == 0 {
                line.start = Some(0); // means none
            }
            return;
        }
        let long = rng.u8(..10) == 0;
        let minutes = if long { rng.u16(30..100) } else { rng.u16(3..30) };
        line.start = Some(self.clock % DAY);
        line.end = Some((self.clock + minutes) % DAY);
        self.clock += minutes;
        if long {
            let worth = 5970 + 2985 * i64::from((minutes - 30) / 15);
            line.preliminary = Some(worth + [0, 0, 1, 500][rng.usize(..4)]);
            line.expected.push(super::line::Expected {
                rule: rules::LONGER_VISITS,
                outcome: FindingOutcome::Pass,
                cents: 0,
            });
        }
    }
}

/// The first day of a file.
pub const FIRST_DAY: Date = Date::constant(2024, 1, 3);
