//! The state of runs. Runs are kept for their retention. About the newest 400,000 findings are
//! kept, which is a hundred megabytes; a run whose findings were dropped lists none.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use gateway::backends::queries::{FindingPlace, FindingsQuery, ListedRun, RunsQuery};
use processors::{
    run::{RunRequest, RunRow, WorkChange},
    work::{Job, MAX_PLACES, RunPlace, WorkError, WorkItem, is_worth_sending},
};
use schemas::{
    Millis,
    attempt::AttemptNumber,
    command::Command,
    finding::Finding,
    ids::{FileId, RunId, TenantId},
    run::{RunHead, RunState},
    view::View,
};

/// Most findings over all runs. Past it the findings of the runs that ended first are dropped.
const KEPT_FINDINGS: usize = 400_000;

type Key = (TenantId, RunId);

#[derive(Default)]
pub(super) struct State {
    work: BTreeMap<Key, Row>,
    runs: BTreeMap<Key, RunEntry>,
    /// In list order.
    findings: HashMap<Key, Vec<(FindingPlace, Finding)>>,
    /// The runs with kept findings in the order of their ends, and the number of these findings.
    ended: VecDeque<Key>,
    kept: usize,
    /// The views of rule books.
    pub(super) rule_books: HashMap<(TenantId, String), View>,
    /// Counts queued and taken runs, so that two runs of one millisecond have an order.
    count: u64,
    /// The count at which each tenant's last run was taken.
    served: HashMap<TenantId, u64>,
}

/// Due work.
pub(super) struct Row {
    pub attempt: AttemptNumber,
    pub tries: u32,
    queued: u64,
    pub not_before: Millis,
    pub worker: Option<String>,
    pub lease_until: Option<Millis>,
    pub cancel: bool,
    ended: Option<Command>,
    pub told: Option<u32>,
    request: RunRequest,
}

struct RunEntry {
    head: RunHead,
    /// The file, while the run may still need it.
    file: Option<FileId>,
    until: Option<Millis>,
}

impl RunEntry {
    fn is_kept(&self, now: Millis) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl Row {
    fn waits(&self, now: Millis) -> bool {
        self.lease_until.is_none_or(|until| until < now)
    }
}

impl State {
    pub fn put(&mut self, row: &RunRow, now: Millis) {
        let run = row.aggregate.run_id().expect("a row of a run is of an aggregate that is one");
        let key = (row.aggregate.tenant(), run);
        let until = row.keep_s.map(|seconds| now + Millis::from(seconds) * 1000);
        self.runs.insert(
            key.clone(),
            RunEntry { head: row.head.clone(), file: row.needed_file().cloned(), until },
        );
        match row.work {
            WorkChange::Enqueue(attempt) => self.queue(key, attempt, &row.request, now),
            WorkChange::Cancel => {
                if let Some(row) = self.work.get_mut(&key) {
                    row.cancel = true;
                }
            }
            WorkChange::Unchanged => {}
            WorkChange::Remove => {
                self.work.remove(&key);
            }
        }
    }

    fn queue(&mut self, key: Key, attempt: AttemptNumber, request: &RunRequest, now: Millis) {
        if self.work.get(&key).is_some_and(|row| row.attempt >= attempt) {
            return;
        }
        self.count += 1;
        let row = Row {
            attempt,
            tries: 0,
            queued: self.count,
            not_before: now,
            worker: None,
            lease_until: None,
            cancel: false,
            ended: None,
            told: None,
            request: request.clone(),
        };
        self.work.insert(key, row);
    }

    /// The waiting runs in the order in which `Work::take` takes them.
    fn waiting(&self, now: Millis) -> Vec<Key> {
        let mut turns: HashMap<&TenantId, usize> = HashMap::new();
        for ((tenant, _), row) in &self.work {
            *turns.entry(tenant).or_default() += usize::from(!row.waits(now));
        }
        let mut waiting: Vec<_> = self.work.iter().filter(|(_, row)| row.waits(now)).collect();
        waiting.sort_by_key(|(_, row)| row.queued);
        let turned = waiting.into_iter().map(|(key, row)| {
            let turn = turns.entry(&key.0).or_default();
            *turn += 1;
            ((row.worker.is_none(), *turn, self.served.get(&key.0), row.queued), key)
        });
        let mut turned: Vec<_> = turned.collect();
        turned.sort();
        turned.into_iter().map(|(_, key)| key.clone()).collect()
    }

    pub fn take(
        &mut self,
        worker: &str,
        now: Millis,
        lease: Millis,
        resting: &BTreeSet<TenantId>,
    ) -> Option<WorkItem> {
        let is_due = |key: &Key| self.work[key].not_before <= now && !resting.contains(&key.0);
        let key = self.waiting(now).into_iter().find(is_due)?;
        let row = self.work.get_mut(&key)?;
        self.count += 1;
        self.served.insert(key.0.clone(), self.count);
        if row.ended.is_none() {
            if row.worker.is_some() {
                row.attempt = row.attempt.next();
            }
            row.tries += 1;
        }
        row.worker = Some(worker.to_owned());
        row.lease_until = Some(now + lease);
        row.told = None;
        let (tenant, run) = key;
        let (attempt, tries, request) = (row.attempt, row.tries, row.request.clone());
        let job = Job { tenant, run, worker: worker.to_owned(), attempt, tries, request };
        Some(match &row.ended {
            Some(command) => WorkItem::UnreportedEnd(job, Box::new(command.clone())),
            None => WorkItem::Attempt(job),
        })
    }

    /// The row, if it is under the lease of the job.
    pub fn held(&mut self, job: &Job) -> Result<&mut Row, WorkError> {
        let row = self.work.get_mut(&(job.tenant.clone(), job.run.clone()));
        let row = row
            .filter(|row| row.attempt == job.attempt && row.worker.as_deref() == Some(&job.worker));
        row.ok_or(WorkError::Lost)
    }

    /// The row, if it is under the lease of the job and has not ended.
    pub fn unended(&mut self, job: &Job) -> Result<&mut Row, WorkError> {
        self.held(job)
            .and_then(|row| if row.ended.is_none() { Ok(row) } else { Err(WorkError::Lost) })
    }

    pub fn end(
        &mut self,
        job: &Job,
        findings: Vec<Finding>,
        command: Command,
    ) -> Result<(), WorkError> {
        self.unended(job)?.ended = Some(command);
        let mut placed: Vec<_> = (1..)
            .zip(findings)
            .map(|(n, finding)| (FindingPlace { place: finding.sort_key(), n }, finding))
            .collect();
        placed.sort_by_key(|(place, _)| *place);
        let key = (job.tenant.clone(), job.run.clone());
        self.kept += placed.len();
        self.findings.insert(key.clone(), placed);
        self.ended.push_back(key);
        while self.kept > KEPT_FINDINGS
            && let Some(oldest) = self.ended.pop_front()
        {
            self.drop_findings(&oldest);
        }
        Ok(())
    }

    fn drop_findings(&mut self, key: &Key) {
        self.kept -= self.findings.remove(key).map_or(0, |findings| findings.len());
    }

    pub fn changed_places(&mut self, now: Millis) -> Vec<RunPlace> {
        let waiting = (0..).zip(self.waiting(now));
        let news = waiting.filter(|(ahead, key)| {
            let row = &self.work[key];
            row.worker.is_none() && is_worth_sending(row.told, *ahead)
        });
        let mut news: Vec<(u32, Key)> = news.collect();
        news.sort_by_key(|(ahead, key)| (self.work[key].told.is_some(), *ahead));
        news.truncate(MAX_PLACES);
        let mut tell = |(ahead, (tenant, run)): (u32, Key)| {
            let row = self.work.get_mut(&(tenant.clone(), run.clone()))?;
            row.told = Some(ahead);
            Some(RunPlace { tenant, run, attempt: row.attempt, ahead })
        };
        news.into_iter().filter_map(&mut tell).collect()
    }

    pub fn mark_unsent(&mut self, places: &[RunPlace]) {
        for place in places {
            if let Some(row) = self.work.get_mut(&(place.tenant.clone(), place.run.clone())) {
                row.told = None;
            }
        }
    }

    pub fn needs(&self, (tenant, file): &(TenantId, FileId)) -> bool {
        let ended = |key| self.work.get(key).is_some_and(|row| row.ended.is_some());
        let needs = |listed: &RunEntry| listed.file.as_ref() == Some(file);
        self.runs.iter().any(|(key, listed)| key.0 == *tenant && needs(listed) && !ended(key))
    }

    pub fn forget(&mut self, now: Millis) {
        let gone: Vec<Key> = self
            .runs
            .iter()
            .filter(|(_, listed)| !listed.is_kept(now))
            .map(|(key, _)| key.clone())
            .collect();
        for key in gone {
            self.runs.remove(&key);
            self.drop_findings(&key);
        }
        self.ended.retain(|key| self.findings.contains_key(key));
    }

    pub fn listed(&self, tenant: &TenantId, asked: &RunsQuery, now: Millis) -> Vec<ListedRun> {
        let mut runs: Vec<_> = self
            .runs
            .iter()
            .filter(|((of, run), listed)| {
                of == tenant
                    && listed.is_kept(now)
                    && asked.state.is_none_or(|state| listed.head.state == state)
                    && asked.owner.is_none_or(|owner| run.owner() == owner)
            })
            .map(|((_, run), listed)| ((listed.head.requested_at, run), listed))
            .filter(|((at, run), _)| {
                asked.after.as_ref().is_none_or(|(last, id)| (*at, *run) < (*last, id))
            })
            .collect();
        runs.sort_by(|(one, _), (other, _)| other.cmp(one));
        runs.truncate(asked.limit as usize);
        let shown = |((_, run), listed): ((_, &RunId), &RunEntry)| ListedRun {
            run: run.clone(),
            head: listed.head.clone(),
        };
        runs.into_iter().map(shown).collect()
    }

    pub fn findings(
        &self,
        tenant: &TenantId,
        run: &RunId,
        asked: &FindingsQuery,
        now: Millis,
    ) -> Option<Vec<(FindingPlace, Finding)>> {
        let key = (tenant.clone(), run.clone());
        let listed = self.runs.get(&key).filter(|listed| listed.is_kept(now))?;
        if listed.head.state != RunState::Completed {
            return Some(Vec::new());
        }
        let wanted = |(place, finding): &&(FindingPlace, Finding)| {
            asked.after.is_none_or(|after| *place > after)
                && (asked.severities.is_empty() || asked.severities.contains(&finding.severity))
                && asked.rule.as_ref().is_none_or(|rule| finding.rule == *rule)
        };
        let findings = self.findings.get(&key).into_iter().flatten();
        Some(findings.filter(wanted).take(asked.limit as usize).cloned().collect())
    }
}
