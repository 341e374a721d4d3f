//! What handlers count.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use leveret_bench::arguments::Arguments;
use leveret_bench::mail::Mail;
use leveret_bench::usage::{Spent, Stretch};
use leveret_worker::{Context, State};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::queues::Numbered;

/// The jobs of a run, as they are handled.
#[derive(Debug)]
pub(crate) struct Tally {
    begun: OnceLock<Stretch>,
    /// Those that are measured.
    measured: Countdown,
    /// These and the slow one.
    all: Countdown,
    spent: OnceLock<Spent>,
    ended: watch::Sender<bool>,
    slow: Slow,
    /// Each other job takes so long.
    takes: Option<Duration>,
}

/// The job that is slow: the first.
#[derive(Debug)]
enum Slow {
    None,
    Takes { long: Duration, taken: AtomicBool },
}

impl Slow {
    /// How long this job takes, if it is the slow one.
    fn take(&self) -> Option<Duration> {
        match self {
            Self::Takes { long, taken } => (!taken.swap(true, Ordering::Relaxed)).then_some(*long),
            Self::None => None,
        }
    }
}

/// How many are left.
#[derive(Debug)]
struct Countdown(AtomicU64);

impl Countdown {
    /// Whether this was the last. More may come: a job can be delivered twice.
    fn count(&self) -> bool {
        self.0.fetch_sub(1, Ordering::AcqRel) == 1
    }
}

impl Tally {
    pub(crate) fn of(arguments: &Arguments) -> Arc<Self> {
        let slow = arguments.working.slow.map(Duration::from_millis);
        Arc::new(Self {
            begun: OnceLock::new(),
            measured: Countdown(AtomicU64::new(arguments.n - u64::from(slow.is_some()))),
            all: Countdown(AtomicU64::new(arguments.n)),
            spent: OnceLock::new(),
            ended: watch::Sender::new(false),
            slow: slow.map_or(Slow::None, |long| Slow::Takes {
                long,
                taken: AtomicBool::new(false),
            }),
            takes: arguments.working.takes.map(Duration::from_millis),
        })
    }

    fn begin(&self) {
        self.begun.get_or_init(Stretch::begin);
    }

    async fn run(&self) {
        self.begin();
        if let Some(slow) = self.slow.take() {
            sleep(slow).await;
            return self.leave();
        }
        if let Some(takes) = self.takes {
            sleep(takes).await;
        }
        self.finish();
    }

    /// A job that is measured is done.
    fn finish(&self) {
        if self.measured.count() {
            let _ = self.spent.set(self.begun.get().map(Stretch::end).unwrap_or_default());
        }
        self.leave();
    }

    fn leave(&self) {
        if self.all.count() {
            self.ended.send_replace(true);
        }
    }

    /// Waits for the last job.
    pub(crate) async fn ended(self: Arc<Self>) {
        let mut ended = self.ended.subscribe();
        // The sender is in the tally.
        let _ = ended.wait_for(|ended| *ended).await;
    }

    /// From the first job handled to the last that is measured.
    pub(crate) fn spent(&self) -> Option<Spent> {
        self.spent.get().copied()
    }
}

pub(crate) async fn handle(_: Mail, State(tally): State<Arc<Tally>>) {
    tally.run().await;
}

pub(crate) async fn handle_numbered<const AT: usize>(_: Numbered<AT>, State(tally): State<Arc<Tally>>) {
    tally.run().await;
}

/// Fails once.
pub(crate) async fn handle_again(
    _: Mail,
    State(tally): State<Arc<Tally>>,
    context: Context,
) -> Result<(), &'static str> {
    tally.begin();
    if context.attempt() == 1 {
        return Err("the first attempt fails");
    }
    tally.finish();
    Ok(())
}
