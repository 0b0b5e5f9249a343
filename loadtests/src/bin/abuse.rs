//! Attacks a node, and prints the delays of an honest client and the cost of the node.

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
