//! Several programs at once: most suites wait for their brokers most of the time.

use std::collections::VecDeque;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Result, bail};

/// How many run at once at the most, however many cores there are: each may have a cluster of brokers.
const MOST: usize = 4;

/// A program to run, and what it is called.
pub(crate) struct Run {
    pub(crate) name: String,
    pub(crate) command: Command,
}

/// Runs all, as many at once as there are cores. What one of them printed is printed when it has ended, so that nothing is mixed. Each
/// runs to its end whatever became of the others.
///
/// # Errors
/// The names of those that failed.
pub(crate) fn run_all(runs: Vec<Run>) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let waiting = Mutex::new(VecDeque::from(runs));
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..cores.min(MOST) {
            scope.spawn(|| {
                while let Some(run) = next(&waiting) {
                    let name = run.name.clone();
                    if !succeeds(run) {
                        failed.lock().unwrap_or_else(PoisonError::into_inner).push(name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

fn next(waiting: &Mutex<VecDeque<Run>>) -> Option<Run> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

/// Runs one, prints what it printed, and tells whether it ended well.
fn succeeds(run: Run) -> bool {
    // One lock for the whole block: another's end must not come in between.
    static PRINTING: Mutex<()> = Mutex::new(());
    let Run { name, mut command } = run;
    let begin = Instant::now();
    let ended = command.stdin(Stdio::null()).output();
    let seconds = begin.elapsed().as_secs();
    let _printing = PRINTING.lock().unwrap_or_else(PoisonError::into_inner);
    println!("---- {name}");
    match ended {
        Ok(output) => {
            print!("{}", String::from_utf8_lossy(&output.stdout));
            print!("{}", String::from_utf8_lossy(&output.stderr));
            println!("---- {name}: {seconds} s, {}", output.status);
            output.status.success()
        }
        Err(error) => {
            println!("---- {name}: cannot be run: {error}");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Run {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Run {
            name: script.to_owned(),
            command,
        }
    }

    #[test]
    fn all_run_to_their_end_and_whatever_failed_is_named() {
        let file = std::env::temp_dir().join(format!("leveret-pool-{}", std::process::id()));
        let touch = format!("touch {}", file.display());
        let error = run_all(vec![shell("exit 3"), shell("true"), shell(&touch)]).unwrap_err();
        assert_eq!(error.to_string(), "failed: exit 3");
        std::fs::remove_file(file).expect("the last ran as well");
        run_all(vec![shell("true")]).unwrap();
    }
}
