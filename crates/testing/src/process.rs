//! Programs of this workspace as child processes of a test.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, PoisonError},
};

use anyhow::Result;

use crate::{patience::eventually, ready_file::ReadyFile};

/// The longest part of a log that a failed test prints, in bytes.
const LOG_TAIL: usize = 3000;

/// A program of this workspace, built beside the calling test.
///
/// # Panics
/// When the program is not built.
#[must_use]
pub fn program(name: &str) -> Command {
    let test = std::env::current_exe().expect("a test is a file");
    let directory = test.parent().and_then(Path::parent).expect("target/<profile>/deps/<test>");
    let path = directory.join(name);
    assert!(
        path.exists(),
        "{} is missing: `cargo build --workspace --bins` builds it",
        path.display()
    );
    Command::new(path)
}

/// A running program, killed when it is dropped.
pub struct RunningProgram {
    child: Mutex<Child>,
    log: Option<PathBuf>,
}

impl RunningProgram {
    /// Starts a program whose output stays in pipes.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(Self { child: Mutex::new(command.spawn()?), log: None })
    }

    /// Starts a program that writes its standard error to the file `log`. A panicking test prints
    /// the end of the file.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_with_log(command: &mut Command, log: PathBuf) -> Result<Self> {
        let command =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
        Ok(Self { child: Mutex::new(command.spawn()?), log: Some(log) })
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the program has not ended.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.child().try_wait().is_ok_and(|status| status.is_none())
    }

    /// The id of the process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child().id()
    }

    /// Sends a signal such as `-TERM`. A program that has ended ignores it.
    pub fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        let _ = Command::new("kill").args([signal, &pid]).status();
    }

    /// Kills the program as a power loss does, and waits for its end.
    pub fn kill(&self) {
        let mut child = self.child();
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Waits for the end of the program.
    ///
    /// # Panics
    /// When it does not end within [`crate::patience::PATIENCE`].
    pub async fn wait(&self) -> ExitStatus {
        eventually("the program ends", || async { self.child().try_wait().ok().flatten() }).await
    }

    /// Asks the program to stop, and waits until it ends.
    ///
    /// # Panics
    /// When it reports a failure or does not end.
    pub async fn terminate(&self) {
        self.signal("-TERM");
        let status = self.wait().await;
        assert!(status.success(), "{status}: {}", self.log_text());
    }

    /// Sends a signal, waits for the end, and returns the exit code and all of standard output.
    ///
    /// # Panics
    /// When standard output is not piped or not UTF-8.
    #[must_use]
    pub fn stop(self, signal: &str) -> (Option<i32>, String) {
        self.signal(signal);
        let mut child = self.child();
        let mut text = String::new();
        let mut stdout = child.stdout.take().expect("standard output is piped");
        stdout.read_to_string(&mut text).expect("standard output is text");
        (child.wait().ok().and_then(|status| status.code()), text)
    }

    /// The log so far.
    #[must_use]
    pub fn log_text(&self) -> String {
        self.log.as_ref().and_then(|log| fs::read_to_string(log).ok()).unwrap_or_default()
    }
}

impl Drop for RunningProgram {
    #[expect(clippy::print_stderr, reason = "a failed test shows the log of the program")]
    fn drop(&mut self) {
        self.kill();
        if let (true, Some(path)) = (std::thread::panicking(), &self.log) {
            let log = self.log_text();
            let from = log.len().saturating_sub(LOG_TAIL);
            eprintln!("--- {}\n{}", path.display(), log.get(from..).unwrap_or(&log));
        }
    }
}

/// Waits until a program has written its ready file.
///
/// # Panics
/// When the file does not appear, or is not whole when it appears.
pub async fn wait_until_ready(path: &Path) -> ReadyFile {
    eventually("the ready file", || async {
        path.exists().then(|| ReadyFile::read(path).expect("the file appears whole"))
    })
    .await
}
