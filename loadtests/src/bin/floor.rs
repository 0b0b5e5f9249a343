//! Measures the cost of a bare `send` to a loopback socket, in CPU time of the sending thread.

use std::process::ExitCode;

use clap::Parser;
use clinicwire_loadtests::{
    floor::{FloorPlan, measure},
    report::say,
};

/// Measures the least cost of a delivery: one `send` for each socket, in a loop.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// Numbers of sockets, measured one after the other.
    #[arg(long, value_delimiter = ',', default_value = "500,1000,8000")]
    sockets: Vec<usize>,
    /// Size of a frame in bytes.
    #[arg(long, default_value_t = 200)]
    bytes: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Rounds over all sockets per second. The default is as fast as possible.
    #[arg(long)]
    rounds_per_second: Option<f64>,
}

fn main() -> ExitCode {
    let Options { sockets, bytes, seconds, rounds_per_second } = Options::parse();
    say("sockets  bytes   µs of CPU per send   sends/s");
    for sockets in sockets {
        match measure(FloorPlan { sockets, bytes, seconds, rounds_per_second }) {
            Ok(floor) => {
                let note = if floor.pinned {
                    ""
                } else {
                    "   (one core only: sender and reader share it)"
                };
                let (cost, rate) = (floor.us_per_send, floor.sends_per_second);
                say(&format!("{sockets:>7}  {bytes:>5}   {cost:>18.2}   {rate:>7.0}{note}"));
            }
            Err(error) => {
                say(&format!("floor: {error:#}"));
                return ExitCode::from(2);
            }
        }
    }
    ExitCode::SUCCESS
}
