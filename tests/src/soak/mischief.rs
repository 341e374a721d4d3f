//! What the handler of `soak-worker` does wrong, where its options ask for it.

use std::time::{Duration, Instant};

use super::Soak;

/// The status of a process that its own handler has ended.
pub const EXIT: i32 = 3;

/// What goes wrong, and in the runs of which jobs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mischief {
    /// This job blocks every thread of the runtime for this time, once.
    pub block: Option<(u64, Duration)>,
    /// This job panics in each run.
    pub panic: Option<u64>,
    /// Every so many jobs, one panics in its first run.
    pub panic_every: Option<u64>,
    /// This job ends the process in each run.
    pub exit: Option<u64>,
}

impl Mischief {
    /// Reads `ID:SECONDS`.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn block_of(text: &str) -> Result<(u64, Duration), String> {
        let read = || {
            let (id, seconds) = text.split_once(':')?;
            Some((id.parse().ok()?, Duration::from_secs(seconds.parse().ok()?)))
        };
        read().ok_or_else(|| format!("--block wants ID:SECONDS, not {text:?}"))
    }

    /// Whether a run of this job panics.
    pub fn panics(&self, id: u64, attempt: u32) -> bool {
        let at_first = self
            .panic_every
            .is_some_and(|every| every > 0 && id.is_multiple_of(every));
        self.panic == Some(id) || (at_first && attempt == 1)
    }

    /// Ends the process or blocks it, if that is what the job does. `first`: nothing says that this run is a repetition.
    pub fn begin(&self, job: &Soak, first: bool) {
        if self.exit == Some(job.id) {
            std::process::exit(EXIT);
        }
        if let Some((id, time)) = self.block
            && id == job.id
            && first
        {
            block_every_thread(time);
        }
    }
}

/// Panics as handlers do: with a text, with a formatted one, and with what is no text.
pub fn panic_somehow(id: u64) -> ! {
    match id % 3 {
        0 => panic!("a handler panics, as its option wants it"),
        1 => panic!("the handler of job {id} panics"),
        _ => std::panic::panic_any(id),
    }
}

/// More tasks than there are threads, as each thread may take one from another that is blocked already. Those that come too late find
/// their time over.
fn block_every_thread(time: Duration) {
    let end = Instant::now() + time;
    let block = move || std::thread::sleep(end.saturating_duration_since(Instant::now()));
    for _ in 0..4 * tokio::runtime::Handle::current().metrics().num_workers() {
        tokio::spawn(async move { block() });
    }
    block();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_panics_follows_from_the_options() {
        let mischief = Mischief {
            panic: Some(7),
            panic_every: Some(10),
            ..Mischief::default()
        };
        let panics = |id, attempt| mischief.panics(id, attempt);
        assert!(panics(7, 1) && panics(7, 20), "one always");
        assert!(panics(10, 1) && !panics(10, 2), "others once");
        assert!(!panics(11, 1));
        assert!(!Mischief::default().panics(0, 1));
    }

    #[test]
    fn a_block_is_read_from_its_option() {
        assert_eq!(Mischief::block_of("7:12"), Ok((7, Duration::from_secs(12))));
        assert!(Mischief::block_of("7").is_err());
    }
}
