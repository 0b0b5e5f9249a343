//! The report of the rights of a program at its servers. Rights that the program needs must be
//! allowed, and rights that it must not have refused. Every attempt is harmless, whatever its
//! outcome.

use std::{
    fmt::{self, Display},
    io::Write,
    time::Duration,
};

/// How long the attempts at one server may take to reach it. Longer than a login over a slow line;
/// past it, nothing else is tried there.
pub const REACHED_WITHIN: Duration = Duration::from_secs(10);

/// The outcome of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// The server let the program do it.
    Allowed,
    /// The server refused it for want of a right.
    Refused,
    /// The attempt could not be made, for this reason.
    Unknown(String),
}

#[derive(Debug)]
struct Line {
    what: String,
    must_be: Access,
    found: Access,
}

impl Line {
    fn is_fault(&self) -> bool {
        self.found != self.must_be
    }
}

impl Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, must_be, found } = self;
        match (found, must_be) {
            (Access::Unknown(why), _) => write!(f, "unknown  {what}: {why}"),
            (Access::Allowed, Access::Allowed) => write!(f, "ok       {what}: allowed"),
            (Access::Allowed, _) => write!(f, "FAULT    {what}: allowed, and must be refused"),
            (Access::Refused, Access::Refused) => write!(f, "ok       {what}: refused"),
            (Access::Refused, _) => write!(f, "FAULT    {what}: refused, and must be allowed"),
        }
    }
}

/// The outcomes of all attempts, in order.
#[derive(Debug, Default)]
pub struct AccessReport(Vec<Line>);

impl AccessReport {
    /// Says on the standard error that attempts at this server begin: each can take seconds.
    pub fn begin(&self, server: &str) {
        let _ = writeln!(std::io::stderr(), "trying {server} …");
    }

    /// Adds an attempt that the program needs.
    pub fn needs(&mut self, what: impl Display, found: Access) {
        self.0.push(Line { what: what.to_string(), must_be: Access::Allowed, found });
    }

    /// Adds an attempt that must be refused.
    pub fn must_not(&mut self, what: impl Display, found: Access) {
        self.0.push(Line { what: what.to_string(), must_be: Access::Refused, found });
    }

    /// Adds that the program could not log in to a server, so that nothing there was tried.
    pub fn no_login(&mut self, server: &str, why: impl Display) {
        self.needs(format!("{server}: log in"), Access::Unknown(why.to_string()));
    }

    /// Whether everything is as it must be. A right that could not be tried is a fault.
    pub fn is_good(&self) -> bool {
        !self.0.iter().any(Line::is_fault)
    }
}

/// One attempt per line.
impl Display for AccessReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_is_good_only_if_everything_is_as_it_must_be() {
        for (found, needed, forbidden) in [
            (Access::Allowed, true, false),
            (Access::Refused, false, true),
            (Access::Unknown("nobody answers".into()), false, false),
        ] {
            let mut report = AccessReport::default();
            report.needs("kafka: read views", found.clone());
            assert_eq!(report.is_good(), needed, "{report}");
            let mut report = AccessReport::default();
            report.must_not("kafka: write views", found);
            assert_eq!(report.is_good(), forbidden, "{report}");
        }
    }
}
