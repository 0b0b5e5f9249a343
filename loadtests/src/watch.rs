//! What one client has been shown, and the rules it was promised. Pure: time comes in with each
//! message.

use serde_json::value::RawValue;

use crate::{
    breach::{Breach, Breaches},
    payloads::{Entries, KeyedData, StreamData, TicketData, stage},
    runs::story::{Moment, Story},
};
use schemas::ticket::TicketState;

/// Places from which a patient is shown each step at once; positions further back may be paced by
/// the server.
pub const NEAR: u32 = 10;

/// What a client listens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One ticket; each publication is the whole state. `own_line`: nobody but the swarm moves this
    /// line, so positions may only fall.
    Ticket { own_line: bool },
    /// A queue or a board: a snapshot, then deltas.
    Keyed,
}

/// One live publication: 16 bytes each, so ten million deliveries take 160 MB.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub version: u64,
    /// From the record's append time to its receipt here. `at` has whole milliseconds: up to 1 ms
    /// too long.
    pub delay_us: u32,
    /// Whether this was for one of the next in line, or no position at all: never paced.
    pub near: bool,
}

/// One live step of a keyed view, for the few clients that keep them.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// The version that was held before.
    pub from: u64,
    pub to: u64,
    pub received_us: i64,
}

/// How the last subscription began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumed {
    Fresh,
    ByDelta,
    BySnapshot,
}

/// One client's view of its channel.
pub struct Watch {
    client: usize,
    kind: Kind,
    epoch: Option<u64>,
    offset: u64,
    pub state: Option<TicketState>,
    pub position: Option<u32>,
    looks: u64,
    /// Folded entries, for the few clients that keep them.
    pub entries: Option<Entries>,
    /// What the entries tell, if they are a run's.
    pub story: Option<Box<Story>>,
    /// Live steps, if they are to be kept: which records each showed, and when.
    pub taken: Option<Vec<Taken>>,
    pub resumed: Resumed,
    /// When the client last became live, µs since the Unix epoch.
    pub live_at_us: i64,
    pub samples: Vec<Sample>,
    pub frames: u64,
    pub duplicates: u64,
    pub same_position: u64,
    pub losses: u64,
    pub breaches: Breaches,
}

impl Watch {
    #[must_use]
    pub fn new(client: usize, kind: Kind) -> Self {
        Self {
            client,
            kind,
            epoch: None,
            offset: 0,
            state: None,
            position: None,
            looks: 0,
            entries: None,
            story: None,
            taken: None,
            resumed: Resumed::Fresh,
            live_at_us: 0,
            samples: Vec::new(),
            frames: 0,
            duplicates: 0,
            same_position: 0,
            losses: 0,
            breaches: Breaches::default(),
        }
    }

    /// The position to resume from, once there is one.
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

    /// A subscription began: with the whole state, or with what was missed.
    pub fn began(&mut self, epoch: &str, recovered: bool, now_us: i64) {
        self.resumed = match (self.epoch, recovered) {
            (None, _) => Resumed::Fresh,
            (Some(_), true) => Resumed::ByDelta,
            (Some(_), false) => Resumed::BySnapshot,
        };
        self.live_at_us = now_us;
        let Ok(epoch) = epoch.parse::<u64>() else {
            return self.note(Breach::Malformed, "the epoch is not a decimal number");
        };
        if self.epoch.is_some_and(|held| held != epoch) {
            self.note(Breach::EpochChanged, &format!("the epoch became {epoch}"));
        }
        self.epoch = Some(epoch);
    }

    /// An event that says of itself what it is: `snapshot`, `delta` or `state`. The `first` of a
    /// connection begins or resumes the subscription.
    pub fn event(&mut self, kind: &str, event: &StreamData<'_>, first: bool, now_us: i64) {
        let held = self.position();
        if first {
            // A ticket's events are whole states: only the offset tells what was missed.
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

    /// Moves to `offset` unless that is a step back. SDKs take the server's offset unchecked, so a
    /// step back is one that a real client would have made.
    pub fn moved_to(&mut self, offset: u64) {
        if offset < self.offset {
            self.note(Breach::VersionFell, &format!("the offset fell to {offset}"));
        } else {
            self.offset = offset;
        }
    }

    /// The whole state, given when a subscription begins.
    pub fn whole(&mut self, offset: u64, data: &RawValue) {
        match self.kind {
            Kind::Ticket { .. } => {
                if let Some(data) = self.ticket(data) {
                    self.show(&data, false);
                }
            }
            Kind::Keyed => {
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

    /// One publication. `live` ones are measured; those that catch up after a reconnect are only
    /// checked.
    pub fn step(&mut self, offset: u64, data: &RawValue, now_us: i64, live: bool) {
        if offset < self.offset {
            return self.note(Breach::VersionFell, &format!("a publication with offset {offset}"));
        }
        if offset == self.offset {
            self.duplicates += 1;
            return;
        }
        let at = match self.kind {
            Kind::Ticket { .. } => self.ticket(data).map(|data| {
                self.show(&data, live);
                data.at
            }),
            Kind::Keyed => self.keyed(data).map(|data| {
                self.link(offset, &data, now_us, live);
                data.at
            }),
        };
        self.offset = offset;
        if let (Some(at), true) = (at, live) {
            let delay = (now_us - at * 1000).clamp(0, i64::from(u32::MAX));
            let near = self.position.is_none_or(|position| position <= NEAR);
            self.samples.push(Sample { version: offset, delay_us: delay as u32, near });
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
        if self.kind == (Kind::Ticket { own_line: true }) {
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

    /// Applies a delta (`from` ≤ held < `to`) or a snapshot that was pushed in its place.
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
            taken.push(Taken { from: self.offset, to: offset, received_us: now_us });
        }
        self.fold(data, now_us, live);
    }

    fn fold(&mut self, data: &KeyedData<'_>, now_us: i64, live: bool) {
        let Some(entries) = &mut self.entries else {
            return;
        };
        let before = self.story.is_some().then(|| entries.clone());
        if data.fold_into(entries).is_err() {
            return self.note(Breach::Malformed, "entries that cannot be folded");
        }
        let mut found = Vec::new();
        if let (Some(story), Some(before)) = (&mut self.story, before) {
            found = story.look(&before, entries, Moment { at: data.at, now_us, live });
        }
        for (breach, detail) in found {
            self.note(breach, &detail);
        }
    }
}

#[cfg(test)]
mod tests;
