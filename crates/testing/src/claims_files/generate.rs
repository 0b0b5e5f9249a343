//! Generates a file: days of practices and planted cases, with their rows interleaved.

use std::{collections::BTreeSet, io::Write};

use anyhow::{Result, ensure};
use fastrand::Rng;
use jiff::civil::Date;

use super::{
    cases::{self, Case, is_good},
    export::{Export, Format},
    group::{PersonNumbers, RowGroup},
    planted::PlantedFinding,
    practice::{FIRST_DAY, PATIENTS, Practice},
    row::ClaimRow,
};

/// The content of a file.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub rows: u64,
    pub seed: u64,
    /// Planted cases for each row. When rows times rate is below the number of cases, some cases
    /// are missing from the file.
    pub rate: f64,
    /// Whether cases that break a rule are planted, or only the cases that just keep one.
    pub violations: bool,
}

/// Rows of one practice in a large file: about eighty of its days.
const ROWS_OF_A_PRACTICE: u64 = 1_500;
/// Groups whose rows are interleaved, so that the rows of a group are not neighbours. All belong to
/// the same day and each has its own doctor, so the order of a patient's rows is preserved.
const INTERLEAVED: usize = 24;

/// Writes the file and passes each planted finding to `plant`, in the order of the rows. A finding
/// about the whole file comes once, with its first row.
///
/// # Errors
/// When the file cannot be written, or `plant` fails.
pub fn generate<W: Write>(
    plan: Plan,
    format: Format,
    out: W,
    plant: &mut dyn FnMut(PlantedFinding) -> Result<()>,
) -> Result<W> {
    ensure!((0.0..=1.0).contains(&plan.rate), "the rate of cases is not between 0 and 1");
    let mut generator = Generator::new(plan);
    let mut export = Export::begin(out, format, plan.seed)?;
    let mut about_file = BTreeSet::new();
    while export.rows() < plan.rows {
        let groups = generator.groups(plan.rows - export.rows());
        for (case, row) in interleave(groups, &mut generator.rng) {
            export.write(&row)?;
            for expected in &row.expected {
                let of_file = cases::is_about_file(expected.outcome);
                if of_file && !about_file.insert(expected.outcome) {
                    continue;
                }
                plant(PlantedFinding {
                    row: if of_file { 0 } else { export.rows() },
                    rule: expected.rule.into(),
                    outcome: expected.outcome,
                    cents: expected.cents,
                    case: case.into(),
                })?;
            }
        }
    }
    export.finish()
}

/// The name of a group and its rows.
type NamedRows = (&'static str, Vec<ClaimRow>);

/// The state of a generation.
struct Generator {
    rng: Rng,
    practices: Vec<Practice>,
    /// The practice whose day is next.
    next: usize,
    day: Date,
    numbers: PersonNumbers,
    cases: Vec<Case>,
    /// Indexes of the cases not yet planted in this round. Each round plants every case once.
    pile: Vec<usize>,
    rate: f64,
    /// Cases that are due. A fraction waits for more rows.
    due: f64,
}

impl Generator {
    fn new(plan: Plan) -> Self {
        let count = (plan.rows / ROWS_OF_A_PRACTICE).max(5);
        let mut numbers = PersonNumbers::after(count, count * PATIENTS);
        let mut cases = cases::all();
        if !plan.violations {
            cases.retain(|case| !breaks_a_rule(case, &mut numbers));
        }
        Self {
            rng: Rng::with_seed(plan.seed),
            practices: (0..count).map(Practice::new).collect(),
            next: 0,
            day: FIRST_DAY,
            numbers,
            cases,
            pile: Vec::new(),
            rate: plan.rate,
            due: 0.0,
        }
    }

    /// Groups of one day with at least one row and at most `room` rows.
    fn groups(&mut self, room: u64) -> Vec<NamedRows> {
        let (mut groups, mut count) = (Vec::new(), 0);
        while groups.len() < INTERLEAVED && self.next < self.practices.len() {
            let practice = &mut self.practices[self.next];
            self.next += 1;
            if self.rng.u8(..5) > 0 {
                let mut group = RowGroup::new(&mut self.rng, &mut self.numbers, self.day);
                practice.add_day(&mut group);
                let rows = group.into_rows();
                count += rows.len() as u64;
                groups.push(("a day of a practice", rows));
            }
        }
        if count > room {
            // The practices' state is ahead of the file now, so no row of theirs may follow.
            return vec![self.filler(room)];
        }
        self.due += count as f64 * self.rate;
        while self.due >= 1.0 {
            let (name, rows) = self.case();
            // Rows of cases make further cases due: less than one each, or the loop would not end.
            self.due += rows.len() as f64 * self.rate.min(0.02) - 1.0;
            count += rows.len() as u64;
            if count > room {
                break;
            }
            groups.push((name, rows));
        }
        if self.next == self.practices.len() {
            (self.next, self.day) = (0, next_working_day(self.day));
        }
        groups
    }

    fn case(&mut self) -> NamedRows {
        if self.pile.is_empty() {
            self.pile = (0..self.cases.len()).collect();
            self.rng.shuffle(&mut self.pile);
        }
        let case = &self.cases[self.pile.pop().expect("at least one case exists")];
        let mut group = RowGroup::new(&mut self.rng, &mut self.numbers, self.day);
        case.add_to(&mut group);
        (case.name, group.into_rows())
    }

    /// Visits without any relation, which fill the end of a file.
    fn filler(&mut self, rows: u64) -> NamedRows {
        let mut group = RowGroup::new(&mut self.rng, &mut self.numbers, self.day);
        for _ in 0..rows {
            let (doctor, patient) = (group.doctor(), group.patient());
            let row = group.visit(doctor, patient);
            group.push(row);
        }
        ("an unrelated visit", group.into_rows())
    }
}

/// Builds the rows of the case once to see what they expect.
fn breaks_a_rule(case: &Case, numbers: &mut PersonNumbers) -> bool {
    let mut rng = Rng::with_seed(0);
    let mut group = RowGroup::new(&mut rng, numbers, FIRST_DAY);
    case.add_to(&mut group);
    let rows = group.into_rows();
    rows.iter().flat_map(|row| &row.expected).any(|expected| !is_good(expected.outcome))
}

fn next_working_day(day: Date) -> Date {
    let next = day.tomorrow().expect("a file ends long before the year 9999");
    if next.weekday() == jiff::civil::Weekday::Sunday { next_working_day(next) } else { next }
}

/// Interleaves the rows of all groups at random. Each group keeps its order.
fn interleave(groups: Vec<NamedRows>, rng: &mut Rng) -> Vec<(&'static str, ClaimRow)> {
    let total = groups.iter().map(|(_, rows)| rows.len()).sum();
    let mut turns: Vec<usize> =
        groups.iter().enumerate().flat_map(|(index, (_, rows))| vec![index; rows.len()]).collect();
    rng.shuffle(&mut turns);
    let mut groups: Vec<_> =
        groups.into_iter().map(|(case, rows)| (case, rows.into_iter())).collect();
    let mut interleaved = Vec::with_capacity(total);
    for index in turns {
        let (case, rows) = &mut groups[index];
        interleaved.push((*case, rows.next().expect("each group has a turn for each row")));
    }
    interleaved
}
