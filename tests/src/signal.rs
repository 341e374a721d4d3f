//! Waiting for what a test needs to have happened.
//!
//! A test waits for a signal, never for a time. Every wait has a generous deadline whose end is a failed test that says
//! what was awaited, where, and how far it had come.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// How long a wait lasts before it fails the test. No test is meant to come near it.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Between two looks at the broker's side, which sends no signals of its own.
const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// Counts events; handlers count, the test waits. Clones share the count.
#[derive(Debug, Clone)]
pub struct Counter {
    what: Arc<str>,
    count: Arc<watch::Sender<u64>>,
}

impl Counter {
    /// Starts at zero. `what` is counted, in the words of the failure: "runs of SendWelcome".
    pub fn new(what: impl Into<Arc<str>>) -> Counter {
        Counter {
            what: what.into(),
            count: Arc::new(watch::Sender::new(0)),
        }
    }

    /// Counts one, and returns the count with it.
    pub fn add(&self) -> u64 {
        let mut now = 0;
        self.count.send_modify(|count| {
            *count += 1;
            now = *count;
        });
        now
    }

    /// The count so far.
    pub fn count(&self) -> u64 {
        *self.count.borrow()
    }

    /// Waits until at least `wanted` were counted.
    ///
    /// # Panics
    ///
    /// After [`DEADLINE`].
    #[track_caller]
    pub fn wait_for(&self, wanted: u64) -> impl Future<Output = ()> + Send + use<> {
        self.wait_for_within(DEADLINE, wanted)
    }

    /// Waits until at least `wanted` were counted.
    ///
    /// # Panics
    ///
    /// After `deadline`.
    #[track_caller]
    pub fn wait_for_within(&self, deadline: Duration, wanted: u64) -> impl Future<Output = ()> + Send + use<> {
        let place = Location::caller();
        let Counter { what, count } = self.clone();
        async move {
            let mut seen = count.subscribe();
            let reached = timeout(deadline, seen.wait_for(|count| *count >= wanted)).await.is_ok();
            let count = *count.borrow();
            assert!(reached, "{place}: waited {deadline:?} for {wanted} {what}, saw {count}");
        }
    }
}

/// Something that happens once. Clones share it.
#[derive(Debug, Clone)]
pub struct Latch(Counter);

impl Latch {
    /// Not happened yet. `what` happens, in the words of the failure: "the handler has started".
    pub fn new(what: impl Into<Arc<str>>) -> Latch {
        Latch(Counter::new(what))
    }

    /// It has happened. More calls change nothing.
    pub fn set(&self) {
        self.0.add();
    }

    /// Whether it has happened.
    pub fn is_set(&self) -> bool {
        self.0.count() > 0
    }

    /// Waits until it has happened.
    ///
    /// # Panics
    ///
    /// After [`DEADLINE`].
    #[track_caller]
    pub fn wait(&self) -> impl Future<Output = ()> + Send + use<> {
        self.0.wait_for(1)
    }
}

/// Holds handlers until the test lets them through. Clones are the same gate.
#[derive(Clone)]
pub struct Gate {
    arrived: Counter,
    open: Arc<watch::Sender<bool>>,
}

impl Gate {
    /// A closed gate. `who` arrive, in the words of the failure: "handlers at the gate".
    pub fn closed(who: impl Into<Arc<str>>) -> Gate {
        Gate {
            arrived: Counter::new(who),
            open: Arc::new(watch::Sender::new(false)),
        }
    }

    /// Called by a handler: arrives, and waits as long as the gate is closed. No deadline: the test has its own.
    pub async fn pass(&self) {
        self.arrived.add();
        let mut open = self.open.subscribe();
        open.wait_for(|open| *open).await.expect("this clone holds the sender");
    }

    /// Lets everybody through, now and later.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Holds those who arrive from now on.
    pub fn close(&self) {
        self.open.send_replace(false);
    }

    /// How many have arrived so far, let through or not.
    pub fn arrived(&self) -> u64 {
        self.arrived.count()
    }

    /// Waits until at least `wanted` have arrived.
    ///
    /// # Panics
    ///
    /// After [`DEADLINE`].
    #[track_caller]
    pub fn wait_for_arrivals(&self, wanted: u64) -> impl Future<Output = ()> + Send + use<> {
        self.arrived.wait_for(wanted)
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("arrived", &self.arrived())
            .field("open", &*self.open.borrow())
            .finish()
    }
}

/// Looks again and again until `holds`. Only for the broker's side: what runs in this process sends a signal.
///
/// # Panics
///
/// After [`DEADLINE`], with `what`: "the queue is empty".
#[track_caller]
pub fn eventually<C, F>(what: impl fmt::Display, holds: C) -> impl Future<Output = ()>
where
    C: FnMut() -> F,
    F: Future<Output = bool>,
{
    eventually_within(DEADLINE, what, holds)
}

/// [`eventually`] with another deadline.
///
/// # Panics
///
/// After `deadline`, with `what`.
#[track_caller]
pub fn eventually_within<C, F>(deadline: Duration, what: impl fmt::Display, mut holds: C) -> impl Future<Output = ()>
where
    C: FnMut() -> F,
    F: Future<Output = bool>,
{
    let place = Location::caller();
    async move {
        let held = comes_true_within(deadline, &mut holds).await;
        assert!(held, "{place}: waited {deadline:?} until {what}");
    }
}

/// Whether something holds, or comes to within this time.
pub async fn comes_true_within<C, F>(patience: Duration, mut holds: C) -> bool
where
    C: FnMut() -> F,
    F: Future<Output = bool>,
{
    let end = Instant::now() + patience;
    while !holds().await {
        if Instant::now() >= end {
            return false;
        }
        sleep(LOOK_AGAIN).await;
    }
    true
}

/// Awaits `future`, which is `what` in the words of the failure.
///
/// # Panics
///
/// After [`DEADLINE`].
#[track_caller]
pub fn soon<F: Future>(what: impl fmt::Display, future: F) -> impl Future<Output = F::Output> {
    let place = Location::caller();
    async move {
        match timeout(DEADLINE, future).await {
            Ok(output) => output,
            Err(_) => panic!("{place}: waited {DEADLINE:?} for {what}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wait_ends_with_the_count_it_waits_for() {
        // Given a task that counts to three
        let runs = Counter::new("runs");
        let counting = tokio::spawn({
            let runs = runs.clone();
            async move { [runs.add(), runs.add(), runs.add()] }
        });

        // When the test waits for three
        runs.wait_for(3).await;

        // Then there are three
        assert_eq!(runs.count(), 3);
        assert_eq!(counting.await.unwrap(), [1, 2, 3]);
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "waited 5s for 2 runs of SendWelcome, saw 1")]
    async fn a_wait_in_vain_says_what_was_awaited() {
        // Given one run
        let runs = Counter::new("runs of SendWelcome");
        runs.add();

        // When the test waits for a second one, then it fails
        runs.wait_for_within(Duration::from_secs(5), 2).await;
    }

    #[tokio::test]
    async fn a_gate_holds_those_who_arrive_until_it_opens() {
        // Given someone at a closed gate
        let gate = Gate::closed("handlers at the gate");
        let through = Latch::new("through the gate");
        tokio::spawn({
            let (gate, through) = (gate.clone(), through.clone());
            async move {
                gate.pass().await;
                through.set();
            }
        });
        gate.wait_for_arrivals(1).await;
        assert!(!through.is_set());

        // When it opens
        gate.open();

        // Then they pass
        through.wait().await;
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "until the queue is empty")]
    async fn what_never_comes_to_hold_fails_the_test() {
        eventually("the queue is empty", || async { false }).await;
    }
}
