//! One process of a scenario: `soak-producer`, `soak-worker`, or another program beside this one.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use leveret_tests::soak::leash;
use leveret_tests::soak::usage::peak_memory_of;
use tokio::process::{Child, Command};

/// A process that ends with this value, and what it said.
pub(crate) struct Program {
    name: String,
    child: Child,
    output: PathBuf,
    /// The most memory it was seen to hold, in KiB.
    peak: u64,
}

impl Program {
    /// Starts a command, such as a program of this package with an environment of its own, or behind another; what it prints goes to
    /// `NAME.log` in `directory`.
    pub(crate) fn of(command: &mut Command, name: &str, arguments: &[String], directory: &Path) -> Program {
        let output = directory.join(name).with_extension("log");
        let log = std::fs::File::options().create(true).append(true).open(&output);
        let log = log.expect("the directory is writable");
        let child = command
            .args(arguments)
            .env(leash::VARIABLE, "1")
            // Ours to hold: it ends when this process does.
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a file descriptor is free"))
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{name} cannot be started: {error}; run `cargo build -p leveret-tests --bins`")
            });
        Program {
            name: name.to_owned(),
            child,
            output,
            peak: 0,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it was not awaited")
    }

    /// Sends it a signal by name: `TERM`, `KILL`, `STOP`, `CONT`.
    pub(crate) fn signal(&mut self, signal: &str) {
        self.look();
        let pid = self.pid().to_string();
        let sent = std::process::Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(
            sent.expect("a unix machine has kill").success(),
            "{} is gone",
            self.name
        );
    }

    /// Looks how much memory it has taken so far.
    pub(crate) fn look(&mut self) {
        let now = self.child.id().and_then(peak_memory_of).unwrap_or(0);
        self.peak = self.peak.max(now);
    }

    pub(crate) fn peak(&self) -> u64 {
        self.peak
    }

    /// Whether it runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_none()
    }

    /// The status it ended with, if it has.
    pub(crate) fn status(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().expect("it is our child")
    }

    /// Kills it, and returns when it is gone.
    pub(crate) async fn kill(&mut self) {
        self.look();
        self.child.kill().await.expect("it is our child");
    }

    /// Waits for its end, and for a status that is good.
    pub(crate) async fn ended(&mut self, patience: Duration) {
        let end = tokio::time::Instant::now() + patience;
        while self.is_running() {
            self.look();
            assert!(
                tokio::time::Instant::now() < end,
                "{} does not end within {patience:?}; it said: {}",
                self.name,
                self.said()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let status = self.child.wait().await.expect("it is our child");
        assert!(
            status.success(),
            "{} ended with {status}; it said: {}",
            self.name,
            self.said()
        );
    }

    /// The end of what it has printed.
    pub(crate) fn said(&self) -> String {
        let text = std::fs::read(&self.output).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join(" | ")
    }
}

/// The same command started by another, `launcher`, which becomes it.
pub(crate) fn behind(launcher: &[String], command: Command) -> Command {
    let [program, arguments @ ..] = launcher else {
        return command;
    };
    let mut whole = Command::new(program);
    whole.args(arguments).arg(command.as_std().get_program());
    whole.args(command.as_std().get_args());
    whole.envs(
        command
            .as_std()
            .get_envs()
            .filter_map(|(key, value)| Some((key, value?))),
    );
    whole
}

/// Programs of one package are built into one directory.
pub(crate) fn path(program: &str) -> PathBuf {
    let own = std::env::current_exe().expect("the system knows it");
    own.with_file_name(program)
}
