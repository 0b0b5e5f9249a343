//! The pure rules of a scan: whether the phone is near the clinic, and which attempts are
//! suspicious.

use schemas::check_in::CheckInPlace;
use serde::{Deserialize, Serialize};

/// The place where a phone says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PhonePosition {
    /// Degrees north of the equator.
    pub latitude: f64,
    /// Degrees east of Greenwich.
    pub longitude: f64,
    /// Metres by which the phone may be wrong.
    #[serde(default)]
    pub accuracy_m: f64,
}

/// Metres of a phone's inaccuracy that count in favour of the patient: more than indoors, and less
/// than the next street.
const MOST_INACCURACY_M: f64 = 100.0;
/// The mean radius of the earth (IUGG).
const EARTH_M: f64 = 6_371_009.0;

/// Whether the phone may be within the radius of the place. A phone can report a false
/// position, so this check stops only honest people from checking in at home.
pub fn is_within(place: &CheckInPlace, phone: &PhonePosition) -> bool {
    let inaccuracy = phone.accuracy_m.clamp(0.0, MOST_INACCURACY_M);
    distance_m(place, phone) - inaccuracy <= f64::from(place.radius_m)
}

/// The distance along a great circle, by the haversine formula.
fn distance_m(place: &CheckInPlace, phone: &PhonePosition) -> f64 {
    let half = |degrees: f64| (degrees.to_radians() / 2.0).sin().powi(2);
    let along = half(phone.latitude - place.latitude);
    let across = half(phone.longitude - place.longitude)
        * place.latitude.to_radians().cos()
        * phone.latitude.to_radians().cos();
    2.0 * EARTH_M * (along + across).sqrt().min(1.0).asin()
}

/// One attempt to check in with a booking's code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookingAttempt {
    /// The location of the check-in point.
    pub location: String,
    /// A digest of the client's address.
    pub address: String,
    /// Whether the second factor that was entered with the code is right.
    pub proved: bool,
}

impl BookingAttempt {
    /// Whether two attempts with one code within minutes cannot both be of its patient: they are at
    /// two locations, or from two addresses of which one did not send the right second factor.
    pub fn contradicts(&self, other: &Self) -> bool {
        self.location != other.location
            || self.address != other.address && !(self.proved && other.proved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_decides_with_the_inaccuracy_of_the_phone() {
        let place = CheckInPlace { latitude: 45.5017, longitude: -73.5673, radius_m: 200 };
        let table = [
            (45.5017, -73.5673, 0.0, true),
            // 167 m and 334 m to the north.
            (45.5032, -73.5673, 0.0, true),
            (45.5047, -73.5673, 0.0, false),
            (45.5041, -73.5673, 80.0, true),
            // 100 m of inaccuracy at most.
            (45.5047, -73.5673, 10_000.0, false),
            (45.5047, -73.5673, -10_000.0, false),
            (-45.5017, 106.4327, 0.0, false),
            (f64::NAN, 0.0, 0.0, false),
            (45.5017, -73.5673, f64::NAN, false),
        ];
        for (latitude, longitude, accuracy_m, within) in table {
            let phone = PhonePosition { latitude, longitude, accuracy_m };
            assert_eq!(is_within(&place, &phone), within, "{phone:?}");
        }
    }

    #[test]
    fn known_distances_are_found() {
        // Metres by the angle between two vectors, another formula.
        let table = [
            ((0.0, 0.0), (0.0, 1.0), 111_195.0),
            ((45.5017, -73.5673), (45.5017, -73.5573), 779.3),
            ((36.12, -86.67), (33.94, -118.40), 2_886_448.0),
            ((90.0, 0.0), (-90.0, 0.0), 20_015_115.0),
        ];
        for (from, to, expected) in table {
            let place = CheckInPlace { latitude: from.0, longitude: from.1, radius_m: 50 };
            let phone = PhonePosition { latitude: to.0, longitude: to.1, accuracy_m: 0.0 };
            let found = distance_m(&place, &phone);
            assert!((found - expected).abs() < 1.0, "{from:?} to {to:?}: {found}");
        }
    }

    #[test]
    fn attempts_contradict_by_place_or_by_an_unproved_second_address() {
        let attempt = |location: &str, address: &str, proved| BookingAttempt {
            location: location.into(),
            address: address.into(),
            proved,
        };
        let first = attempt("riverside", "a", true);
        let table = [
            (attempt("riverside", "a", true), false),
            (attempt("riverside", "a", false), false),
            // A phone on its own network, and then the kiosk of the clinic.
            (attempt("riverside", "b", true), false),
            (attempt("riverside", "b", false), true),
            (attempt("north", "a", true), true),
        ];
        for (second, expected) in table {
            assert_eq!(first.contradicts(&second), expected, "{second:?}");
            assert_eq!(second.contradicts(&first), expected, "{second:?}");
        }
    }
}
