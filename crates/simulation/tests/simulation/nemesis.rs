//! The faults of a run, one after another, until the run heals.

use std::{rc::Rc, sync::atomic::Ordering::SeqCst, time::Duration};

use fastrand::Rng;
use standalone::memory::MemoryViews;
use tokio::time::{Instant, sleep};

use crate::{
    backends::POINTS,
    network::{Cut, Moment, Process, Server},
    plan::FaultKind,
    world::World,
};

pub async fn run(world: Rc<World>, until: Instant) {
    let mut rng = world.plan.stream("nemesis");
    let kinds: Vec<FaultKind> = world.plan.faults.iter().copied().collect();
    let mut saved = None;
    while Instant::now() < until && !kinds.is_empty() {
        sleep(Duration::from_millis(rng.u64(100..4_000))).await;
        let kind = kinds[rng.usize(..kinds.len())];
        match kind {
            FaultKind::StoreLoss => {
                world.trace.note("the store", "loses everything");
                world.memory.views.flush();
            }
            FaultKind::OldStore => age_store(&world, &mut saved),
            kind => strike(&world, kind, &mut rng),
        }
    }
}

/// Saves the store, or brings the saved one back.
fn age_store(world: &World, saved: &mut Option<standalone::memory::SavedViews>) {
    let views: &MemoryViews = &world.memory.views;
    match saved.take() {
        None => *saved = Some(views.save()),
        Some(old) => {
            world.trace.note("the store", "restarts with old data");
            views.restart_from(old);
        }
    }
}

fn strike(world: &World, kind: FaultKind, rng: &mut Rng) {
    match kind {
        FaultKind::Crash => {
            let Some(process) = any_process(world, rng) else { return };
            if rng.u8(..4) == 0 {
                return process.die("at once");
            }
            let point = POINTS[rng.usize(..POINTS.len())];
            let moment = if rng.bool() { Moment::Before } else { Moment::After };
            process.note(format_args!("is to die {moment:?} {point}"));
            process.die_at(point, moment);
        }
        FaultKind::Restart => {
            let stops = world.stops.borrow();
            let asked: Vec<_> = stops.iter().collect();
            if !asked.is_empty() {
                let (name, stop) = asked[rng.usize(..asked.len())];
                world.trace.note(name, "is asked to stop");
                stop.notify_one();
            }
        }
        FaultKind::Cut => {
            let Some(process) = any_process(world, rng) else { return };
            let server = Server::ALL[rng.usize(..Server::ALL.len())];
            let cut = [Cut::Refused, Cut::Silent, Cut::OneWay][rng.usize(..3)];
            process.cut(server, cut, Duration::from_millis(rng.u64(100..15_000)));
        }
        FaultKind::Rebalance => world.broker.rebalance(),
        FaultKind::ClockStep => step_clock(world, rng),
        FaultKind::SlowDisk => {
            let server = Server::ALL[rng.usize(..Server::ALL.len())];
            let most = Duration::from_millis([200, 2_000, 14_000][rng.usize(..3)]);
            world.trace.note("a disk", format_args!("of {server:?} is slow by {most:?}"));
            world.weather.slow(server, most, Duration::from_millis(rng.u64(500..6_000)));
        }
        FaultKind::ClientCut => {
            let views = world.views.borrow();
            if !views.is_empty() {
                views[rng.usize(..views.len())].borrow().cut.notify_one();
            }
        }
        // Lost calls come with each call, and the caller handles losses of the store.
        FaultKind::Unreliable | FaultKind::StoreLoss | FaultKind::OldStore => {}
    }
}

/// Sets a clock wrong by up to four minutes: less than what makes a record one from the future.
fn step_clock(world: &World, rng: &mut Rng) {
    let ahead = rng.i64(-120_000..120_000);
    match rng.usize(..=world.processors_ahead.len()) {
        0 => {
            world.trace.note("the log", format_args!("has its clock at {ahead} ms"));
            world.log_ahead.store(ahead, SeqCst);
        }
        n => {
            world.trace.note(&format!("processor-{}", n - 1), format_args!("clock: {ahead} ms"));
            world.processors_ahead[n - 1].store(ahead, SeqCst);
        }
    }
}

fn any_process(world: &World, rng: &mut Rng) -> Option<std::sync::Arc<Process>> {
    let running = world.running.borrow();
    let all: Vec<_> = running.values().collect();
    (!all.is_empty()).then(|| all[rng.usize(..all.len())].clone())
}

/// Ends every fault. Clocks go right again: that of the log never goes back, since it stamps no
/// record below the one before.
pub fn heal(world: &World) {
    world.trace.note("nemesis", "heals everything");
    world.healed.set(true);
    world.weather.heal();
    world.running.borrow().values().for_each(|process| process.heal());
    world.log_ahead.store(0, SeqCst);
    world.processors_ahead.iter().for_each(|ahead| ahead.store(0, SeqCst));
}
