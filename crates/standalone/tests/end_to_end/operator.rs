//! The subcommands for operators, against the program.

use std::{
    ffi::OsString,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio},
    sync::Arc,
};

use serde_json::{Value, json};
use testing::{
    certificates::TestAuthority,
    http::{ApiClient, ApiRequest},
    patience::PATIENCE,
    process::{RunningProgram, wait_until_ready},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
};

/// Words of a development key that the program and the subcommands share.
const WORDS: &str = "the operator's own words";
const HEADER: &str = "key,location,version,status,start,end,queue\n";

/// A clinic in a program of its own, with nothing in it.
struct EmptyClinic {
    home: tempfile::TempDir,
    _program: RunningProgram,
    url: String,
}

impl EmptyClinic {
    async fn start() -> Self {
        Self::start_with(|_| Vec::new()).await
    }

    /// A clinic with further flags, which may name files in its directory.
    async fn start_with(flags: impl FnOnce(&Path) -> Vec<OsString>) -> Self {
        let home = tempfile::tempdir().unwrap();
        let ready_file = home.path().join("ready.json");
        let mut command = clinicwire();
        command.args(["--empty", "--listen", "127.0.0.1:0", "--ready-file"]).arg(&ready_file);
        command.arg(format!("--insecure-development-key={WORDS}"));
        command.args(flags(home.path()));
        let program = RunningProgram::start(&mut command).unwrap();
        let url = wait_until_ready(&ready_file).await.url;
        Self { home, _program: program, url }
    }

    /// A clinic with a queue and a room, made by `clinicwire seed`.
    async fn start_seeded() -> Self {
        let clinic = Self::start().await;
        lines(&clinic.run(&["seed", &clinic.seed_file()]));
        clinic
    }

    fn seed_file(&self) -> String {
        let seed = json!({
            "locations": {"riverside": {"name": "R", "time_zone": "UTC", "languages": ["en"]}},
            "queues": {"riverside.general": {"name": "General", "prefix": "A"}},
            "stations": {"riverside.room-1": {"name": "Room 1"}},
            "open": ["riverside.general"],
        });
        self.write("seed.json", &seed.to_string())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name).display().to_string()
    }

    /// A subcommand with the tokens of the ready file.
    fn command(&self, url: &str, arguments: &[&str]) -> Command {
        let mut command = clinicwire();
        command.args(arguments).args(["--url", url, "--ready-file"]).arg(self.path("ready.json"));
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(&self.url, arguments).output().unwrap()
    }

    fn run_with(&self, token: &str, arguments: &[&str]) -> Output {
        clinicwire().args(arguments).args(["--url", &self.url, "--token", token]).output().unwrap()
    }

    fn import(&self, table: &str) -> Output {
        self.run(&["import", &self.write("appointments.csv", &format!("{HEADER}{table}"))])
    }
}

fn clinicwire() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clinicwire"));
    command.env_remove("CLINICWIRE_TOKEN").env_remove("CLINICWIRE_URL");
    command
}

/// The lines that a subcommand prints.
fn lines(output: &Output) -> Vec<String> {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// The exit code and the notes of a subcommand.
fn failure(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn signed(role: &str, claims: &[&str]) -> String {
    let key = format!("--insecure-development-key={WORDS}");
    let output = clinicwire().args(["token", role, &key]).args(claims).output().unwrap();
    lines(&output).remove(0)
}

#[tokio::test]
async fn seed_may_run_twice() {
    let clinic = EmptyClinic::start().await;
    let file = clinic.seed_file();
    let things = [
        "locations/riverside",
        "queues/riverside.general",
        "stations/riverside.room-1",
        "queues/riverside.general/open",
    ];
    assert_eq!(lines(&clinic.run(&["seed", &file])), things);
    assert_eq!(lines(&clinic.run(&["seed", &file])), things);
}

#[tokio::test]
async fn seed_names_the_refused_thing() {
    let clinic = EmptyClinic::start_seeded().await;
    let queue = r#"{"queues": {"riverside.blood": {"name": "Blood", "prefix": "blood"}}}"#;
    let (code, notes) = failure(&clinic.run(&["seed", &clinic.write("bad.json", queue)]));
    assert_eq!(code, Some(1));
    assert!(notes.contains("queues/riverside.blood: "), "{notes}");
    assert!(notes.contains("prefix: ") && notes.contains("(invalid_value)"), "{notes}");
}

#[tokio::test]
async fn import_counts_what_changed() {
    let clinic = EmptyClinic::start_seeded().await;
    let table = "1,riverside,1,booked,2099-01-01T09:00:00Z,2099-01-01T09:20:00Z,\n\
                 2,riverside,1,booked,2099-01-01T09:20:00Z,2099-01-01T09:40:00Z,\n";
    assert_eq!(lines(&clinic.import(table)), ["booked 2"]);
    assert_eq!(lines(&clinic.import(table)), ["repeated 2"]);
}

#[tokio::test]
async fn unreadable_line_stops_import_before_it_sends() {
    let clinic = EmptyClinic::start_seeded().await;
    let good = "1,riverside,1,booked,2099-01-01T09:00:00Z,2099-01-01T09:20:00Z,\n";
    let (code, notes) = failure(&clinic.import(&format!("{good}2,riverside,one,booked,,,\n")));
    assert_eq!(code, Some(1));
    assert!(notes.contains("line 3: version is not a number"), "{notes}");
    assert_eq!(lines(&clinic.import(good)), ["booked 1"], "the good line was not sent");
}

#[tokio::test]
async fn import_reports_lines_beside_a_refused_one() {
    let clinic = EmptyClinic::start_seeded().await;
    let table = "1,riverside,1,booked,2099-01-01T09:00:00Z,2099-01-01T09:20:00Z,\n\
                 2,riverside,1,booked,2099-01-01T09:20:00Z,2099-01-01T09:00:00Z,\n\
                 3,riverside,1,booked,2099-01-01T09:20:00Z,2099-01-01T09:40:00Z,\n";
    let output = clinic.import(table);
    let (code, notes) = failure(&output);
    assert_eq!(code, Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "booked 2\n");
    assert!(notes.contains("line 3: ") && notes.contains("times_reversed"), "{notes}");
    assert!(notes.contains("1 of 3 lines were refused"), "{notes}");
}

#[tokio::test]
async fn call_next_prints_label_or_refusal() {
    let clinic = EmptyClinic::start_seeded().await;
    let (code, notes) = failure(&clinic.run(&["call-next", "riverside.room-1"]));
    assert_eq!(code, Some(1));
    assert!(notes.contains("(queue_empty)"), "{notes}");

    let reception = signed("reception", &["--location", "riverside"]);
    let ticket = ApiRequest::post("/v1/queues/riverside.general/tickets");
    let ticket = ticket.token(&reception).json(json!({}));
    let issued = ApiClient::new(PATIENCE).send(&clinic.url, ticket).await.unwrap();
    assert_eq!(issued.status, 200, "{}", issued.text);
    assert_eq!(lines(&clinic.run(&["call-next", "riverside.room-1"])), ["A-001"]);
}

#[tokio::test]
async fn tail_prints_a_message_on_each_line() {
    let clinic = EmptyClinic::start_seeded().await;
    let board = lines(&clinic.run(&["tail", "board:riverside", "--count", "1"])).remove(0);
    let board: Value = serde_json::from_str(&board).unwrap();
    assert_eq!([&board["event"], &board["channel"]], ["snapshot", "board:riverside"]);
}

#[tokio::test]
async fn tail_says_why_it_is_refused() {
    let clinic = EmptyClinic::start_seeded().await;
    for (channel, expected) in
        [("board:elsewhere", "(forbidden)"), ("bard:riverside", "(unknown_channel)")]
    {
        let (code, notes) = failure(&clinic.run(&["tail", channel, "--count", "1"]));
        assert_eq!(code, Some(1), "{channel}");
        assert!(notes.contains(expected), "{channel}: {notes}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tail_continues_after_a_cut_connection() {
    let clinic = EmptyClinic::start_seeded().await;
    let proxy = CuttingProxy::start(clinic.url.trim_start_matches("http://")).await;
    let arguments = ["tail", "settings:riverside", "--count", "2"];
    let mut tail = Following::start(clinic.command(&proxy.url, &arguments));
    assert_eq!(tail.next_event(), "snapshot");

    proxy.cut.notify_waiters();
    assert!(tail.next_note().contains("connecting again"));
    let queue = r#"{"queues": {"riverside.blood": {"name": "Blood", "prefix": "B"}}}"#;
    lines(&clinic.run(&["seed", &clinic.write("more.json", queue)]));

    assert_eq!(tail.next_event(), "delta", "the stream continues after its last event");
    assert!(tail.child.wait().unwrap().success());
}

#[tokio::test]
async fn token_is_signed_for_any_role_and_claims() {
    let clinic = EmptyClinic::start_seeded().await;
    let claims = ["--location", "riverside", "--queue", "riverside.general"];
    let pharmacist = signed("pharmacist", &claims);
    let tail = ["tail", "queue:riverside.general", "--count", "1"];
    assert_eq!(lines(&clinic.run_with(&pharmacist, &tail)).len(), 1);
}

#[test]
fn claims_of_a_token_need_a_key() {
    let output = clinicwire().args(["token", "reception", "--location", "riverside"]).output();
    let (code, notes) = failure(&output.unwrap());
    assert_eq!(code, Some(2));
    assert!(notes.contains("--insecure-development-key"), "{notes}");
}

#[tokio::test]
async fn wrong_token_and_absent_gateway_are_named() {
    let clinic = EmptyClinic::start().await;
    let (code, notes) = failure(&clinic.run_with("wrong", &["call-next", "riverside.room-1"]));
    assert_eq!(code, Some(1));
    assert!(notes.contains("(token_invalid)"), "{notes}");

    // Bound and closed again, so that nothing listens there.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{address}");
    let (code, notes) =
        failure(&clinic.command(&url, &["tail", "board:riverside"]).output().unwrap());
    assert_eq!(code, Some(1));
    assert!(notes.contains(&format!("nothing answers at {url}")), "{notes}");
}

/// A running `clinicwire tail`, killed when it is dropped.
struct Following {
    child: Child,
    output: BufReader<ChildStdout>,
    notes: BufReader<ChildStderr>,
}

impl Following {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let notes = BufReader::new(child.stderr.take().unwrap());
        Self { child, output, notes }
    }

    /// The name of the next event. Blocks until it comes.
    fn next_event(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let message: Value = serde_json::from_str(&line).unwrap();
        message["event"].as_str().unwrap().to_owned()
    }

    /// The next note. Blocks until it comes.
    fn next_note(&mut self) -> String {
        let mut line = String::new();
        self.notes.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A TCP proxy that cuts its connections at each notification.
struct CuttingProxy {
    url: String,
    cut: Arc<Notify>,
}

impl CuttingProxy {
    async fn start(target: &str) -> Self {
        let target: SocketAddr = target.parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let cut = Arc::new(Notify::new());
        let cuts = cut.clone();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let cut = cuts.clone();
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(target).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        () = cut.notified() => {}
                    }
                });
            }
        });
        Self { url, cut }
    }
}

#[tokio::test]
async fn subcommand_over_tls_trusts_the_named_authority_alone() {
    let clinic = EmptyClinic::start_with(|home| {
        let certificate = TestAuthority::new(home).issue("node", 30);
        let flags = [("--tls-cert", certificate.certificate), ("--tls-key", certificate.key)];
        flags.into_iter().flat_map(|(flag, file)| [flag.into(), file.into()]).collect()
    })
    .await;
    assert!(clinic.url.starts_with("https://"), "{}", clinic.url);
    let seed = clinic.seed_file();
    let run = |more: &[&str]| {
        clinic.command(&clinic.url, &[&["seed", &seed], more].concat()).output().unwrap()
    };
    let untrusted = run(&[]);
    assert!(!untrusted.status.success(), "{untrusted:?}");
    let authority = clinic.path("ca.pem").display().to_string();
    let trusted = run(&["--ca", &authority]);
    assert!(trusted.status.success(), "{trusted:?}");
    let unreadable = run(&["--ca", &seed]);
    let told = String::from_utf8_lossy(&unreadable.stderr).into_owned();
    assert!(told.contains("holds no certificate"), "{told}");
}
