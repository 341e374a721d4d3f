//! Clocks that belong to the processes of a scenario alone: libfaketime, which reads from a file how far they are off. The machine's clock is
//! never touched.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::scenario::Clock;

const FILE: &str = "clock";

/// A program whose clock can be set by [`set`] in `directory`, where the scenario wants that.
pub(crate) fn command(program: &Path, clock: Clock, directory: &Path) -> Command {
    let mut command = Command::new(program);
    if clock == Clock::Own {
        return command;
    }
    command
        .env("LD_PRELOAD", library())
        .env("FAKETIME_TIMESTAMP_FILE", directory.join(FILE))
        // In seconds: how soon it looks again.
        .env("FAKETIME_CACHE_DURATION", "1");
    if clock == Clock::Wall {
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
    command
}

/// Puts the clocks ahead by so many seconds, or back. The file is replaced at once: nobody reads half of it.
pub(crate) fn set(directory: &Path, seconds: i64) {
    let next = directory.join("clock-next");
    std::fs::write(&next, format!("{seconds:+}\n")).expect("the directory is writable");
    std::fs::rename(next, directory.join(FILE)).expect("the directory is writable");
}

/// Debian keeps it in a folder of the machine's architecture.
fn library() -> PathBuf {
    let places = std::fs::read_dir("/usr/lib")
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    let mut libraries = places.map(|place| place.path().join("faketime/libfaketimeMT.so.1"));
    let found = libraries.find(|library| library.exists());
    found.expect("libfaketime is needed to set clocks: apt-get install faketime")
}
