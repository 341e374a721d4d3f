//! Jobs and attempts for the unit tests of this crate.

use std::sync::Arc;
use std::time::Duration;

use leveret::envelope::Incoming;
use leveret::{Envelope, Job, Queue};
use serde::{Deserialize, Serialize};

use crate::cancellation::Switch;
use crate::context::{Attempt, Surroundings};
use crate::states::States;
use crate::terms::Retrying;

macro_rules! job {
    ($type:ident, $name:literal, $queue:expr $(, $constant:ident: $kind:ty = $value:expr)*) => {
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        pub(crate) struct $type {
            pub(crate) number: u64,
        }

        impl Job for $type {
            const NAME: &'static str = $name;
            const QUEUE: Queue = $queue;
            $(const $constant: $kind = $value;)*
        }
    };
}

job!(Greet, "greet", Queue::new("mail"));
job!(Part, "part", Queue::new("mail"), TIMEOUT: Option<Duration> = Some(Duration::from_secs(30)));
job!(PartAgain, "part_again", Queue::new("mail"), ALIASES: &'static [&'static str] = &["part"]);
job!(PartElsewhere, "part_elsewhere", Queue::new("mail").classic());
job!(Endless, "endless", Queue::new("mail"), TIMEOUT: Option<Duration> = Some(Duration::from_secs(3_600)));

/// An attempt at `job`, in a worker with these states.
pub(crate) fn attempt(job: impl Job, states: States) -> Arc<Attempt> {
    let message = Envelope::new(job)
        .and_then(|envelope| envelope.to_message(&leveret::envelope::Limits::default()))
        .expect("a job of the fixtures is small and plain");
    Arc::new(Attempt {
        incoming: Incoming::read(&message).expect("own headers"),
        message,
        redelivered: false,
        timeout: Duration::from_secs(30),
        retrying: Retrying::default(),
        surroundings: Arc::new(Surroundings {
            queue: "mail".to_owned(),
            worker: "tests".to_owned(),
            states: Arc::new(states),
            producer: None,
        }),
        switch: Switch::default(),
    })
}
