//! One queue, or many: a worker consumes a queue for the job types in it, so each of many queues has a type of its own.

use leveret::{Enqueue, Job, NameError, Producer, Queue, Rabbit};
use leveret_bench::Failure;
use leveret_bench::arguments::{MAX_QUEUES, Place};
use leveret_bench::mail::Mail;
use leveret_worker::WorkerBuilder;
use serde::{Deserialize, Serialize};

use crate::tally::{handle, handle_numbered};

/// The queues of a run.
#[derive(Debug)]
pub(crate) struct Queues(Vec<Queue>);

impl Queues {
    pub(crate) fn of(place: &Place) -> Result<Self, NameError> {
        let queues = place.names().into_iter().map(|name| {
            let queue = Queue::named(name)?;
            Ok(if place.classic { queue.classic() } else { queue })
        });
        queues.collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn all(&self) -> &[Queue] {
        &self.0
    }

    /// The only one, or the first.
    pub(crate) fn first(&self) -> Queue {
        self.0[0].clone()
    }

    pub(crate) async fn declare(&self, rabbit: &Rabbit) -> Result<(), Failure> {
        for queue in &self.0 {
            rabbit.declare(queue).await?;
        }
        Ok(())
    }

    /// Has the worker count the jobs of all of them.
    pub(crate) fn register(&self, worker: WorkerBuilder) -> WorkerBuilder {
        match self.0.as_slice() {
            [queue] => worker.route::<Mail>(queue.clone()).register(handle),
            queues => register_numbered(worker, queues),
        }
    }

    pub(crate) fn outlet(&self, rabbit: &Rabbit) -> Outlet {
        match self.0.as_slice() {
            [queue] => Outlet::One(rabbit.producer().route::<Mail>(queue.clone())),
            queues => Outlet::Many(route_numbered(rabbit.producer(), queues), queues.len()),
        }
    }
}

/// Where jobs are enqueued.
#[derive(Debug, Clone)]
pub(crate) enum Outlet {
    One(Producer),
    /// So many queues, one job for each in turn.
    Many(Producer, usize),
}

impl Outlet {
    pub(crate) fn enqueue(&self, mail: Mail) -> Enqueue {
        match self {
            Self::One(producer) => producer.enqueue(mail),
            Self::Many(producer, queues) => {
                let at = usize::try_from(mail.id).unwrap_or_default() % queues;
                enqueue_numbered(producer, at, mail)
            }
        }
    }
}

/// A mail of the queue with this number.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Numbered<const AT: usize>(Mail);

impl<const AT: usize> Job for Numbered<AT> {
    const NAME: &'static str = NAMES[AT];
    const QUEUE: Queue = Queue::new("bench");
}

macro_rules! numbered {
    ($($at:literal)*) => {
        const NAMES: [&str; MAX_QUEUES] = [$(concat!("bench-mail-", $at)),*];

        fn register_numbered(mut worker: WorkerBuilder, queues: &[Queue]) -> WorkerBuilder {
            $(if let Some(queue) = queues.get($at) {
                worker = worker.route::<Numbered<$at>>(queue.clone()).register(handle_numbered::<$at>);
            })*
            worker
        }

        fn route_numbered(mut producer: Producer, queues: &[Queue]) -> Producer {
            $(if let Some(queue) = queues.get($at) {
                producer = producer.route::<Numbered<$at>>(queue.clone());
            })*
            producer
        }

        fn enqueue_numbered(producer: &Producer, at: usize, mail: Mail) -> Enqueue {
            match at {
                $($at => producer.enqueue(Numbered::<$at>(mail)),)*
                _ => unreachable!("the arguments allow no more"),
            }
        }
    };
}

numbered! {
    0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49
}
