//! Runs the tested snippets of the README and the guides as printed, against the built program.
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::{fs, net::TcpListener, path::Path, process::Command};

const MARK: &str = "<!-- tested -->\n```console\n";

/// The commands of all tested snippets as one script, and the output that they print.
fn snippets(readme: &str) -> (String, Vec<String>) {
    let (mut script, mut output) = (String::new(), Vec::new());
    let blocks = readme.split(MARK).skip(1).map(|rest| rest.split("```").next().unwrap());
    for line in blocks.flat_map(str::lines) {
        if let Some(command) = line.strip_prefix("$ ") {
            script += &format!("{command}\n");
        } else if line.starts_with("    ") {
            script += &format!("{line}\n");
        } else {
            script += "echo\n";
            output.push(line.to_owned());
        }
    }
    (script, output)
}

#[test]
fn readme_snippets_run_as_printed() {
    run("README.md");
}

#[test]
fn snippets_of_the_guide_to_a_clinic_run_as_printed() {
    run("docs/guides/set-up-a-clinic.md");
}

/// Runs the tested snippets of a page, and compares what they print.
fn run(page: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (script, expected) = snippets(&fs::read_to_string(root.join(page)).unwrap());
    let home = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let start = format!("{} --listen 127.0.0.1:{port}", env!("CARGO_BIN_EXE_clinicwire"));
    let ready = home.path().join("ready.json").display().to_string();
    let script = script
        .replace("clinicwire ", &format!("{} ", env!("CARGO_BIN_EXE_clinicwire")))
        .replace("cargo run --release --", &start)
        .replace("localhost:8080", &format!("127.0.0.1:{port}"))
        .replace("ready.json", &ready);
    // The demo is the only background job; the trap stops it however the script ends.
    let script = format!("set -eu; trap 'kill %1' EXIT\n{script}");
    let output = Command::new("timeout")
        .args(["120", "bash", "-c", &script])
        .current_dir(&root)
        .output()
        .unwrap();
    let (text, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}\n{text}\n{errors}");
    let mut rest = &*text;
    for piece in expected.iter().flat_map(|line| line.split('…')) {
        let at = rest.find(piece).unwrap_or_else(|| panic!("{piece:?} not in {rest}\n{errors}"));
        rest = &rest[at + piece.len()..];
    }
}
