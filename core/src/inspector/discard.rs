//! Removing letters for good: [`Discard`].

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;

use super::DeadLetters;
use super::bounds::{Partial, Scan};
use super::error::InspectError;
use super::filter::Filter;
use super::hold::Hold;
use super::record::{DeadLetterRecord, LetterId};

impl DeadLetters {
    /// Removes what a filter means, for good: the only thing here that destroys anything. Await it;
    /// [`dry_run`](Discard::dry_run) only tells what would be removed. [Export](Self::export) first what may be needed again.
    ///
    /// ```
    /// use std::time::Duration;
    /// use leveret::{DeadLetters, Filter, Queue, Rabbit};
    ///
    /// const MAIL: Queue = Queue::new("mail");
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rabbit = Rabbit::connect("memory://discard-docs").await?;
    /// # rabbit.declare(&MAIL).await?;
    /// let month = Duration::from_secs(30 * 86_400);
    /// let report = DeadLetters::of(&rabbit, &MAIL).discard(Filter::older_than(month)).await?;
    /// println!("{report}");
    /// # rabbit.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn discard(&self, filter: Filter) -> Discard {
        Discard {
            letters: self.clone(),
            filter,
            dry_run: false,
        }
    }
}

/// Dead letters about to be removed. Made by [`DeadLetters::discard`].
#[derive(Debug)]
#[must_use = "nothing is removed until this is awaited"]
pub struct Discard {
    letters: DeadLetters,
    filter: Filter,
    dry_run: bool,
}

impl Discard {
    /// Changes nothing: reports what would be removed.
    pub fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    async fn run(self) -> Result<DiscardReport, InspectError> {
        let source = &self.letters.source;
        let mut hold = Hold::take(source, self.letters.limits).await?;
        let now = source.rabbit.clock().wall();
        let mut report = DiscardReport {
            discarded: Vec::new(),
            scan: hold.scan,
            stopped: None,
            dry_run: self.dry_run,
        };
        for delivery in std::mem::take(&mut hold.letters) {
            if hold.is_over() {
                report.scan.partial.get_or_insert(Partial::Time);
                break;
            }
            let record = DeadLetterRecord::read(&delivery.message);
            if !self.filter.matches(&record, now) {
                continue;
            }
            if !self.dry_run {
                hold.remove(delivery.lease);
            }
            report.discarded.push(record.id);
        }
        if let Err(error) = hold.give_back().await
            && !self.dry_run
        {
            report.stopped = Some(format!(
                "the connection was lost ({error}): some of them may still be there; do it again"
            ));
        }
        Ok(report)
    }
}

impl IntoFuture for Discard {
    type Output = Result<DiscardReport, InspectError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// What was removed, or in a dry run would be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiscardReport {
    /// The letters, oldest first.
    pub discarded: Vec<LetterId>,
    /// What was looked at.
    pub scan: Scan,
    /// Why it is not certain that they are gone; `None`: it is.
    pub stopped: Option<String>,
    /// Nothing was changed.
    pub dry_run: bool,
}

impl fmt::Display for DiscardReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let would = if self.dry_run { "would be " } else { "" };
        write!(f, "{} {would}discarded; {}", self.discarded.len(), self.scan)?;
        match &self.stopped {
            Some(why) => write!(f, "; {why}"),
            None => Ok(()),
        }
    }
}
