//! The ready file: the JSON that a server or the demo writes when it is ready.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result};
use serde::Deserialize;

/// Addresses, tokens and ids of a running clinic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ReadyFile {
    pub url: String,
    /// The nodes of an installation with several; empty when `url` is the only one.
    pub nodes: Vec<String>,
    pub tokens: BTreeMap<String, String>,
    pub location: String,
    pub queues: Vec<String>,
    pub tickets: Vec<String>,
    pub appointments: Vec<String>,
    /// Absent for a clinic without appointments.
    pub schedule: Option<String>,
}

impl ReadyFile {
    /// # Errors
    /// When the file cannot be read, or is something else.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read(path)
            .with_context(|| format!("read the ready file {}", path.display()))?;
        serde_json::from_slice(&text).context("parse the ready file")
    }

    /// The addresses of all nodes.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        if self.nodes.is_empty() { vec![self.url.clone()] } else { self.nodes.clone() }
    }

    /// The token of a role.
    ///
    /// # Errors
    /// When the file has no token of this role.
    pub fn token(&self, role: &str) -> Result<&str> {
        let token = self.tokens.get(role).map(String::as_str);
        token.with_context(|| format!("the ready file has no token of the role {role}"))
    }
}
