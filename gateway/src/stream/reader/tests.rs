use std::{collections::VecDeque, sync::Mutex};

use schemas::{
    command::CommandOutcome,
    ids::{CommandId, LocationId, RunId, TenantId},
};

use super::*;
use crate::{
    BoxFuture,
    backends::queries::{FindingsAsked, FindingsPage, ListedRun, RunsAsked},
};

/// What a place says, one answer per look; the last one again and again.
#[derive(Clone)]
enum Says {
    Version(u64),
    Absent,
    Emptied,
    Fails,
    Hangs,
}

struct Place(Mutex<VecDeque<Says>>);

impl Place {
    fn new(says: &[Says]) -> Arc<Self> {
        Arc::new(Self(Mutex::new(says.iter().cloned().collect())))
    }

    fn next(&self) -> Says {
        let mut says = self.0.lock().unwrap();
        if says.len() > 1 { says.pop_front().unwrap() } else { says[0].clone() }
    }
}

fn view(version: u64) -> View {
    View { position: position(version), ..View::empty(1) }
}

fn position(version: u64) -> Position {
    Position { epoch: 1, version }
}

impl Snapshots for Place {
    fn load<'a>(
        &'a self,
        _: &'a Aggregate,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Snapshot, NotRead>> {
        Box::pin(async {
            match self.next() {
                Says::Version(version) => Ok(Snapshot::Held(view(version))),
                Says::Absent => Ok(Snapshot::Absent),
                Says::Emptied => Ok(Snapshot::Emptied),
                Says::Fails => Err(NotRead("gone".into())),
                Says::Hangs => std::future::pending().await,
            }
        })
    }
}

impl Queries for Place {
    fn view<'a>(
        &'a self,
        _: &'a Aggregate,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<View>, NotRead>> {
        Box::pin(async {
            match self.next() {
                Says::Version(version) => Ok(Some(view(version))),
                Says::Absent | Says::Emptied => Ok(None),
                Says::Fails => Err(NotRead("gone".into())),
                Says::Hangs => std::future::pending().await,
            }
        })
    }

    fn outcome<'a>(
        &'a self,
        _: &'a TenantId,
        _: &'a CommandId,
    ) -> BoxFuture<'a, Result<Option<CommandOutcome>, NotRead>> {
        Box::pin(async { Ok(None) })
    }

    fn runs<'a>(
        &'a self,
        _: &'a TenantId,
        _: &'a RunsAsked,
    ) -> BoxFuture<'a, Result<Vec<ListedRun>, NotRead>> {
        unreachable!("a reader lists nothing")
    }

    fn findings<'a>(
        &'a self,
        _: &'a TenantId,
        _: &'a RunId,
        _: &'a FindingsAsked,
    ) -> BoxFuture<'a, Result<Option<FindingsPage>, NotRead>> {
        unreachable!("a reader lists nothing")
    }
}

async fn load(store: &[Says], authority: &[Says], floor: Option<u64>) -> Result<Option<u64>, Code> {
    let reader = Reader::new(Place::new(store), Place::new(authority));
    let aggregate = Aggregate::location(
        &TenantId::new("demo").unwrap(),
        &LocationId::new("riverside").unwrap(),
    );
    let found = reader.load(&aggregate, "board:riverside", floor.map(position)).await?;
    Ok(found.map(|view| view.position.version))
}

use Says::{Absent, Emptied, Fails, Hangs, Version};

#[tokio::test(start_paused = true)]
async fn the_store_is_enough_when_it_holds_the_view() {
    assert_eq!(load(&[Version(5)], &[Hangs], None).await, Ok(Some(5)));
    assert_eq!(load(&[Version(5)], &[Hangs], Some(5)).await, Ok(Some(5)));
}

#[tokio::test(start_paused = true)]
async fn the_authority_answers_for_a_store_that_is_behind_empty_or_silent() {
    for store in [Version(4), Absent, Emptied, Fails, Hangs] {
        assert_eq!(load(&[store], &[Version(5)], Some(5)).await, Ok(Some(5)));
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_authority_has_not_does_not_exist() {
    assert_eq!(load(&[Absent], &[Absent], None).await, Ok(None));
    assert_eq!(load(&[Emptied], &[Absent], Some(5)).await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_behind_is_asked_again() {
    let store = [Version(3), Version(4), Version(5)];
    assert_eq!(load(&store, &[Version(3)], Some(5)).await, Ok(Some(5)));
    assert_eq!(load(&[Fails], &[Fails, Fails, Version(7)], Some(5)).await, Ok(Some(7)));
}

#[tokio::test(start_paused = true)]
async fn nothing_older_than_the_floor_is_ever_the_answer() {
    let started = Instant::now();
    assert_eq!(load(&[Version(4)], &[Version(4)], Some(5)).await, Err(Code::TryAgain));
    assert_eq!(started.elapsed(), DEADLINE);
}

#[tokio::test(start_paused = true)]
async fn two_silent_places_mean_try_again_and_not_that_there_is_nothing() {
    assert_eq!(load(&[Hangs], &[Hangs], None).await, Err(Code::TryAgain));
    assert_eq!(load(&[Fails], &[Fails], None).await, Err(Code::TryAgain));
}
