//! The subcommands for operators, against the program.

use std::{
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};
use testing::process::{RunningProgram, wait_until_ready};

/// Words of a development key that the program and the subcommands share.
const WORDS: &str = "the operator's own words";

fn clinicwire(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clinicwire"));
    command.args(arguments).env_remove("CLINICWIRE_TOKEN").output().unwrap()
}

/// The lines that a subcommand prints.
fn lines(output: &Output) -> Vec<String> {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

fn write(path: &Path, text: &str) -> String {
    std::fs::write(path, text).unwrap();
    path.display().to_string()
}

fn signed(role: &str, more: &[&str]) -> String {
    let key = format!("--insecure-development-key={WORDS}");
    let mut arguments = vec!["token", role, &key];
    arguments.extend(more);
    lines(&clinicwire(&arguments)).remove(0)
}

/// A clinic is created from a file, appointments are imported, a person is called, and the board is
/// followed, by subcommands alone.
#[tokio::test]
async fn subcommands_run_a_clinic() {
    let home = tempfile::tempdir().unwrap();
    let ready_file = home.path().join("ready.json");
    let ready_path = ready_file.display().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_clinicwire"));
    command.args(["--empty", "--listen", "127.0.0.1:0", "--ready-file"]).arg(&ready_file);
    command.arg(format!("--insecure-development-key={WORDS}"));
    let _program = RunningProgram::start(&mut command).unwrap();
    let ready = wait_until_ready(&ready_file).await;
    let at = ["--url", &ready.url, "--ready-file", &ready_path];
    let run = |arguments: &[&str]| clinicwire(&[arguments, &at].concat());

    let seed = json!({
        "locations": {"riverside": {"name": "R", "time_zone": "UTC", "languages": ["en"]}},
        "queues": {"riverside.general": {"name": "General", "prefix": "A"}},
        "stations": {"riverside.room-1": {"name": "Room 1"}},
        "open": ["riverside.general"],
    });
    let seed = write(&home.path().join("seed.json"), &seed.to_string());
    assert_eq!(lines(&run(&["seed", &seed])).len(), 4);
    assert_eq!(lines(&run(&["seed", &seed])).len(), 4, "seeding again is no error");

    let table = "key,location,version,status,start,end,queue\n\
        1,riverside,1,booked,2099-01-01T09:00:00Z,2099-01-01T09:20:00Z,riverside.general\n\
        2,riverside,1,booked,2099-01-01T09:20:00Z,2099-01-01T09:40:00Z,riverside.general\n";
    let table = write(&home.path().join("appointments.csv"), table);
    assert_eq!(lines(&run(&["import", &table])), ["booked 2"]);
    assert_eq!(lines(&run(&["import", &table])), ["repeated 2"]);

    let nobody = run(&["call-next", "riverside.room-1"]);
    assert!(!nobody.status.success());
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("queue_empty"));

    let board = lines(&run(&["tail", "board:riverside", "--count", "1"])).remove(0);
    let board: Value = serde_json::from_str(&board).unwrap();
    assert_eq!(
        (&board["event"], &board["channel"]),
        (&json!("snapshot"), &json!("board:riverside"))
    );
    let refused = run(&["tail", "board:elsewhere", "--count", "1"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("forbidden"));

    // A token for a role that no demo has, with claims of its own.
    let pharmacist =
        signed("pharmacist", &["--location", "riverside", "--queue", "riverside.general"]);
    let arguments = ["tail", "queue:riverside.general", "--count", "1", "--token", &pharmacist];
    assert_eq!(lines(&clinicwire(&[&arguments, &at[..2]].concat())).len(), 1);
}
