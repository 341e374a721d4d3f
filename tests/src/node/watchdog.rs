//! Ends a node when the test process is gone.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// Reads until its input ends: the other end of that pipe is held by the test process alone, so it ends when the node is
/// dropped and also when the process exits, is interrupted or is killed. Then it kills by the pid files.
///
/// Killed first, then renamed: a running node makes its directory anew for the next line of its log. Killed once more
/// after that for a process that was just being started; one that comes still later finds no place for its pid file, and
/// never becomes anything.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
while read -r _; do :; done
end_all() {
    for file in "$1"/*.pid; do
        kill -KILL "$(cat "$file")"
        rm -f "$file"
    done
}
end_all "$1"
mv "$1" "$1.gone"
end_all "$1.gone"
tries=0
until rm -rf "$1" "$1.gone" || [ "$tries" -ge 50 ]; do
    tries=$((tries + 1))
    sleep 0.1
done
"#;

/// A shell beside the test process that outlives it for as long as cleaning up takes.
#[derive(Debug)]
pub(super) struct Watchdog {
    shell: Child,
    /// The pipe's end; `None` once released.
    leash: Option<ChildStdin>,
}

impl Watchdog {
    /// From now on `directory`, and every process that has a pid file in it, ends with this process at the latest.
    pub(super) fn guard(directory: &Path) -> Watchdog {
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "leveret-watchdog"])
            .arg(directory)
            // A group of its own: an interrupt at the terminal goes to the group of the tests.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a unix machine has sh");
        let leash = shell.stdin.take();
        Watchdog { shell, leash }
    }

    /// Cleans up now, and returns when that is done.
    pub(super) fn release(&mut self) {
        drop(self.leash.take());
        let _status = self.shell.wait();
    }
}
