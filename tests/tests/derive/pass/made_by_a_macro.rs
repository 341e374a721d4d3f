//! Jobs that a `macro_rules!` macro writes: what it passes on arrives in invisible groups.
#![deny(warnings)]

use leveret::{Backoff, Job, Queue};
use serde::{Deserialize, Serialize};

macro_rules! job {
    ($type:ident, $queue:expr, $name:literal, $alias:expr, $attempts:expr, $backoff:expr, $timeout:literal, $path:path) => {
        #[derive(Serialize, Deserialize, Job)]
        #[job(queue = $queue, name = $name, alias = $alias, max_attempts = $attempts, backoff = $backoff, timeout = $timeout)]
        #[job(crate = $path)]
        struct $type;
    };
}

const MAIL: Queue = Queue::new("mail");

job!(First, "mail", "one", "uno", 3, Backoff::none(), "30s", ::leveret);
job!(Second, MAIL, "two", "due", 2 + 2, Backoff::fixed("1s"), "1m", leveret);

fn main() {
    assert_eq!((First::NAME, First::RETRY.max_attempts()), ("one", 3));
    assert_eq!((Second::NAME, Second::RETRY.max_attempts()), ("two", 4));
    assert_eq!(First::QUEUE, Second::QUEUE);
}
