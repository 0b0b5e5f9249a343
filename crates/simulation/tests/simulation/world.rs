//! One run: its servers, processes, producers, clients and faults, from start to the last check.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::SeqCst},
    },
    time::Duration,
};

use fastrand::Rng;
use gateway::simulation::LocalNode;
use processors::ledger::Ledger;
use schemas::{Millis, record::CARE_TOPIC};
use standalone::memory::{Clock, Memory, MemoryLedger};
use tokio::{
    task::spawn_local,
    time::{Instant, sleep},
};

use crate::{
    broker::Broker,
    check,
    client::{Client, ClientView},
    model::Model,
    nemesis,
    network::{Process, Weather},
    plan::{Plan, places},
    processes::{self, Stops},
    producer::{Desk, Producer, SharedDesk},
    trace::Trace,
};

/// How long everything may take to come to rest after the last fault.
const REST_WITHIN: Duration = Duration::from_secs(900);
/// Longer than the timers of the locations.
const TIMERS: Duration = Duration::from_secs(400);

pub struct World {
    pub plan: Plan,
    pub trace: Trace,
    pub broker: Arc<Broker>,
    pub memory: Memory,
    pub weather: Arc<Weather>,
    pub desk: SharedDesk,
    /// Milliseconds by which the clocks of the log and of each processor are ahead.
    pub log_ahead: Arc<AtomicI64>,
    pub processors_ahead: Vec<Arc<AtomicI64>>,
    /// The processes that run now, by name.
    pub running: RefCell<BTreeMap<String, Arc<Process>>>,
    /// How each processor is asked to end in order.
    pub stops: RefCell<Stops>,
    pub nodes: RefCell<BTreeMap<usize, Rc<LocalNode>>>,
    pub views: RefCell<Vec<Rc<RefCell<ClientView>>>>,
    /// Set once the last fault is over.
    pub healed: std::cell::Cell<bool>,
    pub faults: RefCell<Vec<String>>,
    started: Instant,
}

/// How a run ended.
pub struct Report {
    pub digest: u64,
    pub faults: Vec<String>,
    pub trace: Trace,
    pub commands: usize,
}

/// A clock that follows the simulated time.
pub fn clock(start: Millis, ahead: Arc<AtomicI64>) -> Clock {
    let started = Instant::now();
    Arc::new(move || start + started.elapsed().as_millis() as Millis + ahead.load(SeqCst))
}

impl World {
    fn new(plan: Plan) -> Rc<Self> {
        let trace = Trace::start();
        let log_ahead = Arc::new(AtomicI64::new(0));
        let broker =
            Broker::new(clock(plan.start, log_ahead.clone()), trace.clone(), plan.partitions);
        let servers_clock = clock(plan.start, Arc::default());
        let ledger = MemoryLedger::new(servers_clock.clone());
        ledger.keep_journal();
        let memory = Memory { ledger: Arc::new(ledger), ..Memory::new(servers_clock) };
        let processors_ahead = (0..plan.processors).map(|_| Arc::default()).collect();
        Rc::new(Self {
            plan,
            trace,
            broker,
            memory,
            weather: Arc::default(),
            desk: RefCell::new(Desk::default()),
            log_ahead,
            processors_ahead,
            running: RefCell::default(),
            stops: RefCell::default(),
            nodes: RefCell::default(),
            views: RefCell::default(),
            healed: std::cell::Cell::new(false),
            faults: RefCell::default(),
            started: Instant::now(),
        })
    }

    /// The time of the log.
    pub fn log_time(&self) -> Millis {
        let elapsed = self.started.elapsed().as_millis() as Millis;
        self.plan.start + elapsed + self.log_ahead.load(SeqCst)
    }

    /// The wall clock at which a clock that starts now has to begin.
    pub fn log_start(&self) -> Millis {
        self.plan.start + self.started.elapsed().as_millis() as Millis
    }

    pub fn fault(&self, fault: impl Into<String>) {
        let fault = fault.into();
        self.trace.note("CHECK", &fault);
        self.faults.borrow_mut().push(fault);
    }

    /// A gateway that runs.
    pub fn any_node(&self, rng: &mut Rng) -> Option<Rc<LocalNode>> {
        let nodes = self.nodes.borrow();
        let nodes: Vec<_> = nodes.values().filter(|node| node.is_ready()).collect();
        (!nodes.is_empty()).then(|| nodes[rng.usize(..nodes.len())].clone())
    }

    /// The work that is left: records to decide, to publish and to store.
    async fn left(&self) -> Vec<String> {
        let ledger = &self.memory.ledger;
        let mut left = Vec::new();
        for id in self.broker.ids() {
            let next = ledger.checkpoint(id).await.unwrap().next_offset;
            if !self.broker.is_at_end(id, next) {
                left.push(format!("partition {id} from {next} on"));
            }
            let rows = ledger.outbox(id, 1).await.unwrap();
            left.extend(rows.iter().map(|row| format!("outbox {id}/{}/{}", row.offset, row.part)));
            let dirty = ledger.dirty(id, self.broker.partitions, 1).await.unwrap();
            left.extend(dirty.into_iter().map(|(of, view)| format!("dirty {of} {view}")));
        }
        left
    }

    /// Waits until nothing is left to do, and checks everything.
    async fn rest_and_check(&self, when: &str) {
        let deadline = Instant::now() + REST_WITHIN;
        while Instant::now() < deadline {
            sleep(Duration::from_secs(2)).await;
            if self.left().await.is_empty()
                && Model::of(&self.memory.ledger.journal()).unsettled().is_empty()
            {
                // The views that are paced need a moment more.
                sleep(Duration::from_secs(6)).await;
                if self.left().await.is_empty() {
                    check::everything(self, when).await;
                    return;
                }
            }
        }
        let (left, model) = (self.left().await, Model::of(&self.memory.ledger.journal()));
        let moving = model.unsettled();
        self.fault(format!("{when}: no rest within {REST_WITHIN:?}: {left:?}, moving: {moving:?}"));
    }
}

/// Runs one seed on the current, paused runtime.
pub async fn run(seed: u64, show: impl FnOnce(&Trace)) -> Report {
    fastrand::seed(seed);
    let world = World::new(Plan::of(seed));
    show(&world.trace);
    let Plan { active, producers, clients, .. } = world.plan;
    open(&world);
    for index in 0..world.plan.processors {
        spawn_local(processes::keep_processor(world.clone(), index));
    }
    for index in 0..world.plan.gateways {
        spawn_local(processes::keep_gateway(world.clone(), index));
    }
    sleep(Duration::from_secs(1)).await;
    let until = Instant::now() + active;
    for index in 0..producers {
        let (name, world) = (format!("p{index}"), world.clone());
        let rng = world.plan.stream(&name);
        spawn_local(Producer { world, name, rng, sent: 0, recent: Vec::new() }.run(until));
    }
    for index in 0..clients {
        spawn_local(Client::new(&world, index).run());
    }
    spawn_local(nemesis::run(world.clone(), until));
    sleep(active + Duration::from_secs(8)).await;
    nemesis::heal(&world);
    world.rest_and_check("after the faults").await;
    sleep(TIMERS).await;
    world.rest_and_check("after the timers").await;
    let digest = world.trace.digest();
    let faults = world.faults.borrow().clone();
    let commands = world.desk.borrow().answers.len();
    Report { digest, faults, trace: world.trace.clone(), commands }
}

/// Configures the locations: short timers, and two queues and rooms each.
fn open(world: &World) {
    let mut rng = world.plan.stream("open");
    for place in places() {
        let mut commands = place.full_opening();
        for command in &mut commands {
            if let schemas::command::Command::ConfigureLocation { timers, .. } = command {
                timers.absent_grace_s = 30;
                timers.handover_s = rng.u32(10..40);
                timers.stale_s = 200;
                timers.day_ends_tickets = rng.bool();
            }
        }
        for record in
            place.records(&format!("open-{}", place.aggregate()).replace('/', "-"), commands)
        {
            world.broker.append("the admin", CARE_TOPIC, record.to_wire());
        }
    }
}
