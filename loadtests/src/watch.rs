//! The state of one client, and the promises that it checks. Pure: each message brings its time.

pub mod history;

use serde_json::value::RawValue;

use self::history::{ObservationTime, RunHistory};
use crate::{
    breach::{Breach, Breaches},
    payloads::{Entries, KeyedData, StreamData, TicketData, stage},
};
use schemas::ticket::TicketState;

/// The last position whose steps are delivered at once. The server may pace positions further back.
pub const NEAR: u32 = 10;

/// The kind of a client's channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelKind {
    /// One ticket, whose publications are whole states. With `own_line` only the swarm moves the
    /// line, so positions may only fall.
    Ticket { own_line: bool },
    /// A keyed view such as a queue or a board: a snapshot, then deltas.
    Keyed,
}

/// One live publication. A sample has 16 bytes, so ten million deliveries take 160 MB.
#[derive(Clone, Copy, Debug)]
pub struct DeliverySample {
    pub version: u64,
    /// The time from the record's append to its receipt. `at` has whole milliseconds, so this is up
    /// to 1 ms too long.
    pub delay_us: u32,
    /// Whether the position was near the front, or there was none: such publications are never
    /// paced.
    pub near: bool,
}

/// One live step of a keyed view, for clients that record them.
#[derive(Clone, Copy, Debug)]
pub struct LiveStep {
    /// The version held before.
    pub from: u64,
    pub to: u64,
    pub received_us: i64,
}

/// The way in which the last subscription began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumption {
    Fresh,
    ByDelta,
    BySnapshot,
}

/// The state that one client holds of its channel, and its figures.
pub struct ClientWatch {
    client: usize,
    kind: ChannelKind,
    epoch: Option<u64>,
    offset: u64,
    pub state: Option<TicketState>,
    pub position: Option<u32>,
    looks: u64,
    /// The folded entries, for clients that keep them.
    pub entries: Option<Entries>,
    /// The history of the run, when the channel is that of a run.
    pub history: Option<Box<RunHistory>>,
    /// The live steps, when they are recorded.
    pub taken: Option<Vec<LiveStep>>,
    pub resumed: Resumption,
    /// When the client last became live, µs since the Unix epoch.
    pub live_at_us: i64,
    pub samples: Vec<DeliverySample>,
    pub frames: u64,
    pub duplicates: u64,
    pub same_position: u64,
    pub losses: u64,
    /// The ways back after connections that the server or the network ended.
    pub returns: Returns,
    pub breaches: Breaches,
}

/// How a client came back after connections that it did not end itself.
#[derive(Default)]
pub struct Returns {
    /// When the connection was lost, until the client is live again.
    lost_at_us: Option<i64>,
    pub by_delta: u64,
    pub by_snapshot: u64,
    /// The time of each way back, in milliseconds.
    pub took_ms: Vec<f64>,
}

impl Returns {
    /// Records a lost connection. A failed attempt to come back belongs to the same loss.
    fn lost(&mut self, now_us: i64) {
        self.lost_at_us.get_or_insert(now_us);
    }

    fn began(&mut self, resumed: Resumption, now_us: i64) {
        let Some(lost_at_us) = self.lost_at_us.take() else { return };
        match resumed {
            Resumption::Fresh => return,
            Resumption::ByDelta => self.by_delta += 1,
            Resumption::BySnapshot => self.by_snapshot += 1,
        }
        self.took_ms.push((now_us - lost_at_us) as f64 / 1e3);
    }
}

impl ClientWatch {
    #[must_use]
    pub fn new(client: usize, kind: ChannelKind) -> Self {
        Self {
            client,
            kind,
            epoch: None,
            offset: 0,
            state: None,
            position: None,
            looks: 0,
            entries: None,
            history: None,
            taken: None,
            resumed: Resumption::Fresh,
            live_at_us: 0,
            samples: Vec::new(),
            frames: 0,
            duplicates: 0,
            same_position: 0,
            losses: 0,
            returns: Returns::default(),
            breaches: Breaches::default(),
        }
    }

    /// Records that the server or the network ended the connection.
    pub fn lost(&mut self, now_us: i64) {
        self.losses += 1;
        self.returns.lost(now_us);
    }

    /// Epoch and offset to resume from, once there is a subscription.
    #[must_use]
    pub fn position(&self) -> Option<(u64, u64)> {
        self.epoch.map(|epoch| (epoch, self.offset))
    }

    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    pub fn note(&mut self, breach: Breach, detail: &str) {
        let (client, offset) = (self.client, self.offset);
        self.breaches.note(breach, || format!("client {client} at version {offset}: {detail}"));
    }

    /// Records the start of a subscription, with a snapshot or with the missed publications.
    pub fn began(&mut self, epoch: &str, recovered: bool, now_us: i64) {
        self.resumed = match (self.epoch, recovered) {
            (None, _) => Resumption::Fresh,
            (Some(_), true) => Resumption::ByDelta,
            (Some(_), false) => Resumption::BySnapshot,
        };
        self.returns.began(self.resumed, now_us);
        self.live_at_us = now_us;
        let Ok(epoch) = epoch.parse::<u64>() else {
            return self.note(Breach::Malformed, "the epoch is not a decimal number");
        };
        if self.epoch.is_some_and(|held| held != epoch) {
            self.note(Breach::EpochChanged, &format!("the epoch became {epoch}"));
        }
        self.epoch = Some(epoch);
    }

    /// Takes an event of the kind `snapshot`, `delta` or `state`. The `first` event of a connection
    /// begins or resumes the subscription.
    pub fn event(&mut self, kind: &str, event: &StreamData<'_>, first: bool, now_us: i64) {
        let held = self.position();
        if first {
            // Events of a ticket are whole states, so only the offset distinguishes a resumption.
            self.began(&event.epoch, held.is_some() && kind != "snapshot", now_us);
        } else if held.is_some_and(|(epoch, _)| event.epoch.parse() != Ok(epoch)) {
            self.began(&event.epoch, false, now_us);
        }
        if first && kind != "delta" {
            self.whole(event.offset, event.data);
        } else {
            self.step(event.offset, event.data, now_us, !first);
        }
        self.frames += u64::from(!first);
    }

    /// Moves to `offset`, and records a step back. SDKs take the server's offset unchecked, so a
    /// real client would go back.
    pub fn moved_to(&mut self, offset: u64) {
        if offset < self.offset {
            self.note(Breach::VersionFell, &format!("the offset fell to {offset}"));
        } else {
            self.offset = offset;
        }
    }

    /// Takes the snapshot of a new subscription.
    pub fn whole(&mut self, offset: u64, data: &RawValue) {
        match self.kind {
            ChannelKind::Ticket { .. } => {
                if let Some(data) = self.ticket(data) {
                    self.show(&data, false);
                }
            }
            ChannelKind::Keyed => {
                if let Some(data) = self.keyed(data) {
                    if data.version.is_none_or(|version| version > offset) {
                        self.note(
                            Breach::VersionMismatch,
                            "a snapshot without a version, or above its offset",
                        );
                    }
                    self.fold(&data, self.live_at_us, false);
                }
            }
        }
        self.moved_to(offset);
    }

    /// Takes one publication. Live publications are measured; missed ones after a reconnect are
    /// only checked.
    pub fn step(&mut self, offset: u64, data: &RawValue, now_us: i64, live: bool) {
        if offset < self.offset {
            return self.note(Breach::VersionFell, &format!("a publication with offset {offset}"));
        }
        if offset == self.offset {
            self.duplicates += 1;
            return;
        }
        let at = match self.kind {
            ChannelKind::Ticket { .. } => self.ticket(data).map(|data| {
                self.show(&data, live);
                data.at
            }),
            ChannelKind::Keyed => self.keyed(data).map(|data| {
                self.link(offset, &data, now_us, live);
                data.at
            }),
        };
        self.offset = offset;
        if let (Some(at), true) = (at, live) {
            let delay = (now_us - at * 1000).clamp(0, i64::from(u32::MAX));
            let near = self.position.is_none_or(|position| position <= NEAR);
            self.samples.push(DeliverySample { version: offset, delay_us: delay as u32, near });
        }
    }

    fn ticket<'a>(&mut self, data: &'a RawValue) -> Option<TicketData<'a>> {
        let data = serde_json::from_str(data.get());
        if data.is_err() {
            self.note(Breach::Malformed, "a ticket's state that cannot be read");
        }
        data.ok()
    }

    fn keyed<'a>(&mut self, data: &'a RawValue) -> Option<KeyedData<'a>> {
        let data = serde_json::from_str(data.get());
        if data.is_err() {
            self.note(Breach::Malformed, "a view that cannot be read");
        }
        data.ok()
    }

    fn show(&mut self, data: &TicketData<'_>, live: bool) {
        let looks = data.looks();
        if (data.state == TicketState::Waiting) != data.position.is_some() {
            self.note(Breach::Malformed, "a position is shown exactly while waiting");
        }
        if data.position.is_some() && data.position != data.ahead.map(|ahead| ahead + 1) {
            self.note(Breach::Malformed, "the position is not the number of people ahead plus one");
        }
        if live && looks == self.looks {
            self.note(Breach::NothingNew, "a publication that looks like the one before");
        }
        if self.kind == (ChannelKind::Ticket { own_line: true }) {
            if self.state.is_some_and(|held| stage(data.state) < stage(held)) {
                self.note(
                    Breach::StateWentBack,
                    &format!("{:?} became {:?}", self.state, data.state),
                );
            }
            if let (Some(held), Some(new)) = (self.position, data.position) {
                if new > held {
                    self.note(Breach::PositionRose, &format!("position {held} became {new}"));
                }
                self.same_position += u64::from(live && new == held);
            }
        }
        self.looks = looks;
        self.state = Some(data.state);
        self.position = data.position;
    }

    /// Checks and folds a delta (`from` ≤ held < `to`), or a snapshot that was pushed in place of
    /// one.
    fn link(&mut self, offset: u64, data: &KeyedData<'_>, now_us: i64, live: bool) {
        let end = data.to.or(data.version);
        if end != Some(offset) {
            self.note(
                Breach::VersionMismatch,
                &format!("a step to {end:?} came with offset {offset}"),
            );
        }
        if let Some(from) = data.from.filter(|from| *from > self.offset) {
            self.note(Breach::Gap, &format!("a delta from {from}"));
        }
        if let (Some(taken), true) = (&mut self.taken, live) {
            taken.push(LiveStep { from: self.offset, to: offset, received_us: now_us });
        }
        self.fold(data, now_us, live);
    }

    fn fold(&mut self, data: &KeyedData<'_>, now_us: i64, live: bool) {
        let Some(entries) = &mut self.entries else {
            return;
        };
        let before = self.history.is_some().then(|| entries.clone());
        if data.fold_into(entries).is_err() {
            return self.note(Breach::Malformed, "entries that cannot be folded");
        }
        let mut found = Vec::new();
        if let (Some(history), Some(before)) = (&mut self.history, before) {
            found = history.look(&before, entries, ObservationTime { at: data.at, now_us, live });
        }
        for (breach, detail) in found {
            self.note(breach, &detail);
        }
    }
}

#[cfg(test)]
mod tests;
