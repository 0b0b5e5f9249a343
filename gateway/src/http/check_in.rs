//! Routes of check-in points, and of the scans at them.

pub(super) mod check_in_points;
pub(super) mod scans;
