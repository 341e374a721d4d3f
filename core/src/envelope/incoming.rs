//! A message read as a job: [`Incoming`].

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::headers;
use super::outgoing::APP_ID;
use crate::id::JobId;
use crate::job::Job;
use crate::message::{HeaderValue, Message, Properties};
use crate::text::Text;

/// What a message says of the job in it. A message with only a body and a `type` is a valid job.
///
/// ```
/// # use leveret::{Envelope, Job, envelope::{Incoming, Limits}};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize, Job)]
/// # #[job(queue = "mail")]
/// # struct SendWelcome { user_id: u64 }
/// let envelope = Envelope::new(SendWelcome { user_id: 7 })?.with_max_attempts(3);
/// let message = envelope.to_message(&Limits::default())?;
///
/// let incoming = Incoming::read(&message)?;
/// assert_eq!(&incoming.id, envelope.id());
/// assert_eq!((incoming.attempt, incoming.hop, incoming.max_attempts), (1, Some(0), Some(3)));
/// assert_eq!(Incoming::job::<SendWelcome>(&message.body)?.user_id, 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Incoming {
    /// The message's id, or a temporary one.
    pub id: JobId,
    /// The job's name; `None` where the producer set no `type`.
    pub name: Option<Text>,
    /// Which run this is; the first is 1.
    pub attempt: u32,
    /// How many times the job was republished; `None` where no Leveret has published it yet, by its `leveret-hop` and its `app_id`.
    pub hop: Option<u32>,
    /// The attempts set for this one job.
    pub max_attempts: Option<u32>,
    /// The time limit set for this one job.
    pub timeout: Option<Duration>,
    /// When the job is no longer wanted; no attempt begins after it.
    pub expires: Option<SystemTime>,
    /// Whether it is a second publish of a message whose first publish was never confirmed.
    pub resent: bool,
    /// When the job was made, in seconds since the Unix epoch, where the message says.
    pub made_at: Option<u64>,
    /// How many deliveries the broker has counted before this one, where it says.
    pub delivery_count: u32,
}

impl Incoming {
    /// Reads a message's properties. It cannot fail on an unknown or missing one, only on one of Leveret's own that
    /// holds what it cannot hold.
    ///
    /// # Errors
    /// [`DecodeError`] naming the header.
    pub fn read(message: &Message) -> Result<Self, DecodeError> {
        let properties = &message.properties;
        if properties.headers.contains_key(headers::UNREADABLE) {
            return Err(DecodeError::Properties);
        }
        let id = match &properties.message_id {
            Some(text) if !text.is_empty() => JobId::of(text.clone()).map_err(|_| DecodeError::MessageId)?,
            _ => JobId::temporary(),
        };
        Ok(Self {
            id,
            name: properties.kind.clone().filter(|name| !name.is_empty()),
            attempt: number(properties, headers::ATTEMPT)?.unwrap_or(1).max(1),
            hop: number(properties, headers::HOP)?.or_else(|| first_hop(properties)),
            max_attempts: number(properties, headers::MAX_ATTEMPTS)?.map(|attempts| attempts.max(1)),
            timeout: number(properties, headers::TIMEOUT_MS)?.map(|millis| Duration::from_millis(millis.max(1).into())),
            expires: moment(properties, headers::EXPIRES)?,
            resent: properties.headers.contains_key(headers::RESENT),
            made_at: properties.timestamp,
            delivery_count: delivery_count(properties),
        })
    }

    /// Reads the body as a job.
    ///
    /// # Errors
    /// [`DecodeError::Body`] with the place of the fault. It does not quote the body: job data stays out of logs.
    ///
    /// ```
    /// # use leveret::{Job, envelope::Incoming};
    /// # use serde::{Deserialize, Serialize};
    /// #[derive(Debug, Serialize, Deserialize, Job)]
    /// #[job(queue = "mail")]
    /// struct SendWelcome { user_id: u64 }
    ///
    /// assert_eq!(Incoming::job::<SendWelcome>(br#"{"user_id": 7}"#)?.user_id, 7);
    ///
    /// let error = Incoming::job::<SendWelcome>(br#"{"user_id": "secret"}"#).unwrap_err();
    /// assert!(!error.to_string().contains("secret"));
    /// # Ok::<(), leveret::envelope::DecodeError>(())
    /// ```
    pub fn job<J: Job>(body: &[u8]) -> Result<J, DecodeError> {
        serde_json::from_slice(body).map_err(|error| DecodeError::Body {
            job: J::NAME,
            fault: match error.classify() {
                serde_json::error::Category::Data => "valid JSON that does not fit the job's fields",
                serde_json::error::Category::Eof => "JSON that ends too early",
                serde_json::error::Category::Syntax | serde_json::error::Category::Io => "not JSON",
            },
            line: error.line(),
            column: error.column(),
        })
    }
}

/// What Leveret has enqueued says by its `app_id` who it is from, and nothing of hops.
fn first_hop(properties: &Properties) -> Option<u32> {
    (properties.app_id == Some(APP_ID)).then_some(0)
}

fn number(properties: &Properties, header: &'static str) -> Result<Option<u32>, DecodeError> {
    match properties.headers.get(header) {
        None | Some(HeaderValue::Null) => Ok(None),
        Some(HeaderValue::Int(value)) => u32::try_from(*value)
            .map(Some)
            .map_err(|_| DecodeError::Header { header }),
        Some(_) => Err(DecodeError::Header { header }),
    }
}

fn moment(properties: &Properties, header: &'static str) -> Result<Option<SystemTime>, DecodeError> {
    let millis = match properties.headers.get(header) {
        None | Some(HeaderValue::Null) => return Ok(None),
        Some(HeaderValue::Int(value)) => u64::try_from(*value).ok(),
        Some(_) => None,
    };
    let moment = millis.and_then(|millis| UNIX_EPOCH.checked_add(Duration::from_millis(millis)));
    moment.map(Some).ok_or(DecodeError::Header { header })
}

/// The broker's own count is advice: what cannot be read counts as none.
fn delivery_count(properties: &Properties) -> u32 {
    let value = properties
        .headers
        .get(headers::BROKER_DELIVERY_COUNT)
        .and_then(HeaderValue::as_int);
    value.map_or(0, |count| u32::try_from(count.max(0)).unwrap_or(u32::MAX))
}

/// Why a message is not a job that can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// Properties or headers are not what AMQP allows, and were left out.
    Properties,
    /// The message id is longer than an id may be or contains a control character.
    MessageId,
    /// One of Leveret's own headers does not hold a whole number of its range.
    Header {
        /// Its name.
        header: &'static str,
    },
    /// The body is not the job's JSON.
    Body {
        /// The job's name.
        job: &'static str,
        /// What kind of fault.
        fault: &'static str,
        /// The line in the body, from 1.
        line: usize,
        /// The column in the body, from 1; 0 where there is none.
        column: usize,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Properties => f.write_str(
                "some of its properties or headers are not what AMQP allows (not UTF-8, longer than they say, or nested more than 64 deep), \
                 and were left out",
            ),
            Self::MessageId => f.write_str("the message_id is longer than 255 bytes or contains a control character"),
            Self::Header { header } if *header == headers::EXPIRES => {
                write!(
                    f,
                    "the header `{header}` is not a time in milliseconds since the Unix epoch"
                )
            }
            Self::Header { header } => write!(f, "the header `{header}` is not a whole number from 0 to 4294967295"),
            Self::Body {
                job,
                fault,
                line,
                column,
            } => {
                write!(f, "the body is no `{job}`: {fault} (line {line}, column {column})")
            }
        }
    }
}

impl std::error::Error for DecodeError {}
