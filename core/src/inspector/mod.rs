//! Dead letters as a work list: [`DeadLetters`] lists them, groups them by what they died of, shows them, sends them back to work, discards
//! them, and carries them elsewhere as lines of JSON.
//!
//! # Layout
//! - what a letter says: `record` ([`DeadLetterRecord`]), `death` ([`Death`]), `fingerprint` and `shape`
//! - which letters: `filter` ([`Filter`]), `bounds` ([`ScanLimits`], [`Scan`])
//! - holding them: `source` (where they are), `hold` (the one pass in which all this happens)
//! - what is done with them: `looking`, `redrive`, `discard`, `export`, `import` (their lines: `line`, `value`, `base64`)
//! - `error` ([`InspectError`])

mod base64;
mod bounds;
mod death;
mod discard;
mod error;
mod export;
mod filter;
mod fingerprint;
mod hold;
mod import;
mod line;
mod looking;
mod record;
mod redrive;
mod shape;
mod source;
mod value;

pub use bounds::{Partial, Scan, ScanLimits};
pub use death::{Death, DiedBy};
pub use discard::{Discard, DiscardReport};
pub use error::InspectError;
pub use export::Export;
pub use filter::Filter;
pub use fingerprint::Fingerprint;
pub use import::{Import, ImportReport, Imported, ImportedLine};
pub use looking::{Group, Letter, Listing};
pub use record::{DeadLetterRecord, LetterId};
pub use redrive::{MAX_REDRIVES, Redrive, RedriveEvent, RedriveReport, Redriven, Refusal, Refused};
use source::Source;

use crate::queue::Queue;
use crate::rabbit::Rabbit;

/// The dead letters of a queue, or the lost ones, as a work list. Cheap to clone.
///
/// ```
/// use leveret::{DeadLetters, Filter, Queue, Rabbit};
///
/// const MAIL: Queue = Queue::new("mail");
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rabbit = Rabbit::connect("memory://inspector-docs").await?; // or "amqp://localhost"
/// # rabbit.declare(&MAIL).await?;
/// let letters = DeadLetters::of(&rabbit, &MAIL);
///
/// for group in letters.groups(Filter::all()).await?.found {
///     println!("{} × {}", group.count, group.fingerprint);
/// }
/// # rabbit.close().await;
/// # Ok(())
/// # }
/// ```
///
/// # What a look costs
/// Whatever is asked, the letters are *held* for it: taken from the queue, unacknowledged, on a connection of the inspection's own, and put
/// back afterwards, where they were and in their order. While they are held no other inspection gets them: it waits for up to five seconds, then says that the
/// queue [is busy](InspectError::is_busy). If the inspector dies, be it by kill -9, the broker puts them back by itself, in order, and
/// frees the queue. A scan is [limited](ScanLimits) and says when it was [partial](Scan::partial).
///
/// Somebody who consumes the dead-letter queue in another way (a consumer, the management UI's "get messages") is not kept out, and
/// does change the order.
///
/// # Each look counts
/// A quorum queue counts as a failed delivery what is held and goes back (RabbitMQ up to 4.2), and destroys a letter that reaches the queue's limit of
/// deliveries. The queues that Leveret declares have none that is ever reached, and that is checked before each look. It cannot be checked in the modes
/// [`Minimal`](crate::TopologyMode::Minimal) and [`None`](crate::TopologyMode::None), where a policy should say it, nor by a user without
/// the right to configure the queue; without it RabbitMQ 4.0 to 4.2 take 20. There a look that finds a letter with ten deliveries ends
/// with an error, which counts as well: set the limit ([`Topology::policies`](crate::topology::Topology::policies) has the command), then
/// [say so](Self::trusting_the_delivery_limit).
#[derive(Debug, Clone)]
pub struct DeadLetters {
    source: Source,
    limits: ScanLimits,
}

impl DeadLetters {
    /// The dead letters of a queue.
    #[must_use]
    pub fn of(rabbit: &Rabbit, queue: &Queue) -> Self {
        Self::at(Source::of(rabbit, queue))
    }

    /// The lost letters of all queues under this prefix: dead letters whose own queue is gone, and delayed jobs whose destination is.
    #[must_use]
    pub fn lost(rabbit: &Rabbit) -> Self {
        Self::at(Source::lost(rabbit))
    }

    fn at(source: Source) -> Self {
        Self {
            source,
            limits: ScanLimits::default(),
        }
    }

    /// How much one scan looks at.
    #[must_use]
    pub fn limits(mut self, limits: ScanLimits) -> Self {
        let trusting = self.limits.trusting;
        self.limits = ScanLimits { trusting, ..limits };
        self
    }

    /// Looks also at letters that were delivered ten times and more in a queue whose limit of deliveries [could not be checked](Self#each-look-counts):
    /// its argument `x-delivery-limit` or a policy's `delivery-limit` is 2147483647, or the broker is older than RabbitMQ 4.0 and there is
    /// none. Where that is not so, the letters are destroyed.
    #[must_use]
    pub fn trusting_the_delivery_limit(mut self) -> Self {
        self.limits.trusting = true;
        self
    }

    /// Tells the definition of a work queue that lost letters may belong to. A letter can go back to any queue that exists; one that
    /// has to be declared first, or waited for, has to be known.
    #[must_use]
    pub fn knowing(mut self, queue: &Queue) -> Self {
        self.source.known.insert(queue.name().to_owned(), queue.clone());
        self
    }

    /// The name of the queue that the letters are in.
    #[must_use]
    pub fn queue_name(&self) -> &str {
        &self.source.name
    }
}
