//! The location of a ticket or an appointment, as its patient sees it.

use serde::{Deserialize, Serialize};

use crate::branding::Branding;

/// The location as its patients need to know it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct ClinicInfo {
    /// The name of the location.
    pub name: String,
    /// The IANA name of the time zone, in which every time is shown.
    pub time_zone: String,
    /// The postal address, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// BCP 47 tags. The first is the default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub languages: Vec<String>,
    /// How many people a waiting patient may let go first at once. Absent: patients may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yield_places: Option<u32>,
    /// The colour and the logo.
    #[serde(default, skip_serializing_if = "Branding::is_empty")]
    pub branding: Branding,
}
