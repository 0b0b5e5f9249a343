//! The location of a ticket or an appointment, as its patient sees it.

use serde::{Deserialize, Serialize};

/// The location as its patients need to know it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct ClinicInfo {
    /// The name of the location.
    pub name: String,
    /// The IANA name of the time zone, in which every time is shown.
    pub time_zone: String,
}
