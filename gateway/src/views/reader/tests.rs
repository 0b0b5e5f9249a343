use std::{collections::VecDeque, sync::Mutex};

use schemas::{
    identity::CommandIdentity,
    ids::{LocationId, TenantId},
};

use super::*;
use crate::{BoxFuture, backends::queries::RecordedOutcome};

/// One answer of a scripted backend.
#[derive(Clone)]
enum Answer {
    Version(u64),
    Absent,
    Suspect,
    Fails,
    Hangs,
}

/// A store or an authority with one answer per attempt. The last answer repeats.
struct ScriptedBackend {
    answers: Mutex<VecDeque<Answer>>,
    /// How many views the store lacks, as the authority knows.
    lagging: Mutex<u32>,
}

impl ScriptedBackend {
    fn new(answers: &[Answer]) -> Arc<Self> {
        let answers = Mutex::new(answers.iter().cloned().collect());
        Arc::new(Self { answers, lagging: Mutex::default() })
    }

    fn next(&self) -> Answer {
        let mut answers = self.answers.lock().unwrap();
        if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() }
    }
}

fn view(version: u64) -> View {
    View { position: position(version), ..View::empty(1) }
}

fn position(version: u64) -> Position {
    Position { epoch: 1, version }
}

impl Snapshots for ScriptedBackend {
    fn load<'a>(
        &'a self,
        _: &'a Aggregate,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Snapshot, NotRead>> {
        Box::pin(async {
            match self.next() {
                Answer::Version(version) => Ok(Snapshot::Held(view(version))),
                Answer::Absent => Ok(Snapshot::Absent),
                Answer::Suspect => Ok(Snapshot::Suspect),
                Answer::Fails => Err(NotRead("gone".into())),
                Answer::Hangs => std::future::pending().await,
            }
        })
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), NotRead>> {
        Box::pin(self.answer_probe())
    }
}

impl ScriptedBackend {
    async fn answer_probe(&self) -> Result<(), NotRead> {
        match self.next() {
            Answer::Fails => Err(NotRead("gone".into())),
            Answer::Hangs => std::future::pending().await,
            _ => Ok(()),
        }
    }
}

impl Queries for ScriptedBackend {
    fn view<'a>(
        &'a self,
        _: &'a Aggregate,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<View>, NotRead>> {
        Box::pin(async {
            match self.next() {
                Answer::Version(version) => Ok(Some(view(version))),
                Answer::Absent | Answer::Suspect => Ok(None),
                Answer::Fails => Err(NotRead("gone".into())),
                Answer::Hangs => std::future::pending().await,
            }
        })
    }

    fn lagging(&self, most: u32) -> BoxFuture<'_, Result<Vec<Aggregate>, NotRead>> {
        Box::pin(async move {
            self.answer_probe().await?;
            let lagging = *self.lagging.lock().unwrap();
            Ok(vec![aggregate(); lagging.min(most) as usize])
        })
    }

    fn outcome<'a>(
        &'a self,
        _: &'a CommandIdentity,
    ) -> BoxFuture<'a, Result<Option<RecordedOutcome>, NotRead>> {
        Box::pin(async { Ok(None) })
    }

    crate::backends::queries::fake::no_lists!();
}

fn reader(store: &[Answer], authority: &[Answer]) -> (ViewReader, Readiness) {
    let (store, authority) = (ScriptedBackend::new(store), ScriptedBackend::new(authority));
    let readiness = Readiness::default();
    (ViewReader::new(store, authority, Arc::default(), &readiness), readiness)
}

fn aggregate() -> Aggregate {
    Aggregate::location(&TenantId::new("demo").unwrap(), &LocationId::new("riverside").unwrap())
}

async fn fetch_for(reader: &ViewReader, goal: FetchGoal) -> Result<Option<u64>, Code> {
    let found = reader.fetch(&aggregate(), "board:riverside", goal).await?;
    Ok(found.map(|view| view.position.version))
}

async fn fetch(
    store: &[Answer],
    authority: &[Answer],
    floor: Option<u64>,
) -> Result<Option<u64>, Code> {
    let goal = FetchGoal { floor: floor.map(position), ..FetchGoal::default() };
    fetch_for(&reader(store, authority).0, goal).await
}

use Answer::{Absent, Fails, Hangs, Suspect, Version};

#[tokio::test(start_paused = true)]
async fn store_alone_answers_when_it_is_current() {
    assert_eq!(fetch(&[Version(5)], &[Hangs], None).await, Ok(Some(5)));
    assert_eq!(fetch(&[Version(5)], &[Hangs], Some(5)).await, Ok(Some(5)));
}

#[tokio::test(start_paused = true)]
async fn authority_answers_when_the_store_does_not() {
    for store in [Version(4), Absent, Suspect, Fails, Hangs] {
        assert_eq!(fetch(&[store], &[Version(5)], Some(5)).await, Ok(Some(5)));
    }
}

#[tokio::test(start_paused = true)]
async fn ticket_is_as_recent_as_its_view() {
    let ticket = async |store, authority| {
        let goal = FetchGoal { floor: Some(position(5)), ..FetchGoal::default() };
        let (queue, ticket) = (
            QueueId::new("riverside.general"),
            TicketId::new("riverside.00000000000000000000000000000001"),
        );
        let (reader, _) = reader(&[store], &[authority]);
        let found = reader.ticket(&aggregate(), &queue.unwrap(), &ticket.unwrap(), goal).await?;
        Ok(found.map(|found| found.position.version))
    };
    assert_eq!(ticket(Version(5), Hangs).await, Ok(Some(5)));
    for store in [Version(4), Absent, Suspect, Fails, Hangs] {
        assert_eq!(ticket(store, Version(6)).await, Ok(Some(6)));
    }
    assert_eq!(ticket(Absent, Absent).await, Ok(None));
    assert_eq!(ticket(Version(4), Version(4)).await, Err(Code::TryAgain));
}

#[tokio::test(start_paused = true)]
async fn view_absent_from_the_authority_does_not_exist() {
    assert_eq!(fetch(&[Absent], &[Absent], None).await, Ok(None));
    assert_eq!(fetch(&[Suspect], &[Absent], Some(5)).await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn absence_ends_when_the_aggregate_changes() {
    let seen_at = |version| FetchGoal { seen: Some(position(version)), ..FetchGoal::default() };
    let (reader, _) = reader(&[Absent, Version(5)], &[Absent]);
    assert_eq!(fetch_for(&reader, seen_at(4)).await, Ok(None));
    assert_eq!(fetch_for(&reader, seen_at(4)).await, Ok(None), "nothing is read");
    let claim = FetchGoal { claim: Some(position(5)), ..seen_at(4) };
    assert_eq!(fetch_for(&reader, claim).await, Ok(Some(5)), "a claim is looked into");
    assert_eq!(fetch_for(&reader, seen_at(5)).await, Ok(Some(5)));
}

#[tokio::test(start_paused = true)]
async fn cancelled_load_frees_its_turn() {
    let (reader, _) = reader(&[Version(5)], &[Hangs]);
    let turns: Vec<_> = (0..LOADS).map(|_| reader.loads.try_acquire().unwrap()).collect();
    let started = Instant::now();
    assert_eq!(fetch_for(&reader, FetchGoal::default()).await, Err(Code::TryAgain));
    assert_eq!((started.elapsed(), reader.waiting.load(Ordering::Relaxed)), (DEADLINE, 0));
    reader.waiting.store(MAX_WAITING_LOADS, Ordering::Relaxed);
    let started = Instant::now();
    assert_eq!(fetch_for(&reader, FetchGoal::default()).await, Err(Code::TryAgain));
    assert_eq!(started.elapsed(), Duration::ZERO, "too many wait");
    drop(turns);
    assert_eq!(fetch_for(&reader, FetchGoal::default()).await, Ok(Some(5)));
}

#[tokio::test(start_paused = true)]
async fn backends_that_are_behind_are_asked_again() {
    let store = [Version(3), Version(4), Version(5)];
    assert_eq!(fetch(&store, &[Version(3)], Some(5)).await, Ok(Some(5)));
    assert_eq!(fetch(&[Fails], &[Fails, Fails, Version(7)], Some(5)).await, Ok(Some(7)));
}

#[tokio::test(start_paused = true)]
async fn view_older_than_the_floor_is_never_returned() {
    let started = Instant::now();
    assert_eq!(fetch(&[Version(4)], &[Version(4)], Some(5)).await, Err(Code::TryAgain));
    assert_eq!(started.elapsed(), DEADLINE);
}

#[tokio::test(start_paused = true)]
async fn two_silent_backends_mean_try_again() {
    assert_eq!(fetch(&[Hangs], &[Hangs], None).await, Err(Code::TryAgain));
    assert_eq!(fetch(&[Fails], &[Fails], None).await, Err(Code::TryAgain));
}

#[tokio::test(start_paused = true)]
async fn claim_beyond_the_store_asks_the_authority() {
    let fetch = async |store: &[Answer], authority: &[Answer], claim| {
        let goal = FetchGoal { claim: Some(position(claim)), ..FetchGoal::default() };
        fetch_for(&reader(store, authority).0, goal).await
    };
    assert_eq!(fetch(&[Version(5)], &[Hangs], 5).await, Ok(Some(5)), "the store is not behind");
    assert_eq!(fetch(&[Version(5)], &[Version(8)], 7).await, Ok(Some(8)));
    assert_eq!(fetch(&[Version(5)], &[Version(6)], 99).await, Ok(Some(6)), "a false claim");
    assert_eq!(fetch(&[Version(5)], &[Fails], 7).await, Ok(Some(5)), "nobody can confirm it");
}

/// The aggregate began an epoch because its database was restored.
#[tokio::test(start_paused = true)]
async fn view_that_only_the_store_has_ends_with_its_epoch() {
    let goal =
        |epoch| FetchGoal { seen: Some(Position { epoch, version: 9 }), ..Default::default() };
    let fetch = async |store, authority, epoch| {
        fetch_for(&reader(&[store], &[authority]).0, goal(epoch)).await
    };
    assert_eq!(fetch(Version(5), Hangs, 1).await, Ok(Some(5)), "no epoch has begun");
    assert_eq!(fetch(Version(5), Absent, 2).await, Ok(None), "lost with the database");
    assert_eq!(fetch(Version(5), Version(3), 2).await, Ok(Some(3)), "not copied yet");
    assert_eq!(fetch(Version(5), Fails, 2).await, Err(Code::TryAgain));
    let (queue, ticket) = (
        QueueId::new("riverside.general").unwrap(),
        TicketId::new("riverside.00000000000000000000000000000001").unwrap(),
    );
    let (reader, _) = reader(&[Version(5)], &[Absent]);
    let found = reader.ticket(&aggregate(), &queue, &ticket, goal(2)).await.unwrap();
    assert_eq!(found.map(|found| found.position), None);
}

#[tokio::test(start_paused = true)]
async fn store_that_missed_steps_is_not_asked() {
    let goal = FetchGoal { from_authority: true, ..FetchGoal::default() };
    let (reader, _) = reader(&[Version(9)], &[Version(5)]);
    assert_eq!(fetch_for(&reader, goal).await, Ok(Some(5)));
}

/// The store is full: it takes no step, and answers with what it had.
#[tokio::test(start_paused = true)]
async fn store_that_lags_behind_an_aggregate_is_not_asked_about_it() {
    let (store, authority) =
        (ScriptedBackend::new(&[Version(9)]), ScriptedBackend::new(&[Version(5)]));
    let reader =
        Arc::new(ViewReader::new(store, authority.clone(), Arc::default(), &Readiness::default()));
    let of = async |aggregate: &Aggregate| {
        let found = reader.fetch(aggregate, "board:here", FetchGoal::default()).await.unwrap();
        found.unwrap().position.version
    };
    let other = Aggregate::parse("demo/elsewhere").unwrap();
    let watching = reader.clone();
    let watched = tokio::spawn(async move { watching.watch().await });
    // How many views lag, and who answers about each of the two aggregates a second later.
    for (views, expected) in [(0, (9, 9)), (2, (5, 9)), (lagging::MOST, (5, 5)), (0, (9, 9))] {
        *authority.lagging.lock().unwrap() = views;
        tokio::time::sleep(PROBE_EVERY * 2).await; // simulated time of a probe
        assert_eq!((of(&aggregate()).await, of(&other).await), expected, "{views}");
    }
    *authority.lagging.lock().unwrap() = 2;
    tokio::time::sleep(PROBE_EVERY * 2).await; // simulated time of a probe
    *authority.answers.lock().unwrap() = [Fails].into();
    tokio::time::sleep(PROBE_EVERY * 2).await; // simulated time of a probe
    let found = reader.fetch(&aggregate(), "board:here", FetchGoal::default()).await;
    assert_eq!(found.map(drop), Err(Code::TryAgain), "what lagged still lags");
    watched.abort();
}

#[tokio::test(start_paused = true)]
async fn node_that_starts_without_its_authority_trusts_the_store() {
    let (store, authority) = (ScriptedBackend::new(&[Version(9)]), ScriptedBackend::new(&[Fails]));
    let reader = Arc::new(ViewReader::new(store, authority, Arc::default(), &Readiness::default()));
    let watching = reader.clone();
    let watched = tokio::spawn(async move { watching.watch().await });
    tokio::time::sleep(PROBE_EVERY).await; // simulated time of a probe
    assert_eq!(fetch_for(&reader, FetchGoal::default()).await, Ok(Some(9)));
    watched.abort();
}

#[tokio::test(start_paused = true)]
async fn store_that_hangs_costs_three_fetches_their_wait() {
    let (reader, readiness) = reader(&[Hangs], &[Version(5)]);
    let mut waits = Vec::new();
    for _ in 0..6 {
        let started = Instant::now();
        assert_eq!(fetch_for(&reader, FetchGoal::default()).await, Ok(Some(5)));
        waits.push(started.elapsed());
    }
    assert_eq!(waits, [[STORE_TIMEOUT; 3], [Duration::ZERO; 3]].concat());
    assert!(readiness.holds(Condition::StoreDown));
}

#[tokio::test(start_paused = true)]
async fn probes_notice_that_servers_go_and_return() {
    let answers = [Fails, Fails, Fails, Hangs, Version(1)];
    let (reader, readiness) = reader(&answers, &[Version(1), Fails]);
    let watched = tokio::spawn(async move { reader.watch().await });
    tokio::time::sleep(Duration::from_millis(2_500)).await; // simulated time of three probes
    assert!(readiness.holds(Condition::StoreDown));
    tokio::time::sleep(Duration::from_secs(5)).await; // simulated time of two more
    assert!(!readiness.holds(Condition::StoreDown));
    assert!(readiness.holds(Condition::AuthorityDown));
    watched.abort();
}
