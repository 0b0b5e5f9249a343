//! Runs the tested snippets of the README and the guides as printed, against the built program.
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::{fs, net::TcpListener, path::Path, process::Command};

/// Marks a block of commands with the lines that they print, or, with a name, a file.
const MARK: &str = "<!-- tested";

/// The commands of all tested snippets as one script, and the output that they print.
fn snippets(page: &str) -> (String, Vec<String>) {
    let (mut script, mut output) = (String::new(), Vec::new());
    for (name, block) in blocks(page) {
        if let Some(name) = name {
            script += &format!("cat > {name} <<'END'\n{block}END\n");
            continue;
        }
        for line in block.lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                script += &format!("{command}\n");
            } else if line.starts_with("    ") {
                script += &format!("{line}\n");
            } else {
                script += "echo\n";
                output.push(line.to_owned());
            }
        }
    }
    (script, output)
}

/// The marked blocks without their indentation, and the names of those that are files.
fn blocks(page: &str) -> Vec<(Option<&str>, String)> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(mark) = line.trim_start().strip_prefix(MARK) else { continue };
        let name = mark.strip_suffix(" -->").unwrap().strip_prefix(": ");
        let fence = lines.next().unwrap();
        let indent = fence.find("```").expect("a block follows its mark");
        let content = lines.by_ref().take_while(|line| line.trim() != "```");
        blocks.push((name, content.map(|line| format!("{}\n", &line[indent..])).collect()));
    }
    blocks
}

/// Starts a clinic for a guide that expects one, with the tokens that the guide names.
const CLINIC: &str = r#"
cargo run --release -- --empty --ready-file ready.json >/dev/null &
until [ -s ready.json ]; do sleep 0.1; done
echo '{"locations": {"riverside": {"name": "R", "time_zone": "UTC", "languages": ["en"]}},
    "queues": {"riverside.general": {"name": "General", "prefix": "A"}}}' |
    clinicwire seed - --url http://localhost:8080 --ready-file ready.json >/dev/null
token=$(clinicwire token reception --ready-file ready.json)
source=$(clinicwire token source --ready-file ready.json)
"#;

#[test]
fn readme_snippets_run_as_printed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    run("README.md", &root, "");
}

#[test]
fn guide_to_a_clinic_runs_as_printed() {
    run("docs/guides/set-up-a-clinic.md", tempfile::tempdir().unwrap().path(), "");
}

#[test]
fn guide_to_tokens_runs_as_printed() {
    run("docs/guides/tokens.md", tempfile::tempdir().unwrap().path(), CLINIC);
}

#[test]
fn guide_to_hospital_systems_runs_as_printed() {
    run("docs/guides/connect-a-his.md", tempfile::tempdir().unwrap().path(), CLINIC);
}

/// Runs the tested snippets of a page in a directory, after `before`, and compares what they print.
fn run(page: &str, directory: &Path, before: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (script, expected) = snippets(&fs::read_to_string(root.join(page)).unwrap());
    assert!(!script.is_empty(), "{page} has no tested snippet");
    let home = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let start = format!("{} --listen 127.0.0.1:{port}", env!("CARGO_BIN_EXE_clinicwire"));
    let ready = home.path().join("ready.json").display().to_string();
    let script = format!("{before}{script}")
        .replace("clinicwire ", &format!("{} ", env!("CARGO_BIN_EXE_clinicwire")))
        .replace("cargo run --release --", &start)
        .replace("https://clinic.example", "http://localhost:8080")
        .replace("localhost:8080", &format!("127.0.0.1:{port}"))
        .replace("ready.json", &ready);
    // The clinic is the only background job; the trap stops it however the script ends.
    let script = format!("set -eu; trap 'kill %1' EXIT\n{script}");
    let output = Command::new("timeout")
        .args(["120", "bash", "-c", &script])
        .current_dir(directory)
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
