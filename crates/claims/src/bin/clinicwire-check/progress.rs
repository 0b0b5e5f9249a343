//! Shows progress on standard error: a bar on a terminal, one line per second in a pipe.

use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use claims::check::CheckStep;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use schemas::{language::Language, run::FindingCounts};

use super::{args::Args, output::count};

/// Time between two lines in a pipe: often enough to see progress, rarely enough for a log.
const BETWEEN_LINES: Duration = Duration::from_secs(1);
/// Time between two states of the bar. Faster changes cannot be read.
const BETWEEN_STATES: Duration = Duration::from_millis(100);
/// Time before a remaining time is shown. A rate over less is a guess.
const BEFORE_GUESSING: Duration = Duration::from_secs(2);

pub struct ProgressReporter {
    shown: ProgressDisplay,
    language: Language,
    bytes: Option<u64>,
    started: Instant,
    /// When to show the next state.
    next: Instant,
}

enum ProgressDisplay {
    Bar(ProgressBar),
    Lines,
    Nothing,
}

impl ProgressReporter {
    /// Progress through a file of `bytes`, when the size is known.
    pub fn new(args: &Args, bytes: Option<u64>) -> Self {
        let started = Instant::now();
        let (shown, next) = if args.quiet {
            (ProgressDisplay::Nothing, started)
        } else if io::stderr().is_terminal() {
            (ProgressDisplay::Bar(bar(bytes)), started)
        } else {
            (ProgressDisplay::Lines, started + BETWEEN_LINES)
        };
        Self { shown, language: args.language(), bytes, started, next }
    }

    pub fn show(&mut self, step: &CheckStep, rows: u64, bytes: u64, counts: FindingCounts) {
        let now = Instant::now();
        if now < self.next {
            return;
        }
        match &self.shown {
            ProgressDisplay::Bar(bar) => {
                bar.set_position(bytes);
                bar.set_message(self.text(step, rows, counts, self.left(bar)));
                self.next = now + BETWEEN_STATES;
            }
            ProgressDisplay::Lines => {
                let part = self.bytes.filter(|all| *all > 0).map(|all| bytes * 100 / all);
                let part = part.map(|percent| format!("{percent} % · ")).unwrap_or_default();
                eprintln!("{part}{}", self.text(step, rows, counts, None));
                self.next = now + BETWEEN_LINES;
            }
            ProgressDisplay::Nothing => {}
        }
    }

    /// Runs `write` while the bar is hidden, when both use the same terminal.
    pub fn beside<T>(&self, same_terminal: bool, write: impl FnOnce() -> T) -> T {
        match &self.shown {
            ProgressDisplay::Bar(bar) if same_terminal => bar.suspend(write),
            _ => write(),
        }
    }

    pub fn end(&self) {
        if let ProgressDisplay::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }

    fn text(
        &self,
        step: &CheckStep,
        rows: u64,
        counts: FindingCounts,
        left: Option<u64>,
    ) -> String {
        let rate = (rows as f64 / self.started.elapsed().as_secs_f64().max(0.001)) as u64;
        let numbers = [rows, rate, counts.error, counts.warning + counts.optimisation];
        let [rows, rate, errors, advice] = numbers.map(|number| count(number, self.language));
        let french = self.language == Language::French;
        let found = if french {
            format!("{rows} lignes · erreurs\u{a0}: {errors} · autres constats\u{a0}: {advice}")
        } else {
            format!("{rows} rows · errors: {errors} · other findings: {advice}")
        };
        let pace = match left {
            _ if *step != CheckStep::Reading => if french { "totaux…" } else { "totals…" }.into(),
            None => format!("{rate}/s"),
            Some(seconds) if french => format!("{rate}/s · reste {seconds} s"),
            Some(seconds) => format!("{rate}/s · {seconds} s left"),
        };
        format!("{found} · {pace}")
    }

    /// Seconds to the end, when they can be estimated.
    fn left(&self, bar: &ProgressBar) -> Option<u64> {
        let guessing = self.bytes.is_none() || self.started.elapsed() < BEFORE_GUESSING;
        (!guessing).then(|| bar.eta().as_secs() + 1)
    }
}

fn bar(bytes: Option<u64>) -> ProgressBar {
    let template =
        if bytes.is_some() { "{bar:24} {percent:>3} %  {msg}" } else { "{spinner}  {msg}" };
    let style = ProgressStyle::with_template(template)
        .expect("a template of this file")
        .progress_chars("━╸─");
    ProgressBar::with_draw_target(bytes, ProgressDrawTarget::stderr()).with_style(style)
}
