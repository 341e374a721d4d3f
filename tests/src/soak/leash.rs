//! A program that somebody else started ends with whoever that was.

use std::io::Read as _;

/// Says that the standard input is a leash: a pipe whose other end its starter holds.
pub const VARIABLE: &str = "LEVERET_SOAK_LEASH";

/// The status of a process whose starter is gone.
const LET_GO: i32 = 4;

/// Where the starter has said so, ends this process as soon as the starter is gone, in whatever way: it cannot be left behind.
pub fn hold() {
    if std::env::var_os(VARIABLE).is_none() {
        return;
    }
    std::thread::spawn(|| {
        // Nothing is ever written: it ends when the other end is closed.
        let _ended = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(LET_GO);
    });
}
