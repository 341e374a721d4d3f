//! An operating system process that the watchdog knows.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// Writes its own pid, then becomes the program: at no time is there a process without a pid file.
const BECOME: &str = r#"echo $$ > "$0" && exec "$@""#;

/// What can be sent to a process.
#[derive(Debug, Clone, Copy)]
pub(super) enum Signal {
    /// SIGTERM
    Stop,
    /// SIGKILL
    Kill,
    /// SIGSTOP
    Pause,
    /// SIGCONT
    Resume,
}

/// A running program with a pid file in its node's directory.
///
/// Its pid cannot be another process's: it is released by the system only once it is reaped, and that is here, after the
/// pid file is gone.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    pid_file: PathBuf,
}

impl Process {
    /// Starts `command`, a program that does not fork away; its output goes to `NAME.log` in `directory`.
    pub(super) fn start(name: &str, command: Command, directory: &Path) -> Process {
        let pid_file = directory.join(name).with_extension("pid");
        let log = File::options()
            .create(true)
            .append(true)
            .open(directory.join(name).with_extension("log"));
        let log = log.expect("the node's directory is writable");
        let mut shell = Command::new("sh");
        shell
            .args(["-c", BECOME])
            .arg(&pid_file)
            .arg(command.get_program())
            .args(command.get_args());
        shell
            .env_clear()
            .envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
        let child = shell
            .current_dir(directory)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file descriptor is free"))
            .stderr(log)
            .spawn()
            .expect("a unix machine has sh");
        Process { child, pid_file }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends `signal`. Nothing happens to a process that has ended.
    pub(super) fn signal(&self, signal: Signal) {
        let name = match signal {
            Signal::Stop => "TERM",
            Signal::Kill => "KILL",
            Signal::Pause => "STOP",
            Signal::Resume => "CONT",
        };
        // The shell's own kill: a minimal container has no other.
        let script = format!("kill -{name} {} 2>/dev/null", self.pid());
        let _ended_already = Command::new("sh")
            .args(["-c", &script])
            .status()
            .expect("a unix machine has sh");
    }

    /// Stops every thread of the process, and returns once they stand still: the signal alone is only on its way.
    pub(super) fn pause(&self) {
        self.signal(Signal::Pause);
        // Where there is no /proc, the signal has to do.
        while self.has_running_threads() {
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn has_running_threads(&self) -> bool {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid()))
            .into_iter()
            .flatten()
            .filter_map(Result::ok);
        let stats = threads.filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok());
        // "PID (NAME) STATE …": stopped, or gone.
        let mut states = stats.filter_map(|stat| stat.rsplit_once(") ")?.1.chars().next());
        states.any(|state| !['T', 'Z', 'X'].contains(&state))
    }

    /// What it and the processes it started have spent so far, in seconds of CPU.
    ///
    /// # Panics
    ///
    /// Where there is no `/proc`.
    pub(super) fn cpu_seconds(&self) -> f64 {
        /// Linux shows every process these many ticks a second, whatever its own clock does.
        const TICKS: f64 = 100.0;
        let group = self.pid().to_string();
        let processes = fs::read_dir("/proc")
            .expect("the processes of a Linux machine are in /proc")
            .filter_map(Result::ok);
        let stats = processes.filter_map(|process| fs::read_to_string(process.path().join("stat")).ok());
        let ticks = stats.filter_map(|stat| {
            // "PID (NAME) STATE PARENT GROUP …", user and system time as the 12th and 13th after the name.
            let words: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
            let is_of_this = *words.get(2)? == group;
            let time = |at: usize| words.get(at)?.parse::<u32>().ok();
            is_of_this.then_some(time(11)? + time(12)?)
        });
        f64::from(ticks.sum::<u32>()) / TICKS
    }

    /// Kills the process and waits until it is gone.
    pub(super) fn kill(mut self) {
        self.signal(Signal::Kill);
        self.reap();
    }

    /// Whether the process has ended; it is reaped if so.
    pub(super) fn has_ended(&mut self) -> bool {
        match self.child.try_wait() {
            Ok(None) => false,
            Ok(Some(_)) | Err(_) => {
                let _gone_already = fs::remove_file(&self.pid_file);
                true
            }
        }
    }

    /// Waits for a process that was killed.
    pub(super) fn reap(&mut self) {
        let _gone_already = fs::remove_file(&self.pid_file);
        let _reaped_already = self.child.wait();
    }
}
