//! Where a letter goes, and as what. Pure.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{MAX_REDRIVES, Refusal, Rules};
use crate::broker::Destination;
use crate::envelope::{DEFAULT_FRAME_MAX, MAX_DELAYED_HEADER, Republish, fit_header, headers, republish};
use crate::id::JobId;
use crate::inspector::death::Death;
use crate::inspector::record::DeadLetterRecord;
use crate::inspector::source::Source;
use crate::ledger::Target;
use crate::message::{HeaderValue, Headers, Message};
use crate::producer::MAX_DELAY;
use crate::queue::Queue;
use crate::topology::Route;

/// One letter's way back.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) queue: String,
    pub(super) target: Target,
    pub(super) message: Message,
}

/// Decides about one letter. `now` is the date of the redrive.
pub(super) fn plan(
    (record, message): (&DeadLetterRecord, &Message),
    source: &Source,
    (rules, wait): (&Rules, Duration),
    now: SystemTime,
) -> Result<Plan, Refusal> {
    if record.redriven >= MAX_REDRIVES && !rules.force {
        return Err(Refusal::TooOften { times: record.redriven });
    }
    if wait > MAX_DELAY {
        return Err(Refusal::TooLate { wait });
    }
    let (queue, target) = way(record, message, source, (rules, wait))?;
    let message = successor(record, message, (wait, now))?;
    Ok(Plan { queue, target, message })
}

fn way(
    record: &DeadLetterRecord,
    message: &Message,
    source: &Source,
    (rules, wait): (&Rules, Duration),
) -> Result<(String, Target), Refusal> {
    let certain = rules.to.as_ref().or(source.work.as_ref());
    if let Some(queue) = certain {
        return Ok((queue.name().to_owned(), to(queue, source, wait)));
    }
    let name = home(&record.death, message, source).ok_or(Refusal::NoQueue)?;
    if let Some(queue) = source.known.get(&name) {
        return Ok((name, to(queue, source, wait)));
    }
    if !wait.is_zero() {
        return Err(Refusal::UnknownQueue { queue: name });
    }
    // Whatever it is declared as: it exists, or the message comes back as unroutable.
    let target = Target {
        destination: Destination::queue(&name).into(),
        declarations: std::sync::Arc::from([]),
    };
    Ok((name, target))
}

/// The work queue that a lost letter belongs to.
fn home(death: &Death, message: &Message, source: &Source) -> Option<String> {
    let queue = death.queue.clone().or_else(|| death.origin.clone())?;
    // On its way through the ladder, whose last step found no queue: the way says which one.
    if let Some(route) = routing_key(message).and_then(|key| Route::of(&destination(&queue, key))) {
        return Some(route.queue());
    }
    match &death.origin {
        Some(work) if source.topology.is_beside(work, &queue) => Some(work.clone()),
        _ => Some(queue),
    }
}

/// Each queue of the ladder has an exchange of its name.
fn destination(queue: &str, routing_key: &str) -> Destination {
    Destination {
        exchange: queue.to_owned(),
        routing_key: routing_key.to_owned(),
    }
}

/// The key with which a letter came into the queue that it died in.
fn routing_key(message: &Message) -> Option<&str> {
    let HeaderValue::List(deaths) = message.properties.headers.get("x-death")? else {
        return None;
    };
    let HeaderValue::Table(newest) = deaths.first()? else {
        return None;
    };
    let HeaderValue::List(keys) = newest.get("routing-keys")? else {
        return None;
    };
    keys.first()?.as_text()
}

fn to(queue: &Queue, source: &Source, wait: Duration) -> Target {
    match wait.is_zero() {
        true => source.rabbit.targets().of(queue),
        false => source.topology.delayed(queue, wait),
    }
}

/// The job as it is published again.
fn successor(
    record: &DeadLetterRecord,
    letter: &Message,
    (wait, now): (Duration, SystemTime),
) -> Result<Message, Refusal> {
    let id = match letter.properties.message_id.as_deref() {
        // Not its digest: two letters that are alike are two jobs.
        None | Some("") => JobId::random(),
        Some(id) => JobId::new(id).map_err(|reason| Refusal::Unsendable(format!("its id: {reason}")))?,
    };
    let mut job = republish(letter, &id, 1, &Republish::Again);
    let table = &mut job.properties.headers;
    begin_anew(table, now + wait);
    table.insert(headers::REDRIVEN.to_owned(), record.redriven.saturating_add(1).into());
    if !wait.is_zero() {
        table.insert(headers::DUE.to_owned(), HeaderValue::Int(millis(now + wait)));
    }
    let most = match wait.is_zero() {
        true => DEFAULT_FRAME_MAX,
        false => MAX_DELAYED_HEADER,
    };
    fit_header(job, most).map_err(|large| Refusal::Unsendable(large.to_string()))
}

/// Forgets what would end the job as soon as it is `due`, or make a suspect of it again.
fn begin_anew(table: &mut Headers, due: SystemTime) {
    for name in [
        headers::DUE,
        headers::SUSPECT,
        headers::SUSPECT_ARMED,
        headers::CRASHES,
        headers::UNKNOWN,
        headers::UNREADABLE,
    ] {
        table.remove(name);
    }
    let expires = table.get(headers::EXPIRES).and_then(HeaderValue::as_int);
    // Whoever sends it back wants it done all the same.
    if expires.is_some_and(|expires| expires <= millis(due)) {
        table.remove(headers::EXPIRES);
    }
}

fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[cfg(feature = "memory")]
mod tests;
