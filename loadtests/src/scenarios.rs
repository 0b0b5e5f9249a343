//! The scenarios of `swarm`, each a subcommand with its own checks and figures.

pub mod commands;
pub mod day;
pub mod fanout;
pub mod idle;
pub mod phones;
pub mod reads;
pub mod reconnect;
pub mod revocations;
pub mod runs;
pub mod width;
