//! The demo clinic: people arrive, wait, are called, served, moved or missed, for ever. A pure and
//! seeded model decides what happens next; a driver does it over HTTP, like any other caller.

mod chance;
pub mod clinic;
pub mod desk;
pub mod driver;
pub mod plan;
