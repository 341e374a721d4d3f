//! What is published before a job may be settled, and the task that gets it confirmed.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use leveret::envelope::headers;
use leveret::runtime::{Lane, Publish, Target};
use leveret::{Backoff, Fate, HeaderValue, Message, Why};

/// The message that takes a job's place: its retry, its dead letter, or a plain copy.
#[derive(Debug)]
pub(super) struct Successor {
    pub(super) target: Target,
    pub(super) message: Message,
    pub(super) purpose: Purpose,
    /// Whether there is another way where this message cannot be stored. Otherwise the job is held until it can.
    pub(super) replaceable: bool,
    /// How long one try may take.
    pub(super) timeout: Duration,
}

/// What a successor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Retry,
    Snooze,
    /// An untouched job that has been returned so often that only a fresh copy resets the broker's count.
    Return,
    DeadLetter,
}

/// How the publishing of a successor ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It is stored.
    Confirmed,
    /// It was taken back, or is in doubt and nobody waits for it any more.
    Withdrawn,
    /// It cannot be stored, for this reason.
    GaveUp(String),
}

/// The waits between the tries.
const PACE: Backoff = Backoff::exponential("100ms", "10s");

/// How often a successor is tried that is replaceable.
const TRIES: u32 = 5;

/// Publishes until it is confirmed, until `stop` resolves, or until it is of no use to go on.
pub(super) async fn send(lane: Lane, successor: std::sync::Arc<Successor>, stop: impl Future<Output = ()>) -> Sent {
    let mut stop = pin!(stop);
    let mut message = successor.message.clone();
    let mut tries = 0;
    loop {
        tries += 1;
        let publish = lane.publish(Publish {
            target: successor.target.clone(),
            message: message.clone(),
            timeout: successor.timeout,
        });
        let mut publishing = tokio::select! {
            biased;
            () = &mut stop => return Sent::Withdrawn,
            publishing = publish => publishing,
        };
        let result = tokio::select! {
            biased;
            result = &mut publishing => result,
            () = &mut stop => {
                publishing.withdraw();
                return publishing.await.map_or(Sent::Withdrawn, |()| Sent::Confirmed);
            }
        };
        let Err(fate) = result else {
            return Sent::Confirmed;
        };
        if successor.replaceable && (tries >= TRIES || is_hopeless(&fate)) {
            return Sent::GaveUp(told(&fate));
        }
        log_failure(&successor, &fate, tries);
        if fate == Fate::Unknown {
            mark_resent(&mut message);
        }
        tokio::select! {
            biased;
            () = &mut stop => return Sent::Withdrawn,
            () = tokio::time::sleep(PACE.wait(tries, fastrand::f64())) => {}
        }
    }
}

/// Whether the same message would be refused again, whatever changes in the broker.
fn is_hopeless(fate: &Fate) -> bool {
    matches!(fate, Fate::Refused(why) if !matches!(why, Why::Nacked))
}

fn told(fate: &Fate) -> String {
    match fate {
        Fate::Refused(why) => why.to_string(),
        Fate::NotSent => "it could not be sent".to_owned(),
        _ => "it was not confirmed".to_owned(),
    }
}

fn log_failure(successor: &Successor, fate: &Fate, tries: u32) {
    tracing::warn!(
        destination = successor.target.destination.routing_key,
        purpose = ?successor.purpose,
        job = successor.message.properties.message_id,
        tries,
        why = told(fate),
        "a successor was not confirmed; the job is held and it is tried again"
    );
}

fn mark_resent(message: &mut Message) {
    let table = &mut message.properties.headers;
    table.insert(headers::RESENT.to_owned(), HeaderValue::Bool(true));
}
