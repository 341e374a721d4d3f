//! Several programs at once: most suites wait for their brokers most of the time. Nothing that one of them prints may show the password of
//! its brokers: then it has failed.

use std::collections::VecDeque;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Result, bail};

use crate::secret;

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
            let texts = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
            let shown = texts.iter().find_map(|text| secret::shown_in(text));
            for text in texts {
                print!("{}", secret::masked(&without_passed(&text)));
            }
            if let Some((number, line)) = &shown {
                println!("---- {name}: SHOWS THE PASSWORD of its brokers, in line {number} of what it printed: {line}");
            }
            println!("---- {name}: {seconds} s, {}", output.status);
            output.status.success() && shown.is_none()
        }
        Err(error) => {
            println!("---- {name}: cannot be run: {error}");
            false
        }
    }
}

/// Leaves out what tests printed that passed (`--show-output`): it is there to be searched, not to be read.
fn without_passed(text: &str) -> String {
    let mut kept = String::new();
    let mut passed = false;
    for line in text.split_inclusive('\n') {
        passed = match line.trim_end() {
            "successes:" => true,
            end if end == "failures:" || end.starts_with("test result: ") => false,
            _ => passed,
        };
        if !passed {
            kept.push_str(line);
        }
    }
    kept
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

    #[test]
    fn whoever_shows_the_password_has_failed_on_either_output() {
        for redirection in ["", " >&2"] {
            let mut careless = shell(&format!("echo amqp://{}@h{redirection}", secret::LOGIN));
            // What this test prints is searched too.
            careless.name = "careless".to_owned();
            let error = run_all(vec![careless]).unwrap_err();
            assert_eq!(error.to_string(), "failed: careless");
        }
    }

    #[test]
    fn what_passed_is_left_out_and_what_failed_is_not() {
        let text = "test a ... ok\n\nsuccesses:\n\n---- a stdout ----\nnoise\n\nfailures:\n\n---- b stdout ----\nwhy\n\ntest result: FAILED.\n";
        let kept = without_passed(text);
        assert!(
            kept.contains("test a") && kept.contains("why") && kept.ends_with("FAILED.\n"),
            "{kept}"
        );
        assert!(!kept.contains("noise"), "{kept}");
        let text = "successes:\nnoise\ntest result: ok.\nmore\n";
        assert_eq!(without_passed(text), "test result: ok.\nmore\n");
    }
}
