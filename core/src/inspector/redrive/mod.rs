//! Sending letters back to work: [`Redrive`] and its [report](RedriveReport).

mod deed;
mod plan;

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use super::DeadLetters;
use super::bounds::Scan;
use super::error::InspectError;
use super::filter::Filter;
use super::record::LetterId;
use crate::ledger::Fate;
use crate::queue::Queue;

/// How many times a letter is sent back before that has to be [forced](Redrive::force).
pub const MAX_REDRIVES: u32 = 3;

impl DeadLetters {
    /// Sends what a filter means back to work: to the queue that the job belongs to, with its id, its history and its body as they were, its
    /// attempts counted from 1 again. Await it, or say more first; [`dry_run`](Redrive::dry_run) changes nothing and tells what would happen.
    ///
    /// Each job is routed, stored and confirmed in its queue before its dead letter is removed. A crash in between leaves both: the job may
    /// then run twice, under one id. None is lost. (A letter that came without an id gets one here.)
    ///
    /// ```
    /// use std::time::Duration;
    /// use leveret::{DeadLetters, Filter, Queue, Rabbit};
    ///
    /// const MAIL: Queue = Queue::new("mail");
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rabbit = Rabbit::connect("memory://redrive-docs").await?;
    /// # rabbit.declare(&MAIL).await?;
    /// let letters = DeadLetters::of(&rabbit, &MAIL);
    /// let resets = Filter::job("send_welcome").and(Filter::error("connection reset"));
    ///
    /// println!("{}", letters.redrive(resets.clone()).dry_run().await?);
    ///
    /// let report = letters.redrive(resets).spaced(Duration::from_millis(200)).await?; // five a second
    /// for refused in &report.refused {
    ///     println!("{} stays: {}", refused.id, refused.why);
    /// }
    /// # rabbit.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn redrive(&self, filter: Filter) -> Redrive {
        Redrive {
            letters: self.clone(),
            filter,
            rules: Rules::default(),
            watcher: None,
        }
    }
}

/// Dead letters about to be sent back to work. Made by [`DeadLetters::redrive`].
#[must_use = "nothing is sent until this is awaited"]
pub struct Redrive {
    letters: DeadLetters,
    filter: Filter,
    rules: Rules,
    watcher: Option<Watcher>,
}

type Watcher = Box<dyn FnMut(&RedriveEvent<'_>) + Send>;

/// How letters are sent.
#[derive(Debug, Clone)]
struct Rules {
    dry_run: bool,
    force: bool,
    spacing: Duration,
    at_most: usize,
    /// Overrides where each belongs.
    to: Option<Queue>,
    /// How many are on their way at once.
    window: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            dry_run: false,
            force: false,
            spacing: Duration::ZERO,
            at_most: usize::MAX,
            to: None,
            window: 100,
        }
    }
}

impl Redrive {
    /// Changes nothing: reports what would be sent, where, and what would be refused.
    pub fn dry_run(mut self) -> Self {
        self.rules.dry_run = true;
        self
    }

    /// Also sends letters that came back [`MAX_REDRIVES`] times already.
    pub fn force(mut self) -> Self {
        self.rules.force = true;
        self
    }

    /// Lets the jobs arrive one after another, this far apart, the first at once. They wait in the broker's delay ladder, not here.
    /// A letter that would wait for more than a year is [refused](Refusal::TooLate).
    pub fn spaced(mut self, spacing: Duration) -> Self {
        self.rules.spacing = spacing;
        self
    }

    /// Sends no more than so many.
    pub fn at_most(mut self, letters: usize) -> Self {
        self.rules.at_most = letters;
        self
    }

    /// Sends all of them to this queue instead of their own.
    pub fn to(mut self, queue: &Queue) -> Self {
        self.rules.to = Some(queue.clone());
        self
    }

    /// Sends each only when the one before is confirmed and removed, instead of a hundred at a time: a crash then leaves one job
    /// twice at the most.
    pub fn one_by_one(mut self) -> Self {
        self.rules.window = 1;
        self
    }

    /// Tells of each letter as it goes, while the letters are held: keep it short.
    pub fn on_event(mut self, watcher: impl FnMut(&RedriveEvent<'_>) + Send + 'static) -> Self {
        self.watcher = Some(Box::new(watcher));
        self
    }
}

impl IntoFuture for Redrive {
    type Output = Result<RedriveReport, InspectError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(deed::redrive(self))
    }
}

impl fmt::Debug for Redrive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redrive")
            .field("queue", &self.letters.queue_name())
            .field("filter", &self.filter)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

/// What happens to a letter during a redrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedriveEvent<'a> {
    /// It was chosen, or in a dry run would be.
    Chosen(&'a Redriven),
    /// Its job is stored in its queue. The letter is removed next.
    Confirmed(&'a Redriven),
    /// It stays.
    Refused(&'a Refused),
}

/// A letter that was sent back to work.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redriven {
    /// The letter. The job keeps its id.
    pub id: LetterId,
    /// The job's name.
    pub job: Option<String>,
    /// The queue that it was sent to.
    pub queue: String,
    /// How long it waits before it arrives there.
    pub wait: Duration,
}

/// A letter that stays where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// The letter.
    pub id: LetterId,
    /// Why it stays.
    pub why: Refusal,
}

/// Why a letter is not sent back to work.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// It has come back this often: something in it is not mended by another try.
    TooOften {
        /// How often it was sent already.
        times: u32,
    },
    /// It does not say which queue it belongs to.
    NoQueue,
    /// Its queue's definition is needed for that.
    UnknownQueue {
        /// The queue's name.
        queue: String,
    },
    /// With the [spacing](Redrive::spaced) that was asked for it would wait for more than a year.
    TooLate {
        /// How long it would wait.
        wait: Duration,
    },
    /// It cannot be made into a message.
    Unsendable(String),
    /// Its job was not stored, or nobody knows whether it was.
    NotStored(Fate),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooOften { times } => write!(
                f,
                "it was sent back {times} times already and died again each time; mend the cause, then force it"
            ),
            Self::NoQueue => f.write_str("it does not say which queue it belongs to; name one with `to`"),
            Self::UnknownQueue { queue } => write!(
                f,
                "to let it wait for queue `{queue}` the definition of that queue is needed: name it with `knowing`, or redrive without a spacing"
            ),
            Self::TooLate { wait } => write!(
                f,
                "it would wait for {} days, and a year is the most; space the letters less far apart, or send fewer at once with `at_most`",
                wait.as_secs() / 86_400
            ),
            Self::Unsendable(why) => write!(f, "it cannot be sent: {why}; export it, mend the line, import it"),
            Self::NotStored(Fate::Refused(why)) => write!(f, "its job was refused: {why}"),
            Self::NotStored(Fate::NotSent) => f.write_str("it was not sent: there was no connection in time; do it again"),
            Self::NotStored(Fate::Unknown) => f.write_str(
                "its job was sent, and no answer came: it may be there already; done again, there may be two with one id",
            ),
        }
    }
}

/// What a redrive did, or in a dry run would do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedriveReport {
    /// What was sent, oldest first.
    pub redriven: Vec<Redriven>,
    /// What was meant and stays.
    pub refused: Vec<Refused>,
    /// What was looked at.
    pub scan: Scan,
    /// Why it ended before its end, and what that means; `None`: it did not.
    pub stopped: Option<String>,
    /// Nothing was changed.
    pub dry_run: bool,
}

impl fmt::Display for RedriveReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let would = if self.dry_run { "would be " } else { "" };
        let (sent, stay) = (self.redriven.len(), self.refused.len());
        write!(f, "{sent} {would}sent back to work, {stay} refused; {}", self.scan)?;
        match &self.stopped {
            Some(why) => write!(f, "; stopped: {why}"),
            None => Ok(()),
        }
    }
}
