//! Check-in points: the posters and kiosks at which patients check themselves in.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Millis, ids::QueueId};

/// The kind of a check-in point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CheckInPointKind {
    /// A printed code that patients scan with their own phones.
    Poster,
    /// A screen of the clinic, which has a credential of its own.
    Kiosk,
}

/// The second factor that a patient types beside the code of the booking. A person who only found
/// the letter with the code does not know the factor.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CheckInFactor {
    /// Nothing: the code alone checks in.
    None,
    /// The year of birth, four digits.
    #[default]
    BirthYear,
    /// The date of birth, `YYYYMMDD`.
    BirthDate,
    /// The last four digits of a telephone number.
    PhoneEnd,
}

impl CheckInFactor {
    /// Every factor.
    pub const ALL: [Self; 4] = [Self::None, Self::BirthYear, Self::BirthDate, Self::PhoneEnd];

    /// The factor as JSON spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::BirthYear => "birth_year",
            Self::BirthDate => "birth_date",
            Self::PhoneEnd => "phone_end",
        }
    }

    /// The number of digits of the factor.
    pub fn digits(self) -> usize {
        match self {
            Self::None => 0,
            Self::BirthYear | Self::PhoneEnd => 4,
            Self::BirthDate => 8,
        }
    }

    /// The digits of a text that somebody typed, without the spaces, dots, hyphens and slashes of a
    /// date or a number. `None` for a text that is no value of this factor.
    pub fn parse(self, typed: &str) -> Option<String> {
        /// A date with a separator between all its digits. Nothing longer is read.
        const MOST: usize = 16;
        if typed.len() > MOST {
            return None;
        }
        let is_separator = |typed: &char| matches!(typed, ' ' | '.' | '-' | '/');
        let digits: String = typed.chars().filter(|typed| !is_separator(typed)).collect();
        let good =
            digits.len() == self.digits() && digits.bytes().all(|byte| byte.is_ascii_digit());
        good.then_some(digits)
    }
}

/// A place on the earth and the distance from it that counts as being there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct CheckInPlace {
    /// Degrees north of the equator.
    #[cfg_attr(any(test, feature = "json-schema"), schemars(range(min = -90, max = 90)))]
    pub latitude: f64,
    /// Degrees east of Greenwich.
    #[cfg_attr(any(test, feature = "json-schema"), schemars(range(min = -180, max = 180)))]
    pub longitude: f64,
    /// Metres from the place within which patients check in.
    #[cfg_attr(any(test, feature = "json-schema"), schemars(range(min = 50, max = 10_000)))]
    pub radius_m: u32,
}

impl CheckInPlace {
    /// Whether the place is on the earth and its radius from 50 m to 10 km: phones are often wrong
    /// by less than the one, and a larger campus than the other has several locations.
    pub fn is_plausible(&self) -> bool {
        const RADIUS_M: std::ops::RangeInclusive<u32> = 50..=10_000;
        (-90.0..=90.0).contains(&self.latitude)
            && (-180.0..=180.0).contains(&self.longitude)
            && RADIUS_M.contains(&self.radius_m)
    }
}

/// The part of a check-in point that staff choose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct CheckInPointSetup {
    /// The name by which staff and patients know the point.
    pub name: String,
    /// The kind of the point.
    pub kind: CheckInPointKind,
    /// The queues in which patients without an appointment may take a ticket. Empty: none.
    #[serde(default)]
    pub queues: BTreeSet<QueueId>,
    /// The second factor that patients type beside the code of the booking.
    #[serde(default)]
    pub factor: CheckInFactor,
    /// Where patients must be. Absent: anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<CheckInPlace>,
}

/// One check-in point: an entry `check-in-point:<id>` of the settings of its location.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct CheckInPointSettings {
    /// The part that staff choose.
    #[serde(flatten)]
    pub setup: CheckInPointSetup,
    /// The version of the location at which the present code was made. Codes of another rotation
    /// are refused as `qr_expired`.
    pub rotation: u64,
    /// When the present code was made.
    pub rotated_at: Millis,
    /// Whether the point is out of use until it is rotated.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revoked: bool,
    /// The edition of the setup. A rotation does not change it.
    #[serde(default)]
    pub edition: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_read_as_people_type_them() {
        let table = [
            (CheckInFactor::None, "", Some("")),
            (CheckInFactor::None, "1", None),
            (CheckInFactor::BirthYear, "1980", Some("1980")),
            (CheckInFactor::BirthYear, " 19 80 ", Some("1980")),
            (CheckInFactor::BirthYear, "80", None),
            (CheckInFactor::BirthDate, "1980-02-29", Some("19800229")),
            (CheckInFactor::BirthDate, "1980/02/29", Some("19800229")),
            (CheckInFactor::BirthDate, "29 feb 1980", None),
            (CheckInFactor::PhoneEnd, "12-34", Some("1234")),
            (CheckInFactor::PhoneEnd, "۱۲۳۴", None),
            (CheckInFactor::PhoneEnd, "1234            ", Some("1234")),
            (CheckInFactor::PhoneEnd, "1234             ", None),
        ];
        for (factor, typed, read) in table {
            assert_eq!(factor.parse(typed).as_deref(), read, "{typed}");
        }
        for factor in CheckInFactor::ALL {
            assert_eq!(serde_json::to_value(factor).unwrap(), factor.as_str());
        }
    }

    #[test]
    fn place_outside_the_earth_or_with_an_odd_radius_is_implausible() {
        let place = |latitude, longitude, radius_m| CheckInPlace { latitude, longitude, radius_m };
        let table = [
            (place(45.5, -73.6, 200), true),
            (place(-90.0, 180.0, 50), true),
            (place(90.1, 0.0, 200), false),
            (place(0.0, -180.1, 200), false),
            (place(f64::NAN, 0.0, 200), false),
            (place(45.5, -73.6, 49), false),
            (place(45.5, -73.6, 10_001), false),
        ];
        for (place, plausible) in table {
            assert_eq!(place.is_plausible(), plausible, "{place:?}");
        }
    }
}
