//! Puts a file together: days of practices and planted cases, their rows among each other.

use std::io::Write;

use anyhow::{Result, ensure};
use fastrand::Rng;
use jiff::civil::Date;

use super::{
    base::{FIRST_DAY, PATIENTS, Practice},
    cases::{self, Case, is_good},
    export::{Export, Format},
    line::Line,
    planted::Planted,
    stage::{Stage, Supply},
};

/// What a file is to hold.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub rows: u64,
    pub seed: u64,
    /// Cases for each row. With less than one for each case that there is, not all of them are planted.
    pub rate: f64,
    /// Whether cases that break a rule are planted, or only those just on the right side of one.
    pub violations: bool,
}

/// Rows a practice has in a file of many: about eighty of its days.
const ROWS_OF_A_PRACTICE: u64 = 1_500;
/// Scenes whose rows stand among each other, so that no group's rows are neighbours. All of one day, and each of a
/// doctor of its own: what comes first for a patient stays first.
const WOVEN: usize = 24;

/// Writes the file, and tells each thing planted in the order of the rows.
///
/// # Errors
/// When the file cannot be written, or what was planted cannot be kept.
pub fn generate<W: Write>(
    plan: Plan,
    format: Format,
    out: W,
    plant: &mut dyn FnMut(Planted) -> Result<()>,
) -> Result<W> {
    ensure!((0.0..=1.0).contains(&plan.rate), "a rate of cases lies between 0 and 1");
    let mut town = Town::new(plan);
    let mut export = Export::begin(out, format, plan.seed)?;
    while export.rows() < plan.rows {
        let scenes = town.scenes(plan.rows - export.rows());
        for (case, line) in woven(scenes, &mut town.rng) {
            export.write(&line)?;
            for expected in &line.expected {
                plant(Planted {
                    row: export.rows(),
                    rule: expected.rule.into(),
                    outcome: expected.outcome,
                    cents: expected.cents,
                    case: case.into(),
                })?;
            }
        }
    }
    export.end()
}

/// A scene's rows and what it shows.
type Scene = (&'static str, Vec<Line>);

/// All that is going on.
struct Town {
    rng: Rng,
    practices: Vec<Practice>,
    /// The practice whose day is next.
    next: usize,
    day: Date,
    supply: Supply,
    cases: Vec<Case>,
    /// Cases still to be planted before all begin again, by index.
    pile: Vec<usize>,
    rate: f64,
    /// Cases that are due; a fraction waits for more rows.
    due: f64,
}

impl Town {
    fn new(plan: Plan) -> Self {
        let count = (plan.rows / ROWS_OF_A_PRACTICE).max(5);
        let mut supply = Supply::after(count, count * PATIENTS);
        let mut cases = cases::all();
        if !plan.violations {
            cases.retain(|case| !breaks_a_rule(case, &mut supply));
        }
        Self {
            rng: Rng::with_seed(plan.seed),
            practices: (0..count).map(Practice::new).collect(),
            next: 0,
            day: FIRST_DAY,
            supply,
            cases,
            pile: Vec::new(),
            rate: plan.rate,
            due: 0.0,
        }
    }

    /// Some scenes of one day, of no more than `room` rows together and at least one row.
    fn scenes(&mut self, room: u64) -> Vec<Scene> {
        let (mut scenes, mut rows) = (Vec::new(), 0);
        while scenes.len() < WOVEN && self.next < self.practices.len() {
            let practice = &mut self.practices[self.next];
            self.next += 1;
            if self.rng.u8(..5) > 0 {
                let mut stage = Stage::new(&mut self.rng, &mut self.supply, self.day);
                practice.day(&mut stage);
                let lines = stage.done();
                rows += lines.len() as u64;
                scenes.push(("a day of a practice", lines));
            }
        }
        if rows > room {
            // The practices' patients have come in vain: nothing of them may follow, so the file ends with strangers.
            return vec![self.strangers(room)];
        }
        self.due += rows as f64 * self.rate;
        while self.due >= 1.0 {
            let (name, lines) = self.case();
            // Rows of cases call for cases too; fewer than one each, or there would be no end.
            self.due += lines.len() as f64 * self.rate.min(0.02) - 1.0;
            rows += lines.len() as u64;
            if rows > room {
                break;
            }
            scenes.push((name, lines));
        }
        if self.next == self.practices.len() {
            (self.next, self.day) = (0, next_working_day(self.day));
        }
        scenes
    }

    fn case(&mut self) -> Scene {
        if self.pile.is_empty() {
            self.pile = (0..self.cases.len()).collect();
            self.rng.shuffle(&mut self.pile);
        }
        let case = &self.cases[self.pile.pop().expect("there are cases of every sort")];
        let mut stage = Stage::new(&mut self.rng, &mut self.supply, self.day);
        case.put_on(&mut stage);
        (case.name, stage.done())
    }

    /// Visits that have nothing to do with each other.
    fn strangers(&mut self, rows: u64) -> Scene {
        let mut stage = Stage::new(&mut self.rng, &mut self.supply, self.day);
        for _ in 0..rows {
            let (doctor, patient) = (stage.doctor(), stage.patient());
            let line = stage.visit(doctor, patient);
            stage.push(line);
        }
        ("a stranger", stage.done())
    }
}

/// Tried out on a stage of its own.
fn breaks_a_rule(case: &Case, supply: &mut Supply) -> bool {
    let mut rng = Rng::with_seed(0);
    let mut stage = Stage::new(&mut rng, supply, FIRST_DAY);
    case.put_on(&mut stage);
    stage.done().iter().flat_map(|line| &line.expected).any(|expected| !is_good(expected.outcome))
}

fn next_working_day(day: Date) -> Date {
    let next = day.tomorrow().expect("a file ends long before the year 9999");
    if next.weekday() == jiff::civil::Weekday::Sunday { next_working_day(next) } else { next }
}

/// The rows of all scenes among each other, each scene's in its order.
fn woven(scenes: Vec<Scene>, rng: &mut Rng) -> Vec<(&'static str, Line)> {
    let total = scenes.iter().map(|(_, lines)| lines.len()).sum();
    let mut turns: Vec<usize> = scenes
        .iter()
        .enumerate()
        .flat_map(|(index, (_, lines))| vec![index; lines.len()])
        .collect();
    rng.shuffle(&mut turns);
    let mut scenes: Vec<_> =
        scenes.into_iter().map(|(case, lines)| (case, lines.into_iter())).collect();
    let mut rows = Vec::with_capacity(total);
    for index in turns {
        let (case, lines) = &mut scenes[index];
        rows.push((*case, lines.next().expect("as many turns as rows")));
    }
    rows
}
