//! Processors and gateways: each is started, dies, and starts again.

use std::{rc::Rc, sync::Arc, time::Duration};

use gateway::{
    access::auth::DevelopmentKey,
    backends::Backends,
    client_address::TrustedProxies,
    limits::settings::LimitSettings,
    node::{RUN_RETENTION, Settings},
    readiness::Readiness,
    simulation::LocalNode,
};
use object_store::memory::InMemory;
use processors::runner::{self, RunnerBackends, RunnerSettings};
use schemas::record::CARE_TOPIC;
use tokio::{sync::Notify, time::sleep};

use crate::{
    backends::{SimLedger, SimQueries, SimViews},
    log::SimLog,
    network::Process,
    plan::FaultKind,
    world::{World, clock},
};

/// The words of the key that signs the tokens of clients.
pub const WORDS: &str = "a simulated clinic";

fn start(world: &World, name: String, life: u32) -> Arc<Process> {
    let rng = world.plan.stream(&format!("{name}/{life}"));
    let unreliable = world.plan.has(FaultKind::Unreliable) && !world.healed.get();
    let one_in = if unreliable { 60 } else { 0 };
    let process = Process::start(name.clone(), &world.trace, &world.weather, rng, one_in);
    world.running.borrow_mut().insert(name, process.clone());
    process
}

/// The pause before a process starts again.
async fn pause(world: &World, process: &Process) {
    world.running.borrow_mut().remove(&process.name);
    sleep(Duration::from_millis(50 + process.below(4_000))).await;
}

pub async fn keep_processor(world: Rc<World>, index: usize) {
    for life in 0.. {
        let process = start(&world, format!("processor-{index}"), life);
        let backends = RunnerBackends {
            log: SimLog::new(&process, &world.broker),
            ledger: Arc::new(SimLedger {
                process: process.clone(),
                real: world.memory.ledger.clone(),
            }),
            views: Arc::new(SimViews {
                process: process.clone(),
                real: world.memory.views.clone(),
            }),
        };
        let settings = RunnerSettings {
            batch: world.plan.batch,
            cached_tickets: world.plan.cached_tickets,
            clock: clock(world.log_start(), world.processors_ahead[index].clone()),
            ..RunnerSettings::new(CARE_TOPIC)
        };
        let asked = world.stops.borrow_mut().entry(process.name.clone()).or_default().clone();
        let stop = async move { asked.notified().await };
        let mut running = tokio::spawn(runner::run(backends, settings, stop));
        tokio::select! {
            biased;
            () = process.died.notified() => running.abort(),
            _ = &mut running => {
                sleep(Duration::from_millis(500)).await; // it leaves the group
                process.die("in order");
            }
        }
        pause(&world, &process).await;
    }
}

pub async fn keep_gateway(world: Rc<World>, index: usize) {
    for life in 0.. {
        let process = start(&world, format!("gateway-{index}"), life);
        let node = LocalNode::start(&settings(), backends(&world, &process));
        let node = Rc::new(node.expect("a development key"));
        world.nodes.borrow_mut().insert(index, node.clone());
        process.died.notified().await;
        world.nodes.borrow_mut().remove(&index);
        node.crash();
        pause(&world, &process).await;
    }
}

fn backends(world: &World, process: &Arc<Process>) -> Backends {
    let (views, queries) = (world.memory.views.clone(), world.memory.queries());
    Backends {
        log: SimLog::new(process, &world.broker),
        snapshots: Arc::new(SimViews { process: process.clone(), real: views }),
        queries: Arc::new(SimQueries { process: process.clone(), real: queries }),
        short_keys: world.memory.keys.clone(),
        files: Arc::new(InMemory::new()),
        readiness: Readiness::default(),
    }
}

fn settings() -> Settings {
    let key = DevelopmentKey::from_words(WORDS);
    Settings {
        listen: ([127, 0, 0, 1], 0).into(),
        tls: None,
        shards: 2,
        issuers: key.keys().into(),
        grant_secret: key.grant_secret(),
        origins: Vec::new(),
        proxies: TrustedProxies::default(),
        limits: LimitSettings::default(),
        created_tenants_only: false,
        hosts: Vec::new(),
        private_listen: None,
        public_demo: false,
        drain_delay: Duration::ZERO,
        drain: Duration::ZERO,
        alerts: None,
        webhook_key: None,
        max_file: 1024,
        run_retention: RUN_RETENTION,
        tables: Arc::default(),
        pseudonym_key_file: None,
        tracer: telemetry::Tracer::off(),
    }
}

/// Asks a processor to end in order.
pub type Stops = std::collections::BTreeMap<String, Arc<Notify>>;
