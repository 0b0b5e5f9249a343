//! The languages of rules and findings.

/// A language in which a rule's name and a finding's message are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    /// Canadian French.
    French,
    /// Canadian English.
    English,
}
