//! Stops Kafka for a while, again and again, and measures when every client of it is back.

use std::process::ExitCode;

use clap::Parser;
use clinicwire_loadtests::{
    report::say,
    stall::{self, StallArgs},
};

#[tokio::main]
async fn main() -> ExitCode {
    match stall::run(StallArgs::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            say(&format!("stall: {error:#}"));
            ExitCode::from(2)
        }
    }
}
