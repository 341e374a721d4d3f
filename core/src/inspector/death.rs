//! How a letter came to be dead: by a worker's decision, written into Leveret's own headers, or by the broker's, written into
//! `x-death`. Pure.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::envelope::headers;
use crate::message::{HeaderValue, Headers};

/// Who gave a job up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiedBy {
    /// A worker, which published this copy with its reasons.
    Worker {
        /// The worker's name, where it is on record.
        name: Option<String>,
    },
    /// The broker moved it by itself: it was rejected without a copy, delivered too often, expired, or one too many.
    Broker {
        /// How many times that has happened to it in that queue.
        times: u64,
    },
    /// Nothing is on record: somebody published it here.
    Unknown,
}

/// How a letter came to be dead.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Death {
    /// Who gave it up.
    pub by: DiedBy,
    /// Why, as one word: a worker's (`failed`, `rejected`, `panicked`, `timed_out`, `undecodable`, `unknown_type`, `expired`, …), the broker's
    /// (`rejected`, `expired`, `delivery_limit`, `maxlen`), or `unrecorded`.
    pub reason: String,
    /// The last error's text. Where the broker moved the letter, it is the error of an earlier attempt.
    pub error: Option<String>,
    /// The queue that it died in.
    pub queue: Option<String>,
    /// When. The broker's clock counts in seconds.
    pub at: Option<SystemTime>,
    /// The queue that it was first enqueued to.
    pub origin: Option<String>,
}

impl Death {
    /// Every republish strips the broker's records, so one that is there is younger than a worker's.
    pub(super) fn read(table: &Headers) -> Self {
        let newest = match table.get("x-death") {
            Some(HeaderValue::List(deaths)) => deaths.first(),
            _ => None,
        };
        match newest {
            Some(HeaderValue::Table(death)) => by_the_broker(death, table),
            _ => by_a_worker(table),
        }
    }
}

fn by_the_broker(death: &Headers, table: &Headers) -> Death {
    let times = death.get("count").and_then(HeaderValue::as_int).unwrap_or(1);
    let at = match death.get("time") {
        Some(HeaderValue::Timestamp(seconds)) => UNIX_EPOCH.checked_add(Duration::from_secs(*seconds)),
        _ => None,
    };
    Death {
        by: DiedBy::Broker {
            times: u64::try_from(times).unwrap_or(1),
        },
        reason: text(death, "reason").unwrap_or_else(unrecorded),
        error: text(table, headers::FAILURE_ERROR),
        queue: text(death, "queue"),
        at,
        origin: text(table, headers::ORIGIN),
    }
}

fn by_a_worker(table: &Headers) -> Death {
    let reason = text(table, headers::FAILURE_REASON);
    let name = text(table, headers::FAILURE_WORKER);
    let millis = table.get(headers::FAILURE_AT).and_then(HeaderValue::as_int);
    let since = millis
        .and_then(|millis| u64::try_from(millis).ok())
        .map(Duration::from_millis);
    Death {
        by: match reason {
            Some(_) => DiedBy::Worker { name },
            None => DiedBy::Unknown,
        },
        reason: reason.unwrap_or_else(unrecorded),
        error: text(table, headers::FAILURE_ERROR),
        queue: text(table, headers::FAILURE_QUEUE),
        at: since.and_then(|since| UNIX_EPOCH.checked_add(since)),
        origin: text(table, headers::ORIGIN),
    }
}

fn unrecorded() -> String {
    "unrecorded".to_owned()
}

fn text(table: &Headers, name: &str) -> Option<String> {
    let value = table.get(name).and_then(HeaderValue::as_text)?;
    Some(value.to_owned())
}

/// Writes a record as a worker would have. It replaces the broker's, which is never republished.
pub(super) fn write(death: &Death, table: &mut Headers) {
    let mut put = |name: &str, value: Option<HeaderValue>| {
        if let Some(value) = value {
            table.insert(name.to_owned(), value);
        }
    };
    let worker = match &death.by {
        DiedBy::Worker { name } => name.clone(),
        DiedBy::Broker { .. } | DiedBy::Unknown => None,
    };
    let since = death.at.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    put(headers::FAILURE_REASON, Some(death.reason.as_str().into()));
    put(headers::FAILURE_ERROR, death.error.as_deref().map(Into::into));
    put(headers::FAILURE_QUEUE, death.queue.as_deref().map(Into::into));
    put(headers::FAILURE_WORKER, worker.map(Into::into));
    put(
        headers::FAILURE_AT,
        since.map(|since| HeaderValue::Int(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table<const N: usize>(entries: [(&str, HeaderValue); N]) -> Headers {
        entries
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    fn ours() -> Headers {
        table([
            (headers::FAILURE_REASON, "timed_out".into()),
            (headers::FAILURE_ERROR, "30s are over".into()),
            (headers::FAILURE_QUEUE, "mail".into()),
            (headers::FAILURE_WORKER, "mailer-1".into()),
            (headers::FAILURE_AT, HeaderValue::Int(1_500)),
            (headers::ORIGIN, "mail".into()),
        ])
    }

    #[test]
    fn a_worker_s_record_is_read_and_written_alike() {
        let death = Death::read(&ours());

        assert_eq!(
            death.by,
            DiedBy::Worker {
                name: Some("mailer-1".to_owned())
            }
        );
        assert_eq!(death.at, Some(UNIX_EPOCH + Duration::from_millis(1_500)));
        let mut written = table([(headers::ORIGIN, "mail".into())]);
        write(&death, &mut written);
        assert_eq!(written, ours());
    }

    #[test]
    fn the_broker_s_newest_record_is_younger_than_a_worker_s() {
        let entry = |queue: &str, reason: &str, time| {
            HeaderValue::Table(table([
                ("count", HeaderValue::Int(3)),
                ("queue", queue.into()),
                ("reason", reason.into()),
                ("time", HeaderValue::Timestamp(time)),
            ]))
        };
        let mut both = ours();
        let deaths = vec![entry("mail", "delivery_limit", 9), entry("leveret.delay", "expired", 8)];
        both.insert("x-death".to_owned(), HeaderValue::List(deaths));

        let death = Death::read(&both);

        assert_eq!(death.by, DiedBy::Broker { times: 3 });
        assert_eq!(
            (death.reason.as_str(), death.queue.as_deref()),
            ("delivery_limit", Some("mail"))
        );
        assert_eq!(death.at, Some(UNIX_EPOCH + Duration::from_secs(9)));
        assert_eq!(death.error.as_deref(), Some("30s are over"), "of the attempt before");
    }

    #[test]
    fn what_somebody_published_here_has_no_record() {
        let death = Death::read(&Headers::new());
        assert_eq!(
            (death.by, death.reason.as_str(), death.at),
            (DiedBy::Unknown, "unrecorded", None)
        );
    }
}
