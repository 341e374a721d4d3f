//! From the first call until all jobs are confirmed.

use std::collections::VecDeque;

use leveret::{EnqueueError, Pending, Rabbit};
use leveret_bench::Failure;
use leveret_bench::arguments::{Arguments, Sending};
use leveret_bench::mail::Mail;
use leveret_bench::usage::{Spent, Stretch};

use crate::queues::{Outlet, Queues};

pub(crate) async fn enqueue(rabbit: &Rabbit, queues: &Queues, arguments: &Arguments) -> Result<Spent, Failure> {
    let outlet = queues.outlet(rabbit);
    // For whoever stalls the broker in the midst of it.
    eprintln!("enqueueing");
    let stretch = Stretch::begin();
    match arguments.sending.callers {
        None => alone(&outlet, arguments.n, arguments.sending).await?,
        Some(callers) => together(&outlet, arguments.n, callers.max(1)).await?,
    }
    Ok(stretch.end())
}

async fn alone(outlet: &Outlet, n: u64, sending: Sending) -> Result<(), EnqueueError> {
    let mut pending: VecDeque<Pending> = VecDeque::new();
    for id in 0..n {
        if pending.len() == sending.ahead {
            // Half of them, so that the next ones also go together.
            for each in pending.drain(..sending.ahead.div_ceil(2)) {
                each.await?;
            }
        }
        let mail = Mail::sized(id, sending.payload);
        pending.push_back(outlet.enqueue(mail).submit().await?);
    }
    for each in pending {
        each.await?;
    }
    Ok(())
}

async fn together(outlet: &Outlet, n: u64, callers: u64) -> Result<(), Failure> {
    let tasks: Vec<_> = (0..callers)
        .map(|first| {
            let outlet = outlet.clone();
            let ids = (first..n).step_by(usize::try_from(callers).unwrap_or(usize::MAX));
            tokio::spawn(async move {
                for id in ids {
                    outlet.enqueue(Mail::new(id)).await?;
                }
                Ok::<(), EnqueueError>(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}
