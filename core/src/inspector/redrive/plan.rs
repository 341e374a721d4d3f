//! Where a letter goes, and as what. Pure.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{MAX_REDRIVES, Refusal, Rules};
use crate::broker::Destination;
use crate::envelope::{DEFAULT_FRAME_MAX, Republish, fit_header, headers, republish};
use crate::id::JobId;
use crate::inspector::death::Death;
use crate::inspector::record::DeadLetterRecord;
use crate::inspector::source::Source;
use crate::ledger::Target;
use crate::message::{HeaderValue, Headers, Message};
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
        destination: Destination::queue(&name),
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
    begin_anew(table, now);
    table.insert(headers::REDRIVEN.to_owned(), record.redriven.saturating_add(1).into());
    if !wait.is_zero() {
        table.insert(headers::DUE.to_owned(), HeaderValue::Int(millis(now + wait)));
    }
    fit_header(job, DEFAULT_FRAME_MAX).map_err(|large| Refusal::Unsendable(large.to_string()))
}

/// Forgets what would end the job at once, or make a suspect of it again.
fn begin_anew(table: &mut Headers, now: SystemTime) {
    for name in [
        headers::DUE,
        headers::SUSPECT,
        headers::SUSPECT_ARMED,
        headers::CRASHES,
        headers::UNKNOWN,
    ] {
        table.remove(name);
    }
    let expires = table.get(headers::EXPIRES).and_then(HeaderValue::as_int);
    // Whoever sends it back wants it done all the same.
    if expires.is_some_and(|expires| expires <= millis(now)) {
        table.remove(headers::EXPIRES);
    }
}

fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rabbit::Rabbit;

    fn letter(headers: &[(&str, HeaderValue)]) -> Message {
        let mut message = Message {
            body: b"\xff{}".as_slice().into(),
            ..Message::default()
        };
        message.properties.message_id = Some("7".to_owned());
        let named = headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        message.properties.headers = named.collect();
        message
    }

    fn died(queue: &str, routing_key: &str) -> (&'static str, HeaderValue) {
        let keys = HeaderValue::List(vec![routing_key.into()]);
        let death = [
            ("queue".to_owned(), queue.into()),
            ("reason".to_owned(), "expired".into()),
            ("routing-keys".to_owned(), keys),
        ];
        ("x-death", HeaderValue::List(vec![HeaderValue::Table(death.into())]))
    }

    fn lost() -> Source {
        Source::lost(&Rabbit::start("memory://redrive-plan").expect("in memory"))
    }

    fn planned(letter: &Message, source: &Source, rules: &Rules, wait: Duration) -> Result<Plan, Refusal> {
        let record = DeadLetterRecord::read(letter);
        plan(
            (&record, letter),
            source,
            (rules, wait),
            UNIX_EPOCH + Duration::from_secs(9),
        )
    }

    #[tokio::test]
    async fn the_way_back_keeps_the_job_and_counts_what_is_to_be_counted() {
        // Given a letter with a history of its own, and the broker's records
        let letter = letter(&[
            (headers::ATTEMPT, HeaderValue::Int(5)),
            (headers::HOP, HeaderValue::Int(4)),
            (headers::REDRIVEN, HeaderValue::Int(1)),
            (headers::FAILURE_ERROR, "no mailbox".into()),
            (headers::DUE, HeaderValue::Int(1)),
            (headers::EXPIRES, HeaderValue::Int(9_000)),
            (headers::SUSPECT, HeaderValue::Int(3)),
            ("tenant", "eu".into()),
            died("mail", "mail"),
        ]);
        let source = Source {
            work: Some(Queue::new("mail")),
            ..lost()
        };

        // When it is sent back, at once and later
        let now = planned(&letter, &source, &Rules::default(), Duration::ZERO).expect("it can go");
        let later = planned(&letter, &source, &Rules::default(), Duration::from_secs(1)).expect("it can go");

        // Then body, id and headers are as they were, except what counts
        assert_eq!(
            (now.message.body.clone(), now.queue.as_str()),
            (letter.body.clone(), "mail")
        );
        let table = &now.message.properties.headers;
        let count = |name: &str| table.get(name).and_then(HeaderValue::as_int);
        assert_eq!(now.message.properties.message_id.as_deref(), Some("7"));
        assert_eq!((count(headers::ATTEMPT), count(headers::HOP)), (Some(1), Some(5)));
        assert_eq!((count(headers::REDRIVEN), count(headers::DUE)), (Some(2), None));
        assert_eq!(table[headers::FAILURE_ERROR], "no mailbox".into());
        assert_eq!(table["tenant"], "eu".into());
        for gone in ["x-death", headers::EXPIRES, headers::SUSPECT] {
            assert!(!table.contains_key(gone), "{gone}");
        }
        assert_eq!(now.target.destination, Destination::queue("mail"));
        // And what waits goes up the ladder, and says when it is due
        assert_eq!(later.message.properties.headers[headers::DUE], HeaderValue::Int(10_000));
        assert_eq!(
            Route::of(&later.target.destination).map(|route| route.queue()),
            Some("mail".to_owned())
        );
    }

    #[tokio::test]
    async fn a_lost_letter_goes_where_it_says_that_it_belongs() {
        let source = lost();
        let far = source
            .topology
            .delayed(&Queue::new("eu.mail"), Duration::from_secs(1))
            .destination;
        for (headers, expected) in [
            (vec![died("mail", "mail")], Some("mail")),
            (vec![died(&far.exchange, &far.routing_key)], Some("eu.mail")),
            (
                vec![died("mail.due", "x"), (headers::ORIGIN, "mail".into())],
                Some("mail"),
            ),
            (
                vec![
                    (headers::FAILURE_QUEUE, "mail".into()),
                    (headers::ORIGIN, "post".into()),
                ],
                Some("mail"),
            ),
            (vec![(headers::ORIGIN, "post".into())], Some("post")),
            (vec![], None),
        ] {
            let planned = planned(&letter(&headers), &source, &Rules::default(), Duration::ZERO);
            assert_eq!(planned.ok().map(|plan| plan.queue).as_deref(), expected, "{headers:?}");
        }
    }

    #[tokio::test]
    async fn what_cannot_or_should_not_go_back_says_why() {
        let (source, rules) = (lost(), Rules::default());
        let wait = Duration::from_secs(1);
        let often = letter(&[
            (headers::REDRIVEN, MAX_REDRIVES.into()),
            (headers::ORIGIN, "mail".into()),
        ]);
        let forced = Rules {
            force: true,
            ..Rules::default()
        };
        let mut odd = letter(&[(headers::ORIGIN, "mail".into())]);
        odd.properties.message_id = Some("two\nlines".to_owned());

        let too_often = planned(&often, &source, &rules, Duration::ZERO).map(drop);
        assert_eq!(too_often, Err(Refusal::TooOften { times: MAX_REDRIVES }));
        assert!(planned(&often, &source, &forced, Duration::ZERO).is_ok());
        let queue = "mail".to_owned();
        let unknown = planned(&often, &source, &forced, wait).map(drop);
        assert_eq!(unknown, Err(Refusal::UnknownQueue { queue }));
        let unsendable = planned(&odd, &source, &rules, Duration::ZERO).map(drop);
        assert!(matches!(unsendable, Err(Refusal::Unsendable(_))));
    }

    #[tokio::test]
    async fn letters_without_an_id_become_different_jobs() {
        let mut letter = letter(&[(headers::ORIGIN, "mail".into())]);
        letter.properties.message_id = None;
        let id = || {
            let plan = planned(&letter, &lost(), &Rules::default(), Duration::ZERO).expect("it can go");
            plan.message.properties.message_id.expect("it has one now")
        };
        assert_ne!(id(), id());
    }
}
