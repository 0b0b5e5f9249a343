//! The program as people start it: its output, its files and its end.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use serde_json::json;
use testing::{
    certificates::TestAuthority,
    follower::ChannelFollower,
    http::ApiRequest,
    patience::eventually,
    process::{RunningProgram, program, wait_until_ready},
    ready_file::ReadyFile,
};

use crate::world::World;

/// A started `clinicwire` with its ready file.
struct ReadyProgram {
    program: RunningProgram,
    ready: ReadyFile,
    file: PathBuf,
}

fn clinicwire(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clinicwire"));
    command.args(arguments);
    command
}

fn demo(url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clinicwire-demo"));
    command.args(["--url", url]);
    command
}

impl ReadyProgram {
    async fn start(name: &str, arguments: &[&str]) -> Self {
        let mut command = clinicwire(&["--listen", "127.0.0.1:0"]);
        command.args(arguments);
        Self::from_command(name, command).await
    }

    /// Starts a program and waits for its ready file.
    async fn from_command(name: &str, mut command: Command) -> Self {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("{name}-{}.json", std::process::id()));
        let program = RunningProgram::start(command.arg("--ready-file").arg(&file)).unwrap();
        let ready = wait_until_ready(&file).await;
        Self { program, ready, file }
    }

    fn url(&self) -> &str {
        &self.ready.url
    }

    fn token(&self, role: &str) -> &str {
        self.ready.token(role).unwrap()
    }

    /// Sends a signal, and returns the exit code and everything that was printed.
    fn stop(self, signal: &str) -> (Option<i32>, String) {
        let Self { program, file, .. } = self;
        let stopped = program.stop(signal);
        let _ = std::fs::remove_file(file);
        stopped
    }
}

fn ended(output: Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A start without a fault logs no warning, although the demo makes views before the first check of
/// the view store.
#[tokio::test]
async fn program_starts_without_a_warning() {
    /// Three looks at the view store, and what a slow machine adds.
    const LOOKS: Duration = Duration::from_secs(4);
    let path = |kind: &str| {
        let name = format!("no-warning-{}.{kind}", std::process::id());
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
    };
    let (ready_file, log) = (path("json"), path("log"));
    let mut command = clinicwire(&["--listen", "127.0.0.1:0", "--ready-file"]);
    command.arg(&ready_file);
    let program = RunningProgram::start_with_log(&mut command, log.clone()).unwrap();
    wait_until_ready(&ready_file).await;
    tokio::time::sleep(LOOKS).await;
    let text = program.log_text();
    assert!(!text.contains("WARN") && !text.contains("ERROR"), "{text}");
    program.terminate().await;
    for file in [ready_file, log] {
        std::fs::remove_file(file).unwrap();
    }
}

#[tokio::test]
async fn hangup_reloads_the_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let authority = TestAuthority::new(directory.path());
    let [old, new] = ["old", "new"].map(|name| authority.issue(name, 30));
    let (ready_file, log) = (directory.path().join("ready"), directory.path().join("log"));
    let mut command = clinicwire(&["--listen", "127.0.0.1:0", "--empty", "--log", "info"]);
    command.arg("--tls-cert").arg(&old.certificate).arg("--tls-key").arg(&old.key);
    command.arg("--ready-file").arg(&ready_file);
    let program = RunningProgram::start_with_log(&mut command, log).unwrap();
    wait_until_ready(&ready_file).await;
    std::fs::copy(&new.certificate, &old.certificate).unwrap();
    std::fs::copy(&new.key, &old.key).unwrap();
    program.signal("-HUP");
    let is_used = || program.log_text().contains("a new certificate is used");
    eventually("it is reloaded", async || is_used().then_some(())).await;
    assert!(program.is_running());
    program.terminate().await;
}

/// More clients than descriptors, which were fewer than at the start: one line for all failed
/// accepts, and clients are served again once others have left.
#[tokio::test]
async fn node_without_descriptors_says_so_once() {
    const DESCRIPTORS: usize = 400;
    /// Some more than a node without clients has open.
    const LEFT: usize = 60;
    let path = |kind: &str| {
        let name = format!("descriptors-{}.{kind}", std::process::id());
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
    };
    let (ready_file, log) = (path("json"), path("log"));
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("ulimit -n {DESCRIPTORS}; exec \"$0\" \"$@\"")])
        .arg(env!("CARGO_BIN_EXE_clinicwire"))
        .args(["--listen", "127.0.0.1:0", "--empty", "--ready-file"])
        .arg(&ready_file);
    let program = RunningProgram::start_with_log(&mut command, log.clone()).unwrap();
    let ready = wait_until_ready(&ready_file).await;
    let world = World::new(vec![ready.url.clone()], "");
    let address = ready.url.strip_prefix("http://").unwrap().to_owned();

    let limit = format!("--nofile={LEFT}:{LEFT}");
    let pid = format!("--pid={}", program.pid());
    assert!(Command::new("prlimit").args([pid, limit]).status().unwrap().success());
    let clients: Vec<_> =
        (0..2 * LEFT).map(|_| std::net::TcpStream::connect(&address).unwrap()).collect();
    let lines = || program.log_text().matches("sockets could not be accepted").count();
    eventually("the fault is logged", async || (lines() > 0).then_some(())).await;
    drop(clients);
    let metrics = eventually("somebody else is served", async || {
        world.api.try_call(&ready.url, ApiRequest::get("/metrics")).await
    })
    .await;
    let failures = metrics.text.lines().find_map(|line| {
        line.strip_prefix("clinicwire_accept_failures_total ")?.parse::<u64>().ok()
    });
    assert!(failures > Some(0), "{}", metrics.text);
    assert_eq!(lines(), 1, "however often it failed");
    program.terminate().await;
    for file in [ready_file, log] {
        std::fs::remove_file(file).unwrap();
    }
}

/// A node that knows its descriptors keeps some: it goes on answering for its health.
#[tokio::test]
async fn full_node_answers_for_its_health() {
    const DESCRIPTORS: usize = 100;
    let file = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("full-node-{}.json", std::process::id()));
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("ulimit -n {DESCRIPTORS}; exec \"$0\" \"$@\"")])
        .arg(env!("CARGO_BIN_EXE_clinicwire"))
        .args(["--listen", "127.0.0.1:0", "--empty", "--ready-file"])
        .arg(&file);
    let program = RunningProgram::start(&mut command).unwrap();
    let ready = wait_until_ready(&file).await;
    let world = World::new(vec![ready.url.clone()], "");
    let address = ready.url.strip_prefix("http://").unwrap().to_owned();
    let clients: Vec<_> =
        (0..2 * DESCRIPTORS).map(|_| std::net::TcpStream::connect(&address).unwrap()).collect();
    let metrics = eventually("health is answered", async || {
        let answer = world.api.try_call(&ready.url, ApiRequest::get("/health/live")).await?;
        assert_eq!(answer.status, 200);
        world.api.try_call(&ready.url, ApiRequest::get("/metrics")).await
    })
    .await;
    assert!(metrics.text.contains("clinicwire_accept_failures_total 0"), "{}", metrics.text);
    let full = "clinicwire_limited_total{limit=\"connections\"} ";
    let refused = metrics.text.lines().find_map(|line| line.strip_prefix(full));
    assert!(refused.is_some_and(|count| count != "0"), "{}", metrics.text);
    drop(clients);
    program.terminate().await;
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn demo_tokens_open_their_pages() {
    let program = ReadyProgram::start("alive", &["--speed", "600", "--seed", "5"]).await;
    let (url, world) = (program.url(), World::new(vec![program.url().to_owned()], ""));
    let location = &program.ready.location;
    let mut board =
        ChannelFollower::start(url, program.token("display"), &format!("board:{location}")).await;
    let calls = |board: &ChannelFollower| {
        board.view.entries.keys().filter(|key| key.starts_with("call:")).count()
    };
    board.until("five calls", |board| calls(board) >= 5).await;
    for queue in &program.ready.queues {
        for role in ["reception", "doctor", "admin"] {
            let desk =
                ChannelFollower::start(url, program.token(role), &format!("queue:{queue}")).await;
            assert!(desk.view.entries.len() > 3, "{role} sees a line");
        }
    }
    let tickets = &program.ready.tickets;
    assert!(tickets.len() >= 10);
    for ticket in tickets {
        let phone =
            ChannelFollower::start(url, program.token("patient"), &format!("ticket:{ticket}"))
                .await;
        assert!(phone.state()["label"].is_string());
    }
    // The start page leads to people who are there, not only to those of the first minute.
    let demo = eventually("a newer list of tickets", || async {
        let demo = world.api.call(url, ApiRequest::get("/v1/demo")).await.body;
        (demo["tickets"] != json!(program.ready.tickets)).then_some(demo)
    })
    .await;
    assert_eq!(demo["url"], program.ready.url);
    let (code, text) = program.stop("-INT");
    assert_eq!(code, Some(0), "{text}");
}

/// Longest output of a start and a stop.
const MOST_LINES: usize = 15;

#[tokio::test]
async fn start_prints_one_address_and_no_token() {
    for arguments in [&[][..], &["--empty"]] {
        let program = ReadyProgram::start("printed", arguments).await;
        let (ready, url) = (program.ready.clone(), program.url().to_owned());
        let (code, text) = program.stop("-TERM");
        assert_eq!(code, Some(0), "{text}");
        for (name, token) in &ready.tokens {
            assert!(!text.contains(token), "{name}: {text}");
        }
        assert!(!text.contains("token=ey") && !text.contains('#'), "{text}");
        assert!(text.lines().count() <= MOST_LINES, "{text}");
        for words in [&url, "clinicwire token ", "--ready-file ", "Ctrl-C"] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
}

/// The commands of the announcement create the location when they are pasted into a shell.
#[tokio::test]
async fn empty_start_prints_commands_that_run() {
    let file = tempfile::tempdir().unwrap();
    let path = file.path().join("ready.json");
    let mut command = clinicwire(&["--listen", "127.0.0.1:0", "--empty", "--ready-file"]);
    let mut child = command.arg(&path).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let text = lines.take_while(|line| !line.contains("Ctrl-C")).collect::<Vec<_>>().join("\n");
    let (_, commands) = text.split_once("  Create   ").unwrap();
    let (commands, _) = commands.split_once("\n  Script").unwrap();
    let columns = |line: &str| line.len() - line.trim_start().len();
    let indents = commands.lines().map(columns).collect::<Vec<_>>();
    assert_eq!(indents, [0, 11, 13, 13], "{text}");
    let output = Command::new("bash").args(["-ec", commands]).output().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["outcome"], "applied");
}

fn token_command(home: &Path, arguments: &[&str]) -> Output {
    let mut command = clinicwire(&["token"]);
    command.args(arguments).env("XDG_RUNTIME_DIR", home).output().unwrap()
}

#[tokio::test]
async fn token_command_prints_a_role_token() {
    let program = ReadyProgram::start("token", &[]).await;
    let file = program.file.to_str().unwrap().to_owned();
    for (role, token) in &program.ready.tokens {
        let output = token_command(Path::new("/"), &[role, "--ready-file", &file]);
        assert!(output.status.success(), "{role}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{token}\n"));
    }
}

#[tokio::test]
async fn token_command_finds_the_default_file() {
    let home = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = clinicwire(&["--listen", &format!("127.0.0.1:{port}")]);
    let program = RunningProgram::start(command.env("XDG_RUNTIME_DIR", home.path())).unwrap();
    let file = home.path().join(format!("clinicwire/{port}.json"));
    let ready = wait_until_ready(&file).await;
    let output = token_command(home.path(), &["reception", "--port", &port.to_string()]);
    let token = String::from_utf8(output.stdout).unwrap();
    assert_eq!(token.trim(), ready.token("reception").unwrap());
    let (code, text) = program.stop("-TERM");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(&format!("clinicwire token reception --port {port}\n")), "{text}");
    assert!(!file.exists(), "the default file is removed");
}

#[test]
fn token_errors_name_the_remedy() {
    let home = Path::new("/no/such/directory");
    let (code, error) = ended(token_command(home, &["cleaner"]));
    assert_eq!(code, Some(2));
    assert!(error.contains("cleaner") && error.contains("reception"), "{error}");
    let (code, error) = ended(token_command(home, &["reception"]));
    assert_eq!(code, Some(1));
    assert!(error.contains("is a clinic running?") && error.contains("--port"), "{error}");
}

#[tokio::test]
async fn restart_rejects_tokens_unless_secret_is_given() {
    let (first, second) = (
        ReadyProgram::start("first", &["--empty"]).await,
        ReadyProgram::start("second", &["--empty"]).await,
    );
    let world = World::new(vec![first.url().to_owned()], "shared words");
    let read = |url: String, token: String| {
        let request = ApiRequest::get("/v1/boards/riverside").token(&token);
        let api = &world.api;
        async move { api.call(&url, request).await.status }
    };
    assert_eq!(read(first.url().to_owned(), first.token("admin").to_owned()).await, 404);
    assert_eq!(read(second.url().to_owned(), first.token("admin").to_owned()).await, 401);
    let third =
        ReadyProgram::start("third", &["--empty", "--insecure-development-key=shared words"]).await;
    let token = world.token("admin", json!({}));
    assert_eq!(read(third.url().to_owned(), token).await, 404, "trusted, and nothing there");
}

#[tokio::test]
async fn empty_clinic_starts_without_locations() {
    let program = ReadyProgram::start("empty", &["--empty"]).await;
    let world = World::new(vec![program.url().to_owned()], "");
    assert!(program.ready.tickets.is_empty());
    let board = || {
        world.api.call(
            program.url(),
            ApiRequest::get("/v1/boards/riverside").token(program.token("display")),
        )
    };
    assert_eq!(board().await.status, 404);
    let body = json!({"name": "Mine", "time_zone": "America/Toronto", "languages": ["fr"]});
    let path = "/v1/locations/riverside".to_owned();
    world.apply(program.token("admin"), hyper::Method::PUT, path, body).await;
    assert_eq!(board().await.body["entries"]["board"]["name"], "Mine");
    assert_eq!(world.api.call(program.url(), ApiRequest::get("/v1/demo")).await.status, 404);
}

#[test]
fn used_port_error_names_a_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, error) = ended(clinicwire(&["--listen", &address]).output().unwrap());
    assert_eq!(code, Some(1));
    assert!(
        error.contains(&address) && error.contains("in use") && error.contains("--listen"),
        "{error}"
    );
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn invalid_flags_are_refused_by_name() {
    for (arguments, word) in [
        (["--speed", "0"], "--speed"),
        (["--speed", "2000"], "--speed"),
        (["--listen", "nowhere"], "--listen"),
        (["--shards", "0"], "--shards"),
        (["--log", "gateway=loud"], "--log"),
    ] {
        let (code, error) = ended(clinicwire(&arguments).output().unwrap());
        assert!(code.is_some_and(|code| code != 0), "{arguments:?}");
        assert!(error.contains(word), "{arguments:?}: {error}");
    }
}

#[test]
fn help_contains_examples() {
    let output = clinicwire(&["--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    for word in [
        "--listen",
        "--speed",
        "--seed",
        "--empty",
        "--ready-file",
        "--shards",
        "--log",
        "Examples:",
        "Ctrl-C",
    ] {
        assert!(help.contains(word), "{word}: {help}");
    }
}

#[test]
fn unwritable_ready_file_is_an_error() {
    let arguments =
        ["--listen", "127.0.0.1:0", "--empty", "--ready-file", "/no/such/directory/ready.json"];
    let (code, error) = ended(clinicwire(&arguments).output().unwrap());
    assert!(error.contains("/no/such/directory/ready.json"), "{error}");
    assert_eq!(code, Some(1));
}

#[tokio::test]
async fn empty_clinic_starts_without_a_warning() {
    let path = |kind: &str| {
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("quiet-{}.{kind}", std::process::id()))
    };
    let (ready_file, log) = (path("json"), path("log"));
    let mut command = clinicwire(&["--listen", "127.0.0.1:0", "--empty", "--ready-file"]);
    let program = RunningProgram::start_with_log(command.arg(&ready_file), log.clone()).unwrap();
    wait_until_ready(&ready_file).await;
    program.terminate().await;
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(!text.contains("WARN"), "{text}");
    for file in [ready_file, log] {
        std::fs::remove_file(file).unwrap();
    }
}

#[tokio::test]
async fn demo_takes_over_an_existing_clinic() {
    let key = "--insecure-development-key=words of a demo";
    let clinic = ReadyProgram::start("host", &["--empty", key]).await;
    let run = |name: &'static str, seed: &'static str| {
        let mut command = demo(clinic.url());
        command.args([key, "--speed", "600", "--seed", seed]);
        ReadyProgram::from_command(name, command)
    };
    let first = run("first-demo", "1").await;
    let mut board =
        ChannelFollower::start(first.url(), first.token("display"), "board:riverside").await;
    let calls = |board: &ChannelFollower| {
        board.view.entries.keys().filter(|key| key.starts_with("call:")).count()
    };
    board.until("three calls", |board| calls(board) >= 3).await;
    assert_eq!(first.stop("-TERM").0, Some(0));
    let version = board.held.version;
    let second = run("second-demo", "2").await;
    assert_eq!(second.ready.tickets.len(), 24);
    board.until("the day goes on", |board| board.held.version > version + 50).await;
    eventually("the file names those who wait now", || async {
        let ready = ReadyFile::read(&second.file).expect("the file is always there and whole");
        (ready.tickets != second.ready.tickets).then_some(())
    })
    .await;
    for queue in ["general", "bloodwork", "walk-in"] {
        let waiting = board.entry(&format!("queue:riverside.{queue}"))["waiting"].as_u64().unwrap();
        assert!((1..=40).contains(&waiting), "{queue} was taken over, not filled twice: {waiting}");
    }
}

#[test]
fn demo_without_token_names_the_flag() {
    let (code, error) = ended(demo("http://127.0.0.1:1").output().unwrap());
    assert!(code.is_some_and(|code| code != 0) && error.contains("--token"), "{error}");
}

#[tokio::test]
async fn demo_with_untrusted_token_fails() {
    let clinic = ReadyProgram::start("distrusting", &["--empty"]).await;
    let url = clinic.url().to_owned();
    let tokens = ["--token", "nonsense", "--source-token", "nonsense"];
    let output = tokio::task::spawn_blocking(move || demo(&url).args(tokens).output().unwrap());
    let (code, error) = ended(output.await.unwrap());
    assert_eq!(code, Some(1));
    assert!(error.contains("token_invalid") && !error.contains("nonsense"), "{error}");
}

/// Both programs derive the same key without words, so each trusts the tokens of the other.
#[tokio::test]
async fn gateway_token_command_opens_development_clinic() {
    let clinic = ReadyProgram::start("well-known", &["--insecure-development-key"]).await;
    let printed = program("clinicwire-gateway")
        .args(["token", "--insecure-development-key", "--role", "admin"])
        .output()
        .unwrap();
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let token = String::from_utf8(printed.stdout).unwrap();
    ChannelFollower::start(clinic.url(), token.trim(), "board:riverside").await;
}
