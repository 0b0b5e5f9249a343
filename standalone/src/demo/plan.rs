//! What the demo clinic consists of.

use processors::location::SERVICE_S;
use schemas::{
    command::Command,
    ids::{LocationId, QueueId, StationId, TenantId},
};

/// The tenant that development tokens are for.
pub const TENANT: &str = "demo";
/// The slug of the demo's location.
pub const LOCATION: &str = "riverside";

/// Median and spread of a consultation in minutes: log-normal, fitted to 6,637 measured ones.
pub(super) const CONSULTATION: f64 = 12.1;
pub(super) const SIGMA: f64 = 0.44;

/// One line of the demo.
#[derive(Debug)]
pub struct QueuePlan {
    pub slug: &'static str,
    pub name: &'static str,
    pub prefix: &'static str,
    /// Median minutes of one service.
    pub(super) service: f64,
    /// Minutes between two booked appointments; none where people just come.
    pub(super) booked_every: Option<f64>,
    /// Where some go on afterwards, and how many of them.
    pub(super) onwards: Option<(usize, f64)>,
}

pub const QUEUES: [QueuePlan; 3] = [
    QueuePlan {
        slug: "general",
        name: "Consultation",
        prefix: "A",
        service: CONSULTATION,
        booked_every: Some(9.0),
        onwards: Some((1, 0.2)),
    },
    QueuePlan {
        slug: "bloodwork",
        name: "Blood tests",
        prefix: "B",
        service: CONSULTATION / 2.0,
        booked_every: None,
        onwards: None,
    },
    QueuePlan {
        slug: "walk-in",
        name: "Walk-in",
        prefix: "C",
        service: CONSULTATION,
        booked_every: None,
        onwards: Some((0, 0.1)),
    },
];

/// A station, and the queue it serves (an index into [`QUEUES`]).
#[derive(Debug)]
pub struct Room {
    pub slug: &'static str,
    pub name: &'static str,
    pub(super) queue: usize,
}

pub const ROOMS: [Room; 7] = [
    Room { slug: "room-1", name: "Room 1", queue: 0 },
    Room { slug: "room-2", name: "Room 2", queue: 0 },
    Room { slug: "room-3", name: "Room 3", queue: 0 },
    Room { slug: "lab-1", name: "Lab 1", queue: 1 },
    Room { slug: "lab-2", name: "Lab 2", queue: 1 },
    Room { slug: "room-4", name: "Room 4", queue: 2 },
    Room { slug: "room-5", name: "Room 5", queue: 2 },
];

/// The demo's tenant.
pub fn tenant() -> TenantId {
    TenantId::new(TENANT).expect("a constant of the right form")
}

/// The demo's location.
pub fn location() -> LocationId {
    LocationId::new(LOCATION).expect("a constant of the right form")
}

/// The demo's queues at `location`, in the order of [`QUEUES`].
pub fn queues(location: &LocationId) -> Vec<QueueId> {
    let id = |slug: &str| QueueId::new(format!("{location}.{slug}")).expect("constants of the right form");
    QUEUES.iter().map(|queue| id(queue.slug)).collect()
}

/// The demo's stations at `location`, in the order of [`ROOMS`].
pub fn stations(location: &LocationId) -> Vec<StationId> {
    let id = |slug: &str| StationId::new(format!("{location}.{slug}")).expect("constants of the right form");
    ROOMS.iter().map(|room| id(room.slug)).collect()
}

/// Creates all of it, or leaves it as it is. `speed` tells the queues how long a service takes on their clock.
pub fn configure(location: &LocationId, speed: f64) -> Vec<Command> {
    let mut commands = vec![Command::ConfigureLocation {
        name: "Riverside Clinic".into(),
        time_zone: "America/Toronto".into(),
        languages: vec!["en".into(), "fr".into()],
        timers: Default::default(),
        bands: None,
    }];
    for (queue, plan) in queues(location).into_iter().zip(&QUEUES) {
        // The clinic's clock runs faster than the queue's, which expects no service below its own bound.
        let seconds = (plan.service * 60.0 / speed) as u32;
        commands.push(Command::ConfigureQueue {
            queue: queue.clone(),
            name: plan.name.into(),
            prefix: plan.prefix.into(),
            service_s: Some(seconds.clamp(*SERVICE_S.start(), *SERVICE_S.end())),
        });
        commands.push(Command::OpenQueue { queue });
    }
    for (station, room) in stations(location).into_iter().zip(&ROOMS) {
        commands.push(Command::ConfigureStation { station, name: room.name.into() });
    }
    commands
}
