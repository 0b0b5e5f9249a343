//! The contents of a location's views, and the deltas between before and after a record.

mod entries;
mod scope;

use std::collections::BTreeMap;

use schemas::{
    Millis,
    appointment::{APPOINTMENT_KEY, AppointmentView, SCHEDULE_KEY, ScheduleEntry, ScheduleHead},
    channel::Channel,
    check_in::CheckInPointSettings,
    event::Event,
    ids::{DoctorId, LocationId, ScheduleId},
    line::{
        BOARD_KEY, BoardCall, BoardHead, BoardMove, BoardQueue, QUEUE_KEY, QueueEntry, QueueHead,
        TICKET_KEY,
    },
    load::{LOAD_KEY, LoadDoctor, LoadHead, LoadQuarter, LoadQueue, LoadStation, quarter_key},
    record::ViewDelta,
    settings::{
        BRANDING_KEY, BrandingSettings, DisplaySettings, LOCATION_KEY, LocationSettings,
        MESSAGES_KEY, MessageSettings, PRIVACY_KEY, PrivacySettings, QueueSettings,
        StationSettings, check_in_point_key, display_key,
    },
    ticket::TicketEntry,
    view::Delta,
};
use serde::Serialize;

use entries::{display_settings, queue_settings, schedule_entry, station_settings};
use scope::{SettingsPart, ViewScope};

use crate::location::{
    Location,
    alerts::SubscribedTickets,
    moves::{BoardPlace, shown},
    outward::NearTickets,
    state::DoctorDay,
};

/// Seconds for which the last state of an ended ticket can be read: the patient's phone may be
/// asleep for a day. After that, the channel of the ticket is unknown.
pub const KEEP_ENDED_S: u32 = 24 * 60 * 60;

/// One entry of a view.
#[derive(PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum ViewEntry {
    Queue(QueueHead),
    Ticket(QueueEntry),
    Board(BoardHead),
    BoardQueue(BoardQueue),
    Call(BoardCall),
    Move(BoardMove),
    Place(TicketEntry),
    Appointment(Box<AppointmentView>),
    Schedule(ScheduleHead),
    Scheduled(ScheduleEntry),
    Load(Box<LoadHead>),
    LoadQueue(LoadQueue),
    LoadStation(LoadStation),
    LoadDoctor(LoadDoctor),
    LoadQuarter(LoadQuarter),
    Settings(LocationSettings),
    Privacy(PrivacySettings),
    Messages(MessageSettings),
    Branding(BrandingSettings),
    QueueSettings(QueueSettings),
    StationSettings(StationSettings),
    DisplaySettings(DisplaySettings),
    CheckInPointSettings(CheckInPointSettings),
}

/// The entries in scope, by view and key.
pub(crate) type ViewEntries = BTreeMap<Channel, BTreeMap<String, ViewEntry>>;

/// Which moment entries are rendered for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rendering {
    /// As the views show them. An appointment may show an earlier name of the location.
    Shown,
    /// As they are now.
    Current,
}

/// The events of one version while they are applied, and the entries that they may change, as
/// rendered before.
#[derive(Default)]
pub(crate) struct VersionChange {
    pub(crate) events: Vec<Event>,
    scope: ViewScope,
    before: ViewEntries,
    /// The tickets whose devices may have to be alerted.
    pub(crate) subscribed: SubscribedTickets,
    /// The tickets that were near their turn.
    pub(crate) near: NearTickets,
    /// The versions that the views of removed queues and forgotten doctors had.
    removed: BTreeMap<Channel, u64>,
}

impl Location {
    /// Applies one event of `version`, decided at `now`. Before that, renders the entries that the
    /// event may change, unless an earlier event of the version already had them rendered.
    pub(crate) fn change(
        &mut self,
        changing: &mut VersionChange,
        location: &LocationId,
        event: Event,
        version: u64,
        now: Millis,
    ) {
        let scope = self.scope(&event, now);
        let schedules = self.schedules(location, &scope);
        let new = changing.scope.take_in(scope);
        self.note_subscribed(&mut changing.subscribed, &new.tickets, &new.queues);
        self.note_near(&mut changing.near, &new.queues);
        for (view, entries) in self.render(location, &new, Rendering::Shown) {
            changing.before.entry(view).or_default().extend(entries);
        }
        if let Event::QueueRemoved { queue, .. } = &event {
            let view = self.header.queues.get(queue).map_or(0, |queue| queue.view);
            changing.removed.insert(Channel::Queue(queue.clone()), view);
        }
        self.apply(&event, version, now);
        for (doctor, schedule, view) in schedules {
            if !self.header.doctors.contains_key(&doctor) {
                changing.removed.insert(schedule, view);
            }
        }
        changing.events.push(event);
    }

    /// The events of the version, and how they changed the views.
    pub(crate) fn finish_change(
        &mut self,
        changing: VersionChange,
        location: &LocationId,
    ) -> (Vec<Event>, Vec<ViewDelta>) {
        let VersionChange { events, scope, before, removed, subscribed: _, near: _ } = changing;
        let after = self.render(location, &scope, Rendering::Current);
        let deltas = self.step_views(before, after, &events, &removed);
        (events, deltas)
    }

    /// The schedules of the doctors in scope, with the versions of their views.
    fn schedules(&self, location: &LocationId, scope: &ViewScope) -> Vec<(DoctorId, Channel, u64)> {
        let schedule = |id: &DoctorId| Channel::Schedule(ScheduleId::from_parts(location, id));
        let held = scope.doctors.iter().filter_map(|id| Some((id, self.header.doctors.get(id)?)));
        held.map(|(id, doctor)| (id.clone(), schedule(id), doctor.view)).collect()
    }

    /// Renders the entries in scope.
    fn render(
        &self,
        location: &LocationId,
        scope: &ViewScope,
        rendering: Rendering,
    ) -> ViewEntries {
        let mut rendered = ViewEntries::new();
        self.render_tickets(&mut rendered, location, scope);
        self.render_appointments(&mut rendered, location, scope, rendering);
        rendered.insert(Channel::Load(location.clone()), self.render_load(scope));
        rendered.insert(Channel::Settings(location.clone()), self.render_settings(scope));
        rendered
    }

    fn render_tickets(&self, rendered: &mut ViewEntries, location: &LocationId, scope: &ViewScope) {
        let mut board = BTreeMap::new();
        if scope.location {
            board.insert(BOARD_KEY.to_owned(), ViewEntry::Board(self.board_head()));
        }
        for id in &scope.queues {
            if let Some(queue) = self.header.queues.get(id) {
                let entries = rendered.entry(Channel::Queue(id.clone())).or_default();
                entries.insert(QUEUE_KEY.to_owned(), ViewEntry::Queue(self.queue_head(id, queue)));
                board.insert(
                    format!("queue:{id}"),
                    ViewEntry::BoardQueue(self.board_queue(id, queue)),
                );
            }
        }
        for ticket in scope.tickets.iter().filter_map(|id| self.ticket(id)) {
            if ticket.is_live() {
                let view = Channel::Queue(ticket.standing.queue.clone());
                let entry = ViewEntry::Ticket(self.queue_entry(ticket));
                rendered.entry(view).or_default().insert(ticket.id.to_string(), entry);
            }
            if let Some(moving_to) = ticket.moving_to() {
                let (label, to) = (ticket.label.clone(), moving_to.location());
                board.insert(
                    format!("move:{}/{label}", ticket.day),
                    ViewEntry::Move(BoardMove { label, to }),
                );
            }
            if shown(&ticket.standing) == BoardPlace::Current {
                board.insert(
                    call_key(&ticket.day, &ticket.label),
                    ViewEntry::Call(self.current_call(ticket)),
                );
            }
            let place =
                BTreeMap::from([(TICKET_KEY.to_owned(), ViewEntry::Place(self.place_of(ticket)))]);
            rendered.insert(Channel::Ticket(ticket.id.clone()), place);
        }
        let earlier = scope.recents && self.header.privacy.boards.earlier;
        for recent in self.header.recents.iter().filter(|_| earlier) {
            board.insert(
                call_key(&recent.day, &recent.label),
                ViewEntry::Call(self.recent_call(recent)),
            );
        }
        rendered.insert(Channel::Board(location.clone()), board);
    }

    fn render_appointments(
        &self,
        rendered: &mut ViewEntries,
        location: &LocationId,
        scope: &ViewScope,
        rendering: Rendering,
    ) {
        let schedule = |doctor| Channel::Schedule(ScheduleId::from_parts(location, doctor));
        for (id, doctor) in
            scope.doctors.iter().filter_map(|id| Some((id, self.header.doctors.get(id)?)))
        {
            let entry = ViewEntry::Schedule(self.schedule_head(id, doctor));
            rendered.entry(schedule(id)).or_default().insert(SCHEDULE_KEY.to_owned(), entry);
        }
        for appointment in scope.appointments.iter().filter_map(|id| self.appointment(id)) {
            let clinic = match rendering {
                Rendering::Shown => appointment.clinic.clone().unwrap_or_default(),
                Rendering::Current => self.clinic(),
            };
            let view = ViewEntry::Appointment(Box::new(self.appointment_view(appointment, clinic)));
            let entries = BTreeMap::from([(APPOINTMENT_KEY.to_owned(), view)]);
            rendered.insert(Channel::Appointment(appointment.id.clone()), entries);
            if let Some(doctor) = &appointment.fact.doctor
                && self.is_today(appointment)
                && self.header.doctors.contains_key(&doctor.id)
            {
                let entry = ViewEntry::Scheduled(schedule_entry(appointment));
                rendered
                    .entry(schedule(&doctor.id))
                    .or_default()
                    .insert(appointment.id.to_string(), entry);
            }
        }
    }

    fn render_load(&self, scope: &ViewScope) -> BTreeMap<String, ViewEntry> {
        let mut load = BTreeMap::new();
        if scope.load && self.exists() {
            load.insert(LOAD_KEY.to_owned(), ViewEntry::Load(Box::new(self.load_head())));
        }
        for (id, queue) in
            scope.queues.iter().filter_map(|id| Some((id, self.header.queues.get(id)?)))
        {
            load.insert(format!("queue:{id}"), ViewEntry::LoadQueue(self.load_queue(id, queue)));
        }
        for (id, station) in
            scope.stations.iter().filter_map(|id| Some((id, self.header.stations.get(id)?)))
        {
            load.insert(
                format!("station:{id}"),
                ViewEntry::LoadStation(self.load_station(id, station)),
            );
        }
        for (id, doctor) in
            scope.doctors.iter().filter_map(|id| Some((id, self.header.doctors.get(id)?)))
        {
            let DoctorDay { name, delay_min, .. } = doctor;
            let entry = LoadDoctor { name: name.clone(), delay_min: *delay_min };
            load.insert(format!("doctor:{id}"), ViewEntry::LoadDoctor(entry));
        }
        for quarter in &scope.quarters {
            if let Some(entry) = self.load_quarter(*quarter) {
                load.insert(quarter_key(*quarter), ViewEntry::LoadQuarter(entry));
            }
        }
        load
    }

    fn render_settings(&self, scope: &ViewScope) -> BTreeMap<String, ViewEntry> {
        let entry = |part: &SettingsPart| {
            let header = &self.header;
            Some(match part {
                SettingsPart::Location if !self.exists() => return None,
                SettingsPart::Location => {
                    (LOCATION_KEY.to_owned(), ViewEntry::Settings(self.location_settings()))
                }
                SettingsPart::Privacy => {
                    (PRIVACY_KEY.to_owned(), ViewEntry::Privacy(self.privacy_settings()?))
                }
                SettingsPart::Messages => {
                    (MESSAGES_KEY.to_owned(), ViewEntry::Messages(self.message_settings()?))
                }
                SettingsPart::Branding => {
                    (BRANDING_KEY.to_owned(), ViewEntry::Branding(self.branding_settings()?))
                }
                SettingsPart::Queue(id) => {
                    let settings = queue_settings(header.queues.get(id)?);
                    (format!("queue:{id}"), ViewEntry::QueueSettings(settings))
                }
                SettingsPart::Station(id) => {
                    let settings = station_settings(header.stations.get(id)?);
                    (format!("station:{id}"), ViewEntry::StationSettings(settings))
                }
                SettingsPart::Display(id) => {
                    let settings = display_settings(header.displays.get(id)?);
                    (display_key(id), ViewEntry::DisplaySettings(settings))
                }
                SettingsPart::CheckInPoint(id) => {
                    let settings = header.check_in_points.get(id)?.clone();
                    (check_in_point_key(id), ViewEntry::CheckInPointSettings(settings))
                }
            })
        };
        scope.settings.iter().filter_map(entry).collect()
    }

    /// The deltas from `before` to `after` under the location's current version. It becomes the
    /// version of every view that changed.
    fn step_views(
        &mut self,
        mut before: ViewEntries,
        after: ViewEntries,
        events: &[Event],
        removed: &BTreeMap<Channel, u64>,
    ) -> Vec<ViewDelta> {
        let called =
            |event| matches!(event, &Event::TicketCalled { .. } | &Event::TicketRecalled { .. });
        let calls = events.iter().any(called);
        let mut deltas = Vec::new();
        let gone =
            before.keys().filter(|view| !after.contains_key(view)).cloned().collect::<Vec<_>>();
        let after = after.into_iter().chain(gone.into_iter().map(|view| (view, BTreeMap::new())));
        for (view, new) in after {
            let mut old = before.remove(&view).unwrap_or_default();
            let mut delta = Delta::default();
            let mut keep_s = None;
            let mut urgent = calls && matches!(view, Channel::Load(_));
            for (key, entry) in new {
                let old = old.remove(&key);
                if old.as_ref() != Some(&entry) {
                    urgent |= old.is_some_and(|old| crosses(&old, &entry));
                    delta.put(key, &entry);
                    keep_s = keep_s.or(self.keep_s(&entry));
                }
            }
            for key in old.into_keys() {
                delta.drop_key(key);
            }
            if !delta.is_empty() {
                (delta.to, delta.at) = (self.position.version, self.header.now);
                delta.from = self.move_view(&view);
                // The view of a removed queue or a forgotten doctor stays for a while without
                // entries, so that readers and stores that missed the removal can see it.
                if let Some(version) = removed.get(&view) {
                    delta.from = *version;
                    keep_s = delta.set.is_empty().then_some(KEEP_ENDED_S);
                }
                deltas.push(ViewDelta { view: view.to_string(), keep_s, urgent, delta });
            }
        }
        deltas
    }

    /// How long a view with this entry is kept: an ended ticket for a day, and an ended appointment
    /// until a day after its start.
    fn keep_s(&self, entry: &ViewEntry) -> Option<u32> {
        match entry {
            ViewEntry::Place(TicketEntry::Ended(_)) => Some(KEEP_ENDED_S),
            ViewEntry::Appointment(view) if view.status.is_end() => {
                let ahead_s = (view.start.unwrap_or(0) - self.header.now).max(0) / 1000;
                Some(u32::try_from(ahead_s).unwrap_or(u32::MAX).saturating_add(KEEP_ENDED_S))
            }
            _ => None,
        }
    }

    /// Moves a view to the current version and returns the version that it had.
    fn move_view(&mut self, view: &Channel) -> u64 {
        if let Channel::Appointment(id) = view {
            let clinic = self.clinic();
            let held = self.appointments.get_mut(id);
            held.into_iter().for_each(|held| held.clinic = Some(clinic.clone()));
        }
        let held = match view {
            Channel::Board(_) => Some(&mut self.header.board_view),
            Channel::Queue(id) => self.header.queues.get_mut(id).map(|queue| &mut queue.view),
            Channel::Ticket(id) => self.tickets.get_mut(id).map(|ticket| &mut ticket.view),
            Channel::Appointment(id) => {
                self.appointments.get_mut(id).map(|appointment| &mut appointment.view)
            }
            Channel::Schedule(id) => {
                self.header.doctors.get_mut(&id.doctor()).map(|doctor| &mut doctor.view)
            }
            Channel::Load(_) => Some(&mut self.header.load_view),
            Channel::Settings(_) => Some(&mut self.header.settings_view),
            Channel::Run(_) => None, // no location's
        };
        held.map_or(0, |held| std::mem::replace(held, self.position.version))
    }
}

/// Whether a queue moved to another band.
fn crosses(old: &ViewEntry, new: &ViewEntry) -> bool {
    match (old, new) {
        (ViewEntry::LoadQueue(old), ViewEntry::LoadQueue(new)) => old.band != new.band,
        _ => false,
    }
}

fn call_key(day: &str, label: &str) -> String {
    format!("call:{day}/{label}")
}
