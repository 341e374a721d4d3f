//! Every key, with each kind of value; and what stands in where a key is left out.
#![deny(warnings)]

use std::time::Duration;

use leveret::{Backoff, Job, Queue, RetryPolicy};
use serde::{Deserialize, Serialize};

const MAIL: Queue = Queue::new("mail");
const TRIES: u32 = 4;

#[derive(Serialize, Deserialize, Job)]
#[job(
    queue = MAIL,
    name = "mail.welcome/v2",
    alias = "send_welcome",
    alias = "welcome",
    max_attempts = 8,
    backoff = Backoff::fixed("3s"),
    timeout = "250ms",
    expires_in = "10m",
)]
struct Everything;

#[derive(Serialize, Deserialize, Job)]
#[job(queue = MAIL.classic().delivery_limit(7))]
#[job(max_attempts = TRIES * 2)]
struct InTwoAttributes;

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "plain", backoff = Backoff::none(), timeout = "7d")]
struct OnlyBackoff;

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "plain", max_attempts = 1_u32)]
struct OnlyAttempts;

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "plain")]
struct Plain;

fn main() {
    assert_eq!(Everything::NAME, "mail.welcome/v2");
    assert_eq!(Everything::ALIASES, ["send_welcome", "welcome"]);
    assert_eq!(Everything::QUEUE, MAIL);
    assert_eq!(Everything::RETRY, RetryPolicy::new(8, Backoff::fixed("3s")));
    assert_eq!(Everything::TIMEOUT, Some(Duration::from_millis(250)));
    assert_eq!(Everything::EXPIRES_IN, Some(Duration::from_secs(600)));

    assert_eq!(InTwoAttributes::QUEUE, MAIL.classic().delivery_limit(7));
    assert_eq!(InTwoAttributes::RETRY, RetryPolicy::new(8, RetryPolicy::DEFAULT.backoff()));

    assert_eq!(
        OnlyBackoff::RETRY,
        RetryPolicy::new(RetryPolicy::DEFAULT.max_attempts(), Backoff::none())
    );
    assert_eq!(OnlyBackoff::TIMEOUT, Some(Duration::from_secs(7 * 86_400)));
    assert_eq!(OnlyAttempts::RETRY, RetryPolicy::new(1, RetryPolicy::DEFAULT.backoff()));

    assert_eq!(Plain::QUEUE, Queue::new("plain"));
    assert_eq!(Plain::RETRY, RetryPolicy::DEFAULT);
    assert_eq!(Plain::TIMEOUT, None);
    assert_eq!(Plain::EXPIRES_IN, None);
    assert!(Plain::ALIASES.is_empty());
}
