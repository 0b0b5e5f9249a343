//! The plan of a run, drawn from its seed: how much of everything there is, and which faults.

use std::{collections::BTreeSet, time::Duration};

use fastrand::Rng;
use schemas::Millis;
use testing::records::SampleLocation;

/// 14 November 2023, 00:00 in UTC. A run begins at a random second of this day.
const FIRST_DAY: Millis = 1_699_920_000_000;

/// The kinds of faults. Each run has some of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// A process dies at a named point, or between two.
    Crash,
    /// A process ends in order and starts again, as in a rolling deploy.
    Restart,
    /// The link between a process and a server is cut.
    Cut,
    /// Single calls fail or lose their answers.
    Unreliable,
    /// The group moves partitions.
    Rebalance,
    /// The view store loses all data.
    StoreLoss,
    /// The view store comes back with old data.
    OldStore,
    /// A clock jumps.
    ClockStep,
    /// The disk of a server is slow.
    SlowDisk,
    /// Clients are cut off.
    ClientCut,
}

impl FaultKind {
    const ALL: [FaultKind; 10] = [
        FaultKind::Crash,
        FaultKind::Restart,
        FaultKind::Cut,
        FaultKind::Unreliable,
        FaultKind::Rebalance,
        FaultKind::StoreLoss,
        FaultKind::OldStore,
        FaultKind::ClockStep,
        FaultKind::SlowDisk,
        FaultKind::ClientCut,
    ];
}

pub struct Plan {
    pub seed: u64,
    pub start: Millis,
    pub partitions: u32,
    pub processors: usize,
    pub gateways: usize,
    pub producers: usize,
    pub clients: usize,
    /// Most records of a batch, and most tickets in memory.
    pub batch: usize,
    pub cached_tickets: usize,
    /// How long commands are given and faults happen.
    pub active: Duration,
    pub faults: BTreeSet<FaultKind>,
}

impl Plan {
    pub fn of(seed: u64) -> Self {
        let mut rng = stream(seed, "plan");
        // Few faults together find other things than all at once.
        let share = [2, 4, 8][rng.usize(..3)];
        let faults = FaultKind::ALL.into_iter().filter(|_| rng.u8(..10) < share).collect();
        Self {
            seed,
            start: FIRST_DAY + rng.i64(0..86_400) * 1000,
            partitions: rng.u32(1..=4),
            processors: rng.usize(1..=3),
            gateways: rng.usize(1..=2),
            producers: rng.usize(2..=4),
            clients: rng.usize(2..=5),
            batch: [1, 3, 7, 40][rng.usize(..4)],
            cached_tickets: if rng.bool() { 4 } else { 200_000 },
            active: Duration::from_secs(rng.u64(10..=40)),
            faults,
        }
    }

    pub fn has(&self, fault: FaultKind) -> bool {
        self.faults.contains(&fault)
    }

    /// The random numbers of one actor, which do not depend on those of others.
    pub fn stream(&self, name: &str) -> Rng {
        stream(self.seed, name)
    }
}

fn stream(seed: u64, name: &str) -> Rng {
    let bytes = seed.to_le_bytes().into_iter().chain(name.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Rng::with_seed(hash)
}

/// The locations: two of one tenant, and one of another with the same name.
pub fn places() -> [SampleLocation; 3] {
    [
        SampleLocation::new("demo", "riverside"),
        SampleLocation::new("demo", "hillside"),
        SampleLocation::new("other", "riverside"),
    ]
}
