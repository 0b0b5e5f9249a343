//! The demo clinic: people who arrive, wait, are called, served, moved, missed and urgent, for ever. A pure and
//! seeded model decides what happens next; a driver does it over HTTP, like any other caller of the API.

mod chance;
pub mod checks;
pub mod clinic;
pub mod desk;
pub mod driver;
pub mod plan;
