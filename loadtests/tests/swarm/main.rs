//! The swarm judges servers. These tests show that it finds no breach of the real server, and that
//! it names each breach when a proxy falsifies the server's messages.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed helper fails the test, which shows the table of the swarm"
)]

mod breaches;
mod bureau;
mod clinic;
mod honest;
mod proxy;
mod runs;

use std::process::Stdio;

use serde_json::Value;

/// Runs the swarm, and returns its exit status and the document that it wrote.
async fn swarm(args: &[&str]) -> (i32, Value) {
    let json = std::env::temp_dir().join(format!("swarm-{:x}.json", fastrand::u128(..)));
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_swarm"))
        .args(["--sources", "2", "--json"])
        .arg(&json)
        .args(args)
        .env_remove("CLINICWIRE_INSECURE_DEVELOPMENT_KEY")
        .env_remove("READY_FILE")
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    let document =
        std::fs::read(&json).map(|text| serde_json::from_slice(&text).unwrap()).unwrap_or_default();
    let _ = std::fs::remove_file(json);
    (output.status.code().expect("the swarm exits by itself"), document)
}

fn figure(document: &Value, name: &str) -> f64 {
    document["figures"][name].as_f64().unwrap_or_else(|| panic!("no figure {name}"))
}

#[track_caller]
fn assert_breach(status: i32, document: &Value, breach: &str) {
    assert_eq!(status, 1, "{document}");
    assert_eq!(document["kept"], false);
    let breaches = &document["breaches"];
    assert!(breaches[breach].as_u64() > Some(0), "{breach} is not among {breaches}");
}
