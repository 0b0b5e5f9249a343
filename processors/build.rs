//! Rebuilds the crate when a migration is added: migrations are embedded, and no source file names
//! them.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=../migrations");
    println!("cargo::rerun-if-changed=build.rs");
    guard_kafka_metadata();
}

/// Puts `servers::guard_kafka_metadata!` in front of the function of librdkafka that it guards.
fn guard_kafka_metadata() {
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        println!("cargo::rustc-link-arg-bins=-Wl,--wrap=rd_kafka_metadata_update_op");
    }
}
