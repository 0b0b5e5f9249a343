//! A Redis of one test: with its own port and files, so that it can be killed and restarted.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::sync::watch;

pub struct RedisServer {
    directory: TempDir,
    pub port: u16,
    options: Vec<String>,
    child: Child,
}

/// A port that is free now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl RedisServer {
    pub fn start(options: &[&str]) -> Self {
        Self::start_at(free_port(), options)
    }

    pub fn start_at(port: u16, options: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options: Vec<String> = options.iter().map(|text| (*text).to_owned()).collect();
        let child = spawn(directory.path(), port, &options);
        let server = Self { directory, port, options, child };
        server.wait();
        server
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Runs one command of `redis-cli`, and returns its output.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let port = self.port.to_string();
        let output = Command::new("redis-cli").args(["-p", &port]).args(arguments).output();
        String::from_utf8(output.expect("redis-cli is installed").stdout).unwrap()
    }

    fn wait(&self) {
        self.until("the server answers", |server| server.cli(&["PING"]).trim() == "PONG");
    }

    pub fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !condition(self) {
            assert!(Instant::now() < deadline, "never happened: {what}");
            std::thread::sleep(Duration::from_millis(20)); // the process says nothing by itself
        }
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Kills the server without a chance to save anything.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts the server again over the files of its directory.
    pub fn restart(&mut self) {
        self.child = spawn(self.directory.path(), self.port, &self.options);
        self.wait();
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(directory: &Path, port: u16, options: &[String]) -> Child {
    let log: PathBuf = directory.join("log");
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"])
        .arg(directory)
        .arg("--logfile")
        .arg(log)
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed")
}

/// One address in front of whichever server is the primary, as a proxy or a service name is.
/// Dropping it cuts its connections.
pub struct Front {
    pub port: u16,
    target: Arc<AtomicU16>,
    _open: watch::Sender<()>,
}

impl Front {
    pub async fn new(target: u16) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let target = Arc::new(AtomicU16::new(target));
        let current = target.clone();
        let (_open, cut) = watch::channel(());
        let accept = async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (port, cut) = (current.load(Ordering::Relaxed), cut.clone());
                let relay = async move {
                    let server = tokio::net::TcpStream::connect(("127.0.0.1", port)).await;
                    let Ok(mut server) = server else { return };
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                };
                tokio::spawn(until_cut(cut, relay));
            }
        };
        tokio::spawn(until_cut(_open.subscribe(), accept));
        Self { port, target, _open }
    }

    pub fn lead_to(&self, port: u16) {
        self.target.store(port, Ordering::Relaxed);
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

/// Runs `relay` until the sender of `cut` is dropped.
async fn until_cut(mut cut: watch::Receiver<()>, relay: impl Future<Output = ()>) {
    tokio::select! {
        () = relay => {}
        _ = cut.changed() => {}
    }
}
