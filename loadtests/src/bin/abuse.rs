//! Attacks a node, and prints what its neighbours feel of it.

use std::process::ExitCode;

use clap::Parser;
use clinicwire_loadtests::{
    abuse::{self, AbuseArgs},
    report::say,
};

fn main() -> ExitCode {
    match abuse::run(AbuseArgs::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("abuse: {error:#}"));
            ExitCode::from(2)
        }
    }
}
