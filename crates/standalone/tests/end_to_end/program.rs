//! The program as people start it: what it prints, writes and does when it is stopped.

use std::{
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;

use crate::{
    api::Call, follower::Follower, installation::program, scenarios::eventually, world::World,
};

/// A started `clinicwire`, killed with the test.
struct Program {
    child: Child,
    ready: Value,
    file: PathBuf,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.file);
    }
}

fn clinicwire(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clinicwire"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn demo(url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clinicwire-demo"));
    command.args(["--url", url]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Program {
    async fn start(name: &str, arguments: &[&str]) -> Self {
        let mut command = clinicwire(&["--listen", "127.0.0.1:0"]);
        command.args(arguments);
        Self::ready(name, command).await
    }

    /// Starts a program that writes a ready file, and waits for it.
    async fn ready(name: &str, mut command: Command) -> Self {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("{name}-{}.json", std::process::id()));
        let child = command.arg("--ready-file").arg(&file).spawn().unwrap();
        let mut program = Self { child, ready: Value::Null, file };
        program.ready = eventually("the ready file", || async {
            let text = std::fs::read_to_string(&program.file).ok()?;
            Some(serde_json::from_str(&text).expect("the file appears whole"))
        })
        .await;
        program
    }

    fn url(&self) -> &str {
        self.ready["url"].as_str().expect("a url")
    }

    fn token(&self, role: &str) -> &str {
        self.ready["tokens"][role].as_str().expect("a token per role")
    }

    /// Sends a signal and waits for the end; answers everything it printed.
    fn stop(mut self, signal: &str) -> (Option<i32>, String) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        let mut text = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        (self.child.wait().unwrap().code(), text)
    }
}

fn ended(output: Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn demo_tokens_open_their_pages() {
    let program = Program::start("alive", &["--speed", "600", "--seed", "5"]).await;
    let (url, world) = (program.url(), World::new(vec![program.url().to_owned()], ""));
    let location = program.ready["location"].as_str().unwrap();
    let mut board =
        Follower::start(url, program.token("display"), &format!("board:{location}")).await;
    let calls =
        |board: &Follower| board.view.entries.keys().filter(|key| key.starts_with("call:")).count();
    board.until("five calls", |board| calls(board) >= 5).await;
    for queue in program.ready["queues"].as_array().unwrap() {
        let queue = queue.as_str().unwrap();
        for role in ["reception", "doctor", "admin"] {
            let desk = Follower::start(url, program.token(role), &format!("queue:{queue}")).await;
            assert!(desk.view.entries.len() > 3, "{role} sees a line");
        }
    }
    let tickets = program.ready["tickets"].as_array().unwrap();
    assert!(tickets.len() >= 10);
    for ticket in tickets {
        let ticket = ticket.as_str().unwrap();
        let phone =
            Follower::start(url, program.token("patient"), &format!("ticket:{ticket}")).await;
        assert!(phone.state()["label"].is_string());
    }
    // The start page leads to people who are there, not only to those of the first minute.
    let demo = eventually("a newer list of tickets", || async {
        let demo = world.api.call(url, Call::get("/v1/demo")).await.body;
        (demo["tickets"] != program.ready["tickets"]).then_some(demo)
    })
    .await;
    assert_eq!(demo["url"], program.ready["url"]);
    let (code, text) = program.stop("-INT");
    assert_eq!(code, Some(0), "{text}");
}

#[tokio::test]
async fn printed_address_opens_the_clinic() {
    let program = Program::start("printed", &[]).await;
    let (ready, url) = (program.ready.clone(), program.url().to_owned());
    let (code, text) = program.stop("-TERM");
    assert_eq!(code, Some(0), "{text}");
    for role in ["patient", "appointment", "display", "reception", "doctor", "admin", "source"] {
        assert!(text.contains(ready["tokens"][role].as_str().unwrap()), "{role}: {text}");
    }
    for link in [
        format!("{url}/\n"),
        format!("{url}/board#token="),
        format!("{url}/patient#token="),
        format!("{url}/dashboard#token="),
        format!("&schedule={}\n", ready["schedule"].as_str().unwrap()),
        format!("&appointment={}\n", ready["appointments"][0].as_str().unwrap()),
        format!("{url}/v1/queues/"),
    ] {
        assert!(text.contains(&link), "{link}: {text}");
    }
}

#[tokio::test]
async fn restart_rejects_tokens_unless_secret_is_given() {
    let (first, second) =
        (Program::start("first", &["--empty"]).await, Program::start("second", &["--empty"]).await);
    let world = World::new(vec![first.url().to_owned()], "shared words");
    let read = |url: String, token: String| {
        let api = &world.api;
        async move { api.call(&url, Call::get("/v1/boards/riverside").token(&token)).await.status }
    };
    assert_eq!(read(first.url().to_owned(), first.token("admin").to_owned()).await, 404);
    assert_eq!(read(second.url().to_owned(), first.token("admin").to_owned()).await, 401);
    let third =
        Program::start("third", &["--empty", "--insecure-development-key=shared words"]).await;
    let token = world.token("admin", serde_json::json!({}));
    assert_eq!(read(third.url().to_owned(), token).await, 404, "trusted, and nothing there");
}

#[tokio::test]
async fn empty_clinic_starts_without_locations() {
    let program = Program::start("empty", &["--empty"]).await;
    let world = World::new(vec![program.url().to_owned()], "");
    assert_eq!(program.ready["tickets"], serde_json::json!([]));
    let board = || {
        world
            .api
            .call(program.url(), Call::get("/v1/boards/riverside").token(program.token("display")))
    };
    assert_eq!(board().await.status, 404);
    let body =
        serde_json::json!({"name": "Mine", "time_zone": "America/Toronto", "languages": ["fr"]});
    let path = "/v1/locations/riverside".to_owned();
    world.apply(program.token("admin"), hyper::Method::PUT, path, body).await;
    assert_eq!(board().await.body["entries"]["board"]["name"], "Mine");
    assert_eq!(world.api.call(program.url(), Call::get("/v1/demo")).await.status, 404);
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
    let mut child = clinicwire(&arguments).spawn().unwrap();
    let mut error = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut error).unwrap();
    assert!(error.contains("/no/such/directory/ready.json"), "{error}");
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[tokio::test]
async fn demo_takes_over_an_existing_clinic() {
    let key = "--insecure-development-key=words of a demo";
    let clinic = Program::start("host", &["--empty", key]).await;
    let run = |name: &'static str, seed: &'static str| {
        let mut command = demo(clinic.url());
        command.args([key, "--speed", "600", "--seed", seed]);
        Program::ready(name, command)
    };
    let first = run("first-demo", "1").await;
    let mut board = Follower::start(first.url(), first.token("display"), "board:riverside").await;
    let calls =
        |board: &Follower| board.view.entries.keys().filter(|key| key.starts_with("call:")).count();
    board.until("three calls", |board| calls(board) >= 3).await;
    assert_eq!(first.stop("-TERM").0, Some(0));
    let version = board.held.version;
    let second = run("second-demo", "2").await;
    assert_eq!(second.ready["tickets"].as_array().unwrap().len(), 24);
    board.until("the day goes on", |board| board.held.version > version + 50).await;
    eventually("the file names those who wait now", || async {
        let text = std::fs::read_to_string(&second.file).expect("it is never away");
        let ready: Value = serde_json::from_str(&text).expect("it is always whole");
        (ready["tickets"] != second.ready["tickets"]).then_some(())
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
    let clinic = Program::start("distrusting", &["--empty"]).await;
    let url = clinic.url().to_owned();
    let tokens = ["--token", "nonsense", "--source-token", "nonsense"];
    let output = tokio::task::spawn_blocking(move || demo(&url).args(tokens).output().unwrap());
    let (code, error) = ended(output.await.unwrap());
    assert_eq!(code, Some(1));
    assert!(error.contains("token_invalid") && !error.contains("nonsense"), "{error}");
}

/// Both programs make the same key of no words: what one signs, the other trusts.
#[tokio::test]
async fn gateway_token_command_opens_development_clinic() {
    let clinic = Program::start("well-known", &["--insecure-development-key"]).await;
    let printed = program("clinicwire-gateway")
        .args(["token", "--insecure-development-key", "--role", "admin"])
        .output()
        .unwrap();
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let token = String::from_utf8(printed.stdout).unwrap();
    Follower::start(clinic.url(), token.trim(), "board:riverside").await;
}
