//! Pulling single jobs, for programs that choose their own moment.
//!
//! # Layout
//! [`Fetcher`] is the handle, `keeper` the task that owns the channel and every job that was fetched on it, `connecting` how it gets
//! that channel, [`Fetched`] one of those jobs, `keeping` how it is settled.

mod connecting;
mod error;
mod fetched;
mod keeper;
mod keeping;

use leveret::{Job, Queue, Rabbit};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::report::QueueReport;
use crate::source::{Connection, Source};
pub use error::FetchError;
use fetched::Terms;
pub use fetched::{Fetched, Settled};
use keeper::{Keeper, Request};

/// Fetches jobs of one queue, one for each asking, and settles each as a worker would: for batch programs, cron jobs and tools that
/// choose their own moment. What is to run all the time, or many jobs at once, is better off with a [`Worker`](crate::Worker): it needs
/// no round trip per job, has time limits, and recognizes a job whose ack was lost.
///
/// ```
/// # use leveret::{Job, Producer, Queue};
/// # use leveret_worker::Fetcher;
/// # use serde::{Deserialize, Serialize};
/// const MAIL: Queue = Queue::new("mail");
///
/// #[derive(Debug, Serialize, Deserialize, Job)]
/// #[job(queue = MAIL, max_attempts = 8)]
/// struct SendWelcome { user_id: u64 }
///
/// async fn send(job: &SendWelcome) -> Result<(), std::io::Error> {
///     println!("welcome, {}", job.user_id);
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let producer = Producer::connect("memory://fetcher-docs").await?;
/// # producer.enqueue(SendWelcome { user_id: 7 }).await?;
/// let mut fetcher = Fetcher::connect("memory://fetcher-docs", &MAIL).await?; // or "amqp://localhost", or a `&Rabbit`
/// while let Some(fetched) = fetcher.fetch::<SendWelcome>().await? {
///     let result = send(fetched.job()).await;
///     fetched.settle(result).await?;
/// }
/// let report = fetcher.close().await;
/// assert_eq!(report.completed, 1);
/// # Ok(())
/// # }
/// ```
///
/// # What is promised
/// - Nothing is lost. A job that was fetched and not settled comes again: when its [`Fetched`] is dropped, when the fetcher is closed
///   or dropped, when the connection or the process ends.
/// - What [`Fetched::settle`] is given decides as it does for a worker: done, tried again as a confirmed copy by the job type's policy,
///   or a dead letter. `Ok` of it means that the broker has taken it in.
/// - A job may run twice: if the connection is lost before its settlement arrived, it comes again, and nothing here remembers that it
///   was done. Its [`Context::id`](crate::Context::id) is the same then.
/// - The broker takes back a job that is not settled within its `consumer_timeout` (30 minutes by default).
#[derive(Debug)]
pub struct Fetcher {
    requests: mpsc::Sender<Request>,
    /// The one task that owns the channel; dropping it aborts it.
    keeper: JoinSet<()>,
    /// To be closed with it, if they are its own.
    own: Option<Rabbit>,
}

impl Fetcher {
    /// Connects, and makes sure that the queue is there, as the topology mode says. `source` is a URL or
    /// [`ConnectOptions`](leveret::ConnectOptions), for a connection of its own, or a [`&Rabbit`](leveret::Rabbit) to share those of the process.
    ///
    /// # Errors
    /// [`FetchError`]: a URL that cannot be used, a login that the broker refuses, no broker for 30 seconds, a queue that is there with other
    /// settings.
    pub async fn connect(source: impl Into<Source>, queue: &Queue) -> Result<Self, FetchError> {
        let (rabbit, own) = match source.into().resolve().map_err(FetchError::source)? {
            Connection::Own(options) => {
                let rabbit = Rabbit::connect(*options).await.map_err(FetchError::connect)?;
                (rabbit.clone(), Some(rabbit))
            }
            Connection::Shared(rabbit) => (rabbit, None),
        };
        // One at a time: whoever asks holds the fetcher.
        let (requests, receiver) = mpsc::channel(1);
        let mut keeper = Keeper::new(queue.clone(), &rabbit, receiver);
        if let Err(error) = keeper.open().await {
            drop(keeper);
            if let Some(own) = own {
                own.close().await;
            }
            return Err(error);
        }
        let mut task = JoinSet::new();
        task.spawn(keeper.run());
        Ok(Self {
            requests,
            keeper: task,
            own,
        })
    }

    /// The next job, or `None` when the queue has none ready. A lost connection is waited for, 30 seconds at the most. Up to 2,000 jobs may be
    /// fetched and not settled at a time. Dropping this future loses nothing: what it had fetched goes back.
    ///
    /// What is not a `J` becomes a dead letter, with its bytes intact, and the next job is fetched: an undecodable body, a job that has expired, and
    /// a job of **another type** as well. So fetch from queues that hold one type of job.
    ///
    /// # Errors
    /// [`FetchError`]: no connection for 30 seconds, too many jobs in hand, a queue that cannot be used.
    pub async fn fetch<J: Job>(&mut self) -> Result<Option<Fetched<J>>, FetchError> {
        loop {
            let (reply, answer) = oneshot::channel();
            let request = Request::Fetch {
                terms: Terms::of::<J>(),
                reply,
            };
            self.requests.send(request).await.map_err(|_| FetchError::closed())?;
            let Some(pulled) = answer.await.map_err(|_| FetchError::closed())?? else {
                return Ok(None);
            };
            match pulled.read::<J>() {
                Ok(job) => return Ok(Some(Fetched::new(job, pulled))),
                Err(ended) => match pulled.settle(ended).await {
                    // It comes again, and is put aside then.
                    Err(error) if error.is_stale() => {}
                    result => drop(result?),
                },
            }
        }
    }

    /// Waits for the settlements under way, for the close deadline (5 seconds by default) at the most, gives back what was not settled, and
    /// closes the connection if it is the fetcher's own. What was done, in numbers.
    pub async fn close(mut self) -> QueueReport {
        let (reply, answer) = oneshot::channel();
        let report = match self.requests.send(Request::Close { reply }).await {
            Ok(()) => answer.await.unwrap_or_default(),
            Err(_) => QueueReport::default(),
        };
        while self.keeper.join_next().await.is_some() {}
        if let Some(own) = self.own {
            own.close().await;
        }
        report
    }
}
