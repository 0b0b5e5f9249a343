//! The history of one run as its follower sees it, and the promises of that history. Pure: each
//! view brings its time.

use schemas::{
    Millis,
    attempt::AttemptNumber,
    finding::Finding,
    run::{RunHead, RunProgress, RunState, SHOWN_FINDINGS},
};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::{breach::Breach, payloads::Entries};

/// The time of a view.
#[derive(Clone, Copy, Debug)]
pub struct ObservationTime {
    /// The append time of its record.
    pub at: Millis,
    /// The time of receipt, in µs since the Unix epoch.
    pub now_us: i64,
    /// Whether it is a publication and not the start of a subscription.
    pub live: bool,
}

/// A place in line: the number of runs before this one, by the record at that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinePlace {
    pub attempt: AttemptNumber,
    pub at: Millis,
    pub ahead: u32,
}

/// The run's history so far.
#[derive(Default)]
pub struct RunHistory {
    pub head: Option<RunHead>,
    progress: Option<RunProgress>,
    /// When each appeared first, in µs since the Unix epoch.
    pub progress_us: Option<i64>,
    pub finding_us: Option<i64>,
    pub end_us: Option<i64>,
    pub places: Vec<LinePlace>,
    /// The times of records that changed the progress.
    pub reports: Vec<Millis>,
    /// Live publications that changed nothing.
    pub unchanged: u64,
    over: Option<oneshot::Sender<()>>,
}

type BreachList = Vec<(Breach, String)>;

impl RunHistory {
    /// Signals `over` when the end is seen.
    #[must_use]
    pub fn new(over: oneshot::Sender<()>) -> Self {
        Self { over: Some(over), ..Self::default() }
    }

    /// Checks the view after a step, and returns the breaches.
    pub fn look(
        &mut self,
        before: &Entries,
        after: &Entries,
        seen: ObservationTime,
    ) -> Vec<(Breach, String)> {
        let mut found = BreachList::new();
        self.unchanged += u64::from(seen.live && before == after);
        if self.end_us.is_some() {
            if before != after {
                found.push((Breach::ChangedAfterEnd, "the run changed after its end".to_owned()));
            }
            return found;
        }
        let Some(head) = entry::<RunHead>(after, "run", &mut found) else {
            found.push((Breach::Malformed, "a run without its head".to_owned()));
            return found;
        };
        let same_attempt = self.head.as_ref().is_some_and(|held| held.attempt == head.attempt);
        if let Some(held) = &self.head {
            follows(held, &head, &mut found);
        }
        self.place(&head, seen, &mut found);
        self.progress(after, same_attempt, seen, &mut found);
        shown_findings(before, after, same_attempt, &mut found);
        if after.contains_key("finding:001") {
            self.finding_us.get_or_insert(seen.now_us);
        }
        if head.state.is_end() {
            self.end_us = Some(seen.now_us);
            // The receiver is gone when the wait timed out.
            let _ = self.over.take().map(|over| over.send(()));
        }
        self.head = Some(head);
        found
    }

    fn place(&mut self, head: &RunHead, seen: ObservationTime, found: &mut BreachList) {
        let Some(ahead) = head.ahead else { return };
        if head.state != RunState::Queued {
            found.push((
                Breach::Malformed,
                format!("a place in line while {}", head.state.as_str()),
            ));
        }
        let same = |held: &LinePlace| held.attempt == head.attempt && held.ahead == ahead;
        if !self.places.last().is_some_and(same) {
            self.places.push(LinePlace { attempt: head.attempt, at: seen.at, ahead });
        }
    }

    fn progress(
        &mut self,
        after: &Entries,
        same_attempt: bool,
        seen: ObservationTime,
        found: &mut BreachList,
    ) {
        let progress = entry::<RunProgress>(after, "progress", found);
        if let Some(new) = &progress {
            self.progress_us.get_or_insert(seen.now_us);
            if new.permille > 1000 {
                found.push((Breach::Malformed, format!("{} thousandths are done", new.permille)));
            }
        }
        if let (Some(held), Some(new), true) = (&self.progress, &progress, same_attempt) {
            let fell = new.permille < held.permille
                || new.rows_done < held.rows_done
                || new.bytes_done < held.bytes_done
                || new.phase < held.phase;
            if fell {
                let detail = format!(
                    "{} ‰ {:?} became {} ‰ {:?}",
                    held.permille, held.phase, new.permille, new.phase
                );
                found.push((Breach::ProgressFell, detail));
            }
        } else if let (Some(_), None, true) = (&self.progress, &progress, same_attempt) {
            found.push((Breach::ProgressFell, "the progress was taken back".to_owned()));
        }
        if progress.is_some() && progress != self.progress {
            self.reports.push(seen.at);
        }
        self.progress = progress;
    }

    /// The most records of progress in one second, and the longest time without one while the run
    /// was running.
    #[must_use]
    pub fn pace(&self) -> Option<(usize, Millis)> {
        let head = self.head.as_ref()?;
        let most = (0..self.reports.len()).map(|first| {
            let within = |at: &&Millis| **at < self.reports[first] + 1000;
            self.reports[first..].iter().take_while(within).count()
        });
        let mut times = self.reports.clone();
        times.extend([head.started_at?, head.ended_at?]);
        times.sort_unstable();
        let silence = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
        Some((most.max().unwrap_or(0), silence))
    }

    /// The number of times that the place in line rose within an attempt, and the largest rise,
    /// among the places after `since`. The first of these places may be older, so it is left out.
    #[must_use]
    pub fn rises(&self, since: Millis) -> (u64, u32) {
        let places: Vec<&LinePlace> =
            self.places.iter().filter(|place| place.at > since).skip(1).collect();
        let mut rises = (0, 0);
        for pair in places.windows(2) {
            if pair[0].attempt == pair[1].attempt && pair[1].ahead > pair[0].ahead {
                rises = (rises.0 + 1, rises.1.max(pair[1].ahead - pair[0].ahead));
            }
        }
        rises
    }
}

/// Reads an entry, if it exists.
fn entry<T: DeserializeOwned>(entries: &Entries, key: &str, found: &mut BreachList) -> Option<T> {
    match T::deserialize(entries.get(key)?) {
        Ok(entry) => Some(entry),
        Err(_) => {
            found.push((Breach::Malformed, format!("an entry {key} that cannot be read")));
            None
        }
    }
}

/// Checks that a head may follow another: an attempt never goes back, and a new attempt has a
/// higher number.
fn follows(held: &RunHead, head: &RunHead, found: &mut BreachList) {
    let later = head.attempt > held.attempt;
    let back = held.state == RunState::Running && head.state == RunState::Queued;
    if head.attempt < held.attempt || (back && !later) {
        let describe =
            |head: &RunHead| format!("{} in attempt {}", head.state.as_str(), head.attempt);
        found
            .push((Breach::StateWentBack, format!("{} became {}", describe(held), describe(head))));
    }
}

/// Checks that the first findings are numbered from 1, and stay within an attempt.
fn shown_findings(before: &Entries, after: &Entries, same_attempt: bool, found: &mut BreachList) {
    let taken_back =
        || first_findings(before).any(|(key, finding)| after.get(key) != Some(finding));
    if same_attempt && taken_back() {
        found.push((
            Breach::ProgressFell,
            "a finding that was shown is gone or another one".to_owned(),
        ));
    }
    let numbered = first_findings(after)
        .enumerate()
        .all(|(n, (key, _))| *key == format!("finding:{:03}", n + 1));
    if !numbered || first_findings(after).count() > SHOWN_FINDINGS {
        found.push((Breach::Malformed, "findings are not shown from 1 to 100".to_owned()));
    }
}

fn first_findings(entries: &Entries) -> impl Iterator<Item = (&String, &serde_json::Value)> {
    entries.iter().filter(|(key, _)| key.starts_with("finding:"))
}

/// Reads the first findings of the view.
///
/// # Errors
/// When a finding cannot be read.
pub fn findings_of(entries: &Entries) -> serde_json::Result<Vec<Finding>> {
    use serde::Deserialize;
    first_findings(entries).map(|(_, finding)| Finding::deserialize(finding)).collect()
}

#[cfg(test)]
mod tests;
