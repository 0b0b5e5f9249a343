//! An installation in memory in which runs are requested and observed.

use std::{collections::BTreeSet, fmt::Write, sync::Arc, time::Duration};

use bytes::Bytes;
use claims::tables::Tables;
use gateway::backends::queries::{FindingPlace, FindingsQuery, Queries};
use object_store::{ObjectStoreExt, path::Path};
use processors::{
    ledger::{JournalEntry, Ledger},
    log::Log,
    runner,
    work::Work,
    worker::{self, WorkerCounters},
};
use schemas::{
    command::Command,
    event::Event,
    finding::Finding,
    ids::{Aggregate, CommandId, FileId, RunId, TenantId},
    record::{CommandRecord, RUNS_TOPIC},
    reference::ReferenceTable,
    run::{RunFile, RunHead, RunReport, RunState},
    view::View,
};
use standalone::memory::{Clock, Memory};
use testing::patience::{PATIENCE, until};
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Instant, timeout},
};

use super::backends::Files;

/// The pause between two polls of a wait.
const LOOK: Duration = Duration::from_millis(10);

pub struct Office {
    pub memory: Memory,
    pub files: Arc<Files>,
    pub tenant: TenantId,
    work_signal: Arc<Notify>,
    runner: JoinHandle<()>,
    asked: std::sync::atomic::AtomicU32,
}

/// A requested run.
#[derive(Clone)]
pub struct RequestedRun {
    pub run: RunId,
    pub file: RunFile,
}

/// A running worker, until it is stopped or killed.
pub struct Worker {
    task: JoinHandle<()>,
    stop: Arc<Notify>,
    pub counters: Arc<WorkerCounters>,
}

impl Worker {
    /// Kills the worker like `kill -9`.
    pub async fn kill(self) {
        self.task.abort();
        drop(self.task.await);
    }

    /// Stops the worker like SIGTERM.
    pub async fn stop(self) {
        self.stop.notify_one();
        timeout(PATIENCE, self.task).await.expect("it stops in time").expect("it stops in order");
    }
}

/// A file of this many rows; every tenth cannot be read.
pub fn export(rows: usize) -> Bytes {
    let mut text = String::from(
        "#;Facture;Date de Service;Début;Fin;Lieu de pratique;Code;Unités;Élément de contexte;\
         Montant Preliminaire;Montant payé;Doctor Info;Patient\r\n",
    );
    for row in 1..=rows {
        let day = if row % 10 == 0 { "soon" } else { "2025-03-04" };
        let line = "09:00;09:10;51234;9999;1;;10,00;0,00;1234567-00001 | Test, Test - \
             Test;TEST12345678 - TEST, TEST";
        write!(text, "{row};123456789;{day};{line}\r\n").unwrap();
    }
    text.into()
}

impl Office {
    /// Starts an installation with a runner and without a worker.
    pub fn open() -> Self {
        // The clock follows the runtime's time, which a test may pause and advance.
        let begun = Instant::now();
        let clock: Clock = Arc::new(move || {
            1_760_000_000_000 + i64::try_from(begun.elapsed().as_millis()).unwrap()
        });
        let memory = Memory::new(clock);
        memory.runs_ledger.keep_journal();
        let work_signal = Arc::new(Notify::new());
        let settings = runner::RunnerSettings {
            work_signals: vec![Arc::clone(&work_signal)],
            ..runner::RunnerSettings::new(RUNS_TOPIC)
        };
        let running = runner::run(memory.runs(), settings, std::future::pending());
        let runner = tokio::spawn(async move { running.await.expect("the log is there") });
        let tenant = TenantId::new("one").unwrap();
        Self { memory, files: Files::new(), tenant, work_signal, runner, asked: 0.into() }
    }

    /// Starts a worker; `set` may replace its backends and settings.
    pub fn worker(
        &self,
        set: impl FnOnce(&mut worker::WorkerBackends, &mut worker::WorkerSettings),
    ) -> Worker {
        let mut backends = worker::WorkerBackends {
            work: self.memory.work.clone(),
            log: self.memory.runs_log.clone(),
            files: self.files.clone(),
            work_signal: Arc::clone(&self.work_signal),
        };
        let name =
            format!("worker-{}", self.asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
        let mut settings = worker::WorkerSettings::new(name, Arc::new(Tables::empty()));
        set(&mut backends, &mut settings);
        let (counters, stop) = (Arc::clone(&settings.counters), Arc::new(Notify::new()));
        let stopped = Arc::clone(&stop);
        let task =
            tokio::spawn(worker::run(backends, settings, async move { stopped.notified().await }));
        Worker { task, stop, counters }
    }

    /// Starts a worker with a short lease, so that its runs are taken over soon after a kill. A
    /// busy machine must not miss the lease, so it is not shorter than this.
    pub fn mortal_worker(&self) -> Worker {
        self.worker(|_, settings| settings.lease = Duration::from_secs(2))
    }

    fn number(&self) -> u128 {
        u128::from(self.asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst))
    }

    /// Uploads a file and its label.
    pub async fn upload(&self, content: Bytes) -> RunFile {
        let file = FileId::from_random(self.number());
        let path = file.path(&self.tenant);
        let bytes = content.len() as u64;
        self.files.put(&Path::from(path.clone()), content.into()).await.unwrap();
        self.files.put(&Path::from(format!("{path}.json")), "{}".into()).await.unwrap();
        RunFile { file, name: "mars.csv".into(), bytes, sha256: "0".repeat(64) }
    }

    pub async fn is_kept(&self, file: &RunFile) -> bool {
        let path = file.file.path(&self.tenant);
        let there = async |path: String| self.files.head(&Path::from(path)).await.is_ok();
        let (file, label) = (there(path.clone()).await, there(format!("{path}.json")).await);
        assert_eq!(file, label, "a file goes with its label");
        file
    }

    pub async fn removed(&self, file: &RunFile) {
        until("the file is removed", async || !self.is_kept(file).await).await;
    }

    pub async fn say(&self, run: &RunId, command: Command) {
        self.say_to(&Aggregate::run(&self.tenant, run), command).await;
    }

    pub async fn say_to(&self, aggregate: &Aggregate, command: Command) {
        let record = CommandRecord {
            aggregate: aggregate.clone(),
            id: CommandId::new(format!("c-{}", self.number())).unwrap(),
            source: "test".into(),
            fingerprint: None,
            valid_until: None,
            actor: None,
            command,
        };
        Log::append(&*self.memory.runs_log, &[(RUNS_TOPIC, record.to_wire())]).await.unwrap();
    }

    /// Waits until the rule book of the tenant has this version.
    pub async fn until_rules(&self, version: u64) {
        until("the rules are stored", async || {
            let stored = self.memory.work.rules(&self.tenant, None).await.unwrap();
            stored.expect("nothing is known").position.version == version
        })
        .await;
    }

    /// Waits until the stored table of codes has this version.
    pub async fn until_codes(&self, version: u64) {
        until("the table is stored", async || {
            let stored = self.memory.work.table(&self.tenant, ReferenceTable::Codes, None);
            stored.await.unwrap().expect("nothing is known").position.version == version
        })
        .await;
    }

    /// Requests a check of the file.
    pub async fn ask(&self, file: RunFile) -> RequestedRun {
        let run = RunId::from_parts(7, self.number());
        self.say(&run, Command::RequestRun { file: file.clone(), list_passes: false, keep_s: 600 })
            .await;
        RequestedRun { run, file }
    }

    /// Requests a check of a file of this many rows.
    pub async fn ask_for(&self, rows: usize) -> RequestedRun {
        self.ask(self.upload(export(rows)).await).await
    }

    pub async fn view(&self, asked: &RequestedRun) -> Option<View> {
        let name = (Aggregate::run(&self.tenant, &asked.run), format!("run:{}", asked.run));
        Ledger::view(&*self.memory.runs_ledger, &name).await.unwrap().map(|(view, _)| view)
    }

    pub async fn head(&self, asked: &RequestedRun) -> Option<RunHead> {
        let view = self.view(asked).await?;
        Some(serde_json::from_str(view.entries["run"].get()).unwrap())
    }

    /// Waits until the view of the run satisfies the condition.
    pub async fn until(
        &self,
        asked: &RequestedRun,
        what: &str,
        seen: impl Fn(&RunHead) -> bool,
    ) -> RunHead {
        let seen = async {
            loop {
                match self.head(asked).await {
                    Some(head) if seen(&head) => return head,
                    _ => tokio::time::sleep(LOOK).await,
                }
            }
        };
        match timeout(PATIENCE, seen).await {
            Ok(head) => head,
            Err(_) => panic!("{what}: did not happen; {:?}", self.events(asked).len()),
        }
    }

    pub async fn until_state(&self, asked: &RequestedRun, state: RunState) -> RunHead {
        self.until(asked, state.as_str(), |head| head.state == state).await
    }

    /// Waits until a worker has read the first half of the file and waits for the rest.
    pub async fn until_half_read(&self, times: u32) {
        let mut waiting = self.files.waiting.subscribe();
        let waits = waiting.wait_for(|waiting| *waiting >= times);
        drop(
            timeout(PATIENCE, waits).await.expect("the file is read").expect("the store is there"),
        );
    }

    pub async fn findings(&self, asked: &RequestedRun) -> Vec<(FindingPlace, Finding)> {
        let all = FindingsQuery { limit: 1_000_000, ..FindingsQuery::default() };
        self.memory
            .queries()
            .findings(&self.tenant, &asked.run, &all)
            .await
            .unwrap()
            .expect("the run is there")
    }

    /// The events of the run, in order.
    pub fn events(&self, asked: &RequestedRun) -> Vec<Event> {
        let aggregate = Aggregate::run(&self.tenant, &asked.run);
        let journal = self.memory.runs_ledger.journal().into_iter().map(|(_, row)| row);
        let ours =
            journal.filter(|row| row.command.as_ref().is_some_and(|(of, ..)| *of == aggregate));
        let events = ours.filter_map(|row| match row.entry {
            JournalEntry::Applied { events, .. } => Some(events),
            JournalEntry::Refused { .. } | JournalEntry::Repeated | JournalEntry::Parked { .. } => {
                None
            }
        });
        events.flatten().collect()
    }

    /// The reports of the run's last attempt.
    pub fn reports(&self, asked: &RequestedRun) -> Vec<RunReport> {
        let events = self.events(asked);
        let last = events.iter().rposition(|event| matches!(event, Event::RunStarted { .. }));
        let reports = events.into_iter().skip(last.unwrap_or_default());
        let report =
            |event| if let Event::RunReported { report } = event { Some(report) } else { None };
        reports.filter_map(report).collect()
    }

    /// The number of ends of the run; never more than one.
    pub fn ends(&self, asked: &RequestedRun) -> usize {
        let is_end = |event: &Event| {
            matches!(
                event,
                Event::RunCompleted { .. } | Event::RunFailed { .. } | Event::RunCancelled
            )
        };
        self.events(asked).iter().filter(|event| is_end(event)).count()
    }

    /// Whether no work is left.
    pub async fn is_idle(&self) -> bool {
        let nobody = BTreeSet::new();
        self.memory.work.take("nobody", Duration::ZERO, &nobody).await.unwrap().is_none()
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        self.runner.abort();
    }
}
