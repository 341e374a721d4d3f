//! A job on its way out: the [`Envelope`].

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::error::EnvelopeError;
use super::headers;
use super::limits::Limits;
use crate::id::JobId;
use crate::job::Job;
use crate::message::{HeaderValue, Headers, Message, Properties};
use crate::name::check_short_string;
use crate::queue::Queue;
use crate::text::Text;

/// The format of every body.
const CONTENT_TYPE: Text = Text::from_static("application/json");

/// Who publishes. With it, a message without headers is known for one of Leveret's own.
pub(super) const APP_ID: Text = Text::from_static("leveret");

/// In bytes.
const USUAL_BODY: usize = 256;

/// The latest time that a header can carry.
const MAX_MILLIS: u64 = i64::MAX.cast_unsigned();

/// A serialized job with everything that goes with it. It can itself be serialized, which makes an outbox: store it in the
/// transaction that changes your data, and hand it to `Producer::enqueue_envelope`
/// afterwards; its id is fixed here, so sending it twice is visible.
///
/// ```
/// use leveret::{Envelope, Job};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize, Job)]
/// #[job(queue = "mail")]
/// struct SendWelcome { user_id: u64 }
///
/// let envelope = Envelope::new(SendWelcome { user_id: 7 })?;
/// let row = serde_json::to_string(&envelope)?;
/// let again: Envelope = serde_json::from_str(&row)?;
/// assert_eq!(again.id(), envelope.id());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
/// What goes beside the job is set with the `with_…` methods:
///
/// ```
/// # use leveret::{Envelope, Job, JobId, Queue, envelope::Limits};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize, Job)]
/// # #[job(queue = "mail")]
/// # struct SendWelcome { user_id: u64 }
/// let envelope = Envelope::new(SendWelcome { user_id: 7 })?
///     .with_id(JobId::new("welcome-7")?)
///     .with_queue(Queue::named("mail-eu")?)
///     .with_correlation_id("signup-7")?
///     .with_max_attempts(3)
///     .with_timeout(std::time::Duration::from_secs(10))
///     .with_header("tenant", "eu")?;
///
/// assert_eq!((envelope.job_name(), envelope.queue().name()), ("send_welcome", "mail-eu"));
/// assert_eq!(&envelope.body()[..], br#"{"user_id":7}"#);
///
/// let message = envelope.to_message(&Limits::default())?;
/// assert_eq!(message.properties.message_id.as_deref(), Some("welcome-7"));
/// assert_eq!(message.properties.headers["tenant"].as_text(), Some("eu"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
pub struct Envelope {
    id: JobId,
    name: Text,
    queue: Queue,
    #[serde(with = "json_text")]
    body: Bytes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    correlation_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_attempts: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timeout: Option<Duration>,
    /// In milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
    #[serde(default, skip_serializing_if = "Headers::is_empty")]
    headers: Headers,
    made_at: u64,
    /// When it is to run, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    due: Option<u64>,
}

impl Envelope {
    /// Serializes a job and gives it an id.
    ///
    /// # Errors
    /// [`EnvelopeError`] if the job cannot be written as JSON.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a job that is enqueued is given away; every enqueue does the same"
    )]
    pub fn new<J: Job>(job: J) -> Result<Self, EnvelopeError> {
        Self::of(&job)
    }

    pub(crate) fn of<J: Job>(job: &J) -> Result<Self, EnvelopeError> {
        // Room for a usual job: a buffer that has to grow is copied.
        let mut body = Vec::with_capacity(USUAL_BODY);
        serde_json::to_writer(&mut body, job).map_err(|error| EnvelopeError::Json {
            job: J::NAME,
            detail: error.to_string(),
        })?;
        let now = SystemTime::now();
        Ok(Self {
            id: JobId::random(),
            name: Text::from_static(J::NAME),
            queue: J::QUEUE,
            body: Bytes::from(body),
            correlation_id: None,
            max_attempts: None,
            timeout: None,
            expires: None,
            headers: Headers::new(),
            due: None,
            made_at: now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        }
        .expiring_as::<J>(|| now))
    }

    /// With the expiry that the job's type says, counted from `now`, which is asked for only where there is one.
    pub(crate) fn expiring_as<J: Job>(self, now: impl FnOnce() -> SystemTime) -> Self {
        match J::EXPIRES_IN {
            Some(time) => self.expiring_in(time, now()),
            None => self,
        }
    }

    /// With an expiry that is counted from `now`; one beyond all calendars is none that anybody will see.
    pub(crate) fn expiring_in(self, time: Duration, now: SystemTime) -> Self {
        let never = UNIX_EPOCH + Duration::from_millis(MAX_MILLIS);
        self.with_expiry(now.checked_add(time).unwrap_or(never))
    }

    /// Sets an own id.
    #[must_use]
    pub fn with_id(mut self, id: JobId) -> Self {
        self.id = id;
        self
    }

    /// Sends the job to another queue than its type's.
    #[must_use]
    pub fn with_queue(mut self, queue: Queue) -> Self {
        self.queue = queue;
        self
    }

    /// Links the job to others; a handler reads it from its context.
    ///
    /// # Errors
    /// [`EnvelopeError`] if it is empty, longer than 255 bytes or contains a control character.
    pub fn with_correlation_id(mut self, id: impl Into<String>) -> Result<Self, EnvelopeError> {
        let id = id.into();
        check_short_string(&id).map_err(|reason| EnvelopeError::CorrelationId { reason })?;
        self.correlation_id = Some(id);
        Ok(self)
    }

    /// How many runs this one job gets; it wins over the type's number. 0 is read as 1.
    #[must_use]
    pub fn with_max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = Some(attempts.max(1));
        self
    }

    /// How long one attempt of this one job may run, from one millisecond to 49 days (the header carries 32 bits of
    /// milliseconds; less or more is read as these); it wins over the type's limit.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// When the job is no longer wanted, to the millisecond. No attempt begins after it, and none is put off beyond it: such a job becomes a dead
    /// letter with the reason `expired`. It is measured by the worker's clock; it wins over the type's `expires_in`.
    ///
    /// ```
    /// # use leveret::{Envelope, Job, envelope::{Incoming, Limits}};
    /// # use serde::{Deserialize, Serialize};
    /// # use std::time::{Duration, SystemTime};
    /// # #[derive(Serialize, Deserialize, Job)]
    /// # #[job(queue = "sms")]
    /// # struct SendCode { code: u32 }
    /// let expiry = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
    /// let envelope = Envelope::new(SendCode { code: 4711 })?.with_expiry(expiry);
    /// assert_eq!(Incoming::read(&envelope.to_message(&Limits::default())?)?.expires, Some(expiry));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_expiry(mut self, time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(since.as_millis()).unwrap_or(MAX_MILLIS);
        self.expires = Some(millis.min(MAX_MILLIS));
        self
    }

    /// Has the job run at this time, and not before: within a year from when it is enqueued, and at once if that is over by then. The time is
    /// kept to the millisecond, in a stored envelope too, so an outbox that comes late makes nothing later than it would be anyway.
    ///
    /// It is a time of the clock of whoever enqueues the envelope. Where another machine made it, the two clocks' difference counts.
    #[must_use]
    pub fn with_due(mut self, at: SystemTime) -> Self {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.due = Some(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// Adds a header of the application's own.
    ///
    /// # Errors
    /// [`EnvelopeError`] if the name is empty, longer than 255 bytes, or in a space that is not the application's:
    /// `leveret-`, `x-`, `CC`, `BCC`; or if the value cannot travel: a float that is not finite, a nested table with a
    /// name longer than 255 bytes, lists and tables nested more than 16 deep.
    pub fn with_header(
        mut self,
        name: impl Into<String>,
        value: impl Into<HeaderValue>,
    ) -> Result<Self, EnvelopeError> {
        let (name, value) = (name.into(), value.into());
        headers::check_own(&name, &value)?;
        self.headers.insert(name, value);
        Ok(self)
    }

    /// The job's id.
    #[must_use]
    pub fn id(&self) -> &JobId {
        &self.id
    }

    /// The job's name on the wire.
    #[must_use]
    pub fn job_name(&self) -> &str {
        &self.name
    }

    /// The same, to be kept.
    #[cfg(feature = "_runtime")]
    pub(crate) fn shared_name(&self) -> Text {
        self.name.clone()
    }

    /// The queue it goes to.
    #[must_use]
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// When the job is to run, as set with [`Envelope::with_due`]; `None`: at once.
    #[must_use]
    pub fn due(&self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(Duration::from_millis(self.due?))
    }

    /// The job as JSON.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The message that carries it.
    ///
    /// # Errors
    /// [`EnvelopeError`] if it exceeds `limits`, or, for an envelope read back from storage, if its name, its correlation
    /// id or a header cannot travel.
    pub fn to_message(&self, limits: &Limits) -> Result<Message, EnvelopeError> {
        self.check()?;
        let message = Message {
            body: self.body.clone(),
            properties: Properties {
                message_id: Some(self.id.text().clone()),
                kind: Some(self.name.clone()),
                content_type: Some(CONTENT_TYPE),
                correlation_id: self.correlation_id.as_deref().map(Text::from),
                app_id: Some(APP_ID),
                timestamp: Some(self.made_at),
                headers: self.header_table(),
                ..Properties::default()
            },
        };
        limits.check(&message).map_err(EnvelopeError::TooLarge)?;
        Ok(message)
    }

    /// The rules of the setters once more: storage may hold what no setter has seen.
    fn check(&self) -> Result<(), EnvelopeError> {
        check_short_string(&self.name).map_err(|reason| EnvelopeError::JobName { reason })?;
        if let Some(id) = &self.correlation_id {
            check_short_string(id).map_err(|reason| EnvelopeError::CorrelationId { reason })?;
        }
        self.headers
            .iter()
            .try_for_each(|(name, value)| headers::check_own(name, value))
    }

    /// A job at its beginning says nothing of that: its first attempt, not republished, in the queue that it was enqueued to. Most jobs have no
    /// header at all then, which spares each of them a table, in this process, in the broker and in the worker.
    fn header_table(&self) -> Headers {
        let mut table = self.headers.clone();
        if let Some(attempts) = self.max_attempts {
            table.insert(headers::MAX_ATTEMPTS.to_owned(), attempts.max(1).into());
        }
        if let Some(timeout) = self.timeout {
            let millis = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
            table.insert(headers::TIMEOUT_MS.to_owned(), millis.max(1).into());
        }
        if let Some(millis) = self.expires {
            let millis = i64::try_from(millis).unwrap_or(i64::MAX);
            table.insert(headers::EXPIRES.to_owned(), HeaderValue::Int(millis));
        }
        if let Some(due) = self.due {
            let millis = i64::try_from(due).unwrap_or(i64::MAX);
            table.insert(headers::DUE.to_owned(), HeaderValue::Int(millis));
            // It waits elsewhere.
            let origin = HeaderValue::Text(self.queue.name().to_owned());
            table.insert(headers::ORIGIN.to_owned(), origin);
        }
        table
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("queue", &self.queue.name())
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish_non_exhaustive()
    }
}

/// The body inside a serialized envelope: JSON text, readable in an outbox table.
mod json_text {
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serializer, de, ser};

    pub(super) fn serialize<S: Serializer>(body: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(std::str::from_utf8(body).map_err(ser::Error::custom)?)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        let text = String::deserialize(deserializer)?;
        serde_json::from_str::<de::IgnoredAny>(&text).map_err(de::Error::custom)?;
        Ok(Bytes::from(text))
    }
}
