//! The values of all limits, by default or by flag.

use std::str::FromStr;

use super::{
    Limit,
    table::{LimitValue, Scope},
};
use crate::backends::quota::Quota;

/// The word that turns a limit off.
const OFF: &str = "off";
/// The name that stands for all limits.
const ALL: &str = "all";

/// The value of every limit. `None` is off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitSettings([Option<LimitValue>; Limit::ALL.len()]);

impl Default for LimitSettings {
    fn default() -> Self {
        Self(Limit::ALL.map(|limit| Some(limit.default())))
    }
}

/// One value of `--limit`: `NAME=COUNT/SECONDS`, `NAME=COUNT`, `NAME=off` or `all=off`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitChange {
    /// `None` is all limits.
    limit: Option<Limit>,
    value: Option<LimitValue>,
}

impl LimitSettings {
    /// No limit, for measurements and tests of other things.
    pub fn off() -> Self {
        Self([None; Limit::ALL.len()])
    }

    /// The defaults, changed in the order given.
    pub fn changed(mut self, changes: &[LimitChange]) -> Self {
        for LimitChange { limit, value } in changes {
            match limit {
                Some(limit) => self.0[*limit as usize] = *value,
                None => self.0 = [*value; Limit::ALL.len()],
            }
        }
        self
    }

    /// Lowers a limit of places to `most`, also one that is off.
    pub fn at_most(mut self, limit: Limit, most: u32) -> Self {
        let places = self.places(limit).map_or(most, |places| places.min(most));
        self.0[limit as usize] = Some(LimitValue::Places(places));
        self
    }

    /// The value of a limit. `None` is off.
    pub(super) fn value(&self, limit: Limit) -> Option<LimitValue> {
        self.0[limit as usize]
    }

    /// The quota of a rate.
    pub fn quota(&self, limit: Limit) -> Option<Quota> {
        match self.0[limit as usize]? {
            LimitValue::Rate(quota) => Some(quota),
            LimitValue::Places(_) | LimitValue::Fixed(_) => None,
        }
    }

    /// The number of places of a limit.
    pub fn places(&self, limit: Limit) -> Option<u32> {
        match self.0[limit as usize]? {
            LimitValue::Places(places) => Some(places),
            LimitValue::Rate(_) | LimitValue::Fixed(_) => None,
        }
    }
}

/// Reads a limit that a tenant has of its own: one that counts for each subject, or for the tenant.
///
/// # Errors
/// A message for the person who typed the value.
pub(crate) fn own_limit(name: &str, value: &str) -> Result<(Limit, Option<LimitValue>), String> {
    let LimitChange { limit, value } = format!("{name}={value}").parse()?;
    let limit = limit.ok_or("the limits of a tenant are named one by one")?;
    match limit.scope() {
        Scope::Subject | Scope::SubjectEverywhere | Scope::Tenant | Scope::TenantEverywhere => {
            Ok((limit, value))
        }
        Scope::Address | Scope::Connection | Scope::Node => {
            Err(format!("{name} counts clients of all tenants together"))
        }
    }
}

/// Reads a limit of the whole installation that can be changed while nodes run.
///
/// # Errors
/// A message for the person who typed the value.
pub(crate) fn installation_limit(
    name: &str,
    value: &str,
) -> Result<(Limit, Option<LimitValue>), String> {
    let LimitChange { limit, value } = format!("{name}={value}").parse()?;
    match limit.ok_or("limits are named one by one")? {
        // Bounded by the descriptors of the process; a pace is divided among shards at the start.
        Limit::Connections | Limit::Openings => {
            Err(format!("{name} depends on the machine: change it by --limit and a restart"))
        }
        limit => Ok((limit, value)),
    }
}

impl FromStr for LimitChange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE or NAME=off")?;
        if name == ALL {
            let is_off = value == OFF;
            return is_off
                .then_some(Self { limit: None, value: None })
                .ok_or_else(|| "all limits together can only be turned off: all=off".to_owned());
        }
        let limit = Limit::ALL.into_iter().find(|limit| limit.name() == name);
        let limit = limit.ok_or_else(|| {
            let names: Vec<_> = Limit::ALL.iter().map(|limit| limit.name()).collect();
            format!("no limit has this name; there are: {}", names.join(", "))
        })?;
        let value = match (value, limit.default()) {
            (_, LimitValue::Fixed(_)) => {
                return Err(format!("{name} is a bound of the protocol, which no setting changes"));
            }
            (OFF, _) => None,
            (value, LimitValue::Rate(_)) => Some(LimitValue::Rate(value.parse()?)),
            (value, LimitValue::Places(_)) => {
                let places = value.parse().map_err(|_| "expected a number of places")?;
                Some(LimitValue::Places(places))
            }
        };
        Ok(Self { limit: Some(limit), value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(changes: &[&str]) -> LimitSettings {
        let changes: Vec<_> = changes.iter().map(|text| text.parse().unwrap()).collect();
        LimitSettings::default().changed(&changes)
    }

    #[test]
    fn later_changes_replace_earlier_ones() {
        let settings = changed(&["all=off", "desk=20/60", "waiting-subject=7", "desk=30/60"]);
        assert_eq!(settings.quota(Limit::Desk), Quota::new(30, 60));
        assert_eq!(settings.places(Limit::WaitingOfSubject), Some(7));
        assert_eq!(settings.quota(Limit::Rest), None);
        assert_eq!(changed(&["all=off"]), LimitSettings::off());
        assert_eq!(changed(&[]).quota(Limit::Rest), Quota::new(100, 60));
    }

    #[test]
    fn faulty_changes_are_refused() {
        for bad in [
            "",
            "desk",
            "desk=",
            "desk=7",
            "waiting-subject=1/60",
            "all=100/60",
            "x=off",
            "commands=off",
        ] {
            assert!(bad.parse::<LimitChange>().is_err(), "{bad}");
        }
    }
}
