//! Routes of a location: its settings, queues, tickets, appointments and alerts.

pub(super) mod alerts;
pub(super) mod analytics;
pub(super) mod appointments;
pub(super) mod channels;
pub(super) mod commands;
pub(super) mod history;
pub(super) mod logos;
pub(super) mod requests;
pub(super) mod settings;
