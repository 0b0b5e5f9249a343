//! The layout of the demo clinic.

use jiff::{Timestamp, tz::TimeZone};
use processors::location::SERVICE_S;
use schemas::{
    Millis,
    appointment::Doctor,
    command::Command,
    ids::{DoctorId, LocationId, QueueId, ScheduleId, SourceId, StationId, TenantId},
    load::LoadBands,
    settings::CallOrder,
    timers::Timers,
};

/// The tenant that development tokens are for.
pub const TENANT: &str = "demo";
/// The slug of the demo's location.
pub const LOCATION: &str = "riverside";
/// The source of the demo's appointments: the subject of its token.
pub const SOURCE: &str = "demo-source";
const TIME_ZONE: &str = "America/Toronto";

/// Median and spread of a consultation in minutes: log-normal, fitted to 6,637 measured ones.
pub(super) const CONSULTATION: f64 = 12.1;
pub(super) const SIGMA: f64 = 0.44;
/// The share of slots that are booked.
pub(super) const FILLED: f64 = 0.75;
/// The share of slots that are booked and whose patient comes.
pub(super) const KEPT: f64 = FILLED * 0.82;

/// One line of the demo.
#[derive(Debug)]
pub struct QueuePlan {
    pub slug: &'static str,
    pub name: &'static str,
    pub prefix: &'static str,
    /// Median minutes of one service.
    pub(super) service: f64,
    /// The queue to which some people continue, and their share.
    pub(super) onwards: Option<(usize, f64)>,
}

pub const QUEUES: [QueuePlan; 3] = [
    QueuePlan {
        slug: "general",
        name: "Consultation",
        prefix: "A",
        service: CONSULTATION,
        onwards: Some((1, 0.2)),
    },
    QueuePlan {
        slug: "bloodwork",
        name: "Blood tests",
        prefix: "B",
        service: CONSULTATION / 2.0,
        onwards: None,
    },
    QueuePlan {
        slug: "walk-in",
        name: "Walk-in",
        prefix: "C",
        service: CONSULTATION,
        onwards: Some((0, 0.1)),
    },
];

/// How many times faster than a real clinic the demo runs. Its appointments and timers are in real
/// time, as clocks and screens show it.
#[derive(Debug, Clone, Copy)]
pub struct Pace(f64);

impl Pace {
    pub fn new(speed: f64) -> Self {
        Self(speed)
    }

    /// The real time of this many clinic minutes.
    pub(super) fn ms(self, minutes: f64) -> Millis {
        (minutes * MINUTE as f64 / self.0) as Millis
    }

    /// The real time of this many clinic minutes, in whole seconds.
    fn seconds(self, minutes: f64) -> u32 {
        (self.ms(minutes) / 1000) as u32
    }

    /// The clinic minutes that pass in this real time.
    pub(super) fn minutes(self, ms: Millis) -> f64 {
        ms as f64 * self.0 / MINUTE as f64
    }
}

/// A real minute.
pub(super) const MINUTE: Millis = 60_000;

/// A doctor who sees patients by appointment in a room of their own.
#[derive(Debug)]
pub struct DoctorPlan {
    pub slug: &'static str,
    pub name: &'static str,
    /// Index into [`ROOMS`].
    pub(super) room: usize,
    /// Minutes from one appointment to the next.
    slot: f64,
}

pub const DOCTORS: [DoctorPlan; 3] = [
    DoctorPlan { slug: "dr-roy", name: "Dr. Roy", room: 0, slot: 20.0 },
    DoctorPlan { slug: "dr-marsh", name: "Dr. Marsh", room: 1, slot: 15.0 },
    DoctorPlan { slug: "dr-okafor", name: "Dr. Okafor", room: 2, slot: 20.0 },
];

impl DoctorPlan {
    /// The real length of an appointment: whole minutes, since screens show nothing shorter, and at
    /// least one. So a service day has at most 1440 appointments of a doctor at any speed.
    pub(super) fn slot(&self, pace: Pace) -> Millis {
        (pace.ms(self.slot) + MINUTE - 1) / MINUTE * MINUTE
    }

    pub(super) fn doctor(&self) -> Doctor {
        let id = DoctorId::new(self.slug).expect("constants of the right form");
        Doctor { id, name: self.name.into() }
    }
}

/// A station, and the queue that it serves (an index into [`QUEUES`]).
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
    let id = |slug: &str| {
        QueueId::new(format!("{location}.{slug}")).expect("constants of the right form")
    };
    QUEUES.iter().map(|queue| id(queue.slug)).collect()
}

/// The demo's stations at `location`, in the order of [`ROOMS`].
pub fn stations(location: &LocationId) -> Vec<StationId> {
    let id = |slug: &str| {
        StationId::new(format!("{location}.{slug}")).expect("constants of the right form")
    };
    ROOMS.iter().map(|room| id(room.slug)).collect()
}

/// The days of the demo's doctors at `location`, in the order of [`DOCTORS`].
pub fn schedules(location: &LocationId) -> Vec<ScheduleId> {
    DOCTORS.iter().map(|plan| ScheduleId::from_parts(location, &plan.doctor().id)).collect()
}

/// The source of the location's appointments.
pub(super) fn source() -> SourceId {
    SourceId::new(SOURCE).expect("a constant of the right form")
}

/// The timers of the location: as in a real clinic, except for absences, which end sooner in a
/// waiting room of this size. No timer is below the location's minimum.
pub(super) fn timers(pace: Pace) -> Timers {
    const SHORTEST_S: u32 = 10;
    let after = |minutes| pace.seconds(minutes).max(SHORTEST_S);
    Timers {
        absent_grace_s: after(10.0),
        stale_s: after(8.0 * 60.0),
        no_show_s: after(40.0),
        ..Timers::default()
    }
}

/// The bands of the dashboard. A line is usually below the first, sometimes above it and rarely
/// above the second. People without an appointment wait long, because those with one are called on
/// time.
fn bands(pace: Pace) -> LoadBands {
    let high = pace.seconds(110.0).max(1);
    LoadBands { waiting: [14, 18], wait_s: [high, pace.seconds(170.0).max(high + 1)] }
}

/// The end of the service day at `now`: the next midnight of the location.
pub(super) fn day_ends(now: Millis) -> Millis {
    let midnight = || {
        let now = Timestamp::from_millisecond(now).ok()?.to_zoned(TimeZone::get(TIME_ZONE).ok()?);
        Some(now.tomorrow().ok()?.start_of_day().ok()?.timestamp().as_millisecond())
    };
    midnight().unwrap_or(Millis::MAX)
}

/// The commands that create the clinic, or leave it as it is. Service times are in real time.
pub fn configure(location: &LocationId, pace: Pace) -> Vec<Command> {
    let mut commands = vec![Command::ConfigureLocation {
        name: "Riverside Clinic".into(),
        time_zone: TIME_ZONE.into(),
        languages: vec!["en".into(), "fr".into()],
        timers: timers(pace),
        bands: Some(bands(pace)),
        call_order: CallOrder::default(),
        address: Some("12 River Street, Toronto ON".into()),
        edition: None,
    }];
    for (queue, plan) in queues(location).into_iter().zip(&QUEUES) {
        // The demo runs faster than the queue's clock, which accepts no service time below its
        // bound.
        let seconds = pace.seconds(plan.service);
        commands.push(Command::ConfigureQueue {
            queue: queue.clone(),
            name: plan.name.into(),
            prefix: plan.prefix.into(),
            service_s: Some(seconds.clamp(*SERVICE_S.start(), *SERVICE_S.end())),
            max_tickets: None,
            edition: None,
        });
        commands.push(Command::OpenQueue { queue });
    }
    for (station, room) in stations(location).into_iter().zip(&ROOMS) {
        commands.push(Command::ConfigureStation {
            station,
            name: room.name.into(),
            queues: None,
            edition: None,
        });
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slot_lasts_whole_minutes_at_every_pace() {
        for (speed, minutes) in
            [(1.0, 20), (2.0, 10), (3.0, 7), (10.0, 2), (20.0, 1), (30.0, 1), (1000.0, 1)]
        {
            assert_eq!(DOCTORS[0].slot(Pace::new(speed)), minutes * MINUTE, "at speed {speed}");
        }
    }

    #[test]
    fn location_accepts_timers_and_bands_at_every_pace() {
        for speed in [1.0, 12.5, 30.0, 600.0, 1000.0] {
            assert!(timers(Pace::new(speed)).are_plausible(), "at speed {speed}");
            assert!(bands(Pace::new(speed)).are_plausible(), "at speed {speed}");
        }
    }

    #[test]
    fn day_ends_at_midnight_when_clocks_change() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond();
        for (now, end) in [
            ("2026-11-27T04:59:59Z", "2026-11-27T05:00:00Z"),
            ("2026-11-27T05:00:00Z", "2026-11-28T05:00:00Z"),
            ("2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"),
            ("2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"),
        ] {
            assert_eq!(day_ends(at(now)), at(end), "after {now}");
        }
    }
}
