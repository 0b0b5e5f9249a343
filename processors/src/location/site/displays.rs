//! Decides and applies the pairing of displays.

use schemas::{
    Millis,
    check_in::CheckInPointKind,
    codes::Code,
    event::Event,
    ids::{CheckInPointId, DisplayId},
};

use crate::location::{
    Location,
    appearance::check_edition,
    check_in_points,
    decision::Decision,
    settings::{self, MAX_DISPLAYS},
    state::Display,
};

/// Pairs a display. A known one is paired again: the answer to the first approval was lost, and a
/// gateway derives the id from what only the screen knows.
pub(crate) fn pair(
    state: &Location,
    id: &DisplayId,
    name: &str,
    check_in_point: Option<&CheckInPointId>,
) -> Result<Decision, Code> {
    settings::check_text(name)?;
    if let Some(point) = check_in_point
        && check_in_points::known(state, point)?.setup.kind != CheckInPointKind::Kiosk
    {
        return Err(Code::IllegalMove);
    }
    let displays = &state.header.displays;
    if displays.len() >= MAX_DISPLAYS && !displays.contains_key(id) {
        return Err(Code::InvalidValue);
    }
    let (display, name) = (id.clone(), name.to_owned());
    Ok(Event::DisplayPaired { display, name, check_in_point: check_in_point.cloned() }.into())
}

pub(crate) fn rename(
    state: &Location,
    id: &DisplayId,
    name: &str,
    edition: Option<u64>,
) -> Result<Decision, Code> {
    settings::check_text(name)?;
    known(state, id)?;
    check_edition(state.header.displays[id].edition, edition)?;
    Ok(Event::DisplayRenamed { display: id.clone(), name: name.to_owned() }.into())
}

pub(crate) fn unpair(state: &Location, id: &DisplayId) -> Result<Decision, Code> {
    known(state, id)?;
    Ok(Event::DisplayUnpaired { display: id.clone() }.into())
}

fn known(state: &Location, id: &DisplayId) -> Result<(), Code> {
    state.header.displays.contains_key(id).then_some(()).ok_or(Code::DisplayUnknown)
}

impl Location {
    /// Applies an event of a display.
    pub(crate) fn change_displays(&mut self, event: &Event, version: u64, now: Millis) {
        let displays = &mut self.header.displays;
        match event {
            Event::DisplayPaired { display, name, check_in_point } => {
                let (name, check_in_point) = (name.clone(), check_in_point.clone());
                let paired = Display { name, paired_at: now, check_in_point, edition: version };
                displays.insert(display.clone(), paired);
            }
            Event::DisplayRenamed { display, name } => {
                if let Some(known) = displays.get_mut(display) {
                    known.name.clone_from(name);
                    known.edition = version;
                }
            }
            Event::DisplayUnpaired { display } => drop(displays.remove(display)),
            _ => {}
        }
    }
}
