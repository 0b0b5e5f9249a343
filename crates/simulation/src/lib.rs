//! The simulation is a test, `tests/simulation`, because it needs the paused clock of tokio.
