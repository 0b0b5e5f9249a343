//! Decides and applies the changes of check-in points.

use schemas::{
    Millis,
    check_in::{CheckInPointSettings, CheckInPointSetup},
    codes::Code,
    event::Event,
    ids::CheckInPointId,
};

use crate::location::{
    Location,
    appearance::check_edition,
    decision::{Decision, queue_of},
    settings::{self, MAX_CHECK_IN_POINTS},
};

pub(crate) fn configure(
    state: &Location,
    id: &CheckInPointId,
    setup: &CheckInPointSetup,
    edition: Option<u64>,
) -> Result<Decision, Code> {
    let held = state.header.check_in_points.get(id).map_or(0, |point| point.edition);
    check_edition(held, edition)?;
    settings::check_text(&setup.name)?;
    for queue in &setup.queues {
        queue_of(state, queue)?;
    }
    let points = &state.header.check_in_points;
    let too_many = points.len() >= MAX_CHECK_IN_POINTS && !points.contains_key(id);
    if too_many || setup.place.is_some_and(|place| !place.is_plausible()) {
        return Err(Code::InvalidValue);
    }
    Ok(Event::CheckInPointConfigured { point: id.clone(), setup: setup.clone() }.into())
}

pub(crate) fn rotate(state: &Location, id: &CheckInPointId) -> Result<Decision, Code> {
    known(state, id)?;
    Ok(Event::CheckInPointRotated { point: id.clone() }.into())
}

pub(crate) fn revoke(state: &Location, id: &CheckInPointId) -> Result<Decision, Code> {
    if known(state, id)?.revoked {
        return Err(Code::IllegalMove);
    }
    Ok(Event::CheckInPointRevoked { point: id.clone() }.into())
}

pub(crate) fn remove(state: &Location, id: &CheckInPointId) -> Result<Decision, Code> {
    known(state, id)?;
    Ok(Event::CheckInPointRemoved { point: id.clone() }.into())
}

pub(crate) fn known<'a>(
    state: &'a Location,
    id: &CheckInPointId,
) -> Result<&'a CheckInPointSettings, Code> {
    state.header.check_in_points.get(id).ok_or(Code::CheckInPointUnknown)
}

impl Location {
    /// Applies an event of a check-in point. The version of the event numbers the rotation, so that
    /// a point that was removed and created again never has an old code.
    pub(crate) fn change_check_in_points(&mut self, event: &Event, version: u64, now: Millis) {
        let points = &mut self.header.check_in_points;
        match event {
            Event::CheckInPointConfigured { point, setup } => {
                let created = || CheckInPointSettings {
                    setup: setup.clone(),
                    rotation: version,
                    rotated_at: now,
                    revoked: false,
                    edition: version,
                };
                let point = points.entry(point.clone()).or_insert_with(created);
                (point.setup, point.edition) = (setup.clone(), version);
            }
            Event::CheckInPointRotated { point } => {
                if let Some(known) = points.get_mut(point) {
                    (known.rotation, known.rotated_at, known.revoked) = (version, now, false);
                }
            }
            Event::CheckInPointRevoked { point } => {
                if let Some(known) = points.get_mut(point) {
                    known.revoked = true;
                }
            }
            Event::CheckInPointRemoved { point } => drop(points.remove(point)),
            _ => {}
        }
    }
}
