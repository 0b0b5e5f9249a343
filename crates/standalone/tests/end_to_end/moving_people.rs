//! The invariant "everybody is in one line" (ARCHITECTURE.md) on real servers: people move between
//! three locations while the processor is killed, and everybody who has not left stands in exactly
//! one line.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use serde_json::json;
use testing::{http::ApiRequest, patience::eventually};

use crate::{
    installation::Installation,
    real_servers::TURN,
    scenarios::moves::{settled_move, transfer},
    world::{Site, World},
};

const PEOPLE: usize = 24;
const MOVES: usize = 4;
/// The processor is killed when so many moves have been asked for: moves are under way then.
const KILLS: [usize; 3] = [PEOPLE / 2, PEOPLE, PEOPLE * 3 / 2];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_processor_leaves_everybody_in_one_line() {
    let _turn = TURN.lock().await;
    let mut installation = Installation::start().await;
    let world = Arc::new(std::mem::replace(&mut installation.world, World::new(Vec::new(), "")));
    let sites = Arc::new([world.site().await, world.site().await, world.site().await]);
    // Moves to this queue are refused.
    world.moves(&sites[0], format!("/v1/queues/{}/close", sites[0].lab), json!({})).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let people: Vec<_> = (0..PEOPLE)
        .map(|person| {
            let (world, sites, asked) = (world.clone(), sites.clone(), asked.clone());
            tokio::spawn(async move { walk(&world, &sites, &asked, person).await })
        })
        .collect();
    for kill_at in KILLS {
        eventually("some moves", || async { (asked.load(Relaxed) >= kill_at).then_some(()) }).await;
        installation.kill_processors();
        installation.start_processors();
    }
    let mut expected = BTreeMap::new();
    for person in people {
        if let Some((ticket, queue)) = person.await.unwrap() {
            expected.insert(ticket, queue);
        }
    }
    assert!(expected.len() > PEOPLE / 2 && expected.len() < PEOPLE, "some have left, not all");
    let mut found = BTreeMap::new();
    for site in sites.iter() {
        for queue in [&site.general, &site.lab] {
            let line = world.read(&site.reception, format!("/v1/queues/{queue}")).await;
            let entries = line["entries"].as_object().expect("a line has entries");
            for ticket in entries.keys().filter(|key| *key != "queue") {
                let twice = found.insert(ticket.clone(), queue.clone());
                assert_eq!(twice, None, "a ticket in two lines");
            }
        }
    }
    assert_eq!(found, expected, "everybody is where the last answer said, and nobody else");
    let live = "SELECT count(*)::text FROM clinicwire.ticket WHERE unfinished";
    assert_eq!(installation.query(live).await, [expected.len().to_string()]);
    installation.stop().await;
}

/// One person takes a ticket, is moved again and again, and perhaps leaves. Returns the ticket and
/// the queue where the person must be at the end.
async fn walk(
    world: &World,
    sites: &[Site; 3],
    asked: &AtomicUsize,
    person: usize,
) -> Option<(String, String)> {
    let mut at = &sites[person % 3];
    let mut queue = at.general.clone();
    let mut ticket = world.issue(at, &queue).await.ticket;
    for step in 0..MOVES {
        let to = &sites[(person + step * (1 + person % 2) + 1) % 3];
        let target = match (person + step) % 5 {
            0 => format!("{}.nowhere", to.location),
            1 => to.lab.clone(),
            _ => to.general.clone(),
        };
        if to.location == at.location {
            continue;
        }
        asked.fetch_add(1, Relaxed);
        let outcome = settled_move(world, &transfer(at, &ticket, &target)).await;
        if outcome["outcome"] == "applied" {
            ticket = outcome["result"]["ticket"].as_str().expect("the successor").to_owned();
            (at, queue) = (to, target);
        } else {
            let code = outcome["code"].as_str().expect("a refusal has a code");
            let expected = ["queue_unknown", "queue_not_open", "move_timed_out"];
            assert!(expected.contains(&code), "{outcome}");
        }
    }
    if person % 4 == 3 {
        let leave = ApiRequest::post(&format!("/v1/tickets/{ticket}/leave"))
            .token(&at.reception)
            .key(&format!("leave-{person}"))
            .json(json!({}));
        let answer = world.api.settle(world.there(), leave).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        return None;
    }
    Some((ticket, queue))
}
