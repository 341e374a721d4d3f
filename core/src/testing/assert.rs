//! Expectations of what is in the queues of a [`TestBroker`], and the words for those that fail.

use std::fmt::Write;

use serde_json::Value;

use super::TestBroker;
use super::look::{Enqueued, Found, Purpose};
use crate::job::Job;
use crate::queue::Queue;

/// How many messages of a queue are listed.
const LISTED: usize = 20;

/// How much of a body is shown, in characters.
const SHOWN: usize = 200;

/// Expectations. One that fails panics and lists what is in the queues, bodies included: they are the test's own, and a test is the
/// one place where Leveret shows them.
impl TestBroker {
    /// Expects a job to be in some queue that is equal to `job`, written as JSON, and gives the first such one. It counts jobs as
    /// [`TestBroker::enqueued`] does.
    ///
    /// # Panics
    /// There is none.
    #[track_caller]
    pub fn assert_enqueued<J: Job>(&self, job: &J) -> Enqueued<J> {
        let wanted = match serde_json::to_value(job) {
            Ok(wanted) => wanted,
            Err(error) => panic!("the `{}` cannot be written as JSON: {error}", J::NAME),
        };
        let is_equal = |found: &Enqueued<J>| serde_json::to_value(&found.job).is_ok_and(|value| value == wanted);
        match self.enqueued().into_iter().find(is_equal) {
            Some(found) => found,
            None => panic!("no `{}` {wanted} is enqueued; {}", J::NAME, self.inventory()),
        }
    }

    /// Expects a job of type `J` to be in some queue for which `wanted` is true, and gives the first such one.
    ///
    /// ```
    /// # use leveret::Job;
    /// # use leveret::testing::TestBroker;
    /// # #[derive(serde::Serialize, serde::Deserialize, Job)]
    /// # #[job(queue = "mail")]
    /// # struct SendWelcome { user_id: u64, at: u64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), leveret::EnqueueError> {
    /// # let broker = TestBroker::new();
    /// # broker.producer().enqueue(SendWelcome { user_id: 7, at: 4711 }).await?;
    /// let enqueued = broker.assert_enqueued_where::<SendWelcome>(|job| job.user_id == 7);
    /// assert_eq!(enqueued.queue(), "mail");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// There is none.
    #[track_caller]
    pub fn assert_enqueued_where<J: Job>(&self, wanted: impl Fn(&J) -> bool) -> Enqueued<J> {
        match self.enqueued().into_iter().find(|found| wanted(&found.job)) {
            Some(found) => found,
            None => panic!("no such `{}` is enqueued; {}", J::NAME, self.inventory()),
        }
    }

    /// Expects no job of type `J` to be in any queue.
    ///
    /// # Panics
    /// There is one.
    #[track_caller]
    pub fn assert_not_enqueued<J: Job>(&self) {
        let count = self.enqueued::<J>().len();
        assert!(count == 0, "{count} `{}` enqueued; {}", J::NAME, self.inventory());
    }

    /// Expects a queue to hold so many messages, by [`TestBroker::depth`].
    ///
    /// # Panics
    /// It holds more or fewer.
    #[track_caller]
    pub fn assert_queue_depth(&self, queue: &Queue, messages: usize) {
        let depth = self.depth(queue);
        assert!(
            depth == messages,
            "the queue `{queue}` holds {depth}, not {messages}; {}",
            self.inventory()
        );
    }

    /// All that is in the queues, in words.
    fn inventory(&self) -> String {
        let mut text = String::new();
        for (queue, purpose) in self.purposes() {
            let found = self.found_in(&queue, &purpose);
            if found.is_empty() {
                continue;
            }
            let what = match purpose {
                Purpose::Work => "",
                Purpose::DeadLettersOf(_) => ", dead letters",
                Purpose::Lost => ", what lost its queue",
                Purpose::Delays => ", not due yet",
            };
            let _ = write!(text, "\n  {queue} ({}{what})", found.len());
            for one in found.iter().take(LISTED) {
                let _ = write!(text, "\n    {}", line(one, &purpose));
            }
            if found.len() > LISTED {
                let _ = write!(text, "\n    and {} more", found.len() - LISTED);
            }
        }
        match text.is_empty() {
            true => "the queues are empty".to_owned(),
            false => format!("in the queues are:{text}"),
        }
    }
}

/// One message in one line.
fn line(found: &Found, purpose: &Purpose) -> String {
    let name = found.message.properties.kind.as_deref().unwrap_or("(no type)");
    let mut text = format!("{name} {}", shown(&found.message.body));
    match found.incoming.as_ref().map(|incoming| incoming.attempt) {
        Some(1) | None => {}
        Some(attempt) => drop(write!(text, ", attempt {attempt}")),
    }
    if matches!(purpose, Purpose::DeadLettersOf(_)) {
        let _ = write!(text, ", {}: {}", found.reason(), found.error());
    }
    text
}

/// A body as far as it is worth showing.
fn shown(body: &[u8]) -> String {
    let text = match serde_json::from_slice::<Value>(body) {
        Ok(value) => value.to_string(),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
